//! What events add up to: rows, freshness, states, staleness, groups.

use depthcast_client::event::Update;
use depthcast_client::{BookOrigin, Staleness};
use depthcast_market::book::BookLimits;
use depthcast_market::event::BookSnapshot;
use depthcast_market::instrument::Exponents;
use depthcast_market::sync::SyncError;
use proptest::prelude::*;

use super::*;

fn instrument() -> Instrument {
    Instrument::new("BTCUSDT", Exponents { price: -2, qty: -3 }, 1, 1).unwrap()
}

fn level(price: i64, qty: i64) -> Level {
    Level { price, qty }
}

/// Bids at 9,999, 9,998 and so on, asks at 10,001 and on, each with a quantity of its place.
fn snapshot(levels: i64) -> BookSnapshot {
    BookSnapshot {
        last_id: 100,
        bids: (1..=levels).map(|n| level(10_000 - n, n)).collect(),
        asks: (1..=levels).map(|n| level(10_000 + n, 10 * n)).collect(),
    }
}

/// A market whose parts a test can change.
struct Fixture {
    book: Book,
    instrument: Instrument,
    latency: LatencyMeter,
    counters: Counters,
    is_connected: bool,
    is_synced: bool,
    model: Model,
    start: Instant,
}

impl Fixture {
    fn new() -> Fixture {
        let start = Instant::now();
        Fixture {
            book: Book::new(BookLimits::default()),
            instrument: instrument(),
            latency: LatencyMeter::new(),
            counters: Counters::default(),
            is_connected: true,
            is_synced: false,
            model: Model::new(SymbolName::new("btcusdt").unwrap(), start),
            start,
        }
    }

    /// In step at id 100.
    fn synced() -> Fixture {
        let mut fixture = Fixture::new();
        fixture.sync(0);
        fixture
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn sync(&mut self, ms: u64) {
        self.book.load(&snapshot(8)).unwrap();
        self.is_connected = true;
        self.is_synced = true;
        let event = Event::Synced {
            last_id: 100,
            origin: BookOrigin::Fetched { snapshots: 1 },
        };
        self.model.on_event(&event, self.at(ms));
    }

    /// The next id sets one bid.
    fn update(&mut self, ms: u64, bid: Level) {
        let update = DepthUpdate {
            event_time_us: 0,
            first_id: self.book.last_id() + 1,
            last_id: self.book.last_id() + 1,
            bids: vec![bid],
            asks: Vec::new(),
        };
        self.book.apply(&update).unwrap();
        let event = Event::Update(Update {
            first_id: update.first_id,
            last_id: update.last_id,
            event_time_us: 0,
            received_us: None,
        });
        self.model.on_event(&event, self.at(ms));
    }

    fn picture_of(&mut self, ms: u64, levels_max: usize, group: i64) -> Picture {
        let now = self.at(ms);
        let market = Market {
            book: &self.book,
            instrument: Some(&self.instrument),
            counters: self.counters,
            latency: &self.latency,
            is_connected: self.is_connected,
            is_synced: self.is_synced,
        };
        self.model.picture(Some(market), levels_max, group, now)
    }

    fn picture(&mut self, ms: u64) -> Picture {
        self.picture_of(ms, 5, 1)
    }
}

fn trade(price: i64) -> Event {
    Event::Trade(Trade {
        event_time_us: 0,
        trade_time_us: 0,
        id: price,
        price,
        qty: 1,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    })
}

fn gap() -> ClientError {
    ClientError::Gap(SyncError::Gap {
        expected: 7,
        first_id: 9,
        last_id: 9,
    })
}

#[test]
fn rows_are_the_best_levels_with_their_totals() {
    let picture = Fixture::synced().picture(0);
    let bids: Vec<_> = picture
        .bids
        .iter()
        .map(|row| (row.price, row.qty, row.total))
        .collect();
    assert_eq!(
        bids,
        [
            (9_999, 1, 1),
            (9_998, 2, 3),
            (9_997, 3, 6),
            (9_996, 4, 10),
            (9_995, 5, 15)
        ]
    );
    assert_eq!((picture.asks[0].price, picture.asks[4].total), (10_001, 150));
    assert_eq!(picture.last_id, Some(100));
    assert_eq!(picture.sequence, Sequence::InStep);
    assert_eq!(picture.stale, None);
    assert!(
        picture.bids.iter().all(|row| !row.is_fresh),
        "a snapshot is no news"
    );
}

#[test]
fn a_changed_level_is_fresh_for_a_moment() {
    let mut fixture = Fixture::synced();
    fixture.update(1_000, level(9_997, 77));
    let fresh = |picture: Picture| -> Vec<i64> {
        let rows = picture.bids.iter().chain(&picture.asks);
        rows.filter(|row| row.is_fresh).map(|row| row.price).collect()
    };
    let just_now = fixture.picture(1_010);
    assert_eq!(just_now.bids[2].qty, 77);
    assert_eq!(fresh(just_now), [9_997]);
    fixture.update(1_200, level(9_999, 5));
    assert_eq!(fresh(fixture.picture(1_210)), [9_999, 9_997]);
    assert_eq!(fresh(fixture.picture(1_400)), [9_999], "the first has faded");
    assert_eq!(fresh(fixture.picture(1_600)), [0; 0]);
    // A removed level is no row, and in a group only its group is fresh.
    fixture.update(2_000, level(9_998, 0));
    assert_eq!(fresh(fixture.picture(2_000)), [0; 0]);
    assert_eq!(fresh(fixture.picture_of(2_000, 5, 5)), [9_995]);
}

#[test]
fn groups_end_at_the_far_edge_and_lose_nothing() {
    let picture = Fixture::synced().picture_of(0, 2, 5);
    let rows = |rows: &[Row]| -> Vec<(i64, i64)> { rows.iter().map(|row| (row.price, row.qty)).collect() };
    // 9,999 to 9,995, then 9,994 to 9,992.
    assert_eq!(rows(&picture.bids), [(9_995, 15), (9_990, 21)]);
    assert_eq!(rows(&picture.asks), [(10_005, 150), (10_010, 210)]);
    assert_eq!(picture.best_bid, Some(level(9_999, 1)), "the best level itself");
    assert_eq!((picture.group, picture.bids[1].total), (5, 36));
}

#[test]
fn silence_is_stale_after_two_seconds_and_says_for_how_long() {
    let mut fixture = Fixture::synced();
    fixture.update(1_000, level(9_999, 2));
    assert_eq!(fixture.picture(2_900).stale, None);
    assert_eq!(fixture.picture(3_500).stale, Some(Stale::Silent { tenths: 25 }));
    assert_eq!(
        fixture.picture(3_500).sequence,
        Sequence::InStep,
        "nothing is missing"
    );
    fixture.model.on_event(&trade(5), fixture.at(3_600));
    assert!(
        fixture.picture(3_600).stale.is_some(),
        "a trade is no update of the book"
    );
    fixture.update(3_700, level(9_999, 3));
    assert_eq!(fixture.picture(3_800).stale, None);
}

#[test]
fn a_gap_is_shown_until_the_book_is_in_step_again() {
    let mut fixture = Fixture::synced();
    fixture.is_synced = false;
    fixture.counters.gaps = 1;
    fixture.model.on_trouble(&gap());
    let picture = fixture.picture(400);
    let Sequence::Broken { reason } = &picture.sequence else {
        panic!("{:?}", picture.sequence);
    };
    assert!(reason.starts_with("gap: update 9 to 9"), "{reason}");
    assert_eq!(picture.stale, Some(Stale::OutOfStep { tenths: 4 }));
    assert_eq!(picture.counters.gaps, 1);
    fixture.sync(900);
    let picture = fixture.picture(900);
    assert_eq!((picture.sequence, picture.stale), (Sequence::InStep, None));
}

#[test]
fn a_lost_connection_counts_down() {
    let mut fixture = Fixture::synced();
    let lost = Event::Reconnecting {
        reason: ClientError::Dropped,
        delay: Duration::from_millis(850),
    };
    fixture.model.on_event(&lost, fixture.at(1_000));
    (fixture.is_connected, fixture.is_synced) = (false, false);
    for (ms, tenths) in [(1_000, 8), (1_400, 4), (5_000, 0)] {
        let Sequence::Reconnecting { reason, in_tenths } = fixture.picture(ms).sequence else {
            panic!("at {ms} ms");
        };
        assert_eq!(in_tenths, Some(tenths));
        assert_eq!(reason, "the server ended the connection without saying why");
    }
    assert_eq!(
        fixture.picture(3_000).stale,
        Some(Stale::OutOfStep { tenths: 30 })
    );
    fixture.is_connected = true;
    assert_eq!(fixture.picture(5_100).sequence, Sequence::Synchronising);
    fixture.sync(5_200);
    assert_eq!(fixture.picture(5_200).sequence, Sequence::InStep);
}

#[test]
fn before_and_after_everything() {
    let mut fixture = Fixture::new();
    let now = fixture.at(5_000);
    let picture = fixture.model.picture(None, 5, 1, now);
    assert_eq!((picture.sequence, picture.stale), (Sequence::Connecting, None));
    assert_eq!(fixture.picture(5_000).sequence, Sequence::Synchronising);
    assert_eq!(
        fixture.picture(5_000).stale,
        None,
        "there is no book that could be stale"
    );
    let silent = ClientError::Stale(Staleness::Silent {
        silent: Duration::from_secs(10),
    });
    fixture.model.on_connect_failed(&silent, now);
    let picture = fixture.model.picture(None, 5, 1, now);
    assert!(matches!(
        picture.sequence,
        Sequence::Reconnecting {
            in_tenths: Some(0),
            ..
        }
    ));
    fixture.model.on_end(&gap());
    assert!(matches!(fixture.picture(5_000).sequence, Sequence::Ended { .. }));
}

#[test]
fn a_book_in_step_again_says_where_it_comes_from() {
    let mut fixture = Fixture::synced();
    assert_eq!(fixture.picture(100).rejoined, None, "nothing was lost");
    fixture.counters.reconnects = 1;
    let origin = BookOrigin::Resumed { after_id: 100 };
    let synced = Event::Synced { last_id: 120, origin };
    fixture.model.on_event(&synced, fixture.at(200));
    let last_id = 120;
    assert_eq!(fixture.picture(200).rejoined, Some(Rejoined { origin, last_id }));
}

#[test]
fn the_last_price_keeps_its_direction() {
    let mut fixture = Fixture::synced();
    let mut last = |price| {
        fixture.model.on_event(&trade(price), fixture.start);
        fixture.picture(0).last.unwrap()
    };
    assert_eq!(last(10), (10, Direction::Level));
    assert_eq!(last(12), (12, Direction::Up));
    assert_eq!(last(12), (12, Direction::Up));
    assert_eq!(last(11), (11, Direction::Down));
    for price in 0..1_000 {
        last(price);
    }
    let picture = fixture.picture(0);
    assert_eq!(picture.trades.len(), TRADES_MAX);
    assert_eq!((picture.trades[0].price, picture.trades[1].price), (999, 998));
}

#[test]
fn an_unchanged_market_gives_equal_pictures() {
    let mut fixture = Fixture::synced();
    fixture.latency.record(0, 500);
    let first = fixture.picture(500);
    fixture.latency.record(10, 600);
    assert_eq!(first, fixture.picture(540));
    assert_eq!(
        first,
        fixture.picture(900),
        "latencies are worked out twice a second"
    );
    assert_ne!(first, fixture.picture(1_100));
    assert_eq!(fixture.picture(1_100), fixture.picture(1_900));
}

proptest! {
    /// Grouped or not, rows are in order, disjoint, as many as there is room for, and their totals are the book's.
    #[test]
    fn rows_hold_the_whole_book(
        prices in prop::collection::btree_map(0..5_000i64, 1..1_000i64, 0..60),
        step in 1..400i64,
        rows_max in 0..80usize,
    ) {
        let mut book = Book::new(BookLimits::default());
        let levels: Vec<Level> = prices.iter().map(|(price, qty)| level(*price, *qty)).collect();
        let bids = levels.iter().rev().copied().collect();
        book.load(&BookSnapshot { last_id: 1, bids, asks: levels.clone() }).unwrap();
        for side in [Side::Bid, Side::Ask] {
            let found = rows(&book, side, step, rows_max, &[]);
            prop_assert!(found.len() <= rows_max);
            for pair in found.windows(2) {
                let better = if side == Side::Bid { pair[0].price > pair[1].price } else { pair[0].price < pair[1].price };
                prop_assert!(better);
            }
            let mut total = 0;
            for row in &found {
                total += row.qty;
                prop_assert_eq!(row.total, total);
            }
            if found.len() < rows_max {
                prop_assert_eq!(total, levels.iter().map(|level| level.qty).sum::<i64>());
            }
        }
    }
}
