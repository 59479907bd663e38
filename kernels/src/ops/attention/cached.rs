//! Causal attention with relative positions for one position after another, keys and values kept.

use crate::cpu::dispatch::Level;
use crate::cpu::exp::exp;
use crate::cpu::panel::{Grid, One, Panel, Start, Strips};
use crate::cpu::product::Out;
use crate::cpu::simd::LANES;
use crate::cpu::tile::{row_stride, row_sum};

/// The extents of an attention and its distances, ready for [`CachedAttention::see`].
pub struct CachedAttention {
    heads: usize,
    size: usize,
    context: usize,
    /// `[heads, size, context]`: the embedding of the farthest distance of a window first, with room for 16 more.
    table: Vec<f32>,
    row: usize,
}

/// Keys and values of the positions of one sequence so far, in one layer.
pub struct KeyValues {
    filled: usize,
    /// `[channels, context]`, with room for 16 more.
    keys: Vec<f32>,
    /// `[context, channels]`, likewise.
    values: Vec<f32>,
}

impl KeyValues {
    /// Forgets all positions.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// How many positions there are.
    pub fn filled(&self) -> usize {
        self.filled
    }
}

impl CachedAttention {
    /// For windows of `context` positions; `distances` is `[heads, distances, size]`, as for
    /// [`relative_attention`](super::relative_attention).
    ///
    /// # Panics
    /// If the length does not fit, or an extent is 0.
    pub fn new(heads: usize, size: usize, context: usize, distances: &[f32]) -> Self {
        let (known, row) = (distances.len() / (heads * size), row_stride(context + LANES));
        assert_eq!(known * heads * size, distances.len(), "attention: {heads} heads of {size}");
        assert!(known > 0 && context > 0, "attention: no distance has an embedding, or the window is empty");
        let mut table = vec![0.0; heads * size * row];
        for (channel, to) in table.chunks_exact_mut(row).enumerate() {
            let (head, c) = (channel / size, channel % size);
            for (at, to) in to[..context].iter_mut().enumerate() {
                *to = distances[(head * known + (context - 1 - at).min(known - 1)) * size + c];
            }
        }
        Self { heads, size, context, table, row }
    }

    fn channels(&self) -> usize {
        self.heads * self.size
    }

    /// Room for the positions of one window.
    pub fn room(&self) -> KeyValues {
        let values = self.context * self.channels() + LANES;
        KeyValues { filled: 0, keys: vec![0.0; self.channels() * self.row], values: vec![0.0; values] }
    }

    /// Adds a position with its key and value `[channels]`.
    ///
    /// # Panics
    /// If the window is full, or a length does not fit.
    pub fn push(&self, seen: &mut KeyValues, key: &[f32], value: &[f32]) {
        let (at, channels) = (seen.filled, self.channels());
        assert!(at < self.context, "attention: a window of {} positions is full", self.context);
        assert!(key.len() == channels && value.len() == channels, "attention: channels of key and value");
        for (row, k) in seen.keys.chunks_exact_mut(self.row).zip(key) {
            row[at] = *k;
        }
        seen.values[at * channels..][..channels].copy_from_slice(value);
        seen.filled += 1;
    }

    /// What the query q `[channels]` of a position sees of those up to it, to `y` `[channels]`; `scratch` is room to
    /// work in.
    ///
    /// # Panics
    /// If the position is not there yet, or a length does not fit.
    pub fn see(&self, seen: &KeyValues, position: usize, q: &[f32], y: &mut [f32], scratch: &mut Vec<f32>) {
        let (size, channels, level) = (self.size, self.channels(), Level::detect());
        let (n, lanes) = (position + 1, (position + 1).next_multiple_of(LANES));
        assert!(n <= seen.filled, "attention: position {position} of {}", seen.filled);
        assert!(q.len() == channels && y.len() == channels, "attention: channels of query and result");
        assert!(seen.keys.len() == self.table.len() && seen.values.len() == self.context * channels + LANES);
        let scale = 1.0 / (size as f32).sqrt();
        scratch.clear();
        scratch.resize(lanes + size.next_multiple_of(LANES), 0.0);
        let (scores, own) = scratch.split_at_mut(lanes);
        for head in 0..self.heads {
            let row = self.row;
            let panel = Panel { rows: 1, terms: size, lanes };
            let query = One(Grid { at: q[head * size..].as_ptr(), row: 0, term: 1 });
            let keys = Strips { at: seen.keys[head * size * row..].as_ptr(), strip: LANES, term: row };
            let first = head * size * row + self.context - n;
            let far = Strips { at: self.table[first..].as_ptr(), strip: LANES, term: row };
            let out = Out { at: scores.as_mut_ptr(), stride: lanes };
            // SAFETY: a row of keys and one of the table have room for 16 lanes beyond the window; query and scores
            // were checked and made.
            unsafe {
                panel.multiply(level, keys, query, Start::Zero, out);
                panel.multiply(level, far, query, Start::Kept, out);
            }
            let most = scores[..n].iter().fold(f32::NEG_INFINITY, |most, s| if *s > most { *s } else { most });
            scores[..n].iter_mut().for_each(|s| *s = exp((*s - most) * scale));
            let share = 1.0 / row_sum(&scores[..n]);
            let panel = Panel { rows: 1, terms: n, lanes: own.len() };
            let weights = One(Grid { at: scores.as_ptr(), row: 0, term: 1 });
            let values = Strips { at: seen.values[head * size..].as_ptr(), strip: LANES, term: channels };
            let out = Out { at: own.as_mut_ptr(), stride: own.len() };
            // SAFETY: the lanes of the last value reach at most 15 floats beyond its channels, for which there is room.
            unsafe { panel.multiply(level, values, weights, Start::Zero, out) };
            y[head * size..][..size].iter_mut().zip(&*own).for_each(|(y, v)| *y = v * share);
        }
    }
}
