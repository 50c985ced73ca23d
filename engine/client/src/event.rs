//! What a subscriber is told, and what it counts.

use std::time::Duration;

use depthcast_market::event::{BestBidAsk, Trade};

use crate::error::ClientError;

/// What happened next.
#[derive(Debug)]
pub enum Event {
    /// The book is in step with the stream.
    Synced {
        /// The id it stands at.
        last_id: u64,
        /// Where it comes from.
        origin: BookOrigin,
    },
    /// An update was applied to the book.
    Update(Update),
    /// The best bid or ask changed. Comes also while the book is not in step.
    BestBidAsk(BestBidAsk),
    /// A trade was made. Comes also while the book is not in step.
    Trade(Trade),
    /// The server has left out frames that this subscriber did not read in time, and told what they said in fewer: depth in
    /// one merged update, best bid and ask as they are now. The book lost nothing; what came in between was never seen.
    ///
    /// It is known by the server's own heartbeats, which it numbers: some are missing among those of one connection. So it
    /// is never said of a market that was merely quiet, it comes up to a second after the merged update, and a conflation
    /// that no heartbeat fell into goes unnoticed. Only servers that number their history have heartbeats, and they close
    /// those who subscribe to trades instead ([`ClientError::Evicted`]).
    Conflated {
        /// How many heartbeats are missing: it took about as many seconds.
        heartbeats: u64,
    },
    /// The server says that it will shut down.
    ServerShutdown,
    /// The connection is lost; after `delay` a new one is tried. Until then the book stands. It goes on from there where
    /// the server tells what was missed, and is begun anew otherwise: [`Event::Synced`] says which.
    Reconnecting {
        /// Why it was lost, or why the last try failed.
        reason: ClientError,
        /// How long until the next try.
        delay: Duration,
    },
}

/// Where a book comes from that has come into step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookOrigin {
    /// It was begun from a snapshot over REST.
    Fetched {
        /// Snapshots that it took, those that were too old included.
        snapshots: u32,
    },
    /// It was begun from a snapshot that the server sent, because it could not tell what was missed since the last
    /// connection: too much, or of another history.
    Streamed,
    /// It is the book of the last connection, and nothing is missing in it: this connection's first update continued it.
    Resumed {
        /// The id that it stood at when the connection was lost.
        after_id: u64,
    },
}

/// An update that was applied. Its levels are [`crate::Subscriber::last_update`], the result is
/// [`crate::Subscriber::book`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// First update id (U).
    pub first_id: u64,
    /// Last update id (u); the book stands at it.
    pub last_id: u64,
    /// The feed's event time (E), microseconds since the Unix epoch in the feed's clock.
    pub event_time_us: i64,
    /// When it was received, microseconds since the Unix epoch in this host's clock; `None` where it had to wait
    /// for the snapshot.
    pub received_us: Option<i64>,
}

/// Counts since the subscriber was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Depth updates received, whether applied or not.
    pub depth_updates: u64,
    /// Of these, updates that the book already held.
    pub old_updates: u64,
    /// Best bid/ask events received.
    pub best_bid_asks: u64,
    /// Trades received.
    pub trades: u64,
    /// Gaps: updates that did not continue the book.
    pub gaps: u64,
    /// Books built anew after the first, for whatever reason.
    pub resyncs: u64,
    /// Books that went on over a lost connection ([`BookOrigin::Resumed`]).
    pub resumed: u64,
    /// Connections lost and to be made anew.
    pub reconnects: u64,
    /// Times that the server left out frames that were not read in time ([`Event::Conflated`]).
    pub conflated: u64,
    /// Connections that the server closed because this subscriber was too slow ([`ClientError::Evicted`]).
    pub evicted: u64,
}
