//! One connection as the engine must treat it: what each message, time and word of the market thread makes of it, and what
//! its peer is owed for that.

use std::collections::BTreeMap;

use bytes::Bytes;
use depthcast_wire::http;
use depthcast_wire::stream::StreamName;

use super::Rules;
use super::owed::{Item, Owed};
use super::reader;
use super::socket::Write;
use super::speech::Message;
use super::streams::Wait;
use crate::session::encoding::Encoding;
use crate::session::ending::Goodbye;
use crate::session::{EndCause, TurnedAway};

/// One that is turned away is told so within 2 s.
const TURNED_AWAY_TICKS: u32 = 20;

/// Replies that are held back for a change of encoding.
const REPLIES_MAX: usize = 1024;

/// The window in which messages are counted.
const WINDOW_TICKS: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its request is awaited.
    Hello,
    Open,
    Closing(EndCause),
    /// Its request was for the HTTP server.
    Elsewhere,
}

/// Messages that the peer has sent in a window.
#[derive(Debug, Default)]
struct Rate {
    began: u32,
    counted: u16,
    pongs_due: u32,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) rules: Rules,
    /// Of its connection.
    key: u32,
    pub(super) phase: Phase,
    pub(super) owed: Owed,
    pub(super) encoding: Encoding,
    pub(super) with_snapshots: bool,
    /// It is to be told that it will not be served: with this status, for this cause.
    turned_away: Option<(u16, EndCause)>,
    /// When its next ping is due; or in another phase, when it is given up.
    due: u32,
    life_ends: u32,
    unanswered_since: Option<u32>,
    /// Since when what it says next is here in part.
    pub(super) message_since: Option<u32>,
    lagging_since: Option<u32>,
    rate: Rate,
    /// The end comes behind all that it was owed.
    owes_all: bool,
    /// Its socket was full, and has not been said to take bytes again.
    pub(super) is_blocked: bool,
    /// It was blocked, and has not been given everything since.
    pub(super) is_lagging: bool,
    /// The streams that it receives, each with the number of its next event once it has begun.
    pub(super) received: BTreeMap<StreamName, Option<u64>>,
    pub(super) received_as: Encoding,
    pub(super) wait: Option<Wait>,
}

impl Peer {
    pub(super) fn new(rules: &Rules, key: u32, turned_away: Option<TurnedAway>, now: u32) -> Peer {
        let handshake = rules.session.handshake_ticks;
        let patience = if turned_away.is_some() {
            handshake.min(TURNED_AWAY_TICKS)
        } else {
            handshake
        };
        Peer {
            rules: *rules,
            key,
            phase: Phase::Hello,
            owed: Owed::default(),
            encoding: Encoding::default(),
            with_snapshots: false,
            turned_away: turned_away.map(|why| match why {
                TurnedAway::TooMany { .. } => (429, EndCause::Attempts),
                TurnedAway::NoRoom => (503, EndCause::NoRoom),
            }),
            due: now + patience,
            life_ends: u32::MAX,
            unanswered_since: None,
            message_since: None,
            lagging_since: None,
            rate: Rate::default(),
            owes_all: false,
            is_blocked: false,
            is_lagging: false,
            received: BTreeMap::new(),
            received_as: Encoding::default(),
            wait: None,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
    }

    /// Why it ends, once it does; for one that is dropped now, why it is.
    pub(super) fn cause(&self) -> EndCause {
        match self.phase {
            Phase::Closing(cause) => cause,
            _ => self.turned_away.map_or(EndCause::Peer, |(_, cause)| cause),
        }
    }

    /// Its place in the period of the pings is its key's.
    fn next_ping(&self, now: u32) -> u32 {
        let period = self.rules.session.ping_ticks;
        (now + 1..=now + period)
            .find(|tick| (tick + 1 + self.key).is_multiple_of(period))
            .expect("a period has every place")
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> u32 {
        if self.phase != Phase::Open {
            return self.due;
        }
        let lag = self
            .lagging_since
            .map(|since| since + self.rules.session.lag_ticks);
        self.due.min(lag.unwrap_or(u32::MAX)).min(self.life_ends)
    }

    /// The worker has read a message.
    pub(super) fn on_message(&mut self, message: Message, epoch: Option<u64>, now: u32) {
        if let (Phase::Hello, Some((status, cause))) = (self.phase, self.turned_away) {
            return self.refuse(status, cause, now);
        }
        match (self.phase, message) {
            (Phase::Hello, Message::Bad(status)) => self.refuse(status, EndCause::HandshakeRefused, now),
            (Phase::Hello, Message::Elsewhere) => self.phase = Phase::Elsewhere,
            (
                Phase::Hello,
                Message::Upgrade {
                    streams,
                    encoding,
                    snapshots,
                },
            ) => {
                self.encoding = encoding;
                self.with_snapshots = snapshots;
                self.open(streams, epoch, now);
            }
            (Phase::Open, Message::Fault(fault)) => {
                self.close(
                    Some(fault.close_code()),
                    &fault.to_string(),
                    EndCause::Protocol,
                    now,
                );
            }
            (Phase::Open, message) => {
                if self.is_within_rate(&message, now) {
                    self.on_conversation(message, now);
                } else {
                    self.close(Some(1008), "more than ", EndCause::MessageRate, now);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, streams: Vec<StreamName>, epoch: Option<u64>, now: u32) {
        self.phase = Phase::Open;
        self.due = self.next_ping(now);
        self.life_ends = now + self.rules.session.life_ticks;
        let epoch = epoch.map(|id| id.to_string());
        let header = epoch.as_deref().map(|id| ("Depthcast-Epoch", id));
        let mut answer = Vec::new();
        // The key and its answer are the example of RFC 6455 section 1.3.
        http::write_switching_protocols(&mut answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", header.as_slice());
        self.owed.open(answer.into());
        if streams.len() > self.rules.session.streams_max {
            self.close(Some(1008), "more than ", EndCause::Protocol, now);
        } else if !streams.is_empty() {
            self.set_streams(streams);
        }
    }

    fn on_conversation(&mut self, message: Message, now: u32) {
        match message {
            Message::Ping(payload) => self.send(Item::Frame {
                opcode: reader::PONG,
                payload,
            }),
            Message::Pong => self.unanswered_since = None,
            Message::Close(code) => self.close(code, "", EndCause::Peer, now),
            Message::Binary => self.close(Some(1003), "send requests as text", EndCause::Protocol, now),
            Message::Text(text) => self.on_request(&text),
            _ => {}
        }
    }

    fn is_within_rate(&mut self, message: &Message, now: u32) -> bool {
        let limit = self.rules.session.messages_per_second;
        if limit == 0 || matches!(message, Message::Close(_)) {
            return true;
        }
        let rate = &mut self.rate;
        let is_answer = matches!(message, Message::Pong) && rate.pongs_due > 0;
        if rate.counted == 0 || now - rate.began >= WINDOW_TICKS {
            (rate.began, rate.counted) = (now, 0);
        }
        if is_answer {
            rate.pongs_due -= 1;
            // It never takes the last place.
            rate.counted = (rate.counted + 1).min(limit - 1).max(rate.counted);
            return true;
        }
        rate.counted += 1;
        rate.counted <= limit
    }

    /// Something for this connection alone: now, or behind a reply that waits.
    pub(super) fn send(&mut self, item: Item) {
        match &mut self.wait {
            Some(wait) if (1..REPLIES_MAX).contains(&wait.replies.len()) => wait.replies.push(item),
            _ => self.owed.queue(item, &self.rules),
        }
    }

    /// The worker's socket took these writes, after which everything owed is (not) written.
    pub(super) fn on_writes(&mut self, writes: &[Write], now: u32) {
        for (n, write) in writes.iter().enumerate() {
            let is_drained = n + 1 == writes.len() && self.owed.is_empty();
            if self.rules.fanout.lossless && self.is_lagging && write.taken > 0 && !is_drained {
                match self.phase {
                    Phase::Open => self.lagging_since = Some(now),
                    Phase::Closing(_) if self.owes_all => self.due = now + self.rules.session.lag_ticks,
                    _ => {}
                }
            }
            if write.taken < write.offered {
                self.is_blocked = true;
                self.is_lagging = true;
                self.lagging_since.get_or_insert(now);
            } else if is_drained {
                self.is_lagging = false;
                self.lagging_since = None;
            }
        }
    }

    /// The worker has ended its side of the socket.
    pub(super) fn on_shut(&mut self, now: u32) {
        self.due = self.due.min(now + self.rules.session.close_ticks);
    }

    /// The deadline has come, of one that is not closing yet.
    pub(super) fn on_timer(&mut self, now: u32) {
        let session = self.rules.session;
        if self.phase == Phase::Hello {
            let (status, cause) = self.turned_away.unwrap_or((408, EndCause::HandshakeTimeout));
            return self.refuse(status, cause, now);
        }
        if self
            .lagging_since
            .is_some_and(|since| now - since >= session.lag_ticks)
        {
            self.give_up(1008, "slow consumer: ", EndCause::SlowConsumer, now);
        } else if now >= self.life_ends {
            self.close(Some(1001), "this connection's life", EndCause::Life, now);
        } else if now >= self.due {
            let since = *self.unanswered_since.get_or_insert(now);
            if now - since >= session.pong_ticks {
                return self.give_up(1008, "no pong in ", EndCause::PongTimeout, now);
            }
            if self
                .message_since
                .is_some_and(|since| now - since >= session.pong_ticks)
            {
                return self.give_up(1008, "a message was not", EndCause::Protocol, now);
            }
            self.due = self.next_ping(now).min(since + session.pong_ticks);
            self.rate.pongs_due += 1;
            self.send(Item::Frame {
                opcode: reader::PING,
                payload: Bytes::new(),
            });
        }
    }

    /// All are told goodbye.
    pub(super) fn on_goodbye(&mut self, goodbye: &Goodbye, now: u32) {
        let mut end = Vec::new();
        if let Some(at_us) = goodbye.shutdown_us {
            end.push(Item::Shutdown(self.encoding.shutdown_event(at_us)));
        }
        end.push(Item::Close {
            code: Some(goodbye.code),
            reason: goodbye.reason.to_string(),
        });
        if goodbye.at_once {
            self.owed.abandon(end);
            self.end(goodbye.cause, now + self.rules.session.close_ticks);
        } else {
            self.finish(end, goodbye.cause, now);
        }
    }

    /// Ends it without what it is owed.
    pub(super) fn give_up(&mut self, code: u16, reason: &str, cause: EndCause, now: u32) {
        self.owed.abandon(vec![Item::Close {
            code: Some(code),
            reason: reason.to_string(),
        }]);
        self.end(cause, now + self.rules.session.close_ticks);
    }

    /// Ends it behind all that it is owed.
    fn close(&mut self, code: Option<u16>, reason: &str, cause: EndCause, now: u32) {
        let reason = reason.to_string();
        self.finish(vec![Item::Close { code, reason }], cause, now);
    }

    fn finish(&mut self, end: Vec<Item>, cause: EndCause, now: u32) {
        let waits = self.wait.take().map_or_else(Vec::new, |wait| wait.replies);
        self.owed
            .finish(waits, end, !self.received.is_empty(), &self.rules);
        self.end(cause, now + self.rules.session.lag_ticks);
        self.owes_all = true;
    }

    /// There is no memory left for what it has said in part.
    pub(super) fn on_no_buffer(&mut self, now: u32) {
        if self.phase == Phase::Open {
            let reason = "the engine's memory for messages";
            self.close(Some(1013), reason, EndCause::Overload, now);
        } else {
            self.refuse(503, EndCause::Overload, now);
        }
    }

    fn refuse(&mut self, status: u16, cause: EndCause, now: u32) {
        self.owed.queue(Item::Refused(status), &self.rules);
        self.end(cause, now + self.rules.session.close_ticks);
    }

    fn end(&mut self, cause: EndCause, due: u32) {
        self.phase = Phase::Closing(cause);
        self.due = due;
        self.owes_all = false;
        self.lagging_since = None;
        self.received.clear();
        self.wait = None;
    }
}
