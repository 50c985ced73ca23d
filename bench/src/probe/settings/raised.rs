//! The run's side of raised settings: they are raised before anything else begins, said aloud, and set back when this is
//! dropped, or when the process ends in any other way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::guardian::{Order, ROLE, Said};
use super::journal::{self, Places};
use super::raise::Raise;

/// How long the guardian may take for anything; 2 s of that it may wait for another run's end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a line of the guardian's at most.
const LINE_BYTES_MAX: u64 = 1 << 14;

/// Lines of the guardian's that may wait to be read. Past it the reader waits.
const LINES_WAITING_MAX: usize = 64;

/// Why settings are not raised, or not set back.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The guardian cannot be started.
    #[error("the process that undoes settings of the kernel cannot be started: {0}")]
    Start(#[source] io::Error),
    /// They cannot be raised; none is.
    #[error("settings of the kernel cannot be raised: {0}")]
    Refused(String),
    /// The guardian died before it said that they are raised. What it had changed is set back.
    #[error("the process that undoes settings of the kernel ended before it raised any")]
    Died,
    /// Some are still raised. Which, and how they are set right, was said.
    #[error("not all settings of the kernel were set back: the next run tries again")]
    Left,
}

/// Settings that are raised as long as this lives. It says what it does by the function that it was given, a line at a time.
pub struct RaisedSettings {
    guardian: Option<Guardian>,
    places: Places,
    tell: Box<dyn Fn(&str) + Send>,
}

struct Guardian {
    process: Child,
    /// Its end is what the guardian waits for.
    input: Option<ChildStdin>,
    said: Receiver<Said>,
}

impl std::fmt::Debug for RaisedSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaisedSettings")
            .field("guardian", &self.guardian())
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// Says a line on standard error, as this program says everything there.
pub fn on_standard_error(line: &str) {
    let _ = writeln!(io::stderr(), "depthcast-bench: {line}");
}

impl RaisedSettings {
    /// Raises settings, in their order, by way of `own`, this program. Where one cannot be raised none is. What a killed run
    /// has left is undone first. With nothing to raise nothing is started.
    pub fn raise(
        own: &Path,
        places: &Places,
        raises: &[Raise],
        tell: impl Fn(&str) + Send + 'static,
    ) -> Result<RaisedSettings, SettingsError> {
        let mut raised = RaisedSettings {
            guardian: None,
            places: places.clone(),
            tell: Box::new(tell),
        };
        if raises.is_empty() {
            return Ok(raised);
        }
        let order = Order {
            places: places.clone(),
            raises: raises
                .iter()
                .map(|raise| (raise.setting, raise.wanted.clone()))
                .collect(),
        };
        let guardian = raised.guardian.insert(start(own, &order)?);
        loop {
            match guardian.said.recv_timeout(PATIENCE) {
                Ok(Said::Line(line)) => (raised.tell)(&line),
                Ok(Said::Raised) => break,
                Ok(Said::Failed(reason)) => {
                    let _ = guardian.process.wait();
                    raised.guardian = None;
                    return Err(SettingsError::Refused(reason));
                }
                Ok(Said::Undone { .. }) | Err(_) => {
                    raised.set_back()?;
                    return Err(SettingsError::Died);
                }
            }
        }
        for raise in raises {
            (raised.tell)(&format!("{raise}; undone at the end"));
        }
        Ok(raised)
    }

    /// The id of the process that sets them back if this one cannot; None where nothing was to be raised.
    pub fn guardian(&self) -> Option<u32> {
        self.guardian.as_ref().map(|guardian| guardian.process.id())
    }

    /// Sets them back, and says so. Dropping this does the same.
    pub fn undo(mut self) -> Result<(), SettingsError> {
        self.set_back()
    }

    fn set_back(&mut self) -> Result<(), SettingsError> {
        let Some(mut guardian) = self.guardian.take() else {
            return Ok(());
        };
        guardian.input = None;
        // It ends behind what it says last; one that does not is of no use any more.
        let is_whole = loop {
            match guardian.said.recv_timeout(PATIENCE) {
                Ok(Said::Line(line)) => (self.tell)(&line),
                Ok(Said::Undone { is_whole }) => break Some(is_whole),
                Ok(Said::Failed(reason)) => (self.tell)(&reason),
                Ok(Said::Raised) => {}
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => break None,
            }
        };
        if is_whole.is_none() {
            let _ = guardian.process.kill();
        }
        let _ = guardian.process.wait();
        match is_whole {
            Some(true) => Ok(()),
            Some(false) => Err(SettingsError::Left),
            None => self.set_back_alone(),
        }
    }

    /// Does what the guardian was there for, from what it had written down.
    fn set_back_alone(&self) -> Result<(), SettingsError> {
        (self.tell)(
            "the process that undoes settings of the kernel was killed; they are set back without it",
        );
        let outcome = journal::Journal::lock(&self.places).and_then(|journal| {
            let said = journal.undo_leftovers()?;
            Ok((said, journal.is_clear()))
        });
        match outcome {
            Ok((said, is_whole)) => {
                said.iter().for_each(|line| (self.tell)(line));
                if is_whole {
                    Ok(())
                } else {
                    Err(SettingsError::Left)
                }
            }
            Err(error) => {
                (self.tell)(&error.to_string());
                Err(SettingsError::Left)
            }
        }
    }
}

impl Drop for RaisedSettings {
    fn drop(&mut self) {
        if let Err(error) = self.set_back() {
            (self.tell)(&error.to_string());
        }
    }
}

/// Starts the guardian and gives it its order. Its errors go where this program's go, for when this one is gone.
fn start(own: &Path, order: &Order) -> Result<Guardian, SettingsError> {
    let mut process = Command::new(own)
        .arg(ROLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(SettingsError::Start)?;
    let (input, output) = (process.stdin.take(), process.stdout.take());
    let (say, said) = sync_channel(LINES_WAITING_MAX);
    let mut guardian = Guardian { process, input, said };
    let began = give_order(guardian.input.as_mut(), order).and_then(|()| read_answers(output, say));
    if let Err(error) = began {
        // Without its whole order it has changed nothing; with the end of its input it ends.
        guardian.input = None;
        let _ = guardian.process.wait();
        return Err(SettingsError::Start(error));
    }
    Ok(guardian)
}

fn give_order(input: Option<&mut ChildStdin>, order: &Order) -> io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    let input = input.ok_or(io::ErrorKind::BrokenPipe)?;
    input.write_all(&line)
}

/// Reads what it says, in a thread of its own, to the end.
fn read_answers(output: Option<ChildStdout>, say: SyncSender<Said>) -> io::Result<()> {
    let mut output = BufReader::new(output.ok_or(io::ErrorKind::BrokenPipe)?);
    let read = move || {
        let mut line = Vec::new();
        loop {
            line.clear();
            match output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let Ok(said) = serde_json::from_slice(&line) else {
                return;
            };
            if say.send(said).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("settings".into()).spawn(read)?;
    Ok(())
}
