//! Scores of a codec's reconstructions of held-out clips, level by level, for the report; remembered in the store.

use datasets::{
    Digest, Key,
    codes::unpack,
    effect::{Fault, networks},
    row::Codes,
    store::{Memo, StoreError},
};
use rayon::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use stages::{
    flow::Env,
    media::pcm::{self, Excerpt, chain_version},
    metric::{channels::mono, log_mel::LogMel, si_sdr::si_sdr},
    model::{codec::Codec, infer::Coder},
};
use std::sync::{Arc, OnceLock};

/// Scores of one level's reconstruction of one clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelScore {
    /// Scale-invariant signal-to-distortion ratio in dB. `None` for silence.
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
    /// Scores of each level, the bottom first.
    pub levels: Vec<LevelScore>,
}

/// A codec that loads its network on first use: when a sound is asked for that the store does not hold.
pub struct Decoder {
    coder: OnceLock<Arc<Coder>>,
    digest: Digest,
}

/// Version of the scores: bumped when the same codes would score differently.
const REVISION: u64 = 2;

/// Figures of one level's score that depend on the network: signal-to-distortion ratio in dB and log-mel distance.
type Heard = (Option<f64>, f64);

/// Returns the value that is remembered under `key`; otherwise makes and remembers it.
pub(super) fn remembered<T: Serialize + DeserializeOwned>(
    env: &Env,
    key: Digest,
    make: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let memo = Memo::at(key);
    if let Some(known) = memo.get(&env.store) {
        return Ok(known);
    }
    let made = make()?;
    memo.put(&env.store, &made, &[])?;
    Ok(made)
}

/// A key over the sounds of clips, which every host with these versions hears alike.
fn key(what: &str) -> Key {
    Key::new(what).number(REVISION).text(networks()).text(&chain_version())
}

impl Decoder {
    /// The codec of a digest.
    pub fn new(digest: Digest) -> Decoder {
        Decoder { coder: OnceLock::new(), digest }
    }

    fn coder(&self, env: &Env) -> Result<Arc<Coder>, Fault> {
        if let Some(coder) = self.coder.get() {
            return Ok(coder.clone());
        }
        let codec = Codec::load(&env.store.get(&self.digest)?).map_err(|e| Fault::Failed(e.to_string()))?;
        let coder = Coder::new(&codec).map_err(|e| Fault::Failed(e.to_string()))?;
        Ok(self.coder.get_or_init(|| Arc::new(coder)).clone())
    }

    /// The sound of the first `frames` frames of a level's codes in mono, kept in the cache of decoded samples.
    ///
    /// # Errors
    /// When the codes are missing or not the codec's.
    pub fn sound(&self, env: &Env, codes: &Codes, level: usize, frames: u64) -> Result<Vec<f32>, Fault> {
        let key = key("sound").digest(&self.digest).digest(&codes.blob).number(level as u64).number(frames).finish();
        pcm::cached(env, &key, || self.decode(env, codes, level, frames))
    }

    fn decode(&self, env: &Env, codes: &Codes, level: usize, frames: u64) -> Result<Vec<f32>, Fault> {
        let blob = env.store.get(&codes.blob)?;
        let levels = unpack(&blob).ok_or(StoreError::Damaged(codes.blob))?;
        let hop = u64::from(*codes.hops.get(level).unwrap_or(&1));
        let own = levels.get(level).map(Vec::as_slice).unwrap_or_default();
        let wanted = &own[..own.len().min(frames.div_ceil(hop) as usize)];
        let coder = self.coder(env)?;
        let sound = coder.decode_samples(level, wanted, frames).map_err(|e| Fault::Failed(e.to_string()))?;
        Ok(mono(&sound, coder.channels() as u16).into_owned())
    }

    /// Scores clips, in parallel; the order of the result is the order of the clips. `train` are the clips whose
    /// mean spectrum is the measure of knowing nothing. What the network makes of a clip is remembered for the clip, so that
    /// another clip among those of `train` runs no network.
    ///
    /// # Errors
    /// When a clip cannot be read.
    pub fn score(&self, env: &Env, train: &[Codes], clips: &[Codes]) -> Result<Vec<Scored>, Fault> {
        let all = train.iter().fold(key("mean spectrum"), |key, codes| Excerpt::of(&codes.clip).key(key)).finish();
        let mean = remembered(env, all, || {
            let spectra: Vec<Result<LogMel, Fault>> = train
                .par_iter()
                .map(|codes| Ok(LogMel::new(&original(env, codes, codes.clip.frames)?, Excerpt::of(&codes.clip).rate)))
                .collect();
            Ok(LogMel::mean(&spectra.into_iter().collect::<Result<Vec<_>, _>>()?))
        })?;
        let scored: Vec<Result<Scored, Fault>> = clips.par_iter().map(|codes| self.one(env, codes, &mean)).collect();
        scored.into_iter().collect()
    }

    fn one(&self, env: &Env, codes: &Codes, mean: &[f64]) -> Result<Scored, Fault> {
        let excerpt = Excerpt::of(&codes.clip);
        let key_of_mean = mean.iter().fold(key("distance to mean"), |key, band| key.number(band.to_bits()));
        let mean_spectrum = remembered(env, excerpt.key(key_of_mean).finish(), || {
            Ok(LogMel::new(&original(env, codes, codes.clip.frames)?, excerpt.rate).distance_to(mean))
        })?;
        let key = excerpt.key(key("score").digest(&self.digest)).digest(&codes.blob).finish();
        let heard: Vec<Heard> = remembered(env, key, || {
            let original = original(env, codes, codes.clip.frames)?;
            let spectra = LogMel::new(&original, excerpt.rate);
            let level = |level| {
                let sound = self.decode(env, codes, level, codes.clip.frames)?;
                Ok((si_sdr(&original, &sound), spectra.distance(&LogMel::new(&sound, excerpt.rate))))
            };
            (0..codes.hops.len()).map(level).collect()
        })?;
        let levels = heard.into_iter().map(|(si_sdr, log_mel)| LevelScore { si_sdr, log_mel, mean_spectrum });
        Ok(Scored { codes: codes.clone(), levels: levels.collect() })
    }
}

/// The first `frames` frames of the audio that a clip's codes were made from, in mono.
///
/// # Errors
/// When its source cannot be read.
pub fn original(env: &Env, codes: &Codes, frames: u64) -> Result<Vec<f32>, Fault> {
    let excerpt = Excerpt::of(&codes.clip);
    let track = pcm::open(env, &excerpt)?;
    let samples = track.samples(&Excerpt { frames: excerpt.frames.min(frames), ..excerpt.clone() })?;
    Ok(mono(&samples, excerpt.channels).into_owned())
}

/// Median of the values. `None` if there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return None;
    }
    Some((values[(n - 1) / 2] + values[n / 2]) / 2.0)
}
