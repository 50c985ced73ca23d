//! Crowds of real processes: storms, overloads and scales of a real engine as a person runs them, and servers that say what they
//! should not.

#[path = "../common/mod.rs"]
mod common;
mod liars;
mod overloads;
mod returns;
mod scales;
#[path = "../fleet/server.rs"]
mod server;
mod storms;

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use common::{BENCH, engine};

/// Longer than anything here takes, on a busy host too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command; gives its output and the report that it wrote.
fn measured(name: &str, arguments: &[&str]) -> (Output, Value) {
    let file = std::env::temp_dir().join(format!("depthcast-bench-{name}-{}.json", std::process::id()));
    let json = file.to_str().expect("a path of text");
    let more = ["--json", json, "--engine", engine(), "--fleet-core", "0"];
    let output = Command::new(BENCH)
        .args([arguments, &more].concat())
        .output()
        .expect("the bench runs");
    let report = std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    std::fs::remove_file(&file).expect("our own file");
    (output, serde_json::from_slice(&report).expect("JSON"))
}

/// A figure of a report.
fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().expect("figures");
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {figures:?}"))["value"]
        .as_f64()
        .expect("a number")
}
