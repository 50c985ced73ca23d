//! A symbol's book, trades, candlesticks and average price.
//!
//! | template | root block | group |
//! |---|---|---|
//! | 200 depth | lastUpdateId i64, exponents 2 x i8; 10 bytes | bids, asks: price i64, qty i64; 16 bytes |
//! | 201 trades | exponents; 2 bytes | id, price, qty, quoteQty, time i64 each, isBuyerMaker u8, isBestMatch u8; 42 bytes |
//! | 202 aggregate trades | exponents; 2 bytes | aggTradeId, price, qty, firstTradeId, lastTradeId, time i64 each, isBuyerMaker u8, isBestMatch u8; 50 bytes |
//! | 203 klines | exponents; 2 bytes | openTime, open, high, low, close i64 each, volume i128, closeTime i64, quoteVolume i128, numTrades i64, takerBuyBaseVolume i128, takerBuyQuoteVolume i128; 120 bytes |
//! | 204 average price | mins i64, priceExponent i8, price i64?, closeTime i64?; 25 bytes | none |

use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BookSnapshot, Level, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::limits::AVERAGE_MINUTES;
use depthcast_market::statistics::AveragePrice;

use super::{EncodeError, NONE, Writer, checked, id, narrow};

/// Appends a DepthResponse (200) with all levels of `book`.
pub fn depth(out: &mut Vec<u8>, instrument: &Instrument, book: &BookSnapshot) -> Result<(), EncodeError> {
    const LEVEL_BLOCK: u16 = 16;
    let last_id = id(book.last_id)?;
    let (bids, asks) = (
        checked("bids", book.bids.len())?,
        checked("asks", book.asks.len())?,
    );
    out.reserve(32 + usize::from(LEVEL_BLOCK) * (bids + asks));
    let mut message = Writer::message(out, 200, 10);
    message.i64(last_id).exponents(instrument);
    let mut side = |levels: &[Level]| {
        message.group(LEVEL_BLOCK, levels.len());
        for level in levels {
            message.i64(level.price).i64(level.qty);
        }
    };
    side(&book.bids);
    side(&book.asks);
    Ok(())
}

/// Appends a TradesResponse (201).
pub fn trades(out: &mut Vec<u8>, instrument: &Instrument, trades: &[Trade]) -> Result<(), EncodeError> {
    let count = checked("trades", trades.len())?;
    let mut message = Writer::message(out, 201, 2);
    message.exponents(instrument).group(42, count);
    for trade in trades {
        let quote = instrument.quote_amount(i128::from(trade.price) * i128::from(trade.qty));
        message
            .i64(trade.id)
            .i64(trade.price)
            .i64(trade.qty)
            .i64(narrow(quote))
            .i64(trade.trade_time_us)
            .bool(trade.is_buyer_maker)
            .bool(trade.is_best_match);
    }
    Ok(())
}

/// Appends an AggTradesResponse (202).
pub fn agg_trades(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    trades: &[AggTrade],
) -> Result<(), EncodeError> {
    let count = checked("aggregate trades", trades.len())?;
    let mut message = Writer::message(out, 202, 2);
    message.exponents(instrument).group(50, count);
    for trade in trades {
        message
            .i64(trade.id)
            .i64(trade.price)
            .i64(trade.qty)
            .i64(trade.first_trade_id)
            .i64(trade.last_trade_id)
            .i64(trade.trade_time_us)
            .bool(trade.is_buyer_maker)
            .bool(trade.is_best_match);
    }
    Ok(())
}

/// Appends a KlinesResponse (203).
pub fn klines(out: &mut Vec<u8>, instrument: &Instrument, candles: &[Candle]) -> Result<(), EncodeError> {
    let count = checked("klines", candles.len())?;
    let mut message = Writer::message(out, 203, 2);
    message.exponents(instrument).group(120, count);
    for candle in candles {
        message
            .i64(candle.open_us)
            .i64(candle.open)
            .i64(candle.high)
            .i64(candle.low)
            .i64(candle.close)
            .i128(candle.volume)
            .i64(candle.end_us - 1)
            .i128(instrument.quote_amount(candle.quote_volume))
            .i64(i64::try_from(candle.trades).unwrap_or(i64::MAX))
            .i128(candle.taker_buy_volume)
            .i128(instrument.quote_amount(candle.taker_buy_quote_volume));
    }
    Ok(())
}

/// Appends an AveragePriceResponse (204); without price and time where there was no trade yet.
pub fn average_price(out: &mut Vec<u8>, instrument: &Instrument, average: &AveragePrice) {
    let is_known = average.last_trade_us > 0;
    let optional = |value: i64| if is_known { value } else { NONE };
    Writer::message(out, 204, 25)
        .i64(AVERAGE_MINUTES.into())
        .u8(instrument.exponents().price.cast_unsigned())
        .i64(optional(average.price))
        .i64(optional(average.last_trade_us));
}
