//! Tensors by name in the files of others: safetensors, and what PyTorch's `torch.save` writes.
//!
//! Nothing in such a file is executed: a pickle is interpreted by a machine that knows numbers, texts, lists, dictionaries and
//! tensors, and refuses every other name (`pickle.rs`). The head of a file says which it is:
//!
//! | file | begins with | written by |
//! |---|---|---|
//! | zip archive, its entries as they are | `PK` | `torch.save` since PyTorch 1.6 |
//! | stream of pickles, storages behind them | a pickle of protocol 2 | `torch.save` before, also as `.pth.tar` |
//! | safetensors | the length of its header | everything else |
//!
//! Names of nested dictionaries are joined by dots: `model.encoders.0.weight`. Tensors are read when they are asked for, from
//! where they lie, so that what is beside them in the file (optimisers, other models) takes no memory.
//!
//! ```
//! use datasets::untrusted::tensors::{Element, TensorFile};
//! use std::io::Cursor;
//!
//! let header = r#"{"gain":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
//! let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0, 0x3c, 0, 0xc0]].concat();
//! let mut file = TensorFile::new(Cursor::new(&file), file.len() as u64)?;
//! assert_eq!(file.shapes().collect::<Vec<_>>(), [("gain", &[2][..])]);
//! let gain = file.read(&["gain"])?.remove(0);
//! assert_eq!((gain.element, gain.bytes), (Element::F16, vec![0, 0x3c, 0, 0xc0]));
//! # Ok::<(), std::io::Error>(())
//! ```

mod checkpoint;
mod file;
mod pickle;
mod place;
mod safetensors;
mod zip;

pub use file::{Tensor, TensorFile};
pub use place::Element;

#[cfg(test)]
mod tests;
