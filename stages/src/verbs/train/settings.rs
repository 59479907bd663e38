//! The settings of `train`; the defaults are a prior as specified, in a size that one machine can train.

use crate::{
    settings::Complaint,
    stage::{Places, Refresh},
};

crate::settings! {
    /// Settings of `train`.
    pub struct Train {
        /// The level whose codes to learn, 0 at the bottom. Every level but the top is given the codes of the one above.
        level: u32,
        /// The split to train on; an empty string takes all shards.
        #[selects]
        split: String = "train".to_owned(),
        /// The split on which the model is measured, beside a unigram and a bigram.
        #[selects]
        held_out: String = "test".to_owned(),
        /// "auto" trains again whenever the codes change, "pinned" only with `--refresh`.
        #[refresh]
        refresh: Refresh = Refresh::Auto,
        /// Channels between blocks.
        width: u32 = 512,
        /// Blocks.
        depth: u32 = 8,
        /// Attention heads.
        heads: u32 = 8,
        /// Channels of all heads together, as a share of the width.
        attn_ratio: f64 = 1.0,
        /// Channels inside a block's multilayer perceptron, as a share of the width.
        mlp_ratio: f64 = 4.0,
        /// Codes of a window: what the model sees at once.
        context: u32 = 1024,
        /// Distances with an embedding of their own; greater ones share the last.
        distances: u32 = 1024,
        /// Residual blocks of the conditioner before each doubling of the rate.
        conditioner_depth: u32 = 4,
        /// Training steps.
        steps: u64 = 100_000,
        /// Windows in a batch.
        batch: u32 = 16,
        /// AdamW's learning rate.
        learning_rate: f64 = 1.5e-4,
        /// Steps over which the learning rate rises; afterwards it falls by half a cosine.
        warmup: u64 = 10_000,
        /// The share of the learning rate that is left at the end of its fall.
        final_rate: f64 = 0.1,
        /// What each step takes off a weight, times the learning rate.
        weight_decay: f64 = 0.002,
        /// The norm of all gradients together is scaled down to this; 0 leaves it.
        clip: f64 = 1.0,
        /// At most so many windows are scored, of the training split and of the held-out one.
        #[unkeyed]
        scored: u32 = 256,
    }
}

impl Train {
    pub(super) fn complain(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let mut complain = |field: &str, message: String, help: &str| {
            complaints.push(Complaint::new(at.of(field), message).help(help));
        };
        let whole = [
            ("width", self.width),
            ("depth", self.depth),
            ("heads", self.heads),
            ("context", self.context),
            ("distances", self.distances),
            ("batch", self.batch),
            ("scored", self.scored),
        ];
        for (field, _) in whole.iter().filter(|(_, value)| *value == 0) {
            complain(field, format!("`{field}` is 0"), "at least 1");
        }
        if self.steps == 0 {
            complain("steps", "`steps` is 0".into(), "at least 1");
        }
        let real = [
            ("attn_ratio", self.attn_ratio, 1e-3, 16.0),
            ("mlp_ratio", self.mlp_ratio, 1e-3, 16.0),
            ("learning_rate", self.learning_rate, 0.0, 1.0),
            ("final_rate", self.final_rate, 0.0, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("clip", self.clip, 0.0, 1e6),
        ];
        for (field, value, least, most) in real.iter().filter(|(_, v, least, most)| !(*least..=*most).contains(v)) {
            complain(field, format!("`{field}` is {value}"), &format!("from {least} to {most}"));
        }
        if self.heads > 0 && !self.attention().is_multiple_of(self.heads as usize) {
            let channels = self.attention();
            let message = format!("{channels} attention channels cannot be shared by {} heads", self.heads);
            complain("heads", message, "`width` times `attn_ratio` must be a multiple of `heads`");
        }
        if self.split == self.held_out && !self.split.is_empty() {
            let message = format!("`held_out` is the split `{}` that the model is trained on", self.split);
            complain("held_out", message, "\"test\" is the default");
        }
    }

    /// Channels of all heads.
    pub(super) fn attention(&self) -> usize {
        libm::round(f64::from(self.width) * self.attn_ratio) as usize
    }

    /// Channels inside the multilayer perceptron.
    pub(super) fn hidden(&self) -> usize {
        libm::round(f64::from(self.width) * self.mlp_ratio).max(1.0) as usize
    }
}
