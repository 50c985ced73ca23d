//! A child's own side: its order and commands from standard input, its answers to standard output, its limits, and the
//! assurance that it does not outlive its parent or its time.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::getppid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::confine::{self, ConfineError};
use super::{Answer, Command};

/// Commands that may wait: the bench gives one at a time, and End may come behind it. Past it the reader waits.
const COMMANDS_WAITING_MAX: usize = 4;

/// The longest line taken: an order with the names of 4,096 streams.
const LINE_BYTES_MAX: u64 = 1 << 18;

/// The exit code of a child that could not go on; it has said why.
const EXIT_FAILED: u8 = 1;

/// The exit code of a child whose time was up.
const EXIT_LIFETIME: i32 = 3;

/// Why a child could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The parent died meanwhile, or gave no order.
    #[error("no order came: {0}")]
    NoOrder(String),
    /// The host refuses what the order asks for.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// The host refuses anything else.
    #[error("{what}: {error}")]
    Host {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: io::Error,
    },
}

/// Reads the order, the first line of standard input, and makes sure of the end: with the parent's, at once, by the
/// kernel's hand.
pub fn order<O: DeserializeOwned>() -> Result<O, ProcessError> {
    let parent = getppid();
    confine::end_with_parent()?;
    // A parent that died before the first line here shows as an ended input.
    if getppid() != parent {
        return Err(ProcessError::NoOrder("the parent has died".into()));
    }
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|error| ProcessError::NoOrder(error.to_string()))?;
    if line.is_empty() {
        return Err(ProcessError::NoOrder("the input has ended".into()));
    }
    serde_json::from_slice(&line).map_err(|error| ProcessError::NoOrder(error.to_string()))
}

/// Stays on `core` where one is given, raises the soft limit of descriptors to the hard one, and sees to it that the
/// process ends after `lifetime`, whatever it is doing then. Call it before any thread is started.
pub fn settle(core: Option<usize>, lifetime: Duration) -> Result<(), ProcessError> {
    if let Some(core) = core {
        confine::stay_on_core(core)?;
    }
    confine::raise_descriptor_limit()?;
    std::thread::Builder::new()
        .name("lifetime".into())
        .spawn(move || {
            std::thread::sleep(lifetime);
            std::process::exit(EXIT_LIFETIME);
        })
        .map_err(|error| ProcessError::Host {
            what: "cannot start a thread".into(),
            error,
        })?;
    Ok(())
}

/// The commands that come on standard input, read by a thread of its own; `wake` is called behind each. When the input
/// ends, or has something else, that is [`Command::End`].
pub fn commands(wake: impl Fn() + Send + 'static) -> Result<Receiver<Command>, ProcessError> {
    let (given, commands) = sync_channel(COMMANDS_WAITING_MAX);
    std::thread::Builder::new()
        .name("commands".into())
        .spawn(move || {
            let mut input = io::stdin().lock();
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
                let command = match read {
                    Ok(1..) => serde_json::from_slice(&line).unwrap_or(Command::End),
                    _ => Command::End,
                };
                if given.send(command).is_err() {
                    return;
                }
                wake();
                if command == Command::End {
                    return;
                }
            }
        })
        .map_err(|error| ProcessError::Host {
            what: "cannot start a thread".into(),
            error,
        })?;
    Ok(commands)
}

/// Gives an answer. An error means that the parent is gone, so that there is nothing left to do.
pub fn say<R: Serialize>(answer: &Answer<R>) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

/// Ends a child: one that could not go on says so first.
pub fn exit_code(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody is left to hear it where this fails.
            let _ = say(&Answer::<()>::Failed(reason));
            ExitCode::from(EXIT_FAILED)
        }
    }
}
