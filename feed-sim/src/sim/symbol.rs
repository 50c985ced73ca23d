//! One symbol of the exchange: its order flow through its matching engine, and the market data that comes of it.

use depthcast_market::event::{
    AggregatePart, BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Side, Trade,
};

use super::SimEvent;
use super::draw::Draw;
use super::flow::Flow;
use super::listings::Terms;
use super::matching::{Matching, MatchingLimits, Outcome};

/// First update ids are below this; the rest of the 63 bits is for the changes to come.
const FIRST_ID_MAX: u64 = 1 << 36;

/// A symbol's market.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    flow: Flow,
    book: Matching,
    outcome: Outcome,
    /// The update id that the book stands at: one for each change of a level.
    last_id: u64,
    last_trade_id: i64,
    last_aggregate_id: i64,
    /// The best bid and ask, as they were told last.
    best: (Level, Level),
}

impl Symbol {
    /// The symbol in a place of the listings, with its book filled.
    pub(super) fn new(seed: u64, place: usize) -> (Terms, Symbol) {
        let mut draw = Draw::new(seed, place as u64);
        let terms = Terms::new(place, &mut draw);
        let mut symbol = Symbol {
            last_id: 1 + draw.below(FIRST_ID_MAX),
            flow: Flow::new(draw, &terms),
            book: Matching::new(MatchingLimits::default()),
            outcome: Outcome::default(),
            last_trade_id: 0,
            last_aggregate_id: 0,
            best: Default::default(),
        };
        symbol.flow.fill(&mut symbol.book, &mut symbol.outcome);
        symbol.best = symbol.best();
        (terms, symbol)
    }

    /// The time until its next step.
    pub(super) fn waiting_us(&mut self, mean_us: u64) -> i64 {
        self.flow.waiting_us(mean_us)
    }

    /// Takes a step: its trades, then the change of the book, then the best bid and ask if they changed.
    pub(super) fn step(&mut self, symbol: usize, at_us: i64, events: &mut Vec<SimEvent>) {
        self.flow.act(&mut self.book, &mut self.outcome);
        let mut push = |event| {
            events.push(SimEvent { symbol, at_us, event });
        };
        self.trades(at_us, &mut push);
        push(MarketEvent::Depth(self.depth(at_us)));
        let best = self.best();
        if best != self.best {
            self.best = best;
            push(MarketEvent::BestBidAsk(BestBidAsk {
                event_time_us: Some(at_us),
                update_id: self.last_id,
                bid: best.0,
                ask: best.1,
            }));
        }
    }

    /// Its book: every level.
    pub(super) fn snapshot(&self) -> BookSnapshot {
        BookSnapshot {
            last_id: self.last_id,
            bids: self.book.levels(Side::Bid).collect(),
            asks: self.book.levels(Side::Ask).collect(),
        }
    }

    fn trades(&mut self, at_us: i64, push: &mut impl FnMut(MarketEvent)) {
        let fills = &self.outcome.fills;
        let is_buyer_maker = self.outcome.taker == Some(Side::Ask);
        for (i, fill) in fills.iter().enumerate() {
            let price_of = |fill: &super::matching::Fill| fill.price;
            if i == 0 || price_of(&fills[i - 1]) != fill.price {
                self.last_aggregate_id += 1;
            }
            self.last_trade_id += 1;
            push(MarketEvent::Trade(Trade {
                event_time_us: at_us,
                trade_time_us: at_us,
                id: self.last_trade_id,
                price: fill.price,
                qty: fill.qty,
                is_buyer_maker,
                is_best_match: true,
                aggregate: Some(AggregatePart {
                    id: self.last_aggregate_id,
                    is_last: fills.get(i + 1).map(price_of) != Some(fill.price),
                }),
            }));
        }
    }

    fn depth(&mut self, at_us: i64) -> DepthUpdate {
        let (bids, asks) = (&self.outcome.bids, &self.outcome.asks);
        let first_id = self.last_id + 1;
        self.last_id += (bids.len() + asks.len()) as u64;
        DepthUpdate {
            event_time_us: at_us,
            first_id,
            last_id: self.last_id,
            bids: bids.clone(),
            asks: asks.clone(),
        }
    }

    fn best(&self) -> (Level, Level) {
        let best = |side| {
            self.book
                .best(side)
                .expect("the order flow leaves both sides levels")
        };
        (best(Side::Bid), best(Side::Ask))
    }
}
