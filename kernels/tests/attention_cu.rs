//! attention.cu on the CPU, through a shim, against loops in f64: both orders of threads, with and without
//! AddressSanitizer. Both need a C++ compiler.

#[expect(dead_code, reason = "this test uses a part of the plain twins")]
mod plain;
mod relative;
mod shim;

use plain::{Noise, to_f64};
use relative::Case;
use shim::{build, run};

fn check(sanitize: bool, cases: &[Case]) {
    let folder = tempfile::tempdir().expect("folder");
    let program = build("attention", folder.path(), sanitize);
    for (seed, c) in cases.iter().enumerate() {
        let v = c.operands(&mut Noise::new(seed as u64), 1.5);
        let extents = [c.batch, c.heads, c.size, c.positions, c.known];
        let mut input: Vec<u8> = extents.iter().flat_map(|v| (*v as i32).to_le_bytes()).collect();
        input.extend(v.iter().flatten().flat_map(|v| v.to_le_bytes()));
        let output: Vec<f32> =
            run(&program, &input).as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let exact = c.all(&v.each_ref().map(|v| to_f64(v)));
        assert_eq!(output.len(), 2 * exact.iter().map(Vec::len).sum::<usize>());
        let mut rest = &output[..];
        for order in ["forward", "reverse"] {
            for (i, exact) in exact.iter().enumerate() {
                let (got, after) = rest.split_at(exact.len());
                rest = after;
                let scale = exact.iter().fold(1.0f64, |m, v| m.max(v.abs()));
                for (at, (got, want)) in got.iter().zip(exact).enumerate() {
                    let apart = (f64::from(*got) - want).abs();
                    assert!(apart < 3e-6 * scale, "{order}, {i} of {c:?} at {at}: {got} and {want}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn agrees_with_the_definition() {
    let cases = [
        (1, 1, 1, 1, 1),
        (1, 1, 3, 1, 4),
        (2, 2, 5, 7, 3),
        (1, 2, 16, 64, 64),
        (1, 1, 33, 65, 1),
        (2, 1, 8, 130, 200),
        (1, 1, 20, 140, 37),
        (1, 1, 128, 66, 66),
    ];
    check(false, &cases.map(|(batch, heads, size, positions, known)| Case { batch, heads, size, positions, known }));
}

#[test]
#[ignore = "needs a C++ compiler with AddressSanitizer"]
fn touches_nothing_outside_its_buffers() {
    check(
        true,
        &[
            Case { batch: 1, heads: 2, size: 3, positions: 67, known: 5 },
            Case { batch: 2, heads: 1, size: 17, positions: 20, known: 30 },
        ],
    );
}
