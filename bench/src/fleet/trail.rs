//! What books say at the ids at which they stood: every book of a symbol has to say the same at the same id, whichever
//! connection keeps it and however its events were merged.

use std::collections::BTreeMap;

use depthcast_market::book::Book;
use depthcast_market::event::{BookSnapshot, Level, Side};

/// Ids of a symbol that are remembered, the newest. A book that is further behind is not compared.
pub const IDS_MAX: usize = 2048;

/// What books of many connections said.
#[derive(Debug, Default)]
pub struct Trail {
    symbols: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Books that were held against what another said at the same id.
    pub compared: u64,
}

/// A book says something else than another of its symbol said at the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs {
    /// The id.
    pub last_id: u64,
}

impl Trail {
    /// Takes what a book of `stream` (a name that begins with the symbol) says now.
    pub fn note(&mut self, stream: &str, book: &Book) -> Result<(), Differs> {
        let symbol = symbol_of(stream);
        if !self.symbols.contains_key(&symbol) {
            self.symbols.insert(symbol.clone(), BTreeMap::new());
        }
        let Some(ids) = self.symbols.get_mut(&symbol) else {
            return Ok(());
        };
        let last_id = book.last_id();
        let said = digest_of_book(book);
        if let Some(other) = ids.get(&last_id) {
            self.compared += 1;
            return if *other == said {
                Ok(())
            } else {
                Err(Differs { last_id })
            };
        }
        // One that is behind all that is remembered would take the place of a newer one.
        if ids.len() < IDS_MAX || ids.first_key_value().is_some_and(|(oldest, _)| *oldest < last_id) {
            ids.insert(last_id, said);
        }
        if ids.len() > IDS_MAX {
            ids.pop_first();
        }
        Ok(())
    }

    /// The newest of what was said: symbol in lower case, id and digest; at most `per_symbol` of each symbol.
    pub fn newest(&self, per_symbol: usize) -> BTreeMap<String, BTreeMap<u64, u64>> {
        let newest = |ids: &BTreeMap<u64, u64>| {
            let newest = ids.iter().rev().take(per_symbol);
            newest.map(|(id, said)| (*id, *said)).collect()
        };
        self.symbols
            .iter()
            .map(|(symbol, ids)| (symbol.clone(), newest(ids)))
            .collect()
    }
}

fn symbol_of(stream: &str) -> String {
    stream.split('@').next().unwrap_or(stream).to_lowercase()
}

/// What a book says, as [`Trail`] has it.
pub fn digest_of_book(book: &Book) -> u64 {
    let [bids, asks] = [Side::Bid, Side::Ask].map(|side| book.top(side, usize::MAX));
    digest(bids, asks)
}

/// What a snapshot says, as [`Trail`] has it.
pub fn digest_of(snapshot: &BookSnapshot) -> u64 {
    digest(snapshot.bids.iter().copied(), snapshot.asks.iter().copied())
}

/// FNV-1a over the numbers of all levels, best first, bids before asks.
fn digest(bids: impl Iterator<Item = Level>, asks: impl Iterator<Item = Level>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mix = |digest: u64, number: i64| {
        (digest ^ number.cast_unsigned())
            .wrapping_mul(PRIME)
            .rotate_left(17)
    };
    let side = |digest: u64, levels: &mut dyn Iterator<Item = Level>| {
        let (digest, count) = levels.fold((digest, 0), |(digest, count), level| {
            (mix(mix(digest, level.price), level.qty), count + 1)
        });
        mix(digest, count)
    };
    let (mut bids, mut asks) = (bids, asks);
    side(side(OFFSET, &mut bids), &mut asks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::book::BookLimits;

    const LIMITS: BookLimits = BookLimits {
        levels_per_side_max: 10,
        tombstones_max: 0,
    };

    fn snapshot(last_id: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> BookSnapshot {
        let levels = |levels: &[(i64, i64)]| {
            let level = |&(price, qty): &(i64, i64)| Level { price, qty };
            levels.iter().map(level).collect()
        };
        BookSnapshot {
            last_id,
            bids: levels(bids),
            asks: levels(asks),
        }
    }

    fn book(snapshot: &BookSnapshot) -> Book {
        let mut book = Book::new(LIMITS);
        book.load(snapshot).unwrap();
        book
    }

    #[test]
    fn books_of_a_symbol_have_to_say_the_same_at_the_same_id() {
        let mut trail = Trail::default();
        let one = snapshot(5, &[(10, 1), (9, 2)], &[(11, 3)]);
        trail.note("btcusdt@depth@100ms", &book(&one)).unwrap();
        // Another cadence, and SBE's name of it.
        trail.note("btcusdt@depth@0ms", &book(&one)).unwrap();
        trail.note("BTCUSDT", &book(&one)).unwrap();
        assert_eq!(trail.compared, 2);
        let others = [
            snapshot(5, &[(10, 1), (9, 3)], &[(11, 3)]),
            snapshot(5, &[(10, 1)], &[(11, 3)]),
            snapshot(5, &[(10, 1), (9, 2)], &[(12, 3)]),
            snapshot(5, &[(9, 2)], &[(10, 1), (11, 3)]),
        ];
        for other in others {
            let differs = trail.note("btcusdt@depth", &book(&other));
            assert_eq!(differs, Err(Differs { last_id: 5 }), "{other:?}");
        }
        // At another id, or of another symbol, it may.
        trail
            .note("btcusdt@depth", &book(&snapshot(6, &[], &[])))
            .unwrap();
        trail
            .note("ethusdt@depth", &book(&snapshot(5, &[], &[])))
            .unwrap();
    }

    #[test]
    fn a_snapshot_is_held_against_what_books_said() {
        let mut trail = Trail::default();
        let one = snapshot(5, &[(10, 1), (9, 2)], &[(11, 3)]);
        trail.note("btcusdt@depth", &book(&one)).unwrap();
        assert_eq!(trail.newest(9)["btcusdt"], [(5, digest_of(&one))].into());
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut trail = Trail::default();
        for id in 1..=IDS_MAX as u64 + 10 {
            trail.note("a", &book(&snapshot(id, &[], &[]))).unwrap();
        }
        trail.note("a", &book(&snapshot(3, &[], &[]))).unwrap();
        let ids: Vec<u64> = trail.newest(usize::MAX)["a"].keys().copied().collect();
        assert_eq!((ids.len(), ids[0]), (IDS_MAX, 11));
        assert_eq!(trail.newest(2)["a"].len(), 2);
    }
}
