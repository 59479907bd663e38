//! A tiny codec and a tiny prior on any device: two steps of training each, with every number of interest.
#![expect(unreachable_pub, reason = "a module of several tests")]

mod codec;
mod inference;
mod prior;

use kernels::device::Device;
use kernels::ops::adam::Adam;
use kernels::ops::finite::finite;
use kernels::ops::norm::norm;
use kernels::tape::{LossScale, Parameter, Tape, Value};
use kernels::tensor::{Shape, Tensor};

use crate::plain::Noise;

pub use codec::codec;
pub use inference::{encode, sample, search_and_tally};
pub use prior::prior;

/// Numbers by what they are.
pub type Numbers = Vec<(String, Vec<f32>)>;

/// Named parameters.
struct Parameters(Vec<(String, Parameter)>);

impl Parameters {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, at random within a bound.
    fn add(&mut self, device: &dyn Device, name: &str, shape: Shape, bound: f32) {
        let n = shape.iter().product();
        let values: Vec<f32> = Noise::new(self.0.len() as u64).floats(n).iter().map(|v| v * bound).collect();
        let decays = shape[1] > 1;
        self.0.push((name.to_owned(), Parameter::new(device, &values, shape, decays)));
    }

    /// Adds weights and biases of a layer, scaled by what feeds an output.
    fn layer(&mut self, device: &dyn Device, name: &str, weight: Shape, outputs: usize, fan: usize) {
        let bound = 1.0 / (fan as f32).sqrt();
        self.add(device, &format!("{name}.weight"), weight, bound);
        self.add(device, &format!("{name}.bias"), [outputs, 1, 1], bound);
    }
}

/// What a network says in a step: its figure, its output, and the gradient of the loss there, scaled.
struct Said {
    figure: f64,
    end: Value,
    output: Vec<f32>,
    gradient: Tensor,
}

/// Two steps, clipped by the norm of all gradients: figures, outputs, gradients, norms; parameters and moments at the end.
fn train(
    device: &dyn Device,
    mut parameters: Parameters,
    decay: f64,
    forward: impl Fn(&Tape<'_>, &[Value], f32) -> Said,
) -> Numbers {
    let (mut numbers, mut scale) = (Numbers::new(), LossScale::of(device.precision()));
    for step in 1..=2 {
        let tape = Tape::recording(device);
        let leaves: Vec<Value> = parameters.0.iter().map(|(_, p)| tape.leaf(p.value.clone())).collect();
        let Said { figure, end, output, gradient } = forward(&tape, &leaves, scale.factor());
        numbers.push((format!("figure {step}"), vec![figure as f32]));
        numbers.push((format!("output {step}"), output));
        let mut found = tape.backward(&end, gradient);
        drop(end);
        let gradients: Vec<Tensor> = leaves.into_iter().map(|leaf| found.take(&leaf).expect("a gradient")).collect();
        assert!(gradients.iter().all(|gradient| finite(device, gradient)));
        let (whole, most) = (scale.factor(), norm(device, &gradients));
        assert!(scale.accepts(most), "the norm is {most}");
        let most = most / f64::from(whole);
        numbers.push((format!("norm {step}"), vec![most as f32]));
        for ((name, _), gradient) in parameters.0.iter().zip(&gradients) {
            numbers.push((
                format!("gradient {step} of {name}"),
                device.floats(gradient).iter().map(|g| g / whole).collect(),
            ));
        }
        let clip = if most > 0.1 { (0.1 / most) as f32 } else { 1.0 };
        let pairs = parameters.0.iter_mut().map(|(_, p)| p).zip(&gradients).collect();
        Adam { step, rate: 1e-3, decay, scale: clip / whole }.update(device, pairs);
    }
    for (name, Parameter { value, first, second, .. }) in &parameters.0 {
        for (what, tensor) in [("", value), ("first moment of ", first), ("second moment of ", second)] {
            numbers.push((format!("{what}{name}"), device.floats(tensor)));
        }
    }
    numbers
}

/// The largest difference of each number from what is wanted, as a share of the largest of its tensor.
pub fn apart(got: &Numbers, want: &Numbers) -> Vec<(String, f64)> {
    assert_eq!(got.len(), want.len());
    let each = got.iter().zip(want).map(|((name, got), (other, want))| {
        assert_eq!((name, got.len()), (other, want.len()));
        let most = want.iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
        let apart = got.iter().zip(want).map(|(a, b)| f64::from(*a) - f64::from(*b));
        // of a tensor of zeros, any difference is infinite; a NaN is never close
        let apart = apart.fold(0.0, |most: f64, v| if v.abs() <= most { most } else { v.abs() });
        (name.clone(), if apart == 0.0 { 0.0 } else { apart / most })
    });
    each.collect()
}

/// Checks numbers to a share of the largest of each tensor; returns the largest share, and of what.
pub fn close(got: &Numbers, want: &Numbers, bound: f64) -> (String, f64) {
    let worst = apart(got, want).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("numbers");
    assert!(worst.1 <= bound, "{} differs by {}", worst.0, worst.1);
    worst
}
