//! Sorting millions of texts that begin alike, as the ids of a corpus do.

/// The order of texts that have so many bytes in common, by those that follow: most are told apart without being looked at.
#[derive(Clone, Copy)]
pub(crate) struct Start(usize);

impl Start {
    /// Finds the longest common prefix.
    pub(crate) fn of<'t>(mut texts: impl Iterator<Item = &'t [u8]>) -> Start {
        let Some(first) = texts.next() else { return Start(0) };
        Start(texts.fold(first.len(), |common, text| {
            let same = first[..common] == text[..common.min(text.len())];
            if same { common } else { first.iter().zip(text).take_while(|(a, b)| a == b).count() }
        }))
    }

    /// The sixteen bytes after them, as a number that sorts as they do. Two texts may have one number: of them the texts decide.
    pub(crate) fn key(self, text: &[u8]) -> u128 {
        let mut bytes = [0; 16];
        let rest = text.get(self.0..).unwrap_or_default();
        let len = rest.len().min(16);
        bytes[..len].copy_from_slice(&rest[..len]);
        u128::from_be_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_texts_do() {
        let texts = ["t/", "t/a", "t/aa\u{e9}", "t/b/0123456789abcdef", "t/b/0123456789abcdefg", "t/c"];
        let start = Start::of(texts.iter().map(|text| text.as_bytes()));
        let common = |texts: &[&str]| Start::of(texts.iter().map(|text| text.as_bytes())).0;
        assert_eq!((start.0, common(&["same", "same"]), common(&[])), (2, 4, 0));
        assert!(texts.windows(2).all(|pair| start.key(pair[0].as_bytes()) <= start.key(pair[1].as_bytes())));
    }
}
