//! A disk that fails while a file is decoded says nothing about its bytes: whatever read fails, the decode fails, and is never
//! a refusal or a shorter sound.

use datasets::{
    audio::decode::{DecodeError, decode_bytes, decode_reader},
    synth::Synth,
};
use std::{
    fs,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

/// Bytes of which one read fails, by its number.
struct Failing<'b> {
    bytes: Cursor<&'b [u8]>,
    left: u64,
}

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.left -= 1;
        self.bytes.read(out)
    }
}

impl Seek for Failing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

/// Decodes a file once for each read that may fail, and gives how many these are.
fn every_read_may_fail(name: &str, bytes: &'static [u8]) -> u64 {
    let whole = decode_bytes(bytes, &mut |_, _, _| Ok(())).ok();
    for left in 0..100_000 {
        let failing = Failing { bytes: Cursor::new(bytes), left };
        match decode_reader(failing, bytes.len() as u64, &mut |_, _, _| Ok(())) {
            Err(DecodeError::Failed(_)) => {}
            // No read was left to fail.
            found => {
                assert_eq!(found.ok(), whole, "{name}, after {left} reads");
                return left;
            }
        }
    }
    panic!("{name} is read over and over");
}

#[test]
fn a_wav_file_on_a_failing_disk() {
    let wav = Synth { pieces: 4, seed: 1, seconds: 2.0, grid: 0 }.wav(1);
    assert!(every_read_may_fail("a piece", wav.leak()) > 3);
    // Bytes that are no sound are looked at until the end.
    assert!(every_read_may_fail("a text", &[b'x'; 100_000]) > 0);
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn real_files_on_a_failing_disk() {
    let shared = std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED");
    for name in ["full.mp3", "full.flac", "full.ogg", "full.m4a", "full.aiff", "full.alac.m4a"] {
        let bytes = fs::read(Path::new(&shared).join("data/tricky/mediafile").join(name)).expect("a file");
        println!("{name}: {} reads", every_read_may_fail(name, bytes.leak()));
    }
}
