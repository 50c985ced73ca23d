//! Market events as JSON, both ways: the payloads of the `@depth`, `@bookTicker` and `@trade` streams and the REST
//! depth body of Binance Spot (binance-spot-api-docs, `web-socket-streams.md` and `rest-api.md`). Aggregate trades and
//! heartbeats are only written.
//!
//! ```text
//! depth update  {"e":"depthUpdate","E":ms,"s":"BTCUSDT","U":first,"u":last,"b":[["price","qty"],…],"a":[…]}
//! partial depth {"lastUpdateId":id,"bids":[["price","qty"],…],"asks":[…]}        (and the REST depth body)
//! best bid/ask  {"u":id,"s":"BTCUSDT","b":"price","B":"qty","a":"price","A":"qty"}
//! trade         {"e":"trade","E":ms,"s":"BTCUSDT","t":id,"p":"price","q":"qty","T":ms,"m":bool,"M":bool}
//! aggregate     {"e":"aggTrade","E":ms,"s":"BTCUSDT","a":id,"p":"price","q":"qty","f":first,"l":last,"T":ms,"m":bool,"M":bool}
//! heartbeat     {"e":"heartbeat","E":ms,"ep":epoch,"n":count}
//! combined      {"stream":"btcusdt@depth","data":<one of the above>}
//! ```
//!
//! - [`encode`] writes them; [`decode`] reads them; [`rest`] and [`exchange_info`] write what REST alone has;
//! - [`precision`] learns an instrument's exponents from the decimals an event prints;
//! - [`symbol`] is the instrument's name in a decoded event; [`error`] says what was wrong with a frame.

mod decimal_text;
pub mod decode;
pub mod encode;
pub mod error;
pub mod exchange_info;
mod fields;
mod levels;
pub mod precision;
pub mod rest;
#[cfg(test)]
mod rest_tests;
pub mod symbol;
mod wide;

pub use decode::{Decoded, Decoder};
pub use error::JsonError;
pub use precision::Precision;
pub use symbol::Symbol;
