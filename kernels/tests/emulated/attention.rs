//! Relative attention, forward, backward, and one query after another.

use kernels::launch::attention::{self, AttentionShape};
use kernels::ops::attention::plain::Case;

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
        let got =
            run(&attention::forward(s), &[q.clone(), k.clone(), values.clone(), e.clone()], &[room(n), room(rows)]);
        near(&format!("y of {c:?}"), &words(&got[0]), &exact[0], 1e-5);
        let inputs = [q, k, values, e, got[0].clone(), got[1].clone(), dy];
        let back = run(&attention::backward(s), &inputs, &[room(n), room(n), room(n), room(v[3].len())]);
        for (i, (got, want)) in back.iter().zip(&exact[1..]).enumerate() {
            near(&format!("gradient {i} of {c:?}"), &words(got), want, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn one_query_after_another() {
    for (items, heads, size, positions, known) in
        [(1, 1, 1, 1, 1), (2, 3, 5, 9, 4), (1, 1, 150, 40, 64), (1, 2, 4, 300, 7)]
    {
        let c = Case { batch: items, heads, size, positions, known };
        let v = operands(&c, &mut Noise::new(size as u64), 1.0);
        let exact = v.each_ref().map(|v| to_f64(v));
        let channels = heads * size;
        let column =
            |x: &[f32], at: usize| (0..items * channels).map(|row| x[row * positions + at]).collect::<Vec<f32>>();
        let mut cache = vec![room(items * channels * positions); 2];
        let (step, mut next) = (positions.div_ceil(12), 0);
        for at in (0..positions).step_by(step) {
            for now in next..=at {
                let inputs = [1, 2].map(|i| bytes(&column(&v[i], now)));
                cache = run_on(&Shim::ordered(0), &attention::push(items, channels, positions, now), &inputs, &cache)
                    .expect("runs");
            }
            next = at + 1;
            let inputs = [bytes(&column(&v[0], at)), cache[0].clone(), cache[1].clone(), bytes(&v[3])];
            let got: Vec<f32> = words(&run(&attention::see(extents(&c), at), &inputs, &[room(items * channels)])[0]);
            for (row, got) in got.chunks(size).enumerate() {
                let want = c.query(&exact, row / heads, row % heads, at).1;
                near(&format!("position {at} of {c:?}"), got, &want, 1e-5);
            }
        }
    }
}
