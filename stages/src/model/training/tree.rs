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

/// A sum over neighbouring parts.
pub(crate) struct Node {
    /// It is over 2 to this power of them.
    pub(crate) rank: u32,
    /// Its number among the nodes of its rank.
    pub(crate) at: u64,
    pub(crate) gradients: Gradients,
}

/// The sum so far over parts that follow each other: its largest nodes, from left to right.
#[derive(Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The number of the next part.
    next: u64,
}

impl Tree {
    /// A sum that begins with the part of this number.
    pub(crate) fn from(first: usize) -> Tree {
        Tree { nodes: Vec::new(), next: first as u64 }
    }

    /// Adds the gradients of the next part.
    pub(crate) fn add(&mut self, device: &dyn Device, leaf: Gradients) {
        let at = self.next;
        self.next += 1;
        self.join(device, Node { rank: 0, at, gradients: leaf });
    }

    /// Adds the node to the right of all that are there.
    pub(crate) fn join(&mut self, device: &dyn Device, mut node: Node) {
        let pair = |left: &mut Node, node: &Node| {
            left.rank == node.rank && left.at + 1 == node.at && left.at.is_multiple_of(2)
        };
        while let Some(left) = self.nodes.pop_if(|left| pair(left, &node)) {
            let gradients = both(device, left.gradients, node.gradients);
            node = Node { rank: left.rank + 1, at: left.at / 2, gradients };
        }
        self.nodes.push(node);
    }

    /// The nodes, from left to right.
    pub(crate) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// The gradients of all parts.
    pub(crate) fn sum(mut self, device: &dyn Device) -> Gradients {
        let mut all = self.nodes.pop().map(|node| node.gradients).unwrap_or_default();
        while let Some(left) = self.nodes.pop() {
            all = both(device, left.gradients, all);
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
    fn shares_of_it_make_the_same_tree() {
        let device: &dyn Device = &Cpu::new();
        let x: Vec<f32> = (0..21).map(|i| libm::powf(-7.0, (i * 5 % 11) as f32) + i as f32).collect();
        for ends in [[0, 0, 21], [8, 16, 21], [3, 4, 21], [1, 14, 20], [7, 7, 7], [5, 15, 21]] {
            let (mut whole, mut first) = (Tree::default(), 0);
            for end in ends.into_iter().chain([21]) {
                let mut share = Tree::from(first);
                for leaf in &x[first..end] {
                    share.add(device, [("w".to_owned(), device.tensor(&[*leaf], [1, 1, 1]))].into());
                }
                share.into_nodes().into_iter().for_each(|node| whole.join(device, node));
                first = end;
            }
            assert_eq!(device.floats(&whole.sum(device)["w"])[0], summed(&x), "{ends:?}");
        }
    }

    #[test]
    fn as_many_nodes_are_held_as_is_said() {
        let device: &dyn Device = &Cpu::new();
        for parts in 1..=40 {
            let (mut tree, mut most) = (Tree::default(), 0);
            for _ in 0..parts {
                most = most.max(tree.nodes.len());
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
