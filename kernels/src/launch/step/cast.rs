//! From f32 to 16 bits and back.

use crate::launch::sources::CAST;
use crate::launch::{Argument, Plan, blocks, int, long};
use crate::tensor::Half;

/// Input 0, `[rows, width]` in f32, to output 0, `[rows, room]` in 16 bits; zeros behind each row where `room` is wider.
///
/// # Panics
/// If `room` is narrower.
pub fn narrow(to: Half, rows: usize, width: usize, room: usize) -> Plan {
    assert!(room >= width, "cast: {width} numbers in a row of {room}");
    let kernel = match to {
        Half::F16 => "cast_f32_to_f16",
        Half::Bf16 => "cast_f32_to_bf16",
    };
    cast(kernel, rows, width, room)
}

/// Input 0, `n` numbers of 16 bits, to output 0 in f32.
pub fn widen(from: Half, n: usize) -> Plan {
    let kernel = match from {
        Half::F16 => "cast_f16_to_f32",
        Half::Bf16 => "cast_bf16_to_f32",
    };
    cast(kernel, n, 1, 1)
}

fn cast(kernel: &'static str, rows: usize, width: usize, room: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Output(0), int(width), int(room), long(rows * room)];
    plan.launch(&CAST, kernel, [blocks(rows * room, 256), 1, 1], 0, arguments);
    plan
}
