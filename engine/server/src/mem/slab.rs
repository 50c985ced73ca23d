//! Slots with stable u32 keys, in chunks, reused last-freed-first so that a shrunken table stays dense in cache.

use super::chunks::Chunks;

/// "No slot": the end of the free list. No slab holds this many.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
enum Slot<T> {
    /// Unused; the next free slot.
    Free(u32),
    Used(T),
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot::Free(NONE)
    }
}

/// A bounded table of `T` under keys that stay valid until removed.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Chunks<Slot<T>>,
    /// First free slot, or [`NONE`].
    free: u32,
    /// Slots below this were used at least once.
    touched: u32,
    len: u32,
    /// No more entries than this; `insert` gives the value back at the limit.
    limit: u32,
}

impl<T> Slab<T> {
    /// Bytes that each entry takes.
    pub const SLOT_BYTES: usize = size_of::<Slot<T>>();

    /// A slab of at most `limit` entries. Allocates nothing yet.
    pub fn new(limit: u32) -> Slab<T> {
        Slab {
            slots: Chunks::default(),
            free: NONE,
            touched: 0,
            len: 0,
            limit,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// Above every key that was ever given.
    pub fn key_end(&self) -> u32 {
        self.touched
    }

    /// Puts `value` in a free slot and gives its key, or gives it back when the slab is full.
    pub fn insert(&mut self, value: T) -> Result<u32, T> {
        if self.is_full() {
            return Err(value);
        }
        let key = if self.free != NONE {
            self.free
        } else {
            self.slots.reach(self.touched);
            self.touched += 1;
            self.touched - 1
        };
        if let Slot::Free(next) = self.slots[key] {
            self.free = next;
        }
        self.slots[key] = Slot::Used(value);
        self.len += 1;
        Ok(key)
    }

    /// Takes the entry out, if there is one.
    pub fn remove(&mut self, key: u32) -> Option<T> {
        let slot = self.slots.get_mut(key)?;
        if matches!(slot, Slot::Free(_)) {
            return None;
        }
        let Slot::Used(value) = std::mem::replace(slot, Slot::Free(self.free)) else {
            return None;
        };
        self.free = key;
        self.len -= 1;
        Some(value)
    }

    /// The entry under `key`, if there is one.
    pub fn get(&self, key: u32) -> Option<&T> {
        match self.slots.get(key) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    /// The entry under `key`, if there is one.
    pub fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        match self.slots.get_mut(key) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    /// Every entry with its key, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.touched).filter_map(|key| self.get(key).map(|value| (key, value)))
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    /// Panics when there is no such entry: a bug of the caller.
    fn index(&self, key: u32) -> &T {
        self.get(key).expect("a key of a living entry")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, key: u32) -> &mut T {
        self.get_mut(key).expect("a key of a living entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_limit_gives_the_value_back() {
        let mut slab = Slab::new(2);
        assert_eq!(slab.insert('a'), Ok(0));
        assert_eq!(slab.insert('b'), Ok(1));
        assert_eq!(slab.insert('c'), Err('c'));
        assert_eq!(slab.remove(0), Some('a'));
        assert_eq!(slab.remove(0), None);
        assert_eq!(slab.insert('d'), Ok(0));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &'d'), (1, &'b')]);
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in proptest::collection::vec((any::<bool>(), 0u32..40), 0..400)) {
            let mut slab = Slab::new(30);
            let mut model = HashMap::new();
            for (insert, n) in steps {
                if insert {
                    match slab.insert(n) {
                        Ok(key) => prop_assert!(model.insert(key, n).is_none()),
                        Err(_) => prop_assert_eq!(model.len(), 30),
                    }
                } else {
                    prop_assert_eq!(slab.remove(n), model.remove(&n));
                }
                prop_assert_eq!(slab.len() as usize, model.len());
                prop_assert!(slab.iter().all(|(key, value)| model.get(&key) == Some(value)));
            }
        }
    }
}
