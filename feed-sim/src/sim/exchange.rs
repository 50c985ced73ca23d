//! The exchange: its listings, its time, and the next thing that happens on it.

use std::sync::Arc;

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent};
use depthcast_market::instrument::{Exponents, Instrument};

use super::SimOptions;

/// A symbol that the exchange lists.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Name, precision and filters.
    pub instrument: Arc<Instrument>,
    /// Book changes a second, on average.
    pub rate: u32,
}

/// Something that happened on the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimEvent {
    /// The symbol's place among the listings.
    pub symbol: usize,
    /// When, in the exchange's time, microseconds.
    pub at_us: i64,
    /// What.
    pub event: MarketEvent,
}

/// A simulated exchange.
#[derive(Debug)]
pub struct Exchange {
    listings: Vec<Listing>,
    ids: Vec<u64>,
    now_us: i64,
    next: usize,
}

impl Exchange {
    /// An exchange whose books are filled and whose time stands at its origin.
    pub fn new(options: &SimOptions) -> Exchange {
        let listings: Vec<Listing> = (0..options.symbols)
            .map(|i| Listing {
                instrument: Arc::new(
                    Instrument::new(
                        &format!("S{:04}USDT", i + 1),
                        Exponents::default(),
                        1_000_000,
                        1_000,
                    )
                    .expect("a name and steps that are right"),
                ),
                rate: *options.rate.start(),
            })
            .collect();
        Exchange {
            ids: vec![1; listings.len()],
            listings,
            now_us: 1_704_067_200_000_000,
            next: 0,
        }
    }

    /// What it lists.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// The exchange's time: that of the last step, at first its origin. Microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// When the next step is due, in the exchange's time.
    pub fn next_us(&self) -> i64 {
        self.now_us + 1_000_000 / i64::from(self.listings[0].rate) / self.listings.len() as i64
    }

    /// Takes the next step: appends the events that come of it, in order.
    pub fn step(&mut self, events: &mut Vec<SimEvent>) {
        self.now_us = self.next_us();
        let (symbol, at_us) = (self.next, self.now_us);
        self.next = (self.next + 1) % self.listings.len();
        self.ids[symbol] += 1;
        let id = self.ids[symbol];
        let bid = self.best_bid(symbol);
        let ask = Level {
            price: 10_001_000_000,
            qty: 2_000,
        };
        events.push(SimEvent {
            symbol,
            at_us,
            event: MarketEvent::Depth(DepthUpdate {
                event_time_us: at_us,
                first_id: id,
                last_id: id,
                bids: vec![bid],
                asks: Vec::new(),
            }),
        });
        let best = BestBidAsk {
            event_time_us: Some(at_us),
            update_id: id,
            bid,
            ask,
        };
        events.push(SimEvent {
            symbol,
            at_us,
            event: MarketEvent::BestBidAsk(best),
        });
    }

    fn best_bid(&self, symbol: usize) -> Level {
        Level {
            price: 10_000_000_000,
            qty: 1_000 * (1 + self.ids[symbol] as i64 % 9),
        }
    }

    /// A symbol's book as it is now: every level.
    pub fn snapshot(&self, symbol: usize) -> BookSnapshot {
        BookSnapshot {
            last_id: self.ids[symbol],
            bids: vec![self.best_bid(symbol)],
            asks: vec![Level {
                price: 10_001_000_000,
                qty: 2_000,
            }],
        }
    }
}
