//! One GPU: a stream of it, and the kernels loaded there so far.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY;
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::{CudaError, cubin, probe};
use crate::launch::{Bound, Launch, Source, Target};

/// Bytes of shared memory that a kernel gets without asking.
const PLAIN_SHARED: u32 = 48 << 10;

/// A GPU, ready to run. All its work is in one stream, in the order of the calls.
#[derive(Debug)]
pub struct Card {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    arch: String,
    cache: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

/// Modules by their source's name, functions by their own.
#[derive(Debug, Default)]
struct Loaded {
    modules: BTreeMap<&'static str, Arc<CudaModule>>,
    functions: BTreeMap<&'static str, CudaFunction>,
}

impl Card {
    /// Opens device `number`; compiled kernels are kept in `cache`, a folder.
    ///
    /// # Errors
    /// If [`probe`] finds that something is missing, there is no such device, or it cannot be opened.
    pub fn open(number: usize, cache: Option<PathBuf>) -> Result<Self, CudaError> {
        let found = probe()?;
        if number >= found {
            return Err(CudaError::NoSuchDevice(number, found));
        }
        let context = CudaContext::new(number)?;
        // SAFETY: all memory of this context is used in one stream, whose order is that of the calls, so there is nothing
        // for events between streams to keep apart.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = context.compute_capability()?;
        let stream = context.new_stream()?;
        Ok(Self { context, stream, arch: format!("sm_{major}{minor}"), cache, loaded: Mutex::default() })
    }

    /// The device's name, as the driver gives it.
    ///
    /// # Errors
    /// If the driver does not answer.
    pub fn name(&self) -> Result<String, CudaError> {
        Ok(self.context.name()?)
    }

    /// The architecture that kernels are compiled for, such as `sm_90`.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// Bytes free and bytes in all.
    ///
    /// # Errors
    /// If the driver does not answer.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        Ok(self.context.mem_get_info()?)
    }

    /// Compiles and loads a source, if that was not done before. A launch does it where it is needed; done at the start, no
    /// step waits for it.
    ///
    /// # Errors
    /// If the source cannot be compiled or loaded.
    pub fn load(&self, source: &'static Source) -> Result<(), CudaError> {
        self.module(&mut self.loaded.lock().unwrap_or_else(PoisonError::into_inner), source).map(drop)
    }

    fn module(&self, loaded: &mut Loaded, source: &'static Source) -> Result<Arc<CudaModule>, CudaError> {
        if let Some(module) = loaded.modules.get(source.name) {
            return Ok(module.clone());
        }
        let built = cubin(&source.text(), &self.arch, self.cache.as_deref())?;
        let module = self.context.load_module(Ptx::from_binary(built))?;
        loaded.modules.insert(source.name, module.clone());
        Ok(module)
    }

    fn function(&self, launch: &Launch) -> Result<CudaFunction, CudaError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.functions.contains_key(launch.kernel) {
            let function = self.module(&mut loaded, launch.source)?.load_function(launch.kernel)?;
            loaded.functions.insert(launch.kernel, function);
        }
        let function = loaded.functions[launch.kernel].clone();
        if launch.shared > PLAIN_SHARED {
            let bytes = i32::try_from(launch.shared).unwrap_or(i32::MAX);
            function.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes)?;
        }
        Ok(function)
    }

    /// What an allocation that failed is told as.
    fn no_room(&self, wanted: usize, error: cudarc::driver::DriverError) -> CudaError {
        match self.context.mem_get_info() {
            Ok((free, total)) if free < wanted => CudaError::Memory { wanted, free, total },
            _ => error.into(),
        }
    }
}

impl Target for Card {
    type Memory = CudaSlice<u8>;
    type Error = CudaError;

    fn alloc(&self, bytes: usize) -> Result<CudaSlice<u8>, CudaError> {
        // SAFETY: any bytes are a u8; kernels write what they then read.
        unsafe { self.stream.alloc::<u8>(bytes.max(1)) }.map_err(|e| self.no_room(bytes, e))
    }

    fn write(&self, to: &mut CudaSlice<u8>, from: &[u8]) -> Result<(), CudaError> {
        if !from.is_empty() {
            self.stream.memcpy_htod(from, to)?;
        }
        Ok(())
    }

    fn is_full(error: &CudaError) -> bool {
        match error {
            CudaError::Memory { .. } => true,
            CudaError::Driver(error) => error.0 == CUDA_ERROR_OUT_OF_MEMORY,
            _ => false,
        }
    }

    fn download(&self, from: &CudaSlice<u8>, to: &mut [u8]) -> Result<(), CudaError> {
        if !to.is_empty() {
            self.stream.memcpy_dtoh(&from.slice(..to.len()), to)?;
        }
        self.synchronise()
    }

    fn launch(&self, launch: &Launch, values: &[Bound<'_, CudaSlice<u8>>]) -> Result<(), CudaError> {
        let function = self.function(launch)?;
        let [x, y, z] = launch.grid;
        let config =
            LaunchConfig { grid_dim: (x, y, z), block_dim: (launch.threads, 1, 1), shared_mem_bytes: launch.shared };
        let mut args = self.stream.launch_builder(&function);
        for value in values {
            match value {
                Bound::Memory(memory) => args.arg(*memory),
                Bound::Null => args.arg(&0u64),
                Bound::Int(v) => args.arg(v),
                Bound::Long(v) => args.arg(v),
                Bound::Float(v) => args.arg(v),
                Bound::Double(v) => args.arg(v),
            };
        }
        // SAFETY: the plans of `launch` give each kernel the arguments it takes, with extents that fit the memory: the tests run
        // every one of them through a shim that checks both.
        unsafe { args.launch(config) }?;
        Ok(())
    }

    fn synchronise(&self) -> Result<(), CudaError> {
        Ok(self.stream.synchronize()?)
    }
}
