//! Joins of one worker: changes of subscription that take effect where the market thread says, between two batches.
//!
//! Most changes take effect at once. Two kinds must not: a depth stream that is to start with a snapshot, whose next
//! event continues it exactly; and another encoding of streams that are being received, which must not lose what
//! happens while the market thread begins to write it.

use std::collections::HashMap;

use bytes::Bytes;
use depthcast_wire::stream::StreamName;

use super::messages::TopicToken;
use crate::session::encoding::Encoding;

/// Replies held back for a change of encoding, which takes milliseconds. What comes past them overtakes.
const REPLIES_MAX: usize = 1024;

/// A change of subscription that waits for the market thread.
#[derive(Debug)]
pub(super) struct Join {
    /// Which of the connection's joins the market thread was asked for: the last one counts.
    pub(super) number: u32,
    /// The streams it wants in the end.
    pub(super) names: Vec<StreamName>,
    /// The streams it has once this takes effect: all that it wants, or those that it had, in the new encoding.
    pub(super) joined: Vec<StreamName>,
    /// What is wanted beyond those begins with snapshots, too.
    pub(super) with_snapshots: bool,
    /// How they are written.
    pub(super) encoding: Encoding,
    /// The topics of `joined` as the market thread knew them when it was asked.
    pub(super) tokens: Vec<TopicToken>,
    /// The depth streams among `joined` that begin with a snapshot.
    pub(super) snapshots: Vec<StreamName>,
    /// The answer to the request for another encoding, and what was said after it: it goes out with the change.
    pub(super) replies: Vec<Bytes>,
}

/// The joins that wait, at most one for each connection: so they are bounded as connections are, and each by its streams.
#[derive(Debug, Default)]
pub(super) struct Joins {
    waiting: HashMap<u32, Join>,
    number: u32,
}

impl Joins {
    /// A number that no join of this worker had, but for those of four billion ago.
    pub(super) fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// The connection waits for this now.
    pub(super) fn insert(&mut self, connection: u32, join: Join) {
        self.waiting.insert(connection, join);
    }

    /// Replies of the connection that are held back, where there are some and there is room for more.
    pub(super) fn replies_mut(&mut self, connection: u32) -> Option<&mut Vec<Bytes>> {
        let replies = &mut self.waiting.get_mut(&connection)?.replies;
        (1..REPLIES_MAX).contains(&replies.len()).then_some(replies)
    }

    /// What the connection waits for.
    pub(super) fn get(&self, connection: u32) -> Option<&Join> {
        self.waiting.get(&connection)
    }

    /// The connection waits no more.
    pub(super) fn take(&mut self, connection: u32) -> Option<Join> {
        self.waiting.remove(&connection)
    }

    /// The connection's join, if it is still the one of that number.
    pub(super) fn take_numbered(&mut self, connection: u32, number: u32) -> Option<Join> {
        let is_it = self.get(connection).is_some_and(|join| join.number == number);
        is_it.then(|| self.take(connection)).flatten()
    }
}
