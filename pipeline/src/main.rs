//! The binary `refrain`.
fn main() {}
