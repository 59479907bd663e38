//! How well a codec reconstructs held-out clips, level by level: figures for the report, remembered in the store.

use burn_flex::Flex;
use datasets::{
    Digest, Key,
    codes::unpack,
    effect::{Fault, numerics},
    row::Codes,
    store::{Memo, StoreError},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use stages::{
    flow::Env,
    media::pcm::{self, Excerpt, chain_version},
    metric::{log_mel::LogMel, si_sdr::si_sdr},
    model::{codec::Codec, infer::Coder},
};
use std::sync::Arc;

/// What one level makes of one clip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelScore {
    /// Scale-invariant signal-to-distortion ratio in dB; none of silence.
    pub si_sdr: Option<f64>,
    /// Mean distance of log-mel spectra.
    pub log_mel: f64,
    /// The distance of the original's log-mel spectra to the training clips' mean spectrum: what knowing nothing
    /// but the average would score.
    pub mean_spectrum: f64,
}

/// A held-out clip with what each level makes of it.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The clip's codes.
    pub codes: Codes,
    /// Of each level, the bottom first.
    pub levels: Vec<LevelScore>,
}

/// A codec ready to decode.
pub struct Decoder {
    coder: Arc<Coder<Flex>>,
    digest: Digest,
}

/// Bumped when the same codes would score otherwise.
const REVISION: u64 = 1;

impl Decoder {
    /// Loads a codec from the store.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load(env: &Env, digest: Digest) -> Result<Decoder, Fault> {
        let codec = Codec::load(&env.store.get(&digest)?).map_err(|e| Fault::Failed(e.to_string()))?;
        let coder = Coder::new(&codec, Default::default()).map_err(|e| Fault::Failed(e.to_string()))?;
        Ok(Decoder { coder: Arc::new(coder), digest })
    }

    /// The sound of the first `frames` frames of a level's codes.
    ///
    /// # Errors
    /// When the codes are missing or not the codec's.
    pub fn sound(&self, env: &Env, codes: &Codes, level: usize, frames: u64) -> Result<Vec<f32>, Fault> {
        let blob = env.store.get(&codes.blob)?;
        let levels = unpack(&blob).ok_or(StoreError::Damaged(codes.blob))?;
        let hop = u64::from(*codes.hops.get(level).unwrap_or(&1));
        let own = levels.get(level).map(Vec::as_slice).unwrap_or_default();
        let wanted = &own[..own.len().min(frames.div_ceil(hop) as usize)];
        self.coder.decode_samples(level, wanted, frames).map_err(|e| Fault::Failed(e.to_string()))
    }

    /// Scores clips, in parallel; the order of the result is the order of the clips. `train` are the clips whose
    /// mean spectrum is the measure of knowing nothing.
    ///
    /// # Errors
    /// When a clip cannot be read.
    pub fn score(&self, env: &Env, train: &[Codes], clips: &[Codes]) -> Result<Vec<Scored>, Fault> {
        let spectra: Vec<Result<LogMel, Fault>> = train
            .par_iter()
            .map(|codes| Ok(LogMel::new(&original(env, codes, codes.clip.frames)?, Excerpt::of(&codes.clip).rate)))
            .collect();
        let mean = LogMel::mean(&spectra.into_iter().collect::<Result<Vec<_>, _>>()?);
        let scored: Vec<Result<Scored, Fault>> = clips.par_iter().map(|codes| self.one(env, codes, &mean)).collect();
        scored.into_iter().collect()
    }

    fn one(&self, env: &Env, codes: &Codes, mean: &[f64]) -> Result<Scored, Fault> {
        let excerpt = Excerpt::of(&codes.clip);
        let key = Key::new("score").number(REVISION).text(numerics()).text(&chain_version()).digest(&self.digest);
        let key = mean.iter().fold(key, |key, band| key.number(band.to_bits()));
        let memo = Memo::at(excerpt.key(key).digest(&codes.blob).finish());
        if let Some(levels) = memo.get(&env.store) {
            return Ok(Scored { codes: codes.clone(), levels });
        }
        let original = original(env, codes, codes.clip.frames)?;
        let spectra = LogMel::new(&original, excerpt.rate);
        let mean_spectrum = spectra.distance_to(mean);
        let levels = (0..codes.hops.len())
            .map(|level| {
                let sound = self.sound(env, codes, level, codes.clip.frames)?;
                let log_mel = spectra.distance(&LogMel::new(&sound, excerpt.rate));
                Ok(LevelScore { si_sdr: si_sdr(&original, &sound), log_mel, mean_spectrum })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        memo.put(&env.store, &levels, &[])?;
        Ok(Scored { codes: codes.clone(), levels })
    }
}

/// The first `frames` frames of the audio that a clip's codes were made from.
///
/// # Errors
/// When its source cannot be read.
pub fn original(env: &Env, codes: &Codes, frames: u64) -> Result<Vec<f32>, Fault> {
    let excerpt = Excerpt::of(&codes.clip);
    let track = pcm::open(env, &excerpt)?;
    let first = excerpt.start as usize;
    let last = first + excerpt.frames.min(frames) as usize;
    let samples = track.as_slice().get(first..last);
    samples.map(<[f32]>::to_vec).ok_or_else(|| Fault::Failed("the track is shorter than it was".into()))
}

/// The middle of a sorted copy; none of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return None;
    }
    Some((values[(n - 1) / 2] + values[n / 2]) / 2.0)
}
