//! Programs run by tests: the depthcast binary, and anything else that must end in time.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::raw::PATIENCE;

/// How a program ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; None when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// Panics where the output shows a panic or a backtrace.
    pub fn assert_no_panic(&self) {
        for sign in ["panicked", "backtrace", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(sign), "{self:?}");
        }
    }
}

/// The lines of one pipe, as they come.
#[derive(Debug, Default)]
struct Pipe {
    text: Mutex<String>,
    changed: Condvar,
}

impl Pipe {
    fn follow(source: impl Read + Send + 'static) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe::default());
        let writer = pipe.clone();
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut text = writer.text.lock().expect("no reader panics inside");
                text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
                writer.changed.notify_all();
            }
        });
        pipe
    }

    /// Waits until the text satisfies `found`.
    fn wait_for<R>(&self, found: impl Fn(&str) -> Option<R>) -> Result<R, String> {
        let until = Instant::now() + PATIENCE;
        let mut text = self.text.lock().expect("no writer panics inside");
        loop {
            if let Some(result) = found(&text) {
                return Ok(result);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(text.clone());
            }
            text = self
                .changed
                .wait_timeout(text, left)
                .expect("no writer panics inside")
                .0;
        }
    }

    /// All of it, once the other end is closed and the thread has let go.
    fn to_end(self: &Arc<Pipe>) -> String {
        let until = Instant::now() + PATIENCE;
        while Arc::strong_count(self) > 1 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.text.lock().expect("no writer panics inside").clone()
    }
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Arc<Pipe>,
    stderr: Arc<Pipe>,
}

impl Program {
    /// `depthcast serve` with these arguments, on any free port unless they say otherwise.
    pub fn serve(arguments: &[&str]) -> Program {
        let mut command = depthcast();
        command.arg("serve");
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Program::spawn(command.args(arguments))
    }

    /// Runs a command with nothing to read.
    pub fn spawn(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = Pipe::follow(child.stdout.take().expect("it was asked for"));
        let stderr = Pipe::follow(child.stderr.take().expect("it was asked for"));
        Program {
            child,
            stdout,
            stderr,
        }
    }

    /// Where the engine listens, from what it says at its start.
    pub fn address(&self) -> SocketAddr {
        self.stdout
            .wait_for(|text| {
                let first = text.split_once('\n')?.0;
                first.rsplit_once(" on ")?.1.parse().ok()
            })
            .unwrap_or_else(|text| panic!("{text:?} names no address; {:?}", self.stderr))
    }

    /// Waits for a line on standard error that contains `part`, and gives it.
    pub fn stderr_line(&self, part: &str) -> String {
        self.stderr
            .wait_for(|text| text.lines().find(|line| line.contains(part)).map(str::to_string))
            .unwrap_or_else(|text| panic!("no {part:?} on standard error: {text}"))
    }

    /// Waits for a line on standard output that is `wanted`, and gives it.
    pub fn stdout_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout
            .wait_for(|text| text.lines().find(|line| wanted(line)).map(str::to_string))
            .unwrap_or_else(|text| panic!("no such line on standard output: {text}"))
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal by its name, as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .expect("there is a kill command");
        assert!(sent.success());
    }

    /// Its number among the host's processes.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that the program occupies.
    pub fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse::<usize>().ok())
            .unwrap_or_else(|| panic!("{path} has no VmRSS"));
        kilobytes * 1024
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_none()
    }

    /// Waits for its end, which has to come in time.
    pub fn ended(mut self, within: Duration) -> Ended {
        let until = Instant::now() + within;
        let code = loop {
            match self.child.try_wait().expect("the child is ours") {
                Some(status) => break status.code(),
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                None => panic!(
                    "still running after {within:?}; it said {:?} and {:?}",
                    self.stdout, self.stderr
                ),
            }
        };
        Ended {
            code,
            stdout: self.stdout.to_end(),
            stderr: self.stderr.to_end(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The depthcast binary, with an environment in which a panic would show itself.
pub fn depthcast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_depthcast"));
    command.env_remove("DEPTHCAST_LOG").env("RUST_BACKTRACE", "1");
    command
}

/// The simulated exchange's binary, which belongs to another crate: built beside ours if it is not there yet.
pub fn feed_sim() -> Command {
    let ours = std::path::Path::new(env!("CARGO_BIN_EXE_depthcast"));
    let folder = ours.parent().expect("a folder of binaries");
    let target = folder.parent().expect("a folder of profiles");
    let mut build = Command::new(env!("CARGO"));
    build
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "depthcast-feed-sim",
            "--bin",
            "feed-sim",
        ])
        .args([
            "--profile",
            if folder.ends_with("release") {
                "release"
            } else {
                "dev"
            },
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = build.status().expect("cargo is there");
    assert!(status.success(), "feed-sim cannot be built");
    let mut command = Command::new(folder.join("feed-sim"));
    command.env_remove("DEPTHCAST_LOG").env("RUST_BACKTRACE", "1");
    command
}

/// Runs a command to its end; panics with all it said when it fails or is not done in time.
pub fn run(command: &mut Command, within: Duration) -> Ended {
    let ended = Program::spawn(command).ended(within);
    assert_eq!(
        ended.code,
        Some(0),
        "{command:?} failed\n{}\n{}",
        ended.stdout,
        ended.stderr
    );
    ended
}
