//! Why a book refused what it was given or asked. What a feed gave is the feed's fault; what was asked is the asker's.

use crate::event::Side;

/// Why an update or a snapshot was refused. The book is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// An update or a resync came before the first snapshot was loaded. The caller's fault; all others are the feed's.
    #[error("no snapshot has been loaded yet")]
    NotLoaded,
    /// Updates are missing between the book and this one.
    #[error("the feed skipped updates: expected id {expected}, got an update that starts at {first_id}")]
    Gap {
        /// The id that had to be covered next.
        expected: u64,
        /// The first id of the update.
        first_id: u64,
    },
    /// The book already holds everything the update covers.
    #[error("the update ends at id {update_last_id}, and the book already stands at {last_id}")]
    Old {
        /// The id the book stands at.
        last_id: u64,
        /// The last id of the update.
        update_last_id: u64,
    },
    /// The update's id range runs backwards.
    #[error("the feed's update has its ids inverted: first {first_id}, last {last_id}")]
    Inverted {
        /// First id as given.
        first_id: u64,
        /// Last id as given.
        last_id: u64,
    },
    /// The id does not fit the signed 64-bit fields that carry it to subscribers.
    #[error(
        "the feed's update id {id} is above the largest possible, {}",
        super::UPDATE_ID_MAX
    )]
    IdTooLarge {
        /// The id as given.
        id: u64,
    },
    /// The snapshot is of an id below the book's: another history, unless it is merely late. The caller decides whether a
    /// new epoch begins ([`super::Book::load`]).
    #[error("the feed's ids went back: snapshot of id {snapshot_id}, and the book stands at {last_id}")]
    WentBack {
        /// The id the book stands at.
        last_id: u64,
        /// The id of the snapshot.
        snapshot_id: u64,
    },
    /// A price or a quantity is below zero.
    #[error(
        "the feed gave a negative number: {side:?} level with price mantissa {price}, quantity mantissa {qty}"
    )]
    Negative {
        /// The side it was given for.
        side: Side,
        /// Price mantissa as given.
        price: i64,
        /// Quantity mantissa as given.
        qty: i64,
    },
    /// A snapshot has a level without a quantity.
    #[error("the feed's snapshot has an empty {side:?} level at price mantissa {price}")]
    EmptyLevel {
        /// The side it was given for.
        side: Side,
        /// Price mantissa.
        price: i64,
    },
    /// A snapshot is not strictly sorted best first.
    #[error("the feed's snapshot is not sorted best first: {side:?} price mantissa {price} is out of order")]
    Unsorted {
        /// The side it was given for.
        side: Side,
        /// The first price mantissa out of order.
        price: i64,
    },
    /// More levels than the limit allows.
    #[error("the feed would bring the {side:?} side to {levels} levels; the limit is {levels_max}")]
    TooManyLevels {
        /// The side.
        side: Side,
        /// How many levels there would be (or, past any limit, how many changes came in one update).
        levels: usize,
        /// The limit.
        levels_max: usize,
    },
}

/// Why a difference could not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// The book's memory of removals does not reach back so far: a snapshot is needed.
    #[error("the id is too old: changes are remembered since id {oldest}")]
    TooOld {
        /// The smallest id that can be answered.
        oldest: u64,
    },
    /// A resync passed over the id: what changed between it and the snapshot is not known, and a snapshot is needed.
    #[error(
        "what happened between the id and id {until} is not known: the book was brought there by a snapshot"
    )]
    Skipped {
        /// The next id that can be answered.
        until: u64,
    },
    /// The id has not happened yet: it is of another history, or invented.
    #[error("the id lies in the future: the book stands at id {last_id}")]
    Future {
        /// The id the book stands at.
        last_id: u64,
    },
}
