//! Relative attention, forward, backward, and one query after another.

use kernels::launch::attention::{self, AttentionShape};
use kernels::ops::attention::plain::Case;
use kernels::tensor::DType;

use crate::plain::{Noise, to_f64};
use crate::relative::operands;
use crate::shim::Shim;
use crate::{bytes, near, room, run, run_on, words};

fn extents(c: &Case) -> AttentionShape {
    let Case { batch, heads, size, positions, known } = *c;
    AttentionShape { batch, heads, size, positions, known }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn attention_and_its_gradients() {
    let cases = [
        (1, 1, 1, 1, 1),
        (2, 2, 5, 7, 3),
        (1, 2, 17, 66, 64),
        (1, 1, 33, 65, 1),
        (1, 1, 8, 130, 200),
        (1, 1, 150, 70, 37),
    ];
    for (seed, (batch, heads, size, positions, known)) in cases.into_iter().enumerate() {
        let c = Case { batch, heads, size, positions, known };
        let v = operands(&c, &mut Noise::new(seed as u64), 1.5);
        let exact = c.all(&v.each_ref().map(|v| to_f64(v)));
        let [q, k, values, e, dy] = v.each_ref().map(|v| bytes(v));
        let (s, n, rows) = (extents(&c), v[0].len(), batch * heads * positions);
        let got = run(
            &attention::forward(s, DType::F32),
            &[q.clone(), k.clone(), values.clone(), e.clone()],
            &[room(n), room(rows)],
        );
        near(&format!("y of {c:?}"), &words(&got[0]), &exact[0], 1e-5);
        let inputs = [q, k, values, e, got[0].clone(), got[1].clone(), dy];
        let back = run(&attention::backward(s, DType::F32), &inputs, &[room(n), room(n), room(n), room(v[3].len())]);
        for (i, (got, want)) in back.iter().zip(&exact[1..]).enumerate() {
            near(&format!("gradient {i} of {c:?}"), &words(got), want, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn queries_of_a_window_that_grows() {
    for (items, heads, size, positions, known) in
        [(1, 1, 1, 1, 1), (2, 3, 5, 9, 4), (1, 1, 150, 40, 64), (1, 2, 4, 300, 7)]
    {
        let c = Case { batch: items, heads, size, positions, known };
        let v = operands(&c, &mut Noise::new(size as u64), 1.0);
        let exact = v.each_ref().map(|v| to_f64(v));
        let channels = heads * size;
        let part = |x: &[f32], at: usize, count: usize| {
            x.chunks(positions).flat_map(|row| &row[at..][..count]).copied().collect::<Vec<f32>>()
        };
        let mut cache = vec![room(items * channels * positions); 2];
        let mut at = 0;
        for count in [1, positions / 2, positions - positions / 2 - 1] {
            let [q, k, values] = [0, 1, 2].map(|i| bytes(&part(&v[i], at, count)));
            let push = attention::push(extents(&c), at, count, DType::F32);
            cache = run_on(&Shim::ordered(0), &push, &[k, values], &cache).expect("runs");
            let inputs = [q, cache[0].clone(), cache[1].clone(), bytes(&v[3])];
            let see = attention::see(extents(&c), at, count, DType::F32);
            let got: Vec<f32> = words(&run(&see, &inputs, &[room(items * channels * count)])[0]);
            // every seventh query, for the time it takes
            for i in (0..count).step_by(7) {
                for row in 0..items * heads {
                    let got: Vec<f32> = (0..size).map(|c| got[(row * size + c) * count + i]).collect();
                    let want = c.query(&exact, row / heads, row % heads, at + i).1;
                    near(&format!("position {} of {c:?}", at + i), &got, &want, 1e-5);
                }
            }
            at += count;
            if at == positions {
                break;
            }
        }
    }
}
