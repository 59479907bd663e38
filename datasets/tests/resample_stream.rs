//! The resampler as a stream: blocks, channels, limits.

use datasets::audio::resample::{ResampleError, Resampler, output_frames};

/// Noise without an even spectrum or symmetry, the same in every run.
fn noise(samples: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..samples).map(|_| step()).collect()
}

/// Resamples in chunks of the given frames, over and over.
fn run(input: &[f32], rates: (u32, u32), channels: (u16, u16), chunks: &[usize]) -> Vec<f32> {
    let mut stream = Resampler::new(rates.0, rates.1, channels.0, channels.1).expect("a stream");
    let (mut out, mut rest) = (Vec::new(), input);
    for chunk in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((chunk * usize::from(channels.0)).min(rest.len()));
        stream.push(now, &mut out).expect("a push");
        rest = later;
    }
    stream.finish(&mut out).expect("an end");
    out
}

#[test]
fn the_cut_of_the_input_changes_no_bit() {
    for rates in [(48_000, 44_100), (22_050, 44_100), (44_100, 44_100), (96_000, 8_000)] {
        for channels in [(1, 1), (2, 1), (2, 2), (6, 1)] {
            let input = noise(20_011 * usize::from(channels.0));
            let whole = run(&input, rates, channels, &[usize::MAX / 16]);
            for chunks in [&[1][..], &[7, 1_279, 3], &[1_280], &[4_096, 1]] {
                assert_eq!(run(&input, rates, channels, chunks), whole, "{rates:?} {channels:?} {chunks:?}");
            }
            let frames = output_frames(20_011, rates.0, rates.1);
            assert_eq!(whole.len() as u64, frames * u64::from(channels.1));
        }
    }
}

#[test]
fn equal_rates_copy_the_bits() {
    let mut input = noise(30_000);
    input[5] = -0.0;
    input[6] = f32::MIN_POSITIVE / 4.0;
    let out = run(&input, (44_100, 44_100), (3, 3), &[100]);
    assert!(out.iter().zip(&input).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(out.len(), input.len());
}

#[test]
fn one_channel_is_the_mean_before_resampling() {
    let input = noise(9_000 * 6);
    let mean: Vec<f32> = input.chunks(6).map(|frame| frame.iter().sum::<f32>() / 6.0).collect();
    let mixed = run(&input, (48_000, 44_100), (6, 1), &[500]);
    assert_eq!(mixed, run(&mean, (48_000, 44_100), (1, 1), &[500]));
    assert_eq!(run(&[0.5, -0.25, 1.0, 0.0], (8_000, 8_000), (2, 1), &[1]), [0.125, 0.5]);
}

#[test]
fn kept_channels_are_resampled_each_alone_and_one_is_copied() {
    let input = noise(9_000 * 2);
    let both = run(&input, (48_000, 44_100), (2, 2), &[500]);
    for channel in 0..2 {
        let one: Vec<f32> = input.iter().skip(channel).step_by(2).copied().collect();
        let alone = run(&one, (48_000, 44_100), (1, 1), &[500]);
        let within: Vec<f32> = both.iter().skip(channel).step_by(2).copied().collect();
        assert_eq!(within, alone);
    }
    let mono = noise(5_000);
    let copied = run(&mono, (48_000, 44_100), (1, 2), &[500]);
    let single = run(&mono, (48_000, 44_100), (1, 1), &[500]);
    assert!(copied.chunks(2).zip(&single).all(|(pair, x)| pair == [*x, *x]));
    assert_eq!(copied.len(), single.len() * 2);
}

#[test]
fn what_has_no_rule_is_refused_in_a_sentence() {
    let refuse = |from, to, channels_in, channels_out| {
        let error = Resampler::new(from, to, channels_in, channels_out).expect_err("no rule");
        assert!(error.to_string().len() > 40, "{error}");
        error
    };
    assert!(matches!(refuse(0, 44_100, 1, 1), ResampleError::Rates { .. }));
    assert!(matches!(refuse(44_100, 999, 1, 1), ResampleError::Rates { .. }));
    assert!(matches!(refuse(4_000_000_000, 44_100, 1, 1), ResampleError::Rates { .. }));
    assert!(matches!(refuse(48_000, 44_100, 6, 2), ResampleError::Channels { .. }));
    assert!(matches!(refuse(48_000, 44_100, 0, 1), ResampleError::Channels { .. }));
    assert!(matches!(refuse(48_000, 44_100, 1, 0), ResampleError::Channels { .. }));
}

#[test]
fn coprime_rates_at_the_limits_work() {
    for (from, to) in [(767_999, 1_000), (1_000, 767_999), (767_999, 768_000)] {
        let input = vec![0.25; 3_000];
        let out = run(&input, (from, to), (1, 1), &[1_000]);
        assert_eq!(out.len() as u64, output_frames(3_000, from, to), "{from} -> {to}");
        assert!(out.iter().all(|x| x.is_finite() && x.abs() < 0.5), "{from} -> {to}");
    }
}
