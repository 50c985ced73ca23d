//! Prices, best bids and asks, and the last 24 hours of one symbol or of several.
//!
//! Each is a block and the symbol's name; of one symbol the block is the root, of several they are the entries of a group.
//!
//! | templates (one, several) | block |
//! |---|---|
//! | 205, 206 day, full | exponents 2 x i8; priceChange i64?, priceChangePercent f32?, weightedAvgPrice i64?, prevClosePrice i64?, lastPrice i64?, lastQty i128, bidPrice i64?, bidQty i64, askPrice i64?, askQty i64, open, high, low i64? each, volume i128, quoteVolume i128, openTime i64, closeTime i64, firstId i64?, lastId i64?, numTrades i64; 182 bytes |
//! | 207, 208 day, mini | exponents; open, high, low, last i64? each, volume i128, quoteVolume i128, openTime i64, closeTime i64, firstId i64?, lastId i64?, numTrades i64; 106 bytes |
//! | 209, 210 price | priceExponent i8, price i64?; 9 bytes |
//! | 211, 212 best bid and ask | exponents; bidPrice i64?, bidQty i64, askPrice i64?, askQty i64; 34 bytes |

use depthcast_market::event::BestBidAsk;
use depthcast_market::instrument::Instrument;
use depthcast_market::statistics::DayStatistics;

use super::{EncodeError, NONE, Writer, checked};

const DAY_FULL_BLOCK: u16 = 182;
const DAY_MINI_BLOCK: u16 = 106;
const PRICE_BLOCK: u16 = 9;
const BEST_BLOCK: u16 = 34;

/// A symbol's last 24 hours.
#[derive(Clone, Copy, Debug)]
pub struct Day<'a> {
    /// The symbol.
    pub instrument: &'a Instrument,
    /// Its trades.
    pub statistics: &'a DayStatistics,
    /// Its best bid and ask, where there are any.
    pub best: Option<&'a BestBidAsk>,
}

/// Appends a Ticker24hSymbolFullResponse (205).
pub fn day_full(out: &mut Vec<u8>, day: Day<'_>) {
    put_day_full(&mut Writer::message(out, 205, DAY_FULL_BLOCK), day);
}

/// Appends a Ticker24hFullResponse (206).
pub fn days_full(out: &mut Vec<u8>, days: &[Day<'_>]) -> Result<(), EncodeError> {
    several(out, 206, DAY_FULL_BLOCK, days, put_day_full)
}

/// Appends a Ticker24hSymbolMiniResponse (207).
pub fn day_mini(out: &mut Vec<u8>, day: Day<'_>) {
    put_day_mini(&mut Writer::message(out, 207, DAY_MINI_BLOCK), day);
}

/// Appends a Ticker24hMiniResponse (208).
pub fn days_mini(out: &mut Vec<u8>, days: &[Day<'_>]) -> Result<(), EncodeError> {
    several(out, 208, DAY_MINI_BLOCK, days, put_day_mini)
}

/// Appends a PriceTickerSymbolResponse (209).
pub fn price_ticker(out: &mut Vec<u8>, day: Day<'_>) {
    put_price(&mut Writer::message(out, 209, PRICE_BLOCK), day);
}

/// Appends a PriceTickerResponse (210).
pub fn price_tickers(out: &mut Vec<u8>, days: &[Day<'_>]) -> Result<(), EncodeError> {
    several(out, 210, PRICE_BLOCK, days, put_price)
}

/// Appends a BookTickerSymbolResponse (211).
pub fn book_ticker(out: &mut Vec<u8>, day: Day<'_>) {
    put_best(&mut Writer::message(out, 211, BEST_BLOCK), day);
}

/// Appends a BookTickerResponse (212).
pub fn book_tickers(out: &mut Vec<u8>, days: &[Day<'_>]) -> Result<(), EncodeError> {
    several(out, 212, BEST_BLOCK, days, put_best)
}

fn several(
    out: &mut Vec<u8>,
    template: u16,
    block: u16,
    days: &[Day<'_>],
    put: impl Fn(&mut Writer<'_>, Day<'_>),
) -> Result<(), EncodeError> {
    let count = checked("tickers", days.len())?;
    let mut message = Writer::message(out, template, 0);
    message.group(block, count);
    days.iter().for_each(|day| put(&mut message, *day));
    Ok(())
}

/// A price, or none where there was no trade to have it.
fn optional(day: Day<'_>, price: i64) -> i64 {
    if day.statistics.trades == 0 { NONE } else { price }
}

fn put_day_full(message: &mut Writer<'_>, day: Day<'_>) {
    let statistics = day.statistics;
    let best = day.best;
    let percent = if statistics.trades == 0 {
        f32::NAN
    } else {
        // A percentage is no price: the message has it as a float.
        statistics.change_per_100_000() as f32 / 1000.0
    };
    message
        .exponents(day.instrument)
        .i64(optional(day, statistics.change()));
    message.0.extend_from_slice(&percent.to_le_bytes());
    message
        .i64(optional(day, statistics.weighted_price()))
        .i64(statistics.before.unwrap_or(NONE))
        .i64(if statistics.last == 0 {
            NONE
        } else {
            statistics.last
        })
        .i128(i128::from(statistics.last_qty))
        .i64(best.map_or(NONE, |best| best.bid.price))
        .i64(best.map_or(0, |best| best.bid.qty))
        .i64(best.map_or(NONE, |best| best.ask.price))
        .i64(best.map_or(0, |best| best.ask.qty))
        .i64(optional(day, statistics.open))
        .i64(optional(day, statistics.high))
        .i64(optional(day, statistics.low));
    put_sums(message, day);
}

fn put_day_mini(message: &mut Writer<'_>, day: Day<'_>) {
    let statistics = day.statistics;
    message
        .exponents(day.instrument)
        .i64(optional(day, statistics.open))
        .i64(optional(day, statistics.high))
        .i64(optional(day, statistics.low))
        .i64(if statistics.last == 0 {
            NONE
        } else {
            statistics.last
        });
    put_sums(message, day);
}

/// What ends both.
fn put_sums(message: &mut Writer<'_>, day: Day<'_>) {
    let statistics = day.statistics;
    message
        .i128(statistics.volume)
        .i128(day.instrument.quote_amount(statistics.quote_volume))
        .i64(statistics.open_us)
        .i64(statistics.close_us)
        .i64(optional(day, statistics.first_trade_id))
        .i64(optional(day, statistics.last_trade_id))
        .i64(i64::try_from(statistics.trades).unwrap_or(i64::MAX))
        .text8(day.instrument.name());
}

fn put_price(message: &mut Writer<'_>, day: Day<'_>) {
    let last = day.statistics.last;
    message
        .u8(day.instrument.exponents().price.cast_unsigned())
        .i64(if last == 0 { NONE } else { last })
        .text8(day.instrument.name());
}

fn put_best(message: &mut Writer<'_>, day: Day<'_>) {
    let best = day.best;
    message
        .exponents(day.instrument)
        .i64(best.map_or(NONE, |best| best.bid.price))
        .i64(best.map_or(0, |best| best.bid.qty))
        .i64(best.map_or(NONE, |best| best.ask.price))
        .i64(best.map_or(0, |best| best.ask.qty))
        .text8(day.instrument.name());
}
