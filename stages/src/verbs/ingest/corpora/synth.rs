//! `corpus = "synth"`: the built-in corpus. Pieces are rendered by an effect, one WAV each, into the store.

use super::spec::CorpusSettings;
use crate::{
    flow::Env,
    settings::Complaint,
    stage::{Places, memory::Memory},
};
use datasets::{
    Digest,
    corpus::{Adapter, BuiltIn, Carry},
    effect::{Effect, Fault, Load, key},
    row::Origin,
    synth::{self, Synth},
};
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

crate::settings! {
    /// Settings of short pieces that are composed and rendered by Refrain, CC0.
    pub(super) struct SynthSettings {
        /// Number of pieces.
        pieces: u32 = 36,
        /// Nominal length of a piece in seconds.
        seconds: f64 = 8.0,
        /// Another seed composes other pieces.
        compose: u64 = 1,
        /// Frames that an eighth note lasts a whole number of, so that notes begin where a codec's codes do; 0 leaves the
        /// tempi as they are composed.
        grid: u32 = 0,
        /// For the built-in corpus, some of `key`, `metre`, `motif` and `tempo` (default: none).
        carry: Option<BTreeSet<String>> = None,
    }
}

impl CorpusSettings for SynthSettings {
    const WORD: &'static str = "synth";

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if !(1..=10_000).contains(&self.pieces) {
            complaints
                .push(Complaint::new(at.of("pieces"), format!("`pieces`: {} is not from 1 to 10000", self.pieces)));
        }
        if !(2.0..=600.0).contains(&self.seconds) {
            let message = format!("`seconds`: {} is not from 2 to 600", self.seconds);
            complaints.push(Complaint::new(at.of("seconds"), message));
        }
        if self.grid > 8192 {
            let message = format!("`grid`: {} is not from 0 to 8192", self.grid);
            complaints.push(Complaint::new(at.of("grid"), message));
        }
    }

    fn memory(&self) -> Memory {
        // A piece ends with its last bar, and what rings on.
        Memory::rendering((2.0 * self.seconds * f64::from(synth::SAMPLE_RATE)) as u64)
    }

    fn adapter(&self, _: &[PathBuf]) -> Option<Box<dyn Adapter>> {
        let synth = Synth { pieces: self.pieces, seed: self.compose, seconds: self.seconds, grid: self.grid };
        Some(Box::new(BuiltIn {
            synth,
            carry: Carry::These(self.carry.clone().unwrap_or_default().into_iter().collect()),
        }))
    }
}

/// Renders one piece as a 16-bit WAV in the store; gives its digest and size.
pub(in crate::verbs::ingest) struct Render {
    pub(in crate::verbs::ingest) env: Arc<Env>,
}

impl Effect for Render {
    type Work = Origin;
    type Output = (Digest, u64);
    const LOAD: Load = Load::Light;

    fn key(&self, work: &Origin) -> Digest {
        let key = key("ingest synth", synth::REVISION);
        match work {
            Origin::Piece { index, pieces, milliseconds, seed, grid } => {
                let key = key.number((*index).into()).number((*pieces).into()).number(*milliseconds).number(*seed);
                if *grid > 0 { key.number((*grid).into()).finish() } else { key.finish() }
            }
            _ => unreachable!("only pieces are rendered"),
        }
    }

    fn objects(&self, output: &(Digest, u64)) -> Vec<Digest> {
        vec![output.0]
    }

    fn run(&self, work: &Origin) -> Result<(Digest, u64), Fault> {
        let Origin::Piece { index, pieces, milliseconds, seed, grid } = work else {
            unreachable!("only pieces are rendered")
        };
        let synth = Synth { pieces: *pieces, seed: *seed, seconds: *milliseconds as f64 / 1000.0, grid: *grid };
        let wav = synth.wav(*index);
        Ok((self.env.store.put(&wav)?, wav.len() as u64))
    }
}
