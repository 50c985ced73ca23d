//! The simulated exchange by its events: what a step tells, and that a seed tells the same wherever and whenever.

use depthcast_feed_sim::sim::{Exchange, SimEvent, SimOptions};
use depthcast_market::event::{Level, MarketEvent};

/// 2024-01-01T00:00:00Z and the end of that year, microseconds since 1970.
const ORIGINS_US: std::ops::Range<i64> = 1_704_067_200_000_000..1_735_689_600_000_000;

fn options(symbols: u32, rate: u32, seed: u64) -> SimOptions {
    SimOptions {
        symbols,
        rate: rate..=rate,
        seed,
    }
}

/// The first events of an exchange, in whole steps.
fn events(options: &SimOptions, count: usize) -> Vec<SimEvent> {
    let mut exchange = Exchange::new(options);
    let mut events = Vec::new();
    while events.len() < count {
        exchange.step(&mut events);
    }
    events
}

/// FNV-1a over numbers.
struct Hash(u64);

impl Hash {
    fn add(&mut self, number: i64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn add_levels(&mut self, levels: &[Level]) {
        self.add(levels.len() as i64);
        for level in levels {
            self.add(level.price);
            self.add(level.qty);
        }
    }

    fn add_event(&mut self, event: &SimEvent) {
        self.add(event.symbol as i64);
        self.add(event.at_us);
        match &event.event {
            MarketEvent::Depth(update) => {
                self.add(update.first_id as i64);
                self.add(update.last_id as i64);
                self.add_levels(&update.bids);
                self.add_levels(&update.asks);
            }
            MarketEvent::BestBidAsk(best) => {
                self.add(best.update_id as i64);
                self.add_levels(&[best.bid, best.ask]);
            }
            MarketEvent::Trade(trade) => {
                let part = trade
                    .aggregate
                    .expect("simulated trades say which aggregate they are of");
                for number in [trade.id, trade.price, trade.qty, part.id] {
                    self.add(number);
                }
                self.add(i64::from(trade.is_buyer_maker) * 2 + i64::from(part.is_last));
            }
            MarketEvent::Snapshot(_) => panic!("a step does not tell whole books"),
        }
    }
}

#[test]
fn the_first_events_of_seed_1_are_these() {
    let options = SimOptions {
        symbols: 3,
        rate: 10..=100,
        seed: 1,
    };
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    for event in &events(&options, 5_000)[..5_000] {
        hash.add_event(event);
    }
    // A change here is another market under the same seed: it belongs to a new version only.
    assert_eq!(hash.0, 0x40aa_a239_1f0f_dc44, "{:#018x}", hash.0);
}

#[test]
fn a_seed_gives_the_same_and_another_seed_another_market() {
    let first = events(&options(3, 50, 1), 3_000);
    assert_eq!(first, events(&options(3, 50, 1), 3_000));
    let other = events(&options(3, 50, 2), 3_000);
    assert_ne!(first[0].at_us, other[0].at_us);
    let what = |events: &[SimEvent]| events.iter().map(|event| event.event.clone()).collect::<Vec<_>>();
    assert_ne!(what(&first), what(&other));
}

#[test]
fn a_symbol_does_not_depend_on_how_many_others_there_are() {
    let of_second = |symbols| {
        let mut events = events(&options(symbols, 50, 9), 3_000 * symbols as usize);
        events.retain(|event| event.symbol == 1);
        events.truncate(2_000);
        events
    };
    let among_two = of_second(2);
    assert_eq!(among_two.len(), 2_000);
    assert_eq!(among_two, of_second(7));
    // Past the well-known names the terms are drawn too.
    let name = |symbols, place: usize| {
        let exchange = Exchange::new(&options(symbols, 1, 3));
        let instrument = &exchange.listings()[place].instrument;
        (instrument.name().to_owned(), instrument.tick_size())
    };
    assert_eq!(name(22, 21), name(30, 21));
}

#[test]
fn origins_are_whole_seconds_of_one_year() {
    let mut origins: Vec<i64> = (0..50)
        .map(|seed| Exchange::new(&options(1, 1, seed)).now_us())
        .collect();
    assert!(
        origins
            .iter()
            .all(|us| ORIGINS_US.contains(us) && us % 1_000_000 == 0)
    );
    origins.sort_unstable();
    origins.dedup();
    assert!(origins.len() > 45, "{} of 50 seeds differ", origins.len());
}

#[test]
fn listings_have_rates_from_the_highest_to_the_lowest() {
    let exchange = Exchange::new(&SimOptions {
        symbols: 22,
        rate: 10..=100,
        seed: 1,
    });
    let listings = exchange.listings();
    let names: Vec<&str> = listings.iter().map(|listing| listing.instrument.name()).collect();
    assert_eq!((names[0], names[21]), ("BTCUSDT", "S0022USDT"));
    let rates: Vec<u32> = listings.iter().map(|listing| listing.rate).collect();
    assert_eq!((rates[0], rates[21]), (100, 10));
    assert!(rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
}

#[test]
fn a_step_tells_trades_then_the_change_then_the_best_if_it_changed() {
    let mut exchange = Exchange::new(&options(5, 100, 11));
    let best = |exchange: &Exchange, symbol: usize| {
        let book = exchange.snapshot(symbol);
        (book.bids[0], book.asks[0])
    };
    let mut bests: Vec<_> = (0..5).map(|symbol| best(&exchange, symbol)).collect();
    let mut before = (exchange.now_us(), 0);
    let mut step = Vec::new();
    for _ in 0..3_000 {
        let due_us = exchange.next_us();
        step.clear();
        exchange.step(&mut step);
        assert_eq!(exchange.now_us(), due_us);
        let symbol = step[0].symbol;
        // In the order of time, and at one time in that of the listings.
        assert!((due_us, symbol) >= before);
        before = (due_us, symbol);
        assert!(
            step.iter()
                .all(|event| (event.symbol, event.at_us) == (symbol, due_us))
        );
        let depth_at = step
            .iter()
            .position(|event| matches!(event.event, MarketEvent::Depth(_)))
            .expect("each step changes the book");
        for event in &step[..depth_at] {
            let MarketEvent::Trade(trade) = &event.event else {
                panic!("{event:?} before the change")
            };
            assert_eq!((trade.event_time_us, trade.trade_time_us), (due_us, due_us));
            assert!(trade.is_best_match && trade.qty > 0);
        }
        let MarketEvent::Depth(depth) = &step[depth_at].event else {
            unreachable!("found above")
        };
        assert_eq!(depth.event_time_us, due_us);
        let now = best(&exchange, symbol);
        let told: Vec<_> = step[depth_at + 1..].iter().map(|event| &event.event).collect();
        if now == bests[symbol] {
            assert!(told.is_empty(), "{told:?} though nothing changed");
        } else {
            let [MarketEvent::BestBidAsk(best)] = told[..] else {
                panic!("{told:?} instead of the best bid and ask")
            };
            assert_eq!(best.event_time_us, Some(due_us));
            assert_eq!(best.update_id, depth.last_id);
            assert_eq!((best.bid, best.ask), now);
            bests[symbol] = now;
        }
    }
}

#[test]
fn trades_form_aggregates_of_one_taker_and_price() {
    let events = events(&options(1, 100, 1), 40_000);
    let trades: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            MarketEvent::Trade(trade) => Some((event.at_us, *trade)),
            _ => None,
        })
        .collect();
    let first = trades[0].1;
    assert_eq!((first.id, first.aggregate.map(|part| part.id)), (1, Some(1)));
    let (mut together, mut apart) = (0, 0);
    for pair in trades.windows(2) {
        let ((at, trade), (next_at, next)) = (pair[0], pair[1]);
        let (part, next_part) = (trade.aggregate.unwrap(), next.aggregate.unwrap());
        assert_eq!(next.id, trade.id + 1);
        if part.is_last {
            assert_eq!(next_part.id, part.id + 1);
            // Trades of one taker at two prices, among others.
            apart += usize::from(at == next_at);
        } else {
            assert_eq!(next_part.id, part.id);
            assert_eq!(
                (at, trade.price, trade.is_buyer_maker),
                (next_at, next.price, next.is_buyer_maker)
            );
            together += 1;
        }
    }
    assert!(
        together > 100 && apart > 100,
        "{together} together, {apart} apart"
    );
}
