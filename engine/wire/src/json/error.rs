//! What can be wrong with a frame of a JSON feed. The fault is always the feed's; each message names the event, the
//! key and what was wrong with its value.

use std::fmt;

use depthcast_market::decimal::DecimalError;

use super::decode::{DEPTH_MAX, FRAME_BYTES_MAX};
use super::levels::LEVELS_PER_SIDE_MAX;

/// How much of a feed's own text an error repeats: enough to recognise it, too little to flood a log.
const QUOTED_CHARS_MAX: usize = 40;

/// Why a frame of a feed was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The frame is longer than [`FRAME_BYTES_MAX`].
    #[error("the feed sent a frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken")]
    FrameTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The frame is not JSON.
    #[error("the feed sent text that is not JSON: {fault}{}", At(*at))]
    Syntax {
        /// What is wrong.
        fault: &'static str,
        /// The byte offset, where it is known.
        at: Option<usize>,
    },
    /// Arrays and objects nested deeper than [`DEPTH_MAX`].
    #[error("the feed sent JSON nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// JSON, but nothing that a feed says.
    #[error("the feed sent JSON that is no market event: {0}")]
    NotAnEvent(&'static str),
    /// An event of a kind that is not read here.
    #[error("the feed sent an event of the unknown kind {0:?}")]
    UnknownKind(
        /// The text of `e`, cut to a few characters.
        Box<str>,
    ),
    /// A key that the event must have is not there.
    #[error("the feed sent a {event} without {key:?}")]
    Missing {
        /// The kind of event.
        event: &'static str,
        /// The key.
        key: &'static str,
    },
    /// The value of a key is not what the event needs.
    #[error("the feed sent a {event} whose {key:?} is {fault}")]
    Field {
        /// The kind of event.
        event: &'static str,
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        fault: Fault,
    },
    /// One price level of a side is not what it must be.
    #[error("the feed sent a {event} whose {key:?}, place {place}, is {fault}")]
    Level {
        /// The kind of event.
        event: &'static str,
        /// The key of the side.
        key: &'static str,
        /// Which level, from 0.
        place: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The first update id lies after the last.
    #[error("the feed sent a depthUpdate whose \"U\" {first_id} is above its \"u\" {last_id}")]
    IdsReversed {
        /// U.
        first_id: u64,
        /// u.
        last_id: u64,
    },
}

/// What is wrong with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another type of value than the key has.
    #[error("not {wanted}")]
    Type {
        /// What it must be.
        wanted: &'static str,
    },
    /// A number outside the range of its field.
    #[error("a number out of range")]
    OutOfRange,
    /// A decimal that cannot be held exactly.
    #[error("{}", decimal_fault(*.0))]
    Decimal(#[from] DecimalError),
    /// A quantity below zero.
    #[error("a negative quantity")]
    NegativeQuantity,
    /// A quantity of zero in a snapshot, which has no level to remove.
    #[error("a quantity of zero in a snapshot")]
    ZeroQuantity,
    /// More than [`LEVELS_PER_SIDE_MAX`] levels.
    #[error("a list of {0} levels; at most {LEVELS_PER_SIDE_MAX} are taken")]
    TooManyLevels(usize),
    /// Not a symbol name in upper case.
    #[error("no symbol name in upper case")]
    Symbol,
    /// A stream name that does not start with a symbol, around an event that names none itself.
    #[error("no stream name that starts with a symbol")]
    Stream,
}

/// A [`DecimalError`] worded for the end of a sentence.
fn decimal_fault(error: DecimalError) -> &'static str {
    match error {
        DecimalError::Syntax => "not a plain decimal number",
        DecimalError::Overflow => "too large for a 64-bit mantissa",
        DecimalError::Inexact => "a number with more decimal places than the precision holds",
    }
}

/// The end of a message that knows a place: ` at byte 17`, or nothing.
struct At(Option<usize>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, " at byte {at}"),
            None => Ok(()),
        }
    }
}

impl JsonError {
    /// The error of an event kind that is not read, quoting no more of it than a log can bear.
    pub(super) fn unknown_kind(kind: &str) -> JsonError {
        JsonError::UnknownKind(kind.chars().take(QUOTED_CHARS_MAX).collect())
    }

    /// The parser's error in this crate's words.
    pub(super) fn of_parser(error: &simd_json::Error) -> JsonError {
        use simd_json::ErrorType;
        let fault = match error.error() {
            ErrorType::DepthLimitExceeded => return JsonError::TooDeep,
            ErrorType::InvalidUtf8 => "bytes that are no UTF-8",
            ErrorType::InvalidNumber | ErrorType::InvalidExponent => "a malformed number",
            ErrorType::InvalidEscape
            | ErrorType::InvalidUnicodeEscape
            | ErrorType::InvalidUnicodeCodepoint => "a malformed escape in a string",
            ErrorType::TrailingData => "text after the value",
            ErrorType::Syntax | ErrorType::Eof => "it ends too early",
            _ => "an unexpected character",
        };
        // The parser gives no character with an error of the whole text; its place then means nothing. Nor does the
        // place of the last token say anything of an early end.
        let at = error.character().map(|_| error.index());
        let at = at.filter(|_| !matches!(error.error(), ErrorType::Syntax | ErrorType::Eof));
        JsonError::Syntax { fault, at }
    }
}
