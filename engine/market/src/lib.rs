//! Floor 0 of depthcast: what a market *is*, without sockets, clocks or JSON.
//!
//! - [`decimal`]: exact fixed-point numbers, the only numbers a book knows; [`wide`]: sums and products of them;
//! - [`instrument`]: a symbol with its precision, tick and lot size;
//! - [`event`]: what a feed says (depth updates, best bid/ask, trades, snapshots);
//! - [`aggregate`]: trades to the aggregate trades of taker orders;
//! - [`interval`], [`candle`], [`series`]: when candlesticks begin and end, one of them, and those of a symbol;
//! - [`statistics`], [`window`]: what is said of the trades of 24 hours and of five minutes, and how such a time moves along;
//! - [`record`]: all that is kept of the trades of a symbol; [`limits`] how much of it;
//! - [`book`]: the versioned order book, which answers "what changed since id N";
//! - [`checksum`]: a number by which a subscriber tells whether its book is right;
//! - [`sync`]: the rules by which a subscriber joins a snapshot and a stream of updates.

pub mod aggregate;
pub mod book;
pub mod candle;
pub mod checksum;
pub mod decimal;
pub mod event;
pub mod instrument;
pub mod interval;
pub mod limits;
pub mod record;
pub mod series;
pub mod statistics;
pub mod sync;
pub mod wide;
pub mod window;
