//! The exchange: its listings, its time, and the next thing that happens on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use depthcast_market::event::{BookSnapshot, MarketEvent};

use super::SimOptions;
use super::draw::{Draw, EXCHANGE_STREAM};
use super::listings::{self, Listing};
use super::symbol::Symbol;

/// 2024-01-01T00:00:00Z: the earliest origin, microseconds since 1970.
const EARLIEST_ORIGIN_US: i64 = 1_704_067_200_000_000;

/// Origins lie in the year after it, on whole seconds.
const ORIGINS_S: u64 = 366 * 86_400;

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
///
/// Each symbol draws from a stream of its own, so what happens in its market, ids and prices, does not depend on how many
/// others there are. When it happens does so as far as its rate does: over a range of rates, a symbol's rate depends on
/// its place among all.
///
/// Memory: some 60 KB a symbol.
#[derive(Clone, Debug)]
pub struct Exchange {
    listings: Vec<Listing>,
    symbols: Vec<Symbol>,
    /// When each symbol's next step is due; at one time, the symbol listed first goes first.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    now_us: i64,
}

impl Exchange {
    /// An exchange whose books are filled and whose time stands at its origin.
    pub fn new(options: &SimOptions) -> Exchange {
        let seconds = Draw::new(options.seed, EXCHANGE_STREAM).below(ORIGINS_S) as i64;
        let now_us = EARLIEST_ORIGIN_US + seconds * 1_000_000;
        let count = options.symbols as usize;
        let mut exchange = Exchange {
            listings: Vec::with_capacity(count),
            symbols: Vec::with_capacity(count),
            due: BinaryHeap::with_capacity(count),
            now_us,
        };
        for place in 0..count {
            let (terms, mut symbol) = Symbol::new(options.seed, place);
            let listing = terms.listing(listings::rate(&options.rate, place, count));
            let due_us = now_us + symbol.waiting_us(mean_us(&listing));
            exchange.due.push(Reverse((due_us, place as u32)));
            exchange.listings.push(listing);
            exchange.symbols.push(symbol);
        }
        exchange
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
        self.due.peek().map_or(i64::MAX, |Reverse((due_us, _))| *due_us)
    }

    /// Takes the next step: appends the events that come of it, in order.
    ///
    /// A step is one thing that somebody did in one symbol: the trades it made, then the one change of the book, then the
    /// best bid and ask if they changed, all of one time.
    pub fn step(&mut self, events: &mut Vec<SimEvent>) {
        let Some(mut next) = self.due.peek_mut() else {
            return;
        };
        let Reverse((at_us, place)) = *next;
        let symbol = &mut self.symbols[place as usize];
        symbol.step(place as usize, at_us, events);
        let due_us = at_us + symbol.waiting_us(mean_us(&self.listings[place as usize]));
        *next = Reverse((due_us, place));
        self.now_us = at_us;
    }

    /// A symbol's book as it is now: every level.
    ///
    /// # Panics
    ///
    /// When there is no such place among the listings.
    pub fn snapshot(&self, symbol: usize) -> BookSnapshot {
        self.symbols[symbol].snapshot()
    }
}

fn mean_us(listing: &Listing) -> u64 {
    1_000_000 / u64::from(listing.rate)
}
