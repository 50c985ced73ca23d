//! The body of `GET /api/v3/exchangeInfo`: every key in the order of the public documents, PRICE_FILTER first, then LOT_SIZE, as
//! clients read them to learn tick and step.

use depthcast_market::instrument::Instrument;
use depthcast_market::limits::AVERAGE_MINUTES;
use serde::Serialize;

use crate::listing::{self, Interval, Listing, ORDER_TYPES, RateLimitKind, Steps, Terms};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeInfo<'a> {
    timezone: &'static str,
    server_time: i64,
    rate_limits: Vec<RateLimit>,
    exchange_filters: [(); 0],
    symbols: Vec<Symbol<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateLimit {
    rate_limit_type: &'static str,
    interval: &'static str,
    interval_num: u8,
    limit: i64,
}

impl RateLimit {
    fn of(limit: listing::RateLimit) -> RateLimit {
        RateLimit {
            rate_limit_type: match limit.kind {
                RateLimitKind::RequestWeight => "REQUEST_WEIGHT",
                RateLimitKind::Orders => "ORDERS",
                RateLimitKind::RawRequests => "RAW_REQUESTS",
            },
            interval: match limit.interval {
                Interval::Second => "SECOND",
                Interval::Minute => "MINUTE",
                Interval::Day => "DAY",
            },
            interval_num: limit.count,
            limit: limit.limit,
        }
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
    order_types: [&'static str; ORDER_TYPES.len()],
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
    permission_sets: Vec<[&'static str; 1]>,
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
        limit: i64,
    },
    MarketLotSize {
        min_qty: String,
        max_qty: String,
        step_size: String,
    },
    TrailingDelta {
        min_trailing_above_delta: i64,
        max_trailing_above_delta: i64,
        min_trailing_below_delta: i64,
        max_trailing_below_delta: i64,
    },
    PercentPriceBySide {
        bid_multiplier_up: String,
        bid_multiplier_down: String,
        ask_multiplier_up: String,
        ask_multiplier_down: String,
        avg_price_mins: u8,
    },
    Notional {
        min_notional: String,
        apply_min_to_market: bool,
        max_notional: String,
        apply_max_to_market: bool,
        avg_price_mins: u8,
    },
    MaxNumOrders {
        max_num_orders: i64,
    },
    MaxNumOrderLists {
        max_num_order_lists: i64,
    },
    MaxNumAlgoOrders {
        max_num_algo_orders: i64,
    },
    MaxNumOrderAmends {
        max_num_order_amends: i64,
    },
}

/// Appends the body for these instruments. `server_time_ms` is milliseconds since the Unix epoch.
pub fn write<'a>(
    out: &mut Vec<u8>,
    server_time_ms: i64,
    terms: Terms,
    instruments: impl IntoIterator<Item = &'a Instrument>,
) {
    let info = ExchangeInfo {
        timezone: "UTC",
        server_time: server_time_ms,
        rate_limits: terms.rate_limits().into_iter().map(RateLimit::of).collect(),
        exchange_filters: [],
        symbols: instruments.into_iter().map(|it| symbol(it, terms)).collect(),
    };
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_writer(out, &info).expect("structs of strings and numbers are JSON");
}

fn symbol(instrument: &Instrument, terms: Terms) -> Symbol<'_> {
    let listing = Listing::of(instrument);
    Symbol {
        symbol: listing.symbol,
        status: "TRADING",
        base_asset: listing.base,
        base_asset_precision: listing.base_precision,
        quote_asset: listing.quote,
        quote_precision: listing.quote_precision,
        quote_asset_precision: listing.quote_precision,
        base_commission_precision: listing.base_precision,
        quote_commission_precision: listing.quote_precision,
        order_types: ORDER_TYPES,
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
        filters: listing.filters.map(filter),
        permissions: [],
        permission_sets: Vec::from_iter(terms.with_permissions.then_some(["SPOT"])),
        default_self_trade_prevention_mode: "NONE",
        allowed_self_trade_prevention_modes: ["NONE"],
    }
}

fn filter(filter: listing::Filter) -> Filter {
    let texts = |steps: Steps| [steps.min, steps.max, steps.step].map(|it| it.to_string());
    match filter {
        listing::Filter::Price(steps) => {
            let [min_price, max_price, tick_size] = texts(steps);
            Filter::Price {
                min_price,
                max_price,
                tick_size,
            }
        }
        listing::Filter::Lot(steps) => {
            let [min_qty, max_qty, step_size] = texts(steps);
            Filter::LotSize {
                min_qty,
                max_qty,
                step_size,
            }
        }
        listing::Filter::IcebergParts(limit) => Filter::IcebergParts { limit },
        listing::Filter::MarketLot(steps) => {
            let [min_qty, max_qty, step_size] = texts(steps);
            Filter::MarketLotSize {
                min_qty,
                max_qty,
                step_size,
            }
        }
        listing::Filter::TrailingDelta { min, max } => Filter::TrailingDelta {
            min_trailing_above_delta: min,
            max_trailing_above_delta: max,
            min_trailing_below_delta: min,
            max_trailing_below_delta: max,
        },
        listing::Filter::PercentPriceBySide { up, down } => Filter::PercentPriceBySide {
            bid_multiplier_up: up.to_string(),
            bid_multiplier_down: down.to_string(),
            ask_multiplier_up: up.to_string(),
            ask_multiplier_down: down.to_string(),
            avg_price_mins: AVERAGE_MINUTES,
        },
        listing::Filter::Notional { min, max } => Filter::Notional {
            min_notional: min.to_string(),
            apply_min_to_market: true,
            max_notional: max.to_string(),
            apply_max_to_market: false,
            avg_price_mins: AVERAGE_MINUTES,
        },
        listing::Filter::MaxNumOrders(limit) => Filter::MaxNumOrders {
            max_num_orders: limit,
        },
        listing::Filter::MaxNumOrderLists(limit) => Filter::MaxNumOrderLists {
            max_num_order_lists: limit,
        },
        listing::Filter::MaxNumAlgoOrders(limit) => Filter::MaxNumAlgoOrders {
            max_num_algo_orders: limit,
        },
        listing::Filter::MaxNumOrderAmends(limit) => Filter::MaxNumOrderAmends {
            max_num_order_amends: limit,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::instrument::Exponents;

    const TERMS: Terms = Terms {
        weight_per_minute: 6000,
        with_permissions: true,
    };

    #[test]
    fn a_symbol_is_written_key_for_key_as_the_documents_have_it() {
        let btc = Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).unwrap();
        let mut out = Vec::new();
        write(&mut out, 1_723_161_255_208, TERMS, [&btc]);
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
        let terms = Terms {
            weight_per_minute: 0,
            with_permissions: false,
        };
        write(&mut out, 0, terms, [&ethbtc]);
        let info: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(info["rateLimits"][0]["rateLimitType"], "ORDERS", "any weight");
        assert_eq!(info["symbols"][0]["permissionSets"], serde_json::json!([]));
        assert_eq!(info["symbols"][0]["filters"][6]["minNotional"], "0.00010000");
    }
}
