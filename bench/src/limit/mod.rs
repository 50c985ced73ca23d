//! The bare loop: prepared bytes to each socket in turn, and nothing else. What an engine is compared with.

pub mod order;
