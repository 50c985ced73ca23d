//! What a session may do with its connection: queue bytes, set its streams, give it up.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use depthcast_wire::stream::{StreamKind, StreamName};
use depthcast_wire::target::Resume;

use super::counters::Counters;
use super::joins::{Join, Joins, Withdrawn};
use super::messages::{Begin, Body, Since};
use super::topics::Topics;
use crate::fanout::conflate::Missed;
use crate::fanout::{Fanout, FanoutError, TopicId};
use crate::session::Host;
use crate::session::buffers::Buffers;
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
    pub(super) buffers: &'a mut Buffers,
    pub(super) epoch: Option<u64>,
}

impl Host for Owner<'_> {
    fn key(&self) -> u32 {
        self.id
    }

    fn buffers(&mut self) -> &mut Buffers {
        self.buffers
    }

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
        let waiting = self.withdraw();
        let set = self.change(names, encoding, with_snapshots, waiting);
        self.count();
        set
    }

    fn resume_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        resume: &Resume,
    ) -> Result<(), FanoutError> {
        let mut waiting = self.withdraw();
        let ids: HashMap<_, _> = resume.ids.iter().copied().collect();
        let depths = names.iter().filter(|name| name.kind == StreamKind::Depth);
        waiting.begins.extend(depths.filter_map(|&name| {
            let (epoch, id) = (resume.epoch, *ids.get(&name.symbol)?);
            let since = Since::Id {
                epoch,
                id,
                or_snapshot: true,
            };
            Some(Begin { name, since })
        }));
        let set = self.change(names, encoding, with_snapshots, waiting);
        self.count();
        set
    }

    fn set_encoding(&mut self, encoding: Encoding, reply: Bytes) -> Result<(), FanoutError> {
        let names = self.streams();
        let with_snapshots = self.joins.get(self.id).is_some_and(|join| join.with_snapshots);
        let mut waiting = self.withdraw();
        waiting.replies.push(reply);
        self.change(&names, encoding, with_snapshots, waiting)
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
    /// The market thread has said where the join of that number takes effect: here, with these bodies. Without effect when
    /// the connection has come to want something else.
    pub(super) fn on_joined(&mut self, number: u32, bodies: Vec<Body>) -> Result<(), FanoutError> {
        let Some(join) = self.joins.take_numbered(self.id, number) else {
            return Ok(());
        };
        if join.tokens.iter().any(|&token| self.topics.find(token).is_none()) {
            // Everybody else left one of its topics meanwhile, and it was forgotten: what the market thread publishes
            // now is not for it.
            return self.join(join);
        }
        let before: Vec<(TopicId, StreamName)> = self
            .fanout
            .topics_of(self.id)
            .filter_map(|topic| Some((topic, self.topics.name(topic)?.0)))
            .collect();
        self.apply(&join.joined, join.encoding)?;
        let pairs: Vec<(TopicId, TopicId)> = before
            .iter()
            .filter_map(|&(from, name)| Some((from, self.topics.id(name, join.encoding)?)))
            .filter(|(from, to)| from != to)
            .collect();
        if !pairs.is_empty() {
            self.fanout.carry_over(self.id, &pairs);
        }
        for reply in join.replies {
            self.fanout.queue(self.id, reply)?;
        }
        for body in bodies {
            if let Some(topic) = self.topics.id(body.name, join.encoding) {
                self.fanout.queue_shared(self.id, body.bytes, topic, body.ids)?;
            }
        }
        if join.joined.len() < join.names.len() {
            let waiting = Withdrawn {
                replies: Vec::new(),
                begins: join.later,
            };
            self.change(&join.names, join.encoding, join.with_snapshots, waiting)?;
        }
        self.count();
        Ok(())
    }

    /// Forgets what a member that is too far behind is owed; its streams begin anew once its socket takes bytes again, see
    /// [`Owner::rejoin`]. False, and nothing is done, where one of them cannot be told in fewer events than there were.
    pub(super) fn conflate(&mut self, encoding: Encoding, with_snapshots: bool) -> Result<bool, FanoutError> {
        let names = self.streams();
        let Some(epoch) = self
            .epoch
            .filter(|_| names.iter().all(|name| can_conflate(name.kind)))
        else {
            return Ok(false);
        };
        let received: HashMap<TopicId, StreamName> = self
            .fanout
            .topics_of(self.id)
            .filter_map(|topic| Some((topic, self.topics.name(topic)?.0)))
            .collect();
        let Withdrawn { replies, mut begins } = self.withdraw();
        let wanted: HashSet<StreamName> = names.iter().copied().collect();
        for (topic, missed) in self.fanout.conflate(self.id) {
            let Some(&name) = received.get(&topic).filter(|name| wanted.contains(name)) else {
                continue;
            };
            let since = match (name.kind, missed) {
                (StreamKind::Depth, Missed::All) => Since::Snapshot,
                (StreamKind::Depth, Missed::After(id)) => Since::Id {
                    epoch,
                    id,
                    or_snapshot: with_snapshots,
                },
                (StreamKind::Depth, Missed::Nothing) => continue,
                _ => Since::Newest,
            };
            begins.push(Begin { name, since });
        }
        let join = Join {
            number: 0,
            joined: names.clone(),
            names,
            with_snapshots,
            encoding,
            tokens: Vec::new(),
            begins,
            later: Vec::new(),
            replies: Vec::new(),
        };
        self.joins.park(self.id, join);
        // What was written in the encoding before is forgotten: nothing is left that these have to stand behind.
        for reply in replies {
            self.fanout.queue(self.id, reply)?;
        }
        Ok(true)
    }

    /// The socket of one that was conflated takes bytes again: asks for its streams.
    pub(super) fn rejoin(&mut self) -> Result<(), FanoutError> {
        match self.joins.unpark(self.id) {
            Some(join) => self.join(join),
            None => Ok(()),
        }
    }

    /// Forgets a join that waits, and gives what is left of it.
    pub(super) fn withdraw(&mut self) -> Withdrawn {
        let Some(join) = self.joins.take(self.id) else {
            return Withdrawn::default();
        };
        if join.number != 0 {
            self.topics.leave(self.id);
        }
        self.topics.give_back(&join.joined, join.encoding, self.fanout);
        Withdrawn {
            replies: join.replies,
            begins: [join.begins, join.later].concat(),
        }
    }

    /// Sets the streams of a connection that waits for nothing any more but for what it has `waiting`.
    fn change(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        waiting: Withdrawn,
    ) -> Result<(), FanoutError> {
        let received: HashMap<StreamName, Encoding> = self.received().collect();
        let mut join = Join {
            number: 0,
            names: names.to_vec(),
            joined: names.to_vec(),
            with_snapshots,
            encoding,
            tokens: Vec::new(),
            begins: self.begins_of(names, with_snapshots, &received, &waiting.begins),
            later: Vec::new(),
            replies: waiting.replies,
        };
        if received.values().any(|&now| now != encoding) && !names.is_empty() {
            // First those that are received, which need no snapshot and so wait for nothing but their place.
            join.joined.retain(|name| received.contains_key(name));
            join.later = std::mem::take(&mut join.begins);
            return self.join(join);
        }
        let later: HashSet<&StreamName> = join.begins.iter().map(|begin| &begin.name).collect();
        let at_once: Vec<StreamName> = names
            .iter()
            .filter(|name| !later.contains(name))
            .copied()
            .collect();
        self.apply(&at_once, encoding)?;
        for reply in std::mem::take(&mut join.replies) {
            self.fanout.queue(self.id, reply)?;
        }
        if join.begins.is_empty() {
            return Ok(());
        }
        self.join(join)
    }

    /// Which of these streams do not just begin with their next event, or go on: those that waited to begin otherwise, and
    /// new depth streams where those begin with snapshots.
    fn begins_of(
        &self,
        names: &[StreamName],
        with_snapshots: bool,
        received: &HashMap<StreamName, Encoding>,
        waiting: &[Begin],
    ) -> Vec<Begin> {
        let waiting: HashMap<StreamName, Begin> = waiting.iter().map(|begin| (begin.name, *begin)).collect();
        let begin_of = |&name: &StreamName| {
            let with_one = with_snapshots && name.kind == StreamKind::Depth;
            let snapshot = with_one.then_some(Begin {
                name,
                since: Since::Snapshot,
            });
            waiting.get(&name).copied().or(snapshot)
        };
        let new = names.iter().filter(|name| !received.contains_key(name));
        new.filter_map(begin_of).collect()
    }

    /// The streams that are being received, and how they are written.
    fn received(&self) -> impl Iterator<Item = (StreamName, Encoding)> {
        let topics = self.fanout.topics_of(self.id);
        topics.filter_map(|id| self.topics.name(id))
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
            let begins = join.begins.clone();
            self.topics
                .ask_to_join(self.id, join.number, begins, join.encoding)?;
            Ok(ids.iter().filter_map(|&id| self.topics.token(id)).collect())
        });
        join.tokens =
            asked.inspect_err(|_| self.topics.give_back(&join.joined, join.encoding, self.fanout))?;
        self.joins.insert(self.id, join);
        Ok(())
    }

    fn count(&mut self) {
        let has_streams = self.joins.get(self.id).is_some() || self.fanout.has_topics(self.id);
        count_subscriber(self.has_streams, has_streams, self.counters);
    }
}

/// Whether what was missed of such a stream can be told in one event, or need not be.
fn can_conflate(kind: StreamKind) -> bool {
    match kind {
        StreamKind::Depth
        | StreamKind::PartialDepth(_)
        | StreamKind::BookTicker
        | StreamKind::BestBidAsk
        | StreamKind::MiniTicker
        | StreamKind::Ticker
        | StreamKind::AveragePrice
        | StreamKind::Checksum
        | StreamKind::MiniTickers
        | StreamKind::Heartbeat => true,
        // Of a candlestick that has closed every subscriber is told.
        StreamKind::Trade | StreamKind::AggTrade | StreamKind::Kline(..) | StreamKind::Fixed => false,
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
