//! `decode`: one pass over the audio that counts its frames and digests its samples.
//!
//! The effect is keyed by the file's bytes and the decoder's version; it ignores the file's name. Samples
//! are not kept: they are made again, per track and on demand, where somebody reads them.

use crate::{
    flow::{Env, Item, Verified, memoised},
    rows::{Input, Kind},
    stage::{
        Cardinality, Context, Facts, Port, Property, Stage, StageOutput, Version,
        memory::{Known, Memory},
    },
};
use datasets::{
    Digest, Key,
    audio::decode::{DecodeError, decode_reader},
    effect::{Effect, Fault, Load},
    row::{Recording, Track},
};
use std::sync::Arc;

crate::settings! {
    /// Settings of `decode`: none.
    pub struct Decode {}
}

struct Pass {
    start: Key,
    env: Arc<Env>,
}

impl Effect for Pass {
    type Work = Digest;
    type Output = Recording;
    const LOAD: Load = Load::Light;

    fn key(&self, content: &Digest) -> Digest {
        self.start.clone().digest(content).finish()
    }

    fn objects(&self, _: &Recording) -> Vec<Digest> {
        Vec::new()
    }

    fn run(&self, content: &Digest) -> Result<Recording, Fault> {
        self.env.read(content, |path| {
            let cancel = &self.env.cancel;
            let file = Verified::open(path, content)?;
            let length = file.length();
            let result = decode_reader(file, length, &mut |_, _, _| {
                if cancel.cancelled() { Err(std::io::ErrorKind::Interrupted.into()) } else { Ok(()) }
            });
            match result {
                Ok(found) => Ok(Recording {
                    frames: found.frames,
                    rate: found.rate,
                    channels: found.channels,
                    samples: Digest(found.digest),
                }),
                Err(DecodeError::Refused(refusal)) => Err(Fault::refused(refusal.reason.code(), refusal.message)),
                Err(DecodeError::Failed(error)) => Err(Fault::failed(&path.display().to_string(), &error)),
                Err(DecodeError::Sink(_)) => Err(Fault::Interrupted),
            }
        })
    }
}

impl Stage for Decode {
    const VERB: &'static str = "decode";
    const ABOUT: &'static str = "counts the frames of each recording and digests its samples, or refuses the file";
    /// Revision of this code; [`Version::Decoder`] carries symphonia's.
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("tracks", Kind::Track)];
    const GIVES: &'static [Property] = &[Property::Decoded];
    const CARDINALITY: Cardinality = Cardinality::OneToOne;
    const UNIT: &'static str = "tracks";
    const FACTS: Facts = Facts { changes: Some("decoded"), ..Facts::NONE };
    const VERSIONS: &'static [Version] = &[Version::Decoder, Version::Numerics];
    type In = Track;
    type Out = Track;

    fn memory(&self, _: &mut Known, _: u64) -> Memory {
        Memory::streaming()
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Track>) -> StageOutput<'s, Track> {
        let effect = Pass { start: self.key(cx), env: cx.env.clone() };
        let done = memoised(cx, effect, input.kept.map(|track| (track.content, track)), |track| track.id.clone());
        done.split(cx, |track| Item::Track(Arc::new(track)))
            .map(|(track, recording)| Track { recording: Some(recording), ..track })
            .and_pending(cx.may(input.pending))
    }
}
