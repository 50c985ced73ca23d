//! What the tests over real sockets share. Tests take it in as `pub mod`, so that a test need not use all of it.

pub mod capture_file;
pub mod expected;
pub mod follower;
pub mod goodbye;
pub mod market;
pub mod mirror;
pub mod node;
pub mod program;
pub mod python;
pub mod raw;
pub mod replay;
pub mod sbe;
pub mod scratch;
pub mod subscriber;
