//! Members: joining and leaving, changing the group in place, and bytes for one connection alone.

use bytes::Bytes;

use super::group::{Group, Wanted};
use super::prefix::{Piece, Prefix};
use super::roster::List;
use super::{
    EMPTY_GROUP, Fanout, FanoutError, FanoutEvent, GroupId, Ids, MemberId, Origin, TopicId, hash_of,
};

/// A connection as the fan-out sees it.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) group: GroupId,
    /// Where it stands in its list; the group's roster keeps it true.
    pub(super) place: u32,
    /// The position in the group's log of the first frame it was not yet given; always between two frames.
    pub(super) cursor: u64,
    /// What it is owed before the cursor. None when nothing is.
    pub(super) prefix: Option<Box<Prefix>>,
    pub(super) list: List,
    pub(super) is_present: bool,
    /// Its owner wants to know when it is owed nothing ([`FanoutEvent::Drained`]).
    pub(super) is_watched: bool,
    /// It has been blocked and has not caught up since.
    pub(super) is_lagging: bool,
}

impl Member {
    /// Whether it stands there, is owed nothing before, and nobody waits to hear of it.
    pub(super) fn is_plainly_at(&self, cursor: u64) -> bool {
        self.cursor == cursor && self.prefix.is_none() && !self.is_watched && !self.is_lagging
    }
}

/// Bytes of shared frames that may wait for one connection: twice the snapshots of a thousand simulated symbols.
pub(super) const SHARED_BYTES_MAX: usize = 64 << 20;

impl Fanout {
    /// Adds a connection, in the empty group. `id` must not be a member.
    pub fn add(&mut self, id: MemberId) {
        self.members.reach(id);
        debug_assert!(!self.members[id].is_present);
        self.members[id] = Member {
            is_present: true,
            ..Member::default()
        };
        self.enter(id, EMPTY_GROUP);
    }

    /// Takes a connection out; what it was owed is forgotten.
    pub fn remove(&mut self, id: MemberId) {
        if self.is_member(id) {
            self.leave(id);
            self.lagging -= u32::from(self.members[id].is_lagging);
            let mut member = std::mem::take(&mut self.members[id]);
            self.spare_prefixes.clear(&mut member.prefix);
        }
    }

    /// Whether `id` is a member.
    pub fn is_member(&self, id: MemberId) -> bool {
        self.members.get(id).is_some_and(|member| member.is_present)
    }

    /// Whether its socket took less than it was given, and has not said since that it takes bytes again.
    pub fn is_blocked(&self, id: MemberId) -> bool {
        self.members[id].list == List::Blocked
    }

    /// Whether everything owed to the member was written.
    pub fn is_drained(&self, id: MemberId) -> bool {
        let member = &self.members[id];
        member.prefix.is_none() && member.cursor == self.groups[member.group].log().end()
    }

    /// Asks for a [`FanoutEvent::Drained`] once everything owed to the member was written.
    pub fn watch_drained(&mut self, id: MemberId) {
        if self.is_drained(id) {
            // What a member is owed may have been forgotten, with nothing left to visit it for.
            if std::mem::take(&mut self.members[id].is_lagging) {
                self.lagging -= 1;
                self.events.push(FanoutEvent::CaughtUp(id));
            }
            self.events.push(FanoutEvent::Drained(id));
        } else {
            self.members[id].is_watched = true;
        }
    }

    /// About how much memory the frames take that wait for this connection alone.
    pub fn prefix_cost(&self, id: MemberId) -> usize {
        let prefix = self.members[id].prefix.as_ref();
        prefix.map_or(0, |prefix| prefix.cost())
    }

    /// Makes the member receive exactly `topics` from the next published frame on. Frames of its former topics that it
    /// is still owed come first. `topics` is sorted and without duplicates.
    pub fn set_topics(&mut self, id: MemberId, topics: &[TopicId]) -> Result<(), FanoutError> {
        debug_assert!(topics.is_sorted_by(|a, b| a < b));
        let group = self.intern(topics)?;
        if group == self.members[id].group {
            return Ok(());
        }
        let owed: usize = self.bytes_owed(id);
        if owed > self.limits.prefix_bytes_max {
            self.drop_if_empty(group);
            return Err(FanoutError::PrefixFull);
        }
        let member = &mut self.members[id];
        let (old, cursor) = (member.group, member.cursor);
        for frame in self.groups[old].log().pieces_from(cursor) {
            self.spare_prefixes.fill(&mut member.prefix).push(frame);
        }
        self.leave(id);
        self.enter(id, group);
        Ok(())
    }

    /// Queues a frame for this connection alone, after all that it is owed from before. The frames of its group that
    /// come later follow it.
    pub fn queue(&mut self, id: MemberId, frame: Bytes) -> Result<(), FanoutError> {
        if self.bytes_owed(id) + frame.len() > self.limits.prefix_bytes_max {
            return Err(FanoutError::PrefixFull);
        }
        self.queue_unbounded(id, Piece::own(frame));
        Ok(())
    }

    /// Queues a frame that others may share, after all that the member is owed from before. It is not counted with the
    /// connection's own, but has a bound of its own, of 64 MiB. It is of `topic`, and covers `ids`: where the first of them is
    /// zero it is the whole state of the stream as of the last one.
    pub fn queue_shared(
        &mut self,
        id: MemberId,
        frame: Bytes,
        topic: TopicId,
        ids: Ids,
    ) -> Result<(), FanoutError> {
        let prefix = self.spare_prefixes.fill(&mut self.members[id].prefix);
        if prefix.bytes_exempt() + frame.len() > SHARED_BYTES_MAX {
            return Err(FanoutError::PrefixFull);
        }
        prefix.exempt(frame.len());
        let origin = self.topics.get_mut(topic).map(|it| {
            it.note_last(ids.last);
            Origin {
                topic,
                serial: it.serial,
                first_id: ids.first,
            }
        });
        self.queue_unbounded(id, Piece { bytes: frame, origin });
        Ok(())
    }

    /// Queues the first bytes of all of a connection, which everything later makes sense behind only: they are sent even
    /// if the member is abandoned. The member must be owed nothing yet.
    pub fn queue_first(&mut self, id: MemberId, first: Bytes) {
        debug_assert!(self.is_drained(id));
        self.spare_prefixes
            .fill(&mut self.members[id].prefix)
            .push_due(first);
        self.make_pending(id);
    }

    /// Forgets what the member is owed, except the rest of a frame that was begun and [`Fanout::queue_first`], takes its
    /// topics away, and queues `last` as the final bytes: the close of a connection that is given up.
    pub fn abandon(&mut self, id: MemberId, last: Bytes) {
        let cursor = self.members[id].cursor;
        let group = self.members[id].group;
        let end = self.groups[group].log().end();
        self.groups[group]
            .log_mut()
            .advance(cursor, end, &mut self.spare_rows);
        self.members[id].cursor = end;
        self.members[id].prefix = self.members[id].prefix.take().and_then(Prefix::into_due);
        self.leave(id);
        self.enter(id, EMPTY_GROUP);
        self.queue_unbounded(id, Piece::own(last));
    }

    /// The member's socket takes bytes again.
    pub fn on_writable(&mut self, id: MemberId) {
        if self.is_member(id) && self.members[id].list == List::Blocked {
            self.make_pending(id);
        }
    }

    fn queue_unbounded(&mut self, id: MemberId, frame: Piece) {
        let member = &mut self.members[id];
        let log = self.groups[member.group].log_mut();
        let prefix = self.spare_prefixes.fill(&mut member.prefix);
        log.pieces_from(member.cursor).for_each(|owed| prefix.push(owed));
        prefix.push(frame);
        let end = log.end();
        log.advance(member.cursor, end, &mut self.spare_rows);
        member.cursor = end;
        if prefix.is_empty() {
            self.spare_prefixes.clear(&mut member.prefix);
        } else if member.list != List::Blocked {
            self.make_pending(id);
        }
    }

    fn bytes_owed(&self, id: MemberId) -> usize {
        let member = &self.members[id];
        let waiting = member.prefix.as_ref().map_or(0, |prefix| prefix.bytes_counted());
        waiting + self.groups[member.group].log().bytes_from(member.cursor)
    }

    /// The group of exactly these topics, made if need be.
    pub(super) fn intern(&mut self, topics: &[TopicId]) -> Result<GroupId, FanoutError> {
        let hash = hash_of(&self.hash, topics.iter().copied());
        let is_it = |&id: &GroupId| self.groups[id].topics().eq(topics.iter().copied());
        if let Some(&id) = self.group_by_topics.find(hash, is_it) {
            return Ok(id);
        }
        let wanted = topics.iter().map(|&topic| Wanted {
            topic,
            place: self.topics[topic].groups.len() as u32,
        });
        let group = Group::new(wanted.collect());
        let id = self.groups.insert(group).map_err(|_| FanoutError::TableFull)?;
        for (i, &topic) in topics.iter().enumerate() {
            self.topics[topic].groups.push((id, i as u32));
        }
        self.group_by_topics
            .insert_unique(hash, id, |&id| hash_of(&self.hash, self.groups[id].topics()));
        Ok(id)
    }

    /// Gives up a group that nobody is in; its topics may fall idle with it.
    fn drop_if_empty(&mut self, id: GroupId) {
        if id == EMPTY_GROUP || !self.groups[id].roster.is_empty() {
            return;
        }
        let Some(group) = self.groups.remove(id) else {
            return;
        };
        let hash = hash_of(&self.hash, group.topics());
        if let Ok(entry) = self.group_by_topics.find_entry(hash, |&of| of == id) {
            entry.remove();
        }
        for &Wanted { topic, place } in &group.wanted {
            let wanting = &mut self.topics[topic].groups;
            wanting.swap_remove(place as usize);
            if let Some(&(moved, at)) = wanting.get(place as usize) {
                self.groups[moved].wanted[at as usize].place = place;
            }
            if self.topics[topic].groups.is_empty() {
                self.events.push(FanoutEvent::TopicIdle(topic));
            }
        }
        // Its id may come again, and its successor's log counts from the same positions.
        self.forget_run_of(id);
        self.over_retention.retain(|&over| over != id);
    }

    /// Takes the member out of its group's lists and log, and the group away if that empties it.
    pub(super) fn leave(&mut self, id: MemberId) {
        let (id_of_group, cursor) = (self.members[id].group, self.members[id].cursor);
        let group = &mut self.groups[id_of_group];
        group.roster.remove(id, &mut self.members);
        group.log_mut().unpark(cursor, &mut self.spare_rows);
        self.drop_if_empty(id_of_group);
    }

    /// Puts the member, which is in no list, into `group` with its cursor at the end of the log.
    pub(super) fn enter(&mut self, id: MemberId, group: GroupId) {
        let cursor = self.groups[group].log_mut().park_at_end();
        let member = &mut self.members[id];
        member.group = group;
        member.cursor = cursor;
        let owes = member.prefix.is_some();
        // The socket is still full, whichever group it belongs to.
        let list = if owes && member.list == List::Blocked {
            List::Blocked
        } else {
            List::Open
        };
        self.groups[group].roster.insert(id, list, &mut self.members);
        if owes && list == List::Open {
            self.make_pending(id);
        }
    }

    /// Has the member visited by the next flush.
    fn make_pending(&mut self, id: MemberId) {
        let id_of_group = self.members[id].group;
        let group = &mut self.groups[id_of_group];
        group.roster.make_pending(id, &mut self.members);
        if group.make_ready() {
            self.ready.push_back(id_of_group);
        }
    }
}
