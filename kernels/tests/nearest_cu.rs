//! nearest.cu on the CPU, through a shim, against the plain twin: both orders of threads, with and without
//! AddressSanitizer. Both need a C++ compiler.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;
mod shim;

use plain::Noise;
use shim::{build, run};

fn check(sanitize: bool) {
    let folder = tempfile::tempdir().expect("folder");
    let program = build("nearest", folder.path(), sanitize);
    let mut noise = Noise::new(12);
    for (n, k, dim) in [(1usize, 1usize, 1usize), (5, 3, 7), (64, 64, 32), (130, 200, 64), (65, 65, 33)] {
        let (mut z, mut codebook) = (noise.floats(n * dim), noise.floats(k * dim));
        codebook.copy_within(..dim, (k - 1) * dim);
        z[..dim].copy_from_slice(&codebook[..dim]);
        let mut input: Vec<u8> = [n, k, dim].iter().flat_map(|v| (*v as i32).to_le_bytes()).collect();
        input.extend(z.iter().chain(&codebook).flat_map(|v| v.to_le_bytes()));
        let output = run(&program, &input);
        assert_eq!(output.len(), 2 * 8 * n);
        let mut want = vec![9; n];
        kernels::nearest_plain(&z, dim, &codebook, &mut want);
        for order in output.chunks(8 * n) {
            let word = |i: usize| [0, 1, 2, 3].map(|b| order[4 * i + b]);
            for i in 0..n {
                let got = u32::from_le_bytes(word(i));
                assert_eq!(got, want[i], "vector {i} of {n}, {k} codewords of {dim}");
                let distance = f32::from_le_bytes(word(n + i)) as f64;
                let exact: f64 =
                    (0..dim).map(|d| (z[i * dim + d] as f64 - codebook[got as usize * dim + d] as f64).powi(2)).sum();
                assert!((distance - exact).abs() < 1e-5 * (1.0 + exact));
            }
        }
        // the first vector is the first codeword, which the last one equals
        assert_eq!(want[0], 0);
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn agrees_with_the_plain_twin() {
    check(false);
}

#[test]
#[ignore = "needs a C++ compiler with AddressSanitizer"]
fn touches_nothing_outside_its_buffers() {
    check(true);
}
