//! The exchange: its own history of every book, trade and best bid and ask, as plain maps that share nothing with the engine's
//! books; and what an engine that keeps the public rules knows of it.

use std::collections::{BTreeMap, HashMap};

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};

/// Symbols that there may be, by their places; behind them one that there never is.
pub(super) const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "NOSUCH"];

/// Those that there may be.
pub(super) const SYMBOLS_LEN: usize = 3;

/// Prices with quantities.
type Side = BTreeMap<i64, i64>;

/// A book at one id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) bids: Side,
    pub(super) asks: Side,
}

/// One level that an id sets; of no quantity where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) is_bid: bool,
    /// How far from the middle.
    pub(super) far: i64,
    pub(super) qty: i64,
}

/// The best bid and ask as the feed gave them: its id, and both with price and quantity.
pub(super) type Best = (u64, (i64, i64), (i64, i64));

impl Book {
    pub(super) fn set(&mut self, is_bid: bool, price: i64, qty: i64) {
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        if qty == 0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
    }

    /// The best so many levels a side, best first.
    pub(super) fn top(&self, levels: usize) -> [Vec<(i64, i64)>; 2] {
        let of = |(price, qty): (&i64, &i64)| (*price, *qty);
        [
            self.bids.iter().rev().map(of).take(levels).collect(),
            self.asks.iter().map(of).take(levels).collect(),
        ]
    }
}

/// All that ever was of a symbol in one history, and what the engine was told of it.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The book at each id.
    books: BTreeMap<u64, Book>,
    pub(super) trades: Vec<Trade>,
    pub(super) bests: Vec<Best>,
    next_trade: i64,
    next_best: i64,
    pub(super) known: Known,
}

/// What an engine knows of a book by the public rules.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where its book stands, once it has had one.
    pub(super) id: Option<u64>,
    /// Where it first stood.
    pub(super) first: u64,
    pub(super) is_synced: bool,
    /// Nothing came since the snapshot.
    is_fresh: bool,
    /// Between which ids it was brought by a snapshot: of those in between it knows nothing.
    skipped: Vec<(u64, u64)>,
    /// Ids of events that wait for a snapshot.
    waiting: Vec<(u64, u64)>,
}

impl Known {
    /// Whether it can tell what changed since then.
    pub(super) fn reaches(&self, id: u64) -> bool {
        id >= self.first
            && self
                .skipped
                .iter()
                .all(|&(from, until)| id <= from || until <= id)
    }

    pub(super) fn on_break(&mut self) {
        self.is_synced = false;
        self.waiting.clear();
    }

    pub(super) fn on_update(&mut self, first: u64, last: u64) {
        let Some(id) = self.id.filter(|_| self.is_synced) else {
            return self.waiting.push((first, last));
        };
        if last <= id {
            return;
        }
        if first == id + 1 || (self.is_fresh && first <= id) {
            self.id = Some(last);
            self.is_fresh = false;
        } else {
            self.is_synced = false;
            self.waiting.push((first, last));
        }
    }

    /// True where it healed a book that was known.
    pub(super) fn on_snapshot(&mut self, id: u64) -> bool {
        let base = self.id.map_or(id, |known| known.max(id));
        let next = self.waiting.iter().find(|(_, last)| *last > base);
        if self.is_synced || next.is_some_and(|(first, _)| *first > base + 1) {
            return false;
        }
        let was_known = self.id.is_some();
        match self.id {
            None => self.first = base,
            Some(known) => self.skipped.push((known, base)),
        }
        (self.id, self.is_synced, self.is_fresh) = (Some(base), true, true);
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .for_each(|(first, last)| self.on_update(first, last));
        was_known
    }
}

impl History {
    /// The engine has been told this. True where that healed a book.
    pub(super) fn on_event(&mut self, event: &MarketEvent) -> bool {
        match event {
            MarketEvent::Depth(update) => self.known.on_update(update.first_id, update.last_id),
            MarketEvent::Snapshot(snapshot) => return self.known.on_snapshot(snapshot.last_id),
            MarketEvent::BestBidAsk(best) => {
                let (bid, ask) = (best.bid, best.ask);
                self.bests
                    .push((best.update_id, (bid.price, bid.qty), (ask.price, ask.qty)));
            }
            MarketEvent::Trade(trade) => self.trades.push(*trade),
        }
        false
    }

    pub(super) fn last_id(&self) -> u64 {
        self.books.last_key_value().map_or(0, |(id, _)| *id)
    }

    pub(super) fn book(&self, id: u64) -> Option<&Book> {
        self.books.get(&id)
    }
}

/// The exchange.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    histories: HashMap<(u64, usize), History>,
    /// The number of the history, and how many there were.
    pub(super) epoch: Option<u64>,
    epochs: u64,
    /// How many symbols this one has.
    pub(super) symbols: usize,
}

impl Exchange {
    /// Begins a history, whose books begin at ids of their own.
    pub(super) fn begin_epoch(&mut self, symbols: usize) -> u64 {
        let epoch = 1_000 + 7 * self.epochs;
        self.epochs += 1;
        self.epoch = Some(epoch);
        self.symbols = symbols;
        for symbol in 0..symbols {
            let mut history = History::default();
            // Neither all below nor all above those of the last one.
            let id = 40 + (self.epochs * 37 + symbol as u64 * 11) % 60;
            let mut book = Book::default();
            for far in 0..3 {
                book.set(true, 99 - far, self.qty(1));
                book.set(false, 101 + far, self.qty(2));
            }
            history.books.insert(id, book);
            self.histories.insert((epoch, symbol), history);
        }
        epoch
    }

    /// Quantities tell histories apart.
    fn qty(&self, qty: i64) -> i64 {
        if qty == 0 {
            0
        } else {
            10 * self.epochs as i64 + qty
        }
    }

    pub(super) fn history(&self, epoch: u64, symbol: usize) -> Option<&History> {
        self.histories.get(&(epoch, symbol))
    }

    pub(super) fn history_mut(&mut self, epoch: u64, symbol: usize) -> Option<&mut History> {
        self.histories.get_mut(&(epoch, symbol))
    }

    /// A symbol as it is in this history.
    pub(super) fn now(&mut self, symbol: usize) -> Option<&mut History> {
        self.histories.get_mut(&(self.epoch?, symbol))
    }

    /// The book changes, each id a few levels of it; gives that as one event.
    pub(super) fn change(&mut self, symbol: usize, ids: &[Vec<Change>], at_us: i64) -> Option<DepthUpdate> {
        let epochs = self.epochs;
        let scale = |qty: i64| if qty == 0 { 0 } else { 10 * epochs as i64 + qty };
        let history = self.now(symbol)?;
        let before = history.last_id();
        let mut book = history.books[&before].clone();
        let mut touched = BTreeMap::new();
        for (n, changes) in ids.iter().enumerate() {
            for change in changes {
                let price = if change.is_bid {
                    99 - change.far
                } else {
                    101 + change.far
                };
                book.set(change.is_bid, price, scale(change.qty));
                touched.insert((change.is_bid, price), scale(change.qty));
            }
            history.books.insert(before + 1 + n as u64, book.clone());
        }
        let side = |is_bid: bool| {
            let of_side = touched.iter().filter(|((bid, _), _)| *bid == is_bid);
            of_side
                .map(|((_, price), qty)| Level {
                    price: *price,
                    qty: *qty,
                })
                .collect()
        };
        Some(DepthUpdate {
            event_time_us: at_us,
            first_id: before + 1,
            last_id: before + ids.len() as u64,
            bids: side(true),
            asks: side(false),
        })
    }

    /// The book as it was `back` ids ago.
    pub(super) fn snapshot(&mut self, symbol: usize, back: u64) -> Option<BookSnapshot> {
        let history = self.now(symbol)?;
        let first = *history.books.first_key_value()?.0;
        let id = history.last_id().saturating_sub(back).max(first);
        let [bids, asks] = history.books[&id].top(usize::MAX).map(|side| {
            let levels = side.into_iter();
            levels.map(|(price, qty)| Level { price, qty }).collect()
        });
        Some(BookSnapshot {
            last_id: id,
            bids,
            asks,
        })
    }

    /// A trade is made.
    pub(super) fn trade(
        &mut self,
        symbol: usize,
        price: i64,
        qty: i64,
        is_buyer_maker: bool,
        at_us: i64,
    ) -> Option<Trade> {
        let history = self.now(symbol)?;
        history.next_trade += 1;
        Some(Trade {
            event_time_us: at_us,
            trade_time_us: at_us / 20_000 * 20_000,
            id: history.next_trade,
            price: 100 + price,
            qty,
            is_buyer_maker,
            is_best_match: true,
            aggregate: None,
        })
    }

    /// The best bid and ask as they are, but for a quantity that tells each from all others.
    pub(super) fn best(&mut self, symbol: usize) -> Option<BestBidAsk> {
        let history = self.now(symbol)?;
        history.next_best += 1;
        let number = history.next_best;
        let id = history.last_id();
        let [bids, asks] = history.books[&id].top(1);
        let level = |side: &[(i64, i64)]| {
            let (price, qty) = side.first().copied().unwrap_or((0, 0));
            Level { price, qty }
        };
        Some(BestBidAsk {
            event_time_us: None,
            update_id: id,
            bid: Level {
                qty: number,
                ..level(&bids)
            },
            ask: level(&asks),
        })
    }
}
