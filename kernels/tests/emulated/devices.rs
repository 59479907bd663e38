//! Whole networks in training: the tape of the CPU on emulated GPUs, in 32 bits and in 16.

use kernels::device::{Cpu, Device, Gpu};
use kernels::tensor::DType;

use crate::networks::{Numbers, close, codec, encode, prior, sample, search_and_tally};
use crate::shim::Shim;

/// Forward, backward and steps are the CPU's, the same bits in every order of threads, and in segments.
fn trains_as_on_the_cpu(name: &str, train: fn(&dyn Device, bool) -> Numbers) {
    let want = train(&Cpu::new(), false);
    let mut first = None;
    for (order, segments) in [(0, false), (1, true), (2, false)] {
        let device = Gpu::new(Shim::ordered(order), DType::F32);
        let got = train(&device, segments);
        let ((what, share), peak) = (close(&got, &want, 1e-5), device.peak());
        println!("{name}, order {order}, segments {segments}: {what} is {share:.1e} apart, {peak} bytes");
        assert!(*first.get_or_insert_with(|| got.clone()) == got, "order {order}, segments {segments}: other bits");
        assert_eq!(device.peak(), 0, "all memory is at rest");
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn a_codec_trains_as_on_the_cpu() {
    trains_as_on_the_cpu("codec", codec);
}

#[test]
#[ignore = "needs a C++ compiler"]
fn a_prior_trains_as_on_the_cpu() {
    trains_as_on_the_cpu("prior", prior);
}

/// Activations of 16 bits: within bounds of those of 32 bits, on the CPU and on tensor cores.
fn trains_in_half(name: &str, train: fn(&dyn Device, bool) -> Numbers, bounds: [(DType, f64); 2]) {
    let want = train(&Cpu::new(), false);
    for (precision, bound) in bounds {
        let cpu = Cpu::of(precision);
        let on_the_cpu = train(&cpu, true);
        println!("{name} in {precision:?} on the CPU: {:?}", close(&on_the_cpu, &want, bound));
        let mut first = None;
        for (order, segments) in [(0, true), (3, false)] {
            let device = Gpu::new(Shim::ordered(order), precision);
            let got = train(&device, segments);
            println!(
                "{name} in {precision:?}, order {order}: {:?}, {} bytes",
                close(&got, &want, bound),
                device.peak()
            );
            assert!(*first.get_or_insert_with(|| got.clone()) == got, "order {order}, segments {segments}: other bits");
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn a_codec_trains_in_half() {
    trains_in_half("codec", codec, [(DType::BF16, 0.1), (DType::F16, 0.02)]);
}

#[test]
#[ignore = "needs a C++ compiler"]
fn a_prior_trains_in_half() {
    trains_in_half("prior", prior, [(DType::BF16, 0.1), (DType::F16, 0.02)]);
}

#[test]
#[ignore = "needs a C++ compiler"]
fn encoding_and_sampling_are_the_cpus() {
    for (name, run) in [("encode", encode as fn(&dyn Device) -> Numbers), ("sample", sample)] {
        for (precision, bound) in [(DType::F32, 1e-5), (DType::BF16, 0.05), (DType::F16, 0.005)] {
            let (want, mut first) = (run(&Cpu::of(precision)), None);
            for order in [0, 1, 2] {
                let got = run(&Gpu::new(Shim::ordered(order), precision));
                println!("{name} in {precision:?}, order {order}: {:?}", close(&got, &want, bound));
                assert!(*first.get_or_insert_with(|| got.clone()) == got, "order {order}: other bits");
            }
        }
    }
    for precision in [DType::F32, DType::BF16, DType::F16] {
        let want = search_and_tally(&Cpu::of(precision));
        for order in [0, 1, 2] {
            assert!(search_and_tally(&Gpu::new(Shim::ordered(order), precision)) == want, "{precision:?}, {order}");
        }
    }
}
