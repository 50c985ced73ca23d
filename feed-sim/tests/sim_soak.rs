//! Simulated minutes and hours of busy symbols: the market stays a market.

use depthcast_feed_sim::sim::SimOptions;
use depthcast_feed_sim::sim::stats::{self, SymbolStats};

const MINUTE_US: i64 = 60 * 1_000_000;

fn busy(symbols: u32, seed: u64) -> SimOptions {
    SimOptions {
        symbols,
        rate: 100..=100,
        seed,
    }
}

fn assert_market(symbol: &SymbolStats) {
    let name = &symbol.name;
    // Never crossed or empty; every id, trade and best price borne out; and in the end the book that the events make is the
    // matching engine's.
    assert_eq!(
        (symbol.crossed, symbol.empty, symbol.contradictions),
        (0, 0, 0),
        "{name}"
    );
    let levels = symbol.levels;
    assert!(levels.min >= 50 && levels.max <= 1_000, "{name}: {levels:?}");
    let spread = symbol.spread_ticks.mean();
    assert!((1.0..6.0).contains(&spread), "{name}: {spread}");
}

#[test]
fn ten_minutes_look_like_a_market() {
    let stats = stats::run(&busy(3, 1), 10 * MINUTE_US);
    println!("{stats}");
    assert_eq!(stats.symbols.len(), 3);
    for symbol in &stats.symbols {
        let name = &symbol.name;
        assert_market(symbol);
        let changes = stats.per_second(symbol.book_changes);
        assert!((98.0..102.0).contains(&changes), "{name}: {changes}");
        let trades = stats.per_second(symbol.trades);
        assert!((20.0..40.0).contains(&trades), "{name}: {trades}");
        let best = stats.per_second(symbol.best_changes);
        assert!((10.0..60.0).contains(&best), "{name}: {best}");
        assert!(symbol.aggregates < symbol.trades, "{name}");
        let removals = symbol.removal_share();
        assert!((0.3..0.6).contains(&removals), "{name}: {removals}");
    }
}

#[test]
fn hours_neither_drain_a_book_nor_fill_it() {
    for seed in [2, 3] {
        let stats = stats::run(&busy(1, seed), 3 * 60 * MINUTE_US);
        println!("{stats}");
        let symbol = &stats.symbols[0];
        assert!(symbol.book_changes > 1_000_000, "{}", symbol.book_changes);
        assert_market(symbol);
        let levels = symbol.levels.mean();
        assert!((200.0..500.0).contains(&levels), "{levels}");
    }
}
