//! Floor 2 of depthcast: a subscriber in Rust.
