//! Compiling sources to cubins, which a cache on disk keeps.

use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::path::Path;

use cudarc::nvrtc::{self, sys};

use super::{CudaError, compiler};

/// What a source became.
#[derive(Clone, Debug)]
pub struct Built {
    /// An ELF file for one architecture.
    pub cubin: Vec<u8>,
    /// What the compiler said, with the registers and spills of each kernel.
    pub log: String,
}

/// Options for an architecture. Products and sums are fused where the source says so and nowhere else, so that a kernel
/// computes what it computes on the CPU.
fn options(arch: &str) -> [String; 4] {
    ["--gpu-architecture=".to_string() + arch, "--std=c++17".into(), "--fmad=false".into(), "--ptxas-options=-v".into()]
}

/// Compiles `source` to a cubin for `arch` (such as `sm_90`); needs libnvrtc and no device. With `cache`, a folder, the
/// result is kept there under a digest of source, options and compiler, and taken from there the next time.
///
/// # Errors
/// If libnvrtc is missing or refuses the source. A cache that cannot be read or written is passed over.
pub fn cubin(source: &str, arch: &str, cache: Option<&Path>) -> Result<Vec<u8>, CudaError> {
    let version = compiler()?;
    let mut digest = blake3::Hasher::new();
    for part in [source, &options(arch).join("\n"), &format!("{version:?}")] {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    let name = format!("{}.cubin", digest.finalize().to_hex());
    let path = cache.map(|folder| folder.join(&name));
    // a cubin is an ELF file; anything else is what an interrupted host left
    if let Some(found) = path.as_deref().and_then(|p| fs::read(p).ok()).filter(|b| b.starts_with(b"\x7fELF")) {
        return Ok(found);
    }
    let built = compile(source, arch)?.cubin;
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

/// Compiles `source` for `arch`, without a cache.
///
/// # Errors
/// If libnvrtc is missing or refuses the source.
pub fn compile(source: &str, arch: &str) -> Result<Built, CudaError> {
    compiler()?;
    let refused = |log: String| CudaError::Compile { arch: arch.to_string(), log };
    let text = CString::new(source).map_err(|e| refused(e.to_string()))?;
    let program = nvrtc::result::create_program(&text, None).map_err(|e| refused(format!("{e:?}")))?;
    // SAFETY: the program lives until it is destroyed below; the cubin is written to a buffer of the size asked for.
    unsafe {
        let done = nvrtc::result::compile_program(program, &options(arch));
        let said: Option<Vec<c_char>> = nvrtc::result::get_program_log(program).ok().filter(|l| l.contains(&0));
        let log = said.map(|l| CStr::from_ptr(l.as_ptr()).to_string_lossy().into_owned());
        let built = match done {
            Ok(()) => {
                let (mut size, mut cubin) = (0usize, Vec::new());
                sys::nvrtcGetCUBINSize(program, &raw mut size)
                    .result()
                    .and_then(|()| {
                        cubin.resize(size, 0u8);
                        sys::nvrtcGetCUBIN(program, cubin.as_mut_ptr().cast()).result()
                    })
                    .map(|()| Built { cubin, log: log.unwrap_or_default() })
                    .map_err(|e| refused(format!("{e:?}")))
            }
            Err(e) => Err(refused(log.unwrap_or_else(|| format!("{e:?}")))),
        };
        nvrtc::result::destroy_program(program).ok();
        built
    }
}
