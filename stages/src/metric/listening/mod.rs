//! Statistics of listening tests, as pure functions of ratings.
//!
//! | module | test | standard |
//! |---|---|---|
//! | `abx` | can the two be told apart? | exact binomial; d' by Macmillan and Creelman 2005 |
//! | `mos` | how good is each, from 1 to 5? | ITU-T P.800, P.1401 |
//! | `mushra` | how good is each beside the others, from 0 to 100? | ITU-R BS.1534-3 |
//! | `agreement` | do listeners agree? | Krippendorff 2004 |
//! | `ranks`, `variance` | do systems differ? | Wilcoxon 1945, Friedman 1937, repeated-measures analysis of variance |
//! | `loudness`, `anchor` | are stimuli equally loud, and where are the anchors? | ITU-R BS.1770-4, BS.1534-3 |

pub mod abx;
pub mod agreement;
pub mod anchor;
pub mod loudness;
pub mod mos;
pub mod mushra;
pub mod ranks;
pub mod variance;
