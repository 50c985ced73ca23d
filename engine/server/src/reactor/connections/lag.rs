//! Connections that cannot keep up: conflated, or closed where that does not help.

use super::{Connections, EndCause};
use crate::reactor::counters::{Counters, WorkerCounters};
use crate::reactor::shared::OwnCount;
use crate::reactor::socket::Socket;
use crate::session::{Next, TICK_MS};

/// Conflations of one connection within [`CONFLATIONS_WINDOW_TICKS`] before it is closed: it is too slow for its streams.
pub(in crate::reactor) const CONFLATIONS_MAX: u32 = 30;

/// See [`CONFLATIONS_MAX`].
const CONFLATIONS_WINDOW_TICKS: u32 = 60_000 / TICK_MS;

/// A connection that was conflated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conflated {
    /// How often since the window began.
    count: u32,
    /// When the window began.
    since: u32,
    /// Its streams have not gone on since the last time.
    is_to_rejoin: bool,
}

impl<S: Socket> Connections<S> {
    /// A member is further behind than its group keeps for it.
    pub(super) fn on_overrun(&mut self, id: u32, bytes: usize) {
        let conflates = self
            .slab
            .get(id)
            .is_some_and(|connection| connection.session.conflates());
        if !(conflates && self.conflate(id, |counts| &counts.conflated_for_bytes)) {
            let reason = format!("slow consumer: {bytes} bytes behind");
            self.give_up(id, 1008, &reason, EndCause::TooFarBehind);
        }
    }

    /// Forgets what a connection is owed; what it missed is told to it once it reads again. False where its streams do not
    /// allow that. It is counted where `cause` says.
    pub(super) fn conflate(&mut self, id: u32, cause: fn(&WorkerCounters) -> &OwnCount) -> bool {
        let connection = self
            .slab
            .get(id)
            .filter(|connection| connection.session.is_open());
        // A lossless fan-out waits for those who are behind.
        let Some(connection) = connection.filter(|_| !self.fanout.is_lossless()) else {
            return false;
        };
        let (encoding, with_snapshots) = connection.session.manner();
        let now = self.now;
        let fresh = Conflated {
            count: 0,
            since: now,
            is_to_rejoin: false,
        };
        let mut state = self.conflated.get(&id).copied().unwrap_or(fresh);
        if !self.fanout.has_topics(id) {
            // It owes nothing but what is its own: it has no streams, or is to rejoin them and has not subscribed to more.
            return true;
        }
        if now - state.since >= CONFLATIONS_WINDOW_TICKS {
            state = fresh;
        }
        state.count += 1;
        if state.count > CONFLATIONS_MAX {
            let window_s = CONFLATIONS_WINDOW_TICKS * TICK_MS / 1000;
            let reason =
                format!("slow consumer: conflated more than {CONFLATIONS_MAX} times in {window_s} s");
            self.give_up(id, 1008, &reason, EndCause::ConflatedTooOften);
            return true;
        }
        let is_blocked = self.fanout.is_blocked(id);
        let done = self.with_session(id, |session, turn| {
            session.on_conflated(turn.now);
            turn.host
                .conflate(encoding, with_snapshots)
                .map_err(|error| session.on_bound(&error, turn))
        });
        match done {
            Ok(true) => self.arm(id),
            Ok(false) => return false,
            Err(next) => {
                self.carry_out(id, next);
                return true;
            }
        }
        state.is_to_rejoin = true;
        self.conflated.insert(id, state);
        cause(self.counts()).add_one();
        Counters::sampled(&self.counters.conflations_told, || {
            tracing::info!(connection = id, "a slow consumer is conflated");
        });
        if !is_blocked {
            // Its socket has said already that it takes bytes again, and may not say so a second time.
            self.rejoin(id);
        }
        true
    }

    /// Whether it was conflated and its streams have not gone on since.
    pub(super) fn is_to_rejoin(&self, id: u32) -> bool {
        self.conflated.get(&id).is_some_and(|state| state.is_to_rejoin)
    }

    /// Its socket takes bytes again: asks for its streams, if it was conflated.
    pub(super) fn rejoin(&mut self, id: u32) {
        if self.is_to_rejoin(id) && self.slab.get(id).is_some() {
            let next = self.with_session(id, |session, turn| match turn.host.rejoin() {
                Ok(()) => Next::Continue,
                Err(error) => session.on_bound(&error, turn),
            });
            self.carry_out(id, next);
            if self.is_to_rejoin(id) {
                self.fanout.watch_drained(id);
            }
        }
    }

    /// It owes nothing now: if it has asked for its streams, it is the market thread that is awaited.
    pub(super) fn wait_for_market(&mut self, id: u32) {
        let has_asked = self.joins.get(id).is_some_and(|join| join.number != 0);
        if has_asked
            && self.is_to_rejoin(id)
            && let Some(connection) = self.slab.get_mut(id)
        {
            connection.session.on_market_awaited(self.now);
            self.arm(id);
        }
    }

    /// What it waited for has taken effect: if it was conflated, it has caught up once it has taken all that it is owed now.
    pub(super) fn on_rejoined(&mut self, id: u32) {
        let is_waiting = self.joins.get(id).is_some();
        let now = self.now;
        if let Some(state) = self
            .conflated
            .get_mut(&id)
            .filter(|state| state.is_to_rejoin && !is_waiting)
            && let Some(connection) = self.slab.get_mut(id)
        {
            state.is_to_rejoin = false;
            connection.session.on_rejoined(now, &self.limits);
            self.fanout.watch_drained(id);
            self.arm(id);
        }
    }
}
