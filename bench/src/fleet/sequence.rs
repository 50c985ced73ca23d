//! Whether frames of the bench format come one after the other, none lost and none twice.
//!
//! A payload starts with (little-endian):
//!
//! ```text
//! 0    u64  when it was published, CLOCK_MONOTONIC, nanoseconds
//! 8    u64  its number in its stream, from 0
//! 16   u32  which stream it is of, from 0, where the payload has 20 bytes or more
//! ```
//!
//! A connection's first frame of a stream may have any number, for it joins a stream that goes on; from then on each must
//! be the previous one's plus 1. Frames of a connection with one stream need no number of their stream. One with several
//! cannot do without: shorter frames are not checked there, since any order of numbers may be a right one.

/// Bytes of a payload that are looked at.
pub const BENCH_HEAD_BYTES: usize = 20;

/// Bytes that every payload has.
pub const BENCH_HEAD_BYTES_MIN: usize = 16;

/// What is known of a connection's streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// One stream: the number that must come next; None before its first frame.
    One(Option<u64>),
    /// Several.
    Several(Box<Streams>),
}

/// The streams of a connection that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Index of a stream and the number that must come next, in the order in which they came first. At most `streams_max`.
    next: Vec<(u32, u64)>,
    /// Where the stream of the last frame stands: they come in the same order each time, mostly.
    last: usize,
    /// How many the connection took.
    streams_max: usize,
}

/// A frame that was not the next of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceFault {
    /// A number was passed over or came again.
    #[error("frame {got} of a stream came where {expected} was expected")]
    Number {
        /// The number that was to come.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// The frame is of more streams than were asked for.
    #[error("a frame of stream {0} came, which is none of those asked for")]
    Stranger(u32),
    /// Too short for a number.
    #[error("a frame of {0} bytes is no frame of the bench format")]
    Short(usize),
}

impl Sequence {
    /// For a connection that takes so many streams.
    pub fn new(streams: usize) -> Sequence {
        if streams <= 1 {
            return Sequence::One(None);
        }
        Sequence::Several(Box::new(Streams {
            next: Vec::new(),
            last: 0,
            streams_max: streams,
        }))
    }

    /// Looks at the start of the next frame's payload. After a fault it goes on from the frame that came.
    #[inline]
    pub fn check(&mut self, head: &[u8]) -> Result<(), SequenceFault> {
        let Some(&number) = head.get(8..).and_then(<[u8]>::first_chunk) else {
            return Err(SequenceFault::Short(head.len()));
        };
        let number = u64::from_le_bytes(number);
        match self {
            Sequence::One(next) => {
                let expected = next.replace(number.wrapping_add(1));
                continues(expected, number)
            }
            Sequence::Several(streams) => match head.get(16..).and_then(<[u8]>::first_chunk) {
                Some(&stream) => streams.check(u32::from_le_bytes(stream), number),
                None => Ok(()),
            },
        }
    }
}

impl Streams {
    fn check(&mut self, stream: u32, number: u64) -> Result<(), SequenceFault> {
        let behind = self.last + 1;
        let place = [self.last, behind, 0]
            .into_iter()
            .find(|&place| self.next.get(place).is_some_and(|next| next.0 == stream))
            .or_else(|| self.next.iter().position(|next| next.0 == stream));
        let Some(place) = place else {
            if self.next.len() == self.streams_max {
                return Err(SequenceFault::Stranger(stream));
            }
            self.last = self.next.len();
            self.next.push((stream, number.wrapping_add(1)));
            return Ok(());
        };
        self.last = place;
        let expected = std::mem::replace(&mut self.next[place].1, number.wrapping_add(1));
        continues(Some(expected), number)
    }
}

#[inline]
fn continues(expected: Option<u64>, got: u64) -> Result<(), SequenceFault> {
    match expected {
        Some(expected) if expected != got => Err(SequenceFault::Number { expected, got }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(number: u64, stream: u32) -> [u8; BENCH_HEAD_BYTES] {
        let mut head = [0; BENCH_HEAD_BYTES];
        head[8..16].copy_from_slice(&number.to_le_bytes());
        head[16..].copy_from_slice(&stream.to_le_bytes());
        head
    }

    #[test]
    fn one_stream_may_begin_anywhere_and_then_has_to_go_on() {
        let mut sequence = Sequence::new(1);
        assert_eq!(sequence.check(&head(1000, 3)), Ok(()));
        assert_eq!(sequence.check(&head(1001, 3)[..16]), Ok(()));
        let fault = sequence.check(&head(1003, 3)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "frame 1003 of a stream came where 1002 was expected"
        );
        assert_eq!(sequence.check(&head(1004, 3)), Ok(()));
        assert!(sequence.check(&head(1004, 3)).is_err(), "twice");
        assert_eq!(sequence.check(&[0; 15]), Err(SequenceFault::Short(15)));
    }

    #[test]
    fn each_of_several_streams_goes_on_by_itself() {
        let mut sequence = Sequence::new(3);
        for round in 0..5 {
            // Others come in another order than at first.
            for stream in if round % 2 == 0 { [7, 0, 5] } else { [0, 5, 7] } {
                assert_eq!(sequence.check(&head(round + u64::from(stream), stream)), Ok(()));
            }
        }
        assert!(sequence.check(&head(100, 5)).is_err());
        assert_eq!(sequence.check(&head(101, 5)), Ok(()));
        assert_eq!(sequence.check(&head(1, 8)), Err(SequenceFault::Stranger(8)));
        assert_eq!(
            sequence.check(&head(9, 0)[..16]),
            Ok(()),
            "it does not say of which"
        );
    }

    proptest! {
        /// Any interleaving of whole streams is right, and any that lacks a frame is not.
        #[test]
        fn a_lost_frame_is_seen_in_any_interleaving(order in prop::collection::vec(0_u32..6, 1..80), lost in any::<prop::sample::Index>()) {
            let mut next = [10_u64; 6];
            let frames: Vec<_> = order.iter().map(|&stream| {
                next[stream as usize] += 1;
                (stream, next[stream as usize])
            }).collect();
            let faults = |frames: &[(u32, u64)]| {
                let mut sequence = Sequence::new(6);
                frames.iter().filter(|(stream, number)| sequence.check(&head(*number, *stream)).is_err()).count()
            };
            prop_assert_eq!(faults(&frames), 0);
            let lost = lost.index(frames.len());
            let stream = frames[lost].0;
            let has = |frames: &[(u32, u64)]| frames.iter().any(|frame| frame.0 == stream);
            let in_the_middle = has(&frames[..lost]) && has(&frames[lost + 1..]);
            let mut with_loss = frames.clone();
            with_loss.remove(lost);
            prop_assert_eq!(faults(&with_loss), usize::from(in_the_middle));
        }
    }
}
