//! Floor 1 of depthcast: everything that crosses a wire, as codecs that take bytes and give values. No sockets, no
//! clocks, no threads. Every codec is total: any bytes in, a value or a typed error out.
//!
//! - [`ws`]: WebSocket (RFC 6455) frames and messages, both roles;
//! - [`http`]: the HTTP upgrade, both roles;
//! - [`stream`]: stream names as `btcusdt@depth@100ms`; [`target`]: what a connection's URL asks for;
//! - [`control`]: SUBSCRIBE and the other requests inside a connection;
//! - [`json`]: market events as JSON, both ways; [`sbe`]: the same in Simple Binary Encoding.
//! - [`feed_link`]: what an exchange feeds engines with.

#![forbid(unsafe_code)]

pub mod control;
pub mod feed_link;
pub mod http;
pub mod json;
pub mod listing;
pub mod sbe;
pub mod stream;
pub mod target;
pub mod time_unit;
pub mod ws;
