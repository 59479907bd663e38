//! Activations of 16 bits on the CPU: whole networks within bounds of those of 32 bits, and a loss scale that is too high.

mod networks;
#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use kernels::device::{Cpu, Device};
use kernels::ops::adam::Adam;
use kernels::ops::gelu::gelu;
use kernels::ops::linear::linear;
use kernels::ops::norm::norm;
use kernels::tape::{LossScale, Parameter, Tape, Value};
use kernels::tensor::{DType, Tensor};
use networks::{Numbers, close, codec, encode, prior, sample, search_and_tally};
use plain::Noise;

#[test]
fn networks_train_in_half_within_bounds() {
    for (name, train) in [("codec", codec as fn(&dyn Device, bool) -> Numbers), ("prior", prior)] {
        let want = train(&Cpu::new(), false);
        for (precision, bound) in [(DType::BF16, 0.1), (DType::F16, 0.02)] {
            let device = Cpu::of(precision);
            let got = train(&device, false);
            println!("{name} in {precision:?}: {:?}", close(&got, &want, bound));
            assert!(train(&device, true) == got, "{name}: segments change bits");
        }
    }
}

#[test]
fn networks_run_in_half_within_bounds() {
    for (name, run) in [("encode", encode as fn(&dyn Device) -> Numbers), ("sample", sample)] {
        for (precision, bound) in [(DType::BF16, 0.05), (DType::F16, 0.005)] {
            let got = run(&Cpu::of(precision));
            println!("{name} in {precision:?}: {:?}", close(&got, &run(&Cpu::new()), bound));
        }
    }
    // every vector is counted once
    let found = search_and_tally(&Cpu::of(DType::BF16));
    let vectors: f32 = found.iter().filter(|(name, _)| name.starts_with("counts")).flat_map(|(_, counts)| counts).sum();
    assert_eq!(vectors, (2 * 45 + 5 + 6) as f32);
}

/// Losses of some steps of a small network in f16, from a loss scale on; and how many steps were left out.
fn curve(mut scale: LossScale) -> (Vec<f64>, usize) {
    let device: &dyn Device = &Cpu::of(DType::F16);
    let noise = |seed, n| Noise::new(seed).floats(n);
    let mut parameters: Vec<Parameter> = [([8, 6, 1], true), ([8, 1, 1], false), ([6, 8, 1], true), ([6, 1, 1], false)]
        .iter()
        .zip(0..)
        .map(|((shape, decays), seed)| Parameter::new(device, &noise(seed, shape.iter().product()), *shape, *decays))
        .collect();
    let (x, shape) = (noise(9, 6 * 40), [1, 6, 40]);
    let (mut losses, mut skipped) = (Vec::new(), 0);
    while losses.len() < 5 {
        let tape = Tape::recording(device);
        let p: Vec<Value> = parameters.iter().map(|p| tape.leaf(p.value.clone())).collect();
        let input = Value::constant(device.activation(&x, shape));
        let y = linear(&tape, &gelu(&tape, &linear(&tape, &input, &p[0], &p[1])), &p[2], &p[3]);
        let apart: Vec<f32> = device.floats(y.tensor()).iter().zip(&x).map(|(y, x)| y - x).collect();
        let given: Vec<f32> = apart.iter().map(|v| v * scale.factor() / 240.0).collect();
        let mut found = tape.backward(&y, device.activation(&given, shape));
        let gradients: Vec<Tensor> = p.into_iter().map(|leaf| found.take(&leaf).expect("a gradient")).collect();
        let factor = scale.factor();
        if !scale.accepts(norm(device, &gradients)) {
            skipped += 1;
            continue;
        }
        losses.push(apart.iter().map(|v| f64::from(v * v)).sum());
        let rule = Adam { step: losses.len() as u64, rate: 0.01, decay: 0.0, scale: 1.0 / factor };
        rule.update(device, parameters.iter_mut().zip(&gradients).collect());
    }
    (losses, skipped)
}

#[test]
fn a_loss_scale_that_overflows_is_halved_and_training_goes_on() {
    let (want, none) = curve(LossScale::resumed(DType::F16, 1024.0, 0));
    let (got, skipped) = curve(LossScale::resumed(DType::F16, (1u32 << 30) as f32, 0));
    assert_eq!(none, 0);
    assert!(skipped > 3, "{skipped} steps");
    // rounding apart, which a scale moves where numbers are below the least normal one, it is the same curve
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-3 * want), "{got:?} and {want:?}");
    assert!(want.windows(2).all(|pair| pair[1] < pair[0]), "{want:?}");
}
