//! Measures of what models reconstruct and compose, as plain functions on samples, vectors and ratings.
//!
//! Knows samples and numbers. No row but for the names of figures, no stage, no dataflow.
//!
//! | module | measures |
//! |---|---|
//! | `embedding` | turns sound into vectors |
//! | `frechet`, `sets` | how far a set of vectors is from another; `compare` gives all of these distances |
//! | `classes`, `cross_entropy` | outputs of classifiers and of models of codes |
//! | `si_sdr`, `spectral`, `log_mel` | how far a reconstruction is from its original |
//! | `notes` | what notes there are in a sound |
//! | `listening` | what listeners said |
//! | `bootstrap`, `draws`, `special` | how sure a figure is |
pub mod bootstrap;
pub mod channels;
pub mod classes;
pub mod compare;
pub mod cross_entropy;
pub mod draws;
pub mod embedding;
pub mod frechet;
pub mod listening;
pub mod log_mel;
pub(crate) mod mel;
pub mod notes;
pub mod sets;
pub mod si_sdr;
pub mod special;
pub mod spectral;
mod stft;
