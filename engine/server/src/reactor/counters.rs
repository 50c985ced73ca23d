//! Counts that threads share. Each has one writer, or is added to so rarely that it does not matter who does; readers take
//! them as they are.
//!
//! What workers count while they deliver is each worker's own, on cache lines that no other thread writes: the hot path
//! shares nothing, and whoever wants a sum makes it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::{OwnCount, SubscriberCount};
use crate::session::EndCause;

/// What the engine counts while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that are subscribed to something. A replay with `start=N` waits for it.
    pub(super) subscribers: SubscriberCount,
    /// Subscriptions to symbols that the feed does not have.
    pub unknown_symbols: AtomicU64,
    /// Connections of addresses that were not counted because the table of addresses was full.
    pub untracked_attempts: AtomicU64,
    /// Depth events of the feed.
    pub depth_events: AtomicU64,
    /// Depth events that did not continue their book.
    pub feed_gaps: AtomicU64,
    /// Events that a worker was told of later, in fewer, since it was behind: one for each channel and worker.
    pub(super) merged: AtomicU64,
    /// What the log was told or not told of conflations.
    pub(super) conflations_told: AtomicU64,
    /// The same of slow consumers that were closed.
    pub(super) slow_told: AtomicU64,
    workers: Box<[WorkerCounters]>,
}

/// What one worker counts; nobody else writes here. Two cache lines are kept together, since hosts fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// Connections it has now, without those that are being refused.
    pub(super) connections: OwnCount,
    /// Connections whose socket was full and that have not caught up since.
    pub(super) blocked: OwnCount,
    /// Whole frames that sockets took.
    pub(super) deliveries: OwnCount,
    /// Bytes that sockets took.
    pub(super) bytes: OwnCount,
    /// Conflations of connections that owed bytes for too long.
    pub(super) conflated_for_age: OwnCount,
    /// Conflations of connections that were further behind than is kept for them.
    pub(super) conflated_for_bytes: OwnCount,
    /// Connections accepted.
    pub(super) accepted: OwnCount,
    /// Connections refused because all tables were full or the host had no descriptor left.
    pub(super) refused: OwnCount,
    /// Connections that it has room for.
    pub(super) connections_max: OwnCount,
    /// 1 while it is full, else 0.
    pub(super) is_full: OwnCount,
    /// How often it became full.
    pub(super) became_full: OwnCount,
    /// How often the host refused it a descriptor to accept with.
    pub(super) starved: OwnCount,
    /// Connections that came to their end, by cause.
    pub(super) ended: [OwnCount; EndCause::ALL.len()],
}

/// One worker's table at about one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Connections in it, without those that are being refused.
    pub connections: u64,
    /// Connections that it has room for.
    pub connections_max: u64,
    /// Whether it is full.
    pub is_full: bool,
    /// How often it became full.
    pub became_full: u64,
    /// Connections it refused for want of room.
    pub refused: u64,
}

/// All counts at about one moment, those of the workers summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections there are.
    pub connections: u64,
    /// Those that are subscribed to something.
    pub subscribers: u64,
    /// Those whose socket was full and that have not caught up since.
    pub blocked: u64,
    /// Whole frames that sockets took, ever: market data, replies and pings. An HTTP answer counts as one.
    pub deliveries: u64,
    /// Bytes that sockets took, ever.
    pub bytes: u64,
    /// Conflations of connections that owed bytes for too long, ever.
    pub conflated_for_age: u64,
    /// Conflations of connections that were further behind than is kept for them, ever.
    pub conflated_for_bytes: u64,
    /// Connections accepted, ever.
    pub accepted: u64,
    /// Connections refused for want of room, ever.
    pub refused: u64,
    /// Workers there are.
    pub workers: u64,
    /// Those that are full.
    pub workers_full: u64,
    /// How often one became full, ever.
    pub became_full: u64,
    /// How often the host refused a descriptor to accept with, ever.
    pub starved: u64,
    /// Depth events of the feed, ever.
    pub depth_events: u64,
    /// Depth events that did not continue their book, ever.
    pub feed_gaps: u64,
    /// Events of streams that a worker was told of later, in fewer, since it was behind itself, ever.
    pub merged: u64,
    /// Connections that came to their end, ever, by [`EndCause::index`].
    pub ended: [u64; EndCause::ALL.len()],
}

impl Counters {
    /// Counters of an engine of so many workers.
    pub fn of_workers(workers: usize) -> Counters {
        Counters {
            workers: (0..workers).map(|_| WorkerCounters::default()).collect(),
            ..Counters::default()
        }
    }

    /// Those of worker number `index`, for it alone to write. Panics when there is no such worker.
    pub(super) fn worker(&self, index: usize) -> &WorkerCounters {
        &self.workers[index]
    }

    /// Adds one.
    pub fn bump(counter: &AtomicU64) {
        Counters::add(counter, 1);
    }

    /// Adds some.
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Says something the first time, and every thousandth time: what happens to many at once must not fill the log.
    pub(super) fn sampled(counter: &AtomicU64, say: impl FnOnce()) {
        if counter.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            say();
        }
    }

    /// How many connections came to their end for `cause`.
    pub fn ended(&self, cause: EndCause) -> u64 {
        self.sum(|worker| &worker.ended[cause.index()])
    }

    /// Everything.
    pub fn totals(&self) -> Totals {
        Totals {
            connections: self.sum(|worker| &worker.connections),
            subscribers: self.subscribers.get() as u64,
            blocked: self.sum(|worker| &worker.blocked),
            deliveries: self.sum(|worker| &worker.deliveries),
            bytes: self.sum(|worker| &worker.bytes),
            conflated_for_age: self.sum(|worker| &worker.conflated_for_age),
            conflated_for_bytes: self.sum(|worker| &worker.conflated_for_bytes),
            accepted: self.sum(|worker| &worker.accepted),
            refused: self.sum(|worker| &worker.refused),
            workers: self.workers.len() as u64,
            workers_full: self.sum(|worker| &worker.is_full),
            became_full: self.sum(|worker| &worker.became_full),
            starved: self.sum(|worker| &worker.starved),
            depth_events: self.depth_events.load(Ordering::Relaxed),
            feed_gaps: self.feed_gaps.load(Ordering::Relaxed),
            merged: self.merged.load(Ordering::Relaxed),
            ended: EndCause::ALL.map(|cause| self.ended(cause)),
        }
    }

    /// The tables of the workers, in the order of their numbers. Each has descriptors of its own, of which nothing outside the
    /// process shows more than the main thread's.
    pub fn tables(&self) -> Vec<Table> {
        let table = |worker: &WorkerCounters| Table {
            connections: worker.connections.get(),
            connections_max: worker.connections_max.get(),
            is_full: worker.is_full.get() > 0,
            became_full: worker.became_full.get(),
            refused: worker.refused.get(),
        };
        self.workers.iter().map(table).collect()
    }

    fn sum(&self, of: impl Fn(&WorkerCounters) -> &OwnCount) -> u64 {
        self.workers.iter().map(|worker| of(worker).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sums_of_what_each_worker_counts_on_lines_of_its_own() {
        let counters = Counters::of_workers(3);
        for (index, count) in [(0, 5), (1, 7), (2, 11)] {
            let worker = counters.worker(index);
            assert_eq!(std::ptr::from_ref(worker).addr() % 128, 0);
            worker.deliveries.set(count);
            worker.blocked.set(1);
            worker.ended[EndCause::Life.index()].add_one();
        }
        counters.worker(1).ended[EndCause::SlowConsumer.index()].add_one();
        Counters::bump(&counters.depth_events);
        let totals = counters.totals();
        assert_eq!(
            (totals.deliveries, totals.blocked, totals.depth_events),
            (23, 3, 1)
        );
        let ended: Vec<u64> = [EndCause::Life, EndCause::SlowConsumer, EndCause::Peer]
            .map(|cause| totals.ended[cause.index()])
            .to_vec();
        assert_eq!(ended, [3, 1, 0]);
    }
}
