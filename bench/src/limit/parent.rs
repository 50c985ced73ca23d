//! The bench's end of the bare loop.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::order::{LimitOrder, LimitReport};
use crate::control::{Answer, Child, ChildError, Command};

/// The argument that gives a process of this program the role.
pub const ROLE: &str = "limit-process";

/// What errors call it.
const NAME: &str = "the bare loop";

/// How long it may take to read a recording and listen: a minute of one is read in some tenths of a second.
const LISTEN_PATIENCE: Duration = Duration::from_secs(60);

/// How long an answer to a command may take: a round over a million sockets, of some seconds, comes before it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// A bare loop that was started. Dropping it ends it.
#[derive(Debug)]
pub struct Limit {
    child: Child<LimitReport>,
    address: SocketAddr,
}

/// All connections of the bare loop are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReady {
    /// When the first was accepted, CLOCK_MONOTONIC.
    pub begun_ns: u64,
    /// When the last was answered, CLOCK_MONOTONIC.
    pub done_ns: u64,
}

impl Limit {
    /// Starts a process of `program`, this one, and waits until it listens. The calling thread has to live as long as the
    /// loop is to.
    pub fn start(program: &Path, order: &LimitOrder) -> Result<Limit, ChildError> {
        let mut child = Child::start(program, &[ROLE], NAME, order)?;
        match child.answer("address", LISTEN_PATIENCE)? {
            Answer::Listening(address) => Ok(Limit { child, address }),
            _ => Err(child.another("address")),
        }
    }

    /// Where it listens until it is ready.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until all connections are there; what it tells of them meanwhile restarts `within`, and goes to `note`.
    pub fn wait_ready(
        &mut self,
        within: Duration,
        mut note: impl FnMut(u32),
    ) -> Result<LimitReady, ChildError> {
        const WANTED: &str = "readiness";
        loop {
            match self.child.answer(WANTED, within)? {
                Answer::Connections(count) => note(count),
                Answer::Ready { begun_ns, done_ns } => return Ok(LimitReady { begun_ns, done_ns }),
                _ => return Err(self.child.another(WANTED)),
            }
        }
    }

    /// Has it begin to send, once it is ready.
    pub fn go(&mut self) -> Result<(), ChildError> {
        self.command(Command::Go)
    }

    /// Has it count anew.
    pub fn begin(&mut self) -> Result<(), ChildError> {
        self.command(Command::Begin)
    }

    /// What it counted since.
    pub fn report(&mut self) -> Result<LimitReport, ChildError> {
        self.child.send(Command::Report)?;
        self.child.report(ANSWER_PATIENCE)
    }

    /// Ends it, and waits for that.
    pub fn end(self) {
        self.child.end();
    }

    fn command(&mut self, command: Command) -> Result<(), ChildError> {
        self.child.send(command)?;
        self.child.done(ANSWER_PATIENCE)
    }
}
