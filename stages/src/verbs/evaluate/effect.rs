//! The effect of `evaluate`: listens to what was chosen, then compares.

use super::{
    Evaluate,
    measure::{Decoder, Listener, Measurement, Sound},
    select::{Chosen, Part, choose, frames_for},
};
use crate::{
    flow::{Env, Event},
    media::pcm::Excerpt,
    metric::{
        compare::{Compared, Distance, SongVectors},
        embedding::{EMBEDDING, Embedding},
        log_mel, notes, si_sdr, spectral,
    },
    stage::{
        Context, Stage,
        memory::{Known, Memory, memory},
    },
};
use datasets::{
    Digest, Key,
    effect::{Effect, Fault, Load},
    row::{self, Measured, Metric, Prior, Real},
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Measures all that comes into the stage.
pub(super) struct Score {
    settings: Evaluate,
    start: Key,
    seed: Digest,
    stage: Arc<str>,
    env: Arc<Env>,
}

impl Score {
    pub(super) fn new(settings: Evaluate, cx: &Context<'_>) -> Score {
        Score { start: settings.key(cx), settings, seed: cx.seed, stage: cx.stage.clone(), env: cx.env.clone() }
    }
}

/// Sounds that are compared as one.
struct Set {
    subject: &'static str,
    level: Option<u32>,
    sounds: Vec<Sound>,
}

/// The sets of sounds to measure, the reference first.
fn sets(chosen: &Chosen, levels: usize) -> Vec<Set> {
    let set = |subject, level: Option<usize>, sounds: Vec<Sound>| Set {
        subject,
        level: level.map(|level| level as u32),
        sounds,
    };
    let clips = |of: &[_]| of.iter().cloned().map(Sound::Clip).collect::<Vec<_>>();
    let mut sets = vec![
        set("reference", None, clips(&chosen.reference)),
        set("held out", None, clips(&chosen.held_out)),
        set("songs", None, chosen.songs.iter().cloned().map(Sound::Piece).collect()),
    ];
    for level in 0..levels {
        let decoded = chosen.coded.iter().map(|coded| Sound::Reconstruction(coded.clone(), level));
        sets.push(set("reconstruction", Some(level), decoded.collect()));
    }
    let clips = [chosen.held_out.len(), chosen.songs.len(), chosen.coded.len()].into_iter().max().unwrap_or(0);
    if !chosen.learned.is_empty() {
        for level in 0..levels {
            let drawn = (0..clips as u64).map(|number| Sound::Unigram(level, number));
            sets.push(set("unigram codes", Some(level), drawn.collect()));
        }
    }
    // As loud as real clips: those that are measured, or else the reference's.
    let loud = if chosen.held_out.is_empty() { &chosen.reference } else { &chosen.held_out };
    sets.push(set("white noise", None, loud.iter().take(clips).cloned().map(Sound::Noise).collect()));
    sets.retain(|set| !set.sounds.is_empty());
    sets
}

impl Effect for Score {
    /// The parts of all rows, sorted.
    type Work = Vec<Part>;
    type Output = Vec<Metric>;
    const LOAD: Load = Load::Heavy;
    const CORPUS: bool = true;

    fn key(&self, parts: &Vec<Part>) -> Digest {
        parts.iter().fold(self.start.clone(), |key, part| part.key(key)).finish()
    }

    fn objects(&self, _: &Vec<Metric>) -> Vec<Digest> {
        Vec::new()
    }

    fn run(&self, parts: &Vec<Part>) -> Result<Vec<Metric>, Fault> {
        let chosen = choose(parts, &self.settings, &EMBEDDING)?;
        let codec = chosen.coded.first().or(chosen.learned.first()).map(|coded| coded.codec);
        let mut listener = Listener {
            env: &self.env,
            embedding: &EMBEDDING,
            length: chosen.length,
            seed: self.seed,
            decoder: codec.map(|codec| Decoder::load(&self.env, codec)).transpose()?,
            learned: &chosen.learned,
            drawn_from: chosen.learned.iter().fold(Key::new("codes"), |key, c| key.digest(&c.blob)).finish(),
        };
        if let Some(there) = memory() {
            self.fits(&chosen, listener.decoder.as_ref(), there)?;
        }
        let levels = listener.decoder.as_ref().map_or(0, |decoder| decoder.hops.len());
        let sets = sets(&chosen, levels);
        let heard = self.listen(&mut listener, &sets)?;
        let mut metrics = Vec::new();
        let gathered = sets.iter().zip(&heard).map(|(set, heard)| self.gather(&listener, set, heard));
        let gathered: Vec<(SongVectors, Measured)> = gathered.collect::<Result<_, _>>()?;
        let Some(((reference, real), others)) = gathered.split_first() else { return Ok(metrics) };
        let draws = Key::new("draws").digest(&self.seed).finish().prefix();
        for (set, (vectors, own)) in sets.iter().skip(1).zip(others) {
            let figures = vectors.measure(reference, &Distance::ALL, draws);
            metrics.extend(figures.iter().map(|figure| compared(set, figure, own, real)));
        }
        for (set, heard) in sets.iter().zip(&heard) {
            metrics.extend(apart(&listener, set, heard));
            metrics.extend(notes(&listener, set, heard));
        }
        metrics.extend(chosen.priors.iter().flat_map(bits));
        Ok(metrics)
    }
}

impl Score {
    /// Refuses sounds that do not fit into this memory, as many at a time as there are workers.
    fn fits(&self, chosen: &Chosen, decoder: Option<&Decoder>, there: u64) -> Result<(), Fault> {
        let frames = |excerpt: &Excerpt| frames_for(chosen.length, excerpt.rate, &EMBEDDING);
        let known = Known {
            clip: chosen.reference.iter().map(frames).max().unwrap_or(0),
            channels: chosen.reference.iter().map(|excerpt| excerpt.channels.into()).max().unwrap_or(1),
            codec: decoder.map(|decoder| decoder.config.clone()),
            ..Known::default()
        };
        let needed = Memory::listening(&known, self.env.pool.slots() as u64).alone;
        if needed <= there {
            return Ok(());
        }
        let (needed, there) = (needed.div_ceil(1 << 20), there >> 20);
        let why = format!(
            "measuring needs {needed} MiB of memory and {there} MiB are here: ask for fewer `seconds` or workers"
        );
        Err(Fault::refused("no-memory", why))
    }

    /// Listens to every sound that is not remembered, once.
    fn listen(&self, listener: &mut Listener<'_>, sets: &[Set]) -> Result<Vec<Vec<Measurement>>, Fault> {
        let known = |listener: &Listener<'_>, sound: &Sound| listener.remembered(sound);
        let mut missing: BTreeMap<Digest, Sound> = BTreeMap::new();
        for sound in sets.iter().flat_map(|set| &set.sounds) {
            if known(listener, sound).is_none() {
                missing.insert(listener.identity(sound), sound.clone());
            }
        }
        if missing.values().any(|sound| matches!(sound, Sound::Unigram(..))) {
            listener.count()?;
        }
        let (listener, total, done) = (&*listener, missing.len() as u64, AtomicU64::new(0));
        let missing: Vec<Sound> = missing.into_values().collect();
        missing.par_iter().try_for_each(|sound| -> Result<(), Fault> {
            listener.hear(sound)?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.env.event(Event::Progress {
                stage: self.stage.to_string(),
                done,
                total,
                unit: "sounds",
                figures: Vec::new(),
            });
            Ok(())
        })?;
        let heard = |sound: &Sound| match known(listener, sound) {
            Some(heard) => Ok(heard),
            None => listener.hear(sound),
        };
        sets.iter().map(|set| set.sounds.iter().map(heard).collect()).collect()
    }

    /// The vectors of a set, by the recordings that its sounds were made of.
    fn gather(
        &self,
        listener: &Listener<'_>,
        set: &Set,
        heard: &[Measurement],
    ) -> Result<(SongVectors, Measured), Fault> {
        let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
        let mut recordings: Vec<Vec<f64>> = Vec::new();
        for (sound, heard) in set.sounds.iter().zip(heard) {
            let place = *places.entry(listener.recording(sound)).or_insert_with(|| {
                recordings.push(Vec::new());
                recordings.len() - 1
            });
            recordings[place].extend(listener.vectors(heard)?);
        }
        let vectors = SongVectors::new(listener.embedding.dims(), recordings.iter().map(Vec::as_slice));
        let measured =
            Measured { clips: heard.len() as u64, frames: vectors.count() as u64, digest: digest(listener, set) };
        Ok((vectors, measured))
    }
}

/// A distance of a set from the reference as a metric.
fn compared(set: &Set, figure: &Compared, own: &Measured, reference: &Measured) -> Metric {
    let measured = |of: &Measured, vectors: usize| Measured { frames: vectors as u64, ..of.clone() };
    Metric {
        metric: figure.distance.name().into(),
        version: figure.distance.version(),
        subject: set.subject.into(),
        level: set.level,
        value: figure.value.into(),
        interval: figure.interval.map(|interval| interval.map(Real::from)),
        embedding: Some(row::Embedding { name: EMBEDDING.name().into(), version: EMBEDDING.version() }),
        rate: EMBEDDING.rate(),
        candidate: measured(own, figure.candidate),
        reference: measured(reference, figure.reference),
    }
}

/// Digest of the sounds of a set, cut to the length at which it is compared.
fn digest(listener: &Listener<'_>, set: &Set) -> Digest {
    let key = Key::new("set").number(listener.length).number(listener.embedding.rate().into());
    set.sounds.iter().fold(key, |key, sound| key.digest(&listener.identity(sound))).finish()
}

/// Mean distances of reconstructions from their originals, as metrics.
fn apart(listener: &Listener<'_>, set: &Set, heard: &[Measurement]) -> Vec<Metric> {
    let each: Vec<_> = heard.iter().filter_map(|heard| heard.apart.as_ref()).collect();
    if each.is_empty() {
        return Vec::new();
    }
    let spectra = each.iter().map(|apart| apart.spectra).sum();
    let mean = |of: &dyn Fn(usize) -> Real| -> Real {
        (each.iter().enumerate().map(|(i, _)| of(i).get()).sum::<f64>() / each.len() as f64).into()
    };
    let originals = set.sounds.iter().filter_map(|sound| match sound {
        Sound::Reconstruction(coded, _) => Some(Sound::Clip(coded.excerpt.clone())),
        _ => None,
    });
    let originals = Set { subject: "originals", level: None, sounds: originals.collect() };
    let measured = |set: &Set| Measured { clips: each.len() as u64, frames: spectra, digest: digest(listener, set) };
    let metric = |metric: &str, version, value| Metric {
        metric: metric.into(),
        version,
        subject: set.subject.into(),
        level: set.level,
        value,
        interval: None,
        embedding: None,
        rate: listener.decoder.as_ref().map_or(0, |decoder| decoder.rate),
        candidate: measured(set),
        reference: measured(&originals),
    };
    let mut all = vec![
        metric(Metric::SPECTRAL_MSE, spectral::VERSION, mean(&|i| each[i].spectral_mse)),
        metric(Metric::LOG_MEL, log_mel::VERSION, mean(&|i| each[i].log_mel)),
        metric(Metric::STFT, spectral::STFT_VERSION, mean(&|i| each[i].stft)),
    ];
    // A silent clip has no ratio: of a set with one there is no mean over all.
    let ratios: Option<Vec<Real>> = each.iter().map(|apart| apart.snr).collect();
    if let Some(ratios) = ratios {
        all.push(metric(Metric::SNR, si_sdr::VERSION, mean(&|i| ratios[i])));
    }
    all
}

/// Means of what the notes of a set are like, as metrics.
fn notes(listener: &Listener<'_>, set: &Set, heard: &[Measurement]) -> Vec<Metric> {
    let frames = heard.iter().map(|heard| heard.notes.frames).sum();
    let measured = Measured { clips: heard.len() as u64, frames, digest: digest(listener, set) };
    let names = [Metric::SOUNDING, Metric::ONSETS, Metric::PULSE, Metric::SALIENCE];
    let metric = |(at, name): (usize, &str)| {
        let sum: f64 = heard.iter().map(|heard| heard.notes.figures[at].get()).sum();
        Metric {
            metric: name.into(),
            version: notes::VERSION,
            subject: set.subject.into(),
            level: set.level,
            value: (sum / heard.len().max(1) as f64).into(),
            interval: None,
            embedding: None,
            rate: listener.decoder.as_ref().map_or(0, |decoder| decoder.rate),
            candidate: measured.clone(),
            reference: measured.clone(),
        }
    };
    names.into_iter().enumerate().map(metric).collect()
}

/// Bits per code of a prior, a unigram and a bigram, as metrics.
fn bits(prior: &Prior) -> Vec<Metric> {
    let bits = &prior.bits;
    let metric = |subject: &str, millionths: Option<u64>, on: &Measured, digest: Digest| {
        millionths.map(|millionths| Metric {
            metric: Metric::BITS.into(),
            version: 1,
            subject: subject.into(),
            level: Some(prior.level),
            value: (millionths as f64 / 1e6).into(),
            interval: None,
            embedding: None,
            rate: prior.rate,
            candidate: Measured { digest, ..on.clone() },
            reference: on.clone(),
        })
    };
    let counted = bits.on_train.digest;
    let all = [
        metric("prior, on its training split", Some(bits.train), &bits.on_train, prior.digest),
        metric("prior", bits.held_out, &bits.on_held_out, prior.digest),
        metric("unigram", bits.unigram, &bits.on_held_out, counted),
        metric("bigram", bits.bigram, &bits.on_held_out, counted),
    ];
    all.into_iter().flatten().collect()
}
