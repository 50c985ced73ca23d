//! The versioned order book: levels of both sides that remember which update id last touched them, so that one question,
//! "what changed since id N", answers conflation, resume and slower cadences alike.
//!
//! Quantities are absolute, so merging updates is keeping the last one of each level. Removed levels stay as *tombstones*,
//! of which a bounded number is remembered; what the bound costs is that very old ids get the answer "too old".
//!
//! Memory per live level: 32 bytes of slot, 16 of ladder and about 20 to 39 of hash table (17 over its load factor, 7/16 to 7/8);
//! with the slack of growing vectors 70 to 135 bytes. A tombstone is the same without the ladder. In a steady state
//! (sizes no longer reach new highs) applying and differencing allocate nothing.

mod error;
mod half;
mod history;
mod ladder;

pub use error::{BookError, DiffError};

use std::collections::VecDeque;

use crate::event::{BookSnapshot, DepthUpdate, Level, Side};
use half::Half;

/// The largest update id: ids go out in signed 64-bit fields (SBE `firstBookUpdateId`, `lastBookUpdateId`).
pub const UPDATE_ID_MAX: u64 = i64::MAX as u64;

/// No limit can be set above this, and no update may have more levels a side: slots are numbered in 32 bits.
const LEVELS_MAX: usize = 1 << 30;

// Live levels, tombstones and the levels of one update fit the slot numbers together, with one number to spare for "none".
const _: () = assert!(3 * LEVELS_MAX < u32::MAX as usize);

/// What a book may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLimits {
    /// Live levels a side. An update or snapshot that would pass it is refused.
    pub levels_per_side_max: usize,
    /// Removed levels remembered, both sides together. Past it the oldest are forgotten.
    pub tombstones_max: usize,
}

impl Default for BookLimits {
    /// 100,000 levels a side: the deepest spot books have some tens of thousands; at 135 bytes a level this bounds a
    /// runaway feed to 27 MB a symbol. 16,384 tombstones: BTCUSDT removes some 170 levels a second, so this remembers a
    /// minute and a half, longer than a subscriber takes to reconnect, in 1 to 2 MB.
    fn default() -> Self {
        BookLimits {
            levels_per_side_max: 100_000,
            tombstones_max: 16_384,
        }
    }
}

/// One instrument's order book with its memory of changes.
#[derive(Clone, Debug)]
pub struct Book {
    limits: BookLimits,
    bids: Half,
    asks: Half,
    loaded: bool,
    last_id: u64,
    event_time_us: i64,
    /// Invariant: every change after this id is still remembered; no tombstone is of this id or older.
    oldest_since: u64,
    /// Resyncs that passed over ids, oldest first: from which id to which, both known. Of a book in between nothing is known.
    skipped: VecDeque<(u64, u64)>,
}

/// Resyncs over ids that are remembered. Past it the history begins behind the oldest of them.
const SKIPPED_MAX: usize = 64;

impl Book {
    /// An empty book without a history: it takes a [`Book::load`] first. Limits past 2^30 count as 2^30.
    pub fn new(limits: BookLimits) -> Book {
        Book {
            limits: BookLimits {
                levels_per_side_max: limits.levels_per_side_max.min(LEVELS_MAX),
                tombstones_max: limits.tombstones_max.min(LEVELS_MAX),
            },
            bids: Half::new(Side::Bid),
            asks: Half::new(Side::Ask),
            loaded: false,
            last_id: 0,
            event_time_us: 0,
            oldest_since: 0,
            skipped: VecDeque::new(),
        }
    }

    /// Replaces everything by a snapshot and starts a history (an epoch) with it: what was before it is forgotten, so a
    /// difference since an older id is "too old". The event time is unknown (0) until the first update.
    pub fn load(&mut self, snapshot: &BookSnapshot) -> Result<(), BookError> {
        self.check_snapshot(snapshot)?;
        self.bids.clear();
        self.asks.clear();
        self.bids.set(&snapshot.bids, snapshot.last_id);
        self.asks.set(&snapshot.asks, snapshot.last_id);
        self.loaded = true;
        self.last_id = snapshot.last_id;
        self.oldest_since = snapshot.last_id;
        self.skipped.clear();
        self.event_time_us = 0;
        Ok(())
    }

    /// Applies an update that covers the next id: `first_id <= last_id() + 1 <= update.last_id`.
    ///
    /// Each of its levels is touched by `update.last_id`, also a removal of an absent level and a quantity that was the same
    /// before, so `diff_since` of the id before gives back the levels of the update. Where a price comes twice in one side,
    /// the last one counts. Levels may come in any order.
    pub fn apply(&mut self, update: &DepthUpdate) -> Result<(), BookError> {
        self.check_update(update)?;
        self.bids.set(&update.bids, update.last_id);
        self.asks.set(&update.asks, update.last_id);
        self.last_id = update.last_id;
        self.event_time_us = update.event_time_us;
        self.forget_tombstones();
        Ok(())
    }

    /// Brings the book to a later snapshot of the same history by applying the difference: levels that changed, went or came
    /// are touched by `snapshot.last_id`, so whoever is at an older id gets one contiguous diff to the snapshot. What happened
    /// at ids in between, which this book never stood at, is not known: a level may have gone and come back.
    ///
    /// The snapshot is taken as the whole book: levels beyond its depth are removed. A snapshot of `last_id()` itself changes
    /// nothing: one id names one book, and a difference could not be told to anyone who already is at that id. The event
    /// time stays that of the last update, since a snapshot has none.
    pub fn resync(&mut self, snapshot: &BookSnapshot) -> Result<(), BookError> {
        if !self.loaded {
            return Err(BookError::NotLoaded);
        }
        self.check_snapshot(snapshot)?;
        if snapshot.last_id < self.last_id {
            return Err(BookError::WentBack {
                last_id: self.last_id,
                snapshot_id: snapshot.last_id,
            });
        }
        if snapshot.last_id > self.last_id {
            for (half, target) in [(&mut self.bids, &snapshot.bids), (&mut self.asks, &snapshot.asks)] {
                let changes = half.changes_to(target);
                half.set(&changes, snapshot.last_id);
            }
            if snapshot.last_id > self.last_id + 1 {
                self.skipped.push_back((self.last_id, snapshot.last_id));
            }
            if self.skipped.len() > SKIPPED_MAX
                && let Some((_, until)) = self.skipped.pop_front()
            {
                self.oldest_since = self.oldest_since.max(until);
            }
            self.last_id = snapshot.last_id;
            self.forget_tombstones();
        }
        Ok(())
    }

    /// Writes the merged difference from `since` to now into `out`, whose vectors are reused.
    ///
    /// It covers `since + 1..=last_id()` and has each level touched after `since` with its present quantity, zero where it is
    /// gone, best first. The event time is that of the last applied update. Since `last_id()` the difference is
    /// empty, and only then `first_id` is above `last_id`. On an error `out` is as it was.
    pub fn diff_since(&self, since: u64, out: &mut DepthUpdate) -> Result<(), DiffError> {
        if since > self.last_id {
            return Err(DiffError::Future {
                last_id: self.last_id,
            });
        }
        if since < self.oldest_since {
            return Err(DiffError::TooOld {
                oldest: self.oldest_since,
            });
        }
        let mut skipped = self.skipped.iter();
        if let Some(&(_, until)) = skipped.find(|(from, until)| *from < since && since < *until) {
            return Err(DiffError::Skipped { until });
        }
        out.event_time_us = self.event_time_us;
        out.first_id = since + 1;
        out.last_id = self.last_id;
        out.bids.clear();
        out.asks.clear();
        self.bids.diff_since(since, &mut out.bids);
        self.asks.diff_since(since, &mut out.asks);
        Ok(())
    }

    /// The best `levels_max` levels of a side, best first.
    pub fn top(
        &self,
        side: Side,
        levels_max: usize,
    ) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator {
        self.half(side).best_first().take(levels_max)
    }

    /// Writes the best `limit` levels a side into `out`, whose vectors are reused.
    pub fn snapshot(&self, limit: usize, out: &mut BookSnapshot) {
        out.last_id = self.last_id;
        out.bids.clear();
        out.bids.extend(self.top(Side::Bid, limit));
        out.asks.clear();
        out.asks.extend(self.top(Side::Ask, limit));
    }

    /// The best level of a side.
    pub fn best(&self, side: Side) -> Option<Level> {
        self.half(side).best()
    }

    /// Whether a snapshot has been loaded, so that the ids mean something.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The update id the book stands at; 0 before the first snapshot.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The event time of the last applied update, microseconds; 0 where there was none since the load.
    pub fn event_time_us(&self) -> i64 {
        self.event_time_us
    }

    /// Whether the best bid is at or above the best ask, which a matching engine never publishes.
    pub fn is_crossed(&self) -> bool {
        match (self.bids.best(), self.asks.best()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// How many live levels a side has.
    pub fn level_count(&self, side: Side) -> usize {
        self.half(side).level_count()
    }

    /// How many removed levels are remembered, both sides together.
    pub fn tombstone_count(&self) -> usize {
        self.bids.tombstone_count() + self.asks.tombstone_count()
    }

    /// The smallest id that [`Book::diff_since`] can answer.
    pub fn oldest_since(&self) -> u64 {
        self.oldest_since
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn check_update(&self, update: &DepthUpdate) -> Result<(), BookError> {
        let &DepthUpdate {
            first_id, last_id, ..
        } = update;
        if !self.loaded {
            return Err(BookError::NotLoaded);
        }
        if first_id > last_id {
            return Err(BookError::Inverted { first_id, last_id });
        }
        if last_id > UPDATE_ID_MAX {
            return Err(BookError::IdTooLarge { id: last_id });
        }
        if last_id <= self.last_id {
            return Err(BookError::Old {
                last_id: self.last_id,
                update_last_id: last_id,
            });
        }
        let expected = self.last_id + 1;
        if first_id > expected {
            return Err(BookError::Gap { expected, first_id });
        }
        for (side, levels) in [(Side::Bid, &update.bids), (Side::Ask, &update.asks)] {
            check_signs(side, levels)?;
            self.check_room(side, levels)?;
        }
        Ok(())
    }

    /// Refuses an update that would leave more live levels than allowed. Far from the limit it counts nothing.
    fn check_room(&self, side: Side, levels: &[Level]) -> Result<(), BookError> {
        if levels.len() > LEVELS_MAX {
            return Err(BookError::TooManyLevels {
                side,
                levels: levels.len(),
                levels_max: LEVELS_MAX,
            });
        }
        let levels_max = self.limits.levels_per_side_max;
        if self.level_count(side) + levels.len() <= levels_max {
            return Ok(());
        }
        let after = self.half(side).level_count_after(levels);
        if after > levels_max {
            return Err(BookError::TooManyLevels {
                side,
                levels: after,
                levels_max,
            });
        }
        Ok(())
    }

    fn check_snapshot(&self, snapshot: &BookSnapshot) -> Result<(), BookError> {
        if snapshot.last_id > UPDATE_ID_MAX {
            return Err(BookError::IdTooLarge { id: snapshot.last_id });
        }
        for (side, levels) in [(Side::Bid, &snapshot.bids), (Side::Ask, &snapshot.asks)] {
            if levels.len() > self.limits.levels_per_side_max {
                return Err(BookError::TooManyLevels {
                    side,
                    levels: levels.len(),
                    levels_max: self.limits.levels_per_side_max,
                });
            }
            check_signs(side, levels)?;
            if let Some(empty) = levels.iter().find(|level| level.qty == 0) {
                return Err(BookError::EmptyLevel {
                    side,
                    price: empty.price,
                });
            }
            for pair in levels.windows(2) {
                if half::rank(side, pair[1].price) >= half::rank(side, pair[0].price) {
                    return Err(BookError::Unsorted {
                        side,
                        price: pair[1].price,
                    });
                }
            }
        }
        Ok(())
    }

    /// Brings the tombstones back under their limit, oldest first. Once one removal of an id is forgotten, the others of that
    /// id serve nobody and go with it.
    fn forget_tombstones(&mut self) {
        loop {
            let (bid, ask) = (self.bids.oldest_tombstone(), self.asks.oldest_tombstone());
            let Some(oldest) = bid.into_iter().chain(ask).min() else {
                return;
            };
            if self.tombstone_count() <= self.limits.tombstones_max && oldest > self.oldest_since {
                return;
            }
            self.oldest_since = self.oldest_since.max(oldest);
            let half = if bid == Some(oldest) {
                &mut self.bids
            } else {
                &mut self.asks
            };
            half.forget_oldest_tombstone();
        }
    }
}

fn check_signs(side: Side, levels: &[Level]) -> Result<(), BookError> {
    match levels.iter().find(|level| level.price < 0 || level.qty < 0) {
        Some(&Level { price, qty }) => Err(BookError::Negative { side, price, qty }),
        None => Ok(()),
    }
}
