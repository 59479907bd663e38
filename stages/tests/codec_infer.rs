//! One result whatever the length, the neighbours and the threads; and against a plain network on the whole clip.
use stages::model::codec::{Codec, CodecConfig, LevelConfig};
use stages::model::infer::{Coder, DecodeError};
use stages::model::weights::{Array, Arrays};

fn level(downs: &[u32], strides: &[u32], depth: usize) -> LevelConfig {
    LevelConfig {
        downs: downs.to_vec(),
        strides: strides.to_vec(),
        width: 4,
        depth,
        dilation_growth: 3,
        codewords: 32,
        oscillators: 0,
    }
}

/// Numbers that look random, the same everywhere.
fn noise(n: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        scale * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..n).map(|_| next()).collect()
}

fn codec() -> Codec {
    made(1, vec![level(&[1], &[], 2), level(&[1, 2], &[], 3), level(&[3, 1, 2], &[], 1)])
}

/// A codec with arbitrary weights, made through the published names.
fn made(channels: usize, levels: Vec<LevelConfig>) -> Codec {
    let config = CodecConfig { rate: 44_100, channels, dim: 3, levels };
    let mut arrays = Arrays::new();
    // Shapes come from the complaints about a codec without tensors: every name in turn.
    loop {
        match Codec::new(config.clone(), arrays.clone()) {
            Ok(codec) => return codec,
            Err(stages::model::weights::WeightsError::Missing(name)) => {
                arrays.insert(name, Array::zeros(&[1]));
            }
            Err(stages::model::weights::WeightsError::Shape { name, expected, .. }) => {
                let n = expected.iter().product();
                let data = noise(n, 1 + arrays.len() as u64 * 7, 0.6);
                let shape = expected;
                arrays.insert(name, Array { shape, data });
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// The encoder of one level on a whole clip in plain loops and 64-bit numbers: latents, `[time, dim]`.
fn plain_encoder(codec: &Codec, level: usize, samples: &[f32]) -> Vec<Vec<f64>> {
    let get = |name: String| &codec.arrays()[&name];
    let conv = |x: &[Vec<f64>], name: String, stride: usize, padding: usize, dilation: usize| -> Vec<Vec<f64>> {
        let (w, b) = (get(format!("{name}.weight")), get(format!("{name}.bias")));
        let [out, input, taps] = w.shape[..] else { panic!("rank") };
        let length = (x[0].len() + 2 * padding - dilation * (taps - 1) - 1) / stride + 1;
        let mut y = vec![vec![0.0; length]; out];
        for o in 0..out {
            for t in 0..length {
                let mut sum = f64::from(b.data[o]);
                for i in 0..input {
                    for k in 0..taps {
                        let at = (t * stride + k * dilation) as isize - padding as isize;
                        if at >= 0 && (at as usize) < x[i].len() {
                            sum += f64::from(w.data[(o * input + i) * taps + k]) * x[i][at as usize];
                        }
                    }
                }
                y[o][t] = sum;
            }
        }
        y
    };
    let relu = |x: &[Vec<f64>]| -> Vec<Vec<f64>> { x.iter().map(|r| r.iter().map(|v| v.max(0.0)).collect()).collect() };
    let config = &codec.config().levels[level];
    let channels = codec.config().channels;
    let channel = |c| samples.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let mut x: Vec<Vec<f64>> = (0..channels).map(channel).collect();
    for (block, downs) in config.downs.iter().enumerate() {
        let (base, stride) = (format!("encoders.{level}.level_blocks.{block}"), config.stride(block));
        for i in 0..*downs {
            x = conv(&x, format!("{base}.downsample_block.{}", 2 * i), stride, stride.div_ceil(2), 1);
            for d in 0..config.depth {
                let name = format!("{base}.downsample_block.{}.resnet_block.{d}", 2 * i + 1);
                let dilation = 3usize.pow(d as u32);
                let h = conv(&relu(&x), format!("{name}.conv1d_1"), 1, dilation, dilation);
                let h = conv(&relu(&h), format!("{name}.conv1d_2"), 1, 0, 1);
                for (x, h) in x.iter_mut().zip(h) {
                    x.iter_mut().zip(h).for_each(|(x, h)| *x += h);
                }
            }
        }
        x = conv(&x, format!("{base}.proj_out"), 1, 1, 1);
    }
    (0..x[0].len()).map(|t| x.iter().map(|c| c[t]).collect()).collect()
}

#[test]
fn tiles_compute_what_the_whole_network_computes() {
    let codec = codec();
    let coder = Coder::new(&codec).expect("a coder");
    // Shorter than a tile, one position over a tile, several tiles.
    for frames in [64, 16_384 + 64, 50_048] {
        let clip = noise(frames, 5, 0.5);
        for level in 0..3 {
            let plain = plain_encoder(&codec, level, &clip);
            let tiled = coder.latents(level, &clip);
            assert_eq!(tiled.len(), plain.len() * 3);
            for (t, row) in plain.iter().enumerate() {
                for (c, want) in row.iter().enumerate() {
                    let have = f64::from(tiled[t * 3 + c]);
                    assert!(
                        (have - want).abs() < 1e-4 * want.abs().max(1.0),
                        "{frames} {level} {t} {c}: {have} {want}"
                    );
                }
            }
        }
    }
}

/// Strides that are odd and that are not, in stereo, and the longest hops.
#[test]
fn tiles_of_any_strides_compute_what_the_whole_network_computes() {
    let odd = made(2, vec![level(&[1], &[3], 2), level(&[1, 2], &[3, 5], 2), level(&[1, 2, 1], &[3, 5, 4], 1)]);
    let long = made(2, vec![level(&[3, 2], &[8, 2], 1), level(&[4, 2, 1], &[4, 2, 4], 1)]);
    for (codec, frames) in [(odd, [300, 16_384 / 300 * 300 + 300]), (long, [4096, 10 * 4096])] {
        let coder = Coder::new(&codec).expect("a coder");
        for frames in frames {
            let clip = noise(2 * frames, 6, 0.5);
            for (level, config) in codec.config().levels.iter().enumerate() {
                let plain = plain_encoder(&codec, level, &clip);
                let tiled = coder.latents(level, &clip);
                assert_eq!((tiled.len(), plain.len()), (plain.len() * 3, frames / config.hop()));
                for (have, want) in tiled.iter().zip(plain.iter().flatten()) {
                    let apart = (f64::from(*have) - want).abs();
                    assert!(apart < 1e-4 * want.abs().max(1.0), "{frames} {level}: {have} {want}");
                }
            }
        }
    }
}

/// Sound that comes and goes in pieces is that of a whole file in memory, bit for bit.
#[test]
fn a_stream_is_the_whole() {
    let codec = made(2, vec![level(&[1, 1], &[3, 2], 2), level(&[1, 1, 1], &[3, 2, 5], 1)]);
    let coder = Coder::new(&codec).expect("a coder");
    let clip = noise(2 * 40_007, 8, 0.5);
    let whole = coder.encode_samples(&clip);
    assert_eq!(whole.iter().map(|codes| codes.len() as u64).collect::<Vec<_>>(), coder.lengths(40_007));
    let (mut streamed, mut largest) = (vec![Vec::new(); 2], 0);
    let mut read = |first: u64, out: &mut [f32]| {
        largest = out.len().max(largest);
        out.copy_from_slice(&clip[2 * first as usize..][..out.len()]);
        Ok::<(), String>(())
    };
    coder.encode(40_007, &mut read, &mut |l, c| streamed[l].extend_from_slice(c)).expect("readable").expect("finite");
    assert_eq!(streamed, whole);
    assert!(largest <= 2 * 16_384, "{largest} samples at a time");
    for (level, codes) in whole.iter().enumerate() {
        let (mut pieces, mut largest) = (Vec::new(), 0);
        let put = &mut |more: &[f32]| {
            largest = more.len().max(largest);
            pieces.extend(more.iter().map(|v| v.to_bits()));
        };
        coder.decode(level, codes, put).expect("valid codes");
        let all = coder.decode_samples(level, codes, 40_007).expect("valid codes");
        assert_eq!(pieces[..2 * 40_007], all.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        assert!(largest <= 2 * 16_384, "{largest} samples at a time");
    }
}

#[test]
fn one_result_for_any_reader_neighbour_and_number_of_threads() {
    let codec = codec();
    let coder = Coder::new(&codec).expect("a coder");
    // Not a multiple of any hop.
    let clip = noise(40_001, 9, 0.5);
    let once = coder.encode_samples(&clip);
    let lengths: Vec<u64> = once.iter().map(|c| c.len() as u64).collect();
    assert_eq!(lengths, coder.lengths(40_001));
    assert_eq!(lengths, [40_064 / 2, 40_064 / 8, 40_064 / 64]);

    // As a span of a longer recording.
    let mut recording = noise(10_000, 3, 0.9);
    recording.extend(&clip);
    recording.extend(noise(5_000, 4, 0.9));
    let mut span = vec![Vec::new(); 3];
    let mut read = |first: u64, out: &mut [f32]| {
        out.copy_from_slice(&recording[10_000 + first as usize..][..out.len()]);
        Ok::<(), String>(())
    };
    coder.encode(40_001, &mut read, &mut |l, c| span[l].extend_from_slice(c)).expect("readable").expect("finite");
    assert_eq!(span, once);

    // With other clips encoded at the same time, on one thread and on two.
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let (a, b) = pool.install(|| rayon::join(|| coder.encode_samples(&clip), || coder.encode_samples(&recording)));
        assert_eq!(a, once, "{threads} threads");
        assert_ne!(b[0][..a[0].len()], a[0][..]);
        let mut sound = Vec::new();
        pool.install(|| coder.decode(1, &once[1], &mut |y| sound.extend(y.iter().map(|v| v.to_bits()))))
            .expect("valid codes");
        assert_eq!(sound.len(), 40_064);
        let mut whole = Vec::new();
        coder.decode(1, &once[1], &mut |y| whole.extend(y.iter().map(|v| v.to_bits()))).expect("valid codes");
        assert_eq!(sound, whole);
    }
}

#[test]
fn bad_codes_and_failing_readers_are_errors() {
    let coder = Coder::new(&codec()).expect("a coder");
    let error = coder.decode(2, &[1, 32], &mut |_| {}).expect_err("code 32 of 32");
    assert_eq!(error, DecodeError::Code { level: 2, at: 1, code: 32, codewords: 32 });
    assert_eq!(coder.decode(3, &[], &mut |_| {}), Err(DecodeError::Level { level: 3, levels: 3 }));
    let failing = coder.encode(100, &mut |_, _| Err("gone"), &mut |_, _| {});
    assert_eq!(failing, Err("gone"));
    assert_eq!(coder.encode_samples(&[]), vec![Vec::<u16>::new(); 3]);
}
