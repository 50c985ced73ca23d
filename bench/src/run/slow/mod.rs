//! Runs with readers that are slow on purpose: what becomes of them, what they cost, and what they cost the others.
//!
//! - [`options`]: which there are; [`blocks`]: when they were blocked and how long they were kept after that;
//! - [`watch`]: what is looked at while a run goes on; [`figures`]: what it came to; [`healthy`]: the others alone against
//!   the same beside them.

pub mod blocks;
pub mod figures;
pub mod healthy;
pub mod options;
pub mod watch;
