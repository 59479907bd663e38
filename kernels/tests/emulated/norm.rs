//! Layer normalisation and cross-entropy.

use kernels::device::{Cpu, Device};
use kernels::launch::{cross_entropy, layer_norm};
use kernels::ops::cross_entropy::{Labels, cross_entropy as on_the_cpu};
use kernels::tensor::{DType, Slice};

use crate::plain::{Noise, to_f64};
use crate::{bytes, near, room, run, words};

#[test]
#[ignore = "needs a C++ compiler"]
fn layer_norms_and_their_gradients() {
    for shape in [[1, 2, 1], [2, 5, 33], [1, 70, 64], [3, 19, 300]] {
        let [batch, channels, positions] = shape;
        let mut noise = Noise::new(channels as u64);
        let x: Vec<f32> = noise.floats(batch * channels * positions).into_iter().map(|v| 3.0 * v + 2.0).collect();
        let (gain, bias, dy) = (noise.floats(channels), noise.floats(channels), noise.floats(x.len()));
        let [xd, gaind, biasd, dyd] = [&x, &gain, &bias, &dy].map(|v| to_f64(v));
        let [mut y, mut dx] = [0, 1].map(|_| vec![0.0; x.len()]);
        let (mut kept, mut dgain, mut dbias) =
            (vec![0.0; 2 * batch * positions], vec![0.0; channels], vec![0.0; channels]);
        for (item, at) in (0..batch).flat_map(|item| (0..positions).map(move |at| (item, at))) {
            let place = |c: usize| (item * channels + c) * positions + at;
            let mean_of = |f: &dyn Fn(usize) -> f64| (0..channels).map(f).sum::<f64>() / channels as f64;
            let mean = mean_of(&|c| xd[place(c)]);
            let scale = 1.0 / (mean_of(&|c| (xd[place(c)] - mean).powi(2)) + 1e-5).sqrt();
            (kept[2 * item * positions + at], kept[(2 * item + 1) * positions + at]) = (mean, scale);
            let normed = |c: usize| (xd[place(c)] - mean) * scale;
            let flat = mean_of(&|c| dyd[place(c)] * gaind[c]);
            let along = mean_of(&|c| dyd[place(c)] * gaind[c] * normed(c));
            for c in 0..channels {
                y[place(c)] = normed(c) * gaind[c] + biasd[c];
                dx[place(c)] = (dyd[place(c)] * gaind[c] - flat - normed(c) * along) * scale;
                dgain[c] += dyd[place(c)] * normed(c);
                dbias[c] += dyd[place(c)];
            }
        }
        let got = run(
            &layer_norm::forward(shape, DType::F32),
            &[&x, &gain, &bias].map(|v| bytes(v)),
            &[room(y.len()), room(kept.len())],
        );
        near("y", &words(&got[0]), &y, 1e-5);
        near("kept", &words(&got[1]), &kept, 1e-5);
        let inputs = [bytes(&x), bytes(&gain), got[1].clone(), bytes(&dy)];
        let got =
            run(&layer_norm::backward(shape, DType::F32), &inputs, &[room(dx.len()), room(channels), room(channels)]);
        near("dx", &words(&got[0]), &dx, 1e-5);
        near("gain", &words(&got[1]), &dgain, 1e-5);
        near("bias", &words(&got[2]), &dbias, 1e-5);
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn cross_entropy_and_its_gradient_are_the_cpus() {
    for (items, codewords, positions) in [(1, 1, 1), (2, 5, 31), (1, 40, 33), (3, 17, 70)] {
        let mut noise = Noise::new(codewords as u64);
        let logits: Vec<f32> = noise.floats(items * codewords * positions).into_iter().map(|v| 8.0 * v).collect();
        let codes: Vec<u16> = (0..items * positions).map(|i| (i * 7 % codewords) as u16).collect();
        let live: Vec<(usize, usize)> = (0..items).map(|i| (i.min(positions), positions - i % 2)).collect();
        let wide: Vec<u32> = codes.iter().map(|c| u32::from(*c)).collect();
        let ranges: Vec<u32> = live.iter().flat_map(|(from, to)| [*from as u32, *to as u32]).collect();
        let cpu = Cpu::new();
        let device: &dyn Device = &cpu;
        let [on_codes, on_live] = [&wide, &ranges].map(|words| device.upload(Slice::U32(words)));
        let labels = Labels { codes: &on_codes, live: &on_live, share: 0.25 };
        let given = device.tensor(&logits, [items, codewords, positions]);
        let (nats, want) = on_the_cpu(device, given, labels);
        let want = device.floats(&want);
        let plan = cross_entropy::forward([items, codewords, positions], 0.25, DType::F32);
        let got = run(&plan, &[bytes(&wide), bytes(&ranges)], &[bytes(&logits), vec![0xff; 8]]);
        for (i, (got, want)) in words::<f32>(&got[0]).iter().zip(&want).enumerate() {
            assert!((got - want).abs() < 1e-7, "{i}: {got} and {want}");
        }
        let sum = words::<f64>(&got[1])[0];
        assert!((sum - nats).abs() < 1e-5 * (1.0 + nats), "{sum} and {nats}");
        let none = vec![codewords as u32; wide.len()];
        let got = run(&plan, &[bytes(&none), bytes(&ranges)], &[bytes(&logits), vec![0xff; 8]]);
        assert!(words::<f64>(&got[1])[0].is_nan() || live.iter().all(|(from, to)| from >= to));
    }
}
