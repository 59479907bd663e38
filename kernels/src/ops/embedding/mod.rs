//! Rows of tables at every position, and the scatter of their gradients.

mod cpu;

use crate::cpu::dispatch::Level;
use crate::device::{Device, Kernel, Operand, check, check_floats};
use crate::launch::{self, Plan};
use crate::tape::{Backward, Tape, Value};
use crate::tensor::{Buffer, DType, Shape, Slice, SliceMut, Tensor};

pub use cpu::NO_ROW;

/// Rows of `tables`, each `[rows, width]`, as `[items, width, positions]`: `rows` `[items, positions]` numbers the rows of
/// all tables through; [`NO_ROW`] gives zeros.
///
/// # Panics
/// If there is no such row, or the shapes do not fit each other.
pub fn embedding(tape: &Tape<'_>, tables: &[&Value], rows: &Buffer, shape: Shape) -> Value {
    let device = tape.device();
    let mut y = Tensor::new(device.alloc(device.precision(), shape.iter().product()), shape);
    let mut inputs = vec![rows];
    inputs.extend(tables.iter().map(|t| t.tensor().buffer()));
    device.launch(&Lookup(shape), &inputs, &mut [y.buffer_mut()]);
    let places: Vec<_> = tables.iter().map(|t| t.place()).collect();
    let way = Embedding { rows: rows.clone(), tables: tables.iter().map(|t| t.shape()).collect() };
    tape.record(&places, &[], way, y)
}

struct Lookup(Shape);
impl Kernel for Lookup {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let ([rows, tables @ ..], [y]) = (inputs, outputs) else { panic!("embedding: operands") };
        let tables: Vec<&[f32]> = tables.iter().map(|t| t.f32()).collect();
        cpu::lookup(rows.u32(), &tables, self.0, y.f32());
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [items, width, positions] = self.0;
        check("embedding", &inputs[..1], &[(DType::U32, items * positions)]);
        let dtype = outputs[0].dtype;
        check("embedding", outputs, &[(dtype, items * width * positions)]);
        launch::embedding::forward(self.0, &table_rows(&inputs[1..], width), dtype)
    }
}

/// The gradients of all tables.
struct Scatter(Shape);
impl Kernel for Scatter {
    fn cpu(&self, _: Level, inputs: &[Slice<'_>], outputs: &mut [SliceMut<'_>]) {
        let [rows, dy] = inputs else { panic!("embedding: operands") };
        let tables = outputs.iter_mut().map(SliceMut::f32).collect();
        cpu::scatter(rows.u32(), dy.f32(), self.0, tables);
    }

    fn plan(&self, inputs: &[Operand], outputs: &[Operand]) -> Plan {
        let [items, width, positions] = self.0;
        let dtype = inputs[1].dtype;
        check("embedding", inputs, &[(DType::U32, items * positions), (dtype, items * width * positions)]);
        launch::embedding::backward(self.0, &table_rows(outputs, width), dtype)
    }
}

/// Rows of each table.
fn table_rows(tables: &[Operand], width: usize) -> Vec<usize> {
    let rows: Vec<usize> = tables.iter().map(|t| t.len / width).collect();
    check_floats("embedding", tables, &rows.iter().map(|rows| rows * width).collect::<Vec<_>>());
    rows
}

struct Embedding {
    rows: Buffer,
    tables: Vec<Shape>,
}

impl Backward for Embedding {
    fn backward(&self, device: &dyn Device, _: &[Tensor], dy: Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        let mut tables: Vec<Tensor> = self.tables.iter().map(|shape| device.empty(*shape)).collect();
        let mut outputs: Vec<&mut Buffer> = tables.iter_mut().map(Tensor::buffer_mut).collect();
        device.launch(&Scatter(dy.shape()), &[&self.rows, dy.buffer()], &mut outputs);
        tables.into_iter().map(Some).collect()
    }
}
