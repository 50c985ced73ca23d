//! The feed thread: plays a capture to the market thread at its pace, and keeps the market's time going in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use depthcast_feed_sim::capture::{CaptureHead, Finish, Next, Record, Replay};
use depthcast_wire::json::Symbol;

use super::{Beginning, FeedEnd, FeedLinks, MarketEnded, SLEEP_MAX, epoch_now};
use crate::os::clock::Clock;
use crate::reactor::messages::{FeedMessage, FeedSymbol, Position};

/// How long the market's time goes on after the last record, in recorded time: past the next tick of every cadence.
const AFTERWARDS_US: i64 = 1_100_000;

/// Recorded time that passes at a step after the last record.
const AFTERWARDS_STEP_US: i64 = 10_000;

/// How often a symbol's depth is assumed to come where no stream of the capture tells: at least as often as any cadence.
const CADENCE_UNKNOWN_MS: u32 = 0;

/// The feed of a recorded market.
pub struct CaptureFeed {
    replay: Replay,
}

impl CaptureFeed {
    /// A feed that plays `replay` until its end.
    pub fn new(replay: Replay) -> CaptureFeed {
        CaptureFeed { replay }
    }

    pub(super) fn symbols(&self) -> Vec<FeedSymbol> {
        feed_symbols(self.replay.head())
    }

    pub(super) fn run(self, links: FeedLinks) -> FeedEnd {
        let player = Player {
            replay: self.replay,
            links,
            clock: Clock::start(),
            symbols: HashMap::new(),
            market_us: None,
            epoch: 0,
        };
        player.run()
    }
}

/// A capture while it is played.
struct Player {
    replay: Replay,
    links: FeedLinks,
    clock: Clock,
    symbols: HashMap<Symbol, usize>,
    /// The market's time, microseconds: that of the last record, or later. None before the first record of an epoch.
    market_us: Option<i64>,
    /// The number of the history that is being played.
    epoch: u64,
}

impl Player {
    fn run(mut self) -> FeedEnd {
        self.play().unwrap_or(FeedEnd::Stopped)
    }

    fn play(&mut self) -> Result<FeedEnd, MarketEnded> {
        self.begin_epoch()?;
        while !self.links.is_stopped() {
            let now_ns = self.clock.now_ns();
            match self.replay.poll(now_ns) {
                Ok(Next::Record(record)) => self.pass_on(record)?,
                Ok(Next::Wait(until_ns)) => {
                    std::thread::sleep(Duration::from_nanos(until_ns - now_ns).min(SLEEP_MAX));
                    self.tell_time()?;
                }
                Ok(Next::AwaitSubscribers(_)) => {
                    std::thread::sleep(SLEEP_MAX);
                    // What its subscribers have asked of the market thread comes before the first record.
                    let subscribers = self.links.counters.subscribers.get();
                    self.replay
                        .note_subscribers(u32::try_from(subscribers).unwrap_or(u32::MAX));
                }
                Ok(Next::Rewound { epoch }) => {
                    tracing::info!(epoch, "the capture starts over");
                    self.let_last_ticks_come()?;
                    self.begin_epoch()?;
                }
                Ok(Next::End(finish)) => {
                    self.let_last_ticks_come()?;
                    return Ok(match finish {
                        Finish::Hold => FeedEnd::Hold,
                        Finish::Exit => FeedEnd::Exit,
                        Finish::Failed => FeedEnd::Failed,
                    });
                }
                Err(error) => {
                    let reason = error.to_string();
                    tracing::error!(%reason, "the feed broke: its books are stale until their next snapshots");
                    self.links.send(FeedMessage::Break { reason })?;
                }
            }
        }
        Ok(FeedEnd::Stopped)
    }

    fn begin_epoch(&mut self) -> Result<(), MarketEnded> {
        let symbols = feed_symbols(self.replay.head());
        self.symbols = symbols
            .iter()
            .enumerate()
            .filter_map(|(index, symbol)| Some((Symbol::new(symbol.instrument.name())?, index)))
            .collect();
        let beginning = match self.epoch {
            0 => Beginning::AtStart,
            _ => Beginning::Anew,
        };
        self.epoch = epoch_now().max(self.epoch + 1);
        self.links.begin_epoch(self.epoch, symbols, beginning)
    }

    fn pass_on(&mut self, record: Record) -> Result<(), MarketEnded> {
        let Some(&symbol) = self.symbols.get(&record.symbol) else {
            tracing::warn!(
                symbol = record.symbol.as_str(),
                line = record.line_number,
                "a symbol that the first part of the capture does not have is passed over"
            );
            return Ok(());
        };
        let at_us = micros(record.at_ns);
        self.market_us = Some(at_us);
        self.links.send(FeedMessage::Event {
            symbol,
            at_us,
            position: Position::Line(record.line_number),
            event: record.event,
        })
    }

    fn tell_time(&mut self) -> Result<(), MarketEnded> {
        match self.replay.recorded_now_ns(self.clock.now_ns()) {
            Some(recorded_ns) => {
                let at_us = micros(recorded_ns);
                self.market_us = Some(at_us);
                self.links.send(FeedMessage::Time(at_us))
            }
            None => Ok(()),
        }
    }

    /// Lets the cadences that wait for a tick have it, then leaves the market's time standing.
    fn let_last_ticks_come(&mut self) -> Result<(), MarketEnded> {
        let Some(last_us) = self.market_us.take() else {
            return Ok(());
        };
        let mut at_us = last_us;
        while at_us < last_us + AFTERWARDS_US {
            at_us += AFTERWARDS_STEP_US;
            self.links.send(FeedMessage::Time(at_us))?;
        }
        Ok(())
    }
}

/// The symbols of a capture as a feed announces them.
pub fn feed_symbols(head: &CaptureHead) -> Vec<FeedSymbol> {
    head.symbols
        .iter()
        .map(|symbol| FeedSymbol {
            instrument: Arc::new(symbol.instrument.clone()),
            depth_cadence_ms: symbol.depth_cadence_ms.unwrap_or(CADENCE_UNKNOWN_MS),
        })
        .collect()
}

fn micros(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}
