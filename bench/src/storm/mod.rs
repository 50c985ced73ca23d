//! Join storms: thousands who come to streams within a second, and what that does to those who are there.
//!
//! - [`options`]: the storm; [`trial`]: one storm from the engine's start to its end; [`results`]: its figures.

pub mod options;
pub mod results;
pub mod trial;

pub use options::StormOptions;
pub use trial::run;
