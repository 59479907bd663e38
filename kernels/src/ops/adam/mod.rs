//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019), on parameters where they lie.

use rayon::prelude::*;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check_floats, floats_mut};
use crate::launch::adam::{Rates, adamw};
use crate::launch::{Argument, Plan};
use crate::tape::Parameter;
use crate::tensor::{Buffer, Slice, SliceMut, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Parameters of one unit of work.
const PIECE: usize = 1 << 13;

/// The rule of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The step, from 1.
    pub step: u64,
    /// The learning rate.
    pub rate: f64,
    /// What a step takes off a weight, times the rate.
    pub decay: f64,
    /// What gradients are multiplied by first.
    pub scale: f32,
}

impl Adam {
    /// The rule in the floats that every device computes with.
    fn rates(&self) -> Rates {
        let Self { step, rate, decay, scale } = *self;
        Rates {
            scale,
            rate: rate as f32,
            decay: (rate * decay) as f32,
            beta: [BETA1 as f32, BETA2 as f32],
            correct: [BETA1, BETA2].map(|beta| (1.0 / (1.0 - libm::pow(beta, step as f64))) as f32),
            epsilon: EPSILON,
        }
    }

    /// Moves parameters and their moments by their gradients, all in one launch.
    ///
    /// # Panics
    /// If lengths differ, or a parameter's tensors have other handles.
    pub fn update(&self, device: &dyn Device, pairs: Vec<(&mut Parameter, &Tensor)>) {
        let mut kernel = Step { rule: *self, decays: Vec::new() };
        let (mut inputs, mut outputs): (Vec<&Buffer>, Vec<&mut Buffer>) = (Vec::new(), Vec::new());
        for (parameter, gradient) in pairs {
            let Parameter { value, first, second, decays } = parameter;
            kernel.decays.push(*decays);
            inputs.push(gradient.buffer());
            outputs.extend([value, first, second].map(Tensor::buffer_mut));
        }
        device.launch(&kernel, &inputs, &mut outputs);
    }
}

/// Inputs are gradients; outputs are, for each of them, the parameter and its moments.
struct Step {
    rule: Adam,
    decays: Vec<bool>,
}

impl Kernel for Step {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let Rates { scale, rate, decay, beta: [b1, b2], correct, epsilon } = self.rule.rates();
        assert!(outputs.len() == 3 * inputs.len() && self.decays.len() == inputs.len(), "adam: operands");
        let all = outputs.chunks_exact_mut(3).zip(inputs).zip(&self.decays);
        let pieces: Vec<_> = all
            .flat_map(|((outputs, g), decays)| {
                let [p, m, v] = floats_mut(outputs);
                let g = g.f32();
                assert!([p.len(), m.len(), v.len()].iter().all(|n| *n == g.len()), "adam: lengths");
                let moments = m.chunks_mut(PIECE).zip(v.chunks_mut(PIECE));
                let decay = if *decays { decay } else { 0.0 };
                p.chunks_mut(PIECE).zip(moments).zip(g.chunks(PIECE)).map(move |piece| (piece, decay))
            })
            .collect();
        // elements are independent of each other: any partition gives the same bits
        pieces.into_par_iter().for_each(|(((p, (m, v)), g), decay)| {
            if decay > 0.0 {
                p.iter_mut().for_each(|p| *p -= decay * *p);
            }
            for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                let g = g * scale;
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                *p -= rate * (*m * correct[0]) / ((*v * correct[1]).sqrt() + epsilon);
            }
        });
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let lengths: Vec<usize> = inputs.iter().map(|x| x.len).collect();
        check_floats("adam", inputs, &lengths);
        check_floats("adam", outputs, &lengths.iter().flat_map(|n| [*n; 3]).collect::<Vec<_>>());
        assert_eq!(self.decays.len(), lengths.len(), "adam: operands");
        let (mut plan, rates) = (Plan::default(), self.rule.rates());
        for (i, (n, decays)) in lengths.into_iter().zip(&self.decays).enumerate() {
            let part = adamw(n, Rates { decay: if *decays { rates.decay } else { 0.0 }, ..rates });
            plan.join(part, &[Argument::Input(i)], &[0, 1, 2].map(|k| Argument::Output(3 * i + k)));
        }
        plan
    }
}
