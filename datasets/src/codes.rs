//! The codes of one clip as an object of the store: per level its length (u64) and its codes (u16), little-endian.

/// Packs the codes of all levels, the bottom first.
pub fn pack(levels: &[Vec<u16>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(levels.iter().map(|l| 8 + 2 * l.len()).sum());
    for level in levels {
        bytes.extend((level.len() as u64).to_le_bytes());
        bytes.extend(level.iter().flat_map(|code| code.to_le_bytes()));
    }
    bytes
}

/// Unpacks what [`pack`] made; none where the bytes are something else.
pub fn unpack(mut bytes: &[u8]) -> Option<Vec<Vec<u16>>> {
    let mut levels = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*head)).ok()?.checked_mul(2)?;
        let (codes, rest) = rest.split_at_checked(length)?;
        levels.push(codes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect());
        bytes = rest;
    }
    Some(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_both_ways_and_refuses_what_is_cut() {
        let levels = vec![vec![1, 2, 65_535], vec![], vec![7]];
        let bytes = pack(&levels);
        assert_eq!(unpack(&bytes), Some(levels));
        assert_eq!(unpack(&bytes[..bytes.len() - 1]), None);
        assert_eq!(unpack(&[255; 16]), None);
    }
}
