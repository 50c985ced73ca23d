//! The command line of depthcast-bench.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("limit-process") => depthcast_bench::limit::run_child(),
        _ => ExitCode::SUCCESS,
    }
}
