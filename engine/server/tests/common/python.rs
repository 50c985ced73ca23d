//! Clients in Python that other people wrote, installed once per build folder from the package index.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::program::run;
use super::raw::PATIENCE;

/// What is installed, to the version: a test must not change its meaning by itself.
const PACKAGES: [&str; 5] = [
    "websockets==15.0.1",
    "websocket-client==1.8.0",
    "sbe==0.4.3",
    "ccxt==4.5.90",
    "python-binance==1.0.37",
];

/// The exchange's own libraries, which have an environment of their own: theirs and python-binance are packages of one name.
const EXCHANGE_PACKAGES: [&str; 2] = ["binance-sdk-spot==13.2.0", "binance-connector==3.13.0"];

/// Making the environment takes seconds; a slow package index some more.
const INSTALL_PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script of `tests/clients` with the packages at hand and gives what it wrote to standard output.
pub fn run_client(script: &str, arguments: &[&str]) -> String {
    run(&mut client(script, arguments), 3 * PATIENCE).stdout
}

/// A script of `tests/clients`, to be run with the packages at hand.
pub fn client(script: &str, arguments: &[&str]) -> Command {
    script_of(interpreter(), script, arguments)
}

/// The same with the exchange's own libraries at hand.
pub fn exchange_client(script: &str, arguments: &[&str]) -> Command {
    script_of(
        environment("python-exchange", &EXCHANGE_PACKAGES),
        script,
        arguments,
    )
}

fn script_of(interpreter: PathBuf, script: &str, arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(script);
    let mut command = Command::new(interpreter);
    command.arg(script).args(arguments);
    // The scripts share modules, and lie among the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The interpreter of an environment that has the packages. Panics where it cannot be made: these tests are never
/// passed over in silence.
pub fn interpreter() -> PathBuf {
    environment("python", &PACKAGES)
}

fn environment(name: &str, packages: &[&str]) -> PathBuf {
    let folder = once_installed(name, &packages.join(" "), |folder| {
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder),
            INSTALL_PATIENCE,
        );
        run(
            Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
            INSTALL_PATIENCE,
        );
    });
    folder.join("bin/python")
}

/// A folder beside the build's that `install` has filled with `what`. Test binaries may come here at the same time:
/// one installs, the others wait.
pub fn once_installed(name: &str, what: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = parent.join(name);
    let lock = std::fs::File::create(parent.join(format!("{name}.lock")))
        .expect("the build's folder can be written");
    lock.lock().expect("a file can be locked");
    let done = parent.join(format!("{name}.done"));
    if !std::fs::read_to_string(&done).is_ok_and(|text| text == what) || !folder.exists() {
        install(&folder);
        std::fs::write(&done, what).expect("the build's folder can be written");
    }
    folder
}
