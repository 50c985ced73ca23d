//! What tests of JSON events share.

use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode;
use depthcast_wire::time_unit::TimeUnit;

/// The payload of any event.
pub(crate) fn encode_event(event: &MarketEvent, instrument: &Instrument, time_unit: TimeUnit) -> Vec<u8> {
    let mut out = Vec::new();
    match event {
        MarketEvent::Depth(update) => encode::depth_update(&mut out, instrument, time_unit, update),
        MarketEvent::BestBidAsk(best) => encode::book_ticker(&mut out, instrument, best),
        MarketEvent::Trade(trade) => encode::trade(&mut out, instrument, time_unit, trade),
        MarketEvent::Snapshot(snapshot) => encode::partial_depth(&mut out, instrument, snapshot),
    }
    out
}
