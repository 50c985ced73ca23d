//! SBE bytes to market events, without copying: a message is a view of the bytes it was read from.
//!
//! [`super::encode`] opens with the fields' offsets. The block lengths in the header and the groups are honoured, so a
//! later version that appends fields still reads; blocks shorter than version 0's do not. A message is checked whole
//! when it is decoded (lengths, ids, booleans, symbol), so that reading from the view cannot fail, and nothing is
//! allocated before the bytes a count promises are known to be there.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::Exponents;

use super::reader::{Group, Reader};
pub use super::reader::{Levels, Trades};
use super::{
    BEST_BID_ASK_BLOCK, DEPTH_DIFF_BLOCK, DEPTH_SNAPSHOT_BLOCK, LEVEL_BLOCK, SCHEMA_ID, SCHEMA_VERSION,
    SbeError, TEMPLATE_BEST_BID_ASK, TEMPLATE_DEPTH_DIFF, TEMPLATE_DEPTH_SNAPSHOT, TEMPLATE_TRADES,
    TRADE_BLOCK, TRADES_BLOCK,
};

/// One message of the schema.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Template 10000.
    Trades(TradesEvent<'a>),
    /// Template 10001.
    BestBidAsk(BestBidAskEvent<'a>),
    /// Template 10002.
    DepthSnapshot(DepthSnapshotEvent<'a>),
    /// Template 10003.
    DepthDiff(DepthDiffEvent<'a>),
}

impl<'a> Message<'a> {
    /// The symbol, as the sender wrote it: upper case by custom, up to 255 bytes of UTF-8 by the schema.
    pub fn symbol(&self) -> &'a str {
        match self {
            Message::Trades(event) => event.symbol,
            Message::BestBidAsk(event) => event.symbol,
            Message::DepthSnapshot(event) => event.symbol,
            Message::DepthDiff(event) => event.symbol,
        }
    }

    /// The exponents of the message's mantissas, any i8: compare them with the instrument's before mixing the two.
    pub fn exponents(&self) -> Exponents {
        match self {
            Message::Trades(event) => event.exponents,
            Message::BestBidAsk(event) => event.exponents,
            Message::DepthSnapshot(event) => event.exponents,
            Message::DepthDiff(event) => event.exponents,
        }
    }
}

/// Reads one message, which must be all of `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, SbeError> {
    let mut reader = Reader::new(bytes);
    let mut header = reader.block("header", super::HEADER_LEN as u64)?;
    let block_length = header.u16("header")?;
    let template = header.u16("header")?;
    let schema_id = header.u16("header")?;
    let version = header.u16("header")?;
    if schema_id != SCHEMA_ID {
        return Err(SbeError::SchemaId(schema_id));
    }
    let message = match template {
        TEMPLATE_TRADES => Message::Trades(TradesEvent::read(&mut reader, block_length)?),
        TEMPLATE_BEST_BID_ASK => Message::BestBidAsk(BestBidAskEvent::read(&mut reader, block_length)?),
        TEMPLATE_DEPTH_SNAPSHOT => {
            Message::DepthSnapshot(DepthSnapshotEvent::read(&mut reader, block_length)?)
        }
        TEMPLATE_DEPTH_DIFF => Message::DepthDiff(DepthDiffEvent::read(&mut reader, block_length)?),
        _ => return Err(SbeError::Template(template)),
    };
    // A later version may append variable-length fields after the symbol; this one has none.
    if version == SCHEMA_VERSION && !reader.is_empty() {
        return Err(SbeError::Trailing(reader.len()));
    }
    Ok(message)
}

/// Trades (10000).
#[derive(Clone, Copy, Debug)]
pub struct TradesEvent<'a> {
    event_time_us: i64,
    transact_time_us: i64,
    exponents: Exponents,
    trades: Group<'a>,
    symbol: &'a str,
}

impl<'a> TradesEvent<'a> {
    fn read(reader: &mut Reader<'a>, block_length: u16) -> Result<Self, SbeError> {
        let mut root = reader.root("trades event", block_length, TRADES_BLOCK)?;
        let event_time_us = root.i64("eventTime")?;
        let transact_time_us = root.i64("transactTime")?;
        let exponents = root.exponents()?;
        let trades = reader.group32("trades", TRADE_BLOCK)?;
        // isBuyerMaker is the last byte of a version 0 block.
        for block in trades.blocks() {
            if let Some(&flag @ 2..) = block.get(usize::from(TRADE_BLOCK) - 1) {
                return Err(SbeError::Bool(flag));
            }
        }
        Ok(TradesEvent {
            event_time_us,
            transact_time_us,
            exponents,
            trades,
            symbol: reader.symbol()?,
        })
    }

    /// eventTime, microseconds.
    pub fn event_time_us(&self) -> i64 {
        self.event_time_us
    }

    /// transactTime, microseconds: when the trades were made.
    pub fn transact_time_us(&self) -> i64 {
        self.transact_time_us
    }

    /// The exponents of the mantissas.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// The symbol, as the sender wrote it.
    pub fn symbol(&self) -> &'a str {
        self.symbol
    }

    /// The trades, each with the event's times; `is_best_match` is true by the schema.
    pub fn trades(&self) -> Trades<'a> {
        self.trades.trades(self.event_time_us, self.transact_time_us)
    }

    /// The trades as a list of their own.
    pub fn to_trades(&self) -> Vec<Trade> {
        self.trades().collect()
    }
}

/// Best bid and ask (10001).
#[derive(Clone, Copy, Debug)]
pub struct BestBidAskEvent<'a> {
    event_time_us: i64,
    update_id: u64,
    exponents: Exponents,
    bid: Level,
    ask: Level,
    symbol: &'a str,
}

impl<'a> BestBidAskEvent<'a> {
    fn read(reader: &mut Reader<'a>, block_length: u16) -> Result<Self, SbeError> {
        let mut root = reader.root("best bid/ask event", block_length, BEST_BID_ASK_BLOCK)?;
        Ok(BestBidAskEvent {
            event_time_us: root.i64("eventTime")?,
            update_id: root.id("bookUpdateId")?,
            exponents: root.exponents()?,
            bid: root.level("bid")?,
            ask: root.level("ask")?,
            symbol: reader.symbol()?,
        })
    }

    /// eventTime, microseconds.
    pub fn event_time_us(&self) -> i64 {
        self.event_time_us
    }

    /// bookUpdateId.
    pub fn update_id(&self) -> u64 {
        self.update_id
    }

    /// The exponents of the mantissas.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// The best bid.
    pub fn bid(&self) -> Level {
        self.bid
    }

    /// The best ask.
    pub fn ask(&self) -> Level {
        self.ask
    }

    /// The symbol, as the sender wrote it.
    pub fn symbol(&self) -> &'a str {
        self.symbol
    }

    /// The event, with mantissas under the message's exponents.
    pub fn to_best_bid_ask(&self) -> BestBidAsk {
        BestBidAsk {
            event_time_us: Some(self.event_time_us),
            update_id: self.update_id,
            bid: self.bid,
            ask: self.ask,
        }
    }
}

/// The top of a book, whole (10002).
#[derive(Clone, Copy, Debug)]
pub struct DepthSnapshotEvent<'a> {
    event_time_us: i64,
    last_id: u64,
    exponents: Exponents,
    bids: Group<'a>,
    asks: Group<'a>,
    symbol: &'a str,
}

impl<'a> DepthSnapshotEvent<'a> {
    fn read(reader: &mut Reader<'a>, block_length: u16) -> Result<Self, SbeError> {
        let mut root = reader.root("depth snapshot event", block_length, DEPTH_SNAPSHOT_BLOCK)?;
        Ok(DepthSnapshotEvent {
            event_time_us: root.i64("eventTime")?,
            last_id: root.id("bookUpdateId")?,
            exponents: root.exponents()?,
            bids: reader.group16("bids", LEVEL_BLOCK)?,
            asks: reader.group16("asks", LEVEL_BLOCK)?,
            symbol: reader.symbol()?,
        })
    }

    /// eventTime, microseconds.
    pub fn event_time_us(&self) -> i64 {
        self.event_time_us
    }

    /// bookUpdateId: the id the levels are true at.
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The exponents of the mantissas.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// Bids, best first.
    pub fn bids(&self) -> Levels<'a> {
        self.bids.levels()
    }

    /// Asks, best first.
    pub fn asks(&self) -> Levels<'a> {
        self.asks.levels()
    }

    /// The symbol, as the sender wrote it.
    pub fn symbol(&self) -> &'a str {
        self.symbol
    }

    /// The levels as a book's, with mantissas under the message's exponents.
    pub fn to_snapshot(&self) -> BookSnapshot {
        BookSnapshot {
            last_id: self.last_id,
            bids: self.bids().collect(),
            asks: self.asks().collect(),
        }
    }
}

/// Changes of a book (10003).
#[derive(Clone, Copy, Debug)]
pub struct DepthDiffEvent<'a> {
    event_time_us: i64,
    first_id: u64,
    last_id: u64,
    exponents: Exponents,
    bids: Group<'a>,
    asks: Group<'a>,
    symbol: &'a str,
}

impl<'a> DepthDiffEvent<'a> {
    fn read(reader: &mut Reader<'a>, block_length: u16) -> Result<Self, SbeError> {
        let mut root = reader.root("depth diff event", block_length, DEPTH_DIFF_BLOCK)?;
        let event = DepthDiffEvent {
            event_time_us: root.i64("eventTime")?,
            first_id: root.id("firstBookUpdateId")?,
            last_id: root.id("lastBookUpdateId")?,
            exponents: root.exponents()?,
            bids: reader.group16("bids", LEVEL_BLOCK)?,
            asks: reader.group16("asks", LEVEL_BLOCK)?,
            symbol: reader.symbol()?,
        };
        if event.first_id > event.last_id {
            return Err(SbeError::IdOrder {
                first: event.first_id,
                last: event.last_id,
            });
        }
        Ok(event)
    }

    /// eventTime, microseconds.
    pub fn event_time_us(&self) -> i64 {
        self.event_time_us
    }

    /// firstBookUpdateId (U), never above [`Self::last_id`].
    pub fn first_id(&self) -> u64 {
        self.first_id
    }

    /// lastBookUpdateId (u).
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The exponents of the mantissas.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// Changed bids, best first.
    pub fn bids(&self) -> Levels<'a> {
        self.bids.levels()
    }

    /// Changed asks, best first.
    pub fn asks(&self) -> Levels<'a> {
        self.asks.levels()
    }

    /// The symbol, as the sender wrote it.
    pub fn symbol(&self) -> &'a str {
        self.symbol
    }

    /// The changes as an event, with mantissas under the message's exponents.
    pub fn to_update(&self) -> DepthUpdate {
        DepthUpdate {
            event_time_us: self.event_time_us,
            first_id: self.first_id,
            last_id: self.last_id,
            bids: self.bids().collect(),
            asks: self.asks().collect(),
        }
    }
}
