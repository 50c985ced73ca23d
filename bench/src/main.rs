//! The command line of depthcast-bench.

fn main() {}
