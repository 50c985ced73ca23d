//! Every level of one side that is remembered, in the order in which update ids touched it.
//!
//! Levels live in one vector of slots. Two doubly linked lists run through it, newest touch first: the live levels, and the
//! tombstones (removed levels, quantity zero). "What changed since id N" is then a walk from the newest end of both lists
//! that stops at the first older touch: it costs what changed, not what the book holds. Vacated slots are chained for
//! reuse, so a book of a steady size allocates nothing.

use crate::event::Level;

/// No slot: the end of a list.
const NONE: u32 = u32::MAX;

/// One remembered level. Where `qty` is zero it is a tombstone.
#[derive(Clone, Copy, Debug)]
struct Slot {
    price: i64,
    qty: i64,
    /// The update id that last set the quantity.
    touched: u64,
    /// The slot touched just after this one, in the same list.
    newer: u32,
    /// The slot touched just before this one, in the same list; in a vacant slot, the next vacant one.
    older: u32,
}

// The memory per level that the book's documentation states rests on this.
const _: () = assert!(size_of::<Slot>() == 32);

/// The ends of one list in touch order. Invariant: `touched` never rises from newest to oldest.
#[derive(Clone, Debug)]
struct TouchList {
    newest: u32,
    oldest: u32,
    len: usize,
}

const EMPTY_LIST: TouchList = TouchList {
    newest: NONE,
    oldest: NONE,
    len: 0,
};

/// The remembered levels of one side.
#[derive(Clone, Debug)]
pub(super) struct History {
    slots: Vec<Slot>,
    /// The first vacant slot.
    vacant: u32,
    live: TouchList,
    tombstones: TouchList,
}

impl History {
    pub(super) fn new() -> History {
        History {
            slots: Vec::new(),
            vacant: NONE,
            live: EMPTY_LIST,
            tombstones: EMPTY_LIST,
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.vacant = NONE;
        self.live = EMPTY_LIST;
        self.tombstones = EMPTY_LIST;
    }

    pub(super) fn tombstone_count(&self) -> usize {
        self.tombstones.len
    }

    pub(super) fn level(&self, slot: u32) -> Level {
        let Slot { price, qty, .. } = self.slots[slot as usize];
        Level { price, qty }
    }

    /// Remembers a level that was not remembered, touched by an id not below any before. Returns its slot.
    ///
    /// The caller keeps the number of slots below `u32::MAX` (see `LEVELS_MAX` of the book).
    pub(super) fn insert(&mut self, level: Level, touched: u64) -> u32 {
        let fresh = Slot {
            price: level.price,
            qty: level.qty,
            touched,
            newer: NONE,
            older: NONE,
        };
        let slot = self.vacant;
        let slot = if slot == NONE {
            self.slots.push(fresh);
            (self.slots.len() - 1) as u32
        } else {
            self.vacant = self.slots[slot as usize].older;
            self.slots[slot as usize] = fresh;
            slot
        };
        self.link_newest(slot);
        slot
    }

    /// Sets the quantity of a remembered level, touched by an id not below any before. Returns the quantity it had.
    pub(super) fn touch(&mut self, slot: u32, qty: i64, touched: u64) -> i64 {
        self.unlink(slot);
        let level = &mut self.slots[slot as usize];
        let had = std::mem::replace(&mut level.qty, qty);
        level.touched = touched;
        self.link_newest(slot);
        had
    }

    /// The id that touched the oldest tombstone.
    pub(super) fn oldest_tombstone(&self) -> Option<u64> {
        self.slots
            .get(self.tombstones.oldest as usize)
            .map(|slot| slot.touched)
    }

    /// Forgets the oldest tombstone and returns its price.
    pub(super) fn forget_oldest_tombstone(&mut self) -> Option<i64> {
        let slot = self.tombstones.oldest;
        let price = self.slots.get(slot as usize)?.price;
        self.unlink(slot);
        self.slots[slot as usize].older = self.vacant;
        self.vacant = slot;
        Some(price)
    }

    /// The live levels with their slots, newest touch first.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, Level)> {
        self.walk(&self.live).map(|slot| (slot, self.level(slot)))
    }

    /// The levels touched after `since`, tombstones with quantity zero, in no useful order.
    pub(super) fn since(&self, since: u64) -> impl Iterator<Item = Level> {
        let newer = move |slot: &u32| self.slots[*slot as usize].touched > since;
        self.walk(&self.live)
            .take_while(newer)
            .chain(self.walk(&self.tombstones).take_while(newer))
            .map(|slot| self.level(slot))
    }

    fn walk(&self, list: &TouchList) -> impl Iterator<Item = u32> {
        std::iter::successors(some_slot(list.newest), |slot| {
            some_slot(self.slots[*slot as usize].older)
        })
    }

    /// The list that a level of this quantity belongs to.
    fn list_of(&mut self, qty: i64) -> &mut TouchList {
        if qty == 0 {
            &mut self.tombstones
        } else {
            &mut self.live
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let qty = self.slots[slot as usize].qty;
        let list = self.list_of(qty);
        let second = std::mem::replace(&mut list.newest, slot);
        if second == NONE {
            list.oldest = slot;
        }
        list.len += 1;
        self.slots[slot as usize].newer = NONE;
        self.slots[slot as usize].older = second;
        if second != NONE {
            self.slots[second as usize].newer = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot {
            qty, newer, older, ..
        } = self.slots[slot as usize];
        let list = self.list_of(qty);
        list.len -= 1;
        if newer == NONE {
            list.newest = older;
        }
        if older == NONE {
            list.oldest = newer;
        }
        if newer != NONE {
            self.slots[newer as usize].older = older;
        }
        if older != NONE {
            self.slots[older as usize].newer = newer;
        }
    }
}

fn some_slot(slot: u32) -> Option<u32> {
    (slot != NONE).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: i64, qty: i64) -> Level {
        Level { price, qty }
    }

    #[test]
    fn walks_the_newest_touches_of_both_lists() {
        let mut history = History::new();
        let first = history.insert(level(10, 1), 1);
        let second = history.insert(level(11, 2), 2);
        history.insert(level(12, 0), 3);
        assert_eq!(history.touch(first, 5, 4), 1);
        let since = |id| history.since(id).collect::<Vec<_>>();
        assert_eq!(since(3), [level(10, 5)]);
        assert_eq!(since(2), [level(10, 5), level(12, 0)]);
        assert_eq!(since(0), [level(10, 5), level(11, 2), level(12, 0)]);
        assert_eq!(
            history.live().collect::<Vec<_>>(),
            [(first, level(10, 5)), (second, level(11, 2))]
        );
    }

    #[test]
    fn a_level_moves_between_the_lists_and_its_slot_is_reused() {
        let mut history = History::new();
        let slot = history.insert(level(10, 1), 1);
        assert_eq!(history.oldest_tombstone(), None);
        assert_eq!(history.forget_oldest_tombstone(), None);
        assert_eq!(history.touch(slot, 0, 2), 1);
        assert_eq!(
            (history.tombstone_count(), history.oldest_tombstone()),
            (1, Some(2))
        );
        assert_eq!(history.touch(slot, 7, 3), 0);
        assert_eq!(history.tombstone_count(), 0);
        history.touch(slot, 0, 4);
        assert_eq!(history.forget_oldest_tombstone(), Some(10));
        assert_eq!(history.since(0).count(), 0);
        assert_eq!(history.insert(level(20, 3), 5), slot);
        assert_ne!(history.insert(level(21, 3), 5), slot);
        assert_eq!(history.slots.len(), 2);
    }
}
