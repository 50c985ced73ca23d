//! A group: the topics that decide its members' bytes, its log, and its members.

use bytes::Bytes;

use super::log::{Log, SpareRows};
use super::members::Member;
use super::roster::Roster;
use super::{FanoutEvent, MemberId, Origin, TopicId};
use crate::mem::chunks::Chunks;

/// A topic of a group, and the group's place in that topic's list of groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) topic: TopicId,
    pub(super) place: u32,
}

/// A set of topics and those who receive them.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order of the topics.
    pub(super) wanted: Box<[Wanted]>,
    log: Log,
    pub(super) roster: Roster,
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
    pub(super) fn new(wanted: Box<[Wanted]>) -> Group {
        Group {
            wanted,
            log: Log::default(),
            roster: Roster::default(),
            is_fresh: false,
            is_turn_of_unfinished: false,
            is_ready: false,
            is_over: false,
        }
    }

    /// In ascending order.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicId> {
        self.wanted.iter().map(|wanted| wanted.topic)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn append(&mut self, frame: Bytes, origin: Origin, spare: &mut SpareRows) {
        self.log.append(frame, origin, spare);
        self.is_fresh = true;
    }

    /// Notes that there is work; true when the group was not in the queue of groups with work and now belongs there.
    pub(super) fn make_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.is_ready, true)
    }

    /// Notes that the group left the queue of groups with work.
    pub(super) fn leave_ready(&mut self) {
        self.is_ready = false;
    }

    /// Whether the group belongs into the queue of groups with work.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Those who are pending, where nobody else has a turn. Begins a new pass when this one is through and something was
    /// appended since.
    pub(super) fn pending_alone(&mut self) -> &[MemberId] {
        if self.roster.unfinished() > 0 {
            return &[];
        }
        self.begin_pass_if_due();
        self.roster.pending()
    }

    /// The next member to visit. Begins a new pass when this one is through and something was appended since. None when
    /// there is nothing to do.
    ///
    /// The pending and the unfinished take turns: neither a member that is owed much nor a pass over many holds up the
    /// other.
    pub(super) fn next_to_visit(&mut self) -> Option<MemberId> {
        self.is_turn_of_unfinished = !self.is_turn_of_unfinished;
        if self.is_turn_of_unfinished {
            self.roster.next_unfinished().or_else(|| self.next_of_pass())
        } else {
            self.next_of_pass().or_else(|| self.roster.next_unfinished())
        }
    }

    fn next_of_pass(&mut self) -> Option<MemberId> {
        self.begin_pass_if_due();
        self.roster.next_pending()
    }

    fn begin_pass_if_due(&mut self) {
        if !self.roster.has_pending() && std::mem::take(&mut self.is_fresh) {
            self.roster.begin_pass();
        }
    }

    /// Names the blocked members that have more than `retention` bytes before them.
    pub(super) fn overrun(&self, retention: usize, members: &Chunks<Member>, events: &mut Vec<FanoutEvent>) {
        let cutoff = self.log.position_within(retention);
        for &id in self.roster.blocked() {
            let cursor = members[id].cursor;
            if cursor < cutoff {
                events.push(FanoutEvent::Overrun(id, self.log.bytes_from(cursor)));
            }
        }
    }
}
