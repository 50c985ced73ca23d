//! What the tests of whole commands share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The bench's program.
pub(crate) const BENCH: &str = env!("CARGO_BIN_EXE_depthcast-bench");

/// The engine's program, which cargo has built already where the whole workspace is tested.
pub(crate) fn engine() -> &'static str {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--locked",
                "--quiet",
                "-p",
                "depthcast",
                "--bin",
                "depthcast",
            ])
            .status()
            .expect("cargo");
        assert!(built.success());
        Path::new(BENCH).with_file_name("depthcast")
    });
    engine.to_str().expect("a path of text")
}
