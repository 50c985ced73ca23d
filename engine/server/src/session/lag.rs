//! How long a connection has owed bytes that its socket did not take, and what follows: it is conflated, then given up.

use depthcast_wire::target::LagPolicy;

use super::{Phase, Session, SessionLimits};

/// How a connection lags. Times are ticks.
#[derive(Debug)]
pub(super) struct Lag {
    /// Since when.
    since: u32,
    /// When it is to be conflated, if it is.
    conflate_at: Option<u32>,
    /// Since when it waits for us: it has room, and its streams do not go on yet.
    waits_since: Option<u32>,
}

impl Lag {
    /// When something is to be done about it.
    pub(super) fn deadline(&self, limits: &SessionLimits) -> u32 {
        if self.waits_since.is_some() {
            return u32::MAX;
        }
        let given_up = self.since + limits.lag_ticks;
        self.conflate_at.map_or(given_up, |at| at.min(given_up))
    }

    /// How long it has lasted, where that is longer than may be.
    pub(super) fn too_long(&self, now: u32, limits: &SessionLimits) -> Option<u32> {
        let lag = now - self.since;
        (self.waits_since.is_none() && lag >= limits.lag_ticks).then_some(lag)
    }

    /// It waits for us no more. A book that was stale, or a worker that was behind, is no fault of the peer's.
    fn stop_waiting(&mut self, now: u32) {
        self.since += self.waits_since.take().map_or(0, |since| now - since);
    }

    /// Whether it is time to conflate: true once.
    pub(super) fn take_conflation(&mut self, now: u32) -> bool {
        self.conflate_at.take_if(|at| now >= *at).is_some()
    }
}

impl Session {
    /// The socket took less than was owed.
    pub fn on_blocked(&mut self, now: u32, limits: &SessionLimits) {
        if let Some(lag) = &mut self.lag {
            lag.stop_waiting(now);
        } else {
            let conflate_at = self.conflates().then(|| now + limits.conflate_ticks);
            self.lag = Some(Box::new(Lag {
                since: now,
                conflate_at,
                waits_since: None,
            }));
        }
    }

    /// It is conflated, and so waits for room first of all.
    pub fn on_conflated(&mut self, now: u32) {
        if let Some(lag) = &mut self.lag {
            lag.stop_waiting(now);
        }
    }

    /// It was conflated, has taken all that there is for it, and has asked for its streams: until [`Session::on_rejoined`], or
    /// until it is blocked again, it is not the peer that lags.
    pub fn on_market_awaited(&mut self, now: u32) {
        if let Some(lag) = &mut self.lag {
            lag.waits_since.get_or_insert(now);
        }
    }

    /// It was conflated, and its streams go on: what it owes from here on is young again, though it lags as it did.
    pub fn on_rejoined(&mut self, now: u32, limits: &SessionLimits) {
        if let Some(lag) = &mut self.lag {
            lag.stop_waiting(now);
            lag.conflate_at = Some(now + limits.conflate_ticks);
        }
    }

    /// Whether it is to be conflated rather than closed.
    pub fn conflates(&self) -> bool {
        self.lag_policy == LagPolicy::Conflate
    }

    /// The socket took some of what is owed, and the market waits for this peer: it has its whole time again.
    pub fn on_progress(&mut self, now: u32, limits: &SessionLimits) {
        match self.phase {
            Phase::Open => {
                if let Some(lag) = &mut self.lag {
                    lag.since = now;
                }
            }
            Phase::Closing { owes_all: true } => self.due = now + limits.lag_ticks,
            Phase::Closing { .. } | Phase::Handshake | Phase::TurnedAway { .. } => {}
        }
    }

    /// Everything owed was written.
    pub fn on_caught_up(&mut self) {
        self.lag = None;
    }
}
