//! The settings of `train`; the defaults are a prior as specified, in a size that one machine can train.

use crate::{
    model::{
        device::Precision,
        prior::{config::MOST_POSITIONS, fit::PriorSettings},
    },
    settings::{Auto, Complaint},
    stage::{Places, Refresh},
};

/// The most steps of a training.
pub(in crate::verbs) const MOST_STEPS: u64 = 1_000_000_000_000;

crate::choice! {
    /// What activations and their gradients are made of.
    pub enum Numbers {
        /// 32 bits.
        F32 = "f32",
        /// 16 bits with the range of 32.
        Bf16 = "bf16",
        /// 16 bits with more digits and less range.
        F16 = "f16",
    }
}

impl Numbers {
    /// As networks have it.
    pub(in crate::verbs) fn precision(self) -> Precision {
        match self {
            Numbers::F32 => Precision::F32,
            Numbers::Bf16 => Precision::Bf16,
            Numbers::F16 => Precision::F16,
        }
    }
}

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
        /// Places in a clip with an embedding of their own, after which they begin again; 0: only distances count. With as
        /// many as a clip has codes, a model of pieces that begin alike knows where in a bar it is.
        positions: u32 = 0,
        /// Residual blocks of the conditioner before each doubling of the rate.
        conditioner_depth: u32 = 4,
        /// Training steps.
        steps: u64 = 100_000,
        /// Windows in a batch.
        batch: u32 = 16,
        /// Windows whose gradients are computed at a time, by default a whole batch. Those of a batch are added in one order,
        /// so that memory falls, several processes train together, and the learning stays.
        #[otherwise(batch)]
        micro_batch: Option<u32> = None,
        /// The share of the codes that the model is given while it learns in whose place stands one from elsewhere in the
        /// batch: it learns a corpus by heart later, and when it samples, a slip leads it less astray.
        corruption: f64 = 0.0,
        /// What activations and their gradients are made of: "bf16" and "f16" take half of the memory. Weights, moments and
        /// sums have 32 bits with each; with "f16" the loss is scaled so that gradients keep within its range.
        precision: Numbers = Numbers::F32,
        /// Parts of the blocks of which the input alone is kept, while the rest is computed again on the way back: less memory
        /// for more time, and the same bits. "auto": as few as fit.
        #[unkeyed]
        segments: Auto<u32> = Auto::Auto,
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
        let whole: [(&str, u64, u64, u64); 11] = [
            ("positions", self.positions.into(), 0, MOST_POSITIONS as u64),
            ("level", self.level.into(), 0, 7),
            ("width", self.width.into(), 1, 1 << 14),
            ("depth", self.depth.into(), 1, 256),
            ("heads", self.heads.into(), 1, 256),
            ("context", self.context.into(), 1, 1 << 16),
            ("distances", self.distances.into(), 1, 1 << 16),
            ("conditioner_depth", self.conditioner_depth.into(), 0, 64),
            ("batch", self.batch.into(), 1, 1 << 16),
            ("scored", self.scored.into(), 1, u32::MAX.into()),
            ("steps", self.steps, 1, MOST_STEPS),
        ];
        for (field, value, least, most) in whole.iter().filter(|(_, v, least, most)| !(*least..=*most).contains(v)) {
            let help = if value < least { format!("at least {least}") } else { format!("at most {most}") };
            complain(field, format!("`{field}` is {value}"), &help);
        }
        if let Some(micro_batch) = self.micro_batch.filter(|micro| !(1..=self.batch).contains(micro)) {
            let help = format!("from 1 to {}, the windows of a batch", self.batch);
            complain("micro_batch", format!("`micro_batch` is {micro_batch}"), &help);
        }
        if let Some(segments) = self.segments.given().filter(|segments| !(1..=256).contains(segments)) {
            complain("segments", format!("`segments` is {segments}"), "from 1 to 256, or \"auto\"");
        }
        let real = [
            ("attn_ratio", self.attn_ratio, 1e-3, 16.0),
            ("mlp_ratio", self.mlp_ratio, 1e-3, 16.0),
            ("learning_rate", self.learning_rate, 0.0, 1.0),
            ("final_rate", self.final_rate, 0.0, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("corruption", self.corruption, 0.0, 0.99),
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
        let inner = [("attn_ratio", self.attention(), 1 << 14), ("mlp_ratio", self.hidden(), 1 << 16)];
        for (field, channels, most) in inner.into_iter().filter(|(_, channels, most)| channels > most) {
            let message = format!("`width` times `{field}` is {channels} channels");
            complain(field, message, &format!("at most {most}"));
        }
        if self.split == self.held_out && !self.split.is_empty() {
            let message = format!("`held_out` is the split `{}` that the model is trained on", self.split);
            complain("held_out", message, "\"test\" is the default");
        }
    }

    /// Complains of what does not fit the codes that will come in.
    pub(super) fn fits(&self, planned: &PriorSettings, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if let Some(upper) =
            planned.config.upper.as_ref().filter(|upper| !self.context.is_multiple_of(upper.ratio as u32))
        {
            let (ratio, above) = (upper.ratio, self.level + 1);
            let message =
                format!("`context` is {}, and a code of level {above} stands for {ratio} codes", self.context);
            complaints.push(Complaint::new(at.of("context"), message).help(format!("a multiple of {ratio}")));
        } else if let Err(wrong) = planned.validate() {
            complaints.push(Complaint::new(at.whole, wrong.to_string()));
        }
    }

    /// The number of segments; none where the fewest that fit are to be found.
    pub(super) fn segments(&self) -> Option<usize> {
        self.segments.given().map(|segments| segments as usize)
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
