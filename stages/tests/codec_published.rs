//! A second published codec, small enough to be here: stereo, strides of 2, 3 and 4, and what a plain network computes with
//! it. `scripts/published_codec.py` makes its files.

use datasets::untrusted::tensors::TensorFile;
use safetensors::SafeTensors;
use stages::model::codec::{Codec, Unstated, export, import, unstated};
use stages::model::infer::Coder;
use std::path::{Path, PathBuf};

const FRAMES: usize = 192 * 100;
/// Frames of the reconstructions that were kept.
const KEPT: [std::ops::Range<usize>; 2] = [0..768, 16_128..16_896];

fn at(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/published").join(name)
}

fn imported(name: &str, unstated: Unstated) -> Codec {
    import(&mut TensorFile::open(&at(name)).expect("tensors"), &unstated).expect("a codec")
}

/// What the pickle of the zip archive states beside its tensors.
const STATED: Unstated = Unstated { rate: Some(22_050), dilation_growth: Some(3) };

/// The input, channels interleaved.
fn sound() -> Vec<f32> {
    let sample = |t: i64, c: i64| ((t * t * (7 + 4 * c) / 64 + 13 * t * c) % 2048) as f32 / 2048.0 - 0.5;
    (0..FRAMES as i64).flat_map(|t| [sample(t, 0), sample(t, 1)]).collect()
}

#[test]
fn one_codec_whatever_file_it_was_published_as() {
    let codec = imported("codec.pth", Unstated::default());
    let config = codec.config();
    assert_eq!((config.rate, config.channels, config.dim), (22_050, 2, 5));
    let levels: Vec<(&[u32], &[u32], usize)> =
        config.levels.iter().map(|level| (&level.downs[..], &level.strides[..], level.hop())).collect();
    let expected: [(&[u32], &[u32], usize); 3] =
        [(&[1, 1], &[3, 2], 6), (&[1, 1, 1], &[3, 2, 4], 24), (&[1, 2, 1, 1], &[3, 2, 4, 4], 192)];
    assert_eq!(levels, expected);
    assert_eq!(imported("codec.pth.tar", STATED), codec);
    assert_eq!(imported("codec.bf16.safetensors", STATED), codec);
    // What is given goes before what the file states.
    let given = imported("codec.pth", Unstated { rate: Some(8000), dilation_growth: Some(1) });
    assert_eq!((given.config().rate, given.config().levels[0].dilation_growth), (8000, 1));
}

#[test]
fn what_is_exported_is_imported_bit_for_bit() {
    let codec = imported("codec.pth", Unstated::default());
    let bytes = export(&codec).expect("published names");
    assert_eq!(unstated(codec.config()), Unstated { rate: Some(22_050), dilation_growth: None });
    let mut file = TensorFile::new(std::io::Cursor::new(&bytes), bytes.len() as u64).expect("safetensors");
    let again = import(&mut file, &unstated(codec.config())).expect("a codec");
    assert_eq!(again.to_bytes().expect("bytes"), codec.to_bytes().expect("bytes"));
    assert_eq!(export(&again).expect("published names"), bytes);
    // Our own files hold what a published one does not.
    let own = codec.to_bytes().expect("bytes");
    let mut file = TensorFile::new(std::io::Cursor::new(&own), own.len() as u64).expect("safetensors");
    let refused = import(&mut file, &Unstated::default()).expect_err("refused");
    assert_eq!(refused.to_string(), "it is a codec of Refrain's own: it needs no import");
}

#[test]
fn codes_and_reconstructions_are_those_of_a_plain_network() {
    let codec = imported("codec.pth", Unstated::default());
    let bytes = std::fs::read(at("expected.safetensors")).expect("a file");
    let expected = SafeTensors::deserialize(&bytes).expect("safetensors");
    let words =
        |name: String| -> Vec<[u8; 4]> { expected.tensor(&name).expect("a tensor").data().as_chunks::<4>().0.to_vec() };
    let (coder, sound) = (Coder::new(&codec).expect("a coder"), sound());
    let found = coder.encode_samples(&sound);
    for (level, have) in found.iter().enumerate() {
        let want: Vec<u16> = words(format!("codes.{level}")).iter().map(|w| i32::from_le_bytes(*w) as u16).collect();
        assert_eq!(have.len(), want.len());
        let wrong: Vec<usize> = (0..want.len()).filter(|i| have[*i] != want[*i]).collect();
        println!("level {level}: {} of {} codes differ", wrong.len(), want.len());
        assert!(wrong.len() as f64 <= 0.002 * want.len() as f64, "level {level}: {}", wrong.len());
        // A code may differ only where two codewords are as near as each other but for rounding.
        let (dim, latents) = (codec.config().dim, coder.latents(level, &sound));
        for at in wrong {
            let distance = |code: u16| -> f64 {
                let word = &codec.codebook(level)[usize::from(code) * dim..][..dim];
                latents[at * dim..][..dim].iter().zip(word).map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            let (a, b) = (distance(have[at]), distance(want[at]));
            assert!((a - b).abs() / b < 1e-3, "level {level}, position {at}: {a} against {b}");
        }
        let whole = coder.decode_samples(level, &want, FRAMES as u64).expect("valid codes");
        let recon: Vec<f32> = words(format!("recon.{level}")).iter().map(|w| f32::from_le_bytes(*w)).collect();
        let kept = || KEPT.into_iter().flatten();
        let peak = recon.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
        let have = (0..2).flat_map(|channel| kept().map(move |frame| 2 * frame + channel)).map(|at| whole[at]);
        let worst = have.zip(&recon).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("level {level}: reconstruction within {:e} of the peak", worst / peak);
        assert_eq!(recon.len(), 2 * kept().count());
        assert!(worst < 1e-3 * peak, "level {level}: {worst} of {peak}");
    }
}
