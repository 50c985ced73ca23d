//! The live levels of one side in price order: a sorted vector with the best price at its end.
//!
//! Most changes of a market happen near the best price, so with the best at the end an insertion or a removal moves few
//! rungs, and iterating from the best is walking backwards over contiguous memory.

/// One live level: where it stands in price order, and where the rest of it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung {
    /// The price, negated for asks, so that on both sides a higher rank is a better price.
    pub(super) rank: i64,
    /// Its slot in the side's history.
    pub(super) slot: u32,
}

/// The rungs of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    /// Invariant: ranks rise strictly, so the best rung is the last.
    rungs: Vec<Rung>,
}

impl Ladder {
    pub(super) fn len(&self) -> usize {
        self.rungs.len()
    }

    pub(super) fn clear(&mut self) {
        self.rungs.clear();
    }

    pub(super) fn best(&self) -> Option<Rung> {
        self.rungs.last().copied()
    }

    pub(super) fn best_first(&self) -> impl DoubleEndedIterator<Item = Rung> + ExactSizeIterator {
        self.rungs.iter().rev().copied()
    }

    /// Adds a rung whose rank is not there yet.
    pub(super) fn insert(&mut self, rung: Rung) {
        let at = self.position(rung.rank);
        self.rungs.insert(at, rung);
    }

    /// Takes the rung of this rank out.
    pub(super) fn remove(&mut self, rank: i64) {
        let at = self.position(rank);
        if self.rungs.get(at).is_some_and(|rung| rung.rank == rank) {
            self.rungs.remove(at);
        }
    }

    /// Replaces all rungs by these, which come in any order with no rank twice.
    pub(super) fn rebuild(&mut self, rungs: impl Iterator<Item = Rung>) {
        self.rungs.clear();
        self.rungs.extend(rungs);
        self.rungs.sort_unstable_by_key(|rung| rung.rank);
    }

    fn position(&self, rank: i64) -> usize {
        self.rungs.partition_point(|rung| rung.rank < rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(ladder: &Ladder) -> Vec<i64> {
        ladder.best_first().map(|rung| rung.rank).collect()
    }

    #[test]
    fn keeps_the_best_last_and_iterates_it_first() {
        let mut ladder = Ladder::default();
        for (slot, rank) in [5, -3, 9, 0].into_iter().enumerate() {
            ladder.insert(Rung {
                rank,
                slot: slot as u32,
            });
        }
        assert_eq!(ranks(&ladder), [9, 5, 0, -3]);
        assert_eq!(ladder.best().map(|rung| (rung.rank, rung.slot)), Some((9, 2)));
        ladder.remove(9);
        ladder.remove(7);
        ladder.remove(-3);
        assert_eq!(ranks(&ladder), [5, 0]);
        ladder.rebuild([4, 8, -1].into_iter().map(|rank| Rung { rank, slot: 0 }));
        assert_eq!(ranks(&ladder), [8, 4, -1]);
        ladder.clear();
        assert_eq!(ladder.len(), 0);
        assert!(ladder.best().is_none());
    }
}
