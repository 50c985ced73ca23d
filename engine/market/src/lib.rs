//! Floor 0 of depthcast: what a market *is*, without sockets, clocks or JSON.
//!
//! - [`decimal`]: exact fixed-point numbers, the only numbers a book knows;
//! - [`instrument`]: a symbol with its precision, tick and lot size;
//! - [`event`]: what a feed says (depth updates, best bid/ask, trades, snapshots);
//! - [`aggregate`]: trades to the aggregate trades of taker orders;
//! - [`interval`], [`candle`] and [`statistics`]: what is told of trades over a time;
//! - [`book`]: the versioned order book, which answers "what changed since id N";
//! - [`sync`]: the rules by which a subscriber joins a snapshot and a stream of updates.

pub mod aggregate;
pub mod book;
pub mod candle;
pub mod decimal;
pub mod event;
pub mod instrument;
pub mod interval;
pub mod statistics;
pub mod sync;
