//! The end of a connection from our side: at once, behind all that it is owed, or with the engine.

use bytes::Bytes;
use depthcast_wire::ws::{self, CloseCode, Opcode};

use super::{Host, Next, Phase, Session, TICK_MS, Turn};
use crate::fanout::FanoutError;

/// Why a connection was ended by us, for counting and for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// The request's head did not arrive in time.
    HandshakeTimeout,
    /// The request was refused.
    HandshakeRefused,
    /// The peer broke the WebSocket protocol.
    Protocol,
    /// The peer did not answer pings.
    PongTimeout,
    /// The peer owed bytes for too long.
    SlowConsumer,
    /// The peer was further behind than is kept for it.
    TooFarBehind,
    /// The peer was conflated again and again.
    ConflatedTooOften,
    /// The peer sent messages too fast.
    MessageRate,
    /// The connection was as old as connections become.
    Life,
    /// The peer's address opened too many connections.
    Attempts,
    /// There was no room for the connection.
    NoRoom,
    /// The peer closed.
    Peer,
    /// The engine is ending, or its feed began anew.
    Engine,
    /// A bound of the engine was reached: a table is full, or more changed at once than a book remembers.
    Overload,
    /// The engine itself was too far behind to tell every event of a stream that cannot be told in fewer.
    EngineBehind,
}

impl EndCause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [EndCause; 15] = [
        EndCause::HandshakeTimeout,
        EndCause::HandshakeRefused,
        EndCause::Protocol,
        EndCause::PongTimeout,
        EndCause::SlowConsumer,
        EndCause::TooFarBehind,
        EndCause::ConflatedTooOften,
        EndCause::MessageRate,
        EndCause::Life,
        EndCause::Attempts,
        EndCause::NoRoom,
        EndCause::Peer,
        EndCause::Engine,
        EndCause::Overload,
        EndCause::EngineBehind,
    ];

    /// Those of peers that read too slowly.
    pub const SLOW: [EndCause; 3] = [
        EndCause::SlowConsumer,
        EndCause::TooFarBehind,
        EndCause::ConflatedTooOften,
    ];

    /// Its number, below the length of [`EndCause::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

// A cause that is not in the list would have no number.
const _: () = {
    let mut i = 0;
    while i < EndCause::ALL.len() {
        assert!(EndCause::ALL[i] as usize == i);
        i += 1;
    }
    assert!(EndCause::EngineBehind as usize + 1 == EndCause::ALL.len());
};

/// How all subscribers are closed.
#[derive(Clone, Copy, Debug)]
pub struct Goodbye {
    /// The Close's code.
    pub code: u16,
    /// The Close's reason.
    pub reason: &'static str,
    /// As what their ends are counted.
    pub cause: EndCause,
    /// Without what they are owed; else behind it.
    pub at_once: bool,
    /// When the engine itself ends: the wall-clock time, microseconds, that subscribers are told in an event before the
    /// Close.
    pub shutdown_us: Option<i64>,
}

impl Session {
    /// Ends the connection from our side: what it is owed is forgotten, `reason` is sent as a Close.
    pub fn give_up(
        &mut self,
        code: u16,
        reason: &str,
        cause: EndCause,
        turn: &mut Turn<'_, impl Host>,
    ) -> Next {
        if self.is_closing() {
            return Next::Continue;
        }
        if !self.is_open() {
            self.end_cause.get_or_insert(cause);
            return Next::Drop;
        }
        turn.host.abandon(close_frame(code, reason));
        self.end(cause, turn.limits.close_ticks, turn)
    }

    /// Ends a subscriber's connection as all are ended; others are left as they are.
    pub fn say_goodbye(&mut self, goodbye: &Goodbye, turn: &mut Turn<'_, impl Host>) -> Next {
        if !self.is_open() {
            return Next::Continue;
        }
        let mut last = Vec::new();
        // Of an echo nothing is expected but what was sent.
        if let Some(at_us) = goodbye.shutdown_us.filter(|_| !self.is_echo) {
            let event = self.encoding.shutdown_event(at_us);
            last = ws::server_frame(Opcode::Text, event.as_bytes());
        }
        ws::write_close(&mut last, goodbye.code, goodbye.reason, None);
        if goodbye.at_once {
            turn.host.abandon(last.into());
            self.end(goodbye.cause, turn.limits.close_ticks, turn)
        } else {
            self.end_behind_all(last.into(), goodbye.cause, turn)
        }
    }

    /// Ends a connection that is as old as they become. As 1001, going away: the peer has done nothing wrong, and may come
    /// back at once.
    pub(super) fn end_life(&mut self, turn: &mut Turn<'_, impl Host>) -> Next {
        let life_s = u64::from(turn.limits.life_ticks) * u64::from(TICK_MS) / 1000;
        let reason = format!("this connection's life of {life_s} s is over: reconnect");
        self.close(CloseCode::GOING_AWAY, &reason, EndCause::Life, turn)
    }

    /// Ends the connection behind all that it is owed: an answer to the peer's Close, or the end of a conversation in
    /// which what was said before still counts.
    pub(super) fn close(
        &mut self,
        code: u16,
        reason: &str,
        cause: EndCause,
        turn: &mut Turn<'_, impl Host>,
    ) -> Next {
        self.end_behind_all(close_frame(code, reason), cause, turn)
    }

    fn end_behind_all(&mut self, last: Bytes, cause: EndCause, turn: &mut Turn<'_, impl Host>) -> Next {
        let queued = turn
            .host
            .set_streams(&[], self.encoding, false)
            .and_then(|()| turn.host.send(last.clone()));
        if queued.is_err() {
            turn.host.abandon(last);
        }
        // What is owed may take as long as a slow consumer is given.
        let next = self.end(cause, turn.limits.lag_ticks, turn);
        self.phase = Phase::Closing { owes_all: true };
        next
    }

    /// A bound was reached: the peer's own replies, or a table of the engine.
    pub fn on_bound(&mut self, error: &FanoutError, turn: &mut Turn<'_, impl Host>) -> Next {
        let (code, cause) = bound_reached(error);
        self.give_up(code, &error.to_string(), cause, turn)
    }

    /// Only our last bytes, which are queued, are left of it, and have so many ticks.
    pub(super) fn end(&mut self, cause: EndCause, ticks: u32, turn: &mut Turn<'_, impl Host>) -> Next {
        self.phase = Phase::Closing { owes_all: false };
        self.give_back(turn.host.buffers());
        self.lag = None;
        self.due = turn.now + ticks;
        self.end_cause.get_or_insert(cause);
        Next::Finish
    }
}

fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut close = Vec::new();
    ws::write_close(&mut close, code, reason, None);
    close.into()
}

/// Whose fault it is that a bound was reached: the close code and the cause.
pub(super) fn bound_reached(error: &FanoutError) -> (u16, EndCause) {
    match error {
        FanoutError::PrefixFull => (CloseCode::POLICY_VIOLATION, EndCause::TooFarBehind),
        FanoutError::TableFull => (CloseCode::TRY_AGAIN_LATER, EndCause::Overload),
    }
}
