//! The embedded simulated exchange: its steps, taken when their time has come.

use depthcast_feed_sim::sim::{DEPTH_CADENCE_MS, Exchange, Pace, STEPS_PER_TURN, SimEvent, SimOptions};
use depthcast_market::event::MarketEvent;

use super::{Beginning, FeedEnd, FeedLinks, MarketEnded, epoch_now};
use crate::os::clock::Clock;
use crate::reactor::messages::{FeedMessage, FeedSymbol, Position};

/// The feed of an exchange that is simulated in the engine itself.
#[derive(Debug)]
pub struct SimFeed {
    exchange: Exchange,
}

impl SimFeed {
    /// The feed of an exchange with these options.
    pub fn new(options: &SimOptions) -> SimFeed {
        SimFeed {
            exchange: Exchange::new(options),
        }
    }

    pub(super) fn symbols(&self) -> Vec<FeedSymbol> {
        self.exchange
            .listings()
            .iter()
            .map(|listing| FeedSymbol {
                instrument: listing.instrument.clone(),
                depth_cadence_ms: DEPTH_CADENCE_MS,
            })
            .collect()
    }

    pub(super) fn run(self, links: FeedLinks) -> FeedEnd {
        let symbols = self.symbols();
        let clock = Clock::start();
        let mut trading = Trading {
            pace: Pace::new(&self.exchange, clock.now_ns()),
            exchange: self.exchange,
            links,
            clock,
            steps: 0,
            events: Vec::new(),
        };
        // It has no end of its own: it was told to stop, or the market thread was.
        let (Ok(()) | Err(MarketEnded)) = trading.open(symbols).and_then(|()| trading.trade());
        FeedEnd::Stopped
    }
}

/// The exchange while it runs.
struct Trading {
    exchange: Exchange,
    links: FeedLinks,
    clock: Clock,
    pace: Pace,
    /// Steps taken, for messages.
    steps: u64,
    events: Vec<SimEvent>,
}

impl Trading {
    /// Announces the exchange and tells its books.
    fn open(&self, symbols: Vec<FeedSymbol>) -> Result<(), MarketEnded> {
        let count = symbols.len();
        self.links.begin_epoch(epoch_now(), symbols, Beginning::AtStart)?;
        for symbol in 0..count {
            self.tell(
                symbol,
                self.exchange.now_us(),
                MarketEvent::Snapshot(self.exchange.snapshot(symbol)),
            )?;
        }
        Ok(())
    }

    fn trade(&mut self) -> Result<(), MarketEnded> {
        while !self.links.is_stopped() {
            let now_us = self.now_us();
            let is_done = self.step_until(now_us)?;
            self.links.send(FeedMessage::Time(if is_done {
                now_us
            } else {
                self.exchange.now_us()
            }))?;
            if is_done {
                std::thread::sleep(Pace::wait(&self.exchange, now_us));
            }
        }
        Ok(())
    }

    /// Takes the steps that are due. False when there are more than one turn takes.
    fn step_until(&mut self, now_us: i64) -> Result<bool, MarketEnded> {
        for _ in 0..STEPS_PER_TURN {
            if self.exchange.next_us() > now_us {
                return Ok(true);
            }
            self.steps += 1;
            let mut events = std::mem::take(&mut self.events);
            self.exchange.step(&mut events);
            for SimEvent { symbol, at_us, event } in events.drain(..) {
                self.tell(symbol, at_us, event)?;
            }
            self.events = events;
        }
        Ok(false)
    }

    /// The exchange's time, after what a pause of the host has cost it.
    fn now_us(&mut self) -> i64 {
        let clock_ns = self.clock.now_ns();
        if let Some(behind_us) = self.pace.slip(&self.exchange, clock_ns) {
            tracing::warn!(
                behind_ms = behind_us / 1000,
                "the simulated exchange is slower than asked for: the machine is busy, or there are too many symbols"
            );
        }
        self.pace.now_us(clock_ns)
    }

    fn tell(&self, symbol: usize, at_us: i64, event: MarketEvent) -> Result<(), MarketEnded> {
        self.links.send(FeedMessage::Event {
            symbol,
            at_us,
            position: Position::Step(self.steps),
            event,
        })
    }
}
