//! One candlestick.

use crate::event::Trade;

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

impl Candle {
    /// One without a trade, behind a trade at `price`.
    pub fn empty(open_us: i64, end_us: i64, price: i64) -> Candle {
        Candle {
            open_us,
            end_us,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            quote_volume: 0,
            taker_buy_volume: 0,
            taker_buy_quote_volume: 0,
            first_trade_id: -1,
            last_trade_id: -1,
            trades: 0,
        }
    }

    /// Whether it has no trade.
    pub fn is_empty(&self) -> bool {
        self.trades == 0
    }

    /// Takes one more trade. Volumes that would not fit 128 bits stay at the most that does.
    pub fn add(&mut self, trade: &Trade) {
        if self.is_empty() {
            (self.open, self.high, self.low) = (trade.price, trade.price, trade.price);
            self.first_trade_id = trade.id;
        }
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.close = trade.price;
        self.last_trade_id = trade.id;
        self.trades += 1;
        let qty = i128::from(trade.qty);
        let quote = i128::from(trade.price) * qty;
        self.volume = self.volume.saturating_add(qty);
        self.quote_volume = self.quote_volume.saturating_add(quote);
        if !trade.is_buyer_maker {
            self.taker_buy_volume = self.taker_buy_volume.saturating_add(qty);
            self.taker_buy_quote_volume = self.taker_buy_quote_volume.saturating_add(quote);
        }
    }

    /// Takes the trades of a later candlestick; begin and end stay as they are.
    pub fn merge(&mut self, later: &Candle) {
        if later.is_empty() {
            return;
        }
        let span = (self.open_us, self.end_us);
        if self.is_empty() {
            *self = *later;
        } else {
            self.high = self.high.max(later.high);
            self.low = self.low.min(later.low);
            self.close = later.close;
            self.last_trade_id = later.last_trade_id;
            self.trades = self.trades.saturating_add(later.trades);
            self.volume = self.volume.saturating_add(later.volume);
            self.quote_volume = self.quote_volume.saturating_add(later.quote_volume);
            self.taker_buy_volume = self.taker_buy_volume.saturating_add(later.taker_buy_volume);
            self.taker_buy_quote_volume = self
                .taker_buy_quote_volume
                .saturating_add(later.taker_buy_quote_volume);
        }
        (self.open_us, self.end_us) = span;
    }

    /// This with the trades of a later one.
    pub fn merged(mut self, later: &Candle) -> Candle {
        self.merge(later);
        self
    }
}
