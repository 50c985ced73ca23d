//! The operating system, wrapped thinly: the only floor of the engine that makes system calls or reads a clock.

pub mod clock;
pub mod cpu;
pub mod limits;
pub mod net;
