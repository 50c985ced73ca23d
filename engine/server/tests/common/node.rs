//! The client library of Node that other people wrote, installed once per build folder from the package registry.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::program::run;
use super::python::once_installed;
use super::raw::PATIENCE;

const PACKAGE: &str = "ws@8.18.3";

/// Installing takes seconds; a slow registry some more.
const INSTALL_PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script of `tests/clients` with the package at hand and gives what it wrote to standard output. Panics where
/// the package cannot be installed: these tests are never passed over in silence.
pub fn run_client(script: &str, arguments: &[&str]) -> String {
    let folder = once_installed("node", PACKAGE, |folder| {
        run(
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
                .arg(folder)
                .arg(PACKAGE),
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
    run(&mut command, 3 * PATIENCE).stdout
}
