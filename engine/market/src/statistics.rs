//! What is said of an instrument's trades over a time that moves along.

use crate::candle::Candle;
use crate::wide::{divide, narrow};
use crate::window::Part;

/// The trades of the last 24 hours. Prices and volumes as [`crate::candle::Candle`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayStatistics {
    /// When the window begins, microseconds (O).
    pub open_us: i64,
    /// When it ends, microseconds (C).
    pub close_us: i64,
    /// The last price before the window; None where there was none (x).
    pub before: Option<i64>,
    /// Price of the first trade in it; zero, as all that follow, without one (o).
    pub open: i64,
    /// Highest price (h).
    pub high: i64,
    /// Lowest price (l).
    pub low: i64,
    /// Price of the last trade, in the window or not; zero where there never was one (c).
    pub last: i64,
    /// Quantity of the last trade (Q).
    pub last_qty: i64,
    /// Quantity (v).
    pub volume: i128,
    /// Quantity in the quote asset (q).
    pub quote_volume: i128,
    /// Id of the first trade; -1 without one (F).
    pub first_trade_id: i64,
    /// Id of the last trade; -1 without one (L).
    pub last_trade_id: i64,
    /// How many trades (n).
    pub trades: u64,
}

/// The average price of the trades of the last five minutes, weighted by quantity; without one, the last price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePrice {
    /// Price mantissa.
    pub price: i64,
    /// When the last trade was made, microseconds; zero where there never was one.
    pub last_trade_us: i64,
}

impl DayStatistics {
    /// Of a window without a trade, behind one at `last` or behind none.
    pub fn quiet((open_us, close_us): (i64, i64), last: Option<i64>) -> DayStatistics {
        DayStatistics {
            open_us,
            close_us,
            before: last,
            open: 0,
            high: 0,
            low: 0,
            last: last.unwrap_or(0),
            last_qty: 0,
            volume: 0,
            quote_volume: 0,
            first_trade_id: -1,
            last_trade_id: -1,
            trades: 0,
        }
    }

    /// By how much the price has changed in it, as a price mantissa (p); zero without a trade.
    pub fn change(&self) -> i64 {
        if self.trades == 0 {
            0
        } else {
            self.last.saturating_sub(self.open)
        }
    }

    /// The same in thousandths of a percent of its first price, rounded half away from zero (P).
    pub fn change_per_100_000(&self) -> i64 {
        narrow(divide(i128::from(self.change()) * 100_000, i128::from(self.open)))
    }

    /// The average price weighted by quantity, rounded half up (w).
    pub fn weighted_price(&self) -> i64 {
        narrow(divide(self.quote_volume, self.volume))
    }
}

/// A part of the 24 hours: trades, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DayPart {
    before: Option<i64>,
    open: i64,
    high: i64,
    low: i64,
    volume: i128,
    quote_volume: i128,
    first_trade_id: i64,
    trades: u64,
}

impl DayPart {
    /// The trades of a candlestick, behind one at the price `before`.
    pub(crate) fn of(candle: &Candle, before: Option<i64>) -> DayPart {
        DayPart {
            before,
            open: candle.open,
            high: candle.high,
            low: candle.low,
            volume: candle.volume,
            quote_volume: candle.quote_volume,
            first_trade_id: candle.first_trade_id,
            trades: candle.trades,
        }
    }

    /// What it makes of a window that it is all of, behind which `last` is the newest trade: its price, quantity and id.
    pub(crate) fn statistics(&self, (open_us, close_us): (i64, i64), last: (i64, i64, i64)) -> DayStatistics {
        let (last, last_qty, last_trade_id) = last;
        DayStatistics {
            open_us,
            close_us,
            before: self.before,
            open: self.open,
            high: self.high,
            low: self.low,
            last,
            last_qty,
            volume: self.volume,
            quote_volume: self.quote_volume,
            first_trade_id: self.first_trade_id,
            last_trade_id,
            trades: self.trades,
        }
    }
}

impl Part for DayPart {
    fn joined(&self, later: &DayPart) -> DayPart {
        DayPart {
            before: self.before,
            open: self.open,
            high: self.high.max(later.high),
            low: self.low.min(later.low),
            volume: self.volume.saturating_add(later.volume),
            quote_volume: self.quote_volume.saturating_add(later.quote_volume),
            first_trade_id: self.first_trade_id,
            trades: self.trades.saturating_add(later.trades),
        }
    }
}

/// A part of the five minutes: its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AveragePart {
    volume: i128,
    quote_volume: i128,
}

impl AveragePart {
    /// The volumes of a candlestick.
    pub(crate) fn of(candle: &Candle) -> AveragePart {
        AveragePart {
            volume: candle.volume,
            quote_volume: candle.quote_volume,
        }
    }

    /// The price that they come to, rounded half up; None without a volume.
    pub(crate) fn price(&self) -> Option<i64> {
        (self.volume != 0).then(|| narrow(divide(self.quote_volume, self.volume)))
    }
}

impl Part for AveragePart {
    fn joined(&self, later: &AveragePart) -> AveragePart {
        AveragePart {
            volume: self.volume.saturating_add(later.volume),
            quote_volume: self.quote_volume.saturating_add(later.quote_volume),
        }
    }
}
