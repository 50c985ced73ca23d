//! The body of `GET /api/v3/exchangeInfo`, as rest-api.md, filters.md and enums.md of the exchange's public documents
//! describe it: every key in their order, PRICE_FILTER first, then LOT_SIZE, as clients read them to learn tick and step.
//!
//! No orders are taken here, so what concerns orders alone (types, notionals, counts) stands for a market of the usual
//! kind: clients parse it when they start, and some refuse a symbol that lacks it.

use depthcast_market::decimal::Decimal;
use depthcast_market::instrument::Instrument;
use serde::Serialize;

/// What markets are quoted in, longest first, to tell base from quote in a symbol such as BTCUSDT.
const QUOTE_ASSETS: [&str; 22] = [
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "USDE", "IDRT", "BIDR", "BTC", "ETH", "BNB", "EUR",
    "TRY", "BRL", "JPY", "GBP", "AUD", "USD", "DAI", "UAH", "PLN",
];

/// The least notional value where the quote is worth much more than a dollar.
const MIN_NOTIONALS: [(&str, &str); 3] = [
    ("BTC", "0.00010000"),
    ("ETH", "0.00100000"),
    ("BNB", "0.01000000"),
];

/// The least notional value in any other quote.
const MIN_NOTIONAL: &str = "5.00000000";

const MAX_NOTIONAL: &str = "9000000.00000000";

const ORDER_TYPES: [&str; 7] = [
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
];

const RATE_LIMITS: [RateLimit; 4] = [
    rate_limit("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
    rate_limit("ORDERS", "SECOND", 10, 50),
    rate_limit("ORDERS", "DAY", 1, 160_000),
    rate_limit("RAW_REQUESTS", "MINUTE", 5, 61_000),
];

/// The largest price and quantity of the filters, as a mantissa: far above any market, and within any client's parser.
const FILTER_MANTISSA_MAX: i64 = 100_000_000_000_000_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeInfo<'a> {
    timezone: &'static str,
    server_time: i64,
    rate_limits: &'static [RateLimit],
    exchange_filters: [(); 0],
    symbols: Vec<Symbol<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateLimit {
    rate_limit_type: &'static str,
    interval: &'static str,
    interval_num: u32,
    limit: u32,
}

const fn rate_limit(
    rate_limit_type: &'static str,
    interval: &'static str,
    interval_num: u32,
    limit: u32,
) -> RateLimit {
    RateLimit {
        rate_limit_type,
        interval,
        interval_num,
        limit,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    symbol: &'a str,
    status: &'static str,
    base_asset: &'a str,
    base_asset_precision: u8,
    quote_asset: &'a str,
    quote_precision: u8,
    quote_asset_precision: u8,
    base_commission_precision: u8,
    quote_commission_precision: u8,
    order_types: &'static [&'static str],
    iceberg_allowed: bool,
    oco_allowed: bool,
    oto_allowed: bool,
    opo_allowed: bool,
    quote_order_qty_market_allowed: bool,
    allow_trailing_stop: bool,
    cancel_replace_allowed: bool,
    amend_allowed: bool,
    peg_instructions_allowed: bool,
    is_spot_trading_allowed: bool,
    is_margin_trading_allowed: bool,
    filters: [Filter; 11],
    permissions: [&'static str; 0],
    permission_sets: [[&'static str; 1]; 1],
    default_self_trade_prevention_mode: &'static str,
    allowed_self_trade_prevention_modes: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(
    tag = "filterType",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
enum Filter {
    #[serde(rename = "PRICE_FILTER")]
    Price {
        min_price: String,
        max_price: String,
        tick_size: String,
    },
    LotSize {
        min_qty: String,
        max_qty: String,
        step_size: String,
    },
    IcebergParts {
        limit: u32,
    },
    MarketLotSize {
        min_qty: String,
        max_qty: String,
        step_size: String,
    },
    TrailingDelta {
        min_trailing_above_delta: u32,
        max_trailing_above_delta: u32,
        min_trailing_below_delta: u32,
        max_trailing_below_delta: u32,
    },
    PercentPriceBySide {
        bid_multiplier_up: &'static str,
        bid_multiplier_down: &'static str,
        ask_multiplier_up: &'static str,
        ask_multiplier_down: &'static str,
        avg_price_mins: u32,
    },
    Notional {
        min_notional: &'static str,
        apply_min_to_market: bool,
        max_notional: &'static str,
        apply_max_to_market: bool,
        avg_price_mins: u32,
    },
    MaxNumOrders {
        max_num_orders: u32,
    },
    MaxNumOrderLists {
        max_num_order_lists: u32,
    },
    MaxNumAlgoOrders {
        max_num_algo_orders: u32,
    },
    MaxNumOrderAmends {
        max_num_order_amends: u32,
    },
}

/// Appends the body for these instruments. `server_time_ms` is milliseconds since the Unix epoch.
pub fn write<'a>(
    out: &mut Vec<u8>,
    server_time_ms: i64,
    instruments: impl IntoIterator<Item = &'a Instrument>,
) {
    let info = ExchangeInfo {
        timezone: "UTC",
        server_time: server_time_ms,
        rate_limits: &RATE_LIMITS,
        exchange_filters: [],
        symbols: instruments.into_iter().map(symbol).collect(),
    };
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_writer(out, &info).expect("structs of strings and numbers are JSON");
}

fn symbol(instrument: &Instrument) -> Symbol<'_> {
    let (base, quote) = assets(instrument.name());
    let places = |exponent: i8| exponent.unsigned_abs();
    let price_places = places(instrument.tick_size().exponent);
    let qty_places = places(instrument.lot_size().exponent);
    Symbol {
        symbol: instrument.name(),
        status: "TRADING",
        base_asset: base,
        base_asset_precision: qty_places,
        quote_asset: quote,
        quote_precision: price_places,
        quote_asset_precision: price_places,
        base_commission_precision: qty_places,
        quote_commission_precision: price_places,
        order_types: &ORDER_TYPES,
        iceberg_allowed: true,
        oco_allowed: true,
        oto_allowed: true,
        opo_allowed: true,
        quote_order_qty_market_allowed: true,
        allow_trailing_stop: true,
        cancel_replace_allowed: true,
        amend_allowed: true,
        peg_instructions_allowed: true,
        is_spot_trading_allowed: true,
        is_margin_trading_allowed: false,
        filters: filters(instrument, quote),
        permissions: [],
        permission_sets: [["SPOT"]],
        default_self_trade_prevention_mode: "NONE",
        allowed_self_trade_prevention_modes: ["NONE"],
    }
}

/// The first two tell tick and step; clients expect them at these places.
fn filters(instrument: &Instrument, quote: &str) -> [Filter; 11] {
    let (tick, lot) = (instrument.tick_size(), instrument.lot_size());
    // A quantity of market orders is bound by LOT_SIZE alone where least and step are zero.
    let no_qty = Decimal { mantissa: 0, ..lot };
    let min_notional = MIN_NOTIONALS.iter().find(|(asset, _)| *asset == quote);
    [
        Filter::Price {
            min_price: tick.to_string(),
            max_price: largest_multiple(tick),
            tick_size: tick.to_string(),
        },
        Filter::LotSize {
            min_qty: lot.to_string(),
            max_qty: largest_multiple(lot),
            step_size: lot.to_string(),
        },
        Filter::IcebergParts { limit: 10 },
        Filter::MarketLotSize {
            min_qty: no_qty.to_string(),
            max_qty: largest_multiple(lot),
            step_size: no_qty.to_string(),
        },
        Filter::TrailingDelta {
            min_trailing_above_delta: 10,
            max_trailing_above_delta: 2_000,
            min_trailing_below_delta: 10,
            max_trailing_below_delta: 2_000,
        },
        Filter::PercentPriceBySide {
            bid_multiplier_up: "5",
            bid_multiplier_down: "0.2",
            ask_multiplier_up: "5",
            ask_multiplier_down: "0.2",
            avg_price_mins: 5,
        },
        Filter::Notional {
            min_notional: min_notional.map_or(MIN_NOTIONAL, |(_, least)| least),
            apply_min_to_market: true,
            max_notional: MAX_NOTIONAL,
            apply_max_to_market: false,
            avg_price_mins: 5,
        },
        Filter::MaxNumOrders { max_num_orders: 200 },
        Filter::MaxNumOrderLists {
            max_num_order_lists: 20,
        },
        Filter::MaxNumAlgoOrders {
            max_num_algo_orders: 5,
        },
        Filter::MaxNumOrderAmends {
            max_num_order_amends: 10,
        },
    ]
}

/// The largest filter value that is a multiple of `step`.
fn largest_multiple(step: Decimal) -> String {
    let mantissa = FILTER_MANTISSA_MAX.max(step.mantissa) / step.mantissa * step.mantissa;
    Decimal {
        mantissa,
        exponent: step.exponent,
    }
    .to_string()
}

/// Base and quote of a symbol; one whose quote is not known is split in the middle, since clients want two names.
fn assets(name: &str) -> (&str, &str) {
    let known = QUOTE_ASSETS
        .iter()
        .find(|quote| name.len() > quote.len() && name.ends_with(**quote));
    name.split_at(known.map_or(name.len().div_ceil(2), |quote| name.len() - quote.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::instrument::Exponents;

    #[test]
    fn a_symbol_is_written_key_for_key_as_the_documents_have_it() {
        let btc = Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).unwrap();
        let mut out = Vec::new();
        write(&mut out, 1_723_161_255_208, [&btc]);
        let expected = concat!(
            r#"{"timezone":"UTC","serverTime":1723161255208,"rateLimits":["#,
            r#"{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},"#,
            r#"{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50},"#,
            r#"{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000},"#,
            r#"{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}],"#,
            r#""exchangeFilters":[],"symbols":[{"symbol":"BTCUSDT","status":"TRADING","#,
            r#""baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":8,"quoteAssetPrecision":8,"#,
            r#""baseCommissionPrecision":8,"quoteCommissionPrecision":8,"#,
            r#""orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS","STOP_LOSS_LIMIT","TAKE_PROFIT","TAKE_PROFIT_LIMIT"],"#,
            r#""icebergAllowed":true,"ocoAllowed":true,"otoAllowed":true,"opoAllowed":true,"#,
            r#""quoteOrderQtyMarketAllowed":true,"allowTrailingStop":true,"cancelReplaceAllowed":true,"amendAllowed":true,"#,
            r#""pegInstructionsAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":["#,
            r#"{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000000.00000000","tickSize":"0.01000000"},"#,
            r#"{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"1000000000.00000000","stepSize":"0.00001000"},"#,
            r#"{"filterType":"ICEBERG_PARTS","limit":10},"#,
            r#"{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"1000000000.00000000","stepSize":"0.00000000"},"#,
            r#"{"filterType":"TRAILING_DELTA","minTrailingAboveDelta":10,"maxTrailingAboveDelta":2000,"#,
            r#""minTrailingBelowDelta":10,"maxTrailingBelowDelta":2000},"#,
            r#"{"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2","#,
            r#""askMultiplierUp":"5","askMultiplierDown":"0.2","avgPriceMins":5},"#,
            r#"{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"#,
            r#""maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5},"#,
            r#"{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200},"#,
            r#"{"filterType":"MAX_NUM_ORDER_LISTS","maxNumOrderLists":20},"#,
            r#"{"filterType":"MAX_NUM_ALGO_ORDERS","maxNumAlgoOrders":5},"#,
            r#"{"filterType":"MAX_NUM_ORDER_AMENDS","maxNumOrderAmends":10}],"#,
            r#""permissions":[],"permissionSets":[["SPOT"]],"#,
            r#""defaultSelfTradePreventionMode":"NONE","allowedSelfTradePreventionModes":["NONE"]}]}"#,
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_quote_of_much_worth_has_a_smaller_least_notional() {
        let ethbtc = Instrument::new("ETHBTC", Exponents::default(), 1_000, 10_000).unwrap();
        let mut out = Vec::new();
        write(&mut out, 0, [&ethbtc]);
        let info: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(info["symbols"][0]["filters"][6]["minNotional"], "0.00010000");
    }

    #[test]
    fn unknown_quotes_still_give_two_assets() {
        assert_eq!(assets("ETHBTC"), ("ETH", "BTC"));
        assert_eq!(assets("S0021USDT"), ("S0021", "USDT"));
        assert_eq!(assets("USDT"), ("US", "DT"));
        assert_eq!(assets("X"), ("X", ""));
    }
}
