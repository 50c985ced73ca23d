//! What a simulated market looks like: its events over some simulated time, counted, beside a book of their own.

mod observer;

use std::fmt;

use super::{Exchange, SimEvent, SimOptions};
use observer::Observer;

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// The simulated time that was run, microseconds.
    pub simulated_us: i64,
    /// Each listing, in their order.
    pub symbols: Vec<SymbolStats>,
    /// All of them together, under the name "total".
    pub total: SymbolStats,
}

/// What was counted of one symbol, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolStats {
    /// The symbol.
    pub name: String,
    /// The listing's book changes a second, summed up in the total.
    pub rate: u64,
    /// Depth events.
    pub book_changes: u64,
    /// Trades.
    pub trades: u64,
    /// Aggregates of trades that were told to be complete.
    pub aggregates: u64,
    /// Events of the best bid and ask.
    pub best_changes: u64,
    /// Levels in the depth events.
    pub level_changes: u64,
    /// Those of them that remove the level.
    pub removals: u64,
    /// The spread in ticks after each book change.
    pub spread_ticks: Span,
    /// The levels of each side after each book change.
    pub levels: Span,
    /// Moments in which the best bid was not below the best ask; there must be none.
    pub crossed: u64,
    /// Moments in which a side had no level; there must be none.
    pub empty: u64,
    /// Events that were refused or that contradict the book they came with; there must be none.
    pub contradictions: u64,
}

/// The least, the mean and the largest of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The least.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// Their sum.
    pub sum: u64,
    /// How many there were.
    pub count: u64,
}

impl Span {
    fn add(&mut self, value: u64) {
        self.merge(&Span {
            min: value,
            max: value,
            sum: value,
            count: 1,
        });
    }

    fn merge(&mut self, other: &Span) {
        self.min = match (self.count, other.count) {
            (0, _) => other.min,
            (_, 0) => self.min,
            _ => self.min.min(other.min),
        };
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Their mean; zero where there were none.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

/// Runs an exchange for some simulated time and counts what it says, for each symbol and in total.
///
/// The books that the counts are of are made from the first snapshots and the events alone, and compared with the
/// exchange's own at the end.
pub fn run(options: &SimOptions, simulated_duration_us: i64) -> Stats {
    let mut exchange = Exchange::new(options);
    let end_us = exchange.now_us().saturating_add(simulated_duration_us.max(0));
    let mut observers: Vec<Observer> = (0..exchange.listings().len())
        .map(|symbol| Observer::new(&exchange.listings()[symbol], &exchange.snapshot(symbol)))
        .collect();
    let mut events = Vec::new();
    while exchange.next_us() <= end_us {
        exchange.step(&mut events);
        for SimEvent { symbol, event, .. } in events.drain(..) {
            observers[symbol].observe(&event);
        }
    }
    let mut total = SymbolStats {
        name: "total".into(),
        ..SymbolStats::default()
    };
    let symbols: Vec<SymbolStats> = observers
        .into_iter()
        .enumerate()
        .map(|(symbol, observer)| observer.finish(&exchange.snapshot(symbol)))
        .collect();
    for symbol in &symbols {
        total.merge(symbol);
    }
    Stats {
        simulated_us: simulated_duration_us.max(0),
        symbols,
        total,
    }
}

impl SymbolStats {
    /// The share of the level changes that removed a level.
    pub fn removal_share(&self) -> f64 {
        self.removals as f64 / self.level_changes.max(1) as f64
    }

    fn merge(&mut self, other: &SymbolStats) {
        self.rate += other.rate;
        self.book_changes += other.book_changes;
        self.trades += other.trades;
        self.aggregates += other.aggregates;
        self.best_changes += other.best_changes;
        self.level_changes += other.level_changes;
        self.removals += other.removals;
        self.spread_ticks.merge(&other.spread_ticks);
        self.levels.merge(&other.levels);
        self.crossed += other.crossed;
        self.empty += other.empty;
        self.contradictions += other.contradictions;
    }
}

impl Stats {
    /// So many a second of simulated time.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.simulated_us.max(1) as f64
    }
}

/// A table for people, a row a symbol and one for all.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>9} {:>9} {:>9} {:>9}  {:>12}  {:>15}  {:>8}  {:>7} {:>5} {:>6}",
            "symbol",
            "rate/s",
            "changes/s",
            "trades/s",
            "best/s",
            "spread ticks",
            "levels a side",
            "removals",
            "crossed",
            "empty",
            "wrong"
        )?;
        writeln!(
            f,
            "{:<12} {:>9} {:>9} {:>9} {:>9}  {:>12}  {:>15}  {:>8}  {:>7} {:>5} {:>6}",
            "", "", "", "", "", "mean / max", "min/ mean / max", "%", "", "", ""
        )?;
        for row in self.symbols.iter().chain([&self.total]) {
            let spread = format!("{:.2} /{:4}", row.spread_ticks.mean(), row.spread_ticks.max);
            let levels = format!(
                "{}/ {:.0} /{:4}",
                row.levels.min,
                row.levels.mean(),
                row.levels.max
            );
            writeln!(
                f,
                "{:<12} {:>9} {:>9.2} {:>9.2} {:>9.2}  {:>12}  {:>15}  {:>8.1}  {:>7} {:>5} {:>6}",
                row.name,
                row.rate,
                self.per_second(row.book_changes),
                self.per_second(row.trades),
                self.per_second(row.best_changes),
                spread,
                levels,
                100.0 * row.removal_share(),
                row.crossed,
                row.empty,
                row.contradictions
            )?;
        }
        write!(
            f,
            "over {:.0} s of simulated time",
            self.simulated_us as f64 / 1e6
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_merge_as_if_counted_together() {
        let (mut left, mut right, mut all) = (Span::default(), Span::default(), Span::default());
        left.merge(&right);
        assert_eq!(left, Span::default());
        assert_eq!(left.mean(), 0.0);
        for value in [7, 3, 9, 4] {
            all.add(value);
            if value < 5 { &mut left } else { &mut right }.add(value);
        }
        left.merge(&right);
        assert_eq!(left, all);
        assert_eq!((all.min, all.max, all.mean()), (3, 9, 5.75));
    }

    #[test]
    fn the_table_has_a_row_for_each_symbol_and_one_for_all() {
        let options = SimOptions {
            symbols: 2,
            rate: 20..=40,
            seed: 5,
        };
        let stats = run(&options, 5_000_000);
        let sum = stats.symbols[0].book_changes + stats.symbols[1].book_changes;
        assert_eq!(stats.total.book_changes, sum);
        assert!((150..600).contains(&sum), "{sum}");
        let table = stats.to_string();
        let firsts: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(firsts, ["symbol", "mean", "BTCUSDT", "ETHUSDT", "total", "over"]);
        let widths: Vec<usize> = table.lines().take(5).map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
    }

    #[test]
    fn no_time_gives_nothing() {
        for duration_us in [0, -1, i64::MIN] {
            let stats = run(&SimOptions::default(), duration_us);
            assert_eq!((stats.simulated_us, stats.total.book_changes), (0, 0));
            assert_eq!(stats.total.contradictions, 0);
            assert!(stats.to_string().contains("total"));
        }
    }
}
