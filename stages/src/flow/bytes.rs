//! Keys and values of traces as bytes that lie together.
//!
//! A trace of a million rows as vectors of bytes has two million allocations of their own. Here a row takes its bytes and
//! eight more.

use differential_dataflow::trace::implementations::BatchContainer;
use timely::container::PushInto;

/// Bytes lie together in blocks of this size, so that what is freed goes back to the system; what is longer has one for itself.
const BLOCK: usize = 1 << 22;

/// Strings of bytes, one after another.
#[derive(Default)]
pub(super) struct Texts {
    /// Start of each text: block and offset. A text ends where the next begins, or with its block.
    starts: Vec<(u32, u32)>,
    blocks: Vec<Vec<u8>>,
}

impl PushInto<&[u8]> for Texts {
    fn push_into(&mut self, text: &[u8]) {
        let fits = |block: &Vec<u8>| block.len() + text.len() <= BLOCK;
        if !self.blocks.last().is_some_and(fits) {
            // The first grows as it is filled: most traces are small.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room.max(text.len())));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        self.starts.push((number as u32, block.len() as u32));
        block.extend_from_slice(text);
    }
}

impl PushInto<Vec<u8>> for Texts {
    fn push_into(&mut self, text: Vec<u8>) {
        self.push_into(text.as_slice());
    }
}

impl BatchContainer for Texts {
    type Owned = Vec<u8>;
    type ReadItem<'a> = &'a [u8];

    fn into_owned(text: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    fn clone_onto(text: &[u8], other: &mut Vec<u8>) {
        other.clear();
        other.extend_from_slice(text);
    }

    fn push_ref(&mut self, text: &[u8]) {
        self.push_into(text);
    }

    fn push_own(&mut self, text: &Vec<u8>) {
        self.push_into(text.as_slice());
    }

    fn clear(&mut self) {
        self.starts.clear();
        self.blocks.clear();
    }

    fn with_capacity(size: usize) -> Texts {
        Texts { starts: Vec::with_capacity(size), blocks: Vec::new() }
    }

    fn merge_capacity(one: &Texts, other: &Texts) -> Texts {
        Texts::with_capacity(one.starts.len() + other.starts.len())
    }

    fn reborrow<'b, 'a: 'b>(text: &'a [u8]) -> &'b [u8] {
        text
    }

    fn index(&self, index: usize) -> &[u8] {
        let (block, start) = self.starts[index];
        let bytes = &self.blocks[block as usize];
        match self.starts.get(index + 1) {
            Some((next, end)) if *next == block => &bytes[start as usize..*end as usize],
            _ => &bytes[start as usize..],
        }
    }

    fn len(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_pushed() {
        let sizes = [0, 1, 70_000, 0, 0, BLOCK, BLOCK + 1, 7, BLOCK / 2 + 1, BLOCK / 2, 0];
        let texts: Vec<Vec<u8>> = sizes.iter().zip(0..).map(|(size, byte)| vec![byte; *size]).collect();
        let mut all = Texts::with_capacity(3);
        texts.iter().for_each(|text| all.push_own(text));
        assert_eq!(all.len(), texts.len());
        (0..all.len()).for_each(|i| assert_eq!(all.index(i), &texts[i][..], "{i}"));
        let mut both = Texts::merge_capacity(&all, &all);
        (0..all.len()).chain(0..all.len()).for_each(|i| both.push_ref(all.index(i)));
        assert_eq!((both.len(), both.index(13)), (22, &texts[2][..]));
        both.clear();
        both.push_into(vec![3]);
        assert_eq!((both.len(), both.last()), (1, Some(&[3_u8][..])));
    }
}
