//! Tensors of a network by name, as its functions take them.

use std::collections::BTreeMap;

use kernels::device::Device;
use kernels::tape::{Gradients, Value};
use kernels::tensor::{Shape, Tensor};

use super::weights::{Arrays, WeightsError};

/// The extents on a device of an array: of one with fewer axes the last are 1.
pub(crate) fn extents(shape: &[usize]) -> Shape {
    [0, 1, 2].map(|axis| shape.get(axis).copied().unwrap_or(1))
}

/// Values by name: parameters whose gradients are wanted, or constants.
#[derive(Debug, Clone)]
pub(crate) struct Leaves(BTreeMap<String, Value>);

impl FromIterator<(String, Value)> for Leaves {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Leaves {
    /// Constants: the arrays that `wanted` says.
    pub(crate) fn constants(device: &dyn Device, arrays: &Arrays, wanted: impl Fn(&str) -> bool) -> Self {
        let all = arrays.iter().filter(|(name, _)| wanted(name));
        all.map(|(name, a)| (name.clone(), Value::constant(device.tensor(&a.data, extents(&a.shape))))).collect()
    }

    /// The value of this name.
    ///
    /// # Errors
    /// [`WeightsError::Missing`].
    pub(crate) fn get(&self, name: &str) -> Result<&Value, WeightsError> {
        self.0.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))
    }

    /// Weight and bias of a layer.
    ///
    /// # Errors
    /// [`WeightsError::Missing`].
    pub(crate) fn pair(&self, layer: &str) -> Result<[&Value; 2], WeightsError> {
        Ok([self.get(&format!("{layer}.weight"))?, self.get(&format!("{layer}.bias"))?])
    }

    /// The gradients that flowed to them, by name.
    pub(crate) fn gradients(self, found: &mut Gradients<'_>) -> BTreeMap<String, Tensor> {
        self.0.into_iter().filter_map(|(name, leaf)| Some((name, found.take(&leaf)?))).collect()
    }
}
