//! The bodies of REST that are not events of a stream, byte for byte as the exchange prints them (binance-spot-api-docs,
//! `rest-api.md`, "Market Data endpoints"). Every function appends one body to `out`.
//!
//! ```text
//! error        {"code":-1121,"msg":"Invalid symbol."}
//! time         {"serverTime":t}
//! trades       [{"id":1,"price":"p","qty":"q","quoteQty":"q","time":t,"isBuyerMaker":bool,"isBestMatch":bool},…]
//! aggTrades    [{"a":1,"p":"p","q":"q","f":first,"l":last,"T":t,"m":bool,"M":bool},…]
//! klines       [[open t,"open","high","low","close","volume",close t,"quote volume",trades,"taker buy","taker buy quote","0"],…]
//! avgPrice     {"mins":5,"price":"p","closeTime":t}
//! tickers      an object, or for several symbols a list of such
//! ```
//!
//! Prices and amounts of the quote asset have the price's places, amounts of the base asset the quantity's; what has more is
//! rounded to the nearest, halves away from zero. REST depth is [`super::encode::partial_depth`].

use depthcast_market::candle::Candle;
use depthcast_market::decimal::write_mantissa;
use depthcast_market::event::{AggTrade, BestBidAsk, Level, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::statistics::{AveragePrice, DayStatistics};

use super::encode::{boolean, integer, string_body};
use crate::time_unit::TimeUnit;

/// The minutes that an average price is of.
const AVERAGE_MINUTES: u32 = 5;

/// What stands for the time of a trade that there was not.
const NO_TIME: &[u8] = b"-1";

/// A change in percent has three decimal places.
const PERCENT_EXPONENT: i8 = -3;

/// Room for one element of a list: the longest, a full ticker, takes some 600 bytes.
const ELEMENT_BYTES: usize = 640;

/// Room for one trade.
const TRADE_BYTES: usize = 176;

/// An error.
pub fn error(out: &mut Vec<u8>, code: i32, message: &str) {
    out.extend_from_slice(b"{\"code\":");
    integer(out, code);
    out.extend_from_slice(b",\"msg\":\"");
    string_body(out, message);
    out.extend_from_slice(b"\"}");
}

/// The server's time, microseconds since the Unix epoch.
pub fn server_time(out: &mut Vec<u8>, time_unit: TimeUnit, now_us: i64) {
    out.extend_from_slice(b"{\"serverTime\":");
    integer(out, time_unit.from_micros(now_us));
    out.push(b'}');
}

/// Trades, in the order given.
pub fn trades(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, trades: &[Trade]) {
    out.reserve(trades.len() * TRADE_BYTES);
    list(out, trades, |out, trade| {
        out.extend_from_slice(b"{\"id\":");
        integer(out, trade.id);
        price(out, "price", instrument, trade.price);
        qty(out, "qty", instrument, trade.qty);
        key(out, "quoteQty");
        quote_amount(out, instrument, i128::from(trade.price) * i128::from(trade.qty));
        key(out, "time");
        integer(out, time_unit.from_micros(trade.trade_time_us));
        key(out, "isBuyerMaker");
        boolean(out, trade.is_buyer_maker);
        key(out, "isBestMatch");
        boolean(out, trade.is_best_match);
        out.push(b'}');
    });
}

/// Aggregate trades, in the order given.
pub fn agg_trades(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, trades: &[AggTrade]) {
    out.reserve(trades.len() * TRADE_BYTES);
    list(out, trades, |out, trade| {
        out.extend_from_slice(b"{\"a\":");
        integer(out, trade.id);
        price(out, "p", instrument, trade.price);
        qty(out, "q", instrument, trade.qty);
        key(out, "f");
        integer(out, trade.first_trade_id);
        key(out, "l");
        integer(out, trade.last_trade_id);
        key(out, "T");
        integer(out, time_unit.from_micros(trade.trade_time_us));
        key(out, "m");
        boolean(out, trade.is_buyer_maker);
        key(out, "M");
        boolean(out, trade.is_best_match);
        out.push(b'}');
    });
}

/// Candlesticks, in the order given.
pub fn klines(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, candles: &[Candle]) {
    out.reserve(candles.len() * TRADE_BYTES);
    list(out, candles, |out, candle| {
        out.push(b'[');
        integer(out, time_unit.from_micros(candle.open_us));
        for mantissa in [candle.open, candle.high, candle.low, candle.close] {
            out.push(b',');
            quoted(out, |out| instrument.write_price(out, mantissa));
        }
        out.push(b',');
        base_amount(out, instrument, candle.volume);
        out.push(b',');
        // The last moment that is of it, in the unit that is printed.
        integer(out, time_unit.from_micros(candle.end_us).saturating_sub(1));
        out.push(b',');
        quote_amount(out, instrument, candle.quote_volume);
        out.push(b',');
        integer(out, candle.trades);
        out.push(b',');
        base_amount(out, instrument, candle.taker_buy_volume);
        out.push(b',');
        quote_amount(out, instrument, candle.taker_buy_quote_volume);
        out.extend_from_slice(b",\"0\"]");
    });
}

/// The average price.
pub fn average_price(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    time_unit: TimeUnit,
    average: &AveragePrice,
) {
    out.extend_from_slice(b"{\"mins\":");
    integer(out, AVERAGE_MINUTES);
    price(out, "price", instrument, average.price);
    key(out, "closeTime");
    if average.last_trade_us > 0 {
        integer(out, time_unit.from_micros(average.last_trade_us));
    } else {
        out.extend_from_slice(NO_TIME);
    }
    out.push(b'}');
}

/// What is said of one symbol, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TickerForm {
    /// The last 24 hours and the best bid and ask.
    Full,
    /// The last 24 hours.
    Mini,
    /// The price of the last trade.
    Price,
    /// The best bid and ask.
    Book,
}

/// What a ticker is of.
#[derive(Clone, Copy, Debug)]
pub struct TickerParts<'a> {
    /// The symbol.
    pub instrument: &'a Instrument,
    /// Its last 24 hours.
    pub statistics: &'a DayStatistics,
    /// Its best bid and ask; without one they are zero.
    pub best: Option<&'a BestBidAsk>,
}

/// One ticker.
pub fn ticker(out: &mut Vec<u8>, form: TickerForm, time_unit: TimeUnit, parts: &TickerParts<'_>) {
    let (instrument, day) = (parts.instrument, parts.statistics);
    out.reserve(ELEMENT_BYTES);
    out.extend_from_slice(b"{\"symbol\":\"");
    out.extend_from_slice(instrument.name().as_bytes());
    out.push(b'"');
    match form {
        TickerForm::Price => price(out, "price", instrument, day.last),
        TickerForm::Book => best_bid_ask(out, instrument, parts.best),
        TickerForm::Full => {
            change(out, instrument, day);
            price(out, "prevClosePrice", instrument, day.before.unwrap_or(0));
            price(out, "lastPrice", instrument, day.last);
            qty(out, "lastQty", instrument, day.last_qty);
            best_bid_ask(out, instrument, parts.best);
            price(out, "openPrice", instrument, day.open);
            price(out, "highPrice", instrument, day.high);
            price(out, "lowPrice", instrument, day.low);
            day_end(out, instrument, time_unit, day);
        }
        TickerForm::Mini => {
            price(out, "openPrice", instrument, day.open);
            price(out, "highPrice", instrument, day.high);
            price(out, "lowPrice", instrument, day.low);
            price(out, "lastPrice", instrument, day.last);
            day_end(out, instrument, time_unit, day);
        }
    }
    out.push(b'}');
}

/// Several tickers as a list.
pub fn tickers<'a>(
    out: &mut Vec<u8>,
    form: TickerForm,
    time_unit: TimeUnit,
    all: impl IntoIterator<Item = TickerParts<'a>>,
) {
    list(out, all, |out, parts| ticker(out, form, time_unit, &parts));
}

/// The change of the price over the day, in itself and in percent, and the average price. All are zero without a trade.
fn change(out: &mut Vec<u8>, instrument: &Instrument, day: &DayStatistics) {
    price(out, "priceChange", instrument, day.change());
    key(out, "priceChangePercent");
    quoted(out, |out| {
        write_mantissa(out, day.change_per_100_000(), PERCENT_EXPONENT);
    });
    price(out, "weightedAvgPrice", instrument, day.weighted_price());
}

fn best_bid_ask(out: &mut Vec<u8>, instrument: &Instrument, best: Option<&BestBidAsk>) {
    let (bid, ask) = best.map_or((Level::default(), Level::default()), |best| (best.bid, best.ask));
    price(out, "bidPrice", instrument, bid.price);
    qty(out, "bidQty", instrument, bid.qty);
    price(out, "askPrice", instrument, ask.price);
    qty(out, "askQty", instrument, ask.qty);
}

/// What full and mini tickers end with.
fn day_end(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, day: &DayStatistics) {
    key(out, "volume");
    base_amount(out, instrument, day.volume);
    key(out, "quoteVolume");
    quote_amount(out, instrument, day.quote_volume);
    key(out, "openTime");
    integer(out, time_unit.from_micros(day.open_us));
    key(out, "closeTime");
    integer(out, time_unit.from_micros(day.close_us));
    key(out, "firstId");
    integer(out, day.first_trade_id);
    key(out, "lastId");
    integer(out, day.last_trade_id);
    key(out, "count");
    integer(out, day.trades);
}

fn list<T>(out: &mut Vec<u8>, all: impl IntoIterator<Item = T>, mut element: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (place, one) in all.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        element(out, one);
    }
    out.push(b']');
}

/// A key behind others.
fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn price(out: &mut Vec<u8>, name: &str, instrument: &Instrument, mantissa: i64) {
    key(out, name);
    quoted(out, |out| instrument.write_price(out, mantissa));
}

fn qty(out: &mut Vec<u8>, name: &str, instrument: &Instrument, mantissa: i64) {
    key(out, name);
    quoted(out, |out| instrument.write_qty(out, mantissa));
}

/// A sum of quantity mantissas.
fn base_amount(out: &mut Vec<u8>, instrument: &Instrument, sum: i128) {
    quoted(out, |out| instrument.write_volume(out, sum));
}

/// A price mantissa times a quantity mantissa, or a sum of such.
fn quote_amount(out: &mut Vec<u8>, instrument: &Instrument, product: i128) {
    quoted(out, |out| instrument.write_quote_amount(out, product));
}
