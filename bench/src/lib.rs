//! Measurements of depthcast: a load fleet, the bare loop to compare with, and what is read of processes and the host
//! from outside.
#![forbid(unsafe_code)]

pub mod clock;
pub mod control;
pub mod crowd;
pub mod fleet;
pub mod limit;
pub mod overload;
pub mod probe;
pub mod recorded;
pub mod run;
pub mod scale;
pub mod storm;
