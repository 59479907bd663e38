//! The published architecture at its full size: codes and reconstructions of the reference implementation.
use std::path::PathBuf;

use datasets::untrusted::tensors::TensorFile;
use safetensors::SafeTensors;
use stages::model::codec::{Codec, Unstated, export, import};
use stages::model::infer::Coder;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("REFRAIN_SHARED").expect("REFRAIN_SHARED")).join("parity/jukebox_vqvae")
}

fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect("the tensor is there");
    view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn codes(file: &SafeTensors, level: usize) -> Vec<u16> {
    let view = file.tensor(&format!("codes.{level}")).expect("the tensor is there");
    let (words, _) = view.data().as_chunks::<4>();
    words.iter().map(|b| i32::from_le_bytes(*b) as u16).collect()
}

#[test]
#[ignore = "needs REFRAIN_SHARED"]
fn codes_and_reconstructions_are_those_of_the_reference() {
    let folder = folder();
    let codec = Codec::load(&std::fs::read(folder.join("model.safetensors")).expect("a file")).expect("a codec");
    let hops: Vec<usize> = codec.config().levels.iter().map(|l| l.hop()).collect();
    assert_eq!(hops, [8, 32, 128]);
    let widths: Vec<(usize, usize)> = codec.config().levels.iter().map(|l| (l.width, l.depth)).collect();
    assert_eq!(widths, [(64, 8), (32, 4), (32, 4)]);
    // Written in our own form and read again, it is the same codec.
    let again = Codec::load(&codec.to_bytes().expect("bytes")).expect("a codec");
    assert_eq!(again, codec);

    // Imported, it is the same codec, and what is exported is imported again.
    let mut file = TensorFile::open(&folder.join("model.safetensors")).expect("tensors");
    assert_eq!(import(&mut file, &Unstated::default()).expect("a codec"), codec);
    let exported = export(&codec).expect("published names");
    let mut file = TensorFile::new(std::io::Cursor::new(&exported), exported.len() as u64).expect("tensors");
    let back = import(&mut file, &Unstated::default()).expect("a codec");
    assert_eq!(back.to_bytes().expect("bytes"), codec.to_bytes().expect("bytes"));

    let bytes = std::fs::read(folder.join("expected.safetensors")).expect("a file");
    let expected = SafeTensors::deserialize(&bytes).expect("safetensors");
    let input = floats(&expected, "input");
    let coder = Coder::new(&codec).expect("a coder");
    let found: Vec<Vec<Vec<u16>>> = input.chunks(65_536).map(|clip| coder.encode_samples(clip)).collect();
    for level in 0..3 {
        let want = codes(&expected, level);
        let have: Vec<u16> = found.iter().flat_map(|clip| clip[level].clone()).collect();
        assert_eq!(have.len(), want.len());
        let wrong: Vec<usize> = (0..want.len()).filter(|i| have[*i] != want[*i]).collect();
        println!("level {level}: {} of {} codes differ", wrong.len(), want.len());
        assert!(wrong.len() as f64 <= 0.002 * want.len() as f64, "level {level}: {}", wrong.len());
        // A code may differ only where two codewords are as near as each other but for rounding.
        let book = codec.codebook(level);
        let latents: Vec<f32> = input.chunks(65_536).flat_map(|clip| coder.latents(level, clip)).collect();
        for at in wrong {
            let z = &latents[at * 64..][..64];
            let distance = |code: u16| -> f64 {
                let word = &book[usize::from(code) * 64..][..64];
                z.iter().zip(word).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum()
            };
            let (a, b) = (distance(have[at]), distance(want[at]));
            assert!((a - b).abs() / b < 1e-3, "level {level}, position {at}: {a} against {b}");
        }

        let want = floats(&expected, &format!("latent.{level}"));
        for t in 0..16 {
            for c in 0..64 {
                let (a, b) = (latents[t * 64 + c], want[c * 16 + t]);
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "latent {level} {t} {c}: {a} {b}");
            }
        }

        let want = floats(&expected, &format!("recon.{level}"));
        let mut have = Vec::new();
        let first = codes(&expected, level);
        coder.decode(level, &first[..first.len() / 2], &mut |y| have.extend_from_slice(y)).expect("valid codes");
        assert_eq!(have.len(), 65_536);
        let worst = have.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let peak = want.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
        println!("level {level}: reconstruction within {worst:e}, {:e} of the peak", worst / peak);
        assert!(worst < 1e-4 && worst < 1e-3 * peak, "level {level}: {worst} of {peak}");
    }
}
