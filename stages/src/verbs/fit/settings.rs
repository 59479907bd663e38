//! The settings of `fit`; the defaults are the codec as specified.
//!
//! What is said of each level is a list, the bottom first; a list of one item holds for all levels.

use crate::{
    model::{
        codec::{
            CodecConfig, LEAST_RATE, LevelConfig, MOST_BLOCKS, MOST_CHANNELS, MOST_HOP, MOST_OSCILLATORS, OSCILLATED,
            STRIDES, hop,
        },
        fit::{FitSettings, LevelFit},
        training::Schedule,
    },
    settings::{Auto, Complaint, Levels, OneOrEach, PerLevel},
    stage::{Places, Refresh},
    verbs::train::{MOST_STEPS, Numbers},
};

crate::choice! {
    /// How the learning rate moves after the warm-up.
    pub enum Fall {
        /// It stays.
        Constant = "constant",
        /// It falls by half a cosine.
        Cosine = "cosine",
        /// It falls on a straight line.
        Linear = "linear",
    }
}

crate::settings! {
    /// Settings of `fit`.
    pub struct Fit {
        /// The split to train on; an empty string takes all clips.
        #[selects]
        split: String = "train".to_owned(),
        /// "auto" trains again whenever the clips change, "pinned" only with `--refresh`.
        #[refresh]
        refresh: Refresh = Refresh::Auto,
        /// Sample rate in Hz of the audio that the codec works on.
        rate: u32 = 44_100,
        /// Channels of the audio that the codec works on: 1, or 2 for stereo.
        channels: u32 = 1,
        /// For each level, the bottom first: convolutions in each block of which every one divides the rate by the block's
        /// stride; the hop is the product of them all.
        downs: Levels<Vec<u32>> = Levels(vec![vec![3], vec![3, 2], vec![3, 2, 2]]),
        /// For each level: the stride of each block, or one for all of its blocks.
        strides: PerLevel<OneOrEach<u32>> = PerLevel(vec![OneOrEach(vec![2])]),
        /// For each level: channels inside the network.
        width: PerLevel<u32> = PerLevel(vec![64, 32, 32]),
        /// For each level: residual blocks after each convolution with a stride.
        depth: PerLevel<u32> = PerLevel(vec![8, 4, 4]),
        /// The dilation of residual block i is this to the power of i.
        dilation_growth: u32 = 3,
        /// For each level: vectors in the codebook.
        codewords: PerLevel<u32> = PerLevel(vec![2048, 2048, 2048]),
        /// For each level: oscillators of fixed pitch to the octave that its decoder plays beside bands of noise, so that a code
        /// says which notes sound and how; 12 are a tempered scale whose A is 440 Hz. With 0 the decoder gives samples. With
        /// oscillators the loss is that of their amplitudes, and `spectral` and `log_spectral` have no say.
        oscillators: PerLevel<u32> = PerLevel(vec![0]),
        /// Length of a codeword.
        dim: u32 = 64,
        /// For each level: training steps.
        steps: PerLevel<u64> = PerLevel(vec![100_000, 100_000, 100_000]),
        /// For each level: excerpts in a batch.
        batch: PerLevel<u32> = PerLevel(vec![32, 32, 32]),
        /// For each level: excerpts whose gradients are computed at a time, by default a whole batch. Those of a batch are
        /// added in one order, so that memory falls, several processes train together, and the learning stays.
        #[otherwise(batch)]
        micro_batch: Option<PerLevel<u32>> = None,
        /// What activations and their gradients are made of: "bf16" and "f16" take half of the memory. Weights, moments and
        /// sums have 32 bits with each; with "f16" the loss is scaled so that gradients keep within its range.
        precision: Numbers = Numbers::F32,
        /// Parts of each encoder and decoder of which the input alone is kept, while the rest is computed again on the way
        /// back: less memory for more time, and the same bits. "auto": as few as fit.
        #[unkeyed]
        segments: Auto<u32> = Auto::Auto,
        /// For each level: frames of an excerpt, a multiple of the hop.
        crop: PerLevel<u32> = PerLevel(vec![440_960, 440_960, 440_960]),
        /// For each level: weight of the L2 distance of STFT magnitudes.
        spectral: PerLevel<f64> = PerLevel(vec![1.0]),
        /// For each level: weight of the mean distance of the logarithms of STFT magnitudes.
        log_spectral: PerLevel<f64> = PerLevel(vec![0.0]),
        /// For each level: the share of the steps, from the start, in which latents go to the decoder as they are.
        unquantised: PerLevel<f64> = PerLevel(vec![0.0]),
        /// Weight of the commitment loss.
        commitment: f64 = 0.25,
        /// Adam's learning rate.
        learning_rate: f64 = 1e-4,
        /// Steps over which the learning rate rises to its value.
        warmup: u64 = 0,
        /// How the learning rate moves afterwards.
        schedule: Fall = Fall::Constant,
        /// The share of the learning rate that is left at the end of its fall.
        final_rate: f64 = 0.1,
        /// The share that the averages of the codebook keep in each step.
        ema_decay: f64 = 0.99,
        /// A codeword that is used less than this share of the mean is made anew from the data.
        revival: f64 = 0.1,
        /// Passes of k-means when the codebook is made from the data.
        kmeans: u64 = 0,
    }
}

/// Item of a list for a level; a list of one item holds for every level.
fn at<T: Clone>(list: &[T], level: usize) -> T {
    list[if list.len() == 1 { 0 } else { level }].clone()
}

impl Fit {
    /// The number of segments; none where the fewest that fit are to be found.
    pub(super) fn segments(&self) -> Option<usize> {
        self.segments.given().map(|segments| segments as usize)
    }

    /// The strides of a level, one for each block; none where all are 2.
    fn strides(&self, level: usize) -> Vec<u32> {
        let strides = match at(&self.strides, level).0.as_slice() {
            [one] => vec![*one; self.downs[level].len()],
            each => each.to_vec(),
        };
        if strides.iter().all(|stride| *stride == 2) { Vec::new() } else { strides }
    }

    /// Settings for the trainer; the lists must have one item or one for each level.
    pub(super) fn training(&self) -> FitSettings {
        let levels = 0..self.downs.len();
        FitSettings {
            codec: CodecConfig {
                rate: self.rate,
                channels: self.channels as usize,
                dim: self.dim as usize,
                levels: levels
                    .clone()
                    .map(|i| LevelConfig {
                        downs: self.downs[i].clone(),
                        strides: self.strides(i),
                        width: at(&self.width, i) as usize,
                        depth: at(&self.depth, i) as usize,
                        dilation_growth: self.dilation_growth as usize,
                        codewords: at(&self.codewords, i) as usize,
                        oscillators: at(&self.oscillators, i) as usize,
                    })
                    .collect(),
            },
            levels: levels
                .map(|i| LevelFit {
                    steps: at(&self.steps, i),
                    batch: at(&self.batch, i) as usize,
                    micro_batch: at(self.micro_batch.as_ref().unwrap_or(&self.batch), i) as usize,
                    crop: at(&self.crop, i) as usize,
                    spectral: at(&self.spectral, i),
                    log_spectral: at(&self.log_spectral, i),
                    unquantised: at(&self.unquantised, i),
                })
                .collect(),
            precision: self.precision.precision(),
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            schedule: match self.schedule {
                Fall::Constant => Schedule::Constant,
                Fall::Cosine => Schedule::Cosine,
                Fall::Linear => Schedule::Linear,
            },
            final_rate: self.final_rate,
            commitment: self.commitment,
            ema_decay: self.ema_decay,
            revival: self.revival,
            kmeans: self.kmeans as usize,
        }
    }

    pub(super) fn complain(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        let (levels, before) = (self.downs.len(), complaints.len());
        let lists = [
            ("strides", self.strides.len()),
            ("width", self.width.len()),
            ("depth", self.depth.len()),
            ("codewords", self.codewords.len()),
            ("oscillators", self.oscillators.len()),
            ("steps", self.steps.len()),
            ("batch", self.batch.len()),
            ("micro_batch", self.micro_batch.as_ref().unwrap_or(&self.batch).len()),
            ("crop", self.crop.len()),
            ("spectral", self.spectral.len()),
            ("log_spectral", self.log_spectral.len()),
            ("unquantised", self.unquantised.len()),
        ];
        for (name, length) in lists {
            if length != levels && length != 1 {
                let message = format!("`{name}` is given for {length} levels, `downs` for {levels}");
                complaints.push(
                    Complaint::new(at.of(name), message)
                        .help("one item for each level, the bottom first, or one for all"),
                );
            }
        }
        let mut wrong = Wrong { at, complaints };
        self.network(&mut wrong, lists.iter().all(|(_, length)| *length == levels || *length == 1));
        self.steps(&mut wrong);
        // What both of them passed over.
        if complaints.len() == before
            && let Err(other) = self.training().validate()
        {
            complaints.push(Complaint::new(at.whole, other.to_string()));
        }
    }

    /// Complains of what the network is made of.
    fn network(&self, wrong: &mut Wrong<'_, '_>, listed: bool) {
        wrong.whole("rate", self.rate.into(), 1, u32::MAX.into());
        wrong.whole("channels", self.channels.into(), 1, MOST_CHANNELS as u64);
        wrong.whole("dim", self.dim.into(), 1, 4096);
        if !(1..=8).contains(&self.downs.len()) {
            wrong.say("downs", None, format!("`downs` is of {} levels", self.downs.len()), "from 1 to 8 levels");
        }
        wrong.each("width", &self.width, 1, 8192);
        wrong.each("depth", &self.depth, 0, 64);
        wrong.each("codewords", &self.codewords, 1, 1 << 16);
        wrong.each("oscillators", &self.oscillators, 0, MOST_OSCILLATORS as u64);
        wrong.whole("dilation_growth", self.dilation_growth.into(), 1, 1 << 16);
        let deepest = self.depth.iter().copied().max().filter(|depth| *depth <= 64).unwrap_or(0);
        let widest = self.dilation_growth.checked_pow(deepest.saturating_sub(1));
        if self.dilation_growth <= 1 << 16 && widest.is_none_or(|widest| widest > 1 << 16) {
            let message =
                format!("`dilation_growth` is {}, which {deepest} residual blocks make too wide", self.dilation_growth);
            wrong.say("dilation_growth", None, message, "a dilation of at most 65536 in the last block of `depth`");
        }
        if listed && let Some(hops) = self.blocks(wrong) {
            self.hops(&hops, wrong);
        }
    }

    /// Complains of blocks and strides that make no level. The hop of each level; `None` where one has none.
    fn blocks(&self, wrong: &mut Wrong<'_, '_>) -> Option<Vec<u32>> {
        let mut hops = Vec::new();
        for (level, downs) in self.downs.iter().enumerate() {
            let strides = self.strides(level);
            let item = if self.strides.len() == 1 { 0 } else { level };
            if at(&self.strides, level).0.is_empty() {
                let message = format!("`strides` of level {level} is empty");
                wrong.say("strides", Some(item), message, "one stride for each block, or one for all");
            } else if let Some(stride) = strides.iter().find(|stride| !STRIDES.contains(stride)) {
                let message = format!("a stride of level {level} is {stride}");
                let help = format!("strides from {} to {}", STRIDES.start(), STRIDES.end());
                wrong.say("strides", Some(item), message, &help);
            } else if !(strides.is_empty() || strides.len() == downs.len()) {
                let message = format!(
                    "`strides` of level {level} is given for {} blocks, `downs` for {}",
                    strides.len(),
                    downs.len()
                );
                wrong.say("strides", Some(item), message, "one stride for each block, or one for all");
            } else if let Some(hop) = hop(downs, &strides) {
                hops.push(hop);
            } else {
                let strides = if strides.is_empty() { String::new() } else { format!(" with strides of {strides:?}") };
                let message = format!("`downs` of level {level} is {downs:?}{strides}");
                let help = format!("1 to {MOST_BLOCKS} blocks of at least 1 each, for a hop of at most {MOST_HOP}");
                wrong.say("downs", Some(level), message, &help);
            }
        }
        (hops.len() == self.downs.len()).then_some(hops)
    }

    /// Complains of hops that are no multiples of those below, and of crops that are no multiple of them.
    fn hops(&self, hops: &[u32], wrong: &mut Wrong<'_, '_>) {
        let unfit = (1..hops.len())
            .find(|&level| hops[level] <= hops[level - 1] || !hops[level].is_multiple_of(hops[level - 1]));
        if let Some(level) = unfit {
            let [below, hop] = [level - 1, level].map(|level| hops[level]);
            let message = format!("the hop of level {level} is {hop}, that of level {} is {below}", level - 1);
            wrong.say("downs", Some(level), message, "a greater hop than the level below it, and a multiple of it");
        }
        for (item, oscillators) in wrong.of_levels(&self.oscillators) {
            if oscillators > 0 && self.channels > 1 {
                let message = format!("`channels` is {}, and oscillators are mono", self.channels);
                wrong.say("channels", None, message, "`channels = 1`, or no oscillators");
            }
            let played = hops.iter().enumerate().filter(|(level, _)| item.is_none_or(|item| item == *level));
            for (level, hop) in played.filter(|_| oscillators > 0) {
                if !(OSCILLATED.contains(hop)) {
                    let message = format!("level {level} plays oscillators with a hop of {hop}");
                    let help = format!("a hop of {} to {}", OSCILLATED.start(), OSCILLATED.end());
                    wrong.say("downs", Some(level), message, &help);
                }
            }
            if oscillators > 0 && self.rate < LEAST_RATE {
                let message = format!("`rate` is {}, too low for oscillators", self.rate);
                wrong.say("rate", None, message, &format!("at least {LEAST_RATE}"));
            }
        }
        for (item, crop) in wrong.of_levels(&self.crop) {
            let held = |level: &usize| item.is_none_or(|item| item == *level);
            let uneven = (0..hops.len()).filter(held).find(|&level| crop > 0 && !crop.is_multiple_of(hops[level]));
            if let Some(level) = uneven {
                let message =
                    format!("`crop` is {crop}, which is no multiple of {}, the hop of level {level}", hops[level]);
                wrong.say("crop", item, message, "a multiple of the hop");
            }
        }
    }

    /// Complains of how the network is trained.
    fn steps(&self, wrong: &mut Wrong<'_, '_>) {
        wrong.each("steps", &self.steps, 1, MOST_STEPS);
        wrong.each("batch", &self.batch, 1, 1 << 16);
        if let Some(micro_batch) = &self.micro_batch {
            wrong.each("micro_batch", micro_batch, 1, self.batch.iter().copied().min().unwrap_or(1).into());
        }
        if let Auto::Is(segments) = self.segments {
            wrong.whole("segments", segments.into(), 1, 1 << 10);
        }
        wrong.each("crop", &self.crop, 1, 1 << 28);
        wrong.whole("warmup", self.warmup, 0, MOST_STEPS);
        wrong.whole("kmeans", self.kmeans, 0, 10_000);
        wrong.real("spectral", &self.spectral, f64::MAX);
        wrong.real("log_spectral", &self.log_spectral, f64::MAX);
        wrong.real("unquantised", &self.unquantised, 1.0);
        wrong.real("commitment", &[self.commitment], f64::MAX);
        wrong.real("learning_rate", &[self.learning_rate], f64::MAX);
        wrong.real("final_rate", &[self.final_rate], 1.0);
        wrong.real("ema_decay", &[self.ema_decay], 1.0);
        wrong.real("revival", &[self.revival], 1.0);
    }
}

/// Complaints of settings, each at its field, or at its item of a list.
struct Wrong<'a, 't> {
    at: &'a Places<'t>,
    complaints: &'a mut Vec<Complaint>,
}

impl Wrong<'_, '_> {
    fn say(&mut self, field: &str, item: Option<usize>, message: String, help: &str) {
        let at = item.map_or_else(|| self.at.of(field), |item| self.at.item(field, item));
        self.complaints.push(Complaint::new(at, message).help(help));
    }

    /// The items of a list with their levels; one without a level where it holds for all.
    fn of_levels<T: Copy + PartialEq>(&self, list: &[T]) -> Vec<(Option<usize>, T)> {
        match list {
            [first, rest @ ..] if rest.iter().all(|item| item == first) => vec![(None, *first)],
            _ => list.iter().enumerate().map(|(level, item)| (Some(level), *item)).collect(),
        }
    }

    fn is(field: &str, level: Option<usize>, value: impl std::fmt::Display) -> String {
        let of = level.map_or_else(String::new, |level| format!(" of level {level}"));
        format!("`{field}`{of} is {value}")
    }

    fn whole(&mut self, field: &str, value: u64, least: u64, most: u64) {
        self.bounded(field, None, value, least, most);
    }

    fn each<T: Copy + PartialEq + Into<u64>>(&mut self, field: &str, list: &[T], least: u64, most: u64) {
        for (level, value) in self.of_levels(list) {
            self.bounded(field, level, value.into(), least, most);
        }
    }

    fn bounded(&mut self, field: &str, level: Option<usize>, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            // A bound that only a slip of many digits reaches is worth its words to those alone.
            let help = match value < least && most >= u32::MAX.into() {
                true => format!("at least {least}"),
                false => format!("from {least} to {most}"),
            };
            self.say(field, level, Self::is(field, level, value), &help);
        }
    }

    fn real(&mut self, field: &str, list: &[f64], most: f64) {
        for (level, value) in self.of_levels(list) {
            if !(0.0..=most).contains(&value) {
                let help = if most == f64::MAX { "at least 0".to_owned() } else { format!("from 0 to {most}") };
                self.say(field, level, Self::is(field, level, value), &help);
            }
        }
    }
}
