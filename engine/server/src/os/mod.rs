//! The operating system, wrapped thinly: the only floor of the engine that makes system calls or reads a clock.

pub mod apart;
pub mod clock;
pub mod cpu;
pub mod handoff;
pub mod limits;
pub mod net;
pub mod spare;
pub mod wake;
