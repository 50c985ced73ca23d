//! Flushing: each member with something to send is visited once per pass and gets it in one write.
//!
//! A member that owes nothing of its own sends a suffix of the group's *run*, the frames of the log as one contiguous
//! piece of memory made once per pass. One with a prefix, or alone in its group, or further behind than the run, sends
//! the frames where they lie, gathered.

use std::io::IoSlice;

use super::group::List;
use super::{EMPTY_GROUP, Fanout, FanoutEvent, GroupId, MemberId, Wire, WriteOutcome};

/// Slices of one gathered write. The kernel takes 1,024; past a few dozen small frames the call's own price is spread
/// thin already, and the array lives on the stack.
const SLICES_MAX: usize = 64;

/// Bytes of one run, and about what one visit writes: several times what a socket usually takes at once, and small
/// enough that one member does not hold up the rest.
const RUN_BYTES_MAX: usize = 256 * 1024;

/// The frames `start..end` of one group's log, one after the other.
#[derive(Debug, Default)]
pub(super) struct Run {
    group: GroupId,
    start: u64,
    bytes: Vec<u8>,
    /// `ends[i]` is where the frame at `start + i` ends in `bytes`.
    ends: Vec<usize>,
}

impl Run {
    fn clear(&mut self) {
        self.group = EMPTY_GROUP;
        self.bytes.clear();
        self.ends.clear();
    }

    fn end(&self) -> u64 {
        self.start + self.ends.len() as u64
    }

    /// The bytes from `cursor` on, when it stands inside the run.
    fn suffix(&self, cursor: u64) -> Option<&[u8]> {
        let skip = usize::try_from(cursor.checked_sub(self.start)?).ok()?;
        let from = if skip == 0 { 0 } else { *self.ends.get(skip - 1)? };
        Some(&self.bytes[from..])
    }
}

impl Fanout {
    /// Gives up the run if it is of this group.
    pub(super) fn forget_run_of(&mut self, group: GroupId) {
        if self.run.group == group {
            self.run.clear();
        }
    }

    /// Visits up to `visits` members that have something to send. Gives how many it visited: fewer when all is done.
    pub fn flush(&mut self, wire: &mut impl Wire, visits: usize) -> usize {
        let mut visited = 0;
        while visited < visits {
            let Some(&group) = self.ready.front() else { break };
            let Some((id, moved)) = self.groups[group].take_next() else {
                self.groups[group].leave_ready();
                self.ready.pop_front();
                self.run.clear();
                continue;
            };
            if let Some(moved) = moved {
                self.members[moved].place = 0;
            }
            self.visit(id, group, wire);
            visited += 1;
        }
        // The next call begins with another group, so that one with endless work does not hold up the rest.
        if self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
        visited
    }

    /// Writes what the member is owed, once, and puts it into the list where it now belongs.
    fn visit(&mut self, id: MemberId, group: GroupId, wire: &mut impl Wire) {
        let cursor = self.members[id].cursor;
        let owed_alone = self.members[id].prefix.is_some();
        let frames = self.groups[group].log().end() - cursor;
        let (offered, outcome) = if !owed_alone && frames == 0 {
            (0, WriteOutcome::Wrote(0))
        } else if !owed_alone && frames > 1 && self.extend_run(group, cursor) {
            let bytes = self.run.suffix(cursor).unwrap_or_default();
            (bytes.len(), wire.write(id, &[IoSlice::new(bytes)]))
        } else {
            self.write_gathered(id, group, wire)
        };
        match outcome {
            WriteOutcome::Wrote(written) => self.settle(id, group, offered, written),
            WriteOutcome::Failed => {
                self.list(id, List::Blocked);
                self.events.push(FanoutEvent::Failed(id));
            }
        }
    }

    /// Makes the run reach from `cursor`, or from before it, as far towards the log's end as its bound allows. False
    /// when it is not worth it: nobody else wants it, or the run begins after `cursor` already.
    fn extend_run(&mut self, group: GroupId, cursor: u64) -> bool {
        let members = &self.groups[group];
        if self.run.group != group || self.run.end() < cursor {
            if !members.has_more_to_visit() {
                return false;
            }
            self.run.clear();
            self.run.group = group;
            self.run.start = cursor;
        }
        if cursor < self.run.start {
            return false;
        }
        for frame in members.log().frames_from(self.run.end()) {
            if !self.run.bytes.is_empty() && self.run.bytes.len() + frame.len() > RUN_BYTES_MAX {
                break;
            }
            self.run.bytes.extend_from_slice(frame);
            self.run.ends.push(self.run.bytes.len());
        }
        self.run.end() > cursor
    }

    fn write_gathered(&self, id: MemberId, group: GroupId, wire: &mut impl Wire) -> (usize, WriteOutcome) {
        let member = &self.members[id];
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut total) = (0, 0);
        let mut prefix_is_whole = true;
        if let Some(prefix) = &member.prefix {
            (count, total) = prefix.gather(&mut slices);
            prefix_is_whole = total == prefix.bytes();
        }
        if prefix_is_whole {
            let frames = self.groups[group].log().frames_from(member.cursor);
            for (slice, frame) in slices[count..].iter_mut().zip(frames) {
                if total > RUN_BYTES_MAX {
                    break;
                }
                *slice = IoSlice::new(frame);
                count += 1;
                total += frame.len();
            }
        }
        (total, wire.write(id, &slices[..count]))
    }

    /// Moves the member past the `written` of the `offered` bytes and puts it into the list where it now belongs.
    fn settle(&mut self, id: MemberId, group: GroupId, offered: usize, written: usize) {
        let member = &mut self.members[id];
        let mut left = written;
        self.sent.bytes += written as u64;
        if let Some(prefix) = &mut member.prefix {
            let frames = prefix.frames();
            left = prefix.consume(left);
            self.sent.frames += (frames - prefix.frames()) as u64;
            if prefix.is_empty() {
                member.prefix = None;
            }
        }
        let log = self.groups[group].log_mut();
        let mut cursor = member.cursor;
        let mut torn = None;
        for frame in log.frames_from(cursor) {
            if left == 0 {
                break;
            }
            cursor += 1;
            if left < frame.len() {
                torn = Some(frame.slice(left..));
                break;
            }
            left -= frame.len();
        }
        self.sent.frames += cursor - member.cursor;
        if let Some(rest) = torn {
            // It counts when its rest, which is in the prefix now, was taken.
            self.sent.frames -= 1;
            member.prefix.get_or_insert_default().push_due(rest);
        }
        log.advance(std::mem::replace(&mut member.cursor, cursor), cursor);

        let is_drained = member.prefix.is_none() && cursor == log.end();
        if self.limits.lossless && member.is_lagging && written > 0 && !is_drained {
            self.events.push(FanoutEvent::Progressed(id));
        }
        if written < offered {
            if !std::mem::replace(&mut member.is_lagging, true) {
                self.lagging += 1;
                self.events.push(FanoutEvent::Blocked(id));
            }
            self.list(id, List::Blocked);
            return;
        }
        if !is_drained {
            self.list(id, List::Unfinished);
            return;
        }
        if std::mem::take(&mut member.is_lagging) {
            self.lagging -= 1;
            self.events.push(FanoutEvent::CaughtUp(id));
        }
        if std::mem::take(&mut member.is_watched) {
            self.events.push(FanoutEvent::Drained(id));
        }
        let visited = self.groups[group].visited();
        self.list(id, visited);
    }
}
