//! Flushing: each member with something to send is visited once per pass and gets it in one write.
//!
//! A member that owes nothing of its own sends a suffix of the group's *run*, the frames of the log as one contiguous
//! piece of memory made once per pass. One with a prefix, or alone in its group, or further behind than the run, sends
//! the frames where they lie, gathered.

use std::io::IoSlice;

use super::group::Group;
use super::log::Log;
use super::members::Member;
use super::prefix::SparePrefixes;
use super::roster::List;
use super::{EMPTY_GROUP, Fanout, FanoutEvent, GroupId, MemberId, Wire, WriteOutcome};

/// Slices of one gathered write. The kernel takes 1,024; past a few dozen small frames the call's own price is spread
/// thin already, and the array lives on the stack.
const SLICES_MAX: usize = 64;

/// Bytes of one run, and about what one visit writes: several times what a socket usually takes at once, and small
/// enough that one member does not hold up the rest.
const RUN_BYTES_MAX: usize = 256 * 1024;

/// Members that are written to before the books of any of them are kept.
const STRETCH_MAX: usize = 64;

/// The frames `start..end` of one group's log, one after the other.
#[derive(Debug, Default)]
pub(super) struct Run {
    group: GroupId,
    start: u64,
    bytes: Vec<u8>,
    /// `ends[i]` is where the frame at `start + i` ends in `bytes`.
    ends: Vec<usize>,
    /// It ends at its bound, and not at the end of the log.
    is_full: bool,
}

impl Run {
    fn clear(&mut self) {
        self.group = EMPTY_GROUP;
        self.bytes.clear();
        self.ends.clear();
        self.is_full = false;
    }

    /// Whether it was cut at its bound.
    fn is_full(&self) -> bool {
        self.is_full
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
            let Some(&id) = self.ready.front() else { break };
            // One that was given up has nobody; its id may be another's by now, which is then here again if it is ready.
            let at_once = self.visit_stretch(id, visits - visited, wire);
            if at_once > 0 {
                visited += at_once;
                continue;
            }
            let group = self.groups.get_mut(id).filter(|group| group.is_ready());
            let Some(member) = group.and_then(Group::next_to_visit) else {
                if let Some(group) = self.groups.get_mut(id) {
                    group.leave_ready();
                }
                self.ready.pop_front();
                self.run.clear();
                continue;
            };
            self.visit(member, id, wire);
            visited += 1;
        }
        // The next call begins with another group, so that one with endless work does not hold up the rest.
        if self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
        visited
    }

    /// Visits the next members of a pass, up to `visits` of them, as long as they are owed the same and nothing of their own:
    /// first all writes, then what follows from them. The kernel's way through a write is quicker when little else has been
    /// in the core's caches since the one before, by about a tenth. Gives how many it visited.
    fn visit_stretch(&mut self, id: GroupId, visits: usize, wire: &mut impl Wire) -> usize {
        let Some(group) = self.groups.get_mut(id).filter(|group| group.is_ready()) else {
            return 0;
        };
        let pending = group.pending_alone();
        let mut stretch = [MemberId::default(); STRETCH_MAX];
        let Some(cursor) = pending.first().map(|&first| self.members[first].cursor) else {
            return 0;
        };
        let mut count = 0;
        for (place, &member) in stretch.iter_mut().zip(pending).take(visits) {
            if !self.members[member].is_plainly_at(cursor) {
                break;
            }
            *place = member;
            count += 1;
        }
        let stretch = &stretch[..count];
        let end = group.log().end();
        if count < 2 || cursor == end {
            return 0;
        }
        let (bytes, frames) = if end - cursor == 1 {
            (self.groups[id].log().last(), 1)
        } else if self.extend_run(id, cursor) && self.run.end() == end {
            (self.run.suffix(cursor).unwrap_or_default(), end - cursor)
        } else {
            return 0;
        };
        let offer = Offer::of(bytes.len(), frames);
        let (whole, next) = wire.write_to_each(stretch, bytes);
        for &member in &stretch[..whole] {
            self.members[member].cursor = end;
        }
        let group = &mut self.groups[id];
        group
            .log_mut()
            .advance_many(cursor, end, whole as u32, &mut self.spare_rows);
        group.roster.pass_over(whole);
        self.sent.frames += whole as u64 * frames;
        self.sent.bytes += (whole * offer.bytes) as u64;
        let Some(outcome) = next else { return whole };
        self.conclude(stretch[whole], id, offer, outcome);
        whole + 1
    }

    /// Writes what the member is owed, once, and puts it into the list where it now belongs.
    fn visit(&mut self, id: MemberId, group: GroupId, wire: &mut impl Wire) {
        let member = &self.members[id];
        let cursor = member.cursor;
        let log = self.groups[group].log();
        let frames = log.end() - cursor;
        let (offer, outcome) = if member.prefix.is_some() {
            self.write_gathered(id, group, wire)
        } else if frames == 0 {
            (Offer::default(), WriteOutcome::Wrote(0))
        } else if frames == 1 {
            let frame = log.last();
            (Offer::of(frame.len(), 1), wire.write(id, &[IoSlice::new(frame)]))
        } else if self.extend_run(group, cursor) {
            let bytes = self.run.suffix(cursor).unwrap_or_default();
            let offer = Offer::of(bytes.len(), self.run.end() - cursor);
            (offer, wire.write(id, &[IoSlice::new(bytes)]))
        } else {
            self.write_gathered(id, group, wire)
        };
        self.conclude(id, group, offer, outcome);
    }

    /// Does what follows from a write.
    fn conclude(&mut self, id: MemberId, group: GroupId, offer: Offer, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Wrote(written) => self.settle(id, group, offer, written),
            WriteOutcome::Failed => {
                self.move_to(id, group, List::Blocked);
                self.events.push(FanoutEvent::Failed(id));
            }
        }
    }

    /// Makes the run reach from `cursor`, or from before it, as far towards the log's end as its bound allows. False
    /// when it is not worth it: nobody else wants it, or the run begins after `cursor` already.
    fn extend_run(&mut self, id: GroupId, cursor: u64) -> bool {
        let group = &self.groups[id];
        let roster = &group.roster;
        // Those who were given a full run each go on where it ends, once nobody is before it any more.
        let goes_on = self.run.end() == cursor && self.run.is_full() && !roster.has_pending();
        if self.run.group != id || self.run.end() < cursor || goes_on {
            if !roster.has_pending() && roster.unfinished() < 2 {
                return false;
            }
            self.run.clear();
            self.run.group = id;
            self.run.start = cursor;
        }
        if cursor < self.run.start {
            return false;
        }
        for frame in group.log().frames_from(self.run.end()) {
            if !self.run.bytes.is_empty() && self.run.bytes.len() + frame.len() > RUN_BYTES_MAX {
                self.run.is_full = true;
                break;
            }
            self.run.bytes.extend_from_slice(frame);
            self.run.ends.push(self.run.bytes.len());
        }
        self.run.end() > cursor
    }

    fn write_gathered(&self, id: MemberId, group: GroupId, wire: &mut impl Wire) -> (Offer, WriteOutcome) {
        let member = &self.members[id];
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut offer) = (0, Offer::default());
        let mut prefix_is_whole = true;
        if let Some(prefix) = &member.prefix {
            (count, offer.bytes) = prefix.gather(&mut slices);
            prefix_is_whole = offer.bytes == prefix.bytes();
        }
        if prefix_is_whole {
            let frames = self.groups[group].log().frames_from(member.cursor);
            for (slice, frame) in slices[count..].iter_mut().zip(frames) {
                if offer.bytes > RUN_BYTES_MAX {
                    break;
                }
                *slice = IoSlice::new(frame);
                count += 1;
                offer.frames += 1;
                offer.bytes += frame.len();
            }
        }
        (offer, wire.write(id, &slices[..count]))
    }

    /// Moves the member past the `written` of the offered bytes and puts it into the list where it now belongs.
    fn settle(&mut self, id: MemberId, group: GroupId, offer: Offer, written: usize) {
        let member = &mut self.members[id];
        let log = self.groups[group].log_mut();
        let cursor = member.cursor;
        self.sent.bytes += written as u64;
        if written == offer.bytes && member.prefix.is_none() {
            member.cursor += offer.frames;
            self.sent.frames += offer.frames;
        } else {
            self.sent.frames += take_written(member, log, written, &mut self.spare_prefixes);
        }
        log.advance(cursor, member.cursor, &mut self.spare_rows);

        let is_drained = member.prefix.is_none() && member.cursor == log.end();
        if self.limits.lossless && member.is_lagging && written > 0 && !is_drained {
            self.events.push(FanoutEvent::Progressed(id));
        }
        if written < offer.bytes {
            if !std::mem::replace(&mut member.is_lagging, true) {
                self.lagging += 1;
                self.events.push(FanoutEvent::Blocked(id));
            }
            return self.move_to(id, group, List::Blocked);
        }
        if !is_drained {
            return self.move_to(id, group, List::Unfinished);
        }
        if std::mem::take(&mut member.is_lagging) {
            self.lagging -= 1;
            self.events.push(FanoutEvent::CaughtUp(id));
        }
        if std::mem::take(&mut member.is_watched) {
            self.events.push(FanoutEvent::Drained(id));
        }
        self.move_to(id, group, List::Open);
    }

    /// Puts a member that was visited into a list, where it is not in it already.
    fn move_to(&mut self, id: MemberId, group: GroupId, list: List) {
        if self.members[id].list != list {
            let roster = &mut self.groups[group].roster;
            roster.remove(id, &mut self.members);
            roster.insert(id, list, &mut self.members);
        }
    }
}

/// What one write was given.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    /// All of it.
    bytes: usize,
    /// The frames of the log among it.
    frames: u64,
}

impl Offer {
    fn of(bytes: usize, frames: u64) -> Offer {
        Offer { bytes, frames }
    }
}

/// Moves a member past `written` bytes of its prefix and its log, frame by frame; the rest of a frame that was begun goes
/// into the prefix. Gives how many frames are whole now.
fn take_written(member: &mut Member, log: &Log, written: usize, spare: &mut SparePrefixes) -> u64 {
    let mut left = written;
    let mut whole = 0;
    if let Some(prefix) = &mut member.prefix {
        let frames = prefix.frames();
        left = prefix.consume(left);
        whole += (frames - prefix.frames()) as u64;
        if prefix.is_empty() {
            spare.clear(&mut member.prefix);
        }
    }
    let mut cursor = member.cursor;
    for frame in log.frames_from(cursor) {
        if left == 0 {
            break;
        }
        cursor += 1;
        if left < frame.len() {
            // It counts when its rest, which is in the prefix now, was taken.
            spare.fill(&mut member.prefix).push_due(frame.slice(left..));
            break;
        }
        whole += 1;
        left -= frame.len();
    }
    member.cursor = cursor;
    whole
}
