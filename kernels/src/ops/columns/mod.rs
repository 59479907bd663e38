//! Columns of sequences put together: how tiles get the context before them.

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check};
use crate::launch::Plan;
use crate::launch::columns::{self as launch, Cut};
use crate::tensor::{Buffer, Slice, SliceMut, Tensor};

/// A piece of every row of the result.
#[derive(Clone, Debug)]
pub enum Piece {
    /// So many zeros.
    Zeros(usize),
    /// So many columns of a tensor `[1, channels, positions]`: the first of them, and their number.
    Of(Tensor, usize, usize),
}

/// A tensor `[1, channels, positions]` whose rows are these pieces, one behind the other.
///
/// # Panics
/// If a piece lies outside of its tensor, or a tensor has other channels.
pub fn columns(device: &dyn Device, channels: usize, pieces: &[Piece]) -> Tensor {
    let (mut inputs, mut cuts): (Vec<&Buffer>, Vec<Cut>) = (Vec::new(), Vec::new());
    for piece in pieces {
        cuts.push(match piece {
            Piece::Zeros(count) => Cut { of: None, first: 0, count: *count },
            Piece::Of(tensor, first, count) => {
                let [items, own, positions] = tensor.shape();
                assert!(items == 1 && own == channels && first + count <= positions, "columns: a piece of {own} rows");
                inputs.push(tensor.buffer());
                Cut { of: Some((inputs.len() - 1, positions)), first: *first, count: *count }
            }
        });
    }
    let wide: usize = cuts.iter().map(|cut| cut.count).sum();
    let mut out = Tensor::new(device.alloc(device.precision(), channels * wide), [1, channels, wide]);
    device.launch(&Columns { channels, cuts }, &inputs, &mut [out.buffer_mut()]);
    out
}

struct Columns {
    channels: usize,
    cuts: Vec<Cut>,
}
impl Kernel for Columns {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [out] = outputs else { panic!("columns: operands") };
        let mut rest = out.f32();
        for channel in 0..self.channels {
            for Cut { of, first, count } in &self.cuts {
                let (to, after) = rest.split_at_mut(*count);
                rest = after;
                match of {
                    Some((input, positions)) => {
                        to.copy_from_slice(&inputs[*input].f32()[channel * positions + first..][..*count]);
                    }
                    None => to.fill(0.0),
                }
            }
        }
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let wide: usize = self.cuts.iter().map(|cut| cut.count).sum();
        let dtype = outputs[0].dtype;
        let own: Vec<_> = self.cuts.iter().filter_map(|cut| cut.of.map(|of| (dtype, self.channels * of.1))).collect();
        check("columns", inputs, &own);
        check("columns", outputs, &[(dtype, self.channels * wide)]);
        launch::columns(self.channels, &self.cuts, dtype)
    }
}
