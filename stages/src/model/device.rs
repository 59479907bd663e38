//! The device that networks run on: one for a process, chosen before anything else.

use std::{str::FromStr, sync::Arc};

use datasets::effect::numerics;
use kernels::device::{Cpu, Device};
use kernels::tensor::DType;
use serde::{Deserialize, Serialize};

/// The numbers that activations are made of, and their gradients. Weights, moments and sums have 32 bits or more with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits with more digits and less range: the loss is scaled.
    F16,
}

impl Precision {
    /// As the engine has it.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
        }
    }

    /// Bytes of an activation.
    pub(crate) fn bytes(self) -> u64 {
        self.dtype().bytes() as u64
    }
}

/// The device that networks are asked to run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Where {
    /// On a GPU that can be used, or on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On this NVIDIA GPU.
    Cuda(usize),
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Where, String> {
        match text {
            "auto" => Ok(Where::Auto),
            "cpu" => Ok(Where::Cpu),
            "cuda" => Ok(Where::Cuda(0)),
            other => {
                let number = other.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Where::Cuda).ok_or_else(|| "expected `auto`, `cpu`, `cuda` or `cuda:N`".to_owned())
            }
        }
    }
}

/// The device that the networks of this process run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The device in words.
    pub device: String,
    /// Why it is not a GPU, where one was looked for.
    pub lacks: Option<String>,
}

/// Chooses the device of this process, before the first network and the first key. Results of a GPU have a numerics class of
/// their own.
///
/// # Errors
/// A sentence on what a GPU that is asked for lacks, or where another device was chosen before.
pub fn choose(at: Where) -> Result<Chosen, String> {
    let cpu = |lacks| Chosen { device: format!("cpu, {}", numerics()), lacks };
    match at {
        Where::Cpu => Ok(cpu(None)),
        Where::Cuda(number) => gpu::open(number).map(|device| Chosen { device, lacks: None }),
        Where::Auto if cfg!(feature = "cuda") => match gpu::open(0) {
            Ok(device) => Ok(Chosen { device, lacks: None }),
            Err(lacks) => Ok(cpu(Some(lacks))),
        },
        Where::Auto => Ok(cpu(None)),
    }
}

/// A device with an arena of its own, for whoever holds a network.
pub(crate) fn device(precision: Precision) -> Arc<dyn Device> {
    gpu::device(precision.dtype()).unwrap_or_else(|| Arc::new(Cpu::of(precision.dtype())))
}

#[cfg(not(feature = "cuda"))]
mod gpu {
    use kernels::device::Device;
    use kernels::tensor::DType;
    use std::sync::Arc;

    pub(super) fn open(_: usize) -> Result<String, String> {
        Err("this build knows no GPU: build it with `--features cuda`".to_owned())
    }

    pub(super) fn device(_: DType) -> Option<Arc<dyn Device>> {
        None
    }
}

#[cfg(feature = "cuda")]
mod gpu {
    use datasets::{effect::run_networks_on, environment};
    use kernels::{
        cuda::Card,
        device::{Device, Gpu},
        tensor::DType,
    };
    use std::{
        path::PathBuf,
        sync::{Arc, OnceLock},
    };

    /// The card of this process; its stream takes the launches of all threads in one order.
    static CARD: OnceLock<Arc<Card>> = OnceLock::new();

    pub(super) fn open(number: usize) -> Result<String, String> {
        let card = Card::open(number, cache()).map_err(|error| error.to_string())?;
        let name = card.name().map_err(|error| error.to_string())?;
        let class = format!("cuda-{}", card.arch().replace('_', ""));
        let card = CARD.get_or_init(|| Arc::new(card));
        match run_networks_on(class.clone()) {
            true => Ok(format!("cuda:{number}, {name}, {}", card.arch())),
            false => Err(format!("this process runs its networks on another device than {class}")),
        }
    }

    /// The folder that keeps compiled kernels.
    fn cache() -> Option<PathBuf> {
        let home = || Some(PathBuf::from(environment::HOME.get()?).join(".cache"));
        let caches = environment::CACHE.get().map(PathBuf::from).filter(|path| path.is_absolute());
        Some(caches.or_else(home)?.join("refrain/kernels"))
    }

    pub(super) fn device(precision: DType) -> Option<Arc<dyn Device>> {
        let card = CARD.get()?.clone();
        Some(Arc::new(Gpu::new(card, precision)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_in_one_word() {
        let read = |text: &str| text.parse::<Where>();
        assert_eq!([read("auto"), read("cpu")], [Ok(Where::Auto), Ok(Where::Cpu)]);
        assert_eq!([read("cuda"), read("cuda:3")], [Ok(Where::Cuda(0)), Ok(Where::Cuda(3))]);
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", ""] {
            assert_eq!(read(wrong), Err("expected `auto`, `cpu`, `cuda` or `cuda:N`".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn without_a_gpu_it_is_said_what_is_missing() {
        assert_eq!(choose(Where::Cpu).expect("a CPU").lacks, None);
        // No machine has so many.
        let lacks = choose(Where::Cuda(1 << 20)).expect_err("no such GPU");
        assert!(!lacks.is_empty() && !lacks.contains('\n'), "{lacks}");
    }
}
