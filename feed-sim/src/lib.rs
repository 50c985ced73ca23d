//! Feeds of a market that is not live.
//!
//! - [`capture`]: recorded captures: what they hold, and their replay at any pace.
//! - [`link`]: a simulated exchange that feeds engines over TCP.
//! - [`os`]: the clocks.
//! - [`sim`]: a simulated exchange whose order flow follows from a seed.

#![forbid(unsafe_code)]

pub mod capture;
pub mod link;
pub mod os;
pub mod sim;
