//! What a session may do with its connection: queue bytes, set its streams, give it up.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

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
        self.fanout.queue(self.id, frame)
    }

    fn set_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
    ) -> Result<(), FanoutError> {
        let set = self.change(names, encoding, with_snapshots, None);
        self.count();
        set
    }

    fn set_encoding(&mut self, encoding: Encoding, reply: Bytes) -> Result<(), FanoutError> {
        let names = self.streams();
        let with_snapshots = self
            .joins
            .get(self.id)
            .is_some_and(|join| !join.snapshots.is_empty());
        self.change(&names, encoding, with_snapshots, Some(reply))
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
            return self.join(&join.names, join.encoding, join.snapshots, join.reply);
        }
        self.apply(&join.names, join.encoding)?;
        for frame in join.reply.into_iter().chain(snapshots) {
            self.fanout.queue(self.id, frame)?;
        }
        self.count();
        Ok(())
    }

    /// Forgets a join that waits; what was to be answered with it is given back.
    pub(super) fn withdraw(&mut self) -> Option<Bytes> {
        let join = self.joins.take(self.id)?;
        self.topics.give_back(&join.names, join.encoding, self.fanout);
        join.reply
    }

    fn change(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        reply: Option<Bytes>,
    ) -> Result<(), FanoutError> {
        if let Some(overtaken) = self.withdraw() {
            self.fanout.queue(self.id, overtaken)?;
        }
        let is_other_encoding = !names.is_empty() && self.received().any(|(_, now)| now != encoding);
        let snapshots = if with_snapshots {
            self.new_depth(names)
        } else {
            Vec::new()
        };
        if is_other_encoding {
            return self.join(names, encoding, snapshots, reply);
        }
        if snapshots.is_empty() {
            self.apply(names, encoding)?;
        } else {
            let later: HashSet<&StreamName> = snapshots.iter().collect();
            let at_once: Vec<StreamName> = names
                .iter()
                .filter(|name| !later.contains(name))
                .copied()
                .collect();
            self.apply(&at_once, encoding)?;
            self.join(names, encoding, snapshots, None)?;
        }
        reply.map_or(Ok(()), |reply| self.fanout.queue(self.id, reply))
    }

    /// The depth streams among `names` that are not being received yet.
    fn new_depth(&self, names: &[StreamName]) -> Vec<StreamName> {
        let received: HashSet<StreamName> = self.received().map(|(name, _)| name).collect();
        let is_new = |name: &&StreamName| name.kind == StreamKind::Depth && !received.contains(name);
        names.iter().filter(is_new).copied().collect()
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

    /// Asks the market thread where these streams begin.
    fn join(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        snapshots: Vec<StreamName>,
        reply: Option<Bytes>,
    ) -> Result<(), FanoutError> {
        let number = self.joins.next_number();
        let resolved = self.topics.resolve(names, encoding, self.fanout);
        let asked = resolved.and_then(|ids| {
            self.topics
                .ask_to_join(self.id, number, snapshots.clone(), encoding)?;
            Ok(ids.iter().filter_map(|&id| self.topics.token(id)).collect())
        });
        let tokens = asked.inspect_err(|_| self.topics.give_back(names, encoding, self.fanout))?;
        let join = Join {
            number,
            names: names.to_vec(),
            snapshots,
            encoding,
            tokens,
            reply,
        };
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
        // Release pairs with the feed's acquire: what this worker asked of the market thread comes before the count.
        (false, true) => counters.subscribers.fetch_add(1, Ordering::Release),
        (true, false) => counters.subscribers.fetch_sub(1, Ordering::Relaxed),
        _ => 0,
    };
}
