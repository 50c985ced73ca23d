//! The subscriber's side of a connection as a state machine without I/O: bytes and the time in, replies and wishes out
//! through [`Host`]. It knows HTTP, WebSocket and control requests; sockets, groups and books it does not.

pub mod buffers;
mod conversation;
pub mod encoding;
pub mod ending;
pub mod handshake;
mod lag;
mod pings;
mod rate;
mod requests;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use bytes::Bytes;
use depthcast_wire::http;
use depthcast_wire::stream::StreamName;
use depthcast_wire::target::{LagPolicy, Resume};
use depthcast_wire::ws::CloseCode;

use crate::fanout::FanoutError;
use buffers::{Buffers, Partial};
use encoding::Encoding;
pub use ending::EndCause;
use lag::Lag;
use rate::MessageRate;

/// The times of the state machine count in ticks of this many milliseconds: exact enough for timeouts of seconds, and a
/// u32 of them outlasts a decade.
pub const TICK_MS: u32 = 100;

/// The longest message taken from a subscriber: a SUBSCRIBE of 1,024 names is about 30 KB.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The longest message taken on `/echo`: conformance suites send 16 MiB.
pub const ECHO_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The header of the answer to an upgrade that numbers the history which the connection begins in.
pub const EPOCH_HEADER: &str = "Depthcast-Epoch";

/// Why a connection is turned away with nothing but an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// Its address has opened too many, and may come again after so many seconds.
    TooMany {
        /// Seconds. What is longer is told as this much, 18 hours, and told again then.
        retry_after_s: NonZeroU16,
    },
    /// There is no room for it.
    NoRoom,
}

impl TurnedAway {
    /// Its address may come again after so many ticks.
    pub fn for_ticks(ticks: u32) -> TurnedAway {
        let seconds = ticks.saturating_mul(TICK_MS).div_ceil(1000);
        let seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        TurnedAway::TooMany {
            retry_after_s: NonZeroU16::new(seconds).unwrap_or(NonZeroU16::MIN),
        }
    }
}

/// When one who cannot be served now should come again, seconds: with thousands that do, a second would be too soon for any
/// to have gone.
pub const UNAVAILABLE_RETRY_AFTER_S: u32 = 5;

/// How long one that is turned away has for its request before it is told without it.
const TURNED_AWAY_TICKS: u32 = 2000 / TICK_MS;

/// The times and bounds of a connection's life. Times are in ticks.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// From accepting to the end of the request's head.
    pub handshake_ticks: u32,
    /// Between two pings.
    pub ping_ticks: u32,
    /// From the first unanswered ping to the end.
    pub pong_ticks: u32,
    /// How long a connection may owe bytes before it is given up as a slow consumer.
    pub lag_ticks: u32,
    /// How long a connection may owe bytes before it is to be conflated, where its policy is that.
    pub conflate_ticks: u32,
    /// What becomes of a connection that lags and does not say itself.
    pub lag_policy: LagPolicy,
    /// From our last byte to the peer's, and for one that is given up also until our last byte: after that the socket
    /// is closed whatever the peer does.
    pub close_ticks: u32,
    /// How long a subscriber may stay: it is then closed in good order and comes back.
    pub life_ticks: u32,
    /// Messages (pings, pongs, requests) a subscriber may send in a second; 0 for any number.
    pub messages_per_second: u16,
    /// Streams one connection may have.
    pub streams_max: usize,
    /// Connections that one address may open in [`SessionLimits::attempts_window_s`], as those are told who are turned
    /// away for it.
    pub attempts_per_ip: u32,
    /// See [`SessionLimits::attempts_per_ip`].
    pub attempts_window_s: u32,
    /// Whether `/echo` exists.
    pub echo: bool,
}

/// What a session asks of whoever owns sockets, groups and the table of streams.
pub trait Host {
    /// The key of the connection: it says when in their period its pings are due.
    fn key(&self) -> u32;
    /// The memory of what has arrived in part.
    fn buffers(&mut self) -> &mut Buffers;
    /// Queues the answer to an upgrade, the first bytes of all: they are sent even if the connection is abandoned.
    fn answer(&mut self, head: Bytes);
    /// Queues bytes for this connection alone.
    fn send(&mut self, frame: Bytes) -> Result<(), FanoutError>;
    /// Sets the streams of this connection, replacing those it had. With `with_snapshots` each depth stream that is new
    /// begins with a snapshot, as soon as its next event continues that exactly.
    fn set_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
    ) -> Result<(), FanoutError>;
    /// The same, but depth streams of the symbols that `resume` names go on where the client left off.
    fn resume_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        resume: &Resume,
    ) -> Result<(), FanoutError>;
    /// Writes the streams of this connection in another encoding; `reply` stands between the last event in the old one
    /// and the first in the new one, and no event is lost between them.
    fn set_encoding(&mut self, encoding: Encoding, reply: Bytes) -> Result<(), FanoutError>;
    /// The streams of this connection, also those that have not begun.
    fn streams(&self) -> Vec<StreamName>;
    /// The number of the history that the feed is in, once it has begun one.
    fn epoch(&self) -> Option<u64>;
    /// Ends the market data of this connection at once, forgets what it is owed except the answer to the upgrade and
    /// the rest of a begun frame, and queues `last`.
    fn abandon(&mut self, last: Bytes);
}

/// What a session is given for one turn: the time, in ticks, its bounds, and the way to whoever owns the rest.
pub struct Turn<'a, H> {
    /// Now.
    pub now: u32,
    /// The bounds of every session.
    pub limits: &'a SessionLimits,
    /// The owner.
    pub host: &'a mut H,
}

/// What the owner of the socket does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing special.
    Continue,
    /// The request is no subscriber's: give the socket, with [`Session::take_head`], to the HTTP server.
    HandOff,
    /// It lags: forget what it is owed, and tell it what it missed once it reads again.
    Conflate,
    /// Close the socket once everything owed is written, and at the session's deadline in any case.
    Finish,
    /// Close the socket now, with a reset where bytes are still owed.
    Drop,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Waiting for the end of a request's head, which is not kept, to say that it will not be carried out.
    TurnedAway {
        /// Why.
        why: TurnedAway,
        /// Ends of line that the head's last bytes are; two make its end.
        line_ends: u8,
    },
    /// The head of the request is awaited.
    Handshake,
    /// A subscriber.
    Open,
    /// Our last bytes are queued; what arrives is discarded.
    Closing {
        /// They are all that the peer was owed, not only the end of it.
        owes_all: bool,
    },
}

/// A tick or none, in four bytes: the last of all ticks stands for none, which an engine of a decade would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MaybeTick(u32);

impl MaybeTick {
    const NONE: MaybeTick = MaybeTick(u32::MAX);

    fn at(tick: u32) -> MaybeTick {
        MaybeTick(tick)
    }

    fn get(self) -> Option<u32> {
        (self != MaybeTick::NONE).then_some(self.0)
    }
}

/// The state of one connection. What it does not have as long as it is idle is boxed.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    encoding: Encoding,
    is_echo: bool,
    /// Depth streams begin with a snapshot.
    with_snapshots: bool,
    /// Present only while a head, a frame or a message is partly here.
    partial: Option<Box<Partial>>,
    /// When the next ping is due, or in another phase its deadline.
    due: u32,
    /// When a subscriber's life is over.
    life_ends: u32,
    rate: MessageRate,
    /// The tick of the first ping that was not answered.
    unanswered_since: MaybeTick,
    /// Present only while bytes are owed that the socket did not take.
    lag: Option<Box<Lag>>,
    lag_policy: LagPolicy,
    end_cause: Option<EndCause>,
}

// Every connection has one: see `reactor/footprint.rs`.
const _: () = assert!(size_of::<Session>() == 48 && size_of::<Phase>() == 4);

impl Session {
    /// A connection accepted at tick `now`.
    pub fn new(now: u32, limits: &SessionLimits) -> Session {
        Session {
            phase: Phase::Handshake,
            encoding: Encoding::default(),
            is_echo: false,
            with_snapshots: false,
            partial: None,
            due: now + limits.handshake_ticks,
            life_ends: u32::MAX,
            rate: MessageRate::default(),
            unanswered_since: MaybeTick::NONE,
            lag: None,
            lag_policy: limits.lag_policy,
            end_cause: None,
        }
    }

    /// One accepted at tick `now` that will not be served. It is told so behind its request: an answer before that would meet
    /// unread bytes, whose reset destroys it.
    pub fn turned_away(now: u32, why: TurnedAway, limits: &SessionLimits) -> Session {
        let cause = match why {
            TurnedAway::TooMany { .. } => EndCause::Attempts,
            TurnedAway::NoRoom => EndCause::NoRoom,
        };
        Session {
            phase: Phase::TurnedAway { why, line_ends: 0 },
            due: now + TURNED_AWAY_TICKS.min(limits.handshake_ticks),
            end_cause: Some(cause),
            ..Session::new(now, limits)
        }
    }

    /// When [`Session::on_timer`] wants to be called next.
    pub fn deadline(&self, limits: &SessionLimits) -> u32 {
        if !self.is_open() {
            return self.due;
        }
        let lag = self.lag.as_ref().map(|lag| lag.deadline(limits));
        self.due.min(lag.unwrap_or(u32::MAX)).min(self.life_ends)
    }

    /// Whether our last bytes are queued and only the goodbye is left.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether the handshake is done and the end not begun.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Why the connection ends, once it does.
    pub fn end_cause(&self) -> Option<EndCause> {
        self.end_cause
    }

    /// After [`Next::HandOff`]: all bytes read so far, of which `input` are the last.
    pub fn take_head(&mut self, input: &[u8], buffers: &mut Buffers) -> Vec<u8> {
        self.phase = Phase::Closing { owes_all: false };
        let Some(partial) = self.partial.take() else {
            return input.to_vec();
        };
        let head = partial.head().to_vec();
        buffers.give_back(partial);
        head
    }

    /// The connection is gone, or nothing more is read from it: gives back what it was lent.
    pub fn give_back(&mut self, buffers: &mut Buffers) {
        if let Some(partial) = self.partial.take() {
            buffers.give_back(partial);
        }
    }

    /// How its streams are written, and whether those that are depth begin with snapshots.
    pub fn manner(&self) -> (Encoding, bool) {
        (self.encoding, self.with_snapshots)
    }

    /// Bytes arrived from the peer.
    pub fn on_bytes(&mut self, mut input: &[u8], turn: &mut Turn<'_, impl Host>) -> Next {
        match self.phase {
            Phase::Closing { .. } => Next::Continue,
            Phase::Open => self.on_frames(&mut input, turn),
            Phase::TurnedAway { .. } => self.on_turned_away(input, turn),
            Phase::Handshake => self.on_handshake(input, turn),
        }
    }

    /// The deadline has come.
    pub fn on_timer(&mut self, turn: &mut Turn<'_, impl Host>) -> Next {
        match self.phase {
            Phase::Closing { .. } => {
                return if turn.now >= self.due {
                    Next::Drop
                } else {
                    Next::Continue
                };
            }
            Phase::Handshake | Phase::TurnedAway { .. } if turn.now < self.due => return Next::Continue,
            Phase::TurnedAway { why, .. } => return self.turn_away(why, turn),
            Phase::Handshake => {
                let mut answer = Vec::new();
                http::write_error(
                    &mut answer,
                    408,
                    "Request Timeout",
                    &[],
                    "send the whole request at once\n",
                );
                return self.refuse(answer, EndCause::HandshakeTimeout, turn);
            }
            Phase::Open => {}
        }
        if let Some(ticks) = self
            .lag
            .as_ref()
            .and_then(|lag| lag.too_long(turn.now, turn.limits))
        {
            let reason = format!("slow consumer: {} behind", seconds(ticks));
            return self.give_up(CloseCode::POLICY_VIOLATION, &reason, EndCause::SlowConsumer, turn);
        }
        if turn.now >= self.life_ends {
            return self.end_life(turn);
        }
        if self.lag.as_mut().is_some_and(|lag| lag.take_conflation(turn.now)) {
            return Next::Conflate;
        }
        if turn.now < self.due {
            return Next::Continue;
        }
        self.on_ping_due(turn)
    }

    /// Our last byte was written: only the peer's is awaited.
    pub fn on_all_said(&mut self, now: u32, limits: &SessionLimits) {
        if self.is_closing() {
            self.due = self.due.min(now + limits.close_ticks);
        }
    }
}

#[cfg(test)]
impl Session {
    /// Whether its request was answered with 503 at tick `now`, since there was no memory for a part of it: unlike one whose
    /// messages there is no memory for, it has only the time of a goodbye.
    pub(crate) fn is_refused_for_room(&self, now: u32, limits: &SessionLimits) -> bool {
        let is_overload = self.is_closing() && self.end_cause == Some(EndCause::Overload);
        is_overload && self.due == now + limits.close_ticks
    }
}

fn seconds(ticks: u32) -> String {
    format!("{:.1} s", f64::from(ticks) * f64::from(TICK_MS) / 1000.0)
}
