//! The CUDA sources, compiled by NVRTC and run on a GPU: ignored unless asked for.
#![cfg(feature = "cuda")]

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;
mod relative;

use kernels::cuda::{self, AttentionShape, CudaError};
use plain::{Noise, to_f64};
use relative::Case;

#[test]
#[ignore = "needs libnvrtc"]
fn compiles_for_sm_80_and_sm_90() {
    let cache = tempfile::tempdir().expect("folder");
    for source in [cuda::NEAREST, cuda::ATTENTION] {
        for arch in ["sm_80", "sm_90"] {
            let built = cuda::cubin(source, arch, Some(cache.path())).expect("compiles");
            assert!(built.starts_with(b"\x7fELF"));
            assert_eq!(cuda::cubin(source, arch, Some(cache.path())).expect("cached"), built);
        }
    }
    assert_eq!(std::fs::read_dir(cache.path()).expect("folder").count(), 4);
    let refused = cuda::cubin("extern \"C\" __global__ void f() { unknown(); }", "sm_90", None);
    assert!(matches!(refused, Err(CudaError::Compile { log, .. }) if log.contains("unknown")));
}

#[test]
#[ignore = "needs a CUDA device"]
fn device_agrees_with_the_cpu() {
    let mut noise = Noise::new(11);
    for (n, k, dim) in [(1, 1, 1), (1000, 2048, 64), (65, 65, 33), (7, 3, 5)] {
        let (z, codebook) = (noise.floats(n * dim), noise.floats(k * dim));
        let (mut got, mut want, mut distance) = (vec![9; n], vec![9; n], vec![-1.0; n]);
        cuda::nearest_cuda(0, None, &z, dim, &codebook, &mut got, Some(&mut distance)).expect("runs");
        kernels::nearest_plain(&z, dim, &codebook, &mut want);
        let square = |i: usize, c: u32| {
            (0..dim).map(|d| (z[i * dim + d] as f64 - codebook[c as usize * dim + d] as f64).powi(2)).sum::<f64>()
        };
        for i in 0..n {
            assert!(square(i, got[i]) <= square(i, want[i]) + 1e-5 * dim as f64, "{i} of {n}, {k}, {dim}");
            assert!((distance[i] as f64 - square(i, got[i])).abs() < 1e-4);
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn attention_on_a_device_agrees_with_the_definition() {
    let run = |c: Case, v: &[Vec<f32>; 5]| {
        let Case { batch, heads, size, positions, known: distances } = c;
        let shape = AttentionShape { batch, heads, size, positions, distances };
        cuda::attention_cuda(0, None, shape, v.each_ref().map(Vec::as_slice))
    };
    let cases = [(1, 1, 3, 1, 4), (2, 3, 20, 140, 37), (1, 2, 128, 300, 300), (2, 2, 64, 257, 1)];
    for (batch, heads, size, positions, known) in cases {
        let c = Case { batch, heads, size, positions, known };
        let v = c.operands(&mut Noise::new(7), 1.0);
        let got = run(c, &v).expect("runs");
        let exact = c.all(&v.each_ref().map(|v| to_f64(v)));
        let (y, g) = got;
        for (i, (got, want)) in [y, g.q, g.k, g.v, g.distances].iter().zip(&exact).enumerate() {
            let scale = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            let apart = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(got.len() == want.len() && apart < 5e-6 * scale, "{i} of {c:?}: {apart}");
        }
    }
}

/// Without a device every call is an error, and with one none is.
#[test]
fn a_call_is_an_error_where_there_is_no_gpu() {
    let shape = AttentionShape { batch: 1, heads: 1, size: 1, positions: 1, distances: 1 };
    let one = &[0.0][..];
    assert_eq!(cuda::attention_cuda(0, None, shape, [one; 5]).is_ok(), cuda::probe().is_ok());
    assert_eq!(cuda::nearest_cuda(0, None, one, 1, one, &mut [0], None).is_ok(), cuda::probe().is_ok());
}

#[test]
fn wrong_lengths_are_errors() {
    let mut out = [0; 2];
    for (z, dim, codebook) in [(&[0.0; 3][..], 1, &[0.0; 2][..]), (&[0.0; 2], 0, &[0.0; 2]), (&[0.0; 4], 2, &[0.0; 3])]
    {
        let e = cuda::nearest_cuda(0, None, z, dim, codebook, &mut out, None);
        assert!(matches!(e, Err(CudaError::Arguments(_))));
    }
    let shape = AttentionShape { batch: 1, heads: 1, size: 2, positions: 1, distances: 1 };
    let two = &[0.0; 2][..];
    let e = cuda::attention_cuda(0, None, shape, [two, two, two, &[0.0], two]);
    assert!(matches!(e, Err(CudaError::Arguments(_))));
    let e = cuda::attention_cuda(0, None, AttentionShape { size: 129, ..shape }, [two; 5]);
    assert!(matches!(e, Err(CudaError::Arguments(_))));
}
