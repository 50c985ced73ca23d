//! The recorded market as benches use it: its snapshot, and the depth updates that continue it.

use std::path::PathBuf;

use depthcast_feed_sim::capture::{CaptureError, CaptureReader};
use depthcast_market::event::{BookSnapshot, DepthUpdate, MarketEvent};

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

/// The snapshot, and the depth updates that are newer than it, in order.
pub fn recorded_depth() -> Result<(BookSnapshot, Vec<DepthUpdate>), RecordedError> {
    let folder = std::env::var_os("DEPTHCAST_CAPTURES").ok_or(RecordedError::NoFolder)?;
    let mut reader = CaptureReader::open(&PathBuf::from(folder).join(CAPTURE))?;
    let mut snapshot = BookSnapshot::default();
    let mut updates = Vec::new();
    while let Some(record) = reader.next_record()? {
        match record.event {
            MarketEvent::Depth(update) => updates.push(update),
            MarketEvent::Snapshot(whole) => snapshot = whole,
            MarketEvent::BestBidAsk(_) | MarketEvent::Trade(_) => {}
        }
    }
    updates.retain(|update| update.last_id > snapshot.last_id);
    Ok((snapshot, updates))
}
