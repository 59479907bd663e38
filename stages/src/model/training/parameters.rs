//! The parameters of a network in training: on the device from the first step to the last, with their moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernels::device::Device;
use kernels::ops::adam::Adam;
use kernels::tape::{Parameter, Tape};
use kernels::tensor::Tensor;

use crate::model::leaves::{Leaves, extents};
use crate::model::weights::{Array, Arrays};

/// Parameters by name.
pub(crate) struct Parameters {
    device: Arc<dyn Device>,
    all: BTreeMap<String, Named>,
}

struct Named {
    parameter: Parameter,
    /// The shape in files, which may have fewer axes than that of the device.
    shape: Vec<usize>,
}

impl Parameters {
    /// Parameters at the start of training. Weight decay takes hold of matrices only.
    pub(crate) fn new(device: Arc<dyn Device>, arrays: &Arrays) -> Self {
        let own = |(name, array): (&String, &Array)| {
            let parameter = Parameter::new(&*device, &array.data, extents(&array.shape), array.shape.len() > 1);
            (name.clone(), Named { parameter, shape: array.shape.clone() })
        };
        let all = arrays.iter().map(own).collect();
        Self { device, all }
    }

    /// Parameters with the moments that they had; the three have the same names and shapes.
    pub(crate) fn resumed(device: Arc<dyn Device>, [values, first, second]: [&Arrays; 3]) -> Self {
        let own = |((name, value), (first, second)): ((&String, &Array), (&Array, &Array))| {
            let data = [value, first, second].map(|a| a.data.as_slice());
            let parameter = Parameter::resumed(&*device, data, extents(&value.shape), value.shape.len() > 1);
            (name.clone(), Named { parameter, shape: value.shape.clone() })
        };
        let all = values.iter().zip(first.values().zip(second.values())).map(own).collect();
        Self { device, all }
    }

    /// The device that they lie on.
    pub(crate) fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// All of them as leaves of a tape; on one that records, their gradients are wanted.
    pub(crate) fn leaves(&self, tape: &Tape<'_>) -> Leaves {
        self.all.iter().map(|(name, own)| (name.clone(), tape.leaf(own.parameter.value.clone()))).collect()
    }

    /// One step of the optimiser; a parameter without a gradient has one of zeros.
    ///
    /// No other handle of a parameter may be left.
    pub(crate) fn update(&mut self, rule: Adam, gradients: &BTreeMap<String, Tensor>) {
        let Self { device, all } = self;
        let lacking = all.iter().filter(|(name, _)| !gradients.contains_key(*name));
        let zeros: BTreeMap<String, Tensor> = lacking
            .map(|(name, own)| {
                let value = &own.parameter.value;
                (name.clone(), device.tensor(&vec![0.0; value.len()], value.shape()))
            })
            .collect();
        let found = |name: &String| gradients.get(name).or_else(|| zeros.get(name));
        let pairs = all.iter_mut().filter_map(|(name, own)| Some((&mut own.parameter, found(name)?))).collect();
        rule.update(&**device, pairs);
    }

    /// Values, first and second moments, by name.
    pub(crate) fn arrays(&self) -> [Arrays; 3] {
        let of = |tensor: &dyn Fn(&Parameter) -> Tensor| {
            let own = |(name, own): (&String, &Named)| {
                let data = self.device.floats(&tensor(&own.parameter));
                (name.clone(), Array { shape: own.shape.clone(), data })
            };
            self.all.iter().map(own).collect()
        };
        [of(&|p| p.value.clone()), of(&|p| p.first.clone()), of(&|p| p.second.clone())]
    }

    /// The values alone, by name.
    pub(crate) fn values(&self) -> Arrays {
        let [values, _, _] = self.arrays();
        values
    }
}
