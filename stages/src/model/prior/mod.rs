//! Priors: one autoregressive Transformer for the codes of each level, given those of the level above.
//!
//! Relative attention after Music Transformer (Huang et al. 2018) in pre-norm blocks; the level above comes in through a
//! convolutional conditioner after Jukebox (Dhariwal et al. 2020). A window of codes starts with a token for its genre.
mod baseline;
mod checkpoint;
pub mod config;
pub mod cost;
pub mod decode;
pub mod fit;
mod network;
mod pick;
pub mod sample;
mod step;
mod window;
