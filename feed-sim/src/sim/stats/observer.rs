//! Follows one symbol's events, counts them, and checks each against the rules of the feed and a book of its own.

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::event::{BookSnapshot, DepthUpdate, MarketEvent, Side, Trade};

use super::SymbolStats;
use crate::sim::Listing;

/// Follows one symbol.
///
/// Its book is made from the first snapshot and the events alone.
pub(super) struct Observer {
    stats: SymbolStats,
    book: Book,
    tick_size: i64,
    /// The trades of the step that is under way, which its depth event must bear out.
    trades: Vec<Trade>,
    last_trade: Option<Trade>,
    last_time_us: i64,
}

impl Observer {
    pub(super) fn new(listing: &Listing, snapshot: &BookSnapshot) -> Observer {
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

    pub(super) fn observe(&mut self, event: &MarketEvent) {
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

    pub(super) fn finish(mut self, snapshot: &BookSnapshot) -> SymbolStats {
        let mut own = BookSnapshot::default();
        self.book.snapshot(usize::MAX, &mut own);
        self.check(own == *snapshot && self.trades.is_empty());
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use depthcast_market::event::{AggregatePart, BestBidAsk, Level};

    use super::*;
    use crate::sim::draw::Draw;
    use crate::sim::listings::Terms;

    const TICK: i64 = 1_000_000;

    fn level(ticks: i64, qty: i64) -> Level {
        Level {
            price: ticks * TICK,
            qty,
        }
    }

    fn snapshot() -> BookSnapshot {
        BookSnapshot {
            last_id: 10,
            bids: vec![level(99, 5), level(98, 1)],
            asks: vec![level(101, 4), level(103, 2)],
        }
    }

    /// An observer of BTCUSDT, whose tick is 0.01.
    fn observer() -> Observer {
        let listing = Terms::new(0, &mut Draw::new(1, 0)).listing(10);
        Observer::new(&listing, &snapshot())
    }

    fn trade(id: i64, ticks: i64, qty: i64, aggregate: i64, is_last: bool) -> MarketEvent {
        MarketEvent::Trade(Trade {
            event_time_us: 1,
            trade_time_us: 1,
            id,
            price: ticks * TICK,
            qty,
            is_buyer_maker: false,
            is_best_match: true,
            aggregate: Some(AggregatePart {
                id: aggregate,
                is_last,
            }),
        })
    }

    fn depth(first_id: u64, bids: Vec<Level>, asks: Vec<Level>) -> MarketEvent {
        MarketEvent::Depth(DepthUpdate {
            event_time_us: 1,
            first_id,
            last_id: first_id - 1 + (bids.len() + asks.len()) as u64,
            bids,
            asks,
        })
    }

    fn best(update_id: u64, bid: Level, ask: Level) -> MarketEvent {
        MarketEvent::BestBidAsk(BestBidAsk {
            event_time_us: Some(1),
            update_id,
            bid,
            ask,
        })
    }

    fn observed(events: &[MarketEvent]) -> SymbolStats {
        let mut observer = observer();
        for event in events {
            observer.observe(event);
        }
        observer.stats
    }

    #[test]
    fn counts_what_a_step_tells() {
        let mut observer = observer();
        for event in [
            trade(1, 101, 3, 1, false),
            trade(2, 101, 1, 1, true),
            trade(3, 103, 1, 2, true),
            depth(11, vec![], vec![level(101, 0), level(103, 1)]),
            best(12, level(99, 5), level(103, 1)),
        ] {
            observer.observe(&event);
        }
        let stats = observer.finish(&BookSnapshot {
            last_id: 12,
            bids: vec![level(99, 5), level(98, 1)],
            asks: vec![level(103, 1)],
        });
        assert_eq!(stats.name, "BTCUSDT");
        assert_eq!((stats.trades, stats.aggregates), (3, 2));
        assert_eq!((stats.book_changes, stats.best_changes), (1, 1));
        assert_eq!((stats.level_changes, stats.removals), (2, 1));
        assert_eq!((stats.spread_ticks.max, stats.spread_ticks.count), (4, 1));
        assert_eq!((stats.levels.min, stats.levels.max, stats.levels.sum), (1, 2, 3));
        assert_eq!((stats.crossed, stats.empty, stats.contradictions), (0, 0, 0));
    }

    #[test]
    fn sees_a_book_that_is_crossed_or_runs_empty() {
        let crossed = observed(&[depth(11, vec![level(101, 1)], vec![])]);
        assert_eq!((crossed.crossed, crossed.empty), (1, 0));
        let empty = observed(&[depth(11, vec![], vec![level(101, 0), level(103, 0)])]);
        assert_eq!((empty.crossed, empty.empty), (0, 1));
    }

    #[test]
    fn sees_what_contradicts() {
        let rest = || vec![level(101, 1)];
        let wrong: [&[MarketEvent]; 8] = [
            // A gap in the ids, and an id for no level.
            &[depth(12, vec![], rest())],
            &[depth(11, vec![], vec![])],
            // A trade of more, or of another level, than what left the book.
            &[trade(1, 101, 2, 1, true), depth(11, vec![], rest())],
            &[trade(1, 103, 3, 1, true), depth(11, vec![], rest())],
            // Trade and aggregate ids that do not follow.
            &[
                trade(1, 101, 1, 1, true),
                trade(3, 101, 2, 2, true),
                depth(11, vec![], rest()),
            ],
            &[
                trade(1, 101, 1, 1, false),
                trade(2, 101, 2, 2, true),
                depth(11, vec![], rest()),
            ],
            // A best bid and ask that the book does not have.
            &[best(10, level(99, 4), level(101, 4))],
            &[MarketEvent::Snapshot(snapshot())],
        ];
        for events in wrong {
            assert!(observed(events).contradictions > 0, "{events:?}");
        }
        let right = observed(&[trade(1, 101, 3, 1, true), depth(11, vec![], rest())]);
        assert_eq!(right.contradictions, 0);
        let unlike = observer().finish(&BookSnapshot::default());
        assert_eq!(unlike.contradictions, 1);
    }
}
