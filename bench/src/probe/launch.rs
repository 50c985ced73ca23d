//! Starts a program that is to be measured. It runs on its core, with all the descriptors the host allows, and ends when the
//! bench does, however that ends.
//!
//! For that it is not started directly: a process of our own, in the role [`ROLE`], sets all this for itself and then
//! becomes the program (`exec`), which keeps it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::stats::{StatsSample, StatsSeries};
use crate::clock::{monotonic_ns, timespec};
use crate::control::confine::{self, ConfineError};

/// The argument that gives a process of this program the role: what follows is the core or `any`, the program, and
/// its arguments.
pub const ROLE: &str = "exec-process";

/// In the place of a core: stay on none.
const NO_CORE: &str = "any";

/// The line by which an engine says that it is ready, and where.
const SERVES_ON: &str = "depthcast serves on ";

/// How long a program has to end when it is asked to: an engine closes its connections in an orderly way, of which it may
/// have tens of thousands. Past it the program is killed.
const END_PATIENCE: Duration = Duration::from_secs(15);

/// How long the last of its output may take to be read once it has ended.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// Lines of its output that are kept to be shown.
const LINES_KEPT: usize = 20;

/// Bytes of a line that are kept.
const LINE_BYTES_MAX: u64 = 4096;

/// The exit code of a process that could not become the program, as shells use it.
const EXIT_NOT_EXECUTED: u8 = 126;

/// What went wrong with a program that was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It could not be started.
    #[error("cannot start {program}: {error}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It ended before it served.
    #[error("{program} ended before it served ({status}){}", Said(said))]
    Ended {
        /// The program.
        program: String,
        /// How.
        status: String,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// It did not say that it serves.
    #[error(
        "{program} did not say \"{SERVES_ON}ADDRESS\" within {within:?}{}",
        Said(said)
    )]
    Silent {
        /// The program.
        program: String,
        /// How long it was waited for.
        within: Duration,
        /// The last lines of its output.
        said: Vec<String>,
    },
}

/// Lines as the end of an error.
struct Said<'l>(&'l [String]);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// A program that runs. Dropping it ends it as [`Launched::end`] does.
#[derive(Debug)]
pub struct Launched {
    program: String,
    process: Child,
    /// Its standard input, which says nothing; it ends with the bench.
    _input: Option<ChildStdin>,
    /// The addresses at which it says that it serves. Closed with its standard output.
    addresses: Receiver<SocketAddr>,
    said: Arc<Mutex<VecDeque<String>>>,
    stats: StatsSeries,
    /// Closed once both its outputs are read to their ends.
    drained: Receiver<Infallible>,
    status: Option<ExitStatus>,
}

impl Launched {
    /// Starts `program` with `arguments` on `core` by way of `own`, this program. The calling thread has to live as long as
    /// the program is to. Its output is read all the time, and the last of it kept.
    pub fn start(
        own: &Path,
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        core: Option<usize>,
    ) -> Result<Launched, LaunchError> {
        let name = program.display().to_string();
        let start_error = |error| LaunchError::Start {
            program: name.clone(),
            error,
        };
        let mut process = Command::new(own)
            .arg(ROLE)
            .arg(core.map_or(NO_CORE.into(), |core| core.to_string()))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start_error)?;
        let (told, addresses) = sync_channel(1);
        let (draining, drained) = sync_channel(0);
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let stats = StatsSeries::default();
        let (output, errors) = (process.stdout.take(), process.stderr.take());
        // From here on an error ends the process, too, by dropping this.
        let launched = Launched {
            program: name.clone(),
            _input: process.stdin.take(),
            process,
            addresses,
            said: said.clone(),
            stats: stats.clone(),
            drained,
            status: None,
        };
        if let Some(output) = output {
            drain(
                output,
                (said.clone(), stats.clone()),
                (Some(told), draining.clone()),
            )
            .map_err(start_error)?;
        }
        if let Some(errors) = errors {
            drain(errors, (said, stats), (None, draining)).map_err(start_error)?;
        }
        Ok(launched)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it says where it serves.
    pub fn await_address(&mut self, within: Duration) -> Result<SocketAddr, LaunchError> {
        match self.addresses.recv_timeout(within) {
            Ok(address) => Ok(address),
            Err(RecvTimeoutError::Timeout) => Err(LaunchError::Silent {
                program: self.program.clone(),
                within,
                said: self.said(),
            }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.stop();
                Err(LaunchError::Ended {
                    program: self.program.clone(),
                    status,
                    said: self.said(),
                })
            }
        }
    }

    /// The last lines of its output and errors.
    pub fn said(&self) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().cloned().collect()
    }

    /// What it says of itself, as that comes (`--stats`); none of it is among the lines of its output.
    pub fn stats(&self) -> &StatsSeries {
        &self.stats
    }

    /// Asks it to end, waits for that, and kills it if it takes too long. Gives how it ended, for people.
    pub fn end(mut self) -> String {
        self.stop()
    }

    fn stop(&mut self) -> String {
        if self.status.is_none() {
            self.status = self.await_end();
            // Its pipes end with it, unless processes of its own still hold them.
            let _ = self.drained.recv_timeout(DRAIN_PATIENCE);
        }
        self.status
            .map_or_else(|| "unknown".into(), |status| status.to_string())
    }

    fn await_end(&mut self) -> Option<ExitStatus> {
        let pid = Pid::from_child(&self.process);
        // It has not been waited for, so that its id cannot be another's yet. One that has ended takes no signal.
        let _ = kill_process(pid, Signal::TERM);
        if !has_ended_within(pid, END_PATIENCE) {
            let _ = self.process.kill();
        }
        self.process.wait().ok()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a child ends within a time. A kernel that cannot tell (before 5.3) makes that no.
fn has_ended_within(pid: Pid, within: Duration) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let until_ns = monotonic_ns().saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
    loop {
        let left = timespec(until_ns.saturating_sub(monotonic_ns()));
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(ended) => return ended > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Reads `output` to its end in a thread of its own: keeps the last lines, and tells the first address. The senders are
/// dropped at the end, which tells it.
fn drain(
    output: impl Read + Send + 'static,
    (said, stats): (Arc<Mutex<VecDeque<String>>>, StatsSeries),
    senders: (Option<SyncSender<SocketAddr>>, SyncSender<Infallible>),
) -> io::Result<()> {
    let read = move || {
        let (told, _draining) = senders;
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            if let Some(sample) = StatsSample::parse(&text, monotonic_ns()) {
                stats.push(sample);
                continue;
            }
            let address = text
                .strip_prefix(SERVES_ON)
                .and_then(|address| address.parse().ok());
            keep(&said, text);
            if let (Some(address), Some(told)) = (address, &told) {
                // Where it does not fit, one was told before.
                let _ = told.try_send(address);
            }
        }
    };
    std::thread::Builder::new().name("output".into()).spawn(read)?;
    Ok(())
}

fn keep(said: &Mutex<VecDeque<String>>, line: String) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == LINES_KEPT {
        said.pop_front();
    }
    said.push_back(line);
}

/// Why a process did not become the program.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error("usage: {ROLE} CORE|{NO_CORE} PROGRAM [ARGUMENTS]")]
    Usage,
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("the bench has ended")]
    NoParent,
    #[error("cannot run {program}: {error}")]
    Exec { program: String, error: io::Error },
}

/// Runs the role: `arguments` are what follows [`ROLE`]. Returns only if the program could not be run, and has said why on
/// standard error.
pub fn run_exec(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Err(error) = exec(arguments.into_iter());
    eprintln!("{error}");
    ExitCode::from(EXIT_NOT_EXECUTED)
}

fn exec(mut arguments: impl Iterator<Item = OsString>) -> Result<Infallible, ExecError> {
    let core = arguments.next().ok_or(ExecError::Usage)?;
    let program = arguments.next().ok_or(ExecError::Usage)?;
    confine::end_with_parent()?;
    // Whoever ended before that was asked for has hung up our input.
    let input = io::stdin();
    let mut polled = [PollFd::new(&input, PollFlags::IN)];
    if poll(&mut polled, Some(&timespec(0))).is_ok() && polled[0].revents().contains(PollFlags::HUP) {
        return Err(ExecError::NoParent);
    }
    if core != NO_CORE {
        let core = core.to_str().and_then(|core| core.parse().ok());
        confine::stay_on_core(core.ok_or(ExecError::Usage)?)?;
    }
    confine::raise_descriptor_limit()?;
    let error = Command::new(&program).args(arguments).exec();
    Err(ExecError::Exec {
        program: program.to_string_lossy().into(),
        error,
    })
}
