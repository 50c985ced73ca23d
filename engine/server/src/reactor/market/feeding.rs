//! What the feed says, and the time that passes by it.

use depthcast_market::event::MarketEvent;
use depthcast_market::limits::RecordLimits;

use super::Market;
use super::cadence::{Tick, TickClock};
use super::channel::Outlet;
use super::feed_clock::FeedClock;
use super::symbol::Symbol;
use super::{Counters, FeedMessage, FeedSymbol, SYMBOLS_MAX, WorkerMessage};
use crate::reactor::messages::Position;

/// Why subscribers are closed when a feed starts anew.
const NEW_EPOCH: &str = "the feed began anew: reconnect and take a new snapshot";

impl Market {
    pub(super) fn on_feed(&mut self, message: FeedMessage) {
        match message {
            FeedMessage::Epoch { id, symbols } => self.begin_epoch(id, &symbols),
            FeedMessage::Time(at_us) => self.advance(at_us),
            FeedMessage::Event {
                symbol,
                at_us,
                position,
                event,
            } => {
                let at_us = self.not_before(at_us);
                self.advance(at_us);
                self.on_event(symbol, at_us, position, event);
            }
            FeedMessage::Fixed { at_us, frames } => {
                self.advance(self.not_before(at_us));
                for (symbol, payload) in frames {
                    if let Some(symbol) = self.symbols.get_mut(symbol) {
                        symbol.on_fixed(&payload, &mut self.outbox);
                    }
                }
            }
            FeedMessage::Break { reason } => {
                tracing::info!(%reason, "the feed broke: its books are stale until their next snapshots");
                for symbol in &mut self.symbols {
                    let before = symbol.ticker_changes();
                    symbol.mark_stale();
                    self.ticker_changes += symbol.ticker_changes() - before;
                }
            }
        }
    }

    /// What is late belongs to the window that is open: the one it was for has been sent.
    fn not_before(&self, at_us: i64) -> i64 {
        self.ticks.now_us().map_or(at_us, |now_us| now_us.max(at_us))
    }

    fn on_event(&mut self, symbol: usize, at_us: i64, position: Position, event: MarketEvent) {
        let Some(symbol) = self.symbols.get_mut(symbol) else {
            tracing::error!(
                symbol,
                %position,
                "the feed spoke of a symbol that it did not announce"
            );
            return;
        };
        if matches!(event, MarketEvent::Depth(_)) {
            Counters::bump(&self.counters.depth_events);
        }
        self.clock.learn(&event, at_us);
        let clock_us = self.clock.at(at_us);
        let before = symbol.ticker_changes();
        let outcome = match event {
            MarketEvent::Depth(update) => symbol.on_depth(&update, at_us, &mut self.outbox),
            MarketEvent::Snapshot(snapshot) => symbol.on_snapshot(&snapshot, at_us, &mut self.outbox),
            MarketEvent::BestBidAsk(best) => {
                symbol.on_best_bid_ask(best, at_us, &mut self.outbox);
                Ok(())
            }
            MarketEvent::Trade(trade) => {
                symbol.on_trade(&trade, (at_us, clock_us), &mut self.outbox);
                Ok(())
            }
        };
        self.ticker_changes += symbol.ticker_changes() - before;
        if let Err(error) = outcome {
            Counters::bump(&self.counters.feed_gaps);
            let name = symbol.instrument().name();
            tracing::error!(symbol = name, %position, %error, "the feed is at fault: the book is stale until a snapshot");
        }
    }

    /// Ticks everything that is due up to `to_us`.
    fn advance(&mut self, to_us: i64) {
        while let Some(tick) = self.ticks.next_tick(to_us) {
            let clock_us = self.clock.at(tick.0);
            for symbol in &mut self.symbols {
                symbol.on_tick(tick, clock_us, &mut self.outbox);
            }
            self.tick_statistics(tick);
            let (joins, books, outbox) = self.joins_and_books();
            joins.on_tick(tick, books, outbox);
        }
        // Where ticks were passed over, candlesticks close all the same.
        if let Some(now_us) = self.ticks.now_us() {
            self.tick_statistics(Tick::at_or_before(now_us));
        }
    }

    /// What is told of trades and books once in a while, behind what the same tick tells of the books themselves. Most ticks have
    /// nothing of it: only then are all symbols looked at.
    fn tick_statistics(&mut self, tick: Tick) {
        let Some(round) = self
            .clock
            .round(tick, || self.symbols.iter().map(Symbol::klines_wanted).sum())
        else {
            return;
        };
        for symbol in &mut self.symbols {
            let before = symbol.ticker_changes();
            symbol.tick_statistics(&round, &mut self.outbox);
            self.ticker_changes += symbol.ticker_changes() - before;
        }
        self.market_wide
            .tick_statistics(&round, &self.symbols, &mut self.outbox);
    }

    /// The history that was told so far is all there is of it.
    pub(super) fn end_history(&mut self) {
        self.outbox.let_nobody_wait();
        let clock_us = self.clock.now_us();
        for symbol in &mut self.symbols {
            symbol.on_end(clock_us, &mut self.outbox);
        }
    }

    fn begin_epoch(&mut self, id: u64, symbols: &[FeedSymbol]) {
        self.end_history();
        let ends = self.epoch.replace(id).map(|_| NEW_EPOCH);
        self.outbox.tell_all(|| WorkerMessage::Epoch { id, ends });
        self.joins.begin_epoch();
        self.ticks = TickClock::default();
        self.clock = FeedClock::default();
        self.market_wide.begin_epoch(id);
        self.ticker_changes = 0;
        let limits = RecordLimits::of_symbols(symbols.len().min(SYMBOLS_MAX));
        let symbols = symbols.iter().take(SYMBOLS_MAX);
        self.symbols = symbols.map(|symbol| Symbol::new(symbol, limits)).collect();
        self.by_name = self
            .symbols
            .iter()
            .enumerate()
            .map(|(i, symbol)| (symbol.stream_name(), i))
            .collect();
        for ((worker, token), (name, encoding)) in self.wanted.clone() {
            if !self.attach(Outlet { worker, token }, name, encoding) {
                Counters::bump(&self.counters.unknown_symbols);
            }
        }
    }
}
