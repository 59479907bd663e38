//! Gradients that are given rather than derived.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

/// The step back: the gradient that was given.
#[derive(Debug)]
struct Step;

impl<B: Backend> Backward<B, 1> for Step {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, ops.state);
        }
    }
}

/// The end of a graph whose loss was computed outside of it: `gradient` is given x and returns the loss's gradient with
/// respect to x. The result is a 0 to call `backward` on (what it is multiplied by changes nothing).
pub fn steer<B: Backend, C: CheckpointStrategy, const D: usize>(
    x: Tensor<Autodiff<B, C>, D>,
    gradient: impl FnOnce(Tensor<B, D>) -> Tensor<B, D>,
) -> Tensor<Autodiff<B, C>, 1> {
    let x = x.into_primitive().tensor();
    let node = x.node.clone();
    // The value goes in whole, so that a gradient of the same size can take its place in memory.
    let gradient = gradient(Tensor::from_primitive(TensorPrimitive::Float(x.primitive)));
    let zero = Tensor::<B, 1>::zeros([1], &gradient.device()).into_primitive().tensor();
    let end = match Backward::<B, 1>::prepare::<C>(Step, [node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(gradient.into_primitive().tensor(), zero),
        OpsKind::UnTracked(prep) => prep.finish(zero),
    };
    Tensor::from_primitive(TensorPrimitive::Float(end))
}

#[cfg(test)]
mod tests {
    use super::steer;
    use burn::tensor::Tensor;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    #[test]
    fn what_is_given_flows_back() {
        let x = Tensor::<Autodiff<Flex>, 1>::from_floats([1.0, 2.0, 3.0], &Default::default()).require_grad();
        let back = steer(x.clone() * 2.0, |y| y + 1.0).backward();
        let got: Vec<f32> = x.grad(&back).expect("a gradient").into_data().to_vec().expect("f32");
        assert_eq!(got, [6.0, 10.0, 14.0]);
    }
}
