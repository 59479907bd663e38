//! Checkpoints of a training: the records so far, so that the curves of a resumed training are whole, then the
//! trainer's state.

use serde::{Serialize, de::DeserializeOwned};
use std::{env, io, time::Duration};

/// The state is saved this far apart. `REFRAIN_CHECKPOINT_SECONDS`, a number of seconds, says otherwise: a test
/// cannot wait for the second checkpoint of a training that takes minutes. It is in no key, as it changes no byte.
const EVERY: Duration = Duration::from_secs(12);

/// How far apart checkpoints are.
pub(crate) fn pace() -> Duration {
    said(env::var("REFRAIN_CHECKPOINT_SECONDS").ok())
}

fn said(seconds: Option<String>) -> Duration {
    let seconds = seconds.and_then(|text| text.parse().ok()).map(Duration::try_from_secs_f64);
    seconds.and_then(Result::ok).unwrap_or(EVERY)
}

/// Records and state as bytes.
pub(crate) fn pack<R: Serialize>(records: &[R], state: &[u8]) -> io::Result<Vec<u8>> {
    let records = postcard::to_stdvec(records).map_err(io::Error::other)?;
    let mut packed = (records.len() as u64).to_le_bytes().to_vec();
    packed.extend(records);
    packed.extend(state);
    Ok(packed)
}

/// What [`pack`] made; `None` of anything else.
pub(crate) fn unpack<R: DeserializeOwned>(packed: &[u8]) -> Option<(Vec<R>, Vec<u8>)> {
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
