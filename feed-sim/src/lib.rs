//! Feeds of a market that is not live.
//!
//! - [`capture`]: recorded captures: what they hold, and their replay at any pace.

#![forbid(unsafe_code)]

pub mod capture;
