//! Counts that threads share. Each has one writer side or is only added to; readers take them as they are.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the engine counts while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that are subscribed to something. A replay with `start=N` waits for it.
    pub subscribers: AtomicUsize,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections refused because a worker's table was full or the host had no descriptor left.
    pub refused: AtomicU64,
    /// Connections given up because they read too slowly.
    pub slow_consumers: AtomicU64,
    /// Subscriptions to symbols that the feed does not have.
    pub unknown_symbols: AtomicU64,
    /// Depth events that did not continue their book.
    pub feed_gaps: AtomicU64,
}

impl Counters {
    /// Adds one.
    pub fn bump(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
