//! The exchange's thread: steps when their time has come, each event encoded once for all engines.

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use depthcast_wire::feed_link::{self, LinkEncodeError, LinkMessage};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::outbox::Outbox;
use super::{HEARTBEAT, LinkNews, STOPPED, Shared};
use crate::sim::{DEPTH_CADENCE_MS, Exchange, Pace, STEPS_PER_TURN, SimEvent};

/// What the exchange calls itself.
const EXCHANGE: &str = concat!("feed-sim ", env!("CARGO_PKG_VERSION"));

/// The exchange while it runs.
pub(super) struct Trading {
    exchange: Exchange,
    shared: Arc<Shared>,
    joins: Receiver<Arc<Outbox>>,
    engines: Vec<Arc<Outbox>>,
    pace: Pace,
    /// Of the last event.
    sequence: u64,
    heartbeat_due_ns: u64,
    events: Vec<SimEvent>,
    /// What this turn has encoded.
    chunk: Vec<u8>,
}

impl Trading {
    pub(super) fn new(exchange: Exchange, shared: Arc<Shared>, joins: Receiver<Arc<Outbox>>) -> Trading {
        Trading {
            pace: Pace::new(&exchange, shared.clock.now_ns()),
            exchange,
            shared,
            joins,
            engines: Vec::new(),
            sequence: 0,
            heartbeat_due_ns: 0,
            events: Vec::new(),
            chunk: Vec::new(),
        }
    }

    /// Trades until it is told to stop. Why it cannot go on goes to `failure`; that is a bug.
    pub(super) fn run(mut self, failure: &Sender<String>) {
        while !self.shared.is_stopped() {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "the exchange cannot go on");
                // One failure is all there can be.
                let _ = failure.try_send(error.to_string());
                break;
            }
        }
        // Whatever still waits to join is ended by its own thread.
    }

    fn turn(&mut self) -> Result<(), LinkEncodeError> {
        self.admit()?;
        let now_us = self.now_us();
        let is_done = self.step_until(now_us)?;
        self.heartbeat(if is_done { now_us } else { self.exchange.now_us() })?;
        self.hand_out();
        if is_done {
            std::thread::sleep(Pace::wait(&self.exchange, now_us));
        }
        Ok(())
    }

    /// Greets the engines that wait. They get everything from the next event on.
    fn admit(&mut self) -> Result<(), LinkEncodeError> {
        self.engines.retain(|engine| engine.end_reason().is_none());
        let mut greeting = None;
        while let Ok(engine) = self.joins.try_recv() {
            if engine.end_reason().is_some() {
                // It was gone before its turn came.
                continue;
            }
            let engines_max = self.shared.options.engines_max;
            if self.engines.len() >= engines_max {
                engine.end(&format!(
                    "this exchange feeds {engines_max} engines already and takes no more"
                ));
                continue;
            }
            let greeting = match &greeting {
                Some(greeting) => greeting,
                None => greeting.insert(self.greeting()?),
            };
            let (peer, name) = (engine.peer(), engine.name().to_string());
            tracing::info!(%peer, name, sequence = self.sequence, "an engine is fed");
            // Its own thread counts it out again.
            self.shared.engines.fetch_add(1, Ordering::Relaxed);
            self.shared.tell(LinkNews::Came { peer, name });
            engine.admit(Bytes::clone(greeting));
            self.engines.push(engine);
        }
        Ok(())
    }

    /// Everything that an engine has to know before the next event: the exchange, its symbols and their books.
    fn greeting(&self) -> Result<Bytes, LinkEncodeError> {
        let mut out = Vec::new();
        let (listings, time_us) = (self.exchange.listings(), self.exchange.now_us());
        let hello = LinkMessage::Hello {
            epoch: self.shared.options.epoch,
            sequence: self.sequence,
            time_us,
            heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
            symbols: place(listings.len()),
            exchange: EXCHANGE.into(),
        };
        feed_link::encode(&hello, &mut out)?;
        for (index, listing) in listings.iter().enumerate() {
            let symbol = LinkMessage::Symbol {
                index: place(index),
                instrument: (*listing.instrument).clone(),
                depth_cadence_ms: DEPTH_CADENCE_MS,
            };
            feed_link::encode(&symbol, &mut out)?;
        }
        for symbol in 0..listings.len() {
            let book = self.exchange.snapshot(symbol);
            feed_link::encode_book(place(symbol), time_us, &book, &mut out)?;
        }
        Ok(out.into())
    }

    /// Takes the steps that are due. False when there are more than one turn takes.
    fn step_until(&mut self, now_us: i64) -> Result<bool, LinkEncodeError> {
        for _ in 0..STEPS_PER_TURN {
            if self.exchange.next_us() > now_us {
                return Ok(true);
            }
            self.exchange.step(&mut self.events);
            for SimEvent { symbol, at_us, event } in self.events.drain(..) {
                self.sequence += 1;
                if !self.engines.is_empty() {
                    let symbol = place(symbol);
                    feed_link::encode_event(self.sequence, at_us, symbol, &event, &mut self.chunk)?;
                }
            }
        }
        Ok(false)
    }

    fn heartbeat(&mut self, time_us: i64) -> Result<(), LinkEncodeError> {
        let now_ns = self.shared.clock.now_ns();
        if now_ns < self.heartbeat_due_ns {
            return Ok(());
        }
        self.heartbeat_due_ns = now_ns + u64::try_from(HEARTBEAT.as_nanos()).unwrap_or(u64::MAX / 2);
        let heartbeat = LinkMessage::Heartbeat {
            sequence: self.sequence,
            time_us,
        };
        feed_link::encode(&heartbeat, &mut self.chunk)
    }

    /// Gives what this turn has encoded to every engine. One that is too slow is ended by its outbox.
    fn hand_out(&mut self) {
        self.shared.events.store(self.sequence, Ordering::Relaxed);
        if self.chunk.is_empty() {
            return;
        }
        // A copy of its exact size: chunks may wait long, and the buffer is used again.
        let chunk = Bytes::copy_from_slice(&self.chunk);
        self.chunk.clear();
        self.engines.retain(|engine| engine.push(&chunk));
    }

    /// The exchange's time, after what a pause of the host has cost it.
    fn now_us(&mut self) -> i64 {
        let clock_ns = self.shared.clock.now_ns();
        if let Some(behind_us) = self.pace.slip(&self.exchange, clock_ns) {
            tracing::warn!(
                behind_ms = behind_us / 1000,
                "the simulated exchange is slower than asked for: the machine is busy, or there are too many symbols"
            );
        }
        self.pace.now_us(clock_ns)
    }
}

impl Drop for Trading {
    /// However the exchange ends, nobody is left without a word.
    fn drop(&mut self) {
        let reason = if self.shared.is_stopped() {
            STOPPED
        } else {
            "the exchange failed"
        };
        for engine in self.engines.iter().cloned().chain(self.joins.try_iter()) {
            engine.end(reason);
        }
    }
}

/// A symbol's place as the link has it; an exchange never lists as many as do not fit.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
