//! What is published of a symbol, and how each kind of it is written in each format.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode as json;
use depthcast_wire::sbe::{EncodeError, encode as sbe};
use depthcast_wire::time_unit::TimeUnit;

/// The ways to write an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json(TimeUnit),
    Sbe,
}

/// An event to be published. Times are microseconds.
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
}

impl Payload<'_> {
    /// Appends the event to `out`. Only SBE has bounds that an event may not fit.
    pub(super) fn encode(
        &self,
        format: Format,
        instrument: &Instrument,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match format {
            Format::Json(unit) => {
                self.encode_json(unit, instrument, out);
                Ok(())
            }
            Format::Sbe => match *self {
                Payload::Diff(diff) => sbe::depth_diff(out, instrument, diff),
                Payload::Top(at_us, top) => sbe::depth_snapshot(out, instrument, at_us, top),
                Payload::Best(at_us, best) => sbe::best_bid_ask(out, instrument, at_us, best),
                Payload::Trade(trade) => sbe::trades(out, instrument, std::slice::from_ref(trade)),
            },
        }
    }

    fn encode_json(&self, unit: TimeUnit, instrument: &Instrument, out: &mut Vec<u8>) {
        match *self {
            Payload::Diff(diff) => json::depth_update(out, instrument, unit, diff),
            Payload::Top(_, top) => json::partial_depth(out, instrument, top),
            Payload::Best(_, best) => json::book_ticker(out, instrument, best),
            Payload::Trade(trade) => json::trade(out, instrument, unit, trade),
        }
    }
}
