//! The body of `GET /api/v3/exchangeInfo`: every symbol with its precision and filters, PRICE_FILTER first, then
//! LOT_SIZE, as clients read them to learn tick and step.

use depthcast_market::decimal::Decimal;
use depthcast_market::instrument::Instrument;
use serde::Serialize;

/// What markets are quoted in, longest first, to tell base from quote in a symbol such as BTCUSDT.
const QUOTE_ASSETS: [&str; 22] = [
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "USDE", "IDRT", "BIDR", "BTC", "ETH", "BNB", "EUR",
    "TRY", "BRL", "JPY", "GBP", "AUD", "USD", "DAI", "UAH", "PLN",
];

/// Order types that every symbol is said to have: clients look for these two.
const ORDER_TYPES: [&str; 2] = ["LIMIT", "MARKET"];

/// The largest price and quantity of the filters, as a mantissa: far above any market, and within any client's parser.
const FILTER_MANTISSA_MAX: i64 = 100_000_000_000_000_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExchangeInfo<'a> {
    timezone: &'static str,
    server_time: i64,
    rate_limits: [(); 0],
    exchange_filters: [(); 0],
    symbols: Vec<Symbol<'a>>,
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
    order_types: [&'static str; 2],
    iceberg_allowed: bool,
    oco_allowed: bool,
    is_spot_trading_allowed: bool,
    is_margin_trading_allowed: bool,
    filters: [Filter; 2],
    permissions: [&'static str; 1],
    permission_sets: [[&'static str; 1]; 1],
}

#[derive(Serialize)]
#[serde(tag = "filterType", rename_all_fields = "camelCase")]
enum Filter {
    #[serde(rename = "PRICE_FILTER")]
    Price {
        min_price: String,
        max_price: String,
        tick_size: String,
    },
    #[serde(rename = "LOT_SIZE")]
    Lot {
        min_qty: String,
        max_qty: String,
        step_size: String,
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
        rate_limits: [],
        exchange_filters: [],
        symbols: instruments.into_iter().map(symbol).collect(),
    };
    // Serialising plain structs into memory has no way to fail.
    serde_json::to_writer(out, &info).expect("structs of strings and numbers are JSON");
}

fn symbol(instrument: &Instrument) -> Symbol<'_> {
    let (base, quote) = assets(instrument.name());
    let (tick, lot) = (instrument.tick_size(), instrument.lot_size());
    let places = |exponent: i8| exponent.unsigned_abs();
    let (price_places, qty_places) = (places(tick.exponent), places(lot.exponent));
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
        order_types: ORDER_TYPES,
        iceberg_allowed: false,
        oco_allowed: false,
        is_spot_trading_allowed: true,
        is_margin_trading_allowed: false,
        filters: [
            Filter::Price {
                min_price: tick.to_string(),
                max_price: largest_multiple(tick),
                tick_size: tick.to_string(),
            },
            Filter::Lot {
                min_qty: lot.to_string(),
                max_qty: largest_multiple(lot),
                step_size: lot.to_string(),
            },
        ],
        permissions: ["SPOT"],
        permission_sets: [["SPOT"]],
    }
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
    fn a_symbol_has_its_assets_and_filters_in_the_order_clients_expect() {
        let btc = Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).unwrap();
        let mut out = Vec::new();
        write(&mut out, 1_723_161_255_208, [&btc]);
        let info: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(info["serverTime"], 1_723_161_255_208_i64);
        let symbol = &info["symbols"][0];
        assert_eq!(
            (symbol["baseAsset"].as_str(), symbol["quoteAsset"].as_str()),
            (Some("BTC"), Some("USDT"))
        );
        assert_eq!(
            symbol["filters"][0].to_string(),
            r#"{"filterType":"PRICE_FILTER","maxPrice":"1000000000.00000000","minPrice":"0.01000000","tickSize":"0.01000000"}"#
        );
        assert_eq!(symbol["filters"][1]["filterType"], "LOT_SIZE");
        assert_eq!(symbol["filters"][1]["stepSize"], "0.00001000");
    }

    #[test]
    fn unknown_quotes_still_give_two_assets() {
        assert_eq!(assets("ETHBTC"), ("ETH", "BTC"));
        assert_eq!(assets("S0021USDT"), ("S0021", "USDT"));
        assert_eq!(assets("USDT"), ("US", "DT"));
        assert_eq!(assets("X"), ("X", ""));
    }
}
