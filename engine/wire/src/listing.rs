//! What an exchange says of a symbol and of its own limits (`exchangeInfo`), before it is written in one format or another.
//!
//! No orders are taken here, so what concerns orders alone (types, notionals, counts) stands for a market of the usual kind:
//! clients parse it when they start, and some refuse a symbol that lacks it.
//! Source: rest-api.md, filters.md and enums.md of the exchange's public documents.

use depthcast_market::decimal::Decimal;
use depthcast_market::instrument::Instrument;

/// What markets are quoted in, longest first, to tell base from quote in a symbol such as BTCUSDT.
const QUOTE_ASSETS: [&str; 22] = [
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "USDE", "IDRT", "BIDR", "BTC", "ETH", "BNB", "EUR",
    "TRY", "BRL", "JPY", "GBP", "AUD", "USD", "DAI", "UAH", "PLN",
];

/// The least value of an order where the quote is worth much more than a dollar, under [`NOTIONAL_EXPONENT`].
const MIN_NOTIONALS: [(&str, i64); 3] = [("BTC", 10_000), ("ETH", 100_000), ("BNB", 1_000_000)];

/// The same in any other quote.
const MIN_NOTIONAL: i64 = 500_000_000;

/// The most value of an order.
const MAX_NOTIONAL: i64 = 900_000_000_000_000;

const NOTIONAL_EXPONENT: i8 = -8;

/// The kinds of orders that every symbol is said to take.
pub const ORDER_TYPES: [&str; 7] = [
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
];

/// The limits of requests that concern orders, or that no client here comes to.
const OTHER_RATE_LIMITS: [RateLimit; 3] = [
    rate_limit(RateLimitKind::Orders, Interval::Second, 10, 50),
    rate_limit(RateLimitKind::Orders, Interval::Day, 1, 160_000),
    rate_limit(RateLimitKind::RawRequests, Interval::Minute, 5, 61_000),
];

/// The largest price and quantity of the filters, as a mantissa: far above any market, and within any client's parser.
const FILTER_MANTISSA_MAX: i64 = 100_000_000_000_000_000;

/// A rule that orders of a symbol must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `PRICE_FILTER`.
    Price(Steps),
    /// `LOT_SIZE`.
    Lot(Steps),
    /// `ICEBERG_PARTS`: parts of an order at most.
    IcebergParts(i64),
    /// `MARKET_LOT_SIZE`.
    MarketLot(Steps),
    /// `TRAILING_DELTA`, basis points above and below.
    TrailingDelta {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// `PERCENT_PRICE_BY_SIDE`: how far a price may be from the average, as factors.
    PercentPriceBySide {
        /// Upwards.
        up: Decimal,
        /// Downwards.
        down: Decimal,
    },
    /// `NOTIONAL`: the value of an order in the quote asset.
    Notional {
        /// The least.
        min: Decimal,
        /// The most.
        max: Decimal,
    },
    /// `MAX_NUM_ORDERS`.
    MaxNumOrders(i64),
    /// `MAX_NUM_ORDER_LISTS`.
    MaxNumOrderLists(i64),
    /// `MAX_NUM_ALGO_ORDERS`.
    MaxNumAlgoOrders(i64),
    /// `MAX_NUM_ORDER_AMENDS`.
    MaxNumOrderAmends(i64),
}

/// A range and the step of what is allowed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The least.
    pub min: Decimal,
    /// The most, a multiple of the step.
    pub max: Decimal,
    /// The step.
    pub step: Decimal,
}

impl Steps {
    fn of(step: Decimal) -> Steps {
        let most = FILTER_MANTISSA_MAX.max(step.mantissa) / step.mantissa * step.mantissa;
        Steps {
            min: step,
            max: Decimal {
                mantissa: most,
                ..step
            },
            step,
        }
    }
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Its name.
    pub symbol: &'a str,
    /// What is traded.
    pub base: &'a str,
    /// What it is paid with.
    pub quote: &'a str,
    /// Decimal places of quantities.
    pub base_precision: u8,
    /// Decimal places of prices.
    pub quote_precision: u8,
    /// In the order in which clients expect them.
    pub filters: [Filter; 11],
}

impl<'a> Listing<'a> {
    /// What is said of an instrument.
    pub fn of(instrument: &'a Instrument) -> Listing<'a> {
        let (base, quote) = assets(instrument.name());
        let (tick, lot) = (instrument.tick_size(), instrument.lot_size());
        let market_lot = Steps {
            // A quantity of market orders is bound by LOT_SIZE alone where least and step are zero.
            min: Decimal { mantissa: 0, ..lot },
            step: Decimal { mantissa: 0, ..lot },
            ..Steps::of(lot)
        };
        let min_notional = MIN_NOTIONALS.iter().find(|(asset, _)| *asset == quote);
        let min_notional = min_notional.map_or(MIN_NOTIONAL, |(_, least)| *least);
        let decimal = |mantissa, exponent| Decimal { mantissa, exponent };
        Listing {
            symbol: instrument.name(),
            base,
            quote,
            base_precision: lot.exponent.unsigned_abs(),
            quote_precision: tick.exponent.unsigned_abs(),
            filters: [
                Filter::Price(Steps::of(tick)),
                Filter::Lot(Steps::of(lot)),
                Filter::IcebergParts(10),
                Filter::MarketLot(market_lot),
                Filter::TrailingDelta { min: 10, max: 2000 },
                Filter::PercentPriceBySide {
                    up: decimal(5, 0),
                    down: decimal(2, -1),
                },
                Filter::Notional {
                    min: decimal(min_notional, NOTIONAL_EXPONENT),
                    max: decimal(MAX_NOTIONAL, NOTIONAL_EXPONENT),
                },
                Filter::MaxNumOrders(200),
                Filter::MaxNumOrderLists(20),
                Filter::MaxNumAlgoOrders(5),
                Filter::MaxNumOrderAmends(10),
            ],
        }
    }
}

/// Base and quote of a symbol; one whose quote is not known is split in the middle, since clients want two names.
fn assets(name: &str) -> (&str, &str) {
    let known = QUOTE_ASSETS
        .iter()
        .find(|quote| name.len() > quote.len() && name.ends_with(**quote));
    name.split_at(known.map_or(name.len().div_ceil(2), |quote| name.len() - quote.len()))
}

/// What a limit of requests counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitKind {
    /// `REQUEST_WEIGHT`.
    RequestWeight,
    /// `ORDERS`.
    Orders,
    /// `RAW_REQUESTS`.
    RawRequests,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// `SECOND`.
    Second,
    /// `MINUTE`.
    Minute,
    /// `DAY`.
    Day,
}

/// A limit of requests of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What it counts.
    pub kind: RateLimitKind,
    /// The unit of the time in which it does.
    pub interval: Interval,
    /// How many of these.
    pub count: u8,
    /// At most so many.
    pub limit: i64,
}

/// What is told of the engine beside its symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The weight of requests that one address may make in a minute; 0 for any.
    pub weight_per_minute: u32,
    /// Whether it is told of each symbol who may trade it.
    pub with_permissions: bool,
}

impl Terms {
    /// The limits of requests of one address.
    pub fn rate_limits(self) -> Vec<RateLimit> {
        let weight = i64::from(self.weight_per_minute);
        let weight = rate_limit(RateLimitKind::RequestWeight, Interval::Minute, 1, weight);
        let weight = Some(weight).filter(|weight| weight.limit > 0);
        weight.into_iter().chain(OTHER_RATE_LIMITS).collect()
    }
}

const fn rate_limit(kind: RateLimitKind, interval: Interval, count: u8, limit: i64) -> RateLimit {
    RateLimit {
        kind,
        interval,
        count,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_quotes_still_give_two_assets() {
        assert_eq!(assets("ETHBTC"), ("ETH", "BTC"));
        assert_eq!(assets("S0021USDT"), ("S0021", "USDT"));
        assert_eq!(assets("USDT"), ("US", "DT"));
        assert_eq!(assets("X"), ("X", ""));
    }
}
