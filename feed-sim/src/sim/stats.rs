//! What a simulated market looks like: its events over some simulated time, counted, beside a book of their own.

use std::fmt;

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::event::{BookSnapshot, DepthUpdate, MarketEvent, Side, Trade};

use super::{Exchange, Listing, SimEvent, SimOptions};

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

/// Follows one symbol.
struct Observer {
    stats: SymbolStats,
    book: Book,
    tick_size: i64,
    /// The trades of the step that is under way, which its depth event must bear out.
    trades: Vec<Trade>,
    last_trade: Option<Trade>,
    last_time_us: i64,
}

impl Observer {
    fn new(listing: &Listing, snapshot: &BookSnapshot) -> Observer {
        let mut book = Book::new(BookLimits::default());
        let refused = book.load(snapshot).is_err();
        Observer {
            stats: SymbolStats {
                name: listing.instrument.name().into(),
                rate: u64::from(listing.rate),
                contradictions: u64::from(refused),
                ..SymbolStats::default()
            },
            book,
            tick_size: listing.instrument.tick_size().mantissa,
            trades: Vec::new(),
            last_trade: None,
            last_time_us: 0,
        }
    }

    fn observe(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Trade(trade) => self.trade(trade),
            MarketEvent::Depth(update) => self.depth(update),
            MarketEvent::BestBidAsk(best) => {
                self.stats.best_changes += 1;
                let right = self.book.best(Side::Bid) == Some(best.bid)
                    && self.book.best(Side::Ask) == Some(best.ask)
                    && self.book.last_id() == best.update_id;
                self.check(right);
            }
            MarketEvent::Snapshot(_) => self.check(false),
        }
    }

    fn check(&mut self, right: bool) {
        self.stats.contradictions += u64::from(!right);
    }

    fn trade(&mut self, trade: &Trade) {
        self.stats.trades += 1;
        let part = trade.aggregate;
        self.stats.aggregates += u64::from(part.is_some_and(|part| part.is_last));
        if let Some(last) = self.last_trade {
            let expected = last.aggregate.map(|part| part.id + i64::from(part.is_last));
            self.check(trade.id == last.id + 1 && part.map(|part| part.id) == expected);
        }
        self.last_trade = Some(*trade);
        self.trades.push(*trade);
    }

    fn depth(&mut self, update: &DepthUpdate) {
        let changes = (update.bids.len() + update.asks.len()) as u64;
        self.stats.book_changes += 1;
        self.stats.level_changes += changes;
        let levels = update.bids.iter().chain(&update.asks);
        self.stats.removals += levels.filter(|level| level.qty == 0).count() as u64;
        let continues = update.first_id == self.book.last_id() + 1
            && update.last_id + 1 == update.first_id + changes
            && update.event_time_us >= self.last_time_us;
        self.check(continues && changes > 0);
        self.last_time_us = update.event_time_us;
        let borne_out = self.trades_are_borne_out(update);
        self.check(borne_out);
        self.trades.clear();
        let applied = self.book.apply(update).is_ok();
        self.check(applied);
        self.measure();
    }

    /// Whether what the trades of this step took is exactly what the levels they were made at lost.
    fn trades_are_borne_out(&self, update: &DepthUpdate) -> bool {
        self.trades.chunk_by(|a, b| a.price == b.price).all(|trades| {
            let (side, levels) = match trades[0].is_buyer_maker {
                true => (Side::Bid, &update.bids),
                false => (Side::Ask, &update.asks),
            };
            let taken: i64 = trades.iter().map(|trade| trade.qty).sum();
            // A step reaches few levels from the best, so this search is short.
            let before = self
                .book
                .top(side, usize::MAX)
                .find(|level| level.price == trades[0].price);
            let after = levels.iter().find(|level| level.price == trades[0].price);
            matches!((before, after), (Some(before), Some(after)) if before.qty - after.qty == taken)
        })
    }

    fn measure(&mut self) {
        for side in [Side::Bid, Side::Ask] {
            let levels = self.book.level_count(side);
            self.stats.levels.add(levels as u64);
            self.stats.empty += u64::from(levels == 0);
        }
        self.stats.crossed += u64::from(self.book.is_crossed());
        if let (Some(bid), Some(ask)) = (self.book.best(Side::Bid), self.book.best(Side::Ask)) {
            let ticks = (ask.price - bid.price) / self.tick_size;
            self.stats.spread_ticks.add(ticks.max(0) as u64);
        }
    }

    fn finish(mut self, snapshot: &BookSnapshot) -> SymbolStats {
        let mut own = BookSnapshot::default();
        self.book.snapshot(usize::MAX, &mut own);
        self.check(own == *snapshot && self.trades.is_empty());
        self.stats
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
