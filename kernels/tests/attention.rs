//! Relative attention against its plain twin, loops in f64 that follow the definition, and against finite differences.

mod plain;
mod relative;

use kernels::device::{Cpu, Device};
use kernels::ops::attention::plain::Case;
use kernels::ops::attention::{CachedAttention, relative_attention};
use kernels::tape::{Tape, Value};
use plain::{Noise, central_differences, error, pool, to_f64};
use relative::operands;

/// y, dq, dk, dv and the gradient of distances, from q, k, v, distances and the gradient of y.
fn run(c: &Case, v: &[Vec<f32>; 5]) -> [Vec<f32>; 5] {
    let of = [(&v[0][..], c.shape()), (&v[1], c.shape()), (&v[2], c.shape()), (&v[3], c.table())];
    let all = plain::run(|tape, v| relative_attention(tape, &v[0], &v[1], &v[2], &v[3]), &of, &v[4]);
    all.try_into().expect("five")
}

/// Edges: one position, positions that fill no tile, one distance, fewer and more distances than positions.
fn cases() -> Vec<Case> {
    [
        (1, 1, 1, 1, 1),
        (1, 1, 1, 1, 5),
        (2, 2, 3, 2, 1),
        (1, 1, 16, 15, 15),
        (1, 3, 5, 16, 40),
        (2, 1, 8, 17, 3),
        (1, 2, 20, 63, 1),
        (1, 1, 32, 64, 64),
        (2, 2, 7, 65, 64),
        (1, 1, 33, 100, 2),
        (2, 2, 16, 130, 200),
        (1, 2, 32, 200, 37),
        (1, 1, 4, 300, 1),
        (1, 1, 8, 333, 65),
        (1, 1, 6, 257, 64),
    ]
    .map(|(batch, heads, size, positions, known)| Case { batch, heads, size, positions, known })
    .into()
}

#[test]
fn is_its_plain_twin() {
    for (seed, c) in cases().into_iter().enumerate() {
        let v = operands(&c, &mut Noise::new(seed as u64), 1.5);
        let (got, exact) = (run(&c, &v), c.all(&v.each_ref().map(|v| to_f64(v))));
        for i in 0..5 {
            let own = error(&got[i], &exact[i]);
            assert!(own <= 5e-6, "{i} of {c:?}: {own:e}");
        }
    }
}

/// Logits far apart, so that the running maximum matters, and the largest comes last.
#[test]
fn large_logits_neither_overflow_nor_lose_precision() {
    let c = Case { batch: 1, heads: 1, size: 4, positions: 150, known: 20 };
    let mut v = operands(&c, &mut Noise::new(5), 1.0);
    for (at, k) in v[1].iter_mut().enumerate() {
        *k *= (at % 150) as f32;
    }
    let (got, exact) = (run(&c, &v), c.all(&v.each_ref().map(|v| to_f64(v))));
    for i in 0..5 {
        assert!(error(&got[i], &exact[i]) < 2e-5, "{i}: {:e}", error(&got[i], &exact[i]));
    }
}

#[test]
fn gradients_are_central_differences() {
    let c = Case { batch: 2, heads: 2, size: 3, positions: 21, known: 6 };
    let v = operands(&c, &mut Noise::new(9), 1.0);
    let [_, gradients @ ..] = run(&c, &v);
    central_differences(&v, &gradients, 5, |v| {
        let v: &[Vec<f64>; 5] = v.try_into().expect("five");
        let [y, ..] = c.all(v);
        y
    });
}

/// Long enough for several groups of queries, tiles near, far and in between.
#[test]
fn threads_and_batch_change_nothing() {
    let c = Case { batch: 2, heads: 2, size: 12, positions: 1100, known: 300 };
    let v = operands(&c, &mut Noise::new(3), 1.0);
    let one = pool(1, || run(&c, &v));
    for threads in [2, 3] {
        assert!(pool(threads, || run(&c, &v)) == one, "{threads} threads");
    }
    let alone = Case { batch: 1, ..c };
    let n = c.heads * c.size * c.positions;
    for item in 0..c.batch {
        let mut single = v.clone();
        for i in [0, 1, 2, 4] {
            single[i] = v[i][item * n..][..n].to_vec();
        }
        let got = run(&alone, &single);
        for i in 0..4 {
            assert!(got[i] == one[i][item * n..][..n], "{i} of item {item}");
        }
    }
    // what comes later changes nothing of what was before, to the last bit
    let mut later = v.clone();
    for operand in later[..3].iter_mut() {
        for row in operand.chunks_mut(c.positions) {
            row[700..].iter_mut().for_each(|v| *v += 1.0);
        }
    }
    let changed = run(&c, &later);
    for (was, is) in one[0].chunks(c.positions).zip(changed[0].chunks(c.positions)) {
        assert!(was[..700] == is[..700] && was[700..] != is[700..]);
    }
}

/// A pass over a long context agrees with loops in f64 at the positions that are looked at.
#[test]
fn long_contexts() {
    let c = Case { batch: 1, heads: 1, size: 8, positions: 9001, known: 1000 };
    let v = operands(&c, &mut Noise::new(8), 1.0);
    let device: &dyn Device = &Cpu::new();
    let [q, k, values, table] = [(0, c.shape()), (1, c.shape()), (2, c.shape()), (3, c.table())]
        .map(|(i, shape)| Value::constant(device.tensor(&v[i], shape)));
    let y = relative_attention(&Tape::forward_only(device), &q, &k, &values, &table);
    let (y, exact) = (device.floats(y.tensor()), v.each_ref().map(|v| to_f64(v)));
    for i in [0, 1, 998, 999, 1000, 1001, 4096, 8191, 8999, 9000] {
        let want = c.query(&exact, 0, 0, i).1;
        for (ch, want) in want.iter().enumerate() {
            let got = f64::from(y[ch * c.positions + i]);
            assert!((got - want).abs() < 1e-5, "position {i}: {got} and {want}");
        }
    }
}

/// Position after position, with keys and values kept, it is the same but for rounding; beside more rows to the bit.
#[test]
fn one_position_after_another() {
    for (seed, c) in cases().into_iter().enumerate().filter(|(_, c)| c.batch == 1) {
        let v = operands(&c, &mut Noise::new(seed as u64), 1.0);
        let exact = v.each_ref().map(|v| to_f64(v));
        let attention = CachedAttention::new(c.heads, c.size, c.positions, &v[3]);
        let channels = c.heads * c.size;
        let column = |x: &[f32], at: usize| (0..channels).map(|ch| x[ch * c.positions + at]).collect::<Vec<_>>();
        let (mut seen, mut scratch) = (attention.room(), Vec::new());
        let (mut now, mut later) = (vec![0.0; channels], vec![0.0; channels]);
        for round in 0..2 {
            seen.clear();
            for at in 0..c.positions {
                attention.push(&mut seen, &column(&v[1], at), &column(&v[2], at));
                attention.see(&seen, at, &column(&v[0], at), &mut now, &mut scratch);
                let head = at % c.heads;
                let want = c.query(&exact, 0, head, at).1;
                for (got, want) in now[head * c.size..].iter().zip(want) {
                    assert!((f64::from(*got) - want).abs() < 2e-6, "{c:?}, position {at}, round {round}: {got} {want}");
                }
            }
            assert_eq!(seen.filled(), c.positions);
            // a query may come after keys that it must not see
            let middle = c.positions / 2;
            attention.see(&seen, middle, &column(&v[0], middle), &mut later, &mut scratch);
            let mut part = attention.room();
            for at in 0..=middle {
                attention.push(&mut part, &column(&v[1], at), &column(&v[2], at));
            }
            attention.see(&part, middle, &column(&v[0], middle), &mut now, &mut scratch);
            assert_eq!(now, later);
        }
    }
}

#[test]
#[should_panic(expected = "attention: 2 heads of 3 for 8 channels")]
fn shapes_are_checked() {
    let (x, table) = ([0.0; 32], [0.0; 30]);
    let of = [(&x[..], [1, 8, 4]), (&x, [1, 8, 4]), (&x, [1, 8, 4]), (&table, [2, 5, 3])];
    plain::run(|tape, v| relative_attention(tape, &v[0], &v[1], &v[2], &v[3]), &of, &x);
}
