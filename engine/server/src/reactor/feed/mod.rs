//! Feeds: where the market comes from. Each runs on a thread of its own and tells the market thread what happens.

mod bench;
mod capture;
mod link;
mod sim;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::counters::Counters;
use super::messages::{FeedMessage, FeedSymbol};
use crate::os::clock;

pub use bench::{BenchFeed, BenchOptions, BenchUrlError};
pub use capture::{CaptureFeed, feed_symbols};
pub use link::{LinkFeed, LinkFeedError};
pub use sim::SimFeed;

/// Messages that wait for the market thread at most: bursts of a busy feed, and little enough memory that a replay at
/// full speed stays close to what its subscribers have taken.
pub const FEED_MESSAGES_MAX: usize = 1024;

/// News that wait for whoever tells them to people; what does not fit is in the log only.
pub const FEED_NEWS_MAX: usize = 64;

/// The longest sleep of a feed: every cadence of a quiet market still ticks on time, the shortest being 10 ms.
const SLEEP_MAX: Duration = Duration::from_millis(5);

/// How a feed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEnd {
    /// Its market stands still from now on.
    Hold,
    /// The engine is to end: everything was played.
    Exit,
    /// It broke; the engine goes on without it.
    Failed,
    /// The engine ends.
    Stopped,
}

/// What came before a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing: the feed was there when the engine started.
    AtStart,
    /// Nothing, but the engine has waited for it.
    Late,
    /// Another history: subscribers were closed, to begin anew.
    Anew,
}

/// What people want to know of a feed while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedNews {
    /// A history begins.
    Began {
        /// Its number.
        epoch: u64,
        /// How many symbols it has.
        symbols: usize,
        /// What came before it.
        beginning: Beginning,
    },
    /// It is not there, and will be tried again: books are stale.
    Away {
        /// Why, and which feed.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It is back, with the history that it had: books are healed.
    Back,
}

/// The number of a history that begins now and here: later ones have higher numbers, also those of a restarted engine.
/// It stays below 2^53, which is as far as JSON's readers are exact, for two more centuries.
fn epoch_now() -> u64 {
    u64::try_from(clock::wall_us()).unwrap_or(0)
}

/// A feed's way to the rest of the engine.
#[derive(Clone, Debug)]
pub struct FeedLinks {
    /// To the market thread.
    pub market: Sender<FeedMessage>,
    /// Counts for everybody.
    pub counters: Arc<Counters>,
    /// Set when the feed is to end.
    pub stop: Arc<AtomicBool>,
    /// News for people.
    pub news: Sender<FeedNews>,
}

/// The market thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MarketEnded;

impl FeedLinks {
    fn send(&self, message: FeedMessage) -> Result<(), MarketEnded> {
        self.market.send(message).map_err(|_| MarketEnded)
    }

    fn begin_epoch(
        &self,
        epoch: u64,
        symbols: Vec<FeedSymbol>,
        beginning: Beginning,
    ) -> Result<(), MarketEnded> {
        self.tell(FeedNews::Began {
            epoch,
            symbols: symbols.len(),
            beginning,
        });
        self.send(FeedMessage::Epoch { id: epoch, symbols })
    }

    fn tell(&self, news: FeedNews) {
        // What nobody reads may be lost.
        let _ = self.news.try_send(news);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Any of the feeds.
pub enum Feed {
    /// A recorded market.
    Capture(Box<CaptureFeed>),
    /// The embedded simulated exchange.
    Sim(Box<SimFeed>),
    /// A feed link.
    Link(Box<LinkFeed>),
    /// Frames of a fixed size, for measuring.
    Bench(BenchFeed),
}

impl Feed {
    /// What it has announced so far; empty when it is not there yet.
    pub fn symbols(&self) -> Vec<FeedSymbol> {
        match self {
            Feed::Capture(feed) => feed.symbols(),
            Feed::Sim(feed) => feed.symbols(),
            Feed::Link(feed) => feed.symbols(),
            Feed::Bench(feed) => feed.symbols(),
        }
    }

    /// Runs to its end or until told to stop; to be run on a thread of its own.
    pub fn run(self, links: FeedLinks) -> FeedEnd {
        match self {
            Feed::Capture(feed) => feed.run(links),
            Feed::Sim(feed) => feed.run(links),
            Feed::Link(feed) => feed.run(links),
            Feed::Bench(feed) => feed.run(&links),
        }
    }
}
