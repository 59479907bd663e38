//! The built-in corpus: pieces are rendered by an effect, one WAV each, into the store.

use super::Ingest;
use crate::flow::Env;
use datasets::{
    Digest,
    effect::{Effect, Fault, Load, key},
    row::{Found, Labels, Origin},
    synth::{self, Synth},
};
use std::{collections::BTreeMap, sync::Arc};

fn corpus(ingest: &Ingest) -> Synth {
    Synth { pieces: ingest.pieces, seed: ingest.compose, seconds: ingest.seconds }
}

/// One row per piece: its facts follow from the rules, its audio is not made yet.
pub(super) fn found(ingest: &Ingest) -> Vec<Found> {
    let synth = corpus(ingest);
    let milliseconds = (synth.seconds * 1000.0).round() as u64;
    (0..synth.pieces)
        .map(|index| {
            let piece = synth.piece(index);
            let extra = [
                ("key", piece.musical_key),
                ("metre", format!("{}/{}", piece.metre.0, piece.metre.1)),
                ("motif", piece.motif),
                ("tempo", format!("{}", piece.tempo_bpm)),
            ];
            Found {
                key: piece.key,
                origin: Origin::Piece { index, pieces: synth.pieces, milliseconds, seed: synth.seed },
                shared: false,
                license: Some(piece.license),
                labels: Labels {
                    title: Some(piece.title),
                    artist: Some(piece.artist),
                    genre: Some(piece.genre),
                    source: Some("composed and rendered by refrain".into()),
                    extra: extra.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
                },
            }
        })
        .collect()
}

/// Renders one piece as a 16-bit WAV in the store; gives its digest and size.
pub(super) struct Render {
    pub(super) env: Arc<Env>,
}

impl Effect for Render {
    type Work = Origin;
    type Output = (Digest, u64);
    const LOAD: Load = Load::Light;

    fn key(&self, work: &Origin) -> Digest {
        let key = key("ingest synth", synth::REVISION);
        match work {
            Origin::Piece { index, pieces, milliseconds, seed } => {
                key.number((*index).into()).number((*pieces).into()).number(*milliseconds).number(*seed).finish()
            }
            _ => unreachable!("only pieces are rendered"),
        }
    }

    fn objects(&self, output: &(Digest, u64)) -> Vec<Digest> {
        vec![output.0]
    }

    fn run(&self, work: &Origin) -> Result<(Digest, u64), Fault> {
        let Origin::Piece { index, pieces, milliseconds, seed } = work else {
            unreachable!("only pieces are rendered")
        };
        let synth = Synth { pieces: *pieces, seed: *seed, seconds: *milliseconds as f64 / 1000.0 };
        let wav = synth.wav(*index);
        Ok((self.env.store.put(&wav)?, wav.len() as u64))
    }
}
