//! CUDA by cudarc: is there a device, compiling our own sources at run time, and launching them on buffers of our own.
//!
//! Nothing here needs a CUDA toolkit to build or a CUDA library to start the program: libcuda and libnvrtc are
//! looked for on first use, and everything that can be missing is a [`CudaError`].

mod attention;

pub use attention::{ATTENTION, AttentionShape, attention_cuda};

use std::ffi::{CStr, CString};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaModule, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::{self, Ptx};

/// The source of the nearest-codeword kernel.
pub const NEAREST: &str = include_str!("nearest.cu");

/// Vectors of one block of [`NEAREST`], and its threads.
const NEAREST_ROWS: usize = 64;
const NEAREST_THREADS: u32 = 256;

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
    /// Arguments that the kernel cannot take.
    #[error("arguments that the kernel cannot take: {0}")]
    Arguments(&'static str),
}

/// The number of CUDA devices that our kernels can run on, at least 1. Never panics.
///
/// In this order, since each step would panic where the one before fails: libcuda, the driver's devices, libnvrtc.
/// (burn's own kernels also want the toolkit's headers; ours include none.)
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

/// Compiles `source` to a cubin for `arch` (such as `sm_90`); needs libnvrtc and no device. With `cache`, a folder,
/// the result is kept there under a digest of source, options and compiler, and taken from there the next time.
///
/// # Errors
/// If libnvrtc is missing or refuses the source. A cache that cannot be read or written is passed over.
pub fn cubin(source: &str, arch: &str, cache: Option<&Path>) -> Result<Vec<u8>, CudaError> {
    let version = compiler()?;
    let options = [format!("--gpu-architecture={arch}"), "--std=c++17".to_string()];
    let mut digest = blake3::Hasher::new();
    for part in [source, &options.join("\n"), &format!("{version:?}")] {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    let name = format!("{}.cubin", digest.finalize().to_hex());
    let path = cache.map(|folder| folder.join(&name));
    // a cubin is an ELF file; anything else is what an interrupted host left
    if let Some(found) = path.as_deref().and_then(|p| fs::read(p).ok()).filter(|b| b.starts_with(b"\x7fELF")) {
        return Ok(found);
    }
    let built = compile(source, arch, &options)?;
    if let (Some(folder), Some(path)) = (cache, path) {
        let part = folder.join(format!("{name}.{}.part", std::process::id()));
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&part, &built));
        if written.and_then(|()| fs::rename(&part, path)).is_err() {
            // only a cache: the next run compiles again
            fs::remove_file(&part).ok();
        }
    }
    Ok(built)
}

fn compile(source: &str, arch: &str, options: &[String]) -> Result<Vec<u8>, CudaError> {
    let refused = |log: String| CudaError::Compile { arch: arch.to_string(), log };
    let text = CString::new(source).map_err(|e| refused(e.to_string()))?;
    let program = nvrtc::result::create_program(&text, None).map_err(|e| refused(format!("{e:?}")))?;
    // SAFETY: the program lives until it is destroyed below; the cubin is written to a buffer of the size asked for.
    unsafe {
        let built = match nvrtc::result::compile_program(program, options) {
            Ok(()) => {
                let mut size = 0usize;
                let mut bytes = Vec::new();
                nvrtc::sys::nvrtcGetCUBINSize(program, &mut size)
                    .result()
                    .and_then(|()| {
                        bytes.resize(size, 0u8);
                        nvrtc::sys::nvrtcGetCUBIN(program, bytes.as_mut_ptr().cast()).result()
                    })
                    .map(|()| bytes)
                    .map_err(|e| refused(format!("{e:?}")))
            }
            Err(e) => {
                let log = nvrtc::result::get_program_log(program).ok();
                let log =
                    log.filter(|l| l.contains(&0)).map(|l| CStr::from_ptr(l.as_ptr()).to_string_lossy().into_owned());
                Err(refused(log.unwrap_or_else(|| format!("{e:?}"))))
            }
        };
        nvrtc::result::destroy_program(program).ok();
        built
    }
}

/// A size as the kernels take it.
fn whole(n: usize) -> Result<i32, CudaError> {
    i32::try_from(n).map_err(|_| CudaError::Arguments("a size is over 2^31"))
}

/// A device, and the kernels of `source` loaded on it.
fn open(device: usize, cache: Option<&Path>, source: &str) -> Result<(Arc<CudaContext>, Arc<CudaModule>), CudaError> {
    if device >= probe()? {
        return Err(CudaError::Arguments("there is no such device"));
    }
    let context = CudaContext::new(device)?;
    let (major, minor) = context.compute_capability()?;
    let module = context.load_module(Ptx::from_binary(cubin(source, &format!("sm_{major}{minor}"), cache)?))?;
    Ok((context, module))
}

/// [`nearest`](crate::nearest()) on a CUDA device: z `[vectors, dim]`, codebook `[codewords, dim]`, both on the host.
/// Uses buffers and a stream of its own and returns when the results are back.
///
/// # Errors
/// If the lengths do not fit, there is no such device, or a step of compiling, copying or launching fails.
pub fn nearest_cuda(
    device: usize,
    cache: Option<&Path>,
    z: &[f32],
    dim: usize,
    codebook: &[f32],
    out: &mut [u32],
    distance: Option<&mut [f32]>,
) -> Result<(), CudaError> {
    if dim == 0 || codebook.is_empty() || !codebook.len().is_multiple_of(dim) {
        return Err(CudaError::Arguments("the codebook is no matrix of codewords"));
    }
    if z.len() != out.len() * dim || distance.as_ref().is_some_and(|d| d.len() != out.len()) {
        return Err(CudaError::Arguments("vectors, indices and distances differ in number"));
    }
    let (n, k, d) = (whole(out.len())?, whole(codebook.len() / dim)?, whole(dim)?);
    if n == 0 {
        return Ok(());
    }
    let (context, module) = open(device, cache, NEAREST)?;
    let function = module.load_function("nearest_f32")?;
    let stream = context.new_stream()?;
    let (zs, cs) = (stream.clone_htod(z)?, stream.clone_htod(codebook)?);
    let mut indices = stream.alloc_zeros::<u32>(out.len())?;
    let mut squares = stream.alloc_zeros::<f32>(out.len())?;
    let blocks = out.len().div_ceil(NEAREST_ROWS) as u32;
    let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (NEAREST_THREADS, 1, 1), shared_mem_bytes: 0 };
    let mut launch = stream.launch_builder(&function);
    launch.arg(&zs).arg(&cs).arg(&mut indices).arg(&mut squares).arg(&n).arg(&k).arg(&d);
    // SAFETY: the kernel reads n * d and k * d floats and writes n of each output, which are the buffers' lengths.
    unsafe { launch.launch(config) }?;
    stream.memcpy_dtoh(&indices, out)?;
    if let Some(distance) = distance {
        stream.memcpy_dtoh(&squares, distance)?;
    }
    stream.synchronize()?;
    Ok(())
}
