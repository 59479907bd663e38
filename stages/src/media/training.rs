//! A training in a run: its checkpoints in the store, its curves and lineage as objects, and a pinned model in its place.
//!
//! A checkpoint holds the records so far, so that the curves of a resumed training are whole, then the trainer's state.

use crate::{
    flow::{Env, Event, Failure, crew::Together},
    media::curves::Recorded,
    model::training::{TrainingError, TrainingSink, crew::Crew},
    rows::Rows,
    stage::{Context, StageOutput, none},
};
use datasets::{
    Digest,
    effect::Fault,
    environment::CHECKPOINT_SECONDS,
    row::Waiting,
    store::{Store, StoreError, remove},
};
use differential_dataflow::ExchangeData;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    io,
    time::{Duration, Instant},
};

/// The state is saved this far apart. `REFRAIN_CHECKPOINT_SECONDS`, a number of seconds, says otherwise: a test
/// cannot wait for the second checkpoint of a training that takes minutes. It is in no key, as it changes no byte.
const EVERY: Duration = Duration::from_secs(12);

/// A training around a network's own: where it saves its state, and what of it stays.
pub(crate) struct Training<'a> {
    pub(crate) env: &'a Env,
    pub(crate) stage: &'a str,
    /// The key of the effect.
    pub(crate) key: Digest,
    /// Records in all.
    pub(crate) total: u64,
    /// The code of a training that gives no network.
    pub(crate) refusal: &'static str,
    /// What this process has to do with it.
    pub(crate) role: Role,
}

/// What a process has to do with a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It trains alone.
    Alone,
    /// It trains, and all other processes of the run help.
    Leads,
    /// It helps: it keeps nothing, and tells nothing.
    Helps,
}

impl Role {
    /// That of a process that trains, in parts of which others may make some.
    pub(crate) fn of(env: &Env, parts: usize) -> Role {
        if several(parts) && env.peers.is_some() { Role::Leads } else { Role::Alone }
    }
}

/// Whether a batch of so many parts has some for others.
pub(crate) fn several(parts: usize) -> bool {
    parts > 1
}

impl Training<'_> {
    /// Trains with `fit` from the last checkpoint, or from the start where there is none that can be used. Returns what
    /// was trained and the object that holds its curves.
    ///
    /// # Errors
    /// [`Fault::Interrupted`] where the run is cancelled; else what the training or the store says.
    pub(crate) fn run<R: Recorded, T>(
        &self,
        fit: impl Fn(Option<&[u8]>, &mut dyn TrainingSink<R>, &dyn Crew) -> Result<T, TrainingError>,
    ) -> Result<(T, Digest), Fault> {
        // A step may take long, and then the state is saved.
        let _hold = self.env.cancel.hold();
        let (mut saver, resume) = Saver::open(self)?;
        let peers = self.env.peers.as_deref().filter(|_| self.role != Role::Alone);
        let crew = Together { peers, key: self.key };
        let mut trained = fit(resume.as_deref(), &mut saver, &crew);
        if let Err(TrainingError::Checkpoint(why)) = &trained {
            // Whatever is wrong with it, the training itself is not lost.
            if self.role != Role::Helps {
                tracing::warn!("starting over: {why}");
                remove(&self.env.store.checkpoint(&self.key))?;
            }
            saver.records.clear();
            trained = fit(None, &mut saver, &crew);
        }
        let trained = trained.map_err(|error| match (error, saver.failed.take()) {
            (_, Some(error)) => Fault::Store(error),
            (error, None) => self.fault(error),
        })?;
        if self.role == Role::Helps {
            return Ok((trained, Digest::default()));
        }
        let curves = R::parquet(&saver.records).map_err(|e| Fault::refused("no-curves", e.to_string()))?;
        Ok((trained, self.env.store.put(&curves)?))
    }

    fn fault(&self, error: TrainingError) -> Fault {
        match error {
            TrainingError::Stopped(_) => Fault::Interrupted,
            TrainingError::Memory { .. } | TrainingError::Clip { .. } | TrainingError::Together(_) => {
                Fault::Failed(error.to_string())
            }
            error => Fault::refused(self.refusal, error.to_string()),
        }
    }
}

/// Follows a training: keeps its records, and its checkpoints in the store.
struct Saver<'a, R> {
    training: &'a Training<'a>,
    /// Records of all steps so far.
    records: Vec<R>,
    last: Instant,
    pace: Duration,
    /// Error of the last checkpoint, if it could not be written.
    failed: Option<StoreError>,
}

impl<'a, R: Recorded> Saver<'a, R> {
    /// A saver, and the state of the training that was interrupted there.
    fn open(training: &'a Training<'a>) -> Result<(Self, Option<Vec<u8>>), StoreError> {
        // From here on the store knows that there is one.
        if training.role != Role::Helps {
            training.env.store.checkpoint(&training.key);
        }
        let saved = training.env.store.saved(&training.key)?.and_then(|bytes| unpack(&bytes));
        let (records, state) = saved.map_or_else(|| (Vec::new(), None), |(records, state)| (records, Some(state)));
        if state.is_some() && training.role != Role::Helps {
            let (stage, done) = (training.stage.to_owned(), records.len() as u64);
            training.env.event(Event::Resumed { stage, done, total: training.total });
        }
        let pace = said(CHECKPOINT_SECONDS.text());
        Ok((Self { training, records, last: Instant::now(), pace, failed: None }, state))
    }
}

impl<R: Recorded> TrainingSink<R> for Saver<'_, R> {
    fn step(&mut self, record: &R) {
        if self.training.role == Role::Helps {
            return;
        }
        self.records.push(*record);
        let Training { env, stage, total, .. } = *self.training;
        let (stage, done) = (stage.to_owned(), self.records.len() as u64);
        env.event(Event::Progress { stage, done, total, unit: "steps", figures: record.figures() });
    }
    fn due(&mut self) -> bool {
        self.training.role != Role::Helps && self.last.elapsed() >= self.pace
    }
    fn checkpoint(&mut self, _: u64, state: &[u8]) -> io::Result<()> {
        if self.training.role == Role::Helps {
            return Ok(());
        }
        let packed = pack(&self.records, state)?;
        if let Err(error) = self.training.env.store.save(&self.training.key, &packed) {
            let text = error.to_string();
            self.failed = Some(error);
            return Err(io::Error::other(text));
        }
        self.last = Instant::now();
        let Training { env, stage, .. } = *self.training;
        env.event(Event::Checkpoint { stage: stage.to_owned(), done: self.records.len() as u64 });
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.training.env.cancel.cancelled()
    }
}

/// Puts the digests of all samples that a model was trained on into the store, sorted, each once.
pub(crate) fn put_lineage(store: &Store, samples: impl IntoIterator<Item = Digest>) -> Result<Digest, StoreError> {
    let samples: BTreeSet<Digest> = samples.into_iter().collect();
    store.put(&Digest::joined(samples))
}

/// The model that the lock file names as what a stage gives, whatever its input is. `Err` ends the run: no row would come
/// of it.
pub(crate) fn pinned<'s, R: ExchangeData>(
    cx: &Context<'s>,
    model: Result<R, Failure>,
    pending: &Rows<'s, Waiting>,
) -> StageOutput<'s, R> {
    let model = model.map_err(|failure| {
        cx.env.ledger.fail(failure);
        cx.env.cancel.cancel();
    });
    // The row comes with the first pulse of the dataflow, from one worker only.
    StageOutput { kept: cx.once(model.ok()), dropped: none(pending), pending: none(pending) }
}

fn said(seconds: Option<String>) -> Duration {
    let seconds = seconds.and_then(|text| text.parse().ok()).map(Duration::try_from_secs_f64);
    seconds.and_then(Result::ok).unwrap_or(EVERY)
}

/// Records and state as bytes.
fn pack<R: Serialize>(records: &[R], state: &[u8]) -> io::Result<Vec<u8>> {
    let records = postcard::to_stdvec(records).map_err(io::Error::other)?;
    let mut packed = (records.len() as u64).to_le_bytes().to_vec();
    packed.extend(records);
    packed.extend(state);
    Ok(packed)
}

/// Unpacks what [`pack`] made; `None` for other bytes.
fn unpack<R: DeserializeOwned>(packed: &[u8]) -> Option<(Vec<R>, Vec<u8>)> {
    let (length, rest) = packed.split_first_chunk::<8>()?;
    let (records, state) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    Some((postcard::from_bytes(records).ok()?, state.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::{Cancel, Helpers, Ledger, Pool, Sources},
        model::prior::fit::PriorRecord,
    };
    use std::{collections::BTreeMap, fs, path::Path};

    fn env(folder: &Path) -> Env {
        Env {
            store: Store::open(folder).expect("a store"),
            sources: Sources::default(),
            optouts: BTreeMap::new(),
            pool: Pool::new(1),
            ledger: Ledger::default(),
            dry: false,
            cancel: Cancel::default(),
            rehash: false,
            pcm_cache: 0,
            observer: Box::new(()),
            peers: None,
            helpers: Helpers::default(),
            permit: None,
        }
    }

    fn training(env: &Env) -> Training<'_> {
        Training { env, stage: "top", key: Digest::of(b"key"), total: 4, refusal: "no-prior", role: Role::Alone }
    }

    /// Four steps, one number of state each; a checkpoint and a stop after `stop` of them. Gives how many it made.
    fn steps(
        stop: u64,
    ) -> impl Fn(Option<&[u8]>, &mut dyn TrainingSink<PriorRecord>, &dyn Crew) -> Result<u64, TrainingError> {
        move |resume, sink, _| {
            let made = match resume {
                None => 0,
                Some([made]) => u64::from(*made),
                Some(_) => return Err(TrainingError::Checkpoint("damaged".to_owned())),
            };
            for step in made..4 {
                sink.step(&PriorRecord { step, bits: 1.0, norm: 2.0 });
                if step + 1 == stop {
                    sink.checkpoint(stop, &[stop as u8])?;
                    return Err(TrainingError::Stopped(stop));
                }
            }
            Ok(4 - made)
        }
    }

    #[test]
    fn a_training_goes_on_with_its_records_or_starts_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let env = env(folder.path());
        let whole = training(&env).run(steps(0)).expect("trained");
        assert_eq!(whole.0, 4);
        assert!(matches!(training(&env).run(steps(3)), Err(Fault::Interrupted)));
        assert_eq!(training(&env).run(steps(0)).expect("resumed"), (1, whole.1), "the same curves");
        // The records are whole, and the state is not the training's.
        let key = Digest::of(b"key");
        let path = env.store.checkpoint(&key);
        let packed = pack(&[PriorRecord { step: 0, bits: 1.0, norm: 2.0 }], b"?!").expect("packed");
        env.store.save(&key, &packed).expect("saved");
        assert_eq!(training(&env).run(steps(0)).expect("from the start"), whole);
        assert!(!path.exists(), "it is in nobody's way");
        // Bytes that an earlier version saved, and every kind of damage.
        fs::write(&path, b"torn").expect("written");
        assert_eq!(training(&env).run(steps(0)).expect("from the start"), whole);
        assert!(matches!(training(&env).run(steps(3)), Err(Fault::Interrupted)));
        let saved = fs::read(&path).expect("a checkpoint");
        for at in 0..saved.len() {
            let mut flipped = saved.clone();
            flipped[at] ^= 1 << (at % 8);
            for damaged in [&flipped[..], &saved[..at]] {
                fs::write(&path, damaged).expect("written");
                assert_eq!(training(&env).run(steps(0)).expect("from the start"), whole, "at {at}");
            }
        }
    }

    #[test]
    fn what_ends_a_training_decides_what_becomes_of_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let env = env(folder.path());
        let ended = |error: fn() -> TrainingError| {
            training(&env).run::<PriorRecord, ()>(|_, _, _| Err(error())).expect_err("no network")
        };
        assert!(matches!(ended(|| TrainingError::Stopped(3)), Fault::Interrupted));
        let refused = ended(|| TrainingError::Diverged { what: "training".into(), step: 7 });
        assert_eq!(refused.to_string(), "training diverged at step 7: lower the learning rate (no-prior)");
        let unread = ended(|| TrainingError::Clip { clip: 1, message: "gone".into() });
        assert!(matches!(unread, Fault::Failed(why) if why == "clip 1: gone"));
        // A checkpoint that the store cannot take is the store's failure.
        fs::remove_dir_all(folder.path().join("checkpoints")).expect("removed");
        fs::write(folder.path().join("checkpoints"), b"").expect("written");
        assert!(matches!(training(&env).run(steps(3)), Err(Fault::Store(_))));
    }

    #[test]
    fn the_pace_can_be_set() {
        assert_eq!(said(Some("0.2".into())), Duration::from_millis(200));
        assert_eq!([said(None), said(Some("soon".into())), said(Some("-1".into()))], [EVERY; 3]);
    }

    #[test]
    fn a_checkpoint_holds_records_and_state() {
        let packed = pack(&[(3u64, 0.5f64)], b"state").expect("packed");
        assert_eq!(unpack(&packed), Some((vec![(3u64, 0.5f64)], b"state".to_vec())));
        assert_eq!(unpack::<(u64, f64)>(&packed[..9]), None);
    }
}
