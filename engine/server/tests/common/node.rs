//! Clients in JavaScript that other people wrote, installed once per build folder from the package registry.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::program::run;
use super::python::once_installed;
use super::raw::PATIENCE;

/// What is installed, to the version: a test must not change its meaning by itself.
const PACKAGES: [&str; 6] = [
    "ws@8.18.3",
    "ccxt@4.5.84",
    "@binance/spot@32.0.4",
    "binance@3.6.5",
    "binance-api-node@0.13.10",
    "node-binance-api@1.0.33",
];

/// Installing takes seconds; a slow registry some more.
const INSTALL_PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script of `tests/clients` with the packages at hand and gives what it wrote to standard output.
pub fn run_client(script: &str, arguments: &[&str]) -> String {
    run(&mut client(script, arguments), 3 * PATIENCE).stdout
}

/// A script of `tests/clients`, to be run with the packages at hand. Panics where they cannot be installed: these tests
/// are never passed over in silence.
pub fn client(script: &str, arguments: &[&str]) -> Command {
    let folder = once_installed("node", &PACKAGES.join(" "), |folder| {
        run(
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(folder)
                .args(PACKAGES),
            INSTALL_PATIENCE,
        );
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(script);
    let mut command = Command::new("node");
    command
        .arg(script)
        .args(arguments)
        .env("NODE_PATH", folder.join("node_modules"));
    command
}
