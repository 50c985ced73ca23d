//! The command line of depthcast-bench.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("fleet-process") => depthcast_bench::fleet::run_child(),
        _ => ExitCode::SUCCESS,
    }
}
