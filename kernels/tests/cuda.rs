//! The CUDA sources, compiled by NVRTC; and, where there is a GPU, a plan run on it: ignored unless asked for.
#![cfg(feature = "cuda")]

#[path = "networks/mod.rs"]
mod networks;
#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;

use std::collections::BTreeMap;

use kernels::cuda::{self, Card, CudaError};
use kernels::device::{Cpu, Device, Gpu, attempt};
use kernels::launch::{SOURCES, Source, Target};
use kernels::launch::{add, gelu};
use kernels::tensor::DType;

/// What ptxas said of a kernel: registers, bytes of its own shared memory, bytes spilled.
fn facts(log: &str) -> BTreeMap<String, [u32; 3]> {
    let mut all = BTreeMap::new();
    let (mut name, mut spilled) = (String::new(), 0);
    let number = |line: &str, before: &str| -> u32 {
        let head = line.split(before).next().unwrap_or_default();
        head.trim_end().rsplit([' ', ',']).next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            name = rest.split('\'').next().unwrap_or_default().to_owned();
        } else if line.contains("bytes spill stores") {
            spilled = number(line, "bytes spill stores")
                + number(line, "bytes spill loads")
                + number(line, "bytes stack frame");
        } else if line.contains("Used ") && line.contains(" registers") {
            all.insert(std::mem::take(&mut name), [number(line, "registers"), number(line, "bytes smem"), spilled]);
        }
    }
    all
}

/// What each kernel of a source takes, a line each; none may spill.
fn compiled(source: &Source, arch: &str) -> String {
    let built = cuda::compile(&source.text(), arch).unwrap_or_else(|e| panic!("{}: {e}", source.name));
    assert!(built.cubin.starts_with(b"\x7fELF"));
    assert!(!built.log.contains("warning"), "{}", built.log);
    let found = facts(&built.log);
    let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
    let mut listed = source.kernels.to_vec();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(names, listed, "{} has other kernels than are listed: {}", source.name, built.log);
    let line = |(kernel, [registers, shared, spilled]): (&String, &[u32; 3])| {
        assert_eq!(*spilled, 0, "{kernel} spills for {arch}");
        format!("{arch} {kernel:32} {registers:>3} registers, {shared:>4} bytes of static shared memory\n")
    };
    found.iter().map(line).collect()
}

#[test]
#[ignore = "needs libnvrtc"]
fn every_kernel_compiles_for_sm_80_and_sm_90() {
    println!("NVRTC {:?}", cuda::compiler().expect("libnvrtc"));
    let lines: Vec<String> = std::thread::scope(|scope| {
        let all = SOURCES.iter().flat_map(|source| ["sm_80", "sm_90"].map(|arch| (*source, arch)));
        let started: Vec<_> = all.map(|(source, arch)| scope.spawn(move || compiled(source, arch))).collect();
        started.into_iter().map(|thread| thread.join().expect("compiles")).collect()
    });
    print!("{}", lines.concat());
}

#[test]
#[ignore = "needs libnvrtc"]
fn cubins_are_kept_and_errors_told() {
    let cache = tempfile::tempdir().expect("folder");
    let text = SOURCES[0].text();
    let built = cuda::cubin(&text, "sm_90", Some(cache.path())).expect("compiles");
    assert_eq!(cuda::cubin(&text, "sm_90", Some(cache.path())).expect("cached"), built);
    assert_eq!(std::fs::read_dir(cache.path()).expect("folder").count(), 1);
    let refused = cuda::cubin("extern \"C\" __global__ void f() { unknown(); }", "sm_90", None);
    assert!(matches!(refused, Err(CudaError::Compile { log, .. }) if log.contains("unknown")));
}

/// Without a device opening one is an error, and with one it is not.
#[test]
fn a_card_is_opened_or_said_to_be_missing() {
    assert_eq!(Card::open(0, None).is_ok(), cuda::probe().is_ok());
    assert!(Card::open(1000, None).is_err());
}

#[test]
#[ignore = "needs a CUDA device"]
fn plans_run_on_a_device() {
    let card = Card::open(0, None).expect("a device");
    let (n, x) = (1000, (0..1000).map(|i| i as f32 / 100.0 - 5.0).collect::<Vec<_>>());
    let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let (from, to) = (card.upload(&bytes).expect("room"), card.alloc(4 * n).expect("room"));
    let floats = || {
        let mut back = vec![0; 4 * n];
        card.download(&to, &mut back).expect("a result");
        back.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>()
    };
    add::add(n, DType::F32).run(&card, &[&from, &from], &[&to]).expect("runs");
    assert_eq!(floats(), x.iter().map(|v| v + v).collect::<Vec<_>>());
    gelu::forward(n, DType::F32).run(&card, &[&from], &[&to]).expect("runs");
    let mut want = x;
    kernels::ops::gelu::gelu_in_place(&mut want);
    assert_eq!(floats(), want);
}

/// The networks of the emulated test on a device: as on the CPU, and the same bits each time and in segments.
#[test]
#[ignore = "needs a CUDA device"]
fn networks_train_on_a_device_as_on_the_cpu() {
    for (name, train) in [("codec", networks::codec as fn(&_, _) -> _), ("prior", networks::prior)] {
        let want = train(&Cpu::new(), false);
        for (precision, bound) in [(DType::F32, 2e-5), (DType::BF16, 0.1), (DType::F16, 0.02)] {
            let card = || Gpu::new(Card::open(0, None).expect("a device"), precision);
            let run = |segments| attempt(|| train(&card(), segments));
            let got = run(false).expect("room and kernels");
            println!("{name} in {precision:?}: {:?}", networks::close(&got, &want, bound));
            assert!([false, true].map(run).iter().all(|again| again.as_ref() == Ok(&got)), "{name}: other bits");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn encoding_and_sampling_run_on_a_device_as_on_the_cpu() {
    for (name, run) in [("encode", networks::encode as fn(&dyn Device) -> _), ("sample", networks::sample)] {
        let device = Gpu::new(Card::open(0, None).expect("a device"), DType::F32);
        let got = attempt(|| run(&device)).expect("room and kernels");
        println!("{name}: {:?}", networks::close(&got, &run(&Cpu::new()), 2e-5));
    }
    for precision in [DType::F32, DType::BF16] {
        let device = Gpu::new(Card::open(0, None).expect("a device"), precision);
        let got = attempt(|| networks::search_and_tally(&device)).expect("room and kernels");
        assert!(got == networks::search_and_tally(&Cpu::of(precision)), "{precision:?}");
    }
}
