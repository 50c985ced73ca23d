//! A child whose life is a loop over a poll, which its commands wake.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use serde::de::DeserializeOwned;

use super::Command;
use super::process;

/// The commands' place among the connections' tokens.
pub const WAKER: Token = Token(usize::MAX);

/// The order of such a child.
pub trait PolledOrder: DeserializeOwned {
    /// Whether it can be carried out; why not is for people.
    fn check(&self) -> Result<(), impl Display>;
    /// The core to stay on, by its number on the host.
    fn core(&self) -> Option<usize>;
    /// Seconds after which it ends whatever happens.
    fn lifetime_s(&self) -> u32;
}

/// Its whole life: takes its order from standard input, and lets `run` carry it out and answer commands until it is told to
/// end, its input ends, or its time is up.
pub fn live<O: PolledOrder>(run: impl FnOnce(O, Poll, Receiver<Command>) -> Result<(), String>) -> ExitCode {
    process::exit_code(begin(run))
}

fn begin<O: PolledOrder>(
    run: impl FnOnce(O, Poll, Receiver<Command>) -> Result<(), String>,
) -> Result<(), String> {
    let text = |error: &dyn Display| error.to_string();
    let order: O = process::order().map_err(|error| text(&error))?;
    order.check().map_err(|error| text(&error))?;
    process::settle(order.core(), Duration::from_secs(order.lifetime_s().into()))
        .map_err(|error| text(&error))?;
    let poll = Poll::new().map_err(|error| text(&error))?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(|error| text(&error))?);
    let reader_waker = waker.clone();
    let commands = process::commands(move || {
        // A poll that is gone needs no waking.
        let _ = reader_waker.wake();
    })
    .map_err(|error| text(&error))?;
    let outcome = run(order, poll, commands);
    // Held until here: the reader's ends with its last command, and a waker that is closed takes its unseen call with it.
    drop(waker);
    outcome
}
