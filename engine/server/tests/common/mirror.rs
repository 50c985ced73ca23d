//! The book of one subscriber, kept from nothing but what was sent to it.

use std::collections::BTreeMap;

use super::market::{Level, State, TOP_LEVELS, level_hash};

/// A subscriber's book.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    sides: [BTreeMap<i64, i64>; 2],
    hash: u64,
    id: u64,
    /// Nothing was applied since the snapshot: the next event may begin before it.
    is_fresh: bool,
}

impl Mirror {
    /// A book from a snapshot.
    pub fn new(id: u64, levels: &[Vec<Level>; 2]) -> Mirror {
        let mut mirror = Mirror {
            id,
            is_fresh: true,
            ..Mirror::default()
        };
        mirror.set(levels);
        mirror
    }

    /// The id it stands at.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The best levels of each side, best first.
    pub fn top(&self, levels_max: usize) -> [Vec<Level>; 2] {
        let [bids, asks] = &self.sides;
        let level = |(price, qty): (&i64, &i64)| (*price, *qty);
        [
            bids.iter().rev().map(level).take(levels_max).collect(),
            asks.iter().map(level).take(levels_max).collect(),
        ]
    }

    /// Condensed.
    pub fn state(&self) -> State {
        State {
            id: self.id,
            hash: self.hash,
            counts: self.sides.each_ref().map(BTreeMap::len),
            top: self.top(TOP_LEVELS),
        }
    }

    /// Applies an event by the public rules: one that is not newer is dropped (false), the first one contains the next
    /// id, and the others begin with it. Anything else panics.
    pub fn apply(&mut self, first_id: u64, last_id: u64, levels: &[Vec<Level>; 2]) -> bool {
        if self.is_fresh && last_id <= self.id {
            return false;
        }
        let next = self.id + 1;
        let continues = first_id == next || (self.is_fresh && first_id < next && last_id >= next);
        assert!(
            continues,
            "a gap: {first_id} to {last_id} where {next} comes next"
        );
        self.set(levels);
        self.id = last_id;
        self.is_fresh = false;
        true
    }

    /// Panics unless the book is the one of `state`, whole.
    pub fn assert_is(&self, state: &State) {
        let [bids, asks] = &self.sides;
        assert_eq!(self.id, state.id);
        assert_eq!([bids.len(), asks.len()], state.counts, "levels at id {}", self.id);
        let level = |(price, qty): (&i64, &i64)| (*price, *qty);
        assert!(
            bids.iter()
                .rev()
                .map(level)
                .take(state.top[0].len())
                .eq(state.top[0].iter().copied()),
            "the best bids at id {}",
            self.id
        );
        assert!(
            asks.iter()
                .map(level)
                .take(state.top[1].len())
                .eq(state.top[1].iter().copied()),
            "the best asks at id {}",
            self.id
        );
        assert_eq!(self.hash, state.hash, "some level at id {}", self.id);
    }

    fn set(&mut self, levels: &[Vec<Level>; 2]) {
        for (side, levels) in levels.iter().enumerate() {
            for &(price, qty) in levels {
                let before = if qty == 0 {
                    self.sides[side].remove(&price)
                } else {
                    self.hash ^= level_hash(side, (price, qty));
                    self.sides[side].insert(price, qty)
                };
                if let Some(before) = before {
                    self.hash ^= level_hash(side, (price, before));
                }
            }
        }
    }
}
