//! The bench's end of a process that it started: orders and commands to it, answers from it, and its end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Command};

/// Answers that may wait to be taken: a minute of those that tell how many connections are open. Past it the child waits
/// in its next answer.
const ANSWERS_WAITING_MAX: usize = 256;

/// The longest line taken: the report of two histograms, of some 40 KB each, and room for more.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How much of a line that is no answer is shown.
const EXCERPT_BYTES_MAX: usize = 120;

/// How long a child may take to end when it is told to: closing 18,000 sockets takes some tenths of a second, and a busy
/// host may take several times that. Past it the child is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What went wrong with a child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started. The fault is the host's, or the program is not there.
    #[error("cannot start {program} {child}: {error}")]
    Start {
        /// The program.
        program: String,
        /// Its arguments.
        child: String,
        /// Why.
        error: io::Error,
    },
    /// It takes no more commands: it has ended, or is about to.
    #[error("{child} takes no commands any more: {error}")]
    Send {
        /// Which one.
        child: String,
        /// Why.
        error: io::Error,
    },
    /// It says that it cannot go on.
    #[error("{child}: {reason}")]
    Failed {
        /// Which one.
        child: String,
        /// What it says.
        reason: String,
    },
    /// It ended without being told to; what it had to say stands on standard error.
    #[error("{child} ended before it was told to ({status})")]
    Ended {
        /// Which one.
        child: String,
        /// How.
        status: String,
    },
    /// It said something that is no answer, or another one than was asked for: bench and child are of two versions.
    #[error("{child} gave no {wanted}, but {said:?}")]
    Garbage {
        /// Which one.
        child: String,
        /// What it was asked for.
        wanted: &'static str,
        /// The start of what it said.
        said: String,
    },
    /// It gave no answer in time.
    #[error("{child} gave no {wanted} within {within:?}")]
    Silent {
        /// Which one.
        child: String,
        /// What it was asked for.
        wanted: &'static str,
        /// How long it was waited for.
        within: Duration,
    },
}

/// A process of this program in a role that takes one order, and then commands; `R` is what it reports. It is killed, and
/// waited for, when this is dropped.
#[derive(Debug)]
pub struct Child<R> {
    name: String,
    process: std::process::Child,
    /// None once it was told to end.
    commands: Option<ChildStdin>,
    /// What it says, or the start of a line that is no answer. Closed when its output ends.
    answers: Receiver<Result<Answer<R>, String>>,
    /// How it ended, once that is known.
    status: Option<ExitStatus>,
}

impl<R: DeserializeOwned + Send + 'static> Child<R> {
    /// Starts `program` with `arguments`, which choose its role, and gives it `order` on the first line. `name` is what
    /// errors call it. Its standard error is ours.
    ///
    /// Children ask the kernel to end them with the *thread* that started them: it has to live as long as they are to.
    pub fn start<O: Serialize>(
        program: &Path,
        arguments: &[&str],
        name: &str,
        order: &O,
    ) -> Result<Child<R>, ChildError> {
        let start_error = |error| ChildError::Start {
            program: program.display().to_string(),
            child: arguments.join(" "),
            error,
        };
        let mut process = std::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start_error)?;
        let commands = process.stdin.take();
        let output = process.stdout.take();
        let (said, answers) = sync_channel(ANSWERS_WAITING_MAX);
        // From here on an error ends the process, too, by dropping this.
        let mut child = Child {
            name: name.into(),
            process,
            commands,
            answers,
            status: None,
        };
        let output = output.ok_or_else(|| start_error(io::Error::other("it has no standard output")))?;
        std::thread::Builder::new()
            .name(format!("answers of {name}"))
            .spawn(move || read_answers(output, &said))
            .map_err(start_error)?;
        child.write(order)?;
        Ok(child)
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Gives it a command; the answer comes by [`Child::answer`].
    pub fn send(&mut self, command: Command) -> Result<(), ChildError> {
        self.write(&command)
    }

    /// Waits for its next answer until `within` is over; `wanted` is what an error says was waited for. That it cannot go
    /// on, or has ended, is an error.
    pub fn answer(&mut self, wanted: &'static str, within: Duration) -> Result<Answer<R>, ChildError> {
        match self.answers.recv_timeout(within) {
            Ok(said) => self.judge(wanted, said),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => Err(ChildError::Silent {
                child: self.name.clone(),
                wanted,
                within,
            }),
        }
    }

    /// Its next answer, if one is there.
    pub fn answer_at_hand(&mut self, wanted: &'static str) -> Result<Option<Answer<R>>, ChildError> {
        match self.answers.try_recv() {
            Ok(said) => self.judge(wanted, said).map(Some),
            Err(TryRecvError::Disconnected) => Err(self.ended()),
            Err(TryRecvError::Empty) => Ok(None),
        }
    }

    /// Waits until a command was done.
    pub fn done(&mut self, within: Duration) -> Result<(), ChildError> {
        match self.answer("\"done\"", within)? {
            Answer::Done => Ok(()),
            _ => Err(self.another("\"done\"")),
        }
    }

    /// Waits for its report.
    pub fn report(&mut self, within: Duration) -> Result<R, ChildError> {
        match self.answer("report", within)? {
            Answer::Report(report) => Ok(*report),
            _ => Err(self.another("report")),
        }
    }

    /// Tells it to end and waits for that; one that takes too long is killed. Gives whether it ended by itself, and well.
    pub fn end(mut self) -> bool {
        self.tell_end();
        self.await_end();
        self.status.is_some_and(|status| status.success())
    }

    /// Tells it to end, so that several do at once; [`Child::end`] or dropping it waits.
    pub fn tell_end(&mut self) {
        // One that is gone already needs no telling.
        let _ = self.write(&Command::End);
        self.commands = None;
    }

    /// The error of an answer that was not asked for.
    pub fn another(&self, wanted: &'static str) -> ChildError {
        ChildError::Garbage {
            child: self.name.clone(),
            wanted,
            said: "another answer".into(),
        }
    }

    fn write(&mut self, message: &impl Serialize) -> Result<(), ChildError> {
        let send_error = |error| ChildError::Send {
            child: self.name.clone(),
            error,
        };
        let Some(commands) = &mut self.commands else {
            return Err(send_error(io::Error::from(io::ErrorKind::BrokenPipe)));
        };
        let mut line = serde_json::to_vec(message).map_err(|error| send_error(error.into()))?;
        line.push(b'\n');
        commands.write_all(&line).map_err(send_error)
    }

    fn judge(
        &mut self,
        wanted: &'static str,
        said: Result<Answer<R>, String>,
    ) -> Result<Answer<R>, ChildError> {
        match said {
            Ok(Answer::Failed(reason)) => Err(ChildError::Failed {
                child: self.name.clone(),
                reason,
            }),
            Ok(answer) => Ok(answer),
            Err(said) => Err(ChildError::Garbage {
                child: self.name.clone(),
                wanted,
                said,
            }),
        }
    }

    /// Its output is closed, so it has ended or is about to.
    fn ended(&mut self) -> ChildError {
        self.await_end();
        let status = self.status.map(|status| status.to_string());
        ChildError::Ended {
            child: self.name.clone(),
            status: status.unwrap_or_else(|| "killed".into()),
        }
    }

    /// Waits until its output is closed, which it is with its end, and gathers the process.
    fn await_end(&mut self) {
        let until = Instant::now() + END_PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left) {
                // What it still says is of no use any more.
                Ok(_) if !left.is_zero() => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(_) | Err(RecvTimeoutError::Timeout) => return,
            }
        }
        self.status = self.process.wait().ok();
    }
}

impl<R> Drop for Child<R> {
    fn drop(&mut self) {
        if self.status.is_none() {
            // One that has ended already cannot be killed, which is just as well.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Reads answers until the output ends or something else comes.
fn read_answers<R: DeserializeOwned>(output: ChildStdout, said: &SyncSender<Result<Answer<R>, String>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let answer = serde_json::from_slice(&line).map_err(|_| {
            let excerpt = &line[..line.len().min(EXCERPT_BYTES_MAX)];
            String::from_utf8_lossy(excerpt).trim_end().to_string()
        });
        let is_answer = answer.is_ok();
        if said.send(answer).is_err() || !is_answer {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for a shell to start on a busy host.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Child<u32> {
        Child::start(Path::new("/bin/sh"), &["-c", script], "the shell", &7_u32).unwrap()
    }

    #[test]
    fn a_child_takes_its_order_and_commands_and_answers() {
        let mut child = shell(
            r#"read n; echo "{\"Connections\":$n}"; read c; echo '"Done"'; read c; echo '{"Report":5}'"#,
        );
        assert_eq!(child.answer("count", PATIENCE).unwrap(), Answer::Connections(7));
        assert_eq!(child.answer_at_hand("count").unwrap(), None);
        child.send(Command::Begin).unwrap();
        child.done(PATIENCE).unwrap();
        child.send(Command::Report).unwrap();
        assert_eq!(child.report(PATIENCE).unwrap(), 5);
        assert!(child.end());
    }

    #[test]
    fn what_goes_wrong_names_the_child() {
        let mut child = shell(r#"read n; echo '{"Failed":"no port"}'; read c"#);
        let error = child.answer("readiness", PATIENCE).unwrap_err();
        assert_eq!(error.to_string(), "the shell: no port");

        let mut child = shell("read n; echo hello; read c");
        let error = child.report(PATIENCE).unwrap_err();
        assert_eq!(error.to_string(), "the shell gave no report, but \"hello\"");

        let mut child = shell("read n; exit 3");
        let error = child.done(PATIENCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the shell ended before it was told to (exit status: 3)"
        );
        let error = child.send(Command::Go).unwrap_err();
        assert!(matches!(error, ChildError::Send { .. }), "{error}");

        let mut child = shell("read n; read c");
        let error = child.done(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "the shell gave no \"done\" within 1ms");

        let missing = Path::new("/nonexistent/program");
        let error = Child::<u32>::start(missing, &["role"], "it", &7).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start /nonexistent/program role: "),
            "{error}"
        );
    }

    #[test]
    fn a_child_ends_with_its_input_and_is_gathered() {
        let child = shell("read n; cat >/dev/null");
        let path = format!("/proc/{}", child.id());
        assert!(Path::new(&path).exists());
        assert!(child.end());
        assert!(!Path::new(&path).exists());

        let child = shell("read n; exec sleep 60");
        let path = format!("/proc/{}", child.id());
        drop(child);
        assert!(!Path::new(&path).exists());
    }
}
