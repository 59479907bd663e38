//! Mono 16-bit PCM in a RIFF file, with its description in a `LIST INFO` chunk.

/// The fields of the `INFO` chunk, in the order they are written.
pub(super) type Info<'a> = [(&'static [u8; 4], &'a str)];

/// The bytes of a WAV file (Multimedia Programming Interface and Data Specifications 1.0, 1991).
pub(super) fn encode(samples: &[i16], rate: u32, info: &Info) -> Vec<u8> {
    let mut list = b"INFO".to_vec();
    for (id, text) in info {
        // Texts end in a zero; chunks have even lengths.
        chunk(&mut list, id, &[text.as_bytes(), &[0]].concat());
    }
    let mut format = Vec::with_capacity(16);
    format.extend(1u16.to_le_bytes()); // PCM
    format.extend(1u16.to_le_bytes()); // one channel
    format.extend(rate.to_le_bytes());
    format.extend((2 * rate).to_le_bytes()); // bytes a second
    format.extend(2u16.to_le_bytes()); // bytes a frame
    format.extend(16u16.to_le_bytes()); // bits a sample
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let mut body = b"WAVE".to_vec();
    chunk(&mut body, b"fmt ", &format);
    chunk(&mut body, b"LIST", &list);
    chunk(&mut body, b"data", &data);
    let mut file = Vec::with_capacity(body.len() + 8);
    chunk(&mut file, b"RIFF", &body);
    file
}

fn chunk(out: &mut Vec<u8>, id: &[u8; 4], body: &[u8]) {
    out.extend(id);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
}

/// The body of the first chunk named `id` in a list of chunks.
pub(super) fn find<'a>(mut bytes: &'a [u8], id: &[u8; 4]) -> Option<&'a [u8]> {
    while bytes.len() >= 8 {
        let (head, rest) = bytes.split_at(8);
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if &head[..4] == id {
            return rest.get(..len);
        }
        bytes = rest.get(len + len % 2..)?;
    }
    None
}

/// The comment (`ICMT`) and the sample bytes of a WAV file.
pub(super) fn comment_and_data(file: &[u8]) -> Option<(&str, &[u8])> {
    let body = find(file, b"RIFF")?.strip_prefix(b"WAVE")?;
    let list = find(body, b"LIST")?.strip_prefix(b"INFO")?;
    let comment = find(list, b"ICMT")?.split(|&b| b == 0).next()?;
    Some((std::str::from_utf8(comment).ok()?, find(body, b"data")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let file = encode(&[1, -2, 300], 44_100, &[(b"INAM", "odd"), (b"ICMT", "even")]);
        let (comment, data) = comment_and_data(&file).unwrap();
        assert_eq!((comment, data), ("even", &[1, 0, 254, 255, 44, 1][..]));
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
        for cut in 0..file.len() - 1 {
            assert!(comment_and_data(&file[..cut]).is_none());
        }
    }
}
