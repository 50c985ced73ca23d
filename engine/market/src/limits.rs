//! How much is kept of the trades of each symbol: less where there are many, so that all of them together have a bound. Nothing
//! is allocated before there is something to keep.

use std::collections::VecDeque;

use crate::candle::Candle;
use crate::event::{AggTrade, Trade};
use crate::interval::KlineInterval;
use crate::statistics::{AveragePart, DayPart};

/// Candlesticks of an interval, trades and aggregate trades that are kept of a symbol at most: what REST gives at most in one
/// answer.
pub const KEPT_MAX: usize = 1000;

/// Bytes of candlesticks over all symbols and intervals.
const CANDLE_BYTES_MAX: usize = 512 << 20;

/// Bytes of trades and aggregate trades over all symbols.
const TRADE_BYTES_MAX: usize = 256 << 20;

/// Bytes of the parts of 24 hours over all symbols.
const DAY_BYTES_MAX: usize = 256 << 20;

/// Bytes of the parts of five minutes over all symbols.
const AVERAGE_BYTES_MAX: usize = 64 << 20;

/// How long the window of a day is, microseconds.
pub const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// How long the window of the average price is, microseconds.
pub const AVERAGE_US: i64 = AVERAGE_MINUTES as i64 * MINUTE_US;

/// The same in minutes.
pub const AVERAGE_MINUTES: u8 = 5;

const MINUTE_US: i64 = 60_000_000;

/// Parts that a day may have, shortest first, in minutes. All divide it.
const DAY_PARTS: [i64; 8] = [1, 2, 5, 10, 15, 20, 30, 60];

/// Parts that five minutes may have, in seconds.
const AVERAGE_PARTS: [i64; 7] = [1, 2, 5, 10, 20, 30, 60];

/// How much is kept of each symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Candlesticks of each interval.
    pub candles: usize,
    /// Trades, and aggregate trades.
    pub trades: usize,
    /// By how much the window of 24 hours moves at a time, microseconds.
    pub day_part_us: i64,
    /// By how much that of five minutes does, microseconds.
    pub average_part_us: i64,
}

impl RecordLimits {
    /// What there is room for where there are so many symbols.
    pub fn of_symbols(symbols: usize) -> RecordLimits {
        let symbols = symbols.max(1);
        let room = |bytes: usize, size: usize| bytes / symbols / size.max(1);
        let candles = room(CANDLE_BYTES_MAX, KlineInterval::ALL.len() * size_of::<Candle>());
        let trades = room(TRADE_BYTES_MAX, size_of::<Trade>() + size_of::<AggTrade>());
        let part = |span: i64, unit: i64, parts: &[i64], room: usize| {
            let is_fit =
                |part: &&i64| usize::try_from(span / (unit * **part)).is_ok_and(|parts| parts < room);
            unit * parts.iter().find(is_fit).or(parts.last()).copied().unwrap_or(1)
        };
        // Each part of a window stands there with its end.
        let day = room(DAY_BYTES_MAX, size_of::<(i64, DayPart)>());
        let average = room(AVERAGE_BYTES_MAX, size_of::<(i64, AveragePart)>());
        RecordLimits {
            candles: candles.clamp(1, KEPT_MAX),
            trades: trades.clamp(1, KEPT_MAX),
            day_part_us: part(DAY_US, MINUTE_US, &DAY_PARTS, day),
            average_part_us: part(AVERAGE_US, MINUTE_US / 60, &AVERAGE_PARTS, average),
        }
    }
}

impl Default for RecordLimits {
    /// Those of a single symbol.
    fn default() -> RecordLimits {
        RecordLimits::of_symbols(1)
    }
}

/// Appends to what is bounded by `max`, whose oldest goes where it is full: gives that. Memory grows as it is needed, and never past
/// the bound.
pub(crate) fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) -> Option<T> {
    let oldest = if queue.len() >= max {
        queue.pop_front()
    } else {
        None
    };
    if queue.len() == queue.capacity() {
        queue.reserve_exact(queue.len().max(4).min(max.saturating_sub(queue.len())).max(1));
    }
    queue.push_back(item);
    oldest
}
