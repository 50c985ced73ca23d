//! The rules by which a subscriber joins a snapshot and a stream of updates, without I/O and without a book.
//!
//! The exchange's rules (binance-spot-api-docs, "How to manage a local order book correctly"), as kept here:
//! 1. Updates are buffered until there is a snapshot.
//! 2. A snapshot whose id + 1 is below U of the first buffered update it does not cover is too old: fetch again.
//! 3. Updates with u at or below the snapshot's id are dropped.
//! 4. The first one applied covers the snapshot's id + 1: `U <= id + 1 <= u`.
//! 5. From then on U is the previous u + 1.
//!
//! A caller gives every update to [`BookSync::on_update`] and every snapshot to [`BookSync::on_snapshot`], and does with its
//! book what the verdict says; after a `Load` it takes the buffered updates from [`BookSync::pop_ready`] until there are none.
//! A caller whose book already stands at an id (a resumed connection) calls [`BookSync::reset`] and then
//! `on_snapshot(that id)`.

use std::collections::VecDeque;

use crate::event::DepthUpdate;

/// What to do with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateVerdict {
    /// Apply it to the book, now.
    Apply,
    /// A copy was kept: it comes back from [`BookSync::pop_ready`] after a snapshot.
    Buffered,
    /// The book already holds it: drop it.
    Old,
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotVerdict {
    /// Put it in the place of the book, then drain [`BookSync::pop_ready`].
    Load,
    /// It does not reach the buffered updates: drop it and fetch a newer one. Nothing has changed here.
    FetchAgain,
    /// The book stands at this id or past it: drop it.
    Ignored,
}

/// Why updates could not be joined. The fault is the feed's, except for [`SyncError::BufferFull`], where the snapshot took
/// too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// An update does not continue the book: updates were lost, or two overlap. No longer synced; the update has been
    /// buffered, and a snapshot is needed.
    #[error("update {first_id} to {last_id} does not continue the book: expected it to start at {expected}")]
    Gap {
        /// The first id expected.
        expected: u64,
        /// First id of the update.
        first_id: u64,
        /// Last id of the update.
        last_id: u64,
    },
    /// The update's id range runs backwards. It was dropped and nothing else has changed.
    #[error("an update has its ids inverted: first {first_id}, last {last_id}")]
    Inverted {
        /// First id as given.
        first_id: u64,
        /// Last id as given.
        last_id: u64,
    },
    /// No room to wait for the snapshot: the oldest buffered update was dropped and the new one buffered. A caller may go on:
    /// a later snapshot has to cover the hole, an older one is answered with `FetchAgain`.
    #[error("{updates_max} updates are waiting for a snapshot; {dropped} older ones have been dropped")]
    BufferFull {
        /// How many can wait.
        updates_max: usize,
        /// How many have been dropped since the last reset.
        dropped: u64,
    },
}

/// The state of one subscriber's book against its stream. It holds ids and waiting updates, and no book.
#[derive(Clone, Debug)]
pub struct BookSync {
    /// At least 1, so that the update behind a gap always has a place.
    updates_max: usize,
    /// Updates that wait for a snapshot, or for `pop_ready` after one, in order of arrival.
    buffer: VecDeque<DepthUpdate>,
    /// Where the caller's book stands; `None` while a snapshot is needed.
    position: Option<Position>,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    last_id: u64,
    /// Nothing has been applied since the snapshot: the next update may start before it.
    at_snapshot: bool,
}

impl BookSync {
    /// A subscriber without a snapshot, with room for `buffer_updates_max` waiting updates (at least 1).
    pub fn new(buffer_updates_max: usize) -> BookSync {
        BookSync {
            updates_max: buffer_updates_max.max(1),
            buffer: VecDeque::new(),
            position: None,
            dropped: 0,
        }
    }

    /// Judges the next update of the stream. While others wait it waits behind them, so order is kept.
    pub fn on_update(&mut self, update: &DepthUpdate) -> Result<UpdateVerdict, SyncError> {
        let &DepthUpdate {
            first_id, last_id, ..
        } = update;
        if first_id > last_id {
            return Err(SyncError::Inverted { first_id, last_id });
        }
        let Some(position) = self.position.filter(|_| self.buffer.is_empty()) else {
            return self.buffer_update(update);
        };
        match self.advance(position, update) {
            Ok(true) => Ok(UpdateVerdict::Apply),
            Ok(false) => Ok(UpdateVerdict::Old),
            Err(gap) => {
                self.buffer_update(update)?;
                Err(gap)
            }
        }
    }

    /// Judges a snapshot, or the id that the caller's book already stands at.
    ///
    /// With a book in place only a newer one is loaded: a stream that could not merge what a slow subscriber missed sends
    /// such a snapshot. Ids that go back are another history: the caller has to [`BookSync::reset`] first.
    pub fn on_snapshot(&mut self, last_id: u64) -> SnapshotVerdict {
        if self.position.is_some_and(|position| last_id <= position.last_id) {
            return SnapshotVerdict::Ignored;
        }
        // Too old is a snapshot that leaves a hole before the first update it does not cover. The public rules also fetch
        // again where that update begins at exactly the next id; it fits, so it is taken.
        let next = self.buffer.iter().find(|update| update.last_id > last_id);
        if next.is_some_and(|update| update.first_id > last_id.saturating_add(1)) {
            return SnapshotVerdict::FetchAgain;
        }
        self.position = Some(Position {
            last_id,
            at_snapshot: true,
        });
        SnapshotVerdict::Load
    }

    /// The next buffered update to apply, after a `Load`; `None` when the stream itself continues the book, or when a
    /// snapshot is needed. On a gap the update stays buffered and a snapshot is needed.
    pub fn pop_ready(&mut self) -> Result<Option<DepthUpdate>, SyncError> {
        while let Some(position) = self.position
            && let Some(update) = self.buffer.pop_front()
        {
            match self.advance(position, &update) {
                Ok(true) => return Ok(Some(update)),
                Ok(false) => {}
                Err(gap) => {
                    self.buffer.push_front(update);
                    return Err(gap);
                }
            }
        }
        Ok(None)
    }

    /// Whether the caller's book is in step with the stream: a snapshot is in place and nothing waits.
    pub fn is_synced(&self) -> bool {
        self.position.is_some() && self.buffer.is_empty()
    }

    /// The id the caller's book stands at, when it has done as told; `None` while a snapshot is needed.
    pub fn last_id(&self) -> Option<u64> {
        self.position.map(|position| position.last_id)
    }

    /// How many updates wait.
    pub fn buffered_updates(&self) -> usize {
        self.buffer.len()
    }

    /// How many waiting updates were dropped for want of room since the last reset.
    pub fn dropped_updates(&self) -> u64 {
        self.dropped
    }

    /// Forgets everything, as for a new connection or a new epoch.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.position = None;
        self.dropped = 0;
    }

    /// Moves the position over the update and says whether it is to be applied (or is old); gives the position up when the
    /// update does not continue it.
    fn advance(&mut self, position: Position, update: &DepthUpdate) -> Result<bool, SyncError> {
        let &DepthUpdate {
            first_id, last_id, ..
        } = update;
        if last_id <= position.last_id {
            return Ok(false);
        }
        // Not past the largest id, since `last_id` is above it.
        let expected = position.last_id + 1;
        if first_id == expected || (position.at_snapshot && first_id < expected) {
            self.position = Some(Position {
                last_id,
                at_snapshot: false,
            });
            return Ok(true);
        }
        self.position = None;
        Err(SyncError::Gap {
            expected,
            first_id,
            last_id,
        })
    }

    fn buffer_update(&mut self, update: &DepthUpdate) -> Result<UpdateVerdict, SyncError> {
        let full = self.buffer.len() >= self.updates_max;
        if full {
            self.buffer.pop_front();
            self.dropped += 1;
        }
        self.buffer.push_back(update.clone());
        if full {
            return Err(SyncError::BufferFull {
                updates_max: self.updates_max,
                dropped: self.dropped,
            });
        }
        Ok(UpdateVerdict::Buffered)
    }
}
