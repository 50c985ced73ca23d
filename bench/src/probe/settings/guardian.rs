//! The process that changes settings for a run and sets them back when the run has ended. It does not matter how that ended:
//! the pipe to this process is closed by the kernel, also of a run that was killed (SIGKILL leaves nobody else to do it).
//! So this one is in a session of its own, where no Ctrl-C and no closed terminal reaches it, and takes no request to end.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::setsid;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::change::Change;
use super::journal::{Journal, JournalError, Places, after_a_kill};
use super::setting::Setting;

/// The argument that gives a process of this program the role.
pub const ROLE: &str = "settings-process";

/// Bytes of the order at most: each setting once, and two paths.
const ORDER_BYTES_MAX: u64 = 1 << 16;

/// The exit code of one that could not do what it was to.
const EXIT_FAILED: u8 = 1;

/// What it is to do, a line on its standard input. The end of that is the end of the run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) places: Places,
    pub(super) raises: Vec<(Setting, Vec<u64>)>,
}

/// What it says, a line each on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Said {
    /// For people.
    Line(String),
    /// All settings are raised.
    Raised,
    /// None is, and why; it ends.
    Failed(String),
    /// The run has ended, and all that could be is set back; it ends.
    Undone {
        /// Whether all could.
        is_whole: bool,
    },
}

/// Runs the role.
pub fn run_child() -> ExitCode {
    let outcome = begin().and_then(|(journal, changes)| {
        tell(&Said::Raised);
        await_end();
        let said = journal.undo(changes).map_err(|error| error.to_string())?;
        say_lines(said);
        Ok(journal.is_clear())
    });
    match outcome {
        Ok(is_whole) => {
            tell(&Said::Undone { is_whole });
            if is_whole {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(EXIT_FAILED)
            }
        }
        Err(reason) => {
            tell(&Said::Failed(reason));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Takes the order and does it.
fn begin() -> Result<(Journal, Vec<Change>), String> {
    // Nothing is changed before it is certain that no signal ends this process in the middle.
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|error| format!("cannot take signal {signal}: {error}"))?;
    }
    // A process that leads its group cannot, and has one of its own already.
    let _ = setsid();
    let order = read_order().map_err(|error| format!("no order came: {error}"))?;
    change(&order).map_err(|error| error.to_string())
}

fn read_order() -> io::Result<Order> {
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .take(ORDER_BYTES_MAX)
        .read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

fn change(order: &Order) -> Result<(Journal, Vec<Change>), JournalError> {
    let journal = Journal::lock(&order.places)?;
    say_lines(after_a_kill(journal.undo_leftovers()?));
    let changes = journal.apply(&order.raises)?;
    Ok((journal, changes))
}

/// Waits for the end of the input, which is the run's.
fn await_end() {
    let mut ignored = [0; 64];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut ignored) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn say_lines(lines: Vec<String>) {
    for line in lines {
        tell(&Said::Line(line));
    }
}

/// Tells the run, or whoever reads its errors where the run is gone. That nobody does must not keep anything from being
/// undone.
fn tell(said: &Said) {
    let told = serde_json::to_vec(said)
        .map_err(io::Error::from)
        .and_then(|mut line| {
            line.push(b'\n');
            let mut output = io::stdout().lock();
            output.write_all(&line)?;
            output.flush()
        });
    if let (Err(_), Said::Line(line) | Said::Failed(line)) = (told, said) {
        let _ = writeln!(io::stderr(), "depthcast-bench: {line}");
    }
}
