//! Tables that fill: of one worker, of all, and of the host. Nobody waits for a place that does not come, nobody is reset,
//! and who is turned away can read why.

#[path = "../common/mod.rs"]
pub mod common;

mod crowd;
mod host;
mod tables;
