//! The Fréchet distance between sets of vectors (Dowson and Landau 1982; for sound Kilgour and others 2019), and what can
//! be said of one figure: its bias, its interval, and what each song adds to it.
//!
//! | module | gives |
//! |---|---|
//! | `gaussian` | statistics of a set (count, mean, factor of the scatter), which merge and come apart; the distance |
//! | `infinity` | the distance that infinitely many vectors would have (Gui and others 2024) |
//! | `songs` | distances and contributions of single songs, bootstrap over songs, the difference of two systems |

mod gaussian;
mod infinity;
mod linear;
mod songs;

pub use gaussian::{Gaussian, VERSION};
pub use infinity::{Extrapolation, Grid, infinity};
pub use songs::{Songs, paired_difference};
