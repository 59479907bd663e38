//! Several processes that train one network together.
//!
//! All hold the same state and make the same steps. Each computes some of the parts of a batch, and gives the others what
//! came of them: nodes of the [`Tree`] of gradients, and what else a step asks of each part. So everybody adds up the same
//! numbers in the same order, and the network has the bytes that one process alone would have given it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::device::Device;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::TrainingError;
use super::tree::{Gradients, Node, Tree};

/// The processes that train a network, as one of them knows them.
pub trait Crew: Sync {
    /// The place of this process among them, from 0, and how many they are.
    fn place(&self) -> (usize, usize);
    /// Gives the others a message, and takes theirs: a message of each place but this one's, in their order. A message is
    /// known by its stream and its turn, and no two of one process have both in common.
    ///
    /// # Errors
    /// See [`Apart`].
    fn share(&self, stream: usize, turn: u64, own: Vec<u8>) -> Result<Vec<Vec<u8>>, Apart>;
}

/// Why a crew trains no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apart {
    /// The run is ending.
    Ending,
    /// One of them says why it cannot go on.
    Said(String),
}

/// A crew of one.
pub struct Alone;

impl Crew for Alone {
    fn place(&self) -> (usize, usize) {
        (0, 1)
    }
    fn share(&self, _: usize, _: u64, _: Vec<u8>) -> Result<Vec<Vec<u8>>, Apart> {
        Ok(Vec::new())
    }
}

/// A crew at one network or at one of its levels, each of which is a stream.
pub(crate) struct Team<'a> {
    crew: &'a dyn Crew,
    stream: usize,
    turn: AtomicU64,
}

/// What a process says of its parts. Behind it come the gradients, as little-endian floats.
#[derive(Serialize, Deserialize)]
struct Share<T> {
    /// The step that it makes.
    step: u64,
    told: Vec<T>,
    nodes: Vec<Outline>,
}

/// A node without its numbers.
#[derive(Serialize, Deserialize)]
struct Outline {
    rank: u32,
    at: u64,
    gradients: Vec<(String, [usize; 3])>,
}

impl<'a> Team<'a> {
    /// The crew at a stream.
    pub(crate) fn new(crew: &'a dyn Crew, stream: usize) -> Team<'a> {
        Team { crew, stream, turn: AtomicU64::new(0) }
    }

    /// Which of so many parts this process computes.
    pub(crate) fn own(&self, parts: usize) -> Range<usize> {
        let (place, of) = self.crew.place();
        parts * place / of..parts * (place + 1) / of
    }

    /// The gradients of all parts, and what is told of each, from those of this process's own.
    ///
    /// # Errors
    /// [`TrainingError::Stopped`] where the run is ending, [`TrainingError::Together`] where another cannot go on.
    pub(crate) fn meet<T: Serialize + DeserializeOwned>(
        &self,
        step: u64,
        device: &dyn Device,
        tree: Tree,
        told: Vec<T>,
    ) -> Result<(Gradients, Vec<T>), TrainingError> {
        let (place, of) = self.crew.place();
        if of == 1 {
            return Ok((tree.sum(device), told));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let own = Share { step, told, nodes: Vec::new() };
        let (own, nodes, message) = pack(device, own, tree.into_nodes())?;
        let heard = self.crew.share(self.stream, turn, message).map_err(|apart| match apart {
            Apart::Ending => TrainingError::Stopped(step),
            Apart::Said(why) => TrainingError::Together(why),
        })?;
        let (mut tree, mut told) = (Tree::default(), Vec::new());
        let mut heard = heard.into_iter();
        let mut own = Some((own.told, nodes));
        for from in 0..of {
            let (of_parts, nodes) = match own.take_if(|_| from == place) {
                Some(own) => own,
                None => {
                    let message = heard.next().unwrap_or_default();
                    let (share, nodes) = unpack::<T>(device, &message).ok_or_else(|| strange(from))?;
                    if share.step != step {
                        let why = format!("process {from} is at step {} and this one at {step}", share.step);
                        return Err(TrainingError::Together(why));
                    }
                    (share.told, nodes)
                }
            };
            told.extend(of_parts);
            nodes.into_iter().for_each(|node| tree.join(device, node));
        }
        Ok((tree.sum(device), told))
    }
}

fn strange(process: usize) -> TrainingError {
    TrainingError::Together(format!("process {process} sent gradients that cannot be read"))
}

/// A message with these nodes, which are given back.
fn pack<T: Serialize>(
    device: &dyn Device,
    mut share: Share<T>,
    nodes: Vec<Node>,
) -> Result<(Share<T>, Vec<Node>, Vec<u8>), TrainingError> {
    let outline = |node: &Node| Outline {
        rank: node.rank,
        at: node.at,
        gradients: node.gradients.iter().map(|(name, tensor)| (name.clone(), tensor.shape())).collect(),
    };
    share.nodes = nodes.iter().map(outline).collect();
    let head = postcard::to_stdvec(&share).map_err(|e| TrainingError::Together(e.to_string()))?;
    let floats: usize = nodes.iter().flat_map(|node| node.gradients.values()).map(|tensor| tensor.len()).sum();
    let mut message = Vec::with_capacity(8 + head.len() + 4 * floats);
    message.extend((head.len() as u64).to_le_bytes());
    message.extend(head);
    for tensor in nodes.iter().flat_map(|node| node.gradients.values()) {
        let (start, floats) = (message.len(), device.floats(tensor));
        message.resize(start + 4 * floats.len(), 0);
        let bytes = message[start..].as_chunks_mut::<4>().0;
        bytes.iter_mut().zip(&floats).for_each(|(to, x)| *to = x.to_le_bytes());
    }
    Ok((share, nodes, message))
}

/// What [`pack`] made; `None` for other bytes.
fn unpack<T: DeserializeOwned>(device: &dyn Device, message: &[u8]) -> Option<(Share<T>, Vec<Node>)> {
    let (length, rest) = message.split_first_chunk::<8>()?;
    let (head, mut rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let mut share: Share<T> = postcard::from_bytes(head).ok()?;
    let mut tensor = |(name, shape): (String, [usize; 3])| {
        let floats = shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent))?;
        let (own, others) = rest.split_at_checked(floats.checked_mul(4)?)?;
        rest = others;
        let floats: Vec<f32> = own.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        Some((name, device.tensor(&floats, shape)))
    };
    let nodes = share.nodes.drain(..).map(|Outline { rank, at, gradients }| {
        let gradients: Option<Gradients> = gradients.into_iter().map(&mut tensor).collect();
        Some(Node { rank, at, gradients: gradients? })
    });
    let nodes: Option<Vec<Node>> = nodes.collect();
    Some((share, nodes?))
}
