//! Ways in which bytes are damaged.

use datasets::environment::{HOSTILE_ROUNDS, HOSTILE_SEED};

/// How many rounds a test draws, where it would draw `usual`.
pub fn rounds(usual: u64) -> u64 {
    let factor = HOSTILE_ROUNDS.text().and_then(|text| text.parse().ok()).unwrap_or(1);
    usual * factor
}

/// A generator of its own: what is drawn follows from the seed and the name.
pub struct Draw(u64);

/// Numbers at which lengths go wrong.
const EXTREMES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];

impl Draw {
    pub fn of(name: &str) -> Draw {
        let seed = HOSTILE_SEED.text().and_then(|text| text.parse().ok()).unwrap_or(1u64);
        Draw(name.bytes().fold(seed, |all, byte| all.wrapping_mul(31).wrapping_add(byte.into())))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// A position, at the ends of the bytes as often as anywhere: there headers and footers lie.
    fn place(&mut self, length: usize) -> usize {
        let near = self.below(512.min(length as u64).max(1)) as usize;
        match self.below(3) {
            0 => near,
            1 => length.saturating_sub(1 + near),
            _ => self.below(length as u64) as usize,
        }
    }

    /// The bytes with one to three damages.
    pub fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            self.damage(&mut bytes);
        }
        bytes
    }

    /// A text with one to three damages, half of which keep it a text.
    pub fn damaged_text(&mut self, bytes: &[u8]) -> Vec<u8> {
        const WORDS: [&str; 12] = [
            "-1",
            "1e999",
            "18446744073709551616",
            "\"\"",
            "null",
            "[",
            "}",
            "\u{202e}",
            "\u{1b}[2J",
            "\0",
            "0",
            "4294967295",
        ];
        if self.below(2) == 0 {
            return self.damaged(bytes);
        }
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            // A run of digits, or what else stands there.
            let start = self.place(bytes.len());
            let from = bytes[start..].iter().position(u8::is_ascii_digit).map_or(start, |digit| start + digit);
            let end = from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let word = WORDS[self.below(WORDS.len() as u64) as usize];
            bytes.splice(from..end, word.bytes());
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.place(bytes.len());
        match self.below(8) {
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.below(256) as u8,
            3 => bytes.truncate(at),
            // A length is set to an extreme, in either order of bytes.
            4 | 5 => {
                let number = EXTREMES[self.below(EXTREMES.len() as u64) as usize];
                let width = 1 << self.below(4);
                let mut raw = number.to_le_bytes()[..width].to_vec();
                if self.below(2) == 0 {
                    raw.reverse();
                }
                bytes.iter_mut().skip(at).zip(raw).for_each(|(byte, new)| *byte = new);
            }
            // A piece is put elsewhere, doubled or taken out.
            6 => {
                let end = (at + 1 + self.below(64) as usize).min(bytes.len());
                let piece: Vec<u8> = bytes[at..end].to_vec();
                let to = self.place(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let end = (at + 1 + self.below(64) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
}
