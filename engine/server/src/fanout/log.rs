//! A group's log: the shared frames that some member has still to send, in delivery order.
//!
//! Every cursor is a position in it and is *parked* there; each position counts its cursors, so that trimming looks at
//! the front only and never at the members. The log of a group whose members are all caught up is empty.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Origin;
use super::prefix::Piece;

/// Entries of memory that are kept of logs that hold nothing, for those that come to hold something: of 8,192 logs of 16
/// frames each, as in groups of one with ten streams, or more of fewer; 8 MiB. Past it memory goes back to the allocator.
const SPARE_ENTRIES_MAX: usize = 131_072;

/// Entries that the memory of a log may have to be kept: those of a shared group that is flushed in time.
const SPARE_ROW_MAX: usize = 128;

#[derive(Debug)]
struct Entry {
    frame: Bytes,
    origin: Origin,
    /// How many cursors stand before this frame.
    parked: u32,
    /// Bytes of all frames that came before this one since the log was last empty.
    bytes_before: u64,
}

/// The memory of logs that hold nothing, for all groups of a worker: one that is idle keeps none, and one that has something
/// to send now and then allocates none.
#[derive(Debug, Default)]
pub(super) struct SpareRows {
    rows: Vec<VecDeque<Entry>>,
    /// The sum of their capacities, at most [`SPARE_ENTRIES_MAX`].
    entries: usize,
}

impl SpareRows {
    fn take(&mut self) -> VecDeque<Entry> {
        let row = self.rows.pop().unwrap_or_default();
        self.entries -= row.capacity();
        row
    }

    fn give(&mut self, mut row: VecDeque<Entry>) {
        debug_assert!(row.is_empty());
        // It begins at its first place again.
        row.clear();
        let capacity = row.capacity();
        if (1..=SPARE_ROW_MAX).contains(&capacity) && self.entries + capacity <= SPARE_ENTRIES_MAX {
            self.entries += capacity;
            self.rows.push(row);
        }
    }
}

/// Frames at positions `start()..end()`; a cursor at `end()` has nothing to send.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Without memory of its own while there are none.
    entries: VecDeque<Entry>,
    /// Position of the first entry. Positions are never reused: 64 bits outlast any engine.
    start: u64,
    /// How many cursors stand at the end.
    parked_at_end: u32,
}

impl Log {
    pub(super) fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// Sum of the lengths of the frames that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes_from(self.start)
    }

    /// Adds a frame; the cursors that stood at the end now stand before it. With no cursor anywhere it is not kept.
    pub(super) fn append(&mut self, frame: Bytes, origin: Origin, spare: &mut SpareRows) {
        let parked = std::mem::take(&mut self.parked_at_end);
        let bytes_before = self.bytes_ever();
        if self.entries.capacity() == 0 {
            self.entries = spare.take();
        }
        self.entries.push_back(Entry {
            frame,
            origin,
            parked,
            bytes_before,
        });
        self.trim(spare);
    }

    /// The frames from `cursor` to the end.
    pub(super) fn frames_from(&self, cursor: u64) -> impl Iterator<Item = &Bytes> {
        let skip = usize::try_from(cursor.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.entries
            .range(skip.min(self.entries.len())..)
            .map(|entry| &entry.frame)
    }

    /// The frames from `cursor` to the end, as others may keep them.
    pub(super) fn pieces_from(&self, cursor: u64) -> impl Iterator<Item = Piece> {
        let skip = usize::try_from(cursor.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let entries = self.entries.range(skip.min(self.entries.len())..);
        entries.map(|entry| Piece {
            bytes: entry.frame.clone(),
            origin: Some(entry.origin),
        })
    }

    /// The newest frame; empty when it holds none.
    pub(super) fn last(&self) -> &[u8] {
        self.entries.back().map_or(&[], |entry| &entry.frame)
    }

    /// Places a new cursor at the end and gives its position.
    pub(super) fn park_at_end(&mut self) -> u64 {
        self.parked_at_end += 1;
        self.end()
    }

    /// Takes away a cursor that stands at `position`.
    pub(super) fn unpark(&mut self, position: u64, spare: &mut SpareRows) {
        *self.parked_mut(position) -= 1;
        self.trim(spare);
    }

    /// Moves a cursor forward.
    pub(super) fn advance(&mut self, from: u64, to: u64, spare: &mut SpareRows) {
        self.advance_many(from, to, 1, spare);
    }

    /// Moves `cursors` that stand at the same position forward.
    pub(super) fn advance_many(&mut self, from: u64, to: u64, cursors: u32, spare: &mut SpareRows) {
        debug_assert!(from <= to && to <= self.end());
        if from != to {
            *self.parked_mut(to) += cursors;
            *self.parked_mut(from) -= cursors;
            self.trim(spare);
        }
    }

    /// The first position from which at most `bytes` are left to the end.
    pub(super) fn position_within(&self, bytes: usize) -> u64 {
        let before = self.bytes_ever().saturating_sub(bytes as u64);
        self.start + self.entries.partition_point(|entry| entry.bytes_before < before) as u64
    }

    /// How many bytes are left from `cursor` to the end.
    pub(super) fn bytes_from(&self, cursor: u64) -> usize {
        let entry = self.entries.get((cursor - self.start) as usize);
        entry.map_or(0, |entry| (self.bytes_ever() - entry.bytes_before) as usize)
    }

    /// Bytes of all frames since it was last empty.
    fn bytes_ever(&self) -> u64 {
        let newest = self.entries.back();
        newest.map_or(0, |entry| entry.bytes_before + entry.frame.len() as u64)
    }

    fn parked_mut(&mut self, position: u64) -> &mut u32 {
        match self.entries.get_mut((position - self.start) as usize) {
            Some(entry) => &mut entry.parked,
            None => &mut self.parked_at_end,
        }
    }

    /// Drops the frames that no cursor has still to send.
    fn trim(&mut self, spare: &mut SpareRows) {
        while self.entries.front().is_some_and(|front| front.parked == 0) {
            self.entries.pop_front();
            self.start += 1;
        }
        if self.entries.is_empty() {
            spare.give(std::mem::take(&mut self.entries));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    const ORIGIN: Origin = Origin {
        topic: 0,
        serial: 0,
        first_id: 0,
    };

    #[test]
    fn keeps_only_what_a_cursor_has_still_to_send() {
        let (mut log, spare) = (Log::default(), &mut SpareRows::default());
        log.append(frame("nobody"), ORIGIN, spare);
        assert_eq!((log.start, log.end(), log.bytes()), (1, 1, 0));
        let slow = log.park_at_end();
        let fast = log.park_at_end();
        log.append(frame("a"), ORIGIN, spare);
        log.append(frame("bc"), ORIGIN, spare);
        log.advance(fast, 3, spare);
        assert_eq!(log.bytes(), 3);
        assert_eq!(log.frames_from(slow).collect::<Vec<_>>(), ["a", "bc"]);
        log.advance(slow, 2, spare);
        assert_eq!((log.start, log.bytes()), (2, 2));
        log.unpark(2, spare);
        assert_eq!((log.start, log.end(), log.bytes()), (3, 3, 0));
        log.unpark(3, spare);
        log.append(frame("nobody again"), ORIGIN, spare);
        assert_eq!(log.bytes(), 0);
    }

    #[test]
    fn the_memory_of_an_empty_log_is_the_next_ones_and_is_bounded() {
        let spare = &mut SpareRows::default();
        let (mut first, mut second) = (Log::default(), Log::default());
        let cursor = first.park_at_end();
        second.park_at_end();
        first.append(frame("a"), ORIGIN, spare);
        let (row, capacity) = (first.entries.as_slices().0.as_ptr(), first.entries.capacity());
        first.advance(cursor, 1, spare);
        assert_eq!((first.entries.capacity(), spare.entries), (0, capacity));
        second.append(frame("b"), ORIGIN, spare);
        assert_eq!((second.entries.as_slices().0.as_ptr(), spare.entries), (row, 0));

        spare.give(VecDeque::with_capacity(SPARE_ROW_MAX + 1));
        assert!(spare.rows.is_empty(), "one that has grown long is not kept");
        for _ in 0..SPARE_ENTRIES_MAX / SPARE_ROW_MAX + 9 {
            spare.give(VecDeque::with_capacity(SPARE_ROW_MAX));
        }
        assert_eq!(spare.entries, SPARE_ENTRIES_MAX);
        assert_eq!(spare.rows.len(), SPARE_ENTRIES_MAX / SPARE_ROW_MAX);
    }

    #[test]
    fn the_cutoff_leaves_at_most_the_bytes_asked_for() {
        let (mut log, spare) = (Log::default(), &mut SpareRows::default());
        log.park_at_end();
        for text in ["aaaa", "bb", "ccc"] {
            log.append(frame(text), ORIGIN, spare);
        }
        let cutoffs: Vec<_> = [0, 2, 3, 5, 8, 9]
            .map(|bytes| log.position_within(bytes))
            .to_vec();
        assert_eq!(cutoffs, [3, 3, 2, 1, 1, 0]);
        assert_eq!(log.bytes_from(1), 5);
    }
}
