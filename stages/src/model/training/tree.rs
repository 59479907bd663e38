//! Gradients of a batch that is gone through in parts.
//!
//! The parts are numbered, and their gradients are the leaves of a binary tree whose shape is a function of their number
//! alone: parts 0 and 1 make a node, 2 and 3 the next, these two another, and what has no neighbour waits for the end.
//! So the sum has one order, whoever makes which part.

use std::collections::BTreeMap;

use kernels::device::Device;
use kernels::tape::sum;
use kernels::tensor::Tensor;

/// Gradients of parameters by name; one that is missing is zero.
pub(crate) type Gradients = BTreeMap<String, Tensor>;

/// Nodes that the sum of so many parts holds at once, beyond the gradients that are being made.
pub(crate) fn nodes(parts: usize) -> u64 {
    parts.max(1).ilog2().into()
}

/// The sum so far: nodes of falling rank, at most one of each.
#[derive(Default)]
pub(crate) struct Tree(Vec<(u32, Gradients)>);

impl Tree {
    /// Adds the gradients of the next part.
    pub(crate) fn add(&mut self, device: &dyn Device, leaf: Gradients) {
        let mut node = (0, leaf);
        while let Some((_, left)) = self.0.pop_if(|(rank, _)| *rank == node.0) {
            node = (node.0 + 1, both(device, left, node.1));
        }
        self.0.push(node);
    }

    /// The gradients of all parts.
    pub(crate) fn sum(mut self, device: &dyn Device) -> Gradients {
        let (_, mut all) = self.0.pop().unwrap_or_default();
        while let Some((_, left)) = self.0.pop() {
            all = both(device, left, all);
        }
        all
    }
}

/// The sums of two groups of gradients, name by name.
fn both(device: &dyn Device, mut left: Gradients, right: Gradients) -> Gradients {
    for (name, b) in right {
        let sum = match left.remove(&name) {
            Some(a) => sum(device, a, b),
            None => b,
        };
        left.insert(name, sum);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::device::Cpu;

    /// The sum of as many leaves as there are, each of one number.
    fn summed(leaves: &[f32]) -> f32 {
        let device: &dyn Device = &Cpu::new();
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.add(device, [("w".to_owned(), device.tensor(&[*leaf], [1, 1, 1]))].into());
        }
        device.floats(&tree.sum(device)["w"])[0]
    }

    #[test]
    fn the_order_is_that_of_the_tree() {
        // Numbers whose sum depends on the order.
        let x = [1e8, 1.0, -1e8, 1.0, 3.0, 1e-3, 7.0];
        let by_hand = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + x[6]);
        assert_eq!(summed(&x), by_hand);
        assert_ne!(by_hand, x.iter().sum::<f32>());
        assert_eq!((summed(&x[..1]), summed(&x[..3])), (x[0], (x[0] + x[1]) + x[2]));
    }

    #[test]
    fn as_many_nodes_are_held_as_is_said() {
        let device: &dyn Device = &Cpu::new();
        for parts in 1..=40 {
            let (mut tree, mut most) = (Tree::default(), 0);
            for _ in 0..parts {
                most = most.max(tree.0.len());
                tree.add(device, [("w".to_owned(), device.tensor(&[1.0], [1, 1, 1]))].into());
            }
            assert_eq!(nodes(parts), most as u64, "{parts} parts");
        }
    }

    #[test]
    fn what_nothing_flowed_to_is_zero() {
        let device: &dyn Device = &Cpu::new();
        let one = |name: &str| [(name.to_owned(), device.tensor(&[2.0], [1, 1, 1]))].into();
        let mut tree = Tree::default();
        tree.add(device, one("a"));
        tree.add(device, one("b"));
        tree.add(device, one("a"));
        let sum = tree.sum(device);
        assert_eq!(["a", "b"].map(|name| device.floats(&sum[name])[0]), [4.0, 2.0]);
        assert!(Tree::default().sum(device).is_empty());
    }
}
