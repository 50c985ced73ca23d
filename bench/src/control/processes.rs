//! Several children of one role, as the bench has them: started, waited for, told, asked and ended together.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Child, ChildError, Command};

/// How often whoever waits is told how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// How opening, or what a role does behind it, went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Went {
    /// Whether all came to it in time.
    pub is_whole: bool,
    /// How many did.
    pub count: u32,
    /// From the beginning of the first to the end of the last, of those processes that are through, seconds.
    pub seconds: f64,
}

/// The processes. They are killed when this is dropped, and end with the *thread* that started them.
#[derive(Debug)]
pub struct Processes<R> {
    members: Vec<Member<R>>,
    /// How long one may take to answer a command.
    patience: Duration,
}

#[derive(Debug)]
struct Member<R> {
    child: Child<R>,
    connections: u32,
    /// How many of them have come so far in what goes on.
    count: u32,
    /// When it began and ended.
    done_ns: Option<(u64, u64)>,
}

impl<R: DeserializeOwned + Send + 'static> Processes<R> {
    /// None yet, of which each may take so long to answer a command.
    pub fn new(patience: Duration) -> Processes<R> {
        Processes {
            members: Vec::new(),
            patience,
        }
    }

    /// Starts one of `program` in a role, for so many connections. Errors call it `name` with its number.
    pub fn start<O: Serialize>(
        &mut self,
        program: &Path,
        role: &str,
        name: &str,
        order: &O,
        connections: u32,
    ) -> Result<(), ChildError> {
        let name = format!("{name} {}", self.members.len());
        self.members.push(Member {
            child: Child::start(program, &[role], &name, order)?,
            connections,
            count: 0,
            done_ns: None,
        });
        Ok(())
    }

    /// Takes others in: what is waited for or told from here on is of both.
    pub fn take_in(&mut self, others: Processes<R>) {
        self.members.extend(others.members);
    }

    /// Their ids, to look at them from outside.
    pub fn ids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.child.id()).collect()
    }

    /// Connections of all, as they were ordered.
    pub fn connections(&self) -> u32 {
        self.members.iter().map(|member| member.connections).sum()
    }

    /// How many have come so far in what goes on, or went on last.
    pub fn count(&self) -> u32 {
        self.members.iter().map(|member| member.count).sum()
    }

    /// Waits until all have come. `progress` is told how many have, a few times a second.
    pub fn wait(&mut self, within: Duration, progress: &mut dyn FnMut(u32)) -> Result<Went, ChildError> {
        let until = Instant::now() + within;
        loop {
            for member in &mut self.members {
                while member.done_ns.is_none()
                    && let Some(answer) = member.child.answer_at_hand("readiness")?
                {
                    member.note(&answer)?;
                }
            }
            progress(self.count());
            let left = until.saturating_duration_since(Instant::now());
            let Some(member) = self.members.iter_mut().find(|member| member.done_ns.is_none()) else {
                return Ok(self.went(true));
            };
            if left.is_zero() {
                return Ok(self.went(false));
            }
            match member.child.answer("readiness", left.min(PROGRESS_INTERVAL)) {
                Ok(answer) => member.note(&answer)?,
                Err(ChildError::Silent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets all do what their role does at a time of its own, which [`Processes::wait`] waits for.
    pub fn go(&mut self) -> Result<(), ChildError> {
        for member in &mut self.members {
            member.count = 0;
            member.done_ns = None;
        }
        self.command(Command::Go)
    }

    /// Lets all begin to count anew.
    pub fn begin(&mut self) -> Result<(), ChildError> {
        self.command(Command::Begin)
    }

    /// What each has counted since.
    pub fn reports(&mut self) -> Result<Vec<R>, ChildError> {
        self.tell(Command::Report)?;
        let mut reports = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            reports.push(loop {
                match member.child.answer("report", self.patience)? {
                    Answer::Report(report) => break *report,
                    // Of what goes on.
                    answer => member.note(&answer)?,
                }
            });
        }
        Ok(reports)
    }

    /// Ends all and waits until they have; those that take too long are killed. Gives whether all ended by themselves, and
    /// well.
    pub fn end(mut self) -> bool {
        for member in &mut self.members {
            member.child.tell_end();
        }
        let mut ended_well = true;
        for member in self.members {
            ended_well &= member.child.end();
        }
        ended_well
    }

    fn went(&self, is_whole: bool) -> Went {
        let times = || self.members.iter().filter_map(|member| member.done_ns);
        let begun_ns = times().map(|(begun_ns, _)| begun_ns).min().unwrap_or(0);
        let done_ns = times().map(|(_, done_ns)| done_ns).max().unwrap_or(0);
        Went {
            is_whole,
            count: self.count(),
            seconds: Duration::from_nanos(done_ns.saturating_sub(begun_ns)).as_secs_f64(),
        }
    }

    fn command(&mut self, command: Command) -> Result<(), ChildError> {
        self.tell(command)?;
        for member in &mut self.members {
            loop {
                match member.child.answer("\"done\"", self.patience)? {
                    Answer::Done => break,
                    answer => member.note(&answer)?,
                }
            }
        }
        Ok(())
    }

    /// First to all, so that they do it at the same time.
    fn tell(&mut self, command: Command) -> Result<(), ChildError> {
        for member in &mut self.members {
            member.child.send(command)?;
        }
        Ok(())
    }
}

impl<R: DeserializeOwned + Send + 'static> Member<R> {
    fn note(&mut self, answer: &Answer<R>) -> Result<(), ChildError> {
        match *answer {
            Answer::Connections(count) => self.count = count,
            Answer::Ready { begun_ns, done_ns } => {
                self.count = self.connections;
                self.done_ns = Some((begun_ns, done_ns));
            }
            _ => return Err(self.child.another("readiness")),
        }
        Ok(())
    }
}
