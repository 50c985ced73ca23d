//! Writes what is derived from trades and books as JSON: candlesticks, the last 24 hours, the average price, checksums. As in
//! [`super::encode`], every function appends one payload to `out`.
//!
//! Prices and quantities have the instrument's full precision, and volumes in the quote asset as many places as prices, rounded
//! half away from zero.

use depthcast_market::candle::Candle;
use depthcast_market::checksum::CHECKSUM_LEVELS;
use depthcast_market::event::BestBidAsk;
use depthcast_market::instrument::Instrument;
use depthcast_market::interval::KlineInterval;
use depthcast_market::limits::AVERAGE_MINUTES;
use depthcast_market::statistics::{AveragePrice, DayStatistics};

use super::encode::event_head;
use super::writer::Writer;
use crate::time_unit::TimeUnit;

/// Room for an event: the longest, a ticker of usual numbers, has some 500 bytes.
const EVENT_BYTES: usize = 640;

/// A `kline`: a candlestick of an interval, which is over or not, at an event time (microseconds).
pub fn kline(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    unit: TimeUnit,
    event_time_us: i64,
    (interval, candle, is_closed): (KlineInterval, &Candle, bool),
) {
    out.reserve(EVENT_BYTES);
    event_head(out, "kline", instrument, unit.from_micros(event_time_us));
    let mut fields = Writer::new(out, instrument);
    fields
        .key(",\"k\":{\"t\":")
        .integer(unit.from_micros(candle.open_us));
    fields.key(",\"T\":").integer(close_time(candle, unit));
    fields.key(",\"s\":\"").text(instrument.name());
    fields.key("\",\"i\":\"").text(interval.as_str());
    fields.key("\",\"f\":").integer(candle.first_trade_id);
    fields.key(",\"L\":").integer(candle.last_trade_id);
    fields.key(",\"o\":").price(candle.open);
    fields.key(",\"c\":").price(candle.close);
    fields.key(",\"h\":").price(candle.high);
    fields.key(",\"l\":").price(candle.low);
    fields.key(",\"v\":").volume(candle.volume);
    fields.key(",\"n\":").integer(candle.trades);
    fields.key(",\"x\":").boolean(is_closed);
    fields.key(",\"q\":").quote_volume(candle.quote_volume);
    fields.key(",\"V\":").volume(candle.taker_buy_volume);
    fields.key(",\"Q\":").quote_volume(candle.taker_buy_quote_volume);
    fields.key(",\"B\":\"0\"}}");
}

/// When a candlestick ends as events say it: the last moment that is of it.
pub fn close_time(candle: &Candle, unit: TimeUnit) -> i64 {
    unit.from_micros(candle.end_us) - 1
}

/// A `24hrMiniTicker`.
pub fn mini_ticker(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    unit: TimeUnit,
    event_time_us: i64,
    day: &DayStatistics,
) {
    out.reserve(EVENT_BYTES);
    event_head(out, "24hrMiniTicker", instrument, unit.from_micros(event_time_us));
    let mut fields = Writer::new(out, instrument);
    fields.key(",\"c\":").price(day.last);
    fields.key(",\"o\":").price(day.open);
    fields.key(",\"h\":").price(day.high);
    fields.key(",\"l\":").price(day.low);
    fields.key(",\"v\":").volume(day.volume);
    fields.key(",\"q\":").quote_volume(day.quote_volume).key("}");
}

/// A `24hrTicker`. Where there is no best bid and ask, or no trade before the window, their fields are zero.
pub fn ticker(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    unit: TimeUnit,
    event_time_us: i64,
    (day, best): (&DayStatistics, Option<&BestBidAsk>),
) {
    out.reserve(EVENT_BYTES);
    event_head(out, "24hrTicker", instrument, unit.from_micros(event_time_us));
    let (bid, ask) = best.map_or_else(Default::default, |best| (best.bid, best.ask));
    let mut fields = Writer::new(out, instrument);
    fields.key(",\"p\":").price(day.change());
    fields.key(",\"P\":").percent(day.change_per_100_000());
    fields.key(",\"w\":").price(day.weighted_price());
    fields.key(",\"x\":").price(day.before.unwrap_or(0));
    fields.key(",\"c\":").price(day.last);
    fields.key(",\"Q\":").qty(day.last_qty);
    fields.key(",\"b\":").price(bid.price);
    fields.key(",\"B\":").qty(bid.qty);
    fields.key(",\"a\":").price(ask.price);
    fields.key(",\"A\":").qty(ask.qty);
    fields.key(",\"o\":").price(day.open);
    fields.key(",\"h\":").price(day.high);
    fields.key(",\"l\":").price(day.low);
    fields.key(",\"v\":").volume(day.volume);
    fields.key(",\"q\":").quote_volume(day.quote_volume);
    fields.key(",\"O\":").integer(unit.from_micros(day.open_us));
    fields.key(",\"C\":").integer(unit.from_micros(day.close_us));
    fields.key(",\"F\":").integer(day.first_trade_id);
    fields.key(",\"L\":").integer(day.last_trade_id);
    fields.key(",\"n\":").integer(day.trades).key("}");
}

/// An `avgPrice`.
pub fn average_price(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    unit: TimeUnit,
    event_time_us: i64,
    average: &AveragePrice,
) {
    out.reserve(EVENT_BYTES);
    event_head(out, "avgPrice", instrument, unit.from_micros(event_time_us));
    let mut fields = Writer::new(out, instrument);
    fields.key(",\"i\":\"").integer(AVERAGE_MINUTES).text("m\"");
    fields.key(",\"w\":").price(average.price);
    fields
        .key(",\"T\":")
        .integer(unit.from_micros(average.last_trade_us))
        .key("}");
}

/// A `bookChecksum`, this engine's own: of the book at an update id, see [`depthcast_market::checksum`]. `n` is the most levels
/// a side that it is over, also where the book has fewer.
pub fn book_checksum(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    unit: TimeUnit,
    event_time_us: i64,
    (last_id, checksum): (u64, u32),
) {
    out.reserve(EVENT_BYTES);
    event_head(out, "bookChecksum", instrument, unit.from_micros(event_time_us));
    let mut fields = Writer::new(out, instrument);
    fields.key(",\"u\":").integer(last_id);
    fields.key(",\"n\":").integer(CHECKSUM_LEVELS);
    fields.key(",\"c\":").integer(checksum).key("}");
}

#[cfg(test)]
mod tests;
