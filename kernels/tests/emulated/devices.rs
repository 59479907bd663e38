//! Whole networks in training: the tape of the CPU on emulated GPUs.

use kernels::device::{Cpu, Device, Gpu};

use crate::networks::{Numbers, close, codec, prior};
use crate::shim::Shim;

/// Forward, backward and steps are the CPU's, the same bits in every order of threads, and in segments.
fn trains_as_on_the_cpu(name: &str, train: fn(&dyn Device, bool) -> Numbers) {
    let want = train(&Cpu::new(), false);
    let mut first = None;
    for (order, segments) in [(0, false), (1, true), (2, false)] {
        let device = Gpu::new(Shim::ordered(order));
        let got = train(&device, segments);
        let (share, peak) = (close(&got, &want), device.peak());
        println!("{name}, order {order}, segments {segments}: {share:.1e} apart, {peak} bytes");
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
