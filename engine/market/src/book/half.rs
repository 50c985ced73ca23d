//! One side of the book: its levels by price, in price order, and in touch order.

use std::collections::HashMap;

use super::history::History;
use super::ladder::{Ladder, Rung};
use crate::event::{Level, Side};

/// From this many changes on, the ladder is sorted anew instead of changed rung by rung.
///
/// One insertion deep in a ladder of 100,000 rungs moves up to 1.6 MB. A feed's events change tens of levels, mostly near the
/// best price; a whole snapshot changes all of them, and rung by rung would cost the square of the book.
const REBUILD_CHANGES_MIN: usize = 1024;

/// The bids or the asks.
#[derive(Clone, Debug)]
pub(super) struct Half {
    side: Side,
    /// The slot of each remembered price, tombstones included.
    slots: HashMap<i64, u32, foldhash::fast::RandomState>,
    history: History,
    /// Exactly the levels whose quantity is above zero.
    ladder: Ladder,
}

impl Half {
    pub(super) fn new(side: Side) -> Half {
        Half {
            side,
            slots: HashMap::default(),
            history: History::new(),
            ladder: Ladder::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.history.clear();
        self.ladder.clear();
    }

    pub(super) fn level_count(&self) -> usize {
        self.ladder.len()
    }

    pub(super) fn tombstone_count(&self) -> usize {
        self.history.tombstone_count()
    }

    pub(super) fn best(&self) -> Option<Level> {
        self.ladder.best().map(|rung| self.history.level(rung.slot))
    }

    pub(super) fn best_first(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator {
        self.ladder.best_first().map(|rung| self.history.level(rung.slot))
    }

    /// Sets these levels, all touched by `id`, which is above every id before. Prices and quantities are not negative.
    pub(super) fn set(&mut self, levels: &[Level], id: u64) {
        if levels.len() < REBUILD_CHANGES_MIN {
            for &level in levels {
                self.set_on_ladder(level, id);
            }
        } else {
            for &level in levels {
                self.remember(level, id);
            }
            let side = self.side;
            self.ladder.rebuild(self.history.live().map(|(slot, level)| Rung {
                rank: rank(side, level.price),
                slot,
            }));
        }
    }

    fn set_on_ladder(&mut self, level: Level, id: u64) {
        let (slot, had) = self.remember(level, id);
        let rank = rank(self.side, level.price);
        match (had > 0, level.qty > 0) {
            (false, true) => self.ladder.insert(Rung { rank, slot }),
            (true, false) => self.ladder.remove(rank),
            (true, true) | (false, false) => {}
        }
    }

    /// Sets a level in map and history only. Returns its slot and the quantity it had.
    fn remember(&mut self, level: Level, id: u64) -> (u32, i64) {
        use std::collections::hash_map::Entry;
        match self.slots.entry(level.price) {
            Entry::Occupied(entry) => {
                let slot = *entry.get();
                (slot, self.history.touch(slot, level.qty, id))
            }
            Entry::Vacant(entry) => (*entry.insert(self.history.insert(level, id)), 0),
        }
    }

    /// How many live levels there would be after `levels`; where a price comes twice, its last quantity counts.
    pub(super) fn level_count_after(&self, levels: &[Level]) -> usize {
        let mut last: Vec<Level> = levels.iter().rev().copied().collect();
        // The sort is stable, so of one price the last in the update comes first and is the one kept.
        last.sort_by_key(|level| level.price);
        last.dedup_by_key(|level| level.price);
        let mut count = self.level_count();
        for level in last {
            match (self.is_live(level.price), level.qty > 0) {
                (false, true) => count += 1,
                (true, false) => count -= 1,
                (true, true) | (false, false) => {}
            }
        }
        count
    }

    fn is_live(&self, price: i64) -> bool {
        self.slots
            .get(&price)
            .is_some_and(|&slot| self.history.level(slot).qty > 0)
    }

    /// The changes that turn this side into `target`, which is sorted best first.
    pub(super) fn changes_to(&self, target: &[Level]) -> Vec<Level> {
        let mut changes = Vec::new();
        let mut have = self.best_first().peekable();
        for &want in target {
            let removed = |level: &Level| rank(self.side, level.price) > rank(self.side, want.price);
            while let Some(level) = have.next_if(removed) {
                changes.push(Level { qty: 0, ..level });
            }
            let same_price = have.next_if(|level| level.price == want.price);
            if same_price != Some(want) {
                changes.push(want);
            }
        }
        changes.extend(have.map(|level| Level { qty: 0, ..level }));
        changes
    }

    /// Appends the levels touched after `since`, best first, tombstones with quantity zero.
    pub(super) fn diff_since(&self, since: u64, out: &mut Vec<Level>) {
        out.extend(self.history.since(since));
        let side = self.side;
        out.sort_unstable_by_key(|level| std::cmp::Reverse(rank(side, level.price)));
    }

    pub(super) fn oldest_tombstone(&self) -> Option<u64> {
        self.history.oldest_tombstone()
    }

    pub(super) fn forget_oldest_tombstone(&mut self) {
        if let Some(price) = self.history.forget_oldest_tombstone() {
            self.slots.remove(&price);
        }
    }
}

/// Where a price stands on its side: higher is better. Prices are not negative, so negating one cannot overflow.
pub(super) fn rank(side: Side, price: i64) -> i64 {
    match side {
        Side::Bid => price,
        Side::Ask => -price,
    }
}
