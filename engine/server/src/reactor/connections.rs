//! The connections of one worker: their sockets, sessions and timers, and what happens to each.

mod catching_up;
pub(super) mod connection;
mod ending;
mod lag;
mod sweep;

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;

use depthcast_wire::ws::CloseCode;

use self::catching_up::CatchingUp;
use self::connection::Connection;
use super::counters::{Counters, WorkerCounters};
use super::joins::Joins;
use super::messages::{Body, JoinError};
use super::owner::{Owner, count_subscriber};
use super::socket::Socket;
use super::topics::Topics;
use crate::fanout::{Fanout, FanoutEvent, MemberId, Wire, WriteOutcome};
use crate::mem::slab::Slab;
use crate::mem::wheel::Wheel;
use crate::session::buffers::Buffers;
use crate::session::ending::Goodbye;
use crate::session::{EndCause, Next, Session, SessionLimits, Turn, TurnedAway};

/// Memory that frames of one connection's own may take before nothing more is read from it: a client that asks faster
/// than it takes the answers is slowed down to its own pace.
const REPLIES_WAITING_MAX: usize = 256 * 1024;

/// Places that the queue of connections to read keeps when it is empty: all of them are in it when all end at once.
const TO_READ_KEPT_MAX: usize = 1024;

/// Bytes read from one connection before others have their turn.
const READ_TURN_BYTES: usize = 64 * 1024;

/// All connections of one worker, by their key in the slab, which is also their key in the fan-out and in the wheel.
#[derive(Debug)]
pub(super) struct Connections<S> {
    slab: Slab<Connection<S>>,
    /// Those of them that are being told that there is no room for them.
    without_room: u32,
    pub(super) fanout: Fanout,
    pub(super) topics: Topics,
    joins: Joins,
    wheel: Wheel,
    limits: SessionLimits,
    counters: Arc<Counters>,
    /// Whose connections these are.
    worker: usize,
    /// Those that were conflated lately.
    conflated: HashMap<u32, lag::Conflated>,
    catching_up: CatchingUp,
    to_read: VecDeque<u32>,
    /// A round over all connections that is under way.
    sweep: Option<sweep::Sweep>,
    /// The number of the last round.
    sweeps: u8,
    /// Requests for the HTTP server, with their sockets.
    handed_off: Vec<(S, Vec<u8>)>,
    events: Vec<FanoutEvent>,
    /// What has arrived in part.
    buffers: Buffers,
    read_buffer: Box<[u8]>,
    /// The time of this turn, in ticks.
    now: u32,
    /// The number of the history that the feed is in, once it has begun one.
    epoch: Option<u64>,
}

/// The fan-out's way to the sockets.
struct Sockets<'a, S>(&'a mut Slab<Connection<S>>);

impl<S: Socket> Wire for Sockets<'_, S> {
    fn write(&mut self, member: MemberId, slices: &[IoSlice<'_>]) -> WriteOutcome {
        let Some(connection) = self.0.get_mut(member) else {
            return WriteOutcome::Failed;
        };
        match connection.socket.send(slices) {
            Ok(written) => WriteOutcome::Wrote(written),
            Err(_) => WriteOutcome::Failed,
        }
    }
}

impl<S: Socket> Connections<S> {
    pub(super) fn new(
        capacity: u32,
        fanout: Fanout,
        topics: Topics,
        limits: SessionLimits,
        counters: Arc<Counters>,
        worker: usize,
    ) -> Connections<S> {
        Connections {
            slab: Slab::new(capacity),
            without_room: 0,
            fanout,
            topics,
            joins: Joins::default(),
            wheel: Wheel::new(0),
            limits,
            counters,
            worker,
            conflated: HashMap::new(),
            catching_up: CatchingUp::default(),
            to_read: VecDeque::new(),
            sweep: None,
            sweeps: 0,
            handed_off: Vec::new(),
            events: Vec::new(),
            buffers: Buffers::default(),
            read_buffer: vec![0; READ_TURN_BYTES].into_boxed_slice(),
            now: 0,
            epoch: None,
        }
    }

    /// The feed began a history.
    pub(super) fn begin_epoch(&mut self, id: u64) {
        self.epoch = Some(id);
        // A topic may outlive its history: of one who connects before the last who had it is closed.
        self.fanout.begin_history();
    }

    /// The time of what follows, in ticks.
    pub(super) fn set_now(&mut self, now: u32) {
        self.now = now;
    }

    pub(super) fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Those of them that are being told that there is no room for them.
    pub(super) fn without_room(&self) -> u32 {
        self.without_room
    }

    /// What this worker counts.
    pub(super) fn counts(&self) -> &WorkerCounters {
        self.counters.worker(self.worker)
    }

    /// Tells everybody what was counted in this turn.
    pub(super) fn publish_counts(&self) {
        let (counts, sent) = (self.counts(), self.fanout.sent());
        counts
            .connections
            .set((self.slab.len() - self.without_room).into());
        counts.blocked.set(self.fanout.lagging().into());
        counts.deliveries.set(sent.frames);
        counts.bytes.set(sent.bytes);
    }

    /// Takes a connection that was accepted; gives the socket back when the table is full. With `turned_away` it is told why
    /// instead of served.
    pub(super) fn insert(&mut self, socket: S, turned_away: Option<TurnedAway>) -> Result<u32, S> {
        let session = match turned_away {
            None => Session::new(self.now, &self.limits),
            Some(why) => Session::turned_away(self.now, why, &self.limits),
        };
        let connection = Connection::new(socket, session);
        let id = self.slab.insert(connection).map_err(|refused| refused.socket)?;
        self.without_room += u32::from(turned_away == Some(TurnedAway::NoRoom));
        self.fanout.add(id);
        self.arm(id);
        Ok(id)
    }

    /// The socket of a connection, for registering it.
    pub(super) fn socket_mut(&mut self, id: u32) -> Option<&mut S> {
        self.slab.get_mut(id).map(|connection| &mut connection.socket)
    }

    /// The socket has something to read; with `is_ending`, its end of stream as well.
    pub(super) fn on_readable(&mut self, id: u32, is_ending: bool) {
        if let Some(connection) = self.slab.get_mut(id) {
            connection.is_ending |= is_ending;
            if !std::mem::replace(&mut connection.is_queued, true) {
                self.to_read.push_back(id);
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn on_writable(&mut self, id: u32) {
        self.fanout.on_writable(id);
        if !self.conflated.is_empty() {
            self.rejoin(id);
        }
    }

    /// How many connections have bytes, or their end, to be read at once.
    pub(super) fn reads_waiting(&self) -> usize {
        self.to_read.len()
    }

    /// Lets up to `turns` connections read, each a bounded piece.
    pub(super) fn read_some(&mut self, turns: usize) {
        for _ in 0..turns.min(self.to_read.len()) {
            let Some(id) = self.to_read.pop_front() else { break };
            if let Some(connection) = self.slab.get_mut(id) {
                connection.is_queued = false;
                self.read_turn(id);
            }
        }
        if self.to_read.is_empty() && self.to_read.capacity() > TO_READ_KEPT_MAX {
            self.to_read.shrink_to(TO_READ_KEPT_MAX);
        }
    }

    /// The requests that are the HTTP server's, which are no connections of this worker any more.
    pub(super) fn take_handed_off(&mut self) -> Vec<(S, Vec<u8>)> {
        std::mem::take(&mut self.handed_off)
    }

    fn read_turn(&mut self, id: u32) {
        let connection = &mut self.slab[id];
        if self.fanout.prefix_cost(id) > REPLIES_WAITING_MAX {
            connection.is_paused = true;
            self.fanout.watch_drained(id);
            return;
        }
        let read = match connection.socket.read(&mut self.read_buffer) {
            Ok(0) => return self.on_end_of_stream(id),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => return self.on_readable(id, false),
            Err(_) => return self.drop_connection(id),
        };
        // Edge-triggered: a full buffer means that there may be more, which nothing would announce. A short read
        // emptied the socket, but for an end of stream that was announced already.
        let has_more = read == self.read_buffer.len() || connection.is_ending;
        let buffer = std::mem::take(&mut self.read_buffer);
        self.on_bytes(id, &buffer[..read], has_more);
        self.read_buffer = buffer;
    }

    /// Bytes of a connection, behind which there may be more.
    pub(super) fn on_bytes(&mut self, id: u32, bytes: &[u8], has_more: bool) {
        let was_open = self.slab[id].session.is_open();
        let next = self.with_session(id, |session, turn| session.on_bytes(bytes, turn));
        let connection = &mut self.slab[id];
        if !was_open && connection.session.is_open() {
            connection.opened_in = self.sweeps;
        }
        if next == Next::HandOff {
            let head = connection.session.take_head(bytes, &mut self.buffers);
            if let Some(connection) = self.forget(id) {
                self.handed_off.push((connection.socket, head));
            }
            return;
        }
        self.carry_out(id, next);
        if self.is_to_rejoin(id) {
            // It may have given up all that it was to rejoin.
            self.on_rejoined(id);
        }
        if has_more {
            self.on_readable(id, false);
        }
    }

    /// Visits up to `visits` members with something to send, and does what follows from it.
    pub(super) fn flush(&mut self, visits: usize) {
        self.fanout.flush(&mut Sockets(&mut self.slab), visits);
        self.settle();
        self.catching_up.note(self.now, self.fanout.has_work());
    }

    /// Whether it has so much to do that it should be told less for now.
    pub(super) fn is_catching_up(&self) -> bool {
        self.catching_up.is_on()
    }

    /// Whether it has so little to do still that it takes more.
    pub(super) fn is_keeping_up(&self) -> bool {
        self.catching_up.takes_messages(self.now)
    }

    /// Does what the fan-out's events ask for.
    fn settle(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.fanout.take_events(&mut events);
        for event in events.drain(..) {
            self.on_event(event);
        }
        self.events = events;
    }

    fn on_event(&mut self, event: FanoutEvent) {
        match event {
            FanoutEvent::Blocked(id) => {
                if let Some(connection) = self.slab.get_mut(id) {
                    connection.session.on_blocked(self.now, &self.limits);
                    self.arm(id);
                }
            }
            FanoutEvent::CaughtUp(id) => {
                // One whose streams have not gone on yet has only been given what was begun.
                if self.is_to_rejoin(id) {
                    self.wait_for_market(id);
                } else if let Some(connection) = self.slab.get_mut(id) {
                    connection.session.on_caught_up();
                    self.arm(id);
                }
            }
            FanoutEvent::Progressed(id) => {
                if let Some(connection) = self.slab.get_mut(id) {
                    connection.session.on_progress(self.now, &self.limits);
                    self.arm(id);
                }
            }
            FanoutEvent::Drained(id) => self.on_drained(id),
            FanoutEvent::Failed(id) => self.drop_connection(id),
            FanoutEvent::Overrun(id, bytes) => self.on_overrun(id, bytes),
            FanoutEvent::TopicIdle(topic) => {
                if self.fanout.drop_unused_topic(topic) {
                    self.topics.on_idle(topic);
                }
            }
        }
    }

    /// Handles up to `count` deadlines that have come. True when there may be more.
    pub(super) fn run_timers(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let Some(id) = self.wheel.pop_expired(self.now) else {
                return false;
            };
            if self.slab.get(id).is_some() {
                let next = self.with_session(id, |session, turn| session.on_timer(turn));
                self.carry_out(id, next);
            }
        }
        true
    }

    /// A connection's join takes effect here, or cannot.
    pub(super) fn on_joined(&mut self, id: u32, number: u32, bodies: Result<Vec<Body>, JoinError>) {
        if self.joins.get(id).is_none_or(|join| join.number != number) {
            // It has gone, or has come to want something else.
            return;
        }
        let next = self.with_session(id, |session, turn| match bodies {
            Ok(bodies) => match turn.host.on_joined(number, bodies) {
                Ok(()) => Next::Continue,
                Err(error) => session.on_bound(&error, turn),
            },
            Err(JoinError::Forgotten(reason)) => {
                session.give_up(CloseCode::POLICY_VIOLATION, reason, EndCause::TooFarBehind, turn)
            }
            Err(JoinError::Bound(reason)) => session.say_goodbye(
                &Goodbye {
                    code: CloseCode::TRY_AGAIN_LATER,
                    reason,
                    cause: EndCause::Overload,
                    at_once: false,
                    shutdown_us: None,
                },
                turn,
            ),
        });
        self.carry_out(id, next);
        self.on_rejoined(id);
    }

    fn with_session<R>(
        &mut self,
        id: u32,
        act: impl FnOnce(&mut Session, &mut Turn<'_, Owner<'_>>) -> R,
    ) -> R {
        let connection = &mut self.slab[id];
        let mut owner = Owner {
            id,
            fanout: &mut self.fanout,
            topics: &mut self.topics,
            joins: &mut self.joins,
            has_streams: &mut connection.has_streams,
            counters: &self.counters,
            buffers: &mut self.buffers,
            epoch: self.epoch,
        };
        act(
            &mut connection.session,
            &mut Turn {
                now: self.now,
                limits: &self.limits,
                host: &mut owner,
            },
        )
    }

    fn carry_out(&mut self, id: u32, next: Next) {
        match next {
            Next::Continue | Next::HandOff => {}
            Next::Conflate => drop(self.conflate(id, |counts| &counts.conflated_for_age)),
            Next::Finish => {
                let connection = &mut self.slab[id];
                if !std::mem::replace(&mut connection.is_finishing, true) {
                    let cause = connection.session.end_cause();
                    self.count_end(id, cause);
                    self.fanout.watch_drained(id);
                }
            }
            Next::Drop => return self.drop_connection(id),
        }
        self.arm(id);
    }

    fn arm(&mut self, id: u32) {
        let deadline = self.slab[id].session.deadline(&self.limits);
        if self.wheel.deadline(id) != Some(deadline) {
            self.wheel.arm(id, deadline);
        }
    }
}

#[cfg(test)]
impl<S: Socket> Connections<S> {
    /// The session of a connection, to be held against a model.
    pub(super) fn session(&self, id: u32) -> Option<&Session> {
        self.slab.get(id).map(|connection| &connection.session)
    }

    /// Whether a connection waits for its streams to begin.
    pub(super) fn is_waiting(&self, id: u32) -> bool {
        self.joins.get(id).is_some()
    }

    /// Whether a connection has asked the market thread to join, and was not answered.
    pub(super) fn has_asked(&self, id: u32) -> bool {
        self.joins.get(id).is_some_and(|join| join.number != 0)
    }

    /// Bytes of what has arrived in part.
    pub(super) fn bytes_lent(&self) -> usize {
        self.buffers.bytes_lent()
    }

    /// Lends no more than this for what arrives in part.
    pub(super) fn bound_buffers(&mut self, bytes_max: usize) {
        self.buffers = Buffers::new(bytes_max);
    }

    /// How many connections have a deadline.
    pub(super) fn deadlines(&self) -> usize {
        self.wheel.armed()
    }
}
