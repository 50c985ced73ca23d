//! The bare loop's process: from its order, over its connections, to the rounds, and its end.

use std::convert::Infallible;
use std::io::{self, Stdin};
use std::num::NonZeroU64;
use std::process::ExitCode;

use rustix::thread::set_current_timer_slack;

use super::accept::{AcceptError, Accepted, Acceptor};
use super::frames::{self, Burst, FramesError};
use super::input::{Given, Input, InputError};
use super::order::{LimitOrder, LimitReport, Traffic};
use super::rounds::{Pace, Rounds};
use crate::clock::{monotonic_ns, sleep_until};
use crate::control::confine::{self, ConfineError};
use crate::control::process::{exit_code, say};
use crate::control::{Answer, Command};

const NS_PER_S: u64 = 1_000_000_000;

/// How often the parent is told how many connections there are.
const PROGRESS_NS: u64 = 200_000_000;

/// How long before a round is due the loop no longer waits for commands, but sleeps to the moment exactly.
const SLEEP_NS: u64 = 1_000_000;

/// How often at most commands are looked for where there is no time to wait for them.
const GLANCE_NS: u64 = 1_000_000;

/// How long the order is waited for: the parent writes it at once.
const ORDER_PATIENCE_NS: u64 = 10 * NS_PER_S;

/// Why the bare loop cannot go on.
#[derive(Debug, thiserror::Error)]
enum LimitError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("no order came on standard input within {} s", ORDER_PATIENCE_NS / NS_PER_S)]
    NoOrder,
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error(transparent)]
    Frames(#[from] FramesError),
    #[error(transparent)]
    Accept(#[from] AcceptError),
    #[error("no room for the counts of rounds: {0}")]
    Histogram(#[from] hdrhistogram::errors::CreationError),
    #[error("the answer cannot be written: {0}")]
    Answer(#[from] io::Error),
    #[error("the command Go came {0}")]
    Go(&'static str),
}

/// Why the process ends.
enum End {
    /// It was told to, its input ended, or its time is up.
    Orderly,
    Error(LimitError),
}

type Said = Answer<LimitReport>;

impl<E: Into<LimitError>> From<E> for End {
    fn from(error: E) -> End {
        End::Error(error.into())
    }
}

/// Runs the bare loop: the order comes on the first line of standard input, answers go to standard output. Returns when it
/// is told to end, its input ends or its time is up; what else ends it is answered.
pub fn run_child() -> ExitCode {
    let Err(end) = run();
    exit_code(match end {
        End::Orderly => Ok(()),
        End::Error(error) => Err(error.to_string()),
    })
}

fn run() -> Result<Infallible, End> {
    confine::end_with_parent()?;
    let mut input = Input::new(io::stdin());
    let order: LimitOrder = match input.next(monotonic_ns() + ORDER_PATIENCE_NS)? {
        Given::Message(order) => order,
        Given::Nothing => return Err(LimitError::NoOrder.into()),
        Given::Ended => return Err(End::Orderly),
    };
    let end_ns = monotonic_ns().saturating_add(u64::from(order.lifetime_s) * NS_PER_S);
    if let Some(core) = order.core {
        confine::stay_on_core(core)?;
    }
    confine::raise_descriptor_limit()?;
    // The kernel may be 50 us late otherwise, in order to wake several sleepers at once. A loop that cannot have this is
    // late by so much, and says so in its frames.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    let plan = Plan::new(&order.traffic)?;
    let wanted = usize::try_from(order.connections).unwrap_or(usize::MAX);
    let acceptor = Acceptor::new(order.listen, wanted, order.send_buffer)?;
    say(&Said::Listening(acceptor.address()?))?;
    let mut loop_ = Loop {
        input,
        end_ns,
        is_ready: false,
        rounds: Rounds::new(Vec::new())?,
        glanced_ns: 0,
    };
    let accepted = loop_.take_connections(acceptor)?;
    loop_.rounds = Rounds::new(accepted.sockets)?;
    loop_.is_ready = true;
    let (begun_ns, done_ns) = (accepted.begun_ns, accepted.done_ns);
    say(&Said::Ready { begun_ns, done_ns })?;
    loop_.await_go()?;
    loop_.send(plan)
}

/// What is sent.
enum Plan {
    /// Made frames, so many times a second.
    Paced(Burst, u32),
    /// Made frames, round after round.
    Unpaced(Burst),
    /// A recording.
    Recorded(Vec<frames::RecordedFrame>),
}

impl Plan {
    fn new(traffic: &Traffic) -> Result<Plan, FramesError> {
        Ok(match traffic {
            Traffic::Fixed { size, burst, hz: 0 } => Plan::Unpaced(Burst::new(*size, *burst)?),
            Traffic::Fixed { size, burst, hz } => Plan::Paced(Burst::new(*size, *burst)?, *hz),
            Traffic::Recorded {
                capture,
                stream,
                format,
            } => Plan::Recorded(frames::recorded(capture, stream, *format)?),
        })
    }
}

/// The process once it listens.
struct Loop {
    input: Input<Stdin>,
    /// When its time is up, CLOCK_MONOTONIC.
    end_ns: u64,
    is_ready: bool,
    rounds: Rounds,
    /// When commands were looked for last.
    glanced_ns: u64,
}

impl Loop {
    fn take_connections(&mut self, mut acceptor: Acceptor) -> Result<Accepted, End> {
        let mut told = None;
        while !acceptor.is_done() {
            acceptor.serve(monotonic_ns() + PROGRESS_NS)?;
            if told.replace(acceptor.answered()) != Some(acceptor.answered()) {
                let answered = u32::try_from(acceptor.answered()).unwrap_or(u32::MAX);
                say(&Said::Connections(answered))?;
            }
            if self.take_command(0)? == Some(Command::Go) {
                return Err(LimitError::Go("before all connections were there").into());
            }
        }
        Ok(acceptor.into_accepted())
    }

    fn await_go(&mut self) -> Result<(), End> {
        while self.take_command(self.end_ns)? != Some(Command::Go) {}
        Ok(())
    }

    /// Sends until the process is to end. A recording that is over leaves its connections open, and nothing is made where
    /// nobody is left to be sent to.
    fn send(&mut self, plan: Plan) -> Result<Infallible, End> {
        let origin_ns = monotonic_ns();
        match plan {
            Plan::Unpaced(mut burst) => loop {
                let now_ns = self.glance()?;
                if self.rounds.open() == 0 {
                    break;
                }
                self.rounds.round(now_ns, burst.next(now_ns));
            },
            Plan::Paced(mut burst, hz) => {
                let pace = Pace { origin_ns, hz };
                for number in 1.. {
                    let due_ns = pace.due_ns(number);
                    self.wait_until(due_ns)?;
                    self.rounds.round(due_ns, burst.next(due_ns));
                }
            }
            Plan::Recorded(frames) => {
                for frame in &frames {
                    let due_ns = origin_ns + frame.at_ns;
                    self.wait_until(due_ns)?;
                    self.rounds.round(due_ns, &frame.bytes);
                }
            }
        }
        loop {
            self.take_command_while_sending(self.end_ns)?;
        }
    }

    /// Waits until a round is due, and does what is asked meanwhile. At once where it is late.
    fn wait_until(&mut self, due_ns: u64) -> Result<(), End> {
        loop {
            let now_ns = self.glance()?;
            if now_ns >= due_ns {
                return Ok(());
            }
            if due_ns - now_ns > SLEEP_NS {
                self.take_command_while_sending(due_ns - SLEEP_NS)?;
            } else {
                sleep_until(due_ns);
            }
        }
    }

    /// Looks for a command, unless that was only just done. Gives the time, CLOCK_MONOTONIC.
    fn glance(&mut self) -> Result<u64, End> {
        let now_ns = monotonic_ns();
        if now_ns - self.glanced_ns < GLANCE_NS {
            return Ok(now_ns);
        }
        self.take_command_while_sending(0)?;
        self.glanced_ns = monotonic_ns();
        Ok(self.glanced_ns)
    }

    fn take_command_while_sending(&mut self, until_ns: u64) -> Result<(), End> {
        match self.take_command(until_ns)? {
            Some(Command::Go) => Err(LimitError::Go("a second time").into()),
            _ => Ok(()),
        }
    }

    /// Does what a command asks for, if one comes until `until_ns` (CLOCK_MONOTONIC), and gives it.
    fn take_command(&mut self, until_ns: u64) -> Result<Option<Command>, End> {
        let given = self.input.next(until_ns.min(self.end_ns))?;
        let command = match given {
            Given::Message(command) => command,
            Given::Nothing if monotonic_ns() < self.end_ns => return Ok(None),
            Given::Nothing | Given::Ended => return Err(End::Orderly),
        };
        match command {
            Command::Begin => {
                self.rounds.begin();
                say(&Said::Done)?;
            }
            Command::Go if self.is_ready => say(&Said::Done)?,
            Command::Go => {}
            Command::Report => say(&Said::Report(Box::new(self.rounds.report())))?,
            Command::End => return Err(End::Orderly),
        }
        Ok(Some(command))
    }
}
