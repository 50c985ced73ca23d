//! Joins of one worker: changes of subscription that take effect where the market thread says, between two batches.
//!
//! Most changes take effect at once. Two kinds must not: a depth stream that is to start with a snapshot or with what has
//! changed since an id, which its next event continues exactly; and another encoding of streams that are being received, which must not lose what
//! happens while the market thread begins to write it.

use std::collections::HashMap;

use bytes::Bytes;
use depthcast_wire::stream::StreamName;

use super::messages::{Begin, TopicToken};
use crate::session::encoding::Encoding;

/// Replies held back for a change of encoding, which takes milliseconds. What comes past them overtakes.
const REPLIES_MAX: usize = 1024;

/// Places that are kept when nobody waits: in a storm of joins all connections do.
const KEPT_MAX: usize = 256;

/// A change of subscription that waits for the market thread.
#[derive(Debug)]
pub(super) struct Join {
    /// Which of the connection's joins the market thread was asked for: the last one counts. Zero while it was not asked, since
    /// the connection's socket takes nothing now.
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
    /// Those among `joined` that do not just begin with their next event.
    pub(super) begins: Vec<Begin>,
    /// The same of those that are wanted beyond `joined`.
    pub(super) later: Vec<Begin>,
    /// The answer to the request for another encoding, and what was said after it: it goes out with the change.
    pub(super) replies: Vec<Bytes>,
}

/// What is left of a join that was forgotten before it took effect.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    /// What it held back.
    pub(super) replies: Vec<Bytes>,
    /// Where its streams were to begin: those that are still wanted still do.
    pub(super) begins: Vec<Begin>,
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
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }

    /// The connection waits for this now.
    pub(super) fn insert(&mut self, connection: u32, join: Join) {
        self.waiting.insert(connection, join);
    }

    /// The connection is to ask for this once its socket takes bytes again.
    pub(super) fn park(&mut self, connection: u32, join: Join) {
        debug_assert_eq!(join.number, 0);
        self.waiting.insert(connection, join);
    }

    /// What the connection is to ask for now, if it was parked.
    pub(super) fn unpark(&mut self, connection: u32) -> Option<Join> {
        let is_parked = self.waiting.get(&connection)?.number == 0;
        is_parked.then(|| self.take(connection)).flatten()
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
        let join = self.waiting.remove(&connection);
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_MAX {
            self.waiting.shrink_to(KEPT_MAX);
        }
        join
    }

    /// The connection's join, if it is still the one of that number.
    pub(super) fn take_numbered(&mut self, connection: u32, number: u32) -> Option<Join> {
        let is_it = self.get(connection).is_some_and(|join| join.number == number);
        is_it.then(|| self.take(connection)).flatten()
    }
}
