//! Sums and multiples of `n` floats.

use super::sources::ADD;
use super::{Argument, Plan, blocks, long};

/// Output 0 = input 0 + input 1.
pub fn add(n: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0), long(n)];
    plan.launch(&ADD, "add_floats", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Adds input 0 to output 0.
pub fn add_to(n: usize) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Output(0), Argument::Input(0), Argument::Output(0), long(n)];
    plan.launch(&ADD, "add_floats", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Output 0 = `by` times input 0; both may be one buffer.
pub fn scale(n: usize, by: f32) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Output(0), Argument::Float(by), long(n)];
    plan.launch(&ADD, "add_scale", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}

/// Output 0 = input 0 + `by` times input 1; output and input 0 may be one buffer.
pub fn multiple(n: usize, by: f32) -> Plan {
    let mut plan = Plan::default();
    let arguments = vec![Argument::Input(0), Argument::Input(1), Argument::Output(0), Argument::Float(by), long(n)];
    plan.launch(&ADD, "add_multiple", [blocks(n, 256), 1, 1], 0, arguments);
    plan
}
