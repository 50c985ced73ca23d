//! Ground floor of the engine: containers whose memory is bounded, stays where it is, and is reused.

pub mod chunks;
pub mod slab;
pub mod wheel;
