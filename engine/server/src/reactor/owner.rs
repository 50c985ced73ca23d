//! What a session may do with its connection: queue bytes, set its streams, give it up.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use depthcast_wire::stream::{StreamKind, StreamName};

use super::counters::Counters;
use super::joins::{Join, Joins};
use super::topics::Topics;
use crate::fanout::{Fanout, FanoutError};
use crate::session::Host;
use crate::session::encoding::Encoding;

/// What a session may do: the owner's side of one connection.
pub(super) struct Owner<'a> {
    pub(super) id: u32,
    pub(super) fanout: &'a mut Fanout,
    pub(super) topics: &'a mut Topics,
    pub(super) joins: &'a mut Joins,
    /// Whether the connection is counted as a subscriber.
    pub(super) has_streams: &'a mut bool,
    pub(super) counters: &'a Counters,
    pub(super) epoch: Option<u64>,
}

impl Host for Owner<'_> {
    fn answer(&mut self, head: Bytes) {
        self.fanout.queue_first(self.id, head);
    }

    fn send(&mut self, frame: Bytes) -> Result<(), FanoutError> {
        // Behind a reply that waits for its change to take effect.
        if let Some(replies) = self.joins.replies_mut(self.id) {
            replies.push(frame);
            return Ok(());
        }
        self.fanout.queue(self.id, frame)
    }

    fn set_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
    ) -> Result<(), FanoutError> {
        let replies = self.withdraw();
        let set = self.change(names, encoding, with_snapshots, replies);
        self.count();
        set
    }

    fn set_encoding(&mut self, encoding: Encoding, reply: Bytes) -> Result<(), FanoutError> {
        let names = self.streams();
        let with_snapshots = self.joins.get(self.id).is_some_and(|join| join.with_snapshots);
        let mut replies = self.withdraw();
        replies.push(reply);
        self.change(&names, encoding, with_snapshots, replies)
    }

    fn streams(&self) -> Vec<StreamName> {
        match self.joins.get(self.id) {
            Some(join) => join.names.clone(),
            None => self.received().map(|(name, _)| name).collect(),
        }
    }

    fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    fn abandon(&mut self, last: Bytes) {
        self.withdraw();
        self.fanout.abandon(self.id, last);
        count_subscriber(self.has_streams, false, self.counters);
    }
}

impl Owner<'_> {
    /// The market thread has said where the join of that number takes effect: here, with these snapshots. Without
    /// effect when the connection has come to want something else.
    pub(super) fn on_joined(&mut self, number: u32, snapshots: Vec<Bytes>) -> Result<(), FanoutError> {
        let Some(join) = self.joins.take_numbered(self.id, number) else {
            return Ok(());
        };
        if join.tokens.iter().any(|&token| self.topics.find(token).is_none()) {
            // Everybody else left one of its topics meanwhile, and it was forgotten: what the market thread publishes
            // now is not for it.
            return self.join(join);
        }
        self.apply(&join.joined, join.encoding)?;
        for reply in join.replies {
            self.fanout.queue(self.id, reply)?;
        }
        for snapshot in snapshots {
            self.fanout.queue_shared(self.id, snapshot)?;
        }
        if join.joined.len() < join.names.len() {
            self.change(&join.names, join.encoding, join.with_snapshots, Vec::new())?;
        }
        self.count();
        Ok(())
    }

    /// Forgets a join that waits; the replies that it held back are given back.
    pub(super) fn withdraw(&mut self) -> Vec<Bytes> {
        let Some(join) = self.joins.take(self.id) else {
            return Vec::new();
        };
        self.topics.leave(self.id);
        self.topics.give_back(&join.joined, join.encoding, self.fanout);
        join.replies
    }

    /// Sets the streams of a connection that waits for nothing.
    fn change(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        replies: Vec<Bytes>,
    ) -> Result<(), FanoutError> {
        let received: HashMap<StreamName, Encoding> = self.received().collect();
        let mut join = Join {
            number: 0,
            names: names.to_vec(),
            joined: names.to_vec(),
            with_snapshots,
            encoding,
            tokens: Vec::new(),
            snapshots: Vec::new(),
            replies,
        };
        if received.values().any(|&now| now != encoding) && !names.is_empty() {
            // First those that are received, which need no snapshot and so wait for nothing but their place.
            join.joined.retain(|name| received.contains_key(name));
            return self.join(join);
        }
        if with_snapshots {
            let is_new = |name: &&StreamName| name.kind == StreamKind::Depth && !received.contains_key(name);
            join.snapshots = names.iter().filter(is_new).copied().collect();
        }
        let later: HashSet<&StreamName> = join.snapshots.iter().collect();
        let at_once: Vec<StreamName> = names
            .iter()
            .filter(|name| !later.contains(name))
            .copied()
            .collect();
        self.apply(&at_once, encoding)?;
        for reply in std::mem::take(&mut join.replies) {
            self.fanout.queue(self.id, reply)?;
        }
        if join.snapshots.is_empty() {
            return Ok(());
        }
        self.join(join)
    }

    /// The streams that are being received, and how they are written.
    fn received(&self) -> impl Iterator<Item = (StreamName, Encoding)> {
        let topics = self.fanout.topics_of(self.id).iter();
        topics.filter_map(|&id| self.topics.name(id))
    }

    /// Makes these the streams, from the next batch on.
    fn apply(&mut self, names: &[StreamName], encoding: Encoding) -> Result<(), FanoutError> {
        let resolved = self.topics.resolve(names, encoding, self.fanout);
        let set = resolved.and_then(|ids| self.fanout.set_topics(self.id, &ids));
        if set.is_err() {
            self.topics.give_back(names, encoding, self.fanout);
        }
        set
    }

    /// Asks the market thread where a join takes effect.
    fn join(&mut self, mut join: Join) -> Result<(), FanoutError> {
        join.number = self.joins.next_number();
        let resolved = self.topics.resolve(&join.joined, join.encoding, self.fanout);
        let asked = resolved.and_then(|ids| {
            let snapshots = join.snapshots.clone();
            self.topics
                .ask_to_join(self.id, join.number, snapshots, join.encoding)?;
            Ok(ids.iter().filter_map(|&id| self.topics.token(id)).collect())
        });
        join.tokens =
            asked.inspect_err(|_| self.topics.give_back(&join.joined, join.encoding, self.fanout))?;
        self.joins.insert(self.id, join);
        Ok(())
    }

    fn count(&mut self) {
        let has_streams = self.joins.get(self.id).is_some() || !self.fanout.topics_of(self.id).is_empty();
        count_subscriber(self.has_streams, has_streams, self.counters);
    }
}

/// Counts a connection as a subscriber while it has streams.
pub(super) fn count_subscriber(counted: &mut bool, has_streams: bool, counters: &Counters) {
    match (std::mem::replace(counted, has_streams), has_streams) {
        // A feed that waits for subscribers goes by this: the market thread has been asked for them by now, as far as its
        // mailbox had room.
        (false, true) => counters.subscribers.join(),
        (true, false) => counters.subscribers.leave(),
        _ => {}
    }
}
