//! What is said of an instrument's trades over a time that moves along.

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

impl DayStatistics {
    /// The average price of its trades weighted by quantity, rounded half up; zero without one (w).
    pub fn weighted_average(&self) -> i64 {
        if self.volume <= 0 {
            return 0;
        }
        let average = (2 * self.quote_volume / self.volume + 1) / 2;
        i64::try_from(average).unwrap_or(i64::MAX)
    }

    /// How much the last price is above the first, in thousandths of a percent, rounded half away from zero; zero without a
    /// trade (P).
    pub fn change_permille_of_percent(&self) -> i64 {
        if self.open == 0 {
            return 0;
        }
        let change = 2 * 100_000 * (i128::from(self.last) - i128::from(self.open)) / i128::from(self.open);
        let rounded = (change + change.signum()) / 2;
        i64::try_from(rounded).unwrap_or(i64::MAX)
    }
}

/// The average price of the trades of the last five minutes, weighted by quantity; without one, the last price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePrice {
    /// Price mantissa.
    pub price: i64,
    /// When the last trade was made, microseconds; zero where there never was one.
    pub last_trade_us: i64,
}
