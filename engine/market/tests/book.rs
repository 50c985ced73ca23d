//! What the versioned book promises, one promise a test.

use depthcast_market::book::{Book, BookError, BookLimits, DiffError, UPDATE_ID_MAX};
use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, Side};

fn levels(pairs: &[(i64, i64)]) -> Vec<Level> {
    pairs.iter().map(|&(price, qty)| Level { price, qty }).collect()
}

fn update(ids: (u64, u64), bids: &[(i64, i64)], asks: &[(i64, i64)]) -> DepthUpdate {
    DepthUpdate {
        event_time_us: 1000 * ids.1 as i64,
        first_id: ids.0,
        last_id: ids.1,
        bids: levels(bids),
        asks: levels(asks),
    }
}

fn snapshot(last_id: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> BookSnapshot {
    BookSnapshot {
        last_id,
        bids: levels(bids),
        asks: levels(asks),
    }
}

/// A book at id 100: bids 10, 9, 8 and asks 11, 12.
fn loaded(limits: BookLimits) -> Book {
    let mut book = Book::new(limits);
    book.load(&snapshot(100, &[(10, 1), (9, 2), (8, 3)], &[(11, 4), (12, 5)]))
        .unwrap();
    book
}

fn diff(book: &Book, since: u64) -> Result<DepthUpdate, DiffError> {
    let mut out = update((7, 7), &[(1, 1)], &[(2, 2)]);
    book.diff_since(since, &mut out).map(|()| out)
}

fn whole(book: &Book) -> BookSnapshot {
    let mut out = snapshot(1, &[(1, 1)], &[(2, 2)]);
    book.snapshot(usize::MAX, &mut out);
    out
}

#[test]
fn a_new_book_is_empty_and_takes_only_a_snapshot() {
    let mut book = Book::new(BookLimits::default());
    assert!(!book.is_loaded());
    assert_eq!(whole(&book), BookSnapshot::default());
    assert_eq!(
        (book.best(Side::Bid), book.best(Side::Ask), book.is_crossed()),
        (None, None, false)
    );
    assert_eq!(diff(&book, 1), Err(DiffError::Future { last_id: 0 }));
    let first = update((1, 1), &[(10, 1)], &[]);
    assert_eq!(book.apply(&first), Err(BookError::NotLoaded));
    assert_eq!(
        book.resync(&snapshot(5, &[(10, 1)], &[])),
        Err(BookError::NotLoaded)
    );
    assert!(!book.is_loaded());
    book.load(&BookSnapshot::default()).unwrap();
    book.apply(&first).unwrap();
    assert_eq!(diff(&book, 0), Ok(first));
}

#[test]
fn shows_its_top_best_first() {
    let book = loaded(BookLimits::default());
    assert!(book.is_loaded());
    assert_eq!((book.last_id(), book.event_time_us()), (100, 0));
    assert_eq!(
        book.top(Side::Bid, 2).collect::<Vec<_>>(),
        levels(&[(10, 1), (9, 2)])
    );
    assert_eq!(book.top(Side::Ask, 5).len(), 2);
    assert_eq!(book.top(Side::Ask, 0).count(), 0);
    assert_eq!(book.best(Side::Ask), Some(Level { price: 11, qty: 4 }));
    let mut top = BookSnapshot::default();
    book.snapshot(1, &mut top);
    assert_eq!(top, snapshot(100, &[(10, 1)], &[(11, 4)]));
    assert_eq!((book.level_count(Side::Bid), book.level_count(Side::Ask)), (3, 2));
}

#[test]
fn a_diff_since_the_id_before_is_the_update_itself() {
    let mut book = loaded(BookLimits::default());
    // A change, a removal, a removal of an absent level, a new level, and a quantity that was the same before.
    let event = update((101, 107), &[(10, 7), (9, 0), (5, 0)], &[(11, 4), (13, 1)]);
    book.apply(&event).unwrap();
    assert_eq!(diff(&book, 100), Ok(event));
    assert_eq!(
        whole(&book),
        snapshot(107, &[(10, 7), (8, 3)], &[(11, 4), (12, 5), (13, 1)])
    );
    assert_eq!((book.event_time_us(), book.tombstone_count()), (107_000, 2));
}

#[test]
fn a_diff_merges_all_updates_after_its_id() {
    let mut book = loaded(BookLimits::default());
    book.apply(&update((101, 101), &[(10, 0)], &[(11, 9)])).unwrap();
    book.apply(&update((102, 110), &[(10, 6), (7, 1)], &[])).unwrap();
    book.apply(&update((111, 112), &[(7, 0)], &[(12, 0)])).unwrap();
    let merged = |first_id, bids: &[_], asks: &[_]| Ok(update((first_id, 112), bids, asks));
    assert_eq!(
        diff(&book, 100),
        merged(101, &[(10, 6), (7, 0)], &[(11, 9), (12, 0)])
    );
    assert_eq!(diff(&book, 101), merged(102, &[(10, 6), (7, 0)], &[(12, 0)]));
    // In the middle of an event's range: the event counts as of its last id.
    assert_eq!(diff(&book, 105), merged(106, &[(10, 6), (7, 0)], &[(12, 0)]));
    assert_eq!(diff(&book, 110), merged(111, &[(7, 0)], &[(12, 0)]));
    assert_eq!(diff(&book, 112), merged(113, &[], &[]));
    assert_eq!(diff(&book, 113), Err(DiffError::Future { last_id: 112 }));
    assert_eq!(diff(&book, 99), Err(DiffError::TooOld { oldest: 100 }));
}

#[test]
fn a_failed_diff_leaves_the_output_as_it_was() {
    let book = loaded(BookLimits::default());
    let before = update((7, 7), &[(1, 1)], &[(2, 2)]);
    let mut out = before.clone();
    assert!(book.diff_since(0, &mut out).is_err());
    assert_eq!(out, before);
}

#[test]
fn the_last_of_a_price_counts_when_it_comes_twice() {
    let mut book = loaded(BookLimits::default());
    book.apply(&update((101, 101), &[(10, 0), (10, 5), (9, 5), (9, 0)], &[]))
        .unwrap();
    assert_eq!(diff(&book, 100), Ok(update((101, 101), &[(10, 5), (9, 0)], &[])));
    assert_eq!(whole(&book).bids, levels(&[(10, 5), (8, 3)]));
}

#[test]
fn takes_an_update_that_overlaps_the_snapshot() {
    let mut book = loaded(BookLimits::default());
    book.apply(&update((95, 103), &[(10, 4)], &[])).unwrap();
    assert_eq!(
        diff(&book, 100).map(|diff| (diff.first_id, diff.last_id)),
        Ok((101, 103))
    );
}

#[test]
fn refuses_what_does_not_continue_it_and_stays_as_it_was() {
    let mut book = loaded(BookLimits::default());
    let before = whole(&book);
    for (ids, error, text) in [
        (
            (102, 103),
            BookError::Gap {
                expected: 101,
                first_id: 102,
            },
            "the feed skipped updates: expected id 101, got an update that starts at 102",
        ),
        (
            (90, 100),
            BookError::Old {
                last_id: 100,
                update_last_id: 100,
            },
            "the update ends at id 100, and the book already stands at 100",
        ),
        (
            (102, 101),
            BookError::Inverted {
                first_id: 102,
                last_id: 101,
            },
            "the feed's update has its ids inverted: first 102, last 101",
        ),
        (
            (101, u64::MAX),
            BookError::IdTooLarge { id: u64::MAX },
            "the feed's update id 18446744073709551615 is above the largest possible, 9223372036854775807",
        ),
    ] {
        let mut bad = update((0, 0), &[(10, 9)], &[]);
        (bad.first_id, bad.last_id) = ids;
        assert_eq!(book.apply(&bad), Err(error));
        assert_eq!(error.to_string(), text);
    }
    for (bids, asks, side, price, qty) in [
        (&[(10, 9), (-1, 2)][..], &[][..], Side::Bid, -1, 2),
        (&[(10, 9)], &[(11, 3), (12, -1)], Side::Ask, 12, -1),
    ] {
        assert_eq!(
            book.apply(&update((101, 101), bids, asks)),
            Err(BookError::Negative { side, price, qty })
        );
    }
    assert_eq!(whole(&book), before);
    let nothing = diff(&book, 100).unwrap();
    assert_eq!((nothing.first_id, nothing.last_id), (101, 100));
    assert!(nothing.bids.is_empty() && nothing.asks.is_empty());
}

#[test]
fn refuses_a_faulty_snapshot_and_stays_as_it_was() {
    let mut book = loaded(BookLimits {
        levels_per_side_max: 3,
        ..BookLimits::default()
    });
    let before = whole(&book);
    let side = Side::Ask;
    for (asks, error) in [
        (&[(11, 1), (12, 0)][..], BookError::EmptyLevel { side, price: 12 }),
        (&[(12, 1), (11, 1)], BookError::Unsorted { side, price: 11 }),
        (&[(12, 1), (12, 1)], BookError::Unsorted { side, price: 12 }),
        (
            &[(-1, 1)],
            BookError::Negative {
                side,
                price: -1,
                qty: 1,
            },
        ),
        (
            &[(11, 1), (12, 1), (13, 1), (14, 1)],
            BookError::TooManyLevels {
                side,
                levels: 4,
                levels_max: 3,
            },
        ),
    ] {
        let faulty = snapshot(200, &[(10, 1)], asks);
        assert_eq!(book.load(&faulty), Err(error));
        assert_eq!(book.resync(&faulty), Err(error));
    }
    let beyond = snapshot(UPDATE_ID_MAX + 1, &[], &[]);
    assert_eq!(
        book.load(&beyond),
        Err(BookError::IdTooLarge {
            id: UPDATE_ID_MAX + 1
        })
    );
    assert_eq!(whole(&book), before);
}

#[test]
fn holds_at_the_largest_id() {
    let mut book = loaded(BookLimits::default());
    let mut last = update((101, 101), &[(10, 9)], &[]);
    last.last_id = UPDATE_ID_MAX;
    book.apply(&last).unwrap();
    let empty = diff(&book, UPDATE_ID_MAX).unwrap();
    assert_eq!(
        (empty.first_id, empty.last_id),
        (UPDATE_ID_MAX + 1, UPDATE_ID_MAX)
    );
    assert!(matches!(book.apply(&last), Err(BookError::Old { .. })));
}

#[test]
fn refuses_an_update_past_the_level_limit_and_only_that() {
    let mut book = loaded(BookLimits {
        levels_per_side_max: 4,
        tombstones_max: 10,
    });
    let before = whole(&book);
    let past = update((101, 101), &[(7, 1), (6, 1)], &[(11, 9)]);
    assert_eq!(
        book.apply(&past),
        Err(BookError::TooManyLevels {
            side: Side::Bid,
            levels: 5,
            levels_max: 4
        })
    );
    assert_eq!(whole(&book), before);
    // As many levels are removed, changed, doubled or already absent: the side ends at the limit.
    let replacing = update(
        (101, 101),
        &[(10, 0), (9, 1), (7, 1), (6, 1), (6, 2), (5, 1), (5, 0), (4, 0)],
        &[],
    );
    book.apply(&replacing).unwrap();
    assert_eq!(whole(&book).bids, levels(&[(9, 1), (8, 3), (7, 1), (6, 2)]));
}

#[test]
fn forgets_the_oldest_removals_past_the_bound() {
    let mut book = loaded(BookLimits {
        levels_per_side_max: 100,
        tombstones_max: 2,
    });
    book.apply(&update((101, 101), &[(10, 0)], &[(12, 0)])).unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (2, 100));
    // A level that comes back is no tombstone any more.
    book.apply(&update((102, 102), &[(10, 1)], &[])).unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (1, 100));
    book.apply(&update((103, 103), &[(1, 0), (2, 0)], &[])).unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (2, 101));
    assert_eq!(diff(&book, 100), Err(DiffError::TooOld { oldest: 101 }));
    assert_eq!(
        diff(&book, 101),
        Ok(update((102, 103), &[(10, 1), (2, 0), (1, 0)], &[]))
    );
    // One removal of id 103 has to go, so the other serves nobody and goes too.
    book.apply(&update((104, 104), &[], &[(30, 0)])).unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (1, 103));
    // An event with more removals than the bound can itself not be told any more.
    book.apply(&update((105, 105), &[], &[(31, 0), (32, 0), (33, 0)]))
        .unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (0, 105));
    assert_eq!(diff(&book, 105), Ok(update((106, 105), &[], &[])));
}

#[test]
fn works_without_any_tombstones() {
    let mut book = loaded(BookLimits {
        levels_per_side_max: 100,
        tombstones_max: 0,
    });
    book.apply(&update((101, 101), &[(10, 2)], &[])).unwrap();
    assert_eq!(book.oldest_since(), 100);
    book.apply(&update((102, 102), &[(10, 0)], &[])).unwrap();
    assert_eq!((book.tombstone_count(), book.oldest_since()), (0, 102));
}

#[test]
fn load_starts_a_new_history() {
    let mut book = loaded(BookLimits::default());
    book.apply(&update((101, 101), &[(10, 0)], &[])).unwrap();
    book.load(&snapshot(50, &[(3, 1)], &[(4, 1)])).unwrap();
    assert_eq!(whole(&book), snapshot(50, &[(3, 1)], &[(4, 1)]));
    assert_eq!((book.tombstone_count(), book.event_time_us()), (0, 0));
    assert_eq!(diff(&book, 49), Err(DiffError::TooOld { oldest: 50 }));
    assert_eq!(diff(&book, 51), Err(DiffError::Future { last_id: 50 }));
}

#[test]
fn resync_is_one_contiguous_diff() {
    let mut book = loaded(BookLimits::default());
    book.apply(&update((101, 101), &[(10, 2)], &[])).unwrap();
    let target = snapshot(150, &[(10, 2), (9, 9), (7, 1)], &[(12, 5), (14, 2)]);
    book.resync(&target).unwrap();
    assert_eq!(whole(&book), target);
    let expected = DepthUpdate {
        event_time_us: 101_000,
        ..update((102, 150), &[(9, 9), (8, 0), (7, 1)], &[(11, 0), (14, 2)])
    };
    assert_eq!(diff(&book, 101), Ok(expected));
    let from_before = diff(&book, 100).unwrap();
    assert_eq!(from_before.bids, levels(&[(10, 2), (9, 9), (8, 0), (7, 1)]));
    book.apply(&update((151, 151), &[], &[(14, 0)])).unwrap();
}

/// A level that went and came back in what was skipped is the same before and behind it, and not for those in between.
#[test]
fn what_a_resync_skipped_is_not_known() {
    let mut book = loaded(BookLimits::default());
    book.resync(&snapshot(103, &[(10, 1)], &[])).unwrap();
    for since in [101, 102] {
        assert_eq!(diff(&book, since), Err(DiffError::Skipped { until: 103 }));
    }
    assert!(diff(&book, 100).is_ok() && diff(&book, 103).is_ok());
    for id in 1..=70 {
        book.resync(&snapshot(103 + 2 * id, &[(10, 1)], &[])).unwrap();
    }
    assert!(
        book.oldest_since() > 103,
        "so many are remembered, and what is older is forgotten"
    );
    assert_eq!(diff(&book, 242), Err(DiffError::Skipped { until: 243 }));
}

#[test]
fn resync_to_an_older_or_the_same_id_changes_nothing() {
    let mut book = loaded(BookLimits::default());
    let before = whole(&book);
    assert_eq!(
        book.resync(&snapshot(99, &[(3, 1)], &[])),
        Err(BookError::WentBack {
            last_id: 100,
            snapshot_id: 99
        })
    );
    assert_eq!(book.resync(&snapshot(100, &[(10, 1)], &[])), Ok(()));
    assert_eq!(whole(&book), before);
}

#[test]
fn tells_when_it_is_crossed() {
    let mut book = loaded(BookLimits::default());
    assert!(!book.is_crossed());
    book.apply(&update((101, 101), &[(11, 1)], &[])).unwrap();
    assert!(book.is_crossed());
    book.apply(&update((102, 102), &[], &[(11, 0)])).unwrap();
    assert!(!book.is_crossed());
    book.apply(&update((103, 103), &[(13, 1)], &[])).unwrap();
    assert!(book.is_crossed());
}

/// Thousands of changes at once take the way that sorts the ladder anew; it has to lead to the same book.
#[test]
fn large_updates_give_the_same_book_as_small_ones() {
    let side = |sign: i64| {
        (0..5000)
            .map(move |n| (1_000_000 + sign * 2 * n, n + 1))
            .collect::<Vec<_>>()
    };
    let start = snapshot(100, &side(-1), &side(1));
    let mut at_once = Book::new(BookLimits::default());
    at_once.load(&start).unwrap();
    let mut in_steps = at_once.clone();
    assert_eq!(whole(&at_once), start);

    // A third of them removals, some prices twice, some of them absent before.
    let changes = |sign: i64| {
        (0..4000)
            .map(move |n| (1_000_000 + sign * (n * 7919 % 9000), n % 3))
            .collect::<Vec<_>>()
    };
    let (bids, asks) = (changes(-1), changes(1));
    at_once.apply(&update((101, 104), &bids, &asks)).unwrap();
    for (step, (bids, asks)) in bids.chunks(1000).zip(asks.chunks(1000)).enumerate() {
        let id = 101 + step as u64;
        in_steps.apply(&update((id, id), bids, asks)).unwrap();
    }
    assert_eq!(whole(&at_once), whole(&in_steps));
    assert_eq!(diff(&at_once, 100), diff(&in_steps, 100));
    assert_eq!(at_once.tombstone_count(), in_steps.tombstone_count());

    let target = BookSnapshot {
        last_id: 200,
        ..start
    };
    at_once.resync(&target).unwrap();
    assert_eq!(whole(&at_once), target);
    let back = diff(&at_once, 104).unwrap();
    in_steps
        .apply(&DepthUpdate {
            first_id: 105,
            ..back
        })
        .unwrap();
    assert_eq!(whole(&in_steps), target);
}
