//! The intervals of candlesticks and where they begin and end.
//!
//! Moments are microseconds since 1970 in UTC. A clock that is ahead of UTC has its midnights earlier, and so are the
//! beginnings of its candlesticks; what is told of them is UTC all the same.

use std::fmt;

use time::{Date, Month, OffsetDateTime};

/// Microseconds of a second.
pub const SECOND_US: i64 = 1_000_000;

const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The first Monday since 1970-01-01, which was a Thursday.
const MONDAY_US: i64 = 4 * DAY_US;

/// Moments past this, 1 January of the year 9000, are taken for it; those before its counterpart in the past likewise. Nothing
/// that is derived from a moment within overflows, nor leaves the calendar's library.
const MOMENT_MAX_US: i64 = 221_845_392_000 * SECOND_US;

/// How far a clock may be from UTC, microseconds: a day.
const AHEAD_MAX_US: i64 = DAY_US;

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

impl KlineInterval {
    /// All intervals, shortest first.
    pub const ALL: [KlineInterval; 16] = [
        KlineInterval::S1,
        KlineInterval::M1,
        KlineInterval::M3,
        KlineInterval::M5,
        KlineInterval::M15,
        KlineInterval::M30,
        KlineInterval::H1,
        KlineInterval::H2,
        KlineInterval::H4,
        KlineInterval::H6,
        KlineInterval::H8,
        KlineInterval::H12,
        KlineInterval::D1,
        KlineInterval::D3,
        KlineInterval::W1,
        KlineInterval::Month1,
    ];

    /// As stream names and events spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            KlineInterval::S1 => "1s",
            KlineInterval::M1 => "1m",
            KlineInterval::M3 => "3m",
            KlineInterval::M5 => "5m",
            KlineInterval::M15 => "15m",
            KlineInterval::M30 => "30m",
            KlineInterval::H1 => "1h",
            KlineInterval::H2 => "2h",
            KlineInterval::H4 => "4h",
            KlineInterval::H6 => "6h",
            KlineInterval::H8 => "8h",
            KlineInterval::H12 => "12h",
            KlineInterval::D1 => "1d",
            KlineInterval::D3 => "3d",
            KlineInterval::W1 => "1w",
            KlineInterval::Month1 => "1M",
        }
    }

    /// The interval that is spelt so; case counts, since `1m` is a minute and `1M` a month.
    pub fn parse(text: &str) -> Option<KlineInterval> {
        KlineInterval::ALL
            .into_iter()
            .find(|interval| interval.as_str() == text)
    }

    /// How long it is, microseconds; None for a month, of which each has its own length.
    pub const fn period_us(self) -> Option<i64> {
        Some(match self {
            KlineInterval::S1 => SECOND_US,
            KlineInterval::M1 => MINUTE_US,
            KlineInterval::M3 => 3 * MINUTE_US,
            KlineInterval::M5 => 5 * MINUTE_US,
            KlineInterval::M15 => 15 * MINUTE_US,
            KlineInterval::M30 => 30 * MINUTE_US,
            KlineInterval::H1 => HOUR_US,
            KlineInterval::H2 => 2 * HOUR_US,
            KlineInterval::H4 => 4 * HOUR_US,
            KlineInterval::H6 => 6 * HOUR_US,
            KlineInterval::H8 => 8 * HOUR_US,
            KlineInterval::H12 => 12 * HOUR_US,
            KlineInterval::D1 => DAY_US,
            KlineInterval::D3 => 3 * DAY_US,
            KlineInterval::W1 => 7 * DAY_US,
            KlineInterval::Month1 => return None,
        })
    }

    /// When the interval begins that holds the moment `at_us`, by a clock that is `ahead_us` ahead of UTC (a day at most).
    pub fn open_us(self, at_us: i64, ahead_us: i64) -> i64 {
        let ahead_us = ahead(ahead_us);
        let local = moment(at_us) + ahead_us;
        let open = match (self, self.period_us()) {
            (KlineInterval::W1, Some(period)) => (local - MONDAY_US).div_euclid(period) * period + MONDAY_US,
            (_, Some(period)) => local.div_euclid(period) * period,
            (_, None) => month_us(local, 0),
        };
        open - ahead_us
    }

    /// When the next interval begins behind the one that holds the moment `at_us`, by the same clock.
    pub fn end_us(self, at_us: i64, ahead_us: i64) -> i64 {
        match self.period_us() {
            Some(period) => self.open_us(at_us, ahead_us) + period,
            None => {
                let ahead_us = ahead(ahead_us);
                month_us(moment(at_us) + ahead_us, 1) - ahead_us
            }
        }
    }

    /// Whether each interval of `longer` by a clock that is `ahead_us` ahead of UTC is made of whole ones of this by UTC.
    pub fn nests_in(self, longer: KlineInterval, ahead_us: i64) -> bool {
        if self == longer && ahead_us == 0 {
            return true;
        }
        // Weeks and three days begin where days do, but not by their own length from each other's beginnings.
        let is_of_a_day = |period: i64| DAY_US % period == 0;
        let Some(period) = self.period_us().filter(|&period| is_of_a_day(period)) else {
            return false;
        };
        let is_of_longer = match longer.period_us() {
            Some(longer) => longer % period == 0,
            None => true,
        };
        is_of_longer && ahead_us % period == 0
    }
}

impl fmt::Display for KlineInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The clock by which the candlesticks of a stream begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KlineClock {
    /// UTC.
    Utc,
    /// Eight hours ahead of it.
    Ahead8h,
}

impl KlineClock {
    /// How far it is ahead of UTC, microseconds.
    pub const fn ahead_us(self) -> i64 {
        match self {
            KlineClock::Utc => 0,
            KlineClock::Ahead8h => 8 * HOUR_US,
        }
    }
}

/// A moment, brought into the years that the calendar has.
pub(crate) fn moment(at_us: i64) -> i64 {
    at_us.clamp(-MOMENT_MAX_US, MOMENT_MAX_US)
}

fn ahead(ahead_us: i64) -> i64 {
    ahead_us.clamp(-AHEAD_MAX_US, AHEAD_MAX_US)
}

/// When the month begins that is `later` months behind the one that holds a moment, all by one clock.
fn month_us(at_us: i64, later: u8) -> i64 {
    let at = OffsetDateTime::from_unix_timestamp(at_us.div_euclid(SECOND_US)).map(OffsetDateTime::date);
    let first = at.ok().and_then(|date| {
        let (year, month) = match (later, date.month()) {
            (0, month) => (date.year(), month),
            (_, Month::December) => (date.year() + 1, Month::January),
            (_, month) => (date.year(), month.next()),
        };
        Date::from_calendar_date(year, month, 1).ok()
    });
    // Moments are within the calendar, and so is the month behind them.
    first.map_or(at_us, |date| {
        date.midnight().assume_utc().unix_timestamp() * SECOND_US
    })
}
