//! One candlestick.

/// The trades of one interval, as one. Prices are price mantissas and volumes sums of quantity mantissas of the instrument;
/// volumes in the quote asset are sums of price mantissa times quantity mantissa, under the sum of both exponents.
///
/// An interval without a trade has the price of the last trade before it, four times, no volume, and trade ids of -1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// When it begins, microseconds (t).
    pub open_us: i64,
    /// When the next one begins, microseconds: one more than the last moment that is of it (T + 1 in whatever unit).
    pub end_us: i64,
    /// Price of its first trade (o).
    pub open: i64,
    /// Highest price (h).
    pub high: i64,
    /// Lowest price (l).
    pub low: i64,
    /// Price of its last trade (c).
    pub close: i64,
    /// Quantity (v).
    pub volume: i128,
    /// Quantity in the quote asset (q).
    pub quote_volume: i128,
    /// Quantity that takers bought (V).
    pub taker_buy_volume: i128,
    /// The same in the quote asset (Q).
    pub taker_buy_quote_volume: i128,
    /// Id of its first trade; -1 without one (f).
    pub first_trade_id: i64,
    /// Id of its last trade; -1 without one (L).
    pub last_trade_id: i64,
    /// How many trades (n).
    pub trades: u64,
}
