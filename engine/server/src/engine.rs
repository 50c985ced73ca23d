//! Assembly: a configuration in, running threads out, and their orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use depthcast_feed_sim::capture::{CaptureError, CaptureReader, Replay};
use depthcast_wire::target::LagPolicy;
use rustix::io::Errno;

use crate::admin;
use crate::admin::weights::WeightLimits;
use crate::config::{Config, FeedOptions};
use crate::fanout::FanoutLimits;
use crate::os::clock::Clock;
use crate::os::cpu;
use crate::os::net::{self, SocketBuffers};
use crate::os::{handoff, limits};
use crate::reactor::attempts::{AttemptLimits, Attempts};
use crate::reactor::counters::Counters;
use crate::reactor::feed::{
    BenchFeed, CaptureFeed, FEED_MESSAGES_MAX, FEED_NEWS_MAX, Feed, FeedEnd, FeedLinks, FeedNews, LinkFeed,
    LinkFeedError, SimFeed,
};
use crate::reactor::mailbox::Mailbox;
use crate::reactor::market::{Market, WhenBehind};
use crate::reactor::messages::{FeedSymbol, MarketRequest, WorkerMessage};
use crate::reactor::occupancy::Occupancy;
use crate::reactor::table::TableSize;
use crate::reactor::worker::{WorkerLinks, WorkerSettings};
use crate::session::{ECHO_MESSAGE_BYTES_MAX, SessionLimits, TICK_MS};
use crate::start::WorkerStart;
use crate::threads;

/// Requests that wait for the market thread at most; workers keep what does not fit, REST answers 503.
const MARKET_REQUESTS_MAX: usize = 4096;

/// How often `!heartbeat` comes.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Milliseconds from accepting to the end of the request's head.
const HANDSHAKE_MS: u32 = 10_000;

/// Milliseconds that a closing connection has for its goodbye.
const CLOSE_MS: u32 = 1_000;

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The capture is at fault.
    #[error("cannot replay: {0}")]
    Capture(#[from] CaptureError),
    /// What answers at a feed link's address is.
    #[error(transparent)]
    Link(#[from] LinkFeedError),
    /// The address is.
    #[error("cannot listen on {address}: {error}{}", hint(.error))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the host says.
        error: io::Error,
    },
    /// The host's limit of descriptors is.
    #[error("{limit} descriptors leave a worker no room for a connection: raise the limit (ulimit -n)")]
    Descriptors {
        /// What a table may hold.
        limit: u64,
    },
    /// The host is.
    #[error("the host refused what the engine needs: {0}")]
    Host(#[from] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has the port: stop it, or choose another with --listen 127.0.0.1:PORT"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: choose another with --listen",
        io::ErrorKind::AddrNotAvailable => "; this host does not have that address",
        _ if Errno::from_io_error(error) == Some(Errno::MFILE) => {
            "; raise the limit of descriptors (ulimit -n)"
        }
        _ => "",
    }
}

/// A running engine. Dropping it stops it at once.
pub struct Engine {
    address: SocketAddr,
    symbols: Vec<FeedSymbol>,
    counters: Arc<Counters>,
    connections_max: u64,
    stop_feed: Arc<AtomicBool>,
    end_at_once: Arc<AtomicBool>,
    workers: Vec<Mailbox<WorkerMessage>>,
    market: Sender<MarketRequest>,
    feed_news: Receiver<FeedNews>,
    feed_end: Receiver<FeedEnd>,
    failure: Receiver<String>,
    /// Workers first: the others end when those are gone.
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts all threads; returns once the port is open.
    pub fn start(config: &Config) -> Result<Engine, StartError> {
        let source = open_feed(&config.feed)?;
        let symbols = source.symbols();
        let counters = Arc::new(Counters::of_workers(config.workers));
        let (market, requests) = bounded(MARKET_REQUESTS_MAX);
        let (admin, handed_off) = handoff::pair()?;
        let end_at_once = Arc::new(AtomicBool::new(false));
        let settings = worker_settings(config, table_size(config)?);
        let links = WorkerLinks {
            market: market.clone(),
            counters: counters.clone(),
            clock: Clock::start(),
            attempts: Arc::new(Mutex::new(Attempts::new(settings.attempts))),
            occupancy: Arc::new(Occupancy::new(config.workers, settings.table.neighbours)),
            end_at_once: end_at_once.clone(),
        };
        let buffers = SocketBuffers {
            send: config.send_buffer,
            notsent_lowat: config.notsent_lowat,
        };
        let listeners = net::listen_together(config.listen, config.workers, buffers).map_err(|error| {
            StartError::Listen {
                address: config.listen,
                error,
            }
        })?;
        let address = listeners[0].local_addr()?;

        let (failed, failure) = bounded(1);
        let mut threads = Vec::new();
        let mut mailboxes = Vec::new();
        for index in 0..config.workers {
            let start = WorkerStart {
                index,
                settings: settings.clone(),
                links: links.clone(),
            };
            match start.run(&admin, &listeners, failed.clone()) {
                Ok(started) => {
                    threads.push(started.thread);
                    mailboxes.push(started.mailbox);
                }
                Err(error) => {
                    // An error leaves no thread behind.
                    end_at_once.store(true, Ordering::Relaxed);
                    threads.drain(..).for_each(|thread| drop(thread.join()));
                    return Err(error);
                }
            }
        }
        // The workers have copies of their own: with the last of which the admin thread ends, and the port is free again.
        drop((links, admin, listeners));
        let spawn = |name, run: Box<dyn FnOnce() + Send>| threads::spawn(name, failed.clone(), run);

        let (feed, feed_messages) = bounded(FEED_MESSAGES_MAX);
        let seconds = crossbeam_channel::tick(HEARTBEAT);
        let books = Market::new(
            requests,
            feed_messages,
            seconds,
            mailboxes.clone(),
            if config.feed.goes_on() {
                WhenBehind::Merge
            } else {
                WhenBehind::Wait
            },
            counters.clone(),
        );
        threads.push(spawn("market", Box::new(move || books.run()))?);
        let stop_feed = Arc::new(AtomicBool::new(false));
        let (news, feed_news) = bounded(FEED_NEWS_MAX);
        let feed_links = FeedLinks {
            market: feed,
            counters: counters.clone(),
            stop: stop_feed.clone(),
            news,
        };
        let (ended, feed_end) = bounded(1);
        threads.push(spawn(
            "feed",
            Box::new(move || {
                // Nobody waits for it once the engine is being dropped.
                let _ = ended.send(source.run(feed_links));
            }),
        )?);
        let asked = market.clone();
        let places = admin::places(limits::descriptor_limit(), config.workers);
        let weights = WeightLimits {
            weight_per_minute: config.weight_per_ip,
            loopback: config.weight_loopback,
        };
        threads.push(spawn(
            "admin",
            Box::new(move || {
                if let Err(error) = admin::run(handed_off, asked, places, weights) {
                    tracing::error!(%error, "the admin thread failed; REST is gone");
                }
            }),
        )?);
        Ok(Engine {
            address,
            symbols,
            counters,
            connections_max: u64::from(settings.table.connections) * config.workers as u64,
            stop_feed,
            end_at_once,
            workers: mailboxes,
            market,
            feed_news,
            feed_end,
            failure,
            threads,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its feed announced at the start; empty when it was not there yet.
    pub fn symbols(&self) -> &[FeedSymbol] {
        &self.symbols
    }

    /// How many connections it has room for.
    pub fn connections_max(&self) -> u64 {
        self.connections_max
    }

    /// What it counts.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Tells what people want to know of the feed. What is not taken is lost in time.
    pub fn feed_news(&self) -> &Receiver<FeedNews> {
        &self.feed_news
    }

    /// Tells once how the feed ended.
    pub fn feed_end(&self) -> &Receiver<FeedEnd> {
        &self.feed_end
    }

    /// Tells the name of a thread that failed. What it had is lost, and the engine should be ended.
    pub fn failure(&self) -> &Receiver<String> {
        &self.failure
    }

    /// Ends the engine: every connection is closed with 1001, after what it is owed or, with `at_once`, without it.
    /// Returns when all threads have ended.
    pub fn stop(mut self, at_once: bool) {
        self.end(at_once);
    }

    fn end(&mut self, at_once: bool) {
        self.stop_feed.store(true, Ordering::Relaxed);
        self.end_at_once.store(at_once, Ordering::Relaxed);
        if at_once {
            for worker in &self.workers {
                // One that has ended already needs no telling.
                let _ = worker.send(WorkerMessage::Stop { at_once });
            }
        }
        // Else the workers hear it from the market thread, behind the last frame: from here it would overtake frames.
        let _ = self.market.send(MarketRequest::Stop { at_once });
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine ended with a panic");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end(true);
    }
}

/// Opens the feed, which is not running yet.
fn open_feed(options: &FeedOptions) -> Result<Feed, StartError> {
    Ok(match options {
        FeedOptions::Capture(capture) => {
            let replay = Replay::new(CaptureReader::open(&capture.path)?, capture);
            Feed::Capture(Box::new(CaptureFeed::new(replay)))
        }
        FeedOptions::Sim(sim) => Feed::Sim(Box::new(SimFeed::new(sim))),
        FeedOptions::Bench(bench) => Feed::Bench(BenchFeed::new(bench)),
        FeedOptions::Links(addresses) => Feed::Link(Box::new(LinkFeed::open(addresses)?)),
    })
}

/// The places of each worker's table, as the configuration and the host allow them.
fn table_size(config: &Config) -> Result<TableSize, StartError> {
    let limit = limits::descriptor_limit();
    TableSize::plan(limit, config.workers, config.connections_per_worker).ok_or(StartError::Descriptors {
        limit: limit.unwrap_or(u64::MAX),
    })
}

fn worker_settings(config: &Config, table: TableSize) -> WorkerSettings {
    let ticks = |ms: u32| ms.div_ceil(TICK_MS);
    // A group's whole retention may have to move into a prefix when a member changes its streams; an echoed message is
    // a reply like any other.
    let prefix_bytes_max = 2 * config.retention_bytes
        + if config.echo {
            2 * ECHO_MESSAGE_BYTES_MAX
        } else {
            0
        };
    WorkerSettings {
        sharers: cpu::sharers(config.workers),
        fanout: FanoutLimits {
            retention_bytes: config.retention_bytes,
            prefix_bytes_max,
            lossless: config.feed.is_lossless(),
        },
        session: SessionLimits {
            handshake_ticks: ticks(HANDSHAKE_MS),
            ping_ticks: ticks(config.ping_ms),
            pong_ticks: ticks(config.pong_ms),
            lag_ticks: ticks(config.lag_ms),
            conflate_ticks: ticks(config.retention_ms),
            lag_policy: if config.feed.is_lossless() {
                LagPolicy::Evict
            } else {
                config.lag
            },
            close_ticks: ticks(CLOSE_MS),
            life_ticks: config.life_s * (1000 / TICK_MS),
            messages_per_second: config.messages_per_second,
            streams_max: config.streams_per_connection,
            attempts_per_ip: config.attempts_per_ip,
            attempts_window_s: config.attempts_window_s,
            echo: config.echo,
        },
        attempts: AttemptLimits {
            attempts: config.attempts_per_ip,
            window_ticks: config.attempts_window_s * (1000 / TICK_MS),
            loopback: config.attempts_loopback,
        },
        table,
    }
}
