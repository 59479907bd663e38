//! `shard`: codes to Parquet files that stay put.
//!
//! A shard is (split, hash prefix of blake3(track id)). The partition is a function of the set of rows
//! alone: a prefix whose estimated size is over the target splits in two. One more track rewrites one
//! shard; growth splits one; a shard whose rows are the same is not rewritten.

mod pending;
mod place;

use crate::{
    flow::{Env, Item, group, memoised, pair},
    rows::{Input, Kind},
    settings::Complaint,
    stage::{
        Cardinality, Context, Places, Port, Stage, StageOutput,
        memory::{Known, Memory},
        none,
    },
};
use datasets::{
    Digest, Key,
    codes::unpack,
    effect::{Effect, Fault, Load},
    row::{self, Codes, shard_id},
    shard::{self, ShardMeta, ShardRow, view, write},
};
use place::{BITS, WHOLE, leaf};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

crate::settings! {
    /// Settings of `shard`.
    pub struct Shard {
        /// Target size of a file in MiB, estimated from the number of codes.
        #[unkeyed]
        megabytes: f64 = 128.0,
    }
}

/// Bits that a code takes in a file: an estimate for the partition, never for an output.
const BITS_PER_CODE: u64 = 11;

fn estimate(codes: &Codes) -> u64 {
    let count: u64 = codes.hops.iter().map(|hop| codes.clip.frames.div_ceil(u64::from(*hop))).sum();
    count * BITS_PER_CODE / 8 + 256
}

/// Splits the space of leaves until every part is under the target or is one leaf. Parts without rows are not named.
fn partition(sizes: &BTreeMap<u16, u64>, target: u64) -> Vec<(u16, u16, String)> {
    let mut parts = Vec::new();
    let mut open = vec![(0u32, 1u32 << BITS, String::new())];
    while let Some((from, to, prefix)) = open.pop() {
        let size: u64 = sizes.range(from as u16..=(to - 1) as u16).map(|(_, size)| size).sum();
        if size == 0 {
            continue;
        }
        if size <= target || to - from == 1 {
            parts.push((from as u16, (to - 1) as u16, prefix));
        } else {
            let middle = from + (to - from) / 2;
            open.push((from, middle, format!("{prefix}0")));
            open.push((middle, to, format!("{prefix}1")));
        }
    }
    parts.sort();
    parts
}

/// Writes one file.
struct Pack {
    start: Key,
    env: Arc<Env>,
}

/// Everything that a shard's file depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Contents {
    split: String,
    prefix: String,
    rows: Vec<Codes>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Packed {
    file: Digest,
    view: Digest,
    bytes: u64,
}

fn shard_row(codes: &Codes, levels: Vec<Vec<u16>>) -> ShardRow {
    let (clip, track) = (&codes.clip, &codes.clip.track);
    ShardRow {
        track: track.id.clone(),
        clip: clip.id(),
        split: track.split.clone().unwrap_or_else(|| WHOLE.to_owned()),
        start: clip.start,
        frames: clip.frames,
        rate: track.chain.as_ref().map_or(0, |chain| chain.rate),
        license: track.license.clone().unwrap_or_else(|| "NOASSERTION".to_owned()),
        attribution: track.labels.attribution(),
        labels: track.labels.clone(),
        content: track.content.0,
        samples: track.recording.as_ref().map_or([0; 32], |recording| recording.samples.0),
        codec: codes.codec.0,
        codes: levels,
    }
}

impl Effect for Pack {
    type Work = Contents;
    type Output = Packed;
    const LOAD: Load = Load::Light;

    fn key(&self, contents: &Contents) -> Digest {
        let start = self.start.clone();
        let add = |key: Key, codes: &Codes| {
            let row = shard_row(codes, Vec::new());
            let texts =
                [&row.track, &row.clip, &row.split, &row.license, &row.attribution].map(|text| Some(text.as_str()));
            let labels = shard::LABELS.map(|name| row.labels.get(name));
            let key = texts.into_iter().chain(labels).fold(key, |key, text| match text {
                Some(text) => key.number(1).text(text),
                None => key.number(0),
            });
            let shape = codes.hops.iter().chain(&codes.codewords).fold(key, |key, n| key.number((*n).into()));
            let key = shape.number(row.rate.into()).bytes(&row.content).bytes(&row.samples).bytes(&row.codec);
            let (key, own) = (key.digest(&codes.blob), &row.labels.extra);
            // A row without columns of its own has the key that it had before there were any; 2 is where no row begins.
            let start = if own.is_empty() { key } else { key.number(2).number(own.len() as u64) };
            own.iter().fold(start, |key, (column, text)| key.text(column).text(text))
        };
        contents.rows.iter().fold(start, add).finish()
    }

    fn objects(&self, packed: &Packed) -> Vec<Digest> {
        vec![packed.file]
    }

    fn run(&self, contents: &Contents) -> Result<Packed, Fault> {
        let Some(first) = contents.rows.first() else { return Err(Fault::Failed("a shard without rows".into())) };
        let meta = ShardMeta {
            codec: first.codec.0,
            rate: first.clip.track.chain.as_ref().map_or(0, |chain| chain.rate),
            hops: first.hops.clone(),
            codewords: first.codewords.clone(),
        };
        let mut rows = Vec::with_capacity(contents.rows.len());
        for codes in &contents.rows {
            let blob = self.env.store.get(&codes.blob)?;
            let levels = unpack(&blob).ok_or(datasets::store::StoreError::Damaged(codes.blob))?;
            rows.push(shard_row(codes, levels));
        }
        let mut file = Vec::new();
        write(&rows, &meta, &mut file).map_err(|e| Fault::refused("no-shard", e.to_string()))?;
        let view = Digest(view(&rows, &meta).bytes());
        Ok(Packed { file: self.env.store.put(&file)?, view, bytes: file.len() as u64 })
    }
}

impl Stage for Shard {
    const VERB: &'static str = "shard";
    const ABOUT: &'static str = "writes codes to Parquet files that stay put when the corpus changes";
    const REVISION: u32 = 2;
    const PORTS: &'static [Port] = &[Port::many("codes", Kind::Codes)];
    const CARDINALITY: Cardinality = Cardinality::Reduce;
    const UNIT: &'static str = "shards";
    type In = Codes;
    type Out = row::Shard;

    fn check(&self, at: &Places<'_>, complaints: &mut Vec<Complaint>) {
        if !(0.001..=65536.0).contains(&self.megabytes) {
            let message = format!("`megabytes`: {} is not from 0.001 to 65536", self.megabytes);
            complaints.push(Complaint::new(at.of("megabytes"), message).help("128 is the default"));
        }
    }

    fn memory(&self, known: &mut Known, _: u64) -> Memory {
        known.splits.get_or_insert_with(|| [WHOLE.to_owned()].into());
        Memory::packing(self.megabytes)
    }

    fn render<'s>(self, cx: &Context<'s>, input: Input<'s, Codes>) -> StageOutput<'s, row::Shard> {
        let place = |codes: &Codes| {
            let track = &codes.clip.track;
            (track.split.clone().unwrap_or_else(|| WHOLE.to_owned()), leaf(&track.id))
        };
        let placed = input.kept.map(move |codes| (place(&codes), codes));
        let weighed = placed.clone().map(|(place, codes)| (place, estimate(&codes)));
        let sizes = group(weighed, &format!("{}: size per leaf", cx.stage), |_, sizes: &[(u64, isize)]| {
            vec![(sizes.iter().map(|(size, n)| size * *n as u64).sum::<u64>(), 1)]
        });
        let target = (self.megabytes * f64::from(1 << 20)) as u64;
        // A plan asks where a track that is not there yet would go, so it gets every leaf.
        let dry = cx.env.dry;
        let leaves = sizes.map(|((split, leaf), size)| (split, (leaf, size)));
        let parts = group(leaves, &format!("{}: partition", cx.stage), move |_, leaves: &[((u16, u64), isize)]| {
            let sizes: BTreeMap<u16, u64> = leaves.iter().map(|(leaf, _)| *leaf).collect();
            let mut parts = Vec::new();
            for (from, to, prefix) in partition(&sizes, target) {
                let named = (from..=to).filter(|leaf| dry || sizes.contains_key(leaf));
                parts.extend(named.map(|leaf| ((leaf, prefix.clone()), 1)));
            }
            parts
        });
        let parts = parts.map(|(split, (leaf, prefix)): (String, (u16, String))| ((split, leaf), prefix));
        let members = pair(placed, parts.clone()).map(|((split, _), codes, prefix)| ((split, prefix), codes));
        let (members, waits) = match dry {
            true => pending::beside(cx, members, input.pending, parts),
            false => (members, none(&input.pending)),
        };
        let contents = group(members, &format!("{}: rows", cx.stage), |_, rows: &[(Codes, isize)]| {
            let mut rows: Vec<Codes> = rows.iter().map(|(codes, _)| codes.clone()).collect();
            rows.sort_by_cached_key(|codes| codes.clip.id());
            vec![(rows, 1)]
        });
        let work = contents.map(|((split, prefix), rows)| {
            let id = shard_id(&split, &prefix);
            let clips = rows.len() as u64;
            let codec = rows.first().map_or_else(Digest::default, |codes| codes.codec);
            (Contents { split: split.clone(), prefix: prefix.clone(), rows }, (id, split, prefix, clips, codec))
        });
        let effect = Pack { start: self.key(cx), env: cx.env.clone() };
        let done = memoised(cx, effect, work, |(id, ..)| id.clone());
        let written = done.split(cx, |(id, ..)| Item::Other(id));
        let shards = written.map(|((_, split, prefix, clips, codec), packed)| row::Shard {
            split,
            prefix,
            file: packed.file,
            view: packed.view,
            codec,
            clips,
            bytes: packed.bytes,
        });
        shards.and_pending(cx.may(waits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_splits_one_part_and_leaves_the_others() {
        let mut sizes: BTreeMap<u16, u64> = (0..1 << BITS).map(|leaf| (leaf, 10)).collect();
        let before = partition(&sizes, 5_120);
        assert_eq!(before.len(), 8);
        assert!(before.iter().all(|(from, to, prefix)| to - from == 511 && prefix.len() == 3));
        sizes.insert(100, 11);
        let after = partition(&sizes, 5_120);
        let same = before.iter().filter(|part| after.contains(part)).count();
        assert_eq!((same, after.len()), (7, 9));
        assert_eq!(partition(&BTreeMap::from([(7, 1)]), 10), [(0, (1 << BITS) - 1, String::new())]);
    }
}
