//! What can go wrong on a device, and the boundary at which it is told.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Why a device could not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no room for a buffer, though all that was at rest has been given back.
    #[error(
        "the device has no room for {wanted} bytes beside the {used} that this work holds ({cause}); more segments, a \
         smaller batch, a shorter context or a device with more memory would fit"
    )]
    Memory {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes of this device's buffers in use.
        used: usize,
        /// What the device said.
        cause: String,
    },
    /// A kernel could not be compiled or launched, or a copy failed.
    #[error("the device cannot go on: {0}")]
    Failed(String),
}

/// Runs work on devices, and returns the error of the first of them that fails.
///
/// Work that fails ends there: what it was about to change, such as parameters in the middle of a step, is to be made anew
/// from the last checkpoint. Other panics go on unwinding. Threads that the work starts must hand panics on to it, as
/// `rayon` does.
///
/// ```
/// use kernels::device::{Cpu, Device, attempt};
///
/// let device: &dyn Device = &Cpu::new();
/// let floats = attempt(|| device.floats(&device.tensor(&[1.0, 2.0], [1, 1, 2])));
/// assert_eq!(floats, Ok(vec![1.0, 2.0]));
/// ```
///
/// # Errors
/// A device's, if one fails.
pub fn attempt<R>(work: impl FnOnce() -> R) -> Result<R, DeviceError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| match payload.downcast::<DeviceError>() {
        Ok(error) => *error,
        Err(other) => resume_unwind(other),
    })
}

/// Unwinds to the next [`attempt`], without the message that a panic prints.
pub(super) fn fail(error: DeviceError) -> ! {
    resume_unwind(Box::new(error))
}
