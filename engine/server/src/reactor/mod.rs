//! The threads and what crosses between them: workers that own connections, the market thread that owns books, the feed
//! thread that reads a market, and the bounded mailboxes by which they reach each other.
//!
//! ```text
//! feed thread --FeedMessage--> market thread --Batch--> worker threads --bytes--> subscribers
//!                                   ^  ^----MarketRequest----'
//!                                   '-------MarketRequest---- admin thread
//! ```

pub mod acceptor;
pub mod attempts;
pub mod counters;
pub mod feed;
mod joins;
pub mod mailbox;
pub mod market;
pub mod messages;
pub mod occupancy;
pub mod questions;
pub mod table;
pub mod worker;

mod connections;
mod delivery;
mod episode;
mod footprint;
#[cfg(test)]
mod machine;
mod owner;
mod shared;
mod socket;
mod topics;

/// The atomics that [`shared`] is written over.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
}
