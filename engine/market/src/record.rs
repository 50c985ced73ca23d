//! All that is kept of the trades of one symbol, from its first trade on: candlesticks, the last 24 hours, the average price, and
//! the newest trades themselves.
//!
//! Time is the feed's: that of its events (E), which never goes back. Trades are told a while behind the time at which they were
//! made (T), so a second is over when a trade of a later one has come, or [`LATE_US`] behind its end. What was told as closed does
//! not change: a trade that comes later still counts into what is open then. One of the future counts as of now.

use std::collections::VecDeque;

use crate::candle::Candle;
use crate::event::{AggTrade, Trade};
use crate::interval::{KlineInterval, SECOND_US, moment};
use crate::limits::{AVERAGE_US, DAY_US, RecordLimits, push_bounded};
use crate::series::{Candles, SeriesId, Wanted};
use crate::statistics::{AveragePart, AveragePrice, DayPart, DayStatistics};
use crate::window::{Part, Window};

/// How long a second waits for trades that were made in it, microseconds: in the recorded market none is more than 214 ms behind.
pub const LATE_US: i64 = 250_000;

/// The record of one symbol that has had a trade.
#[derive(Clone, Debug)]
pub struct TradeRecord {
    candles: Candles,
    day: Window<DayPart>,
    average: Window<AveragePart>,
    trades: Recent<Trade>,
    aggregates: Recent<AggTrade>,
    last: Trade,
    /// The price before the open second.
    before: Option<i64>,
    /// How far time has come.
    now_us: i64,
    changes: Changes,
}

/// How often what is known of a symbol has changed. None ever goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Trades.
    pub trades: u64,
    /// Aggregate trades.
    pub aggregates: u64,
    /// The 24 hours, by trades and by parts that went.
    pub day: u64,
    /// The five minutes, likewise.
    pub average: u64,
}

impl TradeRecord {
    /// One that begins with its first trade, which is told at `now_us` of the feed's time.
    pub fn new(limits: RecordLimits, first: &Trade, now_us: i64) -> TradeRecord {
        let now_us = moment(now_us);
        let at_us = first.trade_time_us.min(now_us);
        let mut record = TradeRecord {
            candles: Candles::new(at_us, first.price, limits.candles),
            day: Window::new(DAY_US, limits.day_part_us),
            average: Window::new(AVERAGE_US, limits.average_part_us),
            trades: Recent::new(limits.trades),
            aggregates: Recent::new(limits.trades),
            last: *first,
            before: None,
            now_us,
            changes: Changes::default(),
        };
        record.count(first);
        record
    }

    /// Takes the next trade, told at `now_us`; first tells of the candlesticks that it closes.
    pub fn on_trade(
        &mut self,
        trade: &Trade,
        now_us: i64,
        wanted: Wanted,
        told: &mut impl FnMut(SeriesId, &Candle),
    ) {
        self.now_us = self.now_us.max(moment(now_us));
        let at_us = trade.trade_time_us.min(self.now_us);
        if at_us >= self.candles.second().end_us {
            self.close_until(at_us, wanted, told);
        }
        self.count(trade);
    }

    /// Takes the next aggregate trade.
    pub fn on_aggregate(&mut self, trade: &AggTrade) {
        self.aggregates.push(*trade);
        self.changes.aggregates += 1;
    }

    /// Time has come to `now_us`: tells of the candlesticks that are closed by that, and moves the windows.
    pub fn on_time(&mut self, now_us: i64, wanted: Wanted, told: &mut impl FnMut(SeriesId, &Candle)) {
        self.now_us = self.now_us.max(moment(now_us));
        self.close_until(self.now_us - LATE_US, wanted, told);
        self.changes.day += self.day.move_to(self.now_us) as u64;
        self.changes.average += self.average.move_to(self.now_us) as u64;
    }

    /// When [`TradeRecord::on_time`] has something to do that nobody has to be told: then, and not before.
    pub fn due_us(&self) -> i64 {
        let second = self.candles.second();
        let second = (!second.is_empty()).then_some(second.end_us + LATE_US);
        let all = [second, self.day.due_us(), self.average.due_us()];
        all.into_iter().flatten().min().unwrap_or(i64::MAX)
    }

    /// How often it has changed.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// The same of the candlesticks of an interval by a clock ahead of UTC.
    pub fn candle_changes(&self, interval: KlineInterval, ahead_us: i64) -> u64 {
        self.changes.trades + self.candles.closes(interval, ahead_us)
    }

    /// Its candlesticks.
    pub fn candles(&self) -> &Candles {
        &self.candles
    }

    /// The newest trades.
    pub fn trades(&self) -> &Recent<Trade> {
        &self.trades
    }

    /// The newest aggregate trades.
    pub fn aggregates(&self) -> &Recent<AggTrade> {
        &self.aggregates
    }

    /// The last 24 hours, as of the time that was told last.
    pub fn day(&self) -> DayStatistics {
        let span = (self.day.begin_us(self.now_us), self.now_us);
        let open = Some(self.candles.second()).filter(|second| !second.is_empty());
        let open = open.map(|second| DayPart::of(second, self.before));
        let last = (self.last.price, self.last.qty, self.last.id);
        match joined(self.day.whole(), open) {
            Some(whole) => whole.statistics(span, last),
            None => DayStatistics {
                last_qty: self.last.qty,
                ..DayStatistics::quiet(span, Some(self.last.price))
            },
        }
    }

    /// When the last trade was made, microseconds.
    pub fn last_trade_us(&self) -> i64 {
        self.last.trade_time_us
    }

    /// The average price of five minutes, as of the time that was told last.
    pub fn average(&self) -> AveragePrice {
        let open = Some(self.candles.second()).filter(|second| !second.is_empty());
        let whole = joined(self.average.whole(), open.map(AveragePart::of));
        AveragePrice {
            price: whole.and_then(|whole| whole.price()).unwrap_or(self.last.price),
            last_trade_us: self.last.trade_time_us,
        }
    }

    fn count(&mut self, trade: &Trade) {
        self.candles.add(trade);
        self.trades.push(*trade);
        self.last = *trade;
        let changes = &mut self.changes;
        (changes.trades, changes.day, changes.average) =
            (changes.trades + 1, changes.day + 1, changes.average + 1);
    }

    fn close_until(&mut self, until_us: i64, wanted: Wanted, told: &mut impl FnMut(SeriesId, &Candle)) {
        if let Some(second) = self.candles.close_until(until_us, wanted, told) {
            self.day.add(second.open_us, DayPart::of(&second, self.before));
            self.average.add(second.open_us, AveragePart::of(&second));
            self.before = Some(second.close);
        }
    }
}

fn joined<P: Part>(first: Option<P>, later: Option<P>) -> Option<P> {
    match (first, later) {
        (Some(first), Some(later)) => Some(first.joined(&later)),
        (first, later) => first.or(later),
    }
}

/// The newest of what comes one behind the other, up to a bound.
#[derive(Clone, Debug)]
pub struct Recent<T> {
    kept: VecDeque<T>,
    kept_max: usize,
}

impl<T> Recent<T> {
    fn new(kept_max: usize) -> Recent<T> {
        Recent {
            kept: VecDeque::new(),
            kept_max: kept_max.max(1),
        }
    }

    fn push(&mut self, item: T) {
        push_bounded(&mut self.kept, item, self.kept_max);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.kept.iter()
    }
}

/// The second that holds a moment of the feed's time, less what a second waits: all before its begin is over.
pub fn over_us(now_us: i64) -> i64 {
    (moment(now_us) - LATE_US).div_euclid(SECOND_US) * SECOND_US
}
