//! A timer wheel: one deadline per entry, armed, moved and cancelled in O(1), nothing allocated per timer.
//!
//! Deadlines are ticks (the caller says how long one is). A slot holds every deadline that is equal to it modulo the
//! number of slots; one that is a round or more away is passed over until its round comes.

use super::chunks::Chunks;

/// Slots of the wheel. With ticks of 100 ms a round is 25.6 s, longer than the usual 20 s between pings, so that an
/// idle connection is looked at once per ping.
const SLOTS: usize = 256;

/// Bytes that each entry takes.
pub const LINK_BYTES: usize = size_of::<Link>();

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    /// The previous entry of the slot, or [`NONE`] at its head.
    previous: u32,
    /// Zero when it has none: one that it has is after the wheel's time, and so at least 1.
    deadline: u32,
}

impl Link {
    fn is_armed(&self) -> bool {
        self.deadline != 0
    }
}

// Every connection has one.
const _: () = assert!(size_of::<Link>() == 12);

impl Default for Link {
    fn default() -> Self {
        Link {
            next: NONE,
            previous: NONE,
            deadline: 0,
        }
    }
}

/// Deadlines by entry id.
#[derive(Debug)]
pub struct Wheel {
    links: Chunks<Link>,
    heads: Box<[u32; SLOTS]>,
    /// All deadlines up to this tick were handed out, except those still in `scan`.
    now: u32,
    /// The entry to look at next in the slot of `now`.
    scan: u32,
    armed: usize,
}

impl Wheel {
    /// A wheel whose time starts at tick `now`.
    pub fn new(now: u32) -> Wheel {
        Wheel {
            links: Chunks::default(),
            heads: Box::new([NONE; SLOTS]),
            now,
            scan: NONE,
            armed: 0,
        }
    }

    /// How many entries have a deadline.
    pub fn armed(&self) -> usize {
        self.armed
    }

    /// The deadline of `id`, if it has one.
    pub fn deadline(&self, id: u32) -> Option<u32> {
        self.links
            .get(id)
            .filter(|link| link.is_armed())
            .map(|link| link.deadline)
    }

    /// Gives `id` the deadline `tick`, in place of any it had. One that is not in the future is due at the next tick.
    pub fn arm(&mut self, id: u32, tick: u32) {
        self.cancel(id);
        self.links.reach(id);
        let deadline = tick.max(self.now + 1);
        let head = &mut self.heads[deadline as usize % SLOTS];
        let next = std::mem::replace(head, id);
        self.links[id] = Link {
            next,
            previous: NONE,
            deadline,
        };
        if next != NONE {
            self.links[next].previous = id;
        }
        self.armed += 1;
    }

    /// Takes the deadline of `id` away, if it has one.
    pub fn cancel(&mut self, id: u32) {
        let Some(link) = self.links.get(id).copied().filter(Link::is_armed) else {
            return;
        };
        if self.scan == id {
            self.scan = link.next;
        }
        match link.previous {
            NONE => self.heads[link.deadline as usize % SLOTS] = link.next,
            previous => self.links[previous].next = link.next,
        }
        if link.next != NONE {
            self.links[link.next].previous = link.previous;
        }
        self.links[id].deadline = 0;
        self.armed -= 1;
    }

    /// The next entry whose deadline is at or before tick `now`, disarmed; None when there is none (any more).
    /// The caller may arm and cancel between calls, and may stop calling and go on later.
    pub fn pop_expired(&mut self, now: u32) -> Option<u32> {
        loop {
            while self.scan != NONE {
                let id = self.scan;
                let link = self.links[id];
                self.scan = link.next;
                if link.deadline <= self.now {
                    self.cancel(id);
                    return Some(id);
                }
            }
            if self.now >= now {
                return None;
            }
            if self.armed == 0 {
                self.now = now;
                return None;
            }
            self.now += 1;
            self.scan = self.heads[self.now as usize % SLOTS];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_far_deadline_waits_for_its_round() {
        let mut wheel = Wheel::new(0);
        wheel.arm(1, 3);
        wheel.arm(2, 3 + SLOTS as u32);
        assert_eq!(wheel.pop_expired(2), None);
        assert_eq!(wheel.pop_expired(3), Some(1));
        assert_eq!(wheel.pop_expired(3 + SLOTS as u32 - 1), None);
        assert_eq!(wheel.pop_expired(3 + SLOTS as u32), Some(2));
        assert_eq!(wheel.armed(), 0);
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(steps in proptest::collection::vec((0u8..4, 0u32..30, 0u32..600), 0..200)) {
            let mut wheel = Wheel::new(100);
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            let mut now = 100;
            for (kind, id, delta) in steps {
                match kind {
                    0 | 1 => {
                        wheel.arm(id, now + delta);
                        model.insert(id, (now + delta).max(now + 1));
                    }
                    2 => {
                        wheel.cancel(id);
                        model.remove(&id);
                    }
                    _ => {
                        now += delta;
                        let mut popped: Vec<u32> = std::iter::from_fn(|| wheel.pop_expired(now)).collect();
                        popped.sort_unstable();
                        let due: Vec<u32> = model.iter().filter(|(_, d)| **d <= now).map(|(id, _)| *id).collect();
                        prop_assert_eq!(popped, due);
                        model.retain(|_, deadline| *deadline > now);
                    }
                }
                prop_assert_eq!(wheel.armed(), model.len());
                prop_assert_eq!(wheel.deadline(id), model.get(&id).copied());
            }
        }
    }
}
