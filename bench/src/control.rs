//! How the bench speaks to the processes it starts: a line of JSON a message, orders on their standard input, answers on
//! their standard output. A child whose input ends ends too, and so does one whose parent dies or whose time is up: no
//! run leaves a process behind.

mod child;
pub mod confine;
pub mod polled;
pub mod process;
mod processes;

pub use child::{Child, ChildError};
pub use processes::{Processes, Went};

use serde::{Deserialize, Serialize};

/// From the bench to a fleet process or to the bare loop, after its order. Each is answered, but for `End`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The bare loop begins to send. A fleet has no use for it and answers alike.
    Go,
    /// Begin to count anew: what comes from here on is in the next report.
    Begin,
    /// Say what was counted since.
    Report,
    /// End, and close everything.
    End,
}

/// From a child to the bench. `R` is what it reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer<R> {
    /// The bare loop listens at this address.
    Listening(std::net::SocketAddr),
    /// So many connections are open, of those it is to open or to take. Told a few times a second until all are.
    Connections(u32),
    /// All connections are open, and it took from the first's beginning to the last's end so many nanoseconds.
    Ready {
        /// When the first began, CLOCK_MONOTONIC.
        begun_ns: u64,
        /// When the last was open, CLOCK_MONOTONIC.
        done_ns: u64,
    },
    /// `Go` or `Begin` was done.
    Done,
    /// The answer to `Report`.
    Report(Box<R>),
    /// It cannot go on, and ends.
    Failed(String),
}
