//! When to ask the server for what a book needs beside its stream, and when to give up; takes the time as an argument.
//!
//! First the instrument, at once: no message can be read without its precision. Then a snapshot: when the first update has
//! come, because only then is it sure that the stream has begun, or after a while without one; and again, with backoff,
//! while it is too old or the server is not ready.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::error::{ClientError, Staleness};
use crate::options::Timing;
use crate::rest::RestError;

/// The bound of the first delay between two tries: half of the usual cadence.
const RETRY_DELAY_BASE: Duration = Duration::from_millis(50);

/// The bound of later delays: a snapshot of the whole book is the most expensive request there is.
const RETRY_DELAY_CAP: Duration = Duration::from_secs(1);

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The symbol's precision.
    Instrument,
    /// The book.
    Snapshot,
}

/// Why the last try did not help.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server has no live book.
    NotReady,
    /// The snapshot was too old.
    TooOld {
        /// Its id.
        snapshot_id: u64,
    },
    /// Too many requests.
    TooMany(RestError),
}

/// A series of tries.
#[derive(Debug)]
pub(crate) struct Fetch {
    need: Need,
    since: Instant,
    due: Instant,
    /// Not asked yet: the first update is waited for.
    awaits_update: bool,
    backoff: Backoff,
    /// Snapshots that were given.
    snapshots: u32,
}

impl Fetch {
    /// Everything, for a new connection.
    pub(crate) fn for_connection(now: Instant) -> Fetch {
        Fetch {
            need: Need::Instrument,
            since: now,
            due: now,
            awaits_update: false,
            backoff: Backoff::new(RETRY_DELAY_BASE, RETRY_DELAY_CAP),
            snapshots: 0,
        }
    }

    /// A snapshot at once, for a book that is out of step.
    pub(crate) fn for_resync(now: Instant) -> Fetch {
        Fetch {
            need: Need::Snapshot,
            ..Fetch::for_connection(now)
        }
    }

    pub(crate) fn need(&self) -> Need {
        self.need
    }

    /// When to ask next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn snapshots(&self) -> u32 {
        self.snapshots
    }

    /// The instrument is known: a snapshot is next.
    pub(crate) fn on_instrument(&mut self, now: Instant, timing: &Timing) {
        self.need = Need::Snapshot;
        self.due = now + timing.first_update_max;
        self.awaits_update = true;
        self.backoff.reset();
    }

    /// An update came that needs a snapshot.
    pub(crate) fn on_update(&mut self, now: Instant) {
        if std::mem::replace(&mut self.awaits_update, false) {
            self.due = now;
        }
    }

    /// A snapshot was given.
    pub(crate) fn on_snapshot(&mut self) {
        self.snapshots += 1;
        self.awaits_update = false;
    }

    /// A try did not help: when to try again, or the error when it has taken too long. The caller may go on after the
    /// error too: the patience begins anew.
    pub(crate) fn on_refusal(
        &mut self,
        now: Instant,
        refusal: Refusal,
        timing: &Timing,
    ) -> Result<(), ClientError> {
        self.awaits_update = false;
        self.due = now + self.backoff.next_delay();
        let waited = now.saturating_duration_since(self.since);
        if self.due.saturating_duration_since(self.since) < timing.snapshot_max {
            return Ok(());
        }
        self.since = now;
        Err(match refusal {
            Refusal::NotReady => ClientError::Stale(Staleness::NotReady { waited }),
            Refusal::TooOld { snapshot_id } => {
                ClientError::Stale(Staleness::SnapshotTooOld { waited, snapshot_id })
            }
            Refusal::TooMany(error) => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_at_the_first_update() {
        let timing = Timing::default();
        let start = Instant::now();
        let mut fetch = Fetch::for_connection(start);
        assert_eq!((fetch.need(), fetch.due()), (Need::Instrument, start));
        let known = start + Duration::from_millis(10);
        fetch.on_instrument(known, &timing);
        assert_eq!(
            (fetch.need(), fetch.due()),
            (Need::Snapshot, known + timing.first_update_max)
        );
        let update = known + Duration::from_millis(30);
        fetch.on_update(update);
        fetch.on_update(update + Duration::from_millis(30));
        assert_eq!(fetch.due(), update, "further updates do not put it off");
    }

    #[test]
    fn patience_ends_and_begins_anew() {
        let timing = Timing::default();
        let start = Instant::now();
        let mut fetch = Fetch::for_resync(start);
        assert_eq!((fetch.need(), fetch.due()), (Need::Snapshot, start));
        let mut now = start;
        let mut tries = 0;
        let error = loop {
            tries += 1;
            if let Err(error) = fetch.on_refusal(now, Refusal::NotReady, &timing) {
                break error;
            }
            assert!(fetch.due() - now <= RETRY_DELAY_CAP);
            now = fetch.due();
            assert!(now - start < timing.snapshot_max);
            assert!(tries < 1000);
        };
        assert!(tries > 4, "{tries}");
        assert!(error.to_string().contains("no live book (HTTP 503)"), "{error}");
        assert!(
            fetch
                .on_refusal(now, Refusal::TooOld { snapshot_id: 1 }, &timing)
                .is_ok()
        );
    }
}
