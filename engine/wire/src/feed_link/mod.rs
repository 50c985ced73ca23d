//! The feed link: how an exchange feeds engines over a byte stream. Length-prefixed SBE, all numbers little-endian.
//!
//! | part | bytes |
//! |---|---|
//! | length | u32: bytes of what follows, 8 to [`MESSAGE_BYTES_MAX`] |
//! | header | blockLength u16, templateId u16, schemaId u16 ([`SCHEMA_ID`]), version u16 ([`LINK_VERSION`]) |
//! | root block | blockLength bytes: the fixed fields, below; what a later version adds at its end is passed over |
//! | groups | each: blockLength u16 (16), numInGroup u32, then blocks of price i64, qty i64 |
//! | text | length u16, then that many bytes of UTF-8, at most [`TEXT_BYTES_MAX`] |
//!
//! | template | root block | then |
//! |---|---|---|
//! | 1 engine hello | none | name |
//! | 2 hello | epoch u64, sequence u64, timeUs i64, heartbeatMs u32, symbols u32; 32 bytes | exchange |
//! | 3 symbol | index u32, depthCadenceMs u32, tickSize i64, lotSize i64, priceExponent i8, qtyExponent i8; 26 bytes | name |
//! | 4 book | symbol u32, timeUs i64, lastId u64; 20 bytes | bids, asks |
//! | 5 depth | sequence u64, timeUs i64, symbol u32, eventTimeUs i64, firstId u64, lastId u64; 44 bytes | bids, asks |
//! | 6 best bid/ask | sequence u64, timeUs i64, symbol u32, eventTimeUs i64 (the least i64: none), updateId u64, bid and ask as price i64, qty i64; 68 bytes | |
//! | 7 trade | sequence u64, timeUs i64, symbol u32, eventTimeUs i64, tradeTimeUs i64, id i64, price i64, qty i64, aggregateId i64, flags u8; 69 bytes | |
//! | 8 heartbeat | sequence u64, timeUs i64; 16 bytes | |
//! | 9 end | none | reason |
//!
//! A trade's flags: 1 the buyer is the maker, 2 best match, 4 the aggregate is known, 8 it is the aggregate's last.
//!
//! The engine says hello, the exchange answers with its own, its symbols in order and a book of each; from then on it
//! sends events. `sequence` counts them over all symbols without a gap and is the same for all engines; `timeUs` is the
//! exchange's time. A heartbeat names the last event's sequence.

mod decode;
mod encode;
mod reader;
mod session;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;

use depthcast_market::event::{BookSnapshot, MarketEvent};
use depthcast_market::instrument::{Instrument, InstrumentError};

pub use encode::{LinkEncodeError, encode, encode_book, encode_event};
pub use reader::LinkReader;
pub use session::{LinkSession, LinkSessionError, LinkStep};

/// The version that this codec writes, and the only one that it reads.
pub const LINK_VERSION: u16 = 1;

/// The schema of the feed link's messages.
pub const SCHEMA_ID: u16 = 9700;

/// The longest message: a book of half a million levels a side, ten times the deepest that is known.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The longest text: a name or a sentence.
pub const TEXT_BYTES_MAX: usize = 512;

/// The most symbols of one exchange: ten times those of the largest.
pub const SYMBOLS_MAX: u32 = 65_536;

/// Bytes of the message header.
const HEADER_LEN: usize = 8;

const TEMPLATE_ENGINE_HELLO: u16 = 1;
const TEMPLATE_HELLO: u16 = 2;
const TEMPLATE_SYMBOL: u16 = 3;
const TEMPLATE_BOOK: u16 = 4;
const TEMPLATE_DEPTH: u16 = 5;
const TEMPLATE_BEST: u16 = 6;
const TEMPLATE_TRADE: u16 = 7;
const TEMPLATE_HEARTBEAT: u16 = 8;
const TEMPLATE_END: u16 = 9;

const HELLO_BLOCK: u16 = 32;
const SYMBOL_BLOCK: u16 = 26;
const BOOK_BLOCK: u16 = 20;
const DEPTH_BLOCK: u16 = 44;
const BEST_BLOCK: u16 = 68;
const TRADE_BLOCK: u16 = 69;
const HEARTBEAT_BLOCK: u16 = 16;
const LEVEL_BLOCK: u16 = 16;

/// Stands for an event time that is not known.
const NO_TIME: i64 = i64::MIN;

const FLAG_BUYER_IS_MAKER: u8 = 1;
const FLAG_BEST_MATCH: u8 = 2;
const FLAG_AGGREGATE: u8 = 4;
const FLAG_LAST: u8 = 8;

/// A message of the feed link. Times are microseconds of the exchange's clock since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkMessage {
    /// The first thing an engine says.
    EngineHello {
        /// What it is, for people.
        name: String,
    },
    /// The exchange's answer.
    Hello {
        /// The number of its history; another after a restart.
        epoch: u64,
        /// The sequence of the last event before the books that follow.
        sequence: u64,
        /// Its time.
        time_us: i64,
        /// A message comes at least this often, milliseconds.
        heartbeat_ms: u32,
        /// How many symbols it has.
        symbols: u32,
        /// What it is, for people.
        exchange: String,
    },
    /// One of its symbols.
    Symbol {
        /// Its place, from 0.
        index: u32,
        /// Name, precision and filters.
        instrument: Instrument,
        /// How often its depth events come, milliseconds; 0 is each change.
        depth_cadence_ms: u32,
    },
    /// A symbol's whole book as of the hello's sequence.
    Book {
        /// The symbol's place.
        symbol: u32,
        /// The exchange's time.
        time_us: i64,
        /// Every level.
        snapshot: BookSnapshot,
    },
    /// Something happened; never a [`MarketEvent::Snapshot`].
    Event {
        /// One more than that of the event before.
        sequence: u64,
        /// The exchange's time.
        time_us: i64,
        /// The symbol's place.
        symbol: u32,
        /// What.
        event: MarketEvent,
    },
    /// Nothing happened.
    Heartbeat {
        /// The sequence of the last event.
        sequence: u64,
        /// The exchange's time.
        time_us: i64,
    },
    /// The exchange ends the link.
    End {
        /// Why, for people.
        reason: String,
    },
}

/// Why bytes are no feed link. The fault is the peer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The first bytes are nothing that a feed link begins with.
    #[error("the peer does not speak the feed link: it began with \"{began}\"")]
    NotALink {
        /// Its first bytes, what is not ASCII escaped.
        began: String,
    },
    /// Another version.
    #[error("the peer speaks version {theirs} of the feed link, and this program version {LINK_VERSION}")]
    Version {
        /// The peer's.
        theirs: u16,
    },
    /// A length outside its bounds, in the middle of a link.
    #[error("a feed-link message of {0} bytes, where {HEADER_LEN} to {MESSAGE_BYTES_MAX} are allowed")]
    Length(u32),
    /// Another schema's message, in the middle of a link.
    #[error("a feed-link message of schema {0} instead of {SCHEMA_ID}")]
    Schema(u16),
    /// A template that the schema does not have.
    #[error("a feed-link message of the unknown template {0}")]
    Template(u16),
    /// A message that is not what its template says.
    #[error("a malformed feed-link message of template {template}: {what}")]
    Malformed {
        /// The template.
        template: u16,
        /// The part at fault and what is wrong with it.
        what: &'static str,
    },
    /// A symbol that cannot be.
    #[error("the feed link names a symbol that cannot be: {0}")]
    Instrument(#[from] InstrumentError),
}
