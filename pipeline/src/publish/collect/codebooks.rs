//! Use of each codeword over the train split. Code blobs are counted in buckets by their digests, and the counts of a
//! bucket are remembered: one changed clip reads the blobs of its bucket again, and no others.

use crate::{
    error::Error,
    publish::collect::{
        codes::{AllCodes, fault},
        reconstruction::remembered,
    },
    report::data::Codebook,
};
use datasets::{Digest, Key, codes::unpack, effect::Fault, row::Weights, store::StoreError};
use rayon::prelude::*;
use stages::flow::Env;
use std::collections::BTreeSet;

/// Version of the counts: bumped when the same codes would be counted differently.
const REVISION: u64 = 1;

/// Blobs of a bucket, about.
const BUCKET: usize = 128;

/// Number of uses of each codeword, by level, up to the last codeword that is used.
type Counts = Vec<Vec<u64>>;

/// Counts the uses of each codeword of a codec over the train split, one entry per level; empty if nothing was encoded.
///
/// # Errors
/// When codes are missing from the store or damaged.
pub(super) fn usage(weights: &Weights, codes: &AllCodes<'_>, env: &Env) -> Result<Vec<Codebook>, Error> {
    let mut any = false;
    let own = codes.by(weights.digest).inspect(|_| any = true);
    let train = own.filter(|c| c.clip.track.split.as_deref().is_none_or(|split| split == "train"));
    let blobs: BTreeSet<Digest> = train.map(|c| c.blob).collect();
    if !any {
        return Ok(Vec::new());
    }
    let counted: Vec<Result<Counts, Fault>> =
        buckets(&blobs.into_iter().collect::<Vec<_>>()).into_par_iter().map(|blobs| counts(env, blobs)).collect();
    let books = weights.hops.iter().zip(&weights.codewords).enumerate();
    let mut books: Vec<Codebook> = books
        .map(|(level, (hop, codewords))| Codebook {
            level: level as u32,
            hop: *hop,
            counts: vec![0; *codewords as usize],
        })
        .collect();
    for counts in counted {
        for (book, level) in books.iter_mut().zip(counts.map_err(fault)?) {
            book.counts.iter_mut().zip(level).for_each(|(all, count)| *all += count);
        }
    }
    Ok(books)
}

/// Sorted digests in buckets by their first bits. There are twice as many buckets only where there are twice as many digests,
/// so that mostly a digest more or less changes one bucket.
fn buckets(blobs: &[Digest]) -> Vec<&[Digest]> {
    let bits = (blobs.len() / BUCKET).checked_ilog2().unwrap_or(0);
    let bucket = |blob: &Digest| blob.prefix().checked_shr(64 - bits).unwrap_or(0);
    blobs.chunk_by(|a, b| bucket(a) == bucket(b)).collect()
}

fn counts(env: &Env, blobs: &[Digest]) -> Result<Counts, Fault> {
    let key = Key::new("codewords used").number(REVISION);
    let key = blobs.iter().fold(key, |key, blob| key.digest(blob)).finish();
    remembered(env, key, || {
        let mut counts: Counts = Vec::new();
        for blob in blobs {
            let levels = unpack(&env.store.get(blob)?).ok_or(StoreError::Damaged(*blob))?;
            counts.resize_with(counts.len().max(levels.len()), Vec::new);
            for (counts, level) in counts.iter_mut().zip(levels) {
                let most = level.iter().max().map_or(0, |code| usize::from(*code) + 1);
                counts.resize(counts.len().max(most), 0);
                level.iter().for_each(|code| counts[usize::from(*code)] += 1);
            }
        }
        Ok(counts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_more_changes_one_bucket() {
        let mut blobs: Vec<Digest> = (0..BUCKET * 20).map(|n| Digest::of(&n.to_le_bytes())).collect();
        blobs.sort();
        let before: BTreeSet<Vec<Digest>> = buckets(&blobs).into_iter().map(<[Digest]>::to_vec).collect();
        assert_eq!((before.len(), buckets(&[]).len(), buckets(&blobs[..3]).len()), (16, 0, 1));
        blobs.push(Digest::of(b"another"));
        blobs.sort();
        let now: BTreeSet<Vec<Digest>> = buckets(&blobs).into_iter().map(<[Digest]>::to_vec).collect();
        assert_eq!((now.difference(&before).count(), before.difference(&now).count()), (1, 1));
    }
}
