//! Aggregate trades: by hand, over any trades, and over the recorded market.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use depthcast_market::aggregate::{Aggregator, QUIET_US};
use depthcast_market::decimal::parse_mantissa;
use depthcast_market::event::{AggTrade, AggregatePart, Trade};
use proptest::prelude::*;

fn trade(id: i64, price: i64, qty: i64) -> Trade {
    Trade {
        event_time_us: id.wrapping_add(5_000),
        trade_time_us: 4_000,
        id,
        price,
        qty,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    }
}

fn named(trade: Trade, id: i64, is_last: bool) -> Trade {
    Trade {
        aggregate: Some(AggregatePart { id, is_last }),
        ..trade
    }
}

/// Id, first and last trade, quantity.
type Brief = (i64, i64, i64, i64);

fn brief(aggregate: AggTrade) -> Brief {
    let AggTrade {
        id,
        first_trade_id,
        last_trade_id,
        qty,
        ..
    } = aggregate;
    (id, first_trade_id, last_trade_id, qty)
}

fn take(aggregator: &mut Aggregator, trade: &Trade, at_us: i64) -> Vec<Brief> {
    aggregator.on_trade(trade, at_us).map(brief).collect()
}

#[test]
fn what_a_feed_does_not_name_is_complete_with_a_trade_of_another_price_side_or_time() {
    let mut aggregator = Aggregator::new();
    let other_side = Trade {
        is_buyer_maker: true,
        ..trade(4, 101, 7)
    };
    let other_time = Trade {
        trade_time_us: 4_001,
        ..other_side
    };
    for (trade, complete) in [
        (trade(1, 100, 2), vec![]),
        (trade(2, 100, 3), vec![]),
        (trade(3, 101, 1), vec![(1, 1, 2, 5)]),
        (other_side, vec![(2, 3, 3, 1)]),
        (Trade { id: 5, ..other_time }, vec![(3, 4, 4, 7)]),
        (Trade { id: 6, ..other_time }, vec![]),
    ] {
        assert_eq!(take(&mut aggregator, &trade, 0), complete);
    }
    let last = aggregator.complete().unwrap();
    assert_eq!(brief(last), (4, 5, 6, 14));
    assert_eq!(
        (last.event_time_us, last.trade_time_us, last.is_buyer_maker),
        (5_004, 4_001, true)
    );
    assert_eq!(aggregator.complete(), None);
}

#[test]
fn the_event_time_is_that_of_the_last_trade() {
    let mut aggregator = Aggregator::new();
    take(&mut aggregator, &trade(1, 100, 1), 0);
    take(&mut aggregator, &trade(2, 100, 1), 0);
    assert_eq!(aggregator.complete().unwrap().event_time_us, 5_002);
}

#[test]
fn a_quiet_market_completes_it_and_a_burst_is_not_cut() {
    let mut aggregator = Aggregator::new();
    assert_eq!(aggregator.on_time(i64::MIN), None);
    take(&mut aggregator, &trade(1, 100, 1), 9_000);
    assert_eq!(aggregator.on_time(10_000), None, "its burst may go on");
    take(&mut aggregator, &trade(2, 100, 1), 11_000);
    assert_eq!(aggregator.on_time(20_000), None);
    assert_eq!(aggregator.on_time(30_000).map(brief), Some((1, 1, 2, 2)));
    assert_eq!(aggregator.on_time(40_000), None);
    assert_eq!(take(&mut aggregator, &trade(3, 100, 1), 41_000), []);
    assert_eq!(
        aggregator.complete().map(brief),
        Some((2, 3, 3, 1)),
        "it came too late"
    );
}

#[test]
fn what_a_feed_names_is_complete_when_the_feed_says_so_or_names_another() {
    let mut aggregator = Aggregator::new();
    for (trade, complete) in [
        (named(trade(1, 100, 1), 70, true), vec![(70, 1, 1, 1)]),
        (named(trade(2, 100, 1), 71, false), vec![]),
        (named(trade(3, 100, 1), 71, true), vec![(71, 2, 3, 2)]),
        (named(trade(4, 100, 1), 72, false), vec![]),
        (
            named(trade(5, 100, 1), 73, true),
            vec![(72, 4, 4, 1), (73, 5, 5, 1)],
        ),
        (named(trade(6, 100, 1), 1, false), vec![]),
        // One that the feed did not name is no part of it, though it would have the same id.
        (trade(7, 100, 1), vec![(1, 6, 6, 1)]),
        (named(trade(8, 100, 1), 1, false), vec![(1, 7, 7, 1)]),
    ] {
        assert_eq!(take(&mut aggregator, &trade, 0), complete, "{trade:?}");
    }
    assert_eq!(
        aggregator.on_time(i64::MAX),
        None,
        "the feed will say when it ends"
    );
}

#[test]
fn trades_that_differ_under_one_name_or_follow_lost_ones_make_parts() {
    let mut aggregator = Aggregator::new();
    take(&mut aggregator, &named(trade(1, 100, 1), 70, false), 0);
    assert_eq!(
        take(&mut aggregator, &named(trade(2, 101, 1), 70, false), 0),
        [(70, 1, 1, 1)]
    );
    assert_eq!(
        take(&mut aggregator, &named(trade(4, 101, 1), 70, true), 0),
        [(70, 2, 2, 1), (70, 4, 4, 1)]
    );
}

#[test]
fn a_quantity_that_does_not_fit_makes_parts_and_loses_nothing() {
    for (first, second) in [(i64::MAX, 1), (i64::MIN, -1)] {
        let mut aggregator = Aggregator::new();
        take(&mut aggregator, &trade(1, 100, first), 0);
        assert_eq!(
            take(&mut aggregator, &trade(2, 100, second), 0),
            [(1, 1, 1, first)]
        );
        assert_eq!(aggregator.complete().map(brief), Some((2, 2, 2, second)));
    }
    let mut aggregator = Aggregator::new();
    take(&mut aggregator, &trade(i64::MAX, 100, 1), 0);
    assert_eq!(
        take(&mut aggregator, &trade(i64::MIN, 100, 1), 0),
        [(1, i64::MAX, i64::MAX, 1)]
    );
}

#[derive(Clone, Debug)]
enum Step {
    Trade(Trade, i64),
    Time(i64),
}

/// Trades that often belong together, with time between them.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let qty = prop_oneof![9 => 0..1_000i64, 1 => i64::MAX - 5..=i64::MAX];
    let part = prop::option::of((0..3i64, any::<bool>()));
    let step = (
        0..3i64,
        qty,
        0..2i64,
        any::<bool>(),
        part,
        0..20i64,
        0..12_000i64,
        0..4u8,
    );
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let (mut at_us, mut id) = (0, 0);
        let mut made = Vec::new();
        for (price, qty, time, is_buyer_maker, part, skip, wait_us, kind) in steps {
            at_us += wait_us;
            if kind == 0 {
                made.push(Step::Time(at_us));
                continue;
            }
            // Now and then some are lost.
            id += if skip == 0 { 3 } else { 1 };
            let trade = Trade {
                trade_time_us: time,
                is_buyer_maker: is_buyer_maker && kind == 1,
                aggregate: part.map(|(id, is_last)| AggregatePart { id, is_last }),
                ..trade(id, price, qty)
            };
            made.push(Step::Trade(trade, at_us));
        }
        made
    })
}

proptest! {
    #[test]
    fn every_trade_is_in_one_aggregate_and_none_mixes(steps in steps()) {
        let mut aggregator = Aggregator::new();
        let (mut trades, mut aggregates) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Trade(trade, at_us) => {
                    trades.push(trade);
                    aggregates.extend(aggregator.on_trade(&trade, at_us));
                }
                Step::Time(at_us) => aggregates.extend(aggregator.on_time(at_us)),
            }
        }
        aggregates.extend(aggregator.complete());
        let mut rest = &trades[..];
        let mut unnamed = 0;
        for aggregate in aggregates {
            let len = usize::try_from(aggregate.last_trade_id - aggregate.first_trade_id + 1).unwrap();
            prop_assert!((1..=rest.len()).contains(&len), "{:?}", aggregate);
            let (of_it, after) = rest.split_at(len);
            rest = after;
            prop_assert_eq!(of_it[0].id, aggregate.first_trade_id);
            prop_assert_eq!(of_it[len - 1].id, aggregate.last_trade_id);
            prop_assert_eq!(of_it[len - 1].event_time_us, aggregate.event_time_us);
            prop_assert_eq!(of_it.iter().map(|t| i128::from(t.qty)).sum::<i128>(), i128::from(aggregate.qty));
            for trade in of_it {
                prop_assert_eq!(trade.price, aggregate.price);
                prop_assert_eq!(trade.is_buyer_maker, aggregate.is_buyer_maker);
                prop_assert_eq!(trade.trade_time_us, aggregate.trade_time_us);
                prop_assert_eq!(trade.aggregate.map(|part| part.id), of_it[0].aggregate.map(|part| part.id));
            }
            unnamed += i64::from(of_it[0].aggregate.is_none());
            let id = of_it[0].aggregate.map_or(unnamed, |part| part.id);
            prop_assert_eq!(aggregate.id, id);
        }
        prop_assert!(rest.is_empty(), "{:?} are in none", rest);
    }
}

/// The recorded trades with their receive times, microseconds.
fn recorded_trades() -> Vec<(i64, Trade)> {
    let folder = std::env::var_os("DEPTHCAST_CAPTURES")
        .expect("set DEPTHCAST_CAPTURES to the folder that holds spot_btcusdt_20240808.gz");
    let path = PathBuf::from(folder).join("spot_btcusdt_20240808.gz");
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(Result::unwrap)
        .filter(|line| line.contains(r#""stream":"btcusdt@trade""#))
        .map(|line| {
            let (at_ns, _) = line.split_once(' ').unwrap();
            (at_ns.parse::<i64>().unwrap() / 1_000, read_trade(&line))
        })
        .collect()
}

fn read_trade(line: &str) -> Trade {
    let value = |key: &str| {
        let (_, rest) = line.split_once(&format!("\"{key}\":")).unwrap();
        rest.split([',', '}']).next().unwrap().trim_matches('"')
    };
    let integer = |key| value(key).parse::<i64>().unwrap();
    let mantissa = |key| parse_mantissa(value(key).as_bytes(), -8).unwrap();
    Trade {
        event_time_us: 1_000 * integer("E"),
        trade_time_us: 1_000 * integer("T"),
        id: integer("t"),
        price: mantissa("p"),
        qty: mantissa("q"),
        is_buyer_maker: value("m") == "true",
        is_best_match: value("M") == "true",
        aggregate: None,
    }
}

#[test]
fn the_aggregates_of_the_recorded_market_cover_its_trades() {
    let trades = recorded_trades();
    let mut aggregator = Aggregator::new();
    let mut aggregates = Vec::new();
    let mut tick_us = trades[0].0.div_euclid(QUIET_US) * QUIET_US;
    for (at_us, trade) in &trades {
        while tick_us + QUIET_US <= *at_us {
            tick_us += QUIET_US;
            aggregates.extend(aggregator.on_time(tick_us));
        }
        aggregates.extend(aggregator.on_trade(trade, *at_us));
    }
    aggregates.extend(aggregator.complete());
    let (first, last) = (trades[0].1.id, trades[trades.len() - 1].1.id);
    assert_eq!(aggregates[0].first_trade_id, first);
    assert_eq!(aggregates[aggregates.len() - 1].last_trade_id, last);
    assert!(
        aggregates
            .windows(2)
            .all(|two| two[0].last_trade_id + 1 == two[1].first_trade_id)
    );
    assert!(aggregates.iter().map(|aggregate| aggregate.id).eq(1..=5_813));
    let qty = |of: &mut dyn Iterator<Item = i64>| of.map(i128::from).sum::<i128>();
    assert_eq!(
        qty(&mut aggregates.iter().map(|aggregate| aggregate.qty)),
        qty(&mut trades.iter().map(|(_, trade)| trade.qty))
    );
    // As many as price, side and time alone tell apart: no tick cuts one in two.
    let one = |a: &(i64, Trade), b: &(i64, Trade)| {
        let key = |trade: &Trade| (trade.price, trade.is_buyer_maker, trade.trade_time_us);
        key(&a.1) == key(&b.1)
    };
    assert_eq!(trades.chunk_by(one).count(), aggregates.len());
    assert_eq!((trades.len(), aggregates.len()), (9_757, 5_813));
}
