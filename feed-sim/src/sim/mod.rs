//! The simulated exchange: order flow from a seed through matching engines, and the market data that comes of it.
//!
//! The content follows from the options and this crate's version alone, times and ids included. The pace is the
//! caller's: it takes the steps when their time has come.

mod exchange;
mod options;

pub use exchange::{Exchange, Listing, SimEvent};
pub use options::{RATES, SYMBOLS, SimOptions, SimUrlError};
