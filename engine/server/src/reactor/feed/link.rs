//! A feed link: the market of an exchange that runs elsewhere, over TCP, with the way back to it when the link is lost.
//!
//! While the link is lost the books are stale and the market's time stands still. When it is back in the same history
//! the books are healed by their differences; in another one everything begins anew.

mod connection;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use depthcast_client::backoff::Backoff;
use depthcast_wire::feed_link::LinkStep;

use self::connection::{Announcement, Connection, Lost};
use super::{Beginning, FeedEnd, FeedLinks, FeedNews, MarketEnded, SLEEP_MAX};
use crate::os::clock::Clock;
use crate::reactor::messages::{FeedMessage, FeedSymbol, Position};

/// The bound of the first delay before a lost link is tried again; it doubles with each try that fails.
const RETRY_BASE: Duration = Duration::from_millis(200);

/// The bound that delays do not grow past: an exchange that is back is found within this.
const RETRY_CAP: Duration = Duration::from_secs(5);

/// A link that held this long was a good one: should it be lost, the tries begin with the shortest delay again.
const HELD_NS: u64 = 5_000_000_000;

/// Why a feed link was refused at the start of the engine. The fault is the feed's or the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum LinkFeedError {
    /// What answers is no exchange that this engine understands, or it refuses.
    #[error("--feed {reason}; `feed-sim serve` is what answers there rightly")]
    Refused {
        /// The address and what is wrong with it.
        reason: String,
    },
    /// Two feeds that do not carry the same market.
    #[error(
        "--feed tcp://{first} is in epoch {first_epoch} and --feed tcp://{other} in epoch {other_epoch}: \
         feeds of one engine must lead to the same exchange"
    )]
    Epochs {
        /// An address.
        first: String,
        /// The number of its history.
        first_epoch: u64,
        /// Another.
        other: String,
        /// The number of its history.
        other_epoch: u64,
    },
}

/// The feed of one or more feed links to the same exchange.
#[derive(Debug)]
pub struct LinkFeed {
    addresses: Vec<String>,
    /// The link that was made at the start.
    first: Option<Connection>,
}

impl LinkFeed {
    /// Looks for the exchange at all addresses. One that is not there is no error: it is tried again once the feed runs.
    pub fn open(addresses: &[String]) -> Result<LinkFeed, LinkFeedError> {
        let mut first: Option<Connection> = None;
        let never = AtomicBool::new(false);
        // All at once, so that those that are not there do not add up.
        let opened: Vec<Result<Connection, Lost>> = std::thread::scope(|scope| {
            let open = |address| Connection::open(address, &never);
            let tries: Vec<_> = addresses
                .iter()
                .map(|address| scope.spawn(move || open(address)))
                .collect();
            tries
                .into_iter()
                .map(|opened| {
                    opened.join().unwrap_or_else(|_| {
                        Err(Lost::Away {
                            reason: "a bug".into(),
                        })
                    })
                })
                .collect()
        });
        for (address, opened) in addresses.iter().zip(opened) {
            let connection = match opened {
                Ok(connection) => connection,
                Err(lost @ Lost::Away { .. }) => {
                    tracing::warn!(address, reason = %lost, "a feed is not there yet");
                    continue;
                }
                Err(Lost::Refused { reason }) => {
                    return Err(LinkFeedError::Refused { reason });
                }
            };
            match &first {
                None => first = Some(connection),
                Some(first) if first.epoch() != connection.epoch() => {
                    return Err(LinkFeedError::Epochs {
                        first: first.address().into(),
                        first_epoch: first.epoch(),
                        other: address.clone(),
                        other_epoch: connection.epoch(),
                    });
                }
                // A way that works is enough; the others are tried when it fails.
                Some(_) => {}
            }
        }
        Ok(LinkFeed {
            addresses: addresses.to_vec(),
            first,
        })
    }

    pub(super) fn symbols(&self) -> Vec<FeedSymbol> {
        self.first
            .as_ref()
            .map_or_else(Vec::new, |connection| feed_symbols(connection.announcement()))
    }

    pub(super) fn run(self, links: FeedLinks) -> FeedEnd {
        let mut follower = Follower {
            addresses: self.addresses,
            links,
            clock: Clock::start(),
            backoff: Backoff::new(RETRY_BASE, RETRY_CAP),
            announced: None,
            market: MarketTime::default(),
            is_away: false,
        };
        // It has no end of its own: it was told to stop, or the market thread was.
        let (Ok(()) | Err(MarketEnded)) = follower.follow(self.first);
        FeedEnd::Stopped
    }
}

fn feed_symbols(announcement: &Announcement) -> Vec<FeedSymbol> {
    announcement
        .symbols
        .iter()
        .map(|(instrument, depth_cadence_ms)| FeedSymbol {
            instrument: Arc::new(instrument.clone()),
            depth_cadence_ms: *depth_cadence_ms,
        })
        .collect()
}

/// The exchange's time as far as it is known: told by messages, and going on with the clock in between. It never goes
/// back, though messages are not all equally long on their way.
#[derive(Debug, Default)]
struct MarketTime {
    /// The newest time that was told, and what the clock read then; none while the link is lost.
    told: Option<(i64, u64)>,
    /// What was passed on last.
    passed_us: i64,
}

impl MarketTime {
    /// The exchange told its time. Gives the time to pass on.
    fn on_told(&mut self, at_us: i64, clock_ns: u64) -> i64 {
        self.told = Some((at_us, clock_ns));
        self.passed_us = self.passed_us.max(at_us);
        self.passed_us
    }

    /// The time now; None while the link is lost.
    fn now_us(&mut self, clock_ns: u64) -> Option<i64> {
        let (told_us, at_ns) = self.told?;
        let since_us = i64::try_from(clock_ns.saturating_sub(at_ns) / 1000).unwrap_or(0);
        self.passed_us = self.passed_us.max(told_us.saturating_add(since_us));
        Some(self.passed_us)
    }
}

/// Follows the exchange while the engine runs.
struct Follower {
    addresses: Vec<String>,
    links: FeedLinks,
    clock: Clock,
    backoff: Backoff,
    /// What was announced last: the history that the books are in.
    announced: Option<Announcement>,
    market: MarketTime,
    /// People have been told that the exchange is not there.
    is_away: bool,
}

impl Follower {
    fn follow(&mut self, first: Option<Connection>) -> Result<(), MarketEnded> {
        let mut next = first;
        while !self.links.is_stopped() {
            let lost = match next.take().map_or_else(|| self.connect(), Ok) {
                Ok(connection) => self.receive(connection)?,
                Err(lost) => lost,
            };
            if !self.links.is_stopped() {
                self.wait_after(&lost);
            }
        }
        Ok(())
    }

    /// Tries each address once. Of several that answer, the one that goes on with our history is taken.
    fn connect(&self) -> Result<Connection, Lost> {
        let mut other: Option<Connection> = None;
        let mut lost = None;
        for address in &self.addresses {
            if self.links.is_stopped() {
                break;
            }
            match Connection::open(address, &self.links.stop) {
                Ok(connection) if self.goes_on(&connection) => {
                    if let Some(other) = other {
                        tracing::error!(
                            feed = other.address(),
                            epoch = other.epoch(),
                            ours = connection.epoch(),
                            "a feed carries another history than the one in use, and is passed over"
                        );
                    }
                    return Ok(connection);
                }
                Ok(connection) => other = other.or(Some(connection)),
                Err(error) => {
                    tracing::debug!(address, %error, "a feed is not there");
                    lost = lost.or(Some(error));
                }
            }
        }
        match (other, lost) {
            (Some(connection), _) => Ok(connection),
            (None, Some(lost)) => Err(lost),
            (None, None) => Err(Lost::Away {
                reason: "the engine ends".into(),
            }),
        }
    }

    fn goes_on(&self, connection: &Connection) -> bool {
        self.announced
            .as_ref()
            .is_none_or(|ours| ours.epoch == connection.epoch())
    }

    /// Passes on what a link says until it is lost.
    fn receive(&mut self, mut connection: Connection) -> Result<Lost, MarketEnded> {
        if let Err(lost) = self.announce(connection.announcement())? {
            return Ok(lost);
        }
        let mut steps = VecDeque::new();
        let begun_ns = self.clock.now_ns();
        let faults = self.faults();
        while !self.links.is_stopped() {
            if self.clock.now_ns() - begun_ns > HELD_NS {
                self.backoff.reset();
            }
            if self.faults() != faults {
                // Only another connection brings another book.
                let reason = format!("tcp://{}: a book does not fit its feed", connection.address());
                self.break_off(&reason)?;
                return Ok(Lost::Refused { reason });
            }
            let received = connection.receive(SLEEP_MAX, &mut steps);
            let now_ns = self.clock.now_ns();
            let is_quiet = steps.is_empty();
            for step in steps.drain(..) {
                if let Some(reason) = self.pass_on(step, now_ns)? {
                    let address = connection.address();
                    let reason = format!("tcp://{address} ended the link: {reason}");
                    self.break_off(&reason)?;
                    return Ok(Lost::Away { reason });
                }
            }
            if let Err(lost) = received {
                self.break_off(&lost.to_string())?;
                return Ok(lost);
            }
            if is_quiet && let Some(at_us) = self.market.now_us(now_ns) {
                self.links.send(FeedMessage::Time(at_us))?;
            }
        }
        connection.close();
        Ok(Lost::Away {
            reason: "the engine ends".into(),
        })
    }

    /// How often an event did not fit its book.
    fn faults(&self) -> u64 {
        self.links.counters.feed_gaps.load(Ordering::Relaxed)
    }

    /// Begins a history, or goes on with the one that the books are in.
    fn announce(&mut self, announcement: &Announcement) -> Result<Result<(), Lost>, MarketEnded> {
        if let Some(ours) = self
            .announced
            .as_ref()
            .filter(|ours| ours.epoch == announcement.epoch)
        {
            return Ok(if ours.symbols == announcement.symbols {
                Ok(())
            } else {
                Err(Lost::Refused {
                    reason: format!("the feed has other symbols than before in epoch {}", ours.epoch),
                })
            });
        }
        let beginning = match (&self.announced, std::mem::take(&mut self.is_away)) {
            (Some(_), _) => Beginning::Anew,
            (None, true) => Beginning::Late,
            (None, false) => Beginning::AtStart,
        };
        self.announced = Some(announcement.clone());
        // Another exchange's time may be earlier.
        self.market = MarketTime::default();
        self.links
            .begin_epoch(announcement.epoch, feed_symbols(announcement), beginning)?;
        Ok(Ok(()))
    }

    /// Passes one step on. Gives the exchange's reason when that ends the link.
    fn pass_on(&mut self, step: LinkStep, now_ns: u64) -> Result<Option<String>, MarketEnded> {
        match step {
            LinkStep::Announced { .. } => {}
            LinkStep::Book {
                symbol,
                time_us,
                snapshot,
            } => {
                let at_us = self.market.on_told(time_us, now_ns);
                self.links.send(FeedMessage::Event {
                    symbol: symbol as usize,
                    at_us,
                    position: Position::Sequence(0),
                    event: depthcast_market::event::MarketEvent::Snapshot(snapshot),
                })?;
            }
            LinkStep::Ready => {
                if std::mem::take(&mut self.is_away) {
                    self.links.tell(FeedNews::Back);
                }
            }
            LinkStep::Event {
                symbol,
                sequence,
                time_us,
                event,
            } => {
                let at_us = self.market.on_told(time_us, now_ns);
                self.links.send(FeedMessage::Event {
                    symbol: symbol as usize,
                    at_us,
                    position: Position::Sequence(sequence),
                    event,
                })?;
            }
            LinkStep::Heartbeat { time_us } => {
                let at_us = self.market.on_told(time_us, now_ns);
                self.links.send(FeedMessage::Time(at_us))?;
            }
            LinkStep::Ended { reason } => return Ok(Some(reason)),
        }
        Ok(None)
    }

    /// The link is lost: no book can be trusted, and time stands still.
    fn break_off(&mut self, reason: &str) -> Result<(), MarketEnded> {
        self.market.told = None;
        self.links.send(FeedMessage::Break {
            reason: reason.to_string(),
        })
    }

    /// Waits before the next try.
    fn wait_after(&mut self, lost: &Lost) {
        let delay = self.backoff.next_delay();
        if !std::mem::replace(&mut self.is_away, true) {
            self.links.tell(FeedNews::Away {
                reason: lost.to_string(),
                retry_in: delay,
            });
        }
        tracing::info!(%lost, ?delay, "the feed link is tried again");
        let until_ns = self.clock.now_ns() + u64::try_from(delay.as_nanos()).unwrap_or(0);
        while !self.links.is_stopped() && self.clock.now_ns() < until_ns {
            std::thread::sleep(SLEEP_MAX);
        }
    }
}
