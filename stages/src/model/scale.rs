//! The size of a training: its parameters, its arithmetic, and its memory on a GPU. `docs/scale.md` has the formulas.

/// Bytes of each parameter on a GPU: value, gradient and two moments of 32 bits, and its share of what is rounded to 16 bits
/// for the layer that runs.
pub(crate) const PARAMETER: u64 = 4 * 4 + 1;

/// The training of one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// The part of the stage's networks that it trains, such as "level 0"; empty where a stage has one.
    pub part: String,
    /// Numbers that the optimiser moves.
    pub parameters: u64,
    /// Steps.
    pub steps: u64,
    /// Whether activations have 16 bits, so that products run on tensor cores.
    pub half: bool,
    /// Operations of a step's way forward, a multiplication and an addition as two.
    pub forward: f64,
    /// Bytes on a GPU with one segment, two, and so on.
    pub on_card: Vec<u64>,
}

impl Training {
    /// Operations of a step: the way back takes two ways forward, and segments go forward once more.
    pub fn operations(&self, segments: usize) -> f64 {
        self.forward * if segments > 1 { 4.0 } else { 3.0 }
    }

    /// The fewest segments with which it fits so many bytes of a GPU; none where no number of them does.
    pub fn fewest(&self, bytes: u64) -> Option<usize> {
        self.on_card.iter().position(|needed| *needed <= bytes).map(|at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_segments_that_fit_are_taken() {
        let training = Training {
            part: String::new(),
            parameters: 1,
            steps: 1,
            half: true,
            forward: 2.0,
            on_card: vec![90, 50, 40],
        };
        assert_eq!([90, 89, 40, 39].map(|bytes| training.fewest(bytes)), [Some(1), Some(2), Some(3), None]);
        assert_eq!([1, 2].map(|segments| training.operations(segments)), [6.0, 8.0]);
    }
}
