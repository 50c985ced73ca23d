//! What a session may do with its connection: queue bytes, set its streams, give it up.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use depthcast_wire::stream::StreamName;

use super::counters::Counters;
use super::topics::Topics;
use crate::fanout::{Fanout, FanoutError};
use crate::session::Host;
use crate::session::encoding::Encoding;

/// What a session may do: the owner's side of one connection.
pub(super) struct Owner<'a> {
    pub(super) id: u32,
    pub(super) fanout: &'a mut Fanout,
    pub(super) topics: &'a mut Topics,
    /// Whether the connection is counted as a subscriber.
    pub(super) has_streams: &'a mut bool,
    pub(super) counters: &'a Counters,
}

impl Host for Owner<'_> {
    fn answer(&mut self, head: Bytes) {
        self.fanout.queue_first(self.id, head);
    }

    fn send(&mut self, frame: Bytes) -> Result<(), FanoutError> {
        self.fanout.queue(self.id, frame)
    }

    fn set_streams(&mut self, names: &[StreamName], encoding: Encoding) -> Result<(), FanoutError> {
        let resolved = self.topics.resolve(names, encoding, self.fanout);
        let set = resolved.and_then(|ids| self.fanout.set_topics(self.id, &ids));
        if set.is_err() {
            self.topics.give_back(names, encoding, self.fanout);
        }
        count_subscriber(
            self.has_streams,
            !self.fanout.topics_of(self.id).is_empty(),
            self.counters,
        );
        set
    }

    fn streams(&self) -> Vec<StreamName> {
        self.fanout
            .topics_of(self.id)
            .iter()
            .filter_map(|&id| self.topics.name(id))
            .collect()
    }

    fn abandon(&mut self, last: Bytes) {
        self.fanout.abandon(self.id, last);
        count_subscriber(self.has_streams, false, self.counters);
    }
}

/// Counts a connection as a subscriber while it has streams.
pub(super) fn count_subscriber(counted: &mut bool, has_streams: bool, counters: &Counters) {
    match (std::mem::replace(counted, has_streams), has_streams) {
        // Release pairs with the feed's acquire: what this worker asked of the market thread comes before the count.
        (false, true) => counters.subscribers.fetch_add(1, Ordering::Release),
        (true, false) => counters.subscribers.fetch_sub(1, Ordering::Relaxed),
        _ => 0,
    };
}
