//! What is published of a symbol and of the whole market, and how each kind of it is written in each format.

use std::sync::Arc;

use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BestBidAsk, BookSnapshot, DepthUpdate, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::interval::KlineInterval;
use depthcast_market::statistics::{AveragePrice, DayStatistics};
use depthcast_wire::json::{encode as json, statistics};
use depthcast_wire::sbe::{EncodeError, encode as sbe};
use depthcast_wire::time_unit::TimeUnit;

use crate::fanout::Ids;

/// The ways to write an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json(TimeUnit),
    Sbe,
}

/// An event of a symbol to be published. Times are microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload<'e> {
    /// Changes of the book.
    Diff(&'e DepthUpdate),
    /// Its top, at an event time (which JSON does not carry).
    Top(i64, &'e BookSnapshot),
    /// The best bid and ask, likewise.
    Best(i64, &'e BestBidAsk),
    /// A trade.
    Trade(&'e Trade),
    /// An aggregate trade.
    AggTrade(&'e AggTrade),
    /// A candlestick of an interval, at an event time; whether it is over.
    Kline(i64, KlineInterval, &'e Candle, bool),
    /// The last 24 hours in short, likewise.
    MiniTicker(i64, &'e DayStatistics),
    /// The last 24 hours with the best bid and ask, likewise.
    Ticker(i64, &'e DayStatistics, Option<&'e BestBidAsk>),
    /// The average price, likewise.
    AveragePrice(i64, &'e AveragePrice),
    /// The checksum of the book at an update id, likewise.
    Checksum(i64, u64, u32),
    /// Bytes of the bench feed, which go out as they are, in binary frames for everybody.
    Fixed(&'e [u8]),
}

/// A sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    /// The feed's newest time, microseconds; zero before it has one.
    pub(super) feed_time_us: i64,
    /// The number of the feed's history.
    pub(super) epoch: u64,
    /// Which of that history it is, from 1.
    pub(super) count: u64,
}

/// An event and what it is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Published<'e> {
    /// One symbol.
    Symbol(&'e Instrument, Payload<'e>),
    /// The whole market.
    Heartbeat(Heartbeat),
    /// The last 24 hours in short of several symbols, at an event time.
    MiniTickers(i64, &'e [(Arc<Instrument>, DayStatistics)]),
}

impl Published<'_> {
    /// The format that it is written in where `format` is wanted: what SBE has no message for is JSON in SBE's unit, and
    /// what is bytes to begin with is binary, as SBE is.
    pub(super) fn format(&self, format: Format) -> Format {
        match self {
            Published::Symbol(_, Payload::Fixed(_)) => Format::Sbe,
            Published::Symbol(
                _,
                Payload::Diff(_) | Payload::Top(..) | Payload::Best(..) | Payload::Trade(_),
            ) => format,
            _ if format == Format::Sbe => Format::Json(TimeUnit::Microsecond),
            _ => format,
        }
    }

    /// The update ids that it covers, of a stream whose events continue each other.
    pub(super) fn ids(&self) -> Ids {
        match self {
            Published::Symbol(_, Payload::Diff(diff)) => Ids {
                first: diff.first_id,
                last: diff.last_id,
            },
            _ => Ids::default(),
        }
    }

    /// The symbol's name; empty for what is of the whole market.
    pub(super) fn symbol(&self) -> &str {
        match self {
            Published::Symbol(instrument, _) => instrument.name(),
            Published::Heartbeat(_) | Published::MiniTickers(..) => "",
        }
    }

    /// Appends the event to `out`, in a format that [`Published::format`] gave. Only SBE has bounds that an event may not
    /// fit.
    pub(super) fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let unit = match format {
            Format::Json(unit) => unit,
            Format::Sbe => TimeUnit::Microsecond,
        };
        match *self {
            Published::Symbol(instrument, payload) => payload.encode(format, instrument, out),
            Published::Heartbeat(beat) => {
                json::heartbeat(out, unit, beat.feed_time_us, beat.epoch, beat.count);
                Ok(())
            }
            Published::MiniTickers(at_us, tickers) => {
                for (place, (instrument, day)) in tickers.iter().enumerate() {
                    out.push(if place == 0 { b'[' } else { b',' });
                    statistics::mini_ticker(out, instrument, unit, at_us, day);
                }
                out.push(b']');
                Ok(())
            }
        }
    }
}

impl Payload<'_> {
    fn encode(&self, format: Format, instrument: &Instrument, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (format, *self) {
            (Format::Sbe, Payload::Diff(diff)) => sbe::depth_diff(out, instrument, diff),
            (Format::Sbe, Payload::Top(at_us, top)) => sbe::depth_snapshot(out, instrument, at_us, top),
            (Format::Sbe, Payload::Best(at_us, best)) => sbe::best_bid_ask(out, instrument, at_us, best),
            (Format::Sbe, Payload::Trade(trade)) => sbe::trades(out, instrument, std::slice::from_ref(trade)),
            (Format::Sbe, _) => {
                self.encode_json(TimeUnit::Microsecond, instrument, out);
                Ok(())
            }
            (Format::Json(unit), _) => {
                self.encode_json(unit, instrument, out);
                Ok(())
            }
        }
    }

    fn encode_json(&self, unit: TimeUnit, instrument: &Instrument, out: &mut Vec<u8>) {
        match *self {
            Payload::Diff(diff) => json::depth_update(out, instrument, unit, diff),
            Payload::Top(_, top) => json::partial_depth(out, instrument, top),
            Payload::Best(_, best) => json::book_ticker(out, instrument, best),
            Payload::Trade(trade) => json::trade(out, instrument, unit, trade),
            Payload::AggTrade(trade) => json::agg_trade(out, instrument, unit, trade),
            Payload::Kline(at_us, interval, candle, is_closed) => {
                statistics::kline(out, instrument, unit, at_us, (interval, candle, is_closed));
            }
            Payload::MiniTicker(at_us, day) => statistics::mini_ticker(out, instrument, unit, at_us, day),
            Payload::Ticker(at_us, day, best) => {
                statistics::ticker(out, instrument, unit, at_us, (day, best));
            }
            Payload::AveragePrice(at_us, average) => {
                statistics::average_price(out, instrument, unit, at_us, average);
            }
            Payload::Checksum(at_us, id, checksum) => {
                statistics::book_checksum(out, instrument, unit, at_us, (id, checksum));
            }
            // They are bytes in any format.
            Payload::Fixed(bytes) => out.extend_from_slice(bytes),
        }
    }
}
