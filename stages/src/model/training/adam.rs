//! Adam (Kingma and Ba 2015) on plain slices, with decoupled weight decay (Loshchilov and Hutter 2019).
use rayon::prelude::*;

use crate::model::weights::{Array, Arrays};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Parameters of one unit of work.
const PIECE: usize = 1 << 13;

/// The running moments of every parameter, by its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adam {
    pub(crate) first: Arrays,
    pub(crate) second: Arrays,
}

impl Adam {
    pub(crate) fn new(parameters: &Arrays) -> Self {
        let zeros: Arrays = parameters.iter().map(|(n, a)| (n.clone(), Array::zeros(&a.shape))).collect();
        Self { first: zeros.clone(), second: zeros }
    }

    /// One update of `parameters` by `gradients` (both in the order of names). `step` counts from 1. The decay takes hold
    /// of matrices only: biases and gains are no weights.
    pub(crate) fn update(&mut self, parameters: &mut Arrays, gradients: &[Vec<f32>], rate: f64, decay: f64, step: u64) {
        let power = step as f64;
        let correct1 = (1.0 / (1.0 - libm::pow(BETA1, power))) as f32;
        let correct2 = (1.0 / (1.0 - libm::pow(BETA2, power))) as f32;
        let (b1, b2, rate, decay) = (BETA1 as f32, BETA2 as f32, rate as f32, (rate * decay) as f32);
        let moments = self.first.values_mut().zip(self.second.values_mut());
        let all = parameters.values_mut().zip(moments).zip(gradients);
        let pieces: Vec<_> = all
            .flat_map(|((p, (m, v)), g)| {
                let decay = if p.shape.len() > 1 { decay } else { 0.0 };
                let moments = m.data.chunks_mut(PIECE).zip(v.data.chunks_mut(PIECE));
                p.data.chunks_mut(PIECE).zip(moments).zip(g.chunks(PIECE)).map(move |piece| (piece, decay))
            })
            .collect();
        // Elements are independent of each other: any partition gives the same bits.
        pieces.into_par_iter().for_each(|(((p, (m, v)), g), decay)| {
            if decay > 0.0 {
                p.iter_mut().for_each(|p| *p -= decay * *p);
            }
            for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *p -= rate * (*m * correct1) / ((*v * correct2).sqrt() + EPSILON);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_is_the_rate_against_the_gradient_and_minimum_is_found() {
        let array = Array { shape: vec![2], data: vec![5.0, -3.0] };
        let mut parameters = Arrays::from([("x".to_owned(), array)]);
        let mut adam = Adam::new(&parameters);
        for step in 1..=2000 {
            let x = parameters["x"].data.clone();
            adam.update(&mut parameters, &[vec![2.0 * (x[0] - 1.0), 20.0 * (x[1] - 2.0)]], 0.02, 0.0, step);
            if step == 1 {
                let moved = &parameters["x"].data;
                assert!((moved[0] - 4.98).abs() < 1e-6 && (moved[1] + 2.98).abs() < 1e-6, "{moved:?}");
            }
        }
        let x = &parameters["x"].data;
        assert!((x[0] - 1.0).abs() < 1e-2 && (x[1] - 2.0).abs() < 1e-2, "{x:?}");
    }
}
