//! The exchange's side of the feed link: a simulated exchange that feeds engines over TCP.
//!
//! One thread owns the exchange: it takes the steps that are due, encodes each event once and puts the bytes into the
//! outbox of every engine. Each connection has a thread of its own that awaits the engine's hello and then writes what
//! its outbox gets. No engine can hold up the exchange or another engine: whoever is too slow is ended.

mod outbox;
mod peer;
mod server;
mod trading;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use depthcast_wire::feed_link::{self, LinkMessage};

use crate::os::Clock;
use crate::sim::SimOptions;

pub use server::LinkServer;

/// Bytes of events that may wait for one engine: seconds of a thousand busy symbols. An engine that is further behind
/// is better served by new books.
pub const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Engines that one exchange feeds: each gets every byte, so more of them would be many cores' work.
pub const ENGINES_MAX: usize = 64;

/// How long a peer has to say its hello: engines say it at once.
pub const HELLO_MAX: Duration = Duration::from_secs(5);

/// A message comes at least this often.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// Why links end when the exchange does.
const STOPPED: &str = "the exchange ends";

/// How a link server is set up.
#[derive(Clone, Debug)]
pub struct LinkServerOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The exchange.
    pub sim: SimOptions,
    /// The number of its history: another for each start.
    pub epoch: u64,
    /// Bytes of events that may wait for one engine; the greeting does not count.
    pub queue_bytes_max: usize,
    /// Engines taken at a time.
    pub engines_max: usize,
    /// How long a peer has to say its hello.
    pub hello_max: Duration,
}

impl LinkServerOptions {
    /// Options with the usual limits.
    pub fn new(listen: SocketAddr, sim: SimOptions, epoch: u64) -> LinkServerOptions {
        LinkServerOptions {
            listen,
            sim,
            epoch,
            queue_bytes_max: QUEUE_BYTES_MAX,
            engines_max: ENGINES_MAX,
            hello_max: HELLO_MAX,
        }
    }
}

/// Why a link server did not start. The fault is the host's or the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum LinkServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the host says.
        source: io::Error,
    },
    /// A thread was refused.
    #[error("the host refuses a thread: {0}")]
    Thread(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has the port: stop it, or choose another with --listen 127.0.0.1:PORT"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another with --listen",
        io::ErrorKind::AddrNotAvailable => "; this host does not have that address",
        _ => "",
    }
}

/// What people may want to know of a running link server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// An engine is being fed.
    Came {
        /// Its address.
        peer: SocketAddr,
        /// What it calls itself, control characters escaped.
        name: String,
    },
    /// It is not any more.
    Went {
        /// Its address.
        peer: SocketAddr,
        /// What it calls itself, control characters escaped.
        name: String,
        /// Why.
        reason: String,
    },
    /// Whoever connected was not fed.
    Refused {
        /// Its address.
        peer: SocketAddr,
        /// What it did wrong.
        reason: String,
    },
}

/// What a link server counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Engines that are fed now.
    pub engines: usize,
    /// Events since the start: the sequence of the last one.
    pub events: u64,
    /// Peers that were refused.
    pub refused: u64,
}

/// What the threads of a server share.
#[derive(Debug)]
struct Shared {
    options: LinkServerOptions,
    clock: Clock,
    is_stopped: AtomicBool,
    engines: AtomicUsize,
    events: AtomicU64,
    refused: AtomicU64,
    news: Sender<LinkNews>,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Tells people, where they listen: news that nobody takes are dropped, the counters have them all.
    fn tell(&self, news: LinkNews) {
        let _ = self.news.try_send(news);
    }

    fn refuse(&self, peer: SocketAddr, reason: String) {
        tracing::warn!(%peer, reason, "a peer was refused");
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.tell(LinkNews::Refused { peer, reason });
    }
}

/// The message that ends a link.
fn end_message(reason: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let end = LinkMessage::End {
        reason: reason.into(),
    };
    feed_link::encode(&end, &mut out).expect("an end always fits");
    out
}
