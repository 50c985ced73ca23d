//! Which workers are full. A full worker's share of the newcomers is its heir's: the first of the workers behind it, in the
//! order of their numbers and round the end, that has room and a copy of its listener.
//!
//! Workers tell each other here alone, so each finds out by itself who accepts for whom, and all come to the same answer.

use std::sync::{Mutex, PoisonError};

use super::shared::Revision;

/// What all workers know of each other.
#[derive(Debug)]
pub struct Occupancy {
    /// Told with every change: a look at it costs nothing, and workers look in each turn.
    revision: Revision,
    /// Behind a lock that is taken when a worker has become full or has room again, and when others notice.
    state: Mutex<State>,
    neighbours: usize,
}

#[derive(Debug)]
struct State {
    is_full: Vec<bool>,
    /// The log was told that all are full, and not yet that this is over.
    all_were_full: bool,
}

/// One worker's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Whether somebody else accepts what arrives at this worker, while it is full.
    pub(super) has_heir: bool,
    /// For each worker before this one, nearest first, as far as it has copies of their listeners: whether it accepts for them.
    pub(super) inherits: Vec<bool>,
}

impl Occupancy {
    /// All of `workers` have room; each has copies of the listeners of `neighbours` before it.
    pub fn new(workers: usize, neighbours: usize) -> Occupancy {
        Occupancy {
            revision: Revision::default(),
            state: Mutex::new(State {
                is_full: vec![false; workers],
                all_were_full: false,
            }),
            neighbours: neighbours.min(workers.saturating_sub(1)),
        }
    }

    /// The number of the last change.
    pub(super) fn revision(&self) -> u64 {
        self.revision.get()
    }

    /// Worker number `index` has become full, or has room again. True when all have become full by this, for the first time
    /// since [`Occupancy::recovered`].
    pub(super) fn set_full(&self, index: usize, is_full: bool) -> bool {
        self.with_state(|state| {
            state.is_full[index] = is_full;
            self.revision.advance();
            let is_first = !state.all_were_full && state.is_full.iter().all(|&is_full| is_full);
            state.all_were_full |= is_first;
            is_first
        })
    }

    /// Some worker has had room for a while. True when all had been full before, the first time this is called then.
    pub(super) fn recovered(&self) -> bool {
        self.with_state(|state| std::mem::take(&mut state.all_were_full))
    }

    /// Whether no worker has room.
    pub(super) fn are_all_full(&self) -> bool {
        self.with_state(|state| state.is_full.iter().all(|&is_full| is_full))
    }

    /// How worker number `index` sees it now.
    pub(super) fn view(&self, index: usize) -> View {
        self.with_state(|state| {
            let workers = state.is_full.len();
            let heir = |of: usize| {
                let mut behind = (1..=self.neighbours).map(|step| (of + step) % workers);
                behind.find(|&worker| !state.is_full[worker])
            };
            let before = (1..=self.neighbours).map(|step| (index + workers - step) % workers);
            View {
                has_heir: heir(index).is_some(),
                inherits: before
                    .map(|worker| state.is_full[worker] && heir(worker) == Some(index))
                    .collect(),
            }
        })
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        // What a worker that has panicked left is as good as before: no change is ever half done.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_workers_heir_is_the_first_behind_it_with_room() {
        let occupancy = Occupancy::new(4, 3);
        let inherits = |index| occupancy.view(index).inherits;
        assert_eq!(inherits(0), [false; 3]);
        let before = occupancy.revision();
        assert!(!occupancy.set_full(3, true));
        assert!(occupancy.revision() > before);
        // Round the end.
        assert_eq!(inherits(0), [true, false, false]);
        assert!(!occupancy.set_full(0, true));
        assert_eq!(inherits(0), [false; 3]);
        assert_eq!(inherits(1), [true, true, false]);
        assert_eq!(inherits(2), [false; 3]);
        assert!(!occupancy.set_full(1, true));
        assert_eq!(inherits(2), [true; 3]);
        assert!(!occupancy.view(2).has_heir && occupancy.view(1).has_heir);
    }

    #[test]
    fn that_all_are_full_is_told_once_until_that_is_over() {
        let occupancy = Occupancy::new(2, 1);
        assert!(!occupancy.set_full(1, true));
        assert!(!occupancy.are_all_full());
        assert!(occupancy.set_full(0, true));
        assert!(occupancy.are_all_full());
        assert!(!occupancy.view(0).has_heir && !occupancy.view(1).has_heir);
        assert!(!occupancy.set_full(0, false));
        assert!(!occupancy.set_full(0, true));
        assert!(occupancy.recovered());
        assert!(!occupancy.recovered());
        assert!(occupancy.set_full(0, true));
    }

    #[test]
    fn a_worker_alone_has_nobody() {
        let occupancy = Occupancy::new(1, 0);
        assert!(occupancy.set_full(0, true));
        let nobody = View {
            has_heir: false,
            inherits: vec![],
        };
        assert_eq!(occupancy.view(0), nobody);
    }

    proptest! {
        #[test]
        fn every_full_worker_has_one_heir_where_one_of_its_neighbours_has_room(
            full in proptest::collection::vec(any::<bool>(), 1..20), neighbours in 0usize..20
        ) {
            let occupancy = Occupancy::new(full.len(), neighbours);
            for (index, &is_full) in full.iter().enumerate() {
                occupancy.set_full(index, is_full);
            }
            let reach = neighbours.min(full.len() - 1);
            for (index, &is_full) in full.iter().enumerate() {
                let behind = (1..=reach).map(|step| (index + step) % full.len());
                let has_room = behind.clone().any(|worker| !full[worker]);
                prop_assert_eq!(occupancy.view(index).has_heir, has_room);
                let heirs = (1..=reach)
                    .filter(|&step| occupancy.view((index + step) % full.len()).inherits[step - 1])
                    .count();
                prop_assert_eq!(heirs, usize::from(is_full && has_room));
            }
        }
    }
}
