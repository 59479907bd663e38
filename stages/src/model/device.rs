//! The device that networks run on.

use std::sync::Arc;

use kernels::device::{Cpu, Device};

/// A device with an arena of its own, for whoever holds a network.
pub(crate) fn device() -> Arc<dyn Device> {
    Arc::new(Cpu::new())
}
