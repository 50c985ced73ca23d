//! The engine's WebSocket against RFC 6455, by exact bytes on real sockets: what the well-known conformance suite of the
//! Autobahn project asks, section by section, derived anew from the RFC, and some more. `/echo` returns every message.

#[path = "../common/mod.rs"]
pub mod common;

mod closing;
mod echo;
mod flood;
mod frames;
mod sizes;
mod text;
