//! What a connection of a crowd does beside reading: it has its stream watched, asks for it, and goes away.

use depthcast_wire::http::Headers;
use depthcast_wire::ws::{Opcode, write_frame};

use super::{Connection, Tools, Turn};
use crate::fleet::counts::MASKING_KEY;
use crate::fleet::watch::Watch;

/// The close code of a client that goes away (RFC 6455 section 7.4.1).
const CLOSE_GOING_AWAY: u16 = 1001;

/// The header in which an engine names its history.
const EPOCH_HEADER: &str = "Depthcast-Epoch";

/// The number of the server's history in the answer to an upgrade, where it says so.
pub(super) fn epoch(headers: &Headers<'_>) -> Option<u64> {
    std::str::from_utf8(headers.only(EPOCH_HEADER)?)
        .ok()?
        .parse()
        .ok()
}

impl Connection {
    /// Has its one stream watched.
    pub fn set_watch(&mut self, watch: Watch) {
        self.watch = Some(Box::new(watch));
    }

    /// Its watch, if it has one.
    pub fn watch(&mut self) -> Option<&mut Watch> {
        self.watch.as_deref_mut()
    }

    /// Sends a request.
    pub fn request(&mut self, text: &str, tools: &mut Tools) -> Turn {
        if !self.is_open() {
            return Turn::Nothing;
        }
        write_frame(&mut self.outbox, Opcode::Text, text.as_bytes(), Some(MASKING_KEY));
        match self.flush(&mut tools.counts) {
            Ok(()) => Turn::Nothing,
            Err(error) => self.broken(error, tools),
        }
    }

    /// Closes it as a client does that goes away: a Close, and no waiting for the answer.
    pub fn leave(&mut self, tools: &mut Tools) {
        if self.is_open() {
            self.say_goodbye(CLOSE_GOING_AWAY, tools);
        } else {
            self.abandon();
        }
    }
}
