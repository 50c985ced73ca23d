//! The simulated exchange: order flow from a seed through matching engines, and the market data that comes of it.
//!
//! The content follows from the options and this crate's version alone, times and ids included. The pace is the
//! caller's: it takes the steps when their time has come ([`Pace`] says when).

mod draw;
mod exchange;
mod flow;
mod listings;
mod matching;
mod options;
mod pace;
pub mod stats;
mod symbol;

pub use exchange::{Exchange, SimEvent};
pub use listings::Listing;
pub use options::{RATES, SYMBOLS, SimOptions, SimUrlError};
pub use pace::{BEHIND_MAX_US, DEPTH_CADENCE_MS, Pace, STEPS_PER_TURN};
