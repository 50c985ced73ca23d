//! The ladder's state: takes a subscriber's events and the time, and gives the picture of a moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use depthcast_client::latency::{LatencyMeter, LatencyReport, NoLatency};
use depthcast_client::{ClientError, Counters, Event, Subscriber};
use depthcast_market::book::Book;
use depthcast_market::event::{DepthUpdate, Level, Side, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_wire::stream::SymbolName;

use super::picture::{Direction, Picture, Rejoined, Row, Sequence, Stale, Steps};
use super::rate::{RateMeter, tenths};
use crate::watch::STALE_AFTER;

/// How long a level that changed is shown brighter: three updates of 100 ms.
const FRESH_FOR: Duration = Duration::from_millis(300);

/// How finely the book's past is kept for that, and with it how many ids are kept at most.
const MARK_INTERVAL: Duration = Duration::from_millis(25);
const MARKS_MAX: usize = 16;

/// Trades that are kept to be shown: the rows of the tallest terminals.
pub(super) const TRADES_MAX: usize = 200;

/// How often latencies are worked out: a percentile walks a histogram.
const LATENCY_INTERVAL: Duration = Duration::from_millis(500);

/// Ticks a row, as `g` goes through them.
pub(super) const GROUPS: [i64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// What the subscriber knows.
#[derive(Clone, Copy)]
pub(super) struct Market<'a> {
    pub(super) book: &'a Book,
    pub(super) instrument: Option<&'a Instrument>,
    pub(super) counters: Counters,
    pub(super) latency: &'a LatencyMeter,
    pub(super) is_connected: bool,
    pub(super) is_synced: bool,
}

impl<'a> Market<'a> {
    pub(super) fn of(subscriber: &'a Subscriber) -> Market<'a> {
        Market {
            book: subscriber.book(),
            instrument: subscriber.instrument(),
            counters: *subscriber.counters(),
            latency: subscriber.latency(),
            is_connected: subscriber.is_connected(),
            is_synced: subscriber.is_synced(),
        }
    }
}

/// What happened so far to one subscription.
pub(super) struct Model {
    symbol: SymbolName,
    /// The book came into step, and no error since.
    in_step: bool,
    /// What went wrong last, until the book is in step again.
    trouble: Option<String>,
    /// When a lost connection is tried again.
    retry_at: Option<Instant>,
    ended: bool,
    shutdown_announced: bool,
    /// How the book came into step last.
    joined: Option<Rejoined>,
    /// When the book was last known to be right: an update, or the beginning.
    right_at: Instant,
    updates: u64,
    update_rate: RateMeter,
    trade_rate: RateMeter,
    last: Option<(i64, Direction)>,
    /// Newest first.
    trades: VecDeque<Trade>,
    /// Which id the book stood at when. The first is older than [`FRESH_FOR`] where there is such a one.
    marks: VecDeque<(Instant, u64)>,
    changes: DepthUpdate,
    latency: (Instant, Result<LatencyReport, NoLatency>),
}

impl Model {
    pub(super) fn new(symbol: SymbolName, now: Instant) -> Model {
        Model {
            symbol: symbol.to_upper(),
            in_step: false,
            trouble: None,
            retry_at: None,
            ended: false,
            shutdown_announced: false,
            joined: None,
            right_at: now,
            updates: 0,
            update_rate: RateMeter::new(now),
            trade_rate: RateMeter::new(now),
            last: None,
            trades: VecDeque::new(),
            marks: VecDeque::new(),
            changes: DepthUpdate::default(),
            latency: (now, Err(NoLatency::NoEvents)),
        }
    }

    /// Updates applied to the book.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// Takes note of an event.
    pub(super) fn on_event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Synced { last_id, origin } => {
                self.joined = Some(Rejoined {
                    origin: *origin,
                    last_id: *last_id,
                });
                self.in_step = true;
                self.trouble = None;
                self.retry_at = None;
                self.right_at = now;
                self.marks.clear();
                self.marks.push_back((now, *last_id));
            }
            Event::Update(update) => {
                self.updates += 1;
                self.update_rate.note(now);
                if self.in_step {
                    self.right_at = now;
                    self.mark(update.last_id, now);
                }
            }
            Event::Trade(trade) => self.on_trade(trade, now),
            // What the book shows comes from the depth stream alone.
            // That frames were left out is told by its count.
            Event::BestBidAsk(_) | Event::Conflated { .. } => {}
            Event::ServerShutdown => self.shutdown_announced = true,
            Event::Reconnecting { reason, delay } => {
                self.on_trouble(reason);
                self.retry_at = Some(now + *delay);
                self.shutdown_announced = false;
            }
        }
    }

    /// Takes note of an error after which the subscriber goes on.
    pub(super) fn on_trouble(&mut self, error: &ClientError) {
        self.in_step = false;
        self.retry_at = None;
        self.trouble = Some(error.to_string());
    }

    /// A connection could not be made; the next try is due then.
    pub(super) fn on_connect_failed(&mut self, error: &ClientError, retry_at: Instant) {
        self.on_trouble(error);
        self.retry_at = Some(retry_at);
    }

    /// Takes note of an error after which nothing comes.
    pub(super) fn on_end(&mut self, error: &ClientError) {
        self.on_trouble(error);
        self.ended = true;
    }

    /// What is to be seen at `now`: up to `levels_max` rows a side of `group` ticks each. `market` is `None` while there
    /// is no subscriber.
    pub(super) fn picture(
        &mut self,
        market: Option<Market<'_>>,
        levels_max: usize,
        group: i64,
        now: Instant,
    ) -> Picture {
        let sequence = self.sequence(market, now);
        let mut picture = Picture {
            symbol: self.symbol,
            stale: self.stale(market, now),
            sequence,
            steps: None,
            group,
            asks: Vec::new(),
            bids: Vec::new(),
            best_ask: None,
            best_bid: None,
            last: self.last,
            trades: self.trades.iter().copied().collect(),
            update_rate: self.update_rate.tenths_per_second(now),
            trade_rate: self.trade_rate.tenths_per_second(now),
            latency: Err(NoLatency::NoEvents),
            last_id: None,
            counters: Counters::default(),
            rejoined: None,
            shutdown_announced: self.shutdown_announced,
        };
        let Some(market) = market else { return picture };
        picture.latency = self.latency(market.latency, now);
        picture.counters = market.counters;
        picture.rejoined = self.joined.filter(|_| market.counters.reconnects > 0);
        let book = market.book;
        picture.last_id = book.is_loaded().then(|| book.last_id());
        if let Some(instrument) = market.instrument.filter(|_| book.is_loaded()) {
            let tick = instrument.tick_size();
            picture.steps = Some(Steps {
                tick,
                lot: instrument.lot_size(),
            });
            self.find_changes(book, now);
            // Ungrouped, a price between the ticks stays where it is.
            let step = if group > 1 {
                tick.mantissa.saturating_mul(group)
            } else {
                1
            };
            let rows = |side, changes| rows(book, side, step, levels_max, changes);
            picture.asks = rows(Side::Ask, &self.changes.asks);
            picture.bids = rows(Side::Bid, &self.changes.bids);
            picture.best_ask = book.best(Side::Ask);
            picture.best_bid = book.best(Side::Bid);
        }
        picture
    }

    fn on_trade(&mut self, trade: &Trade, now: Instant) {
        self.trade_rate.note(now);
        let direction = match self.last {
            Some((before, _)) if trade.price > before => Direction::Up,
            Some((before, _)) if trade.price < before => Direction::Down,
            // An arrow stays until the price goes the other way.
            Some((_, direction)) => direction,
            None => Direction::Level,
        };
        self.last = Some((trade.price, direction));
        self.trades.truncate(TRADES_MAX - 1);
        self.trades.push_front(*trade);
    }

    fn sequence(&self, market: Option<Market<'_>>, now: Instant) -> Sequence {
        let reason = || self.trouble.clone().unwrap_or_default();
        if self.ended {
            return Sequence::Ended { reason: reason() };
        }
        let is_connected = market.is_some_and(|market| market.is_connected);
        let is_synced = market.is_some_and(|market| market.is_synced);
        match (&self.trouble, is_connected) {
            (None, false) => Sequence::Connecting,
            (Some(_), false) => Sequence::Reconnecting {
                reason: reason(),
                in_tenths: self.retry_at.map(|at| tenths(at.saturating_duration_since(now))),
            },
            // Connected again after a loss: what it was matters no more.
            (Some(_), true) if self.retry_at.is_none() => Sequence::Broken { reason: reason() },
            (_, true) if self.in_step && is_synced => Sequence::InStep,
            (_, true) => Sequence::Synchronising,
        }
    }

    fn stale(&self, market: Option<Market<'_>>, now: Instant) -> Option<Stale> {
        let market = market.filter(|market| market.book.is_loaded())?;
        let age = now.saturating_duration_since(self.right_at);
        let tenths = tenths(age);
        if !market.is_connected || !market.is_synced || !self.in_step {
            return Some(Stale::OutOfStep { tenths });
        }
        (age > STALE_AFTER).then_some(Stale::Silent { tenths })
    }

    fn latency(&mut self, meter: &LatencyMeter, now: Instant) -> Result<LatencyReport, NoLatency> {
        let (due, report) = &mut self.latency;
        if *due <= now {
            *due = now + LATENCY_INTERVAL;
            *report = meter.report();
        }
        // Their number is told as a rate, and would make every picture another one.
        report.map(|report| LatencyReport { events: 0, ..report })
    }

    /// Remembers that the book stands at `last_id`.
    fn mark(&mut self, last_id: u64, now: Instant) {
        match self.marks.back() {
            Some((at, _)) if now.saturating_duration_since(*at) < MARK_INTERVAL => {}
            _ => {
                if self.marks.len() >= MARKS_MAX {
                    self.marks.pop_front();
                }
                self.marks.push_back((now, last_id));
            }
        }
    }

    /// Fills in which levels changed within [`FRESH_FOR`].
    fn find_changes(&mut self, book: &Book, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= FRESH_FOR;
        while self.marks.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.marks.pop_front();
        }
        let since = self.marks.front().filter(|_| self.in_step).map(|(_, id)| *id);
        let found = since.is_some_and(|since| book.diff_since(since, &mut self.changes).is_ok());
        if !found {
            self.changes.bids.clear();
            self.changes.asks.clear();
        }
    }
}

/// The best rows of a side, each of `step` price units; `changes` are the levels that are fresh, best first.
fn rows(book: &Book, side: Side, step: i64, rows_max: usize, changes: &[Level]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(rows_max);
    let mut total = 0i64;
    for level in book.top(side, book.level_count(side)) {
        let price = edge(side, level.price, step);
        total = total.saturating_add(level.qty);
        let is_full = rows.len() >= rows_max;
        match rows.last_mut() {
            Some(row) if row.price == price => {
                row.qty = row.qty.saturating_add(level.qty);
                row.total = total;
            }
            _ if is_full => break,
            _ => {
                let rank = |price: i64| if side == Side::Bid { -price } else { price };
                let found =
                    changes.binary_search_by_key(&rank(price), |change| rank(edge(side, change.price, step)));
                rows.push(Row {
                    price,
                    qty: level.qty,
                    total,
                    is_fresh: found.is_ok(),
                });
            }
        }
    }
    rows
}

/// The far edge of the group of `step` that a price falls into: what the whole group can be had for.
fn edge(side: Side, price: i64, step: i64) -> i64 {
    match side {
        Side::Bid => price - price.rem_euclid(step),
        Side::Ask => price.saturating_add((-price).rem_euclid(step)),
    }
}

#[cfg(test)]
mod tests;
