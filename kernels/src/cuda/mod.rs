//! CUDA by cudarc: is there a device, compiling our own sources at run time, and launching them on memory of their own.
//!
//! Nothing here needs a CUDA toolkit to build or a CUDA library to start the program: libcuda and libnvrtc are looked for on
//! first use, and everything that can be missing is a [`CudaError`].

mod card;
mod compile;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::{CudaContext, DriverError};
use cudarc::nvrtc;

pub use card::Card;
pub use compile::{Built, compile, cubin};

/// Why something could not be done with CUDA.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// libcuda is not there.
    #[error("no NVIDIA driver: libcuda was not found")]
    NoDriver,
    /// libcuda is there, but cannot be used.
    #[error("the NVIDIA driver cannot be used: {0}")]
    DriverUnusable(String),
    /// The driver works and sees nothing.
    #[error("the NVIDIA driver finds no device")]
    NoDevice,
    /// libnvrtc is not there.
    #[error("no CUDA compiler: libnvrtc was not found")]
    NoCompiler,
    /// A source was refused; the compiler's log.
    #[error("cannot compile a kernel for {arch}: {log}")]
    Compile {
        /// The architecture, such as `sm_90`.
        arch: String,
        /// What the compiler said.
        log: String,
    },
    /// A call of the driver failed.
    #[error("CUDA driver: {0}")]
    Driver(#[from] DriverError),
    /// There are fewer devices.
    #[error("there is no CUDA device {0}: {1} found")]
    NoSuchDevice(usize, usize),
    /// The device has no room for a buffer.
    #[error("the CUDA device has no room for {wanted} bytes: {free} of {total} are free")]
    Memory {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes free.
        free: usize,
        /// Bytes of the device.
        total: usize,
    },
}

/// The number of CUDA devices that our kernels can run on, at least 1. Never panics.
///
/// In this order, since each step would panic where the one before fails: libcuda, the driver's devices, libnvrtc.
/// (Our sources include no header of the toolkit's.)
///
/// # Errors
/// The first of these that is missing.
pub fn probe() -> Result<usize, CudaError> {
    // SAFETY: only tries to open the library.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    let devices = match catch_unwind(CudaContext::device_count) {
        Ok(Ok(n)) => usize::try_from(n).unwrap_or(0),
        Ok(Err(e)) => return Err(CudaError::DriverUnusable(e.to_string())),
        Err(_) => return Err(CudaError::DriverUnusable("it lacks a function or does not initialise".into())),
    };
    if devices == 0 {
        return Err(CudaError::NoDevice);
    }
    compiler()?;
    Ok(devices)
}

/// The version of libnvrtc.
///
/// # Errors
/// If it is not there.
pub fn compiler() -> Result<(i32, i32), CudaError> {
    // SAFETY: only tries to open the library.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(CudaError::NoCompiler);
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: two integers to write to; the library is there.
    let done = catch_unwind(AssertUnwindSafe(|| unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }));
    match done.map(|r| r.result()) {
        Ok(Ok(())) => Ok((major, minor)),
        _ => Err(CudaError::NoCompiler),
    }
}
