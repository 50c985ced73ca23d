//! The intervals of candlesticks and where they begin and end.

use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// How long a candlestick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KlineInterval {
    /// `1s`.
    S1,
    /// `1m`.
    M1,
    /// `3m`.
    M3,
    /// `5m`.
    M5,
    /// `15m`.
    M15,
    /// `30m`.
    M30,
    /// `1h`.
    H1,
    /// `2h`.
    H2,
    /// `4h`.
    H4,
    /// `6h`.
    H6,
    /// `8h`.
    H8,
    /// `12h`.
    H12,
    /// `1d`.
    D1,
    /// `3d`: counted from 1970-01-01.
    D3,
    /// `1w`: from Monday.
    W1,
    /// `1M`: a month of the calendar.
    Month1,
}
