//! Connection scale: hundreds of thousands of connections, at rest and in use, and what each costs.
//!
//! - [`options`]: what the command takes, and the cases; [`quiet`]: the market that stands still;
//! - [`ramp`]: the engine and all its connections, opened step by step, and what stopped that; [`memory`]: what they take;
//! - [`window`]: what is looked at while they are there; [`trial`]: the cases, each from its start to its end;
//! - [`results`]: the figures; [`course`]: how memory went over a time.

pub mod course;
pub mod memory;
pub mod options;
pub mod quiet;
pub mod ramp;
pub mod requests;
pub mod results;
pub mod trial;
pub mod window;

pub use options::ScaleOptions;
pub use trial::run;
