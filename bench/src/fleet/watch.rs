//! One depth stream of one connection, watched: when what was asked for came, whether every event continues the one before,
//! and how late it was.

use std::collections::BTreeSet;

use depthcast_wire::stream::{Cadence, StreamName};
use depthcast_wire::ws::{Opcode, WsError};
use hdrhistogram::Histogram;

use super::counts::latencies;
use super::head::{self, HEAD_BYTES, Head};
use super::moments::Moments;
use super::scan::{HeadScanner, Sink};

/// Different bodies that are told apart: as many as a process has connections. What comes past it is in none.
const BODIES_MAX: usize = 18_000;

/// With what a connection's events begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing was asked for.
    None,
    /// A snapshot, and then the event that continues it.
    Snapshot,
    /// Any event.
    Next,
    /// The event that continues this id.
    After(u64),
}

/// What is awaited of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// Only the answers to its requests.
    Answers,
    Snapshot,
    /// The event behind its snapshot.
    Continuation,
    /// Its first event.
    First,
    /// The event after the one before, and so on.
    Next,
}

/// What is watched of a connection.
#[derive(Debug)]
pub struct Watch {
    scanner: HeadScanner<HEAD_BYTES>,
    state: State,
}

#[derive(Debug)]
struct State {
    /// Which stream it is, in the order's list.
    stream: u32,
    /// The time between two ticks, us; 0 where events come on arrival.
    period_us: i64,
    awaited: Awaited,
    /// The id its book stands at; 0 before there is one.
    last_id: u64,
    /// When the stream was asked for; 0 where that is not timed.
    asked_ns: u64,
    is_answered: bool,
    /// When its last event came; 0 before.
    received_ns: u64,
    /// The number of the server's history, as the answer to the upgrade gave it.
    epoch: Option<u64>,
}

/// What all watches of a process come to. What is said to be ever is kept by [`Watching::begin`], the rest begins anew.
#[derive(Debug)]
pub struct Watching {
    /// Depth events.
    pub events: u64,
    /// Ids that they covered.
    pub ids: u64,
    /// Events that did not continue the one before or their snapshot, and messages that cannot be read, ever.
    pub gaps: u64,
    /// Requests that were refused, ever.
    pub refused: u64,
    /// Connections that asked for their stream, ever.
    pub asked: u32,
    /// Of those, who have an answer to the request, ever.
    pub answered: u32,
    /// Of those, who have their snapshot, or their first event where they asked for none, ever.
    pub joined: u32,
    /// Of those, who have their first event, ever.
    pub continued: u32,
    /// When the first and the last asked, CLOCK_MONOTONIC ns.
    pub asked_ns: Option<(u64, u64)>,
    /// When the last joined.
    pub joined_ns: u64,
    /// From asking to the answer, to the joining, and to the first event, ns, ever.
    pub answer_times: Histogram<u64>,
    /// See `answer_times`.
    pub join_times: Histogram<u64>,
    /// See `answer_times`.
    pub continue_times: Histogram<u64>,
    /// Different snapshots: the number of the stream and the id, ever.
    pub bodies: BTreeSet<(u32, u64)>,
    /// How late events were, ns over the floor; nothing before there is one.
    pub latency: Histogram<u64>,
    /// The same by time.
    pub moments: Moments,
    /// The longest time between two events of one connection, ns.
    pub silence_ns: u64,
    /// By how much an event was faster than the floor, ns.
    pub below_floor_ns: u64,
    /// What the fastest event took in terms of two clocks that have nothing in common: the zero of latencies.
    floor_ns: Option<i64>,
    /// The least so far, for a floor.
    least_ns: Option<i64>,
}

impl Watching {
    /// Where another process has found a floor, it is the same here.
    pub fn new(floor_ns: Option<i64>, now_ns: u64) -> Watching {
        Watching {
            events: 0,
            ids: 0,
            gaps: 0,
            refused: 0,
            asked: 0,
            answered: 0,
            joined: 0,
            continued: 0,
            asked_ns: None,
            joined_ns: 0,
            answer_times: latencies(),
            join_times: latencies(),
            continue_times: latencies(),
            bodies: BTreeSet::new(),
            latency: latencies(),
            moments: Moments::new(now_ns),
            silence_ns: 0,
            below_floor_ns: 0,
            floor_ns,
            least_ns: None,
        }
    }

    /// Begins to count anew. The first time, what was fastest until then becomes the floor.
    pub fn begin(&mut self, now_ns: u64) {
        self.floor_ns = self.floor_ns.or(self.least_ns);
        self.events = 0;
        self.ids = 0;
        self.latency.reset();
        self.moments = Moments::new(now_ns);
        self.silence_ns = 0;
        self.below_floor_ns = 0;
    }

    /// The zero of latencies.
    pub fn floor_ns(&self) -> Option<i64> {
        self.floor_ns
    }

    fn ask(&mut self, now_ns: u64) {
        self.asked += 1;
        let (first_ns, last_ns) = self.asked_ns.unwrap_or((now_ns, now_ns));
        self.asked_ns = Some((first_ns.min(now_ns), last_ns.max(now_ns)));
    }

    /// An event that was due at `due_us` by the market's clock came at `received_ns` by ours.
    fn late(&mut self, due_us: i64, received_ns: u64) {
        let received = i64::try_from(received_ns).unwrap_or(i64::MAX);
        let taken_ns = received.saturating_sub(due_us.saturating_mul(1000));
        self.least_ns = Some(self.least_ns.map_or(taken_ns, |least| least.min(taken_ns)));
        let Some(floor_ns) = self.floor_ns else {
            return;
        };
        let latency_ns = u64::try_from(taken_ns.saturating_sub(floor_ns)).unwrap_or_else(|_| {
            self.below_floor_ns = self.below_floor_ns.max(taken_ns.abs_diff(floor_ns));
            0
        });
        self.latency.saturating_record(latency_ns);
        self.moments.record(received_ns, latency_ns);
    }
}

impl Watch {
    /// For a connection to the stream called `name`, number `stream` of the order's list. Its stream is in the URL, and
    /// begins with `start`.
    pub fn new(stream: u32, name: &str, start: Start) -> Watch {
        let cadence = StreamName::parse(name).ok().and_then(|name| name.cadence);
        let cadence_ms = cadence.map_or(0, Cadence::millis);
        let mut state = State {
            stream,
            period_us: i64::from(cadence_ms) * 1000,
            awaited: Awaited::Answers,
            last_id: 0,
            asked_ns: 0,
            is_answered: false,
            received_ns: 0,
            epoch: None,
        };
        state.start(start);
        Watch {
            scanner: HeadScanner::default(),
            state,
        }
    }

    /// The stream is asked for at `now_ns`, and is to begin with `start`.
    pub fn ask(&mut self, start: Start, now_ns: u64, watching: &mut Watching) {
        self.state.asked_ns = now_ns;
        self.state.start(start);
        watching.ask(now_ns);
    }

    /// The stream was asked for before, at `since_ns`, and that came to nothing: it is asked for again.
    pub fn ask_again(&mut self, start: Start, since_ns: u64) {
        self.state.asked_ns = since_ns;
        self.state.start(start);
    }

    /// When the stream was asked for, where that is timed.
    pub fn asked_ns(&self) -> Option<u64> {
        Some(self.state.asked_ns).filter(|asked_ns| *asked_ns > 0)
    }

    /// The server's history is taken to be this one until it says which.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.state.epoch = Some(epoch);
    }

    /// The upgrade was answered.
    pub fn opened(&mut self, epoch: Option<u64>, now_ns: u64, watching: &mut Watching) {
        self.state.epoch = epoch;
        self.state.answered(now_ns, watching);
    }

    /// The id it stands at and the server's history, where both are known: what to go on from.
    pub fn position(&self) -> Option<(u64, u64)> {
        let epoch = self.state.epoch.filter(|_| self.state.last_id > 0)?;
        Some((self.state.last_id, epoch))
    }

    /// Whether its book has an id: it has had an event or a snapshot.
    pub fn has_heard(&self) -> bool {
        self.state.last_id > 0
    }

    /// Whether it asked for its stream and has not got it.
    pub fn is_joining(&self) -> bool {
        self.state.asked_ns > 0 && matches!(self.state.awaited, Awaited::Snapshot | Awaited::First)
    }

    /// Takes the next bytes of the connection, which came at `received_ns`. Gives what is wrong first with what they say;
    /// that they are no frames is also told elsewhere.
    pub fn take(&mut self, bytes: &[u8], received_ns: u64, watching: &mut Watching) -> Option<String> {
        let mut reading = Reading {
            state: &mut self.state,
            watching,
            received_ns,
            fault: None,
        };
        let scanned: Result<(), WsError> = self.scanner.scan(bytes, &mut reading);
        let fault = reading.fault;
        fault.or(scanned.err().map(|error| error.to_string()))
    }
}

impl State {
    fn start(&mut self, start: Start) {
        self.awaited = match start {
            Start::None => Awaited::Answers,
            Start::Snapshot => Awaited::Snapshot,
            Start::Next | Start::After(_) => Awaited::First,
        };
        if let Start::After(last_id) = start {
            self.last_id = last_id;
        }
    }

    fn answered(&mut self, now_ns: u64, watching: &mut Watching) {
        if self.asked_ns > 0 && !self.is_answered {
            self.is_answered = true;
            watching.answered += 1;
            watching
                .answer_times
                .saturating_record(now_ns.saturating_sub(self.asked_ns));
        }
    }

    fn joined(&self, now_ns: u64, watching: &mut Watching) {
        if self.asked_ns > 0 {
            watching.joined += 1;
            watching.joined_ns = watching.joined_ns.max(now_ns);
            watching
                .join_times
                .saturating_record(now_ns.saturating_sub(self.asked_ns));
        }
    }

    fn continued(&self, now_ns: u64, watching: &mut Watching) {
        if self.asked_ns > 0 {
            watching.continued += 1;
            watching
                .continue_times
                .saturating_record(now_ns.saturating_sub(self.asked_ns));
        }
    }

    fn take_snapshot(&mut self, last_id: u64, now_ns: u64, watching: &mut Watching) -> Result<(), String> {
        if self.awaited != Awaited::Snapshot {
            return Err(format!("a snapshot of {last_id} came and none was asked for"));
        }
        self.joined(now_ns, watching);
        if watching.bodies.len() < BODIES_MAX {
            watching.bodies.insert((self.stream, last_id));
        }
        self.last_id = last_id;
        self.awaited = Awaited::Continuation;
        Ok(())
    }

    fn take_depth(
        &mut self,
        (event_time_us, first_id, last_id): (i64, u64, u64),
        now_ns: u64,
        watching: &mut Watching,
    ) -> Result<(), String> {
        watching.events += 1;
        watching.ids += last_id.saturating_sub(first_id).saturating_add(1);
        watching.late(self.due_us(event_time_us), now_ns);
        if self.received_ns > 0 {
            watching.silence_ns = watching.silence_ns.max(now_ns.saturating_sub(self.received_ns));
        }
        self.received_ns = now_ns;
        let before = std::mem::replace(&mut self.last_id, last_id);
        match std::mem::replace(&mut self.awaited, Awaited::Next) {
            Awaited::Answers => return Err("a depth event came and none was asked for".into()),
            Awaited::Snapshot => return Err("a depth event came before the snapshot".into()),
            Awaited::Continuation => self.continued(now_ns, watching),
            Awaited::First => {
                self.joined(now_ns, watching);
                self.continued(now_ns, watching);
            }
            Awaited::Next => {}
        }
        let expected = before.saturating_add(1);
        if before > 0 && first_id != expected {
            return Err(format!(
                "update {first_id} to {last_id} came where {expected} was expected"
            ));
        }
        Ok(())
    }

    /// When an event was due whose last change is of this time: with the tick that ends its window.
    fn due_us(&self, event_time_us: i64) -> i64 {
        match self.period_us {
            0 => event_time_us,
            period_us => {
                let into = event_time_us.rem_euclid(period_us);
                event_time_us + if into == 0 { 0 } else { period_us - into }
            }
        }
    }
}

/// The frames of one read.
struct Reading<'w> {
    state: &'w mut State,
    watching: &'w mut Watching,
    received_ns: u64,
    fault: Option<String>,
}

impl Sink for Reading<'_> {
    const HEAD_BYTES: usize = HEAD_BYTES;

    fn data(&mut self, head: &[u8]) {
        let Reading {
            state,
            watching,
            received_ns,
            ..
        } = self;
        let outcome = match head::read(head) {
            Some(Head::Depth {
                event_time_us,
                first_id,
                last_id,
            }) => state.take_depth((event_time_us, first_id, last_id), *received_ns, watching),
            Some(Head::Snapshot { last_id }) => state.take_snapshot(last_id, *received_ns, watching),
            Some(Head::Result) => {
                state.answered(*received_ns, watching);
                Ok(())
            }
            Some(Head::Refusal) => {
                watching.refused += 1;
                let said = String::from_utf8_lossy(head);
                self.fault.get_or_insert(format!("a request was refused: {said}"));
                return;
            }
            Some(Head::Other) => Ok(()),
            None => Err(format!(
                "a message cannot be read: {}",
                String::from_utf8_lossy(head)
            )),
        };
        if let Err(fault) = outcome {
            watching.gaps += 1;
            self.fault.get_or_insert(fault);
        }
    }

    fn continuation(&mut self) {}

    fn control(&mut self, _opcode: Opcode, _payload: &[u8]) {}

    fn close(&mut self, _code: u16) {}
}

#[cfg(test)]
mod tests;
