//! The view of a shard: what training reads of it, as one digest.

use super::{ShardMeta, ShardRow};

/// Digest of what training reads of a set of clips: the sum of a digest of each clip, modulo 2^256 (AdHash,
/// Bellare and Micciancio 1997). A sum knows neither the order of clips nor the files that they lie in, so the views
/// of shards add up to that of the corpus, and a renamed track, which may move to another shard, changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View([u8; 32]);

impl View {
    /// The bytes of the digest.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// The view that such a digest stands for.
    pub fn from_bytes(bytes: [u8; 32]) -> View {
        View(bytes)
    }

    /// The view of both sets together.
    #[must_use]
    pub fn plus(self, other: View) -> View {
        let mut carry = 0u16;
        let mut sum = [0; 32];
        for (byte, (a, b)) in sum.iter_mut().zip(self.0.iter().zip(&other.0)) {
            carry += u16::from(*a) + u16::from(*b);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        View(sum)
    }
}

impl std::iter::Sum for View {
    fn sum<I: Iterator<Item = View>>(views: I) -> View {
        views.fold(View::default(), View::plus)
    }
}

/// The view of one clip: samples, first frame, length, split, conditioning labels (genre and artist) and codes, with
/// rate, hops and codewords.
pub fn clip_view(row: &ShardRow, meta: &ShardMeta) -> View {
    let mut hasher = blake3::Hasher::new_derive_key("refrain 1 view of a clip");
    let mut number = |n: u64| {
        hasher.update(&n.to_le_bytes());
    };
    number(meta.rate.into());
    for numbers in [&meta.hops, &meta.codewords] {
        number(numbers.len() as u64);
        numbers.iter().for_each(|n| number((*n).into()));
    }
    [row.start, row.frames].into_iter().for_each(&mut number);
    hasher.update(&row.samples);
    let mut text = |text: Option<&str>| {
        // A length before each text keeps neighbours apart; none is not the empty text.
        hasher.update(&[u8::from(text.is_some())]);
        let text = text.unwrap_or_default();
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(Some(&row.split));
    text(row.labels.genre.as_deref());
    text(row.labels.artist.as_deref());
    hasher.update(&(row.codes.len() as u64).to_le_bytes());
    let mut bytes = Vec::new();
    for codes in &row.codes {
        hasher.update(&(codes.len() as u64).to_le_bytes());
        bytes.clear();
        bytes.extend(codes.iter().flat_map(|code| code.to_le_bytes()));
        hasher.update(&bytes);
    }
    View(hasher.finalize().into())
}

/// The view of these rows. Ids, titles, licenses, attribution, sources, the corpus's own columns
/// and the digests of files and codec are not in it.
pub fn view(rows: &[ShardRow], meta: &ShardMeta) -> View {
    rows.iter().map(|row| clip_view(row, meta)).sum()
}
