//! `encode`: clips to discrete codes at all levels.
//!
//! A clip is encoded as if nothing surrounded it, in tiles of one shape, so that neither its length nor
//! what is encoded beside it changes a code. All clips of a track are read from one decode.

use crate::{
    flow::{Env, Item, memoised, pair},
    media::{
        models::load,
        pcm::{self, Excerpt},
    },
    model::{codec::form, infer::Coder},
    rows::{Input, Kind},
    settings::Complaint,
    stage::{
        Cardinality, Context, Facts, Places, Port, Property, Stage, StageOutput, Version,
        memory::{Known, Memory},
        none,
    },
};
use datasets::{
    Digest, Key,
    codes::pack,
    effect::{Effect, Fault, Load},
    row::{Chain, Clip, Codes, Dropped, Pending, Waiting, Weights},
};
use std::sync::{Arc, Mutex, PoisonError};

crate::settings! {
    /// Settings of `encode`: none.
    pub struct Encode {}
}

/// Encodes one clip.
struct Work {
    start: Key,
    env: Arc<Env>,
    /// The codec in use; reading it once is enough.
    coder: Mutex<Option<(Digest, Arc<Coder>)>>,
}

impl Work {
    fn coder(&self, digest: &Digest) -> Result<Arc<Coder>, Fault> {
        let mut held = self.coder.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((known, coder)) if known == digest => Ok(coder.clone()),
            _ => {
                let codec = load(&self.env, digest)?;
                let coder = Coder::new(&codec).map_err(|e| Fault::Failed(e.to_string()))?;
                let coder = Arc::new(coder);
                *held = Some((*digest, coder.clone()));
                Ok(coder)
            }
        }
    }
}

impl Effect for Work {
    type Work = (Excerpt, Digest);
    type Output = Digest;
    const LOAD: Load = Load::Light;

    fn key(&self, (excerpt, codec): &(Excerpt, Digest)) -> Digest {
        excerpt.key(self.start.clone().digest(codec)).finish()
    }

    fn objects(&self, blob: &Digest) -> Vec<Digest> {
        vec![*blob]
    }

    fn run(&self, (excerpt, codec): &(Excerpt, Digest)) -> Result<Digest, Fault> {
        let coder = self.coder(codec)?;
        let track = pcm::open(&self.env, excerpt)?;
        let mut codes = vec![Vec::new(); coder.lengths(excerpt.frames).len()];
        let mut read = |first: u64, out: &mut [f32]| -> Result<(), Fault> {
            if self.env.cancel.cancelled() {
                return Err(Fault::Interrupted);
            }
            track.read(excerpt, first, out)
        };
        coder
            .encode(excerpt.frames, &mut read, &mut |level, more| codes[level].extend_from_slice(more))?
            .map_err(|overflow| Fault::refused("codec-overflow", overflow.to_string()))?;
        Ok(self.env.store.put(&pack(&codes))?)
    }
}

/// Number of buckets: the few rows of a stage are copied to each, so that a join with them spreads over workers.
const BUCKETS: u64 = 64;

fn bucket(id: &str) -> u64 {
    Key::new("bucket").text(id).finish().prefix() % BUCKETS
}

impl Stage for Encode {
    const VERB: &'static str = "encode";
    const ABOUT: &'static str = "turns clips into discrete codes at every level of a codec";
    const REVISION: u32 = 1;
    const PORTS: &'static [Port] = &[Port::many("clips", Kind::Clip), Port::one("codec", Kind::Weights)];
    const NEEDS: &'static [Property] = &[];
    const CARDINALITY: Cardinality = Cardinality::OneToOne;
    const UNIT: &'static str = "clips";
    const FACTS: Facts = Facts { changes: Some("encoded to discrete codes"), ..Facts::NONE };
    const VERSIONS: &'static [Version] = &[Version::Networks, Version::Resampler];
    type In = (Clip, Weights);
    type Out = Codes;

    fn foresee(&self, known: &[Known], at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if let [clips, Known { codec: Some(codec), .. }] = known {
            clips.formed((codec.rate, codec.channels as u16), "from", at, complaints);
        }
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        Memory::encoding(known)
    }

    fn render<'s>(
        self,
        cx: &Context<'s>,
        (clips, codec): (Input<'s, Clip>, Input<'s, Weights>),
    ) -> StageOutput<'s, Codes> {
        let keyed = clips.kept.map(|clip| (bucket(&clip.track.id), clip));
        let codecs = codec.kept.flat_map(|weights| (0..BUCKETS).map(move |b| (b, weights.clone())));
        let pairs = pair(keyed.clone(), codecs).map(|(_, clip, weights)| (clip, weights));
        let fits = |(clip, weights): &(Clip, Weights)| {
            let form = |chain: &Chain| (chain.rate, chain.channels) == (weights.rate, weights.channels);
            clip.track.chain.as_ref().is_some_and(form)
        };
        let wrong = pairs.clone().filter(move |pair| !fits(pair)).map(|(clip, weights)| {
            let (rate, channels) = clip.track.chain.as_ref().map_or((0, 0), |c| (c.rate, c.channels));
            let why = format!(
                "the clip has {rate} Hz and {channels} channels, the codec works on {} at {} Hz: set `rate` and `channels` of `resample`",
                form(weights.channels.into()),
                weights.rate
            );
            Dropped { id: clip.id(), code: "wrong-rate".into(), why: why.into(), failed: false }
        });
        let work = pairs
            .filter(move |pair| fits(pair))
            .map(|(clip, weights)| ((Excerpt::of(&clip), weights.digest), (clip, weights)));
        let effect = Work { start: self.key(cx), env: cx.env.clone(), coder: Mutex::new(None) };
        let done = memoised(cx, effect, work, |(clip, _)| clip.id());
        // Without weights every clip waits for them; a track that waits itself is counted once, as itself.
        let unweighted = match cx.env.dry {
            false => none(&clips.pending),
            true => {
                let absent = codec.pending.flat_map(|waiting| (0..BUCKETS).map(move |b| (b, waiting.row.clone())));
                let mut one: Option<Pending> = None;
                pair(keyed, absent).map(move |(_, clip, row)| {
                    // A clip has what it waits for in common with the others.
                    let row = one.take().filter(|one| *one == row).unwrap_or(row);
                    let waiting = Waiting::of_track(&clip.id(), &row.behind, row.cause.clone(), clip.track);
                    one = Some(row);
                    waiting
                })
            }
        };
        let waits = cx.may(clips.pending.concat(unweighted));
        let coded = done.split(cx, |(clip, _)| Item::Part(clip.id(), clip.track)).map(|((clip, weights), blob)| {
            Codes { clip, codec: weights.digest, blob, hops: weights.hops, codewords: weights.codewords }
        });
        coded.and_dropped(wrong).and_pending(waits)
    }
}
