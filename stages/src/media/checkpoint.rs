//! Checkpoints of a training: the records so far, so that the curves of a resumed training are whole, then the
//! trainer's state.

use crate::flow::{Env, Event};
use datasets::store::{StoreError, write_atomic};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The state is saved this far apart. `REFRAIN_CHECKPOINT_SECONDS`, a number of seconds, says otherwise: a test
/// cannot wait for the second checkpoint of a training that takes minutes. It is in no key, as it changes no byte.
const EVERY: Duration = Duration::from_secs(12);

/// Keeps a training's records, and its checkpoints in the store.
pub(crate) struct Saver<'a, R> {
    pub(crate) env: &'a Env,
    pub(crate) stage: &'a str,
    /// What every step so far measured.
    pub(crate) records: Vec<R>,
    /// Steps in all.
    pub(crate) total: u64,
    path: PathBuf,
    last: Instant,
    pace: Duration,
    failed: Option<StoreError>,
}

impl<'a, R: Serialize + DeserializeOwned> Saver<'a, R> {
    /// A saver at `path`, and the state of the training that was interrupted there.
    pub(crate) fn open(env: &'a Env, stage: &'a str, path: PathBuf, total: u64) -> (Self, Option<Vec<u8>>) {
        let saved = fs::read(&path).ok().and_then(|bytes| unpack(&bytes));
        let (records, state) = saved.map_or_else(|| (Vec::new(), None), |(records, state)| (records, Some(state)));
        if state.is_some() {
            env.event(Event::Resumed { stage: stage.to_owned(), done: records.len() as u64, total });
        }
        let pace = said(std::env::var("REFRAIN_CHECKPOINT_SECONDS").ok());
        (Self { env, stage, records, total, path, last: Instant::now(), pace, failed: None }, state)
    }

    /// Whether a checkpoint is due.
    pub(crate) fn due(&self) -> bool {
        self.last.elapsed() >= self.pace
    }

    /// Writes a checkpoint.
    pub(crate) fn save(&mut self, state: &[u8]) -> io::Result<()> {
        let packed = pack(&self.records, state)?;
        if let Err(error) = write_atomic(&self.path, &packed) {
            let text = error.to_string();
            self.failed = Some(error);
            return Err(io::Error::other(text));
        }
        self.last = Instant::now();
        self.env.event(Event::Checkpoint { stage: self.stage.to_owned(), done: self.records.len() as u64 });
        Ok(())
    }

    /// Why the last checkpoint could not be written.
    pub(crate) fn failed(&mut self) -> Option<StoreError> {
        self.failed.take()
    }
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

/// What [`pack`] made; `None` of anything else.
fn unpack<R: DeserializeOwned>(packed: &[u8]) -> Option<(Vec<R>, Vec<u8>)> {
    let (length, rest) = packed.split_first_chunk::<8>()?;
    let (records, state) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    Some((postcard::from_bytes(records).ok()?, state.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
