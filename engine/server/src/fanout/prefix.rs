//! What one connection is owed before its cursor: the rest of a half-written frame, replies, pongs, frames its former
//! group still owed it, the close. A bounded queue of shared bytes; a connection that is caught up owns none.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::Origin;

/// Memory that a waiting frame takes beside its bytes: its handle, in a queue that grows by doubling, and what the
/// allocator rounds up. Of an empty pong it is nearly everything.
const FRAME_COST: usize = 128;

/// Prefixes that are kept for the next: as many as one turn's timers can need for pings.
const SPARE_MAX: usize = 256;

/// Frames that a prefix may have memory for to be kept.
const SPARE_FRAMES_MAX: usize = 8;

/// A frame, or the rest of one.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// What it is of; None for the connection's own: replies and the like.
    pub(super) origin: Option<Origin>,
}

impl Piece {
    /// One of the connection's own.
    pub(super) fn own(bytes: Bytes) -> Piece {
        Piece { bytes, origin: None }
    }
}

/// A queue of whole frames, of which the first may be partly sent.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    frames: VecDeque<Piece>,
    bytes: usize,
    /// Bytes of frames that do not count for the bound: until all is written the bound is looser by so much.
    exempt: usize,
    /// The front must be sent whatever is forgotten: the rest of a frame whose beginning the peer already has, or what
    /// everything else on its connection comes after.
    front_is_due: bool,
}

/// Prefixes that nobody needs now: so a ping or a reply makes none.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is used again")]
pub(super) struct SparePrefixes(Vec<Box<Prefix>>);

impl SparePrefixes {
    /// The prefix in a member's place for one, put there if there is none.
    pub(super) fn fill<'p>(&mut self, place: &'p mut Option<Box<Prefix>>) -> &'p mut Prefix {
        place.get_or_insert_with(|| self.0.pop().unwrap_or_default())
    }

    /// Empties that place; what was in it is forgotten.
    pub(super) fn clear(&mut self, place: &mut Option<Box<Prefix>>) {
        let Some(mut prefix) = place.take() else { return };
        if self.0.len() < SPARE_MAX && prefix.frames.capacity() <= SPARE_FRAMES_MAX {
            let mut frames = std::mem::take(&mut prefix.frames);
            frames.clear();
            *prefix = Prefix {
                frames,
                ..Prefix::default()
            };
            self.0.push(prefix);
        }
    }
}

impl Prefix {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that count for the bound.
    pub(super) fn bytes_counted(&self) -> usize {
        self.bytes.saturating_sub(self.exempt)
    }

    /// The bytes that do not, at most.
    pub(super) fn bytes_exempt(&self) -> usize {
        self.exempt.min(self.bytes)
    }

    /// So many bytes that are put at the end next do not count for the bound.
    pub(super) fn exempt(&mut self, bytes: usize) {
        self.exempt += bytes;
    }

    /// The memory that it takes, about.
    pub(super) fn cost(&self) -> usize {
        self.bytes_counted() + self.frames.len() * FRAME_COST
    }

    /// Puts a whole frame at the end.
    pub(super) fn push(&mut self, frame: Piece) {
        if !frame.bytes.is_empty() {
            self.bytes += frame.bytes.len();
            self.frames.push_back(frame);
        }
    }

    /// Puts at the front what must be sent in any case. The prefix must be empty: a frame can only be begun when nothing
    /// was owed before it.
    pub(super) fn push_due(&mut self, due: Bytes) {
        debug_assert!(self.is_empty() && !due.is_empty());
        self.push(Piece::own(due));
        self.front_is_due = true;
    }

    /// Forgets all but what must be sent in any case; None when nothing must.
    pub(super) fn into_due(mut self: Box<Self>) -> Option<Box<Self>> {
        if !self.front_is_due {
            return None;
        }
        self.frames.truncate(1);
        self.bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
        Some(self)
    }

    /// Forgets the frames of streams, except the rest of one that was begun, and gives what those were of that it forgot, in
    /// order. None when nothing is left.
    pub(super) fn into_own(mut self: Box<Self>) -> (Option<Box<Self>>, Vec<Origin>) {
        let mut forgotten = Vec::new();
        let mut is_due = self.front_is_due;
        self.frames.retain(|frame| {
            if std::mem::take(&mut is_due) {
                return true;
            }
            forgotten.extend(frame.origin);
            frame.origin.is_none()
        });
        self.bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
        self.exempt = 0;
        ((!self.is_empty()).then_some(self), forgotten)
    }

    /// What the frames of streams are of.
    pub(super) fn origins_mut(&mut self) -> impl Iterator<Item = &mut Origin> {
        self.frames.iter_mut().filter_map(|frame| frame.origin.as_mut())
    }

    /// Fills `slices` from the front and gives how many slices and bytes that made.
    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let mut total = 0;
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.bytes);
            total += frame.bytes.len();
            count += 1;
        }
        (count, total)
    }

    /// Takes away the first `written` bytes and gives what is left of the number when the prefix ends before.
    pub(super) fn consume(&mut self, mut written: usize) -> usize {
        while let Some(front) = self.frames.front_mut() {
            let front = &mut front.bytes;
            if written < front.len() {
                if written > 0 {
                    front.advance(written);
                    self.bytes -= written;
                    self.front_is_due = true;
                }
                return 0;
            }
            written -= front.len();
            self.bytes -= front.len();
            self.frames.pop_front();
            self.front_is_due = false;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(frames: &[&'static str]) -> Box<Prefix> {
        let mut prefix = Box::new(Prefix::default());
        frames
            .iter()
            .for_each(|frame| prefix.push(Piece::own(Bytes::from_static(frame.as_bytes()))));
        prefix
    }

    #[test]
    fn only_what_is_due_survives_when_the_rest_is_forgotten() {
        assert!(
            of(&["first", "second"]).into_due().is_none(),
            "an untouched frame is not torn"
        );

        let mut prefix = of(&["first", "second"]);
        assert_eq!(prefix.consume(2), 0);
        let mut torn = prefix.into_due().expect("a begun frame");
        assert_eq!(torn.bytes(), 3);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(torn.gather(&mut slices), (1, 3));
        assert_eq!(&*slices[0], b"rst");
        assert_eq!(torn.consume(10), 7);
        assert!(torn.is_empty());
        torn.push(Piece::own(Bytes::from_static(b"third")));
        assert!(torn.into_due().is_none());

        let mut rest = Box::new(Prefix::default());
        rest.push_due(Bytes::from_static(b"rest"));
        assert!(rest.into_due().is_some());
    }

    #[test]
    fn the_next_one_gets_a_prefix_that_knows_of_nothing() {
        let mut spare = SparePrefixes::default();
        let mut prefix = of(&["first", "second"]);
        prefix.exempt(3);
        prefix.consume(2);
        spare.clear(&mut Some(prefix));
        let mut place = None;
        let next = spare.fill(&mut place);
        assert!(next.frames.capacity() > 0, "its memory is used again");
        assert_eq!((next.frames(), next.bytes(), next.bytes_exempt()), (0, 0, 0));
        assert!(!next.front_is_due);

        spare.clear(&mut Some(of(&["one"; SPARE_FRAMES_MAX + 1])));
        assert!(spare.0.is_empty(), "one that has grown long is not kept");
        (0..SPARE_MAX + 9).for_each(|_| spare.clear(&mut Some(Box::default())));
        assert_eq!(spare.0.len(), SPARE_MAX);
    }
}
