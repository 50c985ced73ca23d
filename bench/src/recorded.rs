//! The recorded market as benches use it: its snapshot, the depth updates that continue it, and its other events.

use std::path::PathBuf;

use depthcast_feed_sim::capture::{CaptureError, CaptureReader};
use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, MarketEvent, Trade};
use depthcast_market::instrument::Instrument;

/// The capture's file in the folder that `DEPTHCAST_CAPTURES` names.
const CAPTURE: &str = "spot_btcusdt_20240808.gz";

/// Why there is no recorded market to measure with.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The variable is not set.
    #[error("set DEPTHCAST_CAPTURES to the folder that holds {CAPTURE}")]
    NoFolder,
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// The one symbol of the capture, and what was recorded of it, in order.
#[derive(Debug)]
pub struct RecordedMarket {
    /// The symbol, with the precision that its events print.
    pub instrument: Instrument,
    /// Its book near the beginning.
    pub snapshot: BookSnapshot,
    /// The depth updates that are newer than the snapshot.
    pub updates: Vec<DepthUpdate>,
    /// Best bids and asks.
    pub bests: Vec<BestBidAsk>,
    /// Trades.
    pub trades: Vec<Trade>,
}

/// Reads the whole capture.
pub fn recorded_market() -> Result<RecordedMarket, RecordedError> {
    let folder = std::env::var_os("DEPTHCAST_CAPTURES").ok_or(RecordedError::NoFolder)?;
    let mut reader = CaptureReader::open(&PathBuf::from(folder).join(CAPTURE))?;
    let mut market = RecordedMarket {
        instrument: reader.head().symbols[0].instrument.clone(),
        snapshot: BookSnapshot::default(),
        updates: Vec::new(),
        bests: Vec::new(),
        trades: Vec::new(),
    };
    while let Some(record) = reader.next_record()? {
        match record.event {
            MarketEvent::Depth(update) => market.updates.push(update),
            MarketEvent::Snapshot(whole) => market.snapshot = whole,
            MarketEvent::BestBidAsk(best) => market.bests.push(best),
            MarketEvent::Trade(trade) => market.trades.push(trade),
        }
    }
    let RecordedMarket {
        snapshot, updates, ..
    } = &mut market;
    updates.retain(|update| update.last_id > snapshot.last_id);
    Ok(market)
}
