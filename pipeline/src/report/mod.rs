//! The report of a run: one self-contained HTML page, and `ATTRIBUTION.md`, from one plain value.
//!
//! Knows no dataflow and no plan: data in, pages out.
//!
//! [`data::Report`] holds only what follows from plan and inputs, so equal runs give equal bytes: there are no times,
//! no counts of executed or cached effects, no host and no date in it. The page carries its style, pictures and
//! sound inside itself, has no script, and forbids the browser to load anything.

mod attribution;
mod charts;
mod codec;
mod corpus;
pub mod data;
mod listen;
mod markup;
mod page;
mod priors;
mod songs;
pub mod spectrogram;
mod stages;
pub mod sweep;
pub mod wav;

pub use attribution::{attribution_md, merged, trained_on_md};
pub use page::html;
