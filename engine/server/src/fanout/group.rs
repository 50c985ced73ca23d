//! A group: the topics that decide its members' bytes, its log, and its members in three lists.

use std::sync::Arc;

use bytes::Bytes;

use super::log::Log;
use super::members::Member;
use super::{FanoutEvent, MemberId, TopicId};
use crate::mem::chunks::Chunks;

/// Which list of its group a member stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// One of the two lists that take turns: members to visit in this pass, or already visited. Which of the two is
    /// which is the group's to know, so that beginning a pass is a swap and touches no member.
    #[default]
    First,
    /// See [`List::First`].
    Second,
    /// The socket is full; the member waits for it.
    Blocked,
    /// Visited, and owed more than one write holds: it has turns of its own, so that it needs no pass of the others.
    Unfinished,
}

/// How many lists there are.
const LISTS: usize = 4;

/// A set of topics and those who receive them.
#[derive(Debug)]
pub(super) struct Group {
    topics: Arc<[TopicId]>,
    /// `places[i]` is this group's place in the group list of `topics[i]`.
    pub(super) places: Vec<u32>,
    log: Log,
    lists: [Vec<MemberId>; LISTS],
    /// The list of those to visit: First or Second.
    to_visit: List,
    /// Something was appended since this pass began, so those visited before it need another pass.
    is_fresh: bool,
    /// The next turn is of the unfinished, if there are any.
    is_turn_of_unfinished: bool,
    /// The group is in the queue of groups with work.
    is_ready: bool,
    /// The log is counted as over the retention.
    pub(super) is_over: bool,
}

impl Group {
    pub(super) fn new(topics: Arc<[TopicId]>) -> Group {
        Group {
            topics,
            places: Vec::new(),
            log: Log::default(),
            lists: Default::default(),
            to_visit: List::First,
            is_fresh: false,
            is_turn_of_unfinished: false,
            is_ready: false,
            is_over: false,
        }
    }

    pub(super) fn topics(&self) -> &[TopicId] {
        &self.topics
    }

    pub(super) fn topics_shared(&self) -> Arc<[TopicId]> {
        self.topics.clone()
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn append(&mut self, frame: Bytes) {
        self.log.append(frame);
        self.is_fresh = true;
    }

    pub(super) fn has_members(&self) -> bool {
        self.lists.iter().any(|list| !list.is_empty())
    }

    /// Everybody in it.
    pub(super) fn members(&self) -> impl Iterator<Item = MemberId> {
        self.lists.iter().flatten().copied()
    }

    /// Whether members beside the one being visited are waiting for the same frames.
    pub(super) fn has_more_to_visit(&self) -> bool {
        !self.lists[self.to_visit as usize].is_empty()
    }

    /// Notes that there is work; true when the group was not in the queue of groups with work and now belongs there.
    pub(super) fn make_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.is_ready, true)
    }

    /// Notes that the group left the queue of groups with work.
    pub(super) fn leave_ready(&mut self) {
        self.is_ready = false;
    }

    /// The list of members to visit in this pass.
    pub(super) fn to_visit(&self) -> List {
        self.to_visit
    }

    /// The list of members that this pass has visited: the caught up, unless something was appended meanwhile.
    pub(super) fn visited(&self) -> List {
        if self.to_visit == List::First {
            List::Second
        } else {
            List::First
        }
    }

    /// The next member to visit, taken out of its list, and the one that was moved to the first place of that list by it.
    /// Begins a new pass when this one is through and something was appended since. None when there is nothing to do.
    ///
    /// Those to visit and the unfinished take turns: neither a member that is owed much nor a pass over many holds up
    /// the other.
    pub(super) fn take_next(&mut self) -> Option<(MemberId, Option<MemberId>)> {
        self.is_turn_of_unfinished = !self.is_turn_of_unfinished;
        if self.is_turn_of_unfinished {
            self.take_unfinished().or_else(|| self.take_to_visit())
        } else {
            self.take_to_visit().or_else(|| self.take_unfinished())
        }
    }

    fn take_to_visit(&mut self) -> Option<(MemberId, Option<MemberId>)> {
        if self.lists[self.to_visit as usize].is_empty() && std::mem::take(&mut self.is_fresh) {
            self.to_visit = self.visited();
        }
        self.lists[self.to_visit as usize].pop().map(|id| (id, None))
    }

    /// From the front, since those that are still not finished go to the end.
    fn take_unfinished(&mut self) -> Option<(MemberId, Option<MemberId>)> {
        let id = *self.lists[List::Unfinished as usize].first()?;
        Some((id, self.remove(List::Unfinished, 0)))
    }

    /// Puts a member that stands in no list at the end of `list` and gives its place.
    pub(super) fn push(&mut self, list: List, id: MemberId) -> u32 {
        let members = &mut self.lists[list as usize];
        members.push(id);
        (members.len() - 1) as u32
    }

    /// Takes a member out of its list. The last of the list takes its place: the one returned, if it is another.
    pub(super) fn remove(&mut self, list: List, place: u32) -> Option<MemberId> {
        let members = &mut self.lists[list as usize];
        members.swap_remove(place as usize);
        members.get(place as usize).copied()
    }

    /// Names the blocked members that have more than `retention` bytes before them.
    pub(super) fn overrun(&self, retention: usize, members: &Chunks<Member>, events: &mut Vec<FanoutEvent>) {
        let cutoff = self.log.position_within(retention);
        for &id in &self.lists[List::Blocked as usize] {
            let cursor = members[id].cursor;
            if cursor < cutoff {
                events.push(FanoutEvent::Overrun(id, self.log.bytes_from(cursor)));
            }
        }
    }
}
