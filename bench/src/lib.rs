//! Floor 4 of depthcast: measurements. `cargo bench -p depthcast-bench` runs the pieces; see `bench/README.md`.

pub mod recorded;
