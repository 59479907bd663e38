//! The settings of `fit`; the defaults are the codec as specified.
//!
//! What is said of each level is a list, the bottom first; a list of one item holds for all levels.

use crate::{
    model::{
        codec::{CodecConfig, LevelConfig},
        fit::{FitSettings, LevelFit},
        training::Schedule,
    },
    settings::Complaint,
    stage::{Places, Refresh},
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
        /// Of each level, the bottom first: halvings of the rate in each block; the hop is 2 to the power of their sum.
        downs: Vec<Vec<u32>> = vec![vec![3], vec![3, 2], vec![3, 2, 2]],
        /// Of each level: channels inside the network.
        width: Vec<u32> = vec![64, 32, 32],
        /// Of each level: residual blocks after each halving.
        depth: Vec<u32> = vec![8, 4, 4],
        /// The dilation of residual block i is this to the power of i.
        dilation_growth: u32 = 3,
        /// Of each level: vectors in the codebook.
        codewords: Vec<u32> = vec![2048, 2048, 2048],
        /// Length of a codeword.
        dim: u32 = 64,
        /// Of each level: training steps.
        steps: Vec<u64> = vec![100_000, 100_000, 100_000],
        /// Of each level: excerpts in a batch.
        batch: Vec<u32> = vec![32, 32, 32],
        /// Of each level: frames of an excerpt, a multiple of the hop.
        crop: Vec<u32> = vec![440_960, 440_960, 440_960],
        /// Of each level: weight of the L2 distance of STFT magnitudes.
        spectral: Vec<f64> = vec![1.0, 1.0, 1.0],
        /// Of each level: weight of the mean distance of the logarithms of STFT magnitudes.
        log_spectral: Vec<f64> = vec![0.0],
        /// Of each level: the share of the steps, from the start, in which latents go to the decoder as they are.
        unquantised: Vec<f64> = vec![0.0],
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
fn at<T: Copy>(list: &[T], level: usize) -> T {
    if list.len() == 1 { list[0] } else { list[level] }
}

impl Fit {
    /// Settings for the trainer; the lists must have one item or one for each level.
    pub(super) fn training(&self) -> FitSettings {
        let levels = 0..self.downs.len();
        FitSettings {
            codec: CodecConfig {
                rate: self.rate,
                dim: self.dim as usize,
                levels: levels
                    .clone()
                    .map(|i| LevelConfig {
                        downs: self.downs[i].clone(),
                        width: at(&self.width, i) as usize,
                        depth: at(&self.depth, i) as usize,
                        dilation_growth: self.dilation_growth as usize,
                        codewords: at(&self.codewords, i) as usize,
                    })
                    .collect(),
            },
            levels: levels
                .map(|i| LevelFit {
                    steps: at(&self.steps, i),
                    batch: at(&self.batch, i) as usize,
                    crop: at(&self.crop, i) as usize,
                    spectral: at(&self.spectral, i),
                    log_spectral: at(&self.log_spectral, i),
                    unquantised: at(&self.unquantised, i),
                })
                .collect(),
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
        let levels = self.downs.len();
        let lists = [
            ("width", self.width.len()),
            ("depth", self.depth.len()),
            ("codewords", self.codewords.len()),
            ("steps", self.steps.len()),
            ("batch", self.batch.len()),
            ("crop", self.crop.len()),
            ("spectral", self.spectral.len()),
            ("log_spectral", self.log_spectral.len()),
            ("unquantised", self.unquantised.len()),
        ];
        let mut even = true;
        for (name, length) in lists {
            if length != levels && length != 1 {
                even = false;
                let message = format!("`{name}` is given for {length} levels, `downs` for {levels}");
                complaints.push(
                    Complaint::new(at.of(name), message)
                        .help("one item for each level, the bottom first, or one for all"),
                );
            }
        }
        if even && let Err(wrong) = self.training().validate() {
            complaints.push(Complaint::new(at.whole, wrong.to_string()));
        }
    }
}
