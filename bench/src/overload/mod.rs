//! Overload: more than the engine's core can send one by one, and the end of it.
//!
//! - [`options`]: what the command takes; [`plan`]: how many connections at what rate that is;
//! - [`trial`]: one overload from the engine's start to its end; [`recovery`]: when all is as it was; [`results`]: the
//!   figures.

pub mod options;
pub mod plan;
pub mod recovery;
pub mod results;
pub mod trial;

pub use options::OverloadOptions;
pub use trial::run;
