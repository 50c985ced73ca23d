//! Market events as JSON, both ways: the payloads of the `@depth`, `@bookTicker` and `@trade` streams and the REST
//! depth body of Binance Spot (binance-spot-api-docs, `web-socket-streams.md` and `rest-api.md`). Aggregate trades,
//! statistics and heartbeats are only written.
//!
//! ```text
//! depth update  {"e":"depthUpdate","E":ms,"s":"BTCUSDT","U":first,"u":last,"b":[["price","qty"],…],"a":[…]}
//! partial depth {"lastUpdateId":id,"bids":[["price","qty"],…],"asks":[…]}        (and the REST depth body)
//! best bid/ask  {"u":id,"s":"BTCUSDT","b":"price","B":"qty","a":"price","A":"qty"}
//! trade         {"e":"trade","E":ms,"s":"BTCUSDT","t":id,"p":"price","q":"qty","T":ms,"m":bool,"M":bool}
//! aggregate     {"e":"aggTrade","E":ms,"s":"BTCUSDT","a":id,"p":"price","q":"qty","f":first,"l":last,"T":ms,"m":bool,"M":bool}
//! candlestick   {"e":"kline","E":ms,"s":"BTCUSDT","k":{"t":ms,"T":ms,"s":"BTCUSDT","i":"1m","f":first,"L":last,"o":"price",
//!                "c":…,"h":…,"l":…,"v":"qty","n":trades,"x":bool,"q":"quote qty","V":"qty","Q":"quote qty","B":"0"}}
//! 24 hours      {"e":"24hrMiniTicker","E":ms,"s":"BTCUSDT","c":"price","o":…,"h":…,"l":…,"v":"qty","q":"quote qty"}
//!               {"e":"24hrTicker","E":ms,"s":"BTCUSDT","p":"price","P":"percent","w":…,"x":…,"c":…,"Q":"qty","b":"price",
//!                "B":"qty","a":…,"A":…,"o":…,"h":…,"l":…,"v":…,"q":…,"O":ms,"C":ms,"F":first,"L":last,"n":trades}
//! average price {"e":"avgPrice","E":ms,"s":"BTCUSDT","i":"5m","w":"price","T":ms}
//! checksum      {"e":"bookChecksum","E":ms,"s":"BTCUSDT","u":id,"n":10,"c":crc}
//! heartbeat     {"e":"heartbeat","E":ms,"ep":epoch,"n":count}
//! combined      {"stream":"btcusdt@depth","data":<one of the above>}
//! ```
//!
//! - [`encode`] and [`statistics`] write them; [`decode`] reads them; [`rest`] and [`exchange_info`] write what REST alone has;
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
pub mod statistics;
pub mod symbol;
mod writer;

pub use decode::{Decoded, Decoder};
pub use error::JsonError;
pub use precision::Precision;
pub use symbol::Symbol;
