//! Conflation: a member that is too far behind gives up the frames it has not been given, and is told from where on each of
//! its streams has to be told to it anew.

use std::collections::HashMap;

use super::prefix::Prefix;
use super::{EMPTY_GROUP, Fanout, MemberId, TopicId};

/// From where on a stream has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// All of it: it was to begin with its whole state, which the member was not given.
    All,
    /// What came after this update id.
    After(u64),
    /// Nothing with an id: neither given nor owed.
    Nothing,
}

impl Fanout {
    /// Update ids count anew from here on: what was given of a topic before says nothing of what is given now.
    pub fn begin_history(&mut self) {
        for id in 0..self.topics.key_end() {
            if let Some(topic) = self.topics.get_mut(id) {
                topic.last_id = 0;
            }
        }
    }

    /// The member goes on with its streams in other topics, from each of `pairs` to the second of it, between the same two
    /// frames: what it is owed of the first counts as of the second from here on, and so does what it was given.
    pub fn carry_over(&mut self, id: MemberId, pairs: &[(TopicId, TopicId)]) {
        let mut origins = HashMap::new();
        for &(from, to) in pairs {
            let Some((serial, last_id)) = self.topics.get(from).map(|it| (it.serial, it.last_id)) else {
                continue;
            };
            if let Some(it) = self.topics.get_mut(to) {
                it.last_id = it.last_id.max(last_id);
                origins.insert((from, serial), (to, it.serial));
            }
        }
        if let Some(prefix) = &mut self.members[id].prefix {
            for origin in prefix.origins_mut() {
                if let Some(&(topic, serial)) = origins.get(&(origin.topic, origin.serial)) {
                    (origin.topic, origin.serial) = (topic, serial);
                }
            }
        }
    }

    /// Forgets the frames of streams that the member is owed, except the rest of one that was begun, and takes its topics away.
    /// What is its own (replies) stays. Gives for each of its topics what it misses from here on.
    ///
    /// Frames of topics that it had given up before are forgotten, too.
    pub fn conflate(&mut self, id: MemberId) -> Vec<(TopicId, Missed)> {
        let member = &mut self.members[id];
        let (kept, mut undelivered) = member
            .prefix
            .take()
            .map_or_else(Default::default, Prefix::into_own);
        member.prefix = kept;
        let (group, cursor) = (member.group, member.cursor);
        let log = self.groups[group].log_mut();
        undelivered.extend(log.pieces_from(cursor).filter_map(|piece| piece.origin));
        let end = log.end();
        log.advance(cursor, end, &mut self.spare_rows);
        self.members[id].cursor = end;
        let mut first = HashMap::new();
        for origin in undelivered {
            first
                .entry((origin.topic, origin.serial))
                .or_insert(origin.first_id);
        }
        let topics = self.groups[group].topics();
        let missed = topics.map(|topic| {
            let it = &self.topics[topic];
            let missed = match (first.get(&(topic, it.serial)), it.last_id) {
                (Some(0), _) => Missed::All,
                (Some(first), _) => Missed::After(first - 1),
                (None, 0) => Missed::Nothing,
                // It was given all that there was.
                (None, last) => Missed::After(last),
            };
            (topic, missed)
        });
        let missed = missed.collect();
        self.leave(id);
        self.enter(id, EMPTY_GROUP);
        missed
    }
}
