//! `resample`: settles the rate and the channels at which a track is read from here on.
//!
//! Arithmetic only: output frames = ceil(frames * rate / input rate). The samples are made where they
//! are read, by rubato's FFT resampler after mixing down.

use crate::{
    rows::{Input, Kind},
    settings::Complaint,
    stage::{Cardinality, Context, Facts, Places, Port, Property, Stage, StageOutput, memory::Memory},
};
use datasets::{
    audio::{
        decode::RATES,
        resample::{Resampler, output_frames},
    },
    row::{Chain, Dropped, Track},
};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

crate::settings! {
    /// Settings of `resample`.
    pub struct Resample {
        /// Frames per second.
        rate: u32 = 44_100,
        /// Channels: 1 takes the mean of all channels, before resampling.
        channels: u16 = 1,
    }
}

impl Resample {
    fn chain(&self, known: &Known, track: Track) -> Result<Track, Dropped> {
        let Some(recording) = &track.recording else { unreachable!("the plan checked that tracks are decoded") };
        let chain = Chain {
            rate: self.rate,
            channels: self.channels,
            frames: output_frames(recording.frames, recording.rate, self.rate),
        };
        match known.of(recording.rate, recording.channels) {
            None => Ok(Track { chain: Some(chain), ..track }),
            Some(why) => Err(Dropped { id: track.id, code: "no-conversion".into(), why: why.into(), failed: false }),
        }
    }
}

/// Errors of converting a rate and a channel count, asked once per pair of the resampler that would do it.
struct Known {
    to: Resample,
    asked: RefCell<HashMap<(u32, u16), Option<String>>>,
}

impl Known {
    fn of(&self, rate: u32, channels: u16) -> Option<String> {
        let ask = || Resampler::new(rate, self.to.rate, channels, self.to.channels).err().map(|e| e.to_string());
        self.asked.borrow_mut().entry((rate, channels)).or_insert_with(ask).clone()
    }
}

impl Stage for Resample {
    const VERB: &'static str = "resample";
    const ABOUT: &'static str =
        "settles sample rate and channels: the length in frames follows, samples are made on demand";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const NEEDS: &'static [Property] = &[Property::Decoded];
    const GIVES: &'static [Property] = &[Property::Resampled];
    const CARDINALITY: Cardinality = Cardinality::OneToOne;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { changes: Some("resampled"), on_card: true, ..Facts::NONE };
    type In = Track;
    type Out = Track;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if !RATES.contains(&self.rate) {
            let message = format!("`rate`: {} Hz is outside {} to {}", self.rate, RATES.start(), RATES.end());
            complaints.push(Complaint::new(at.of("rate"), message).help("the codecs of this project work at 44100"));
        }
        if !(1..=2).contains(&self.channels) {
            let message = format!("`channels`: {} channels cannot be made", self.channels);
            complaints.push(Complaint::new(at.of("channels"), message).help("1 mixes down to mono, 2 keeps stereo"));
        }
    }

    fn memory(&self, known: &mut crate::stage::memory::Known, _: u64) -> Memory {
        (known.rate, known.channels) = (self.rate, self.channels.into());
        known.forms = [(self.rate, self.channels)].into();
        Memory::default()
    }

    fn render<'s>(self, _: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let known = Rc::new(Known { to: self.clone(), asked: RefCell::default() });
        let (drops, also) = (self.clone(), known.clone());
        StageOutput {
            kept: input.kept.clone().flat_map(move |track| self.chain(&known, track).ok()),
            dropped: input.kept.flat_map(move |track| drops.chain(&also, track).err()),
            pending: input.pending,
        }
    }
}
