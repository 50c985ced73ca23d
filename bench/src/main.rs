//! The command line of depthcast-bench.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("limit-process") => depthcast_bench::limit::run_child(),
        Some("exec-process") => depthcast_bench::probe::launch::run_exec(std::env::args_os().skip(2)),
        Some("fleet-process") => depthcast_bench::fleet::run_child(),
        _ => ExitCode::SUCCESS,
    }
}
