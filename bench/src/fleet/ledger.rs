//! What the books of a process looked like at which id, so that a reader which was told in fewer events can be held against
//! one that was told all: whoever stands at the same id of a stream has to have the same book.

use std::collections::{BTreeMap, HashMap};

/// Ids of a stream that are remembered, the newest: minutes of a stream of ten events a second, and far longer than an
/// engine lets somebody fall behind.
const IDS_MAX: usize = 4096;

/// The books of a process at their ids.
#[derive(Debug, Default)]
pub struct Ledger {
    streams: HashMap<String, BTreeMap<u64, Entry>>,
    /// Events that told a slow reader several of the others' in one, or the whole book again.
    pub conflations: u64,
    /// Comparisons of a slow reader's book with that of one that kept up.
    pub compared: u64,
    /// Those among them right after a conflation.
    pub conflations_compared: u64,
    /// Those that found a difference.
    pub different: u64,
}

#[derive(Debug)]
struct Entry {
    /// Of the whole book.
    hash: u64,
    /// One that kept up has told it.
    is_sure: bool,
    /// Slow readers that told it before: they count once it is sure.
    waiting: u64,
    waiting_conflated: u64,
}

/// Who tells what its book looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// A reader that keeps up.
    Healthy,
    /// One that stops and resumes.
    Slow {
        /// What it was told last was told to others in several events.
        conflated: bool,
    },
}

impl Ledger {
    /// Whether a reader that keeps up has stood between these ids: then one event with both was told to others in several.
    pub fn is_merged(&self, stream: &str, first_id: u64, last_id: u64) -> bool {
        let ids = self.streams.get(stream).filter(|_| first_id < last_id);
        ids.is_some_and(|ids| ids.range(first_id..last_id).any(|(_, entry)| entry.is_sure))
    }

    /// Whether a healthy reader's book at this id is known already.
    pub fn is_sure(&self, stream: &str, id: u64) -> bool {
        let ids = self.streams.get(stream);
        ids.and_then(|ids| ids.get(&id))
            .is_some_and(|entry| entry.is_sure)
    }

    /// Somebody's book of `stream` at `id`. False where it is another than one told before.
    pub fn tell(&mut self, stream: &str, id: u64, hash: u64, teller: Teller) -> bool {
        if !self.streams.contains_key(stream) {
            self.streams.insert(stream.to_string(), BTreeMap::new());
        }
        let Some(ids) = self.streams.get_mut(stream) else {
            return true;
        };
        // What has been forgotten cannot be compared any more.
        if ids.len() >= IDS_MAX && ids.first_key_value().is_some_and(|(&oldest, _)| id < oldest) {
            return true;
        }
        let entry = ids.entry(id).or_insert(Entry {
            hash,
            is_sure: false,
            waiting: 0,
            waiting_conflated: 0,
        });
        let is_same = entry.hash == hash;
        match teller {
            Teller::Healthy => {
                entry.is_sure = true;
                entry.hash = hash;
                self.compared += entry.waiting;
                self.conflations_compared += entry.waiting_conflated;
                self.different += if is_same { 0 } else { entry.waiting.max(1) };
                (entry.waiting, entry.waiting_conflated) = (0, 0);
            }
            Teller::Slow { conflated } if entry.is_sure => {
                self.compared += 1;
                self.conflations_compared += u64::from(conflated);
                self.different += u64::from(!is_same);
            }
            Teller::Slow { conflated } => {
                entry.waiting += 1;
                entry.waiting_conflated += u64::from(conflated);
                self.different += u64::from(!is_same);
            }
        }
        if ids.len() > IDS_MAX {
            ids.pop_first();
        }
        is_same
    }
}

#[cfg(test)]
mod tests {
    use super::super::trail::digest_of_book;
    use super::*;
    use depthcast_market::book::{Book, BookLimits};
    use depthcast_market::event::{BookSnapshot, DepthUpdate, Level};

    const SLOW: Teller = Teller::Slow { conflated: false };
    const CONFLATED: Teller = Teller::Slow { conflated: true };

    fn counts(ledger: &Ledger) -> (u64, u64, u64) {
        (ledger.compared, ledger.conflations_compared, ledger.different)
    }

    #[test]
    fn whoever_comes_first_is_compared_with_the_one_that_kept_up() {
        let mut ledger = Ledger::default();
        assert!(ledger.tell("a", 5, 77, Teller::Healthy));
        assert!(ledger.tell("a", 5, 77, CONFLATED));
        assert!(!ledger.tell("a", 5, 78, SLOW));
        assert_eq!(counts(&ledger), (2, 1, 1));
        // A slow reader that is ahead counts once the other stands there, too.
        assert!(ledger.tell("a", 9, 80, CONFLATED));
        assert!(ledger.tell("b", 9, 81, Teller::Healthy), "another stream");
        assert_eq!(counts(&ledger), (2, 1, 1));
        assert!(ledger.tell("a", 9, 80, Teller::Healthy));
        assert_eq!(counts(&ledger), (3, 2, 1));
        assert!(ledger.tell("a", 12, 1, SLOW));
        assert!(!ledger.tell("a", 12, 2, Teller::Healthy));
        assert_eq!(counts(&ledger), (4, 2, 2));
    }

    #[test]
    fn an_event_is_merged_where_others_stood_within_it() {
        let mut ledger = Ledger::default();
        for id in [10, 14, 20] {
            ledger.tell("a", id, id, Teller::Healthy);
        }
        ledger.tell("a", 17, 0, SLOW);
        assert!(ledger.is_merged("a", 11, 20) && ledger.is_merged("a", 14, 15));
        assert!(!ledger.is_merged("a", 11, 14), "exactly one event");
        assert!(!ledger.is_merged("a", 15, 20), "only a slow one stood there");
        assert!(!ledger.is_merged("b", 0, 100) && !ledger.is_merged("a", 14, 14));
        assert!(ledger.is_sure("a", 14) && !ledger.is_sure("a", 17));
    }

    #[test]
    fn old_ids_are_forgotten() {
        let mut ledger = Ledger::default();
        for id in 1..=IDS_MAX as u64 + 10 {
            ledger.tell("a", id, 1, Teller::Healthy);
        }
        assert_eq!(ledger.streams["a"].len(), IDS_MAX);
        assert!(ledger.tell("a", 10, 2, SLOW), "nobody knows any more");
        assert_eq!(counts(&ledger), (0, 0, 0));
    }

    #[test]
    fn every_level_of_a_book_tells() {
        let level = |price, qty| Level { price, qty };
        let book = |bids: Vec<Level>, asks: Vec<Level>| {
            let mut book = Book::new(BookLimits {
                levels_per_side_max: 10,
                tombstones_max: 0,
            });
            book.load(&BookSnapshot {
                last_id: 3,
                bids,
                asks,
            })
            .unwrap();
            book
        };
        let one = book(vec![level(5, 1), level(4, 1)], vec![level(6, 1)]);
        let mut other = book(vec![level(5, 1)], vec![level(6, 1)]);
        assert_ne!(digest_of_book(&one), digest_of_book(&other));
        let update = DepthUpdate {
            event_time_us: 0,
            first_id: 4,
            last_id: 9,
            bids: vec![level(4, 1)],
            asks: Vec::new(),
        };
        other.apply(&update).unwrap();
        assert_eq!(
            digest_of_book(&one),
            digest_of_book(&other),
            "the way there does not matter"
        );
        let quantity = book(vec![level(5, 1), level(4, 2)], vec![level(6, 1)]);
        let side = book(vec![level(4, 1)], vec![level(5, 1), level(6, 1)]);
        assert_ne!(digest_of_book(&one), digest_of_book(&quantity));
        assert_ne!(digest_of_book(&one), digest_of_book(&side));
    }
}
