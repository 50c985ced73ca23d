//! Market events in Simple Binary Encoding, both ways: templates 10000 to 10003 of the exchange's stream schema.
//!
//! All numbers are little-endian. A message is
//!
//! | part | bytes |
//! |---|---|
//! | header | blockLength u16, templateId u16, schemaId u16 (1), version u16 (0) |
//! | root block | blockLength bytes: the fixed fields |
//! | groups | each: blockLength u16, numInGroup u16 (u32 in template 10000), then numInGroup blocks |
//! | symbol | length u8, then that many bytes of UTF-8 |
//!
//! [`encode`] opens with the fields of each template. Prices and quantities are mantissas; their exponents stand in
//! the root block. Times are microseconds.
//! Source: Binance `spot_stream` schema, id 1 version 0; FIX Simple Binary Encoding 1.0.

pub mod decode;
pub mod encode;
mod reader;
pub mod rest;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod round_trip_tests;

/// The schema these messages belong to.
pub const SCHEMA_ID: u16 = 1;
/// The version of the schema that [`encode`] writes; [`decode`] reads later ones too.
pub const SCHEMA_VERSION: u16 = 0;

/// TradesStreamEvent.
pub const TEMPLATE_TRADES: u16 = 10_000;
/// BestBidAskStreamEvent.
pub const TEMPLATE_BEST_BID_ASK: u16 = 10_001;
/// DepthSnapshotStreamEvent.
pub const TEMPLATE_DEPTH_SNAPSHOT: u16 = 10_002;
/// DepthDiffStreamEvent.
pub const TEMPLATE_DEPTH_DIFF: u16 = 10_003;

/// Bytes of the message header.
pub const HEADER_LEN: usize = 8;

// Block lengths of version 0: what is written, and the least that is read.
const TRADES_BLOCK: u16 = 18;
const TRADE_BLOCK: u16 = 25;
const BEST_BID_ASK_BLOCK: u16 = 50;
const DEPTH_SNAPSHOT_BLOCK: u16 = 18;
const DEPTH_DIFF_BLOCK: u16 = 26;
const LEVEL_BLOCK: u16 = 16;

/// Why an event has no SBE form. The fault is the caller's; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More entries than a group's count can say.
    #[error("{count} {what} do not fit an SBE group of at most {most}")]
    TooManyEntries {
        /// "bids", "asks" or "trades".
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many the group can hold.
        most: usize,
    },
    /// An update id above what the schema's signed 64 bits hold.
    #[error("update id {id} is above {max}", max = i64::MAX)]
    IdRange {
        /// The id.
        id: u64,
    },
    /// A trades event without a trade, which would have no time.
    #[error("a trades event needs at least one trade")]
    NoTrades,
}

/// Why bytes are no message of the schema. The fault is whoever sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SbeError {
    /// The bytes end inside a part.
    #[error("{what} is cut short: {needed} bytes needed, {have} left")]
    Truncated {
        /// The part.
        what: &'static str,
        /// Bytes the part has by its own account.
        needed: u64,
        /// Bytes left for it.
        have: usize,
    },
    /// Another schema's message.
    #[error("schema id {0} is not {SCHEMA_ID}")]
    SchemaId(u16),
    /// A template this schema does not have.
    #[error("unknown template {0}: expected 10000 to 10003")]
    Template(u16),
    /// A block too short for the fields of version 0.
    #[error("{what} has blocks of {length} bytes, fewer than its fields' {least}")]
    BlockLength {
        /// The root block's or group's name.
        what: &'static str,
        /// The length given.
        length: u16,
        /// The length of version 0.
        least: u16,
    },
    /// A negative update id (the most negative is SBE's "no value").
    #[error("update id {0} is negative")]
    NegativeId(i64),
    /// The ids of a diff run backwards.
    #[error("first update id {first} is above the last, {last}")]
    IdOrder {
        /// First update id.
        first: u64,
        /// Last update id.
        last: u64,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("{0} is no boolean")]
    Bool(u8),
    /// The symbol is not UTF-8.
    #[error("the symbol is not UTF-8")]
    SymbolNotUtf8,
    /// Bytes after the end of a message of version 0, which cannot have any.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
}
