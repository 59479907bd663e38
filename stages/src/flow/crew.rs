//! Work that all processes of a run do together: the leading one does it as any other, and calls the others to help.

use super::{Env, Peers, failure::message, memo::Erased};
use crate::model::training::crew::{Apart, Crew};
use datasets::{
    Digest,
    effect::{Fault, Load},
};
use kernels::device::attempt as on_device;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Queues a job that takes part in the work of a key. What keeps it from that is told to the process that does the work, and
/// ends it there.
pub(super) fn help(env: &Arc<Env>, effect: Arc<dyn Erased>, key: Digest, work: Vec<u8>) {
    let own = env.clone();
    let job = move || {
        let Some(peers) = own.peers.clone() else { return };
        let why = match catch_unwind(AssertUnwindSafe(|| on_device(|| effect.help(&work)))) {
            Ok(Ok(Ok(()) | Err(Fault::Interrupted))) => None,
            Ok(Ok(Err(fault))) => Some(fault.to_string()),
            Ok(Err(device)) => Some(device.to_string()),
            Err(panic) => Some(format!("it panicked: {}", message(&*panic))),
        };
        if let Some(why) = why {
            peers.leave(key, &why);
        }
        peers.forget(key);
        drop((effect, own));
    };
    env.pool.submit(Load::Heavy, Box::new(job));
}

/// The processes of a run as the crew of a training, which has the key of its effect; a crew of one where there are no others.
pub(crate) struct Together<'a> {
    pub(crate) peers: Option<&'a dyn Peers>,
    pub(crate) key: Digest,
}

impl Crew for Together<'_> {
    fn place(&self) -> (usize, usize) {
        self.peers.map_or((0, 1), |peers| peers.place())
    }

    fn share(&self, stream: usize, turn: u64, own: Vec<u8>) -> Result<Vec<Vec<u8>>, Apart> {
        let Some(peers) = self.peers else { return Ok(Vec::new()) };
        let (turn, (place, of)) = ((stream as u64, turn), peers.place());
        peers.give(self.key, turn, &own);
        let others = (0..of).filter(|other| *other != place);
        let heard = others.map(|other| {
            peers.take(self.key, turn, other).map_err(|fault| match fault {
                Fault::Interrupted => Apart::Ending,
                other => Apart::Said(other.to_string()),
            })
        });
        heard.collect()
    }
}
