//! What a GPU is asked to do, as data: which kernels of which source, on what grid, with which arguments.
//!
//! An operation gives a [`Plan`] for its extents. A [`Target`] runs it on memory of its own: cudarc on a GPU, or the tests'
//! shim on the CPU, so that one orchestration serves both and is tested without a GPU to the last argument.

pub mod add;
pub mod attention;
pub mod columns;
pub mod cross_entropy;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod nearest;
mod products;
mod sources;
mod step;
pub mod stft;

pub use products::{convolution, convolution_half, layer, linear, residual};
pub use sources::{SOURCES, Source};
pub use step::{adam, cast, finite, loss, norm};

use crate::tensor::DType;

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// The input of this number.
    Input(usize),
    /// The output of this number; it may be read as well where the kernel says so.
    Output(usize),
    /// Memory that lives as long as the plan runs.
    Scratch(usize),
    /// No memory, where a kernel can do without.
    Null,
    /// A size, at most 2^31 - 1.
    Int(i32),
    /// A number of elements.
    Long(i64),
    /// A factor.
    Float(f32),
    /// A factor of sums in f64.
    Double(f64),
}

/// One launch of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The source that holds the kernel.
    pub source: &'static Source,
    /// Its name.
    pub kernel: &'static str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block, whole warps.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared: u32,
    /// The arguments of the kernel, in their order.
    pub arguments: Vec<Argument>,
}

/// Launches one after the other, and the memory that they pass on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Bytes of each scratch buffer.
    pub scratch: Vec<usize>,
    /// In their order.
    pub launches: Vec<Launch>,
}

/// Threads of a block of every kernel but those that say otherwise.
pub(crate) const THREADS: u32 = 256;

/// The kernel for elements of this type, of those for F32, F16 and BF16.
///
/// # Panics
/// If there is none.
pub(crate) fn of(dtype: DType, [f32, f16, bf16]: [&'static str; 3]) -> &'static str {
    match dtype {
        DType::F32 => f32,
        DType::F16 => f16,
        DType::BF16 => bf16,
        DType::F64 | DType::U32 => panic!("no kernel like {f32} for {dtype:?}"),
    }
}

/// Blocks of 256 threads, or tiles of 64, that `n` need.
pub(crate) fn blocks(n: usize, each: usize) -> u32 {
    u32::try_from(n.div_ceil(each)).expect("a grid of under 2^32 blocks")
}

/// Blocks that keep a GPU busy, whichever it is.
const BUSY: usize = 264;

/// Parts that a sum is cut into where its results are `tiles` blocks: so many that a GPU is busy, of at least `least` terms.
/// Each part takes memory like the results, so what is large is not cut.
pub(crate) fn parts(tiles: usize, terms: usize, least: usize) -> usize {
    BUSY.div_ceil(tiles.max(1)).min(terms.div_ceil(least)).max(1)
}

/// A size as kernels take it.
///
/// # Panics
/// If it is 2^31 or more: no operation has such an extent.
pub(crate) fn int(n: usize) -> Argument {
    Argument::Int(i32::try_from(n).expect("an extent of under 2^31"))
}

/// A number of elements as kernels take it.
pub(crate) fn long(n: usize) -> Argument {
    Argument::Long(i64::try_from(n).expect("a number of elements of under 2^63"))
}

impl Plan {
    /// Adds a launch of 256 threads; one without blocks has nothing to do and is left out.
    pub(crate) fn launch(
        &mut self,
        source: &'static Source,
        kernel: &'static str,
        grid: [u32; 3],
        shared: usize,
        arguments: Vec<Argument>,
    ) -> &mut Self {
        self.launch_of(THREADS, source, kernel, grid, shared, arguments)
    }

    /// The same with another number of threads.
    pub(crate) fn launch_of(
        &mut self,
        threads: u32,
        source: &'static Source,
        kernel: &'static str,
        grid: [u32; 3],
        shared: usize,
        arguments: Vec<Argument>,
    ) -> &mut Self {
        let shared = u32::try_from(shared).expect("shared memory of under 2^32 bytes");
        if !grid.contains(&0) {
            self.launches.push(Launch { source, kernel, grid, threads, shared, arguments });
        }
        self
    }

    /// A scratch buffer of `bytes`.
    pub(crate) fn scratch(&mut self, bytes: usize) -> Argument {
        self.scratch.push(bytes);
        Argument::Scratch(self.scratch.len() - 1)
    }

    /// Adds the launches of another plan, whose inputs and outputs are these of this one.
    pub(crate) fn join(&mut self, part: Plan, inputs: &[Argument], outputs: &[Argument]) {
        let base = self.scratch.len();
        self.scratch.extend(part.scratch);
        self.launches.extend(part.launches.into_iter().map(|mut launch| {
            for argument in &mut launch.arguments {
                *argument = match *argument {
                    Argument::Input(i) => inputs[i],
                    Argument::Output(i) => outputs[i],
                    Argument::Scratch(i) => Argument::Scratch(base + i),
                    other => other,
                };
            }
            launch
        }));
    }

    /// Runs the plan on memory of the target.
    ///
    /// # Errors
    /// If the target cannot allocate scratch memory, or refuses a launch.
    ///
    /// # Panics
    /// If the plan has more inputs or outputs than are given.
    pub fn run<T: Target>(&self, target: &T, inputs: &[&T::Memory], outputs: &[&T::Memory]) -> Result<(), T::Error> {
        let scratch = self.scratch.iter().map(|bytes| target.alloc(*bytes)).collect::<Result<Vec<_>, _>>()?;
        self.run_within(target, inputs, outputs, &scratch.iter().collect::<Vec<_>>())
    }

    /// The same with scratch memory that is there already.
    ///
    /// # Errors
    /// If the target refuses a launch.
    ///
    /// # Panics
    /// If the plan has more inputs, outputs or scratch buffers than are given.
    pub fn run_within<T: Target>(
        &self,
        target: &T,
        inputs: &[&T::Memory],
        outputs: &[&T::Memory],
        scratch: &[&T::Memory],
    ) -> Result<(), T::Error> {
        for launch in &self.launches {
            let value = |argument: &Argument| match *argument {
                Argument::Input(i) => Bound::Memory(inputs[i]),
                Argument::Output(i) => Bound::Memory(outputs[i]),
                Argument::Scratch(i) => Bound::Memory(scratch[i]),
                Argument::Null => Bound::Null,
                Argument::Int(v) => Bound::Int(v),
                Argument::Long(v) => Bound::Long(v),
                Argument::Float(v) => Bound::Float(v),
                Argument::Double(v) => Bound::Double(v),
            };
            let values: Vec<_> = launch.arguments.iter().map(value).collect();
            target.launch(launch, &values)?;
        }
        Ok(())
    }
}

/// An argument with its memory.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a, M> {
    /// Memory of the target.
    Memory(&'a M),
    /// None.
    Null,
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// 32 bits.
    Float(f32),
    /// 64 bits.
    Double(f64),
}

/// What runs launches, in the order in which it is asked to.
pub trait Target {
    /// Memory of the target.
    type Memory;
    /// Why something could not be done.
    type Error;

    /// Memory with whatever it held before.
    ///
    /// # Errors
    /// If there is not as much.
    fn alloc(&self, bytes: usize) -> Result<Self::Memory, Self::Error>;

    /// Copies the host's bytes to the beginning of memory that has room for them. Once it returns, the bytes may change.
    ///
    /// # Errors
    /// If the copy fails.
    fn write(&self, to: &mut Self::Memory, from: &[u8]) -> Result<(), Self::Error>;

    /// Memory with a copy of the host's bytes.
    ///
    /// # Errors
    /// If there is no room, or the copy fails.
    fn upload(&self, from: &[u8]) -> Result<Self::Memory, Self::Error> {
        let mut to = self.alloc(from.len())?;
        self.write(&mut to, from)?;
        Ok(to)
    }

    /// Whether an error says that memory is short, so that it may help to give some back.
    fn is_full(error: &Self::Error) -> bool;

    /// Copies to the host, once all launches so far are done; as many bytes as `to` has.
    ///
    /// # Errors
    /// If a launch or the copy failed.
    fn download(&self, from: &Self::Memory, to: &mut [u8]) -> Result<(), Self::Error>;

    /// Runs a launch, or puts it in line.
    ///
    /// # Errors
    /// If the kernel cannot be compiled, or the launch is refused.
    fn launch(&self, launch: &Launch, values: &[Bound<'_, Self::Memory>]) -> Result<(), Self::Error>;

    /// Waits for all launches.
    ///
    /// # Errors
    /// If one failed.
    fn synchronise(&self) -> Result<(), Self::Error>;
}

/// A target that several devices share: its launches stay in the order of the calls, whoever makes them.
impl<T: Target> Target for std::sync::Arc<T> {
    type Memory = T::Memory;
    type Error = T::Error;

    fn alloc(&self, bytes: usize) -> Result<T::Memory, T::Error> {
        (**self).alloc(bytes)
    }
    fn write(&self, to: &mut T::Memory, from: &[u8]) -> Result<(), T::Error> {
        (**self).write(to, from)
    }
    fn is_full(error: &T::Error) -> bool {
        T::is_full(error)
    }
    fn download(&self, from: &T::Memory, to: &mut [u8]) -> Result<(), T::Error> {
        (**self).download(from, to)
    }
    fn launch(&self, launch: &Launch, values: &[Bound<'_, T::Memory>]) -> Result<(), T::Error> {
        (**self).launch(launch, values)
    }
    fn synchronise(&self) -> Result<(), T::Error> {
        (**self).synchronise()
    }
}
