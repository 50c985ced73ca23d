//! The subscriber against a scripted server on loopback, in both formats.

mod conflation;
mod faults;
mod reconnect;
mod resume;
mod server;
mod sync;
mod tap;

use std::time::{Duration, Instant};

use depthcast_client::{BookOrigin, ClientError, Event, Subscriber};

/// No test waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(2);

/// The next event that `wanted` takes; others are passed over.
fn until<T>(
    subscriber: &mut Subscriber,
    mut wanted: impl FnMut(&Subscriber, Event) -> Option<T>,
) -> Result<T, ClientError> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(event) = subscriber.next(Duration::from_millis(50))?
            && let Some(found) = wanted(subscriber, event)
        {
            return Ok(found);
        }
    }
    panic!("nothing of the kind within {PATIENCE:?}")
}

/// The id the book comes into step at, and the snapshots over REST that it took.
fn until_synced(subscriber: &mut Subscriber) -> Result<(u64, u32), ClientError> {
    until(subscriber, |_, event| match event {
        Event::Synced {
            last_id,
            origin: BookOrigin::Fetched { snapshots },
        } => Some((last_id, snapshots)),
        Event::Synced { origin, .. } => panic!("{origin:?} without a snapshot over REST"),
        _ => None,
    })
}

/// The error that comes next, whatever events come before.
fn until_error(subscriber: &mut Subscriber) -> ClientError {
    match until(subscriber, |_, _| None::<()>) {
        Err(error) => error,
        Ok(()) => unreachable!("no event is wanted"),
    }
}
