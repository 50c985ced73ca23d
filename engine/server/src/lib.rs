//! depthcast: an exchange's feed in, every order book kept, order-book deltas out over WebSocket.
//!
//! The floors, ground first; each imports only from those above it in this list: [`mem`], [`os`], [`fanout`],
//! [`session`], [`reactor`], [`admin`], and the root (flags, configuration, assembly).

pub mod admin;
pub mod config;
pub mod engine;
pub mod fanout;
pub mod mem;
pub mod os;
pub mod reactor;
pub mod session;
mod start;
pub mod stats;
mod threads;
pub mod watch;
