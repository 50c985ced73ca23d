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
use depthcast_market::event::{AggTrade, BestBidAsk, Level, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::limits::AVERAGE_MINUTES;
use depthcast_market::statistics::{AveragePrice, DayStatistics};

use super::encode::{integer, string_body};
use super::statistics::close_time;
use super::writer::Writer;
use crate::time_unit::TimeUnit;

/// What stands for the time of a trade that there was not.
const NO_TIME: i64 = -1;

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
        let mut fields = Writer::new(out, instrument);
        fields.key("{\"id\":").integer(trade.id);
        fields.key(",\"price\":").price(trade.price);
        fields.key(",\"qty\":").qty(trade.qty);
        let product = i128::from(trade.price) * i128::from(trade.qty);
        fields.key(",\"quoteQty\":").quote_volume(product);
        let time = time_unit.from_micros(trade.trade_time_us);
        fields.key(",\"time\":").integer(time);
        fields.key(",\"isBuyerMaker\":").boolean(trade.is_buyer_maker);
        fields
            .key(",\"isBestMatch\":")
            .boolean(trade.is_best_match)
            .text("}");
    });
}

/// Aggregate trades, in the order given.
pub fn agg_trades(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, trades: &[AggTrade]) {
    out.reserve(trades.len() * TRADE_BYTES);
    list(out, trades, |out, trade| {
        let mut fields = Writer::new(out, instrument);
        fields.key("{\"a\":").integer(trade.id);
        fields.key(",\"p\":").price(trade.price);
        fields.key(",\"q\":").qty(trade.qty);
        fields.key(",\"f\":").integer(trade.first_trade_id);
        fields.key(",\"l\":").integer(trade.last_trade_id);
        let time = time_unit.from_micros(trade.trade_time_us);
        fields.key(",\"T\":").integer(time);
        fields.key(",\"m\":").boolean(trade.is_buyer_maker);
        fields.key(",\"M\":").boolean(trade.is_best_match).text("}");
    });
}

/// Candlesticks, in the order given.
pub fn klines(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, candles: &[Candle]) {
    out.reserve(candles.len() * TRADE_BYTES);
    list(out, candles, |out, candle| {
        let mut fields = Writer::new(out, instrument);
        fields.text("[").integer(time_unit.from_micros(candle.open_us));
        for mantissa in [candle.open, candle.high, candle.low, candle.close] {
            fields.text(",").price(mantissa);
        }
        fields.text(",").volume(candle.volume);
        fields.text(",").integer(close_time(candle, time_unit));
        fields.text(",").quote_volume(candle.quote_volume);
        fields.text(",").integer(candle.trades);
        fields.text(",").volume(candle.taker_buy_volume);
        fields.text(",").quote_volume(candle.taker_buy_quote_volume);
        fields.text(",\"0\"]");
    });
}

/// The average price.
pub fn average_price(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    time_unit: TimeUnit,
    average: &AveragePrice,
) {
    let close_time = if average.last_trade_us > 0 {
        time_unit.from_micros(average.last_trade_us)
    } else {
        NO_TIME
    };
    let mut fields = Writer::new(out, instrument);
    fields.key("{\"mins\":").integer(AVERAGE_MINUTES);
    fields.key(",\"price\":").price(average.price);
    fields.key(",\"closeTime\":").integer(close_time).text("}");
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
    let day = parts.statistics;
    out.reserve(ELEMENT_BYTES);
    let mut fields = Writer::new(out, parts.instrument);
    fields
        .key("{\"symbol\":\"")
        .text(parts.instrument.name())
        .text("\"");
    match form {
        TickerForm::Price => {
            fields.key(",\"price\":").price(day.last);
        }
        TickerForm::Book => best_bid_ask(&mut fields, parts.best),
        TickerForm::Full => {
            fields.key(",\"priceChange\":").price(day.change());
            fields
                .key(",\"priceChangePercent\":")
                .percent(day.change_per_100_000());
            fields.key(",\"weightedAvgPrice\":").price(day.weighted_price());
            fields.key(",\"prevClosePrice\":").price(day.before.unwrap_or(0));
            fields.key(",\"lastPrice\":").price(day.last);
            fields.key(",\"lastQty\":").qty(day.last_qty);
            best_bid_ask(&mut fields, parts.best);
            open_high_low(&mut fields, day);
            day_end(&mut fields, time_unit, day);
        }
        TickerForm::Mini => {
            open_high_low(&mut fields, day);
            fields.key(",\"lastPrice\":").price(day.last);
            day_end(&mut fields, time_unit, day);
        }
    }
    fields.text("}");
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

fn best_bid_ask(fields: &mut Writer<'_>, best: Option<&BestBidAsk>) {
    let (bid, ask) = best.map_or((Level::default(), Level::default()), |best| (best.bid, best.ask));
    fields.key(",\"bidPrice\":").price(bid.price);
    fields.key(",\"bidQty\":").qty(bid.qty);
    fields.key(",\"askPrice\":").price(ask.price);
    fields.key(",\"askQty\":").qty(ask.qty);
}

fn open_high_low(fields: &mut Writer<'_>, day: &DayStatistics) {
    fields.key(",\"openPrice\":").price(day.open);
    fields.key(",\"highPrice\":").price(day.high);
    fields.key(",\"lowPrice\":").price(day.low);
}

/// What full and mini tickers end with.
fn day_end(fields: &mut Writer<'_>, time_unit: TimeUnit, day: &DayStatistics) {
    fields.key(",\"volume\":").volume(day.volume);
    fields.key(",\"quoteVolume\":").quote_volume(day.quote_volume);
    fields
        .key(",\"openTime\":")
        .integer(time_unit.from_micros(day.open_us));
    fields
        .key(",\"closeTime\":")
        .integer(time_unit.from_micros(day.close_us));
    fields.key(",\"firstId\":").integer(day.first_trade_id);
    fields.key(",\"lastId\":").integer(day.last_trade_id);
    fields.key(",\"count\":").integer(day.trades);
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
