//! Market events to SBE bytes. Each function appends one message, or nothing and an error.
//!
//! Offsets into the root block (after the 8 bytes of the header) and into a group's block:
//!
//! | template | root block | groups |
//! |---|---|---|
//! | 10000 trades | 0 eventTime i64, 8 transactTime i64, 16 priceExponent i8, 17 qtyExponent i8; 18 bytes | trades (count u32): 0 id i64, 8 price i64, 16 qty i64, 24 isBuyerMaker u8; 25 bytes |
//! | 10001 best bid/ask | 0 eventTime i64, 8 bookUpdateId i64, 16 priceExponent i8, 17 qtyExponent i8, 18 bidPrice i64, 26 bidQty i64, 34 askPrice i64, 42 askQty i64; 50 bytes | none |
//! | 10002 depth snapshot | 0 eventTime i64, 8 bookUpdateId i64, 16 priceExponent i8, 17 qtyExponent i8; 18 bytes | bids, asks (count u16): 0 price i64, 8 qty i64; 16 bytes |
//! | 10003 depth diff | 0 eventTime i64, 8 firstBookUpdateId i64, 16 lastBookUpdateId i64, 24 priceExponent i8, 25 qtyExponent i8; 26 bytes | bids, asks (count u16): 0 price i64, 8 qty i64; 16 bytes |
//!
//! isBestMatch is a constant of the schema (true) and takes no bytes.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::{Instrument, SYMBOL_LEN_MAX};

use super::{
    BEST_BID_ASK_BLOCK, DEPTH_DIFF_BLOCK, DEPTH_SNAPSHOT_BLOCK, EncodeError, HEADER_LEN, LEVEL_BLOCK,
    SCHEMA_ID, SCHEMA_VERSION, TEMPLATE_BEST_BID_ASK, TEMPLATE_DEPTH_DIFF, TEMPLATE_DEPTH_SNAPSHOT,
    TEMPLATE_TRADES, TRADE_BLOCK, TRADES_BLOCK,
};

/// The most levels a side of a depth message holds: the count is a u16, whose top value SBE sets apart for "no value".
pub const LEVELS_MAX: usize = u16::MAX as usize - 1;

/// The most trades of one event: the schema's maxValue of numInGroup.
pub const TRADES_MAX: usize = i32::MAX as usize;

// A symbol's length is written as one byte.
const _: () = assert!(SYMBOL_LEN_MAX <= u8::MAX as usize);

/// Appends a DepthDiffStreamEvent (10003).
pub fn depth_diff(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    update: &DepthUpdate,
) -> Result<(), EncodeError> {
    let first_id = id_bytes(update.first_id)?;
    let last_id = id_bytes(update.last_id)?;
    let bids = LevelGroup::new("bids", &update.bids)?;
    let asks = LevelGroup::new("asks", &update.asks)?;
    begin(
        out,
        TEMPLATE_DEPTH_DIFF,
        DEPTH_DIFF_BLOCK,
        bids.len() + asks.len(),
    );
    out.extend_from_slice(&update.event_time_us.to_le_bytes());
    out.extend_from_slice(&first_id);
    out.extend_from_slice(&last_id);
    put_exponents(out, instrument);
    bids.put(out);
    asks.put(out);
    put_symbol(out, instrument);
    Ok(())
}

/// Appends a DepthSnapshotStreamEvent (10002) with all levels of `book`.
pub fn depth_snapshot(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    event_time_us: i64,
    book: &BookSnapshot,
) -> Result<(), EncodeError> {
    let last_id = id_bytes(book.last_id)?;
    let bids = LevelGroup::new("bids", &book.bids)?;
    let asks = LevelGroup::new("asks", &book.asks)?;
    begin(
        out,
        TEMPLATE_DEPTH_SNAPSHOT,
        DEPTH_SNAPSHOT_BLOCK,
        bids.len() + asks.len(),
    );
    out.extend_from_slice(&event_time_us.to_le_bytes());
    out.extend_from_slice(&last_id);
    put_exponents(out, instrument);
    bids.put(out);
    asks.put(out);
    put_symbol(out, instrument);
    Ok(())
}

/// Appends a BestBidAskStreamEvent (10001). `event_time_us` is the time to write; the event's own is optional and not
/// looked at.
pub fn best_bid_ask(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    event_time_us: i64,
    best: &BestBidAsk,
) -> Result<(), EncodeError> {
    let update_id = id_bytes(best.update_id)?;
    begin(out, TEMPLATE_BEST_BID_ASK, BEST_BID_ASK_BLOCK, 0);
    out.extend_from_slice(&event_time_us.to_le_bytes());
    out.extend_from_slice(&update_id);
    put_exponents(out, instrument);
    out.extend_from_slice(&level_bytes(best.bid));
    out.extend_from_slice(&level_bytes(best.ask));
    put_symbol(out, instrument);
    Ok(())
}

/// Appends a TradesStreamEvent (10000) with all of `trades`, under the first one's times. `is_best_match` is not
/// written: the schema holds it to be true.
pub fn trades(out: &mut Vec<u8>, instrument: &Instrument, trades: &[Trade]) -> Result<(), EncodeError> {
    let first = trades.first().ok_or(EncodeError::NoTrades)?;
    let too_many = EncodeError::TooManyEntries {
        what: "trades",
        count: trades.len(),
        most: TRADES_MAX,
    };
    let count = i32::try_from(trades.len()).map_err(|_| too_many)?;
    begin(
        out,
        TEMPLATE_TRADES,
        TRADES_BLOCK,
        6 + trades.len() * usize::from(TRADE_BLOCK),
    );
    out.extend_from_slice(&first.event_time_us.to_le_bytes());
    out.extend_from_slice(&first.trade_time_us.to_le_bytes());
    put_exponents(out, instrument);
    out.extend_from_slice(&TRADE_BLOCK.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for trade in trades {
        out.extend_from_slice(&trade.id.to_le_bytes());
        out.extend_from_slice(&trade.price.to_le_bytes());
        out.extend_from_slice(&trade.qty.to_le_bytes());
        out.push(u8::from(trade.is_buyer_maker));
    }
    put_symbol(out, instrument);
    Ok(())
}

/// Makes room for a whole message, so that nothing after it grows `out`, and writes the header.
fn begin(out: &mut Vec<u8>, template: u16, root_block: u16, groups_len: usize) {
    out.reserve(HEADER_LEN + usize::from(root_block) + groups_len + 1 + SYMBOL_LEN_MAX);
    for field in [root_block, template, SCHEMA_ID, SCHEMA_VERSION] {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

fn put_exponents(out: &mut Vec<u8>, instrument: &Instrument) {
    let exponents = instrument.exponents();
    out.extend_from_slice(&exponents.price.to_le_bytes());
    out.extend_from_slice(&exponents.qty.to_le_bytes());
}

fn put_symbol(out: &mut Vec<u8>, instrument: &Instrument) {
    let name = instrument.name().as_bytes();
    // An instrument's name is at most SYMBOL_LEN_MAX long.
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn id_bytes(id: u64) -> Result<[u8; 8], EncodeError> {
    i64::try_from(id)
        .map(i64::to_le_bytes)
        .map_err(|_| EncodeError::IdRange { id })
}

fn level_bytes(level: Level) -> [u8; LEVEL_BLOCK as usize] {
    let mut bytes = [0; LEVEL_BLOCK as usize];
    bytes[..8].copy_from_slice(&level.price.to_le_bytes());
    bytes[8..].copy_from_slice(&level.qty.to_le_bytes());
    bytes
}

/// Levels whose count is known to fit a group.
struct LevelGroup<'a> {
    count: u16,
    levels: &'a [Level],
}

impl<'a> LevelGroup<'a> {
    fn new(what: &'static str, levels: &'a [Level]) -> Result<Self, EncodeError> {
        let too_many = EncodeError::TooManyEntries {
            what,
            count: levels.len(),
            most: LEVELS_MAX,
        };
        match u16::try_from(levels.len()) {
            Ok(count) if levels.len() <= LEVELS_MAX => Ok(LevelGroup { count, levels }),
            _ => Err(too_many),
        }
    }

    /// Bytes of the group, dimensions included.
    fn len(&self) -> usize {
        4 + self.levels.len() * usize::from(LEVEL_BLOCK)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&LEVEL_BLOCK.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        let start = out.len();
        out.resize(start + self.levels.len() * usize::from(LEVEL_BLOCK), 0);
        let (blocks, _) = out[start..].as_chunks_mut();
        for (block, level) in blocks.iter_mut().zip(self.levels) {
            *block = level_bytes(*level);
        }
    }
}
