//! The recorded market (346 s of BTCUSDT) through decimals, sync rules and book, against plain maps.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::decimal::{parse_mantissa, write_mantissa};
use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, Side};
use depthcast_market::sync::{BookSync, SnapshotVerdict, UpdateVerdict};

/// What one line of the recording says, as far as a book is concerned.
enum Frame {
    Depth(DepthUpdate),
    Snapshot(BookSnapshot),
}

fn recorded_frames() -> Vec<Frame> {
    let folder = std::env::var_os("DEPTHCAST_CAPTURES")
        .expect("set DEPTHCAST_CAPTURES to the folder that holds spot_btcusdt_20240808.gz");
    let path = PathBuf::from(folder).join("spot_btcusdt_20240808.gz");
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .filter_map(|line| frame(&line.unwrap()))
        .collect()
}

fn frame(line: &str) -> Option<Frame> {
    if line.contains(r#""stream":"btcusdt@depth@100ms""#) {
        return Some(Frame::Depth(DepthUpdate {
            event_time_us: 1000 * number(line, r#""E":"#) as i64,
            first_id: number(line, r#""U":"#),
            last_id: number(line, r#""u":"#),
            bids: levels(line, r#""b":[["#),
            asks: levels(line, r#""a":[["#),
        }));
    }
    line.contains(r#" {"lastUpdateId""#).then(|| {
        Frame::Snapshot(BookSnapshot {
            last_id: number(line, r#""lastUpdateId":"#),
            bids: levels(line, r#""bids":[["#),
            asks: levels(line, r#""asks":[["#),
        })
    })
}

fn number(line: &str, key: &str) -> u64 {
    let (_, rest) = line.split_once(key).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    rest[..end].parse().unwrap()
}

/// The levels after `key`; none where the list is empty, since the key then ends in `[]`.
fn levels(line: &str, key: &str) -> Vec<Level> {
    let Some((_, rest)) = line.split_once(key) else {
        return Vec::new();
    };
    let (list, _) = rest.split_once("]]").unwrap();
    list.split("],[")
        .map(|pair| {
            let (price, qty) = pair.split_once(',').unwrap();
            Level {
                price: mantissa(price),
                qty: mantissa(qty),
            }
        })
        .collect()
}

/// Parses a quoted decimal, having made sure that it prints back as it was.
fn mantissa(quoted: &str) -> i64 {
    let text = quoted.trim_matches('"').as_bytes();
    let mantissa = parse_mantissa(text, -8).unwrap();
    let mut printed = Vec::new();
    write_mantissa(&mut printed, mantissa, -8);
    assert_eq!(printed, text);
    mantissa
}

/// The plain book: a map per side, and what the recording's oddities add up to.
#[derive(Clone, Default)]
struct Plain {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    removals: usize,
    removals_of_absent: usize,
    unchanged: usize,
}

impl Plain {
    fn apply(&mut self, bids: &[Level], asks: &[Level]) {
        for (is_bid, levels) in [(true, bids), (false, asks)] {
            let side = if is_bid { &mut self.bids } else { &mut self.asks };
            for &Level { price, qty } in levels {
                let had = if qty == 0 {
                    side.remove(&price)
                } else {
                    side.insert(price, qty)
                };
                self.removals += usize::from(qty == 0);
                self.removals_of_absent += usize::from(qty == 0 && had.is_none());
                self.unchanged += usize::from(had == Some(qty));
            }
        }
    }

    fn is(&self, book: &Book) -> bool {
        let level = |(&price, &qty): (&i64, &i64)| Level { price, qty };
        self.bids.len() == book.level_count(Side::Bid)
            && self.asks.len() == book.level_count(Side::Ask)
            && book
                .top(Side::Bid, usize::MAX)
                .eq(self.bids.iter().rev().map(level))
            && book.top(Side::Ask, usize::MAX).eq(self.asks.iter().map(level))
    }
}

/// Applies one update to both, and holds the book to "the diff since the id before is the event itself".
fn apply(book: &mut Book, plain: &mut Plain, update: &DepthUpdate) {
    let before = book.last_id();
    book.apply(update).unwrap();
    plain.apply(&update.bids, &update.asks);
    let mut diff = DepthUpdate::default();
    book.diff_since(before, &mut diff).unwrap();
    let expected = DepthUpdate {
        first_id: before + 1,
        ..update.clone()
    };
    assert_eq!(diff, expected);
}

#[test]
fn the_recorded_market_gives_the_same_book_and_the_same_events() {
    let mut sync = BookSync::new(100);
    let mut book = Book::new(BookLimits::default());
    let mut plain = Plain::default();
    let mut old = None;
    let (mut events, mut applied) = (0, 0);
    for frame in recorded_frames() {
        match frame {
            Frame::Depth(update) => {
                events += 1;
                if sync.on_update(&update).unwrap() == UpdateVerdict::Apply {
                    apply(&mut book, &mut plain, &update);
                    applied += 1;
                }
            }
            Frame::Snapshot(snapshot) => {
                assert_eq!(sync.on_snapshot(snapshot.last_id), SnapshotVerdict::Load);
                book.load(&snapshot).unwrap();
                plain.apply(&snapshot.bids, &snapshot.asks);
                while let Some(update) = sync.pop_ready().unwrap() {
                    apply(&mut book, &mut plain, &update);
                    applied += 1;
                }
            }
        }
        assert!(!book.is_crossed());
        // Now and then a merged diff over many events is put onto the book of that time.
        if applied % 100 == 1 {
            assert!(plain.is(&book), "after {applied} events");
            if let Some((id, mut then)) = old.replace((book.last_id(), plain.clone())) {
                let mut diff = DepthUpdate::default();
                book.diff_since(id, &mut diff).unwrap();
                then.apply(&diff.bids, &diff.asks);
                assert!(then.is(&book), "diff since {id}");
            }
        }
    }
    assert!(sync.is_synced() && plain.is(&book));
    assert_eq!((events, applied), (3451, 3449));
    assert_eq!(
        (plain.removals, plain.removals_of_absent, plain.unchanged),
        (59_178, 11_239, 1_323)
    );
}
