//! Joins: streams of a connection that begin with a snapshot, or with what changed since an id, or in another encoding
//! without a gap.
//!
//! A join takes effect between two events of every stream in it. A stream that emits on arrival can begin at any time;
//! one that ticks can where its current window has no change yet: just after its tick, or while the market is quiet.
//! Streams of several cadences begin together, at the latest at the next tick that all of them share.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use depthcast_wire::json::encode as json;
use depthcast_wire::sbe::encode as sbe;
use depthcast_wire::stream::{StreamName, SymbolName};

use super::WorkerMessage;
use super::cadence::Tick;
use super::frames::{Outbox, format_of, frame, opcode_of, text_format_of};
use super::payload::{Format, Payload, Published};
use super::symbol::Symbol;
use crate::fanout::Ids;
use crate::reactor::messages::{Begin, Body, JoinError, Since};
use crate::session::encoding::Encoding;

/// Streams that wait to begin at most, over all connections: some 24 MB. A reconnect of everybody to a few streams each fits.
pub(super) const STREAMS_WAITING_MAX: usize = 1 << 20;

/// Bytes of snapshots and changes that are written in one turn of the market thread before the joins that need more have to wait for
/// another: a few milliseconds of it, so that nobody's joining holds up what all others get. One join is served whole.
const WRITTEN_PER_TURN: usize = 4 << 20;

/// Bytes of them that are kept for the next who joins before their books move on, for a second at most.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// What a body takes in memory beside its own bytes, about.
const BODY_OVERHEAD: usize = 256;

/// How often a join is looked at that only waits for its books to be healed, microseconds.
const HEALED_EVERY_US: i64 = 100_000;

/// Why a connection is closed that asked to join when so many wait.
const TOO_MANY: &str = "too many subscribers wait for a snapshot: try again later";

/// Why a connection is closed whose snapshot SBE cannot hold.
const TOO_LARGE: &str =
    "the book has more levels than a snapshot of its format holds: subscribe without snapshot=1";

/// Why a connection is closed that left off so long ago that SBE cannot hold what changed since.
const TOO_MANY_CHANGES: &str =
    "more has changed since than an event of its format holds: reconnect and take a new snapshot";

/// Why a slow consumer is closed that has missed more than its book remembers, and never asked for snapshots.
const TOO_LONG_AGO: &str =
    "slow consumer: more was missed than the engine remembers: reconnect and take a new snapshot";

/// A connection's streams that wait to begin.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) worker: usize,
    pub(super) connection: u32,
    pub(super) number: u32,
    /// The streams that do not just begin with their next event.
    pub(super) begins: Vec<Begin>,
    pub(super) encoding: Encoding,
    /// How often its worker had been through with what it took when it was asked for.
    pub(super) pauses: u64,
}

/// All that wait, at most one of each connection.
///
/// They are kept by the period at which all their streams tick: so each is looked at once in that, however many wait.
#[derive(Debug, Default)]
pub(super) struct Joins {
    by_period: BTreeMap<i64, HashMap<Place, Join>>,
    periods: HashMap<Place, i64>,
    /// Streams that wait.
    streams: usize,
    written: Written,
}

/// A connection: its worker and the worker's key for it.
type Place = (usize, u32);

/// The books at one moment.
pub(super) struct Books<'m> {
    pub(super) symbols: &'m mut [Symbol],
    pub(super) by_name: &'m HashMap<SymbolName, usize>,
    /// The market's time; None before the first event.
    pub(super) now_us: Option<i64>,
    /// The time of the feed's events.
    pub(super) clock_us: i64,
    /// The number of the history; None before the first.
    pub(super) epoch: Option<u64>,
}

/// Bodies that were written, each with the id at which its book stood: they are good while it stands there.
#[derive(Debug, Default)]
struct Written {
    bodies: HashMap<(Begin, Encoding), (u64, Beginning)>,
    /// Their bytes.
    kept: usize,
    /// Bytes written in this turn.
    this_turn: usize,
}

impl Written {
    /// Whether this turn has room for what a join needs; one that begins with nothing needs nothing.
    fn has_room_for(&self, join: &Join) -> bool {
        join.begins.is_empty() || self.this_turn < WRITTEN_PER_TURN
    }

    fn keep(&mut self, begin: Begin, encoding: Encoding, id: u64, body: Beginning) {
        let bytes = body.as_ref().map_or(0, |body| body.bytes.len());
        let cost = bytes + BODY_OVERHEAD;
        self.this_turn += cost;
        if self.kept + cost > KEPT_BYTES_MAX {
            self.forget();
        }
        self.kept += cost;
        self.bodies.insert((begin, encoding), (id, body));
    }

    fn forget(&mut self) {
        self.bodies.clear();
        self.kept = 0;
    }
}

/// What a stream begins with, or why it cannot.
type Beginning = Result<Body, JoinError>;

impl Joins {
    /// Lets a join take effect, at once if this is its moment; it replaces what the connection has waited for. The bound on
    /// them closes the connection.
    pub(super) fn add(&mut self, join: Join, mut books: Books<'_>, outbox: &mut Outbox) {
        let place = (join.worker, join.connection);
        self.remove(join.worker, join.connection);
        if self.written.has_room_for(&join) && books.can_begin(&join, outbox) {
            reply(&join, books.bodies_of(&join, &mut self.written), outbox);
        } else if self.streams + join.begins.len() > STREAMS_WAITING_MAX {
            reply(&join, Err(JoinError::Bound(TOO_MANY)), outbox);
        } else {
            let period = period_us(&join);
            self.streams += join.begins.len();
            self.periods.insert(place, period);
            self.by_period.entry(period).or_default().insert(place, join);
        }
    }

    /// Another turn of the market thread begins.
    pub(super) fn begin_turn(&mut self) {
        self.written.this_turn = 0;
    }

    /// A new history begins: what was written is of the old one.
    pub(super) fn begin_epoch(&mut self) {
        self.written.forget();
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.periods.len()
    }

    /// The connection waits no more.
    pub(super) fn remove(&mut self, worker: usize, connection: u32) {
        let place = (worker, connection);
        if let Some(period) = self.periods.remove(&place)
            && let Some(join) = self
                .by_period
                .get_mut(&period)
                .and_then(|joins| joins.remove(&place))
        {
            self.streams -= join.begins.len();
        }
    }

    /// Lets those take effect whose moment this tick is: everything up to it was published, and nothing after it.
    pub(super) fn on_tick(&mut self, tick: Tick, books: Books<'_>, outbox: &mut Outbox) {
        self.answer(|period| tick.0 % period == 0, books, outbox);
    }

    /// Lets those take effect that can: in a market that stands still no tick comes for what a turn had no room for.
    pub(super) fn on_second(&mut self, books: Books<'_>, outbox: &mut Outbox) {
        self.written.forget();
        self.answer(|_| true, books, outbox);
    }

    fn answer(&mut self, is_due: impl Fn(i64) -> bool, mut books: Books<'_>, outbox: &mut Outbox) {
        let written = &mut self.written;
        for (_, joins) in self.by_period.iter_mut().filter(|(period, _)| is_due(**period)) {
            joins.retain(|place, join| {
                let is_now = written.has_room_for(join) && books.can_begin(join, outbox);
                if is_now {
                    self.periods.remove(place);
                    self.streams -= join.begins.len();
                    reply(join, books.bodies_of(join, written), outbox);
                }
                !is_now
            });
        }
    }
}

/// The period at which all streams of a join tick, which the periods of all cadences allow: their least common multiple.
/// Streams that emit on arrival only wait for a stale book.
fn period_us(join: &Join) -> i64 {
    join.begins
        .iter()
        .filter_map(|begin| begin.name.cadence(join.encoding.is_sbe()))
        .map(|cadence| i64::from(cadence.millis()) * 1000)
        .filter(|&period| period > 0)
        .fold(None, |all: Option<i64>, period| {
            Some(all.map_or(period, |all| lcm(all, period)))
        })
        .unwrap_or(HEALED_EVERY_US)
}

fn lcm(a: i64, b: i64) -> i64 {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor * b
}

fn reply(join: &Join, bodies: Result<Vec<Body>, JoinError>, outbox: &mut Outbox) {
    let message = WorkerMessage::Joined {
        connection: join.connection,
        number: join.number,
        bodies,
    };
    outbox.tell(join.worker, message);
}

impl Books<'_> {
    /// Whether all streams of a join may begin now: not while their worker is behind, and has been since
    /// before it was asked for: it has enough to do.
    fn can_begin(&self, join: &Join, outbox: &Outbox) -> bool {
        let is_ready = outbox.standing(join.worker).is_ready(join.pauses);
        let mut begins = join.begins.iter();
        join.begins.is_empty() || (is_ready && begins.all(|begin| self.stream_can_begin(begin.name, join)))
    }

    /// Whether a stream may. One of an unknown symbol may: nothing will come of it.
    fn stream_can_begin(&self, name: StreamName, join: &Join) -> bool {
        match (self.by_name.get(&name.symbol), self.now_us) {
            (Some(&symbol), Some(now_us)) => {
                self.symbols[symbol].can_begin(now_us, name, join.encoding, join.worker)
            }
            (Some(_), None) => false,
            // Before the first history nobody knows which symbols there are.
            (None, _) => self.epoch.is_some(),
        }
    }

    /// What the streams of a join begin with, each written once for all that join at this moment.
    fn bodies_of(&mut self, join: &Join, written: &mut Written) -> Result<Vec<Body>, JoinError> {
        let mut bodies = Vec::with_capacity(join.begins.len());
        for &begin in &join.begins {
            if self.by_name.contains_key(&begin.name.symbol) {
                bodies.push(self.body_of(begin, join.encoding, written)?);
            }
        }
        Ok(bodies)
    }

    fn body_of(&mut self, begin: Begin, encoding: Encoding, written: &mut Written) -> Beginning {
        let symbol = &mut self.symbols[self.by_name[&begin.name.symbol]];
        symbol.on_snapshot_given();
        let at = symbol.last_id();
        // The newest of a stream changes without its book.
        if let Some((then, body)) = written.bodies.get(&(begin, encoding))
            && *then == at
            && begin.since != Since::Newest
        {
            return body.clone();
        }
        let body = self.write(begin, encoding);
        written.keep(begin, encoding, at, body.clone());
        body
    }

    fn write(&self, begin: Begin, encoding: Encoding) -> Beginning {
        let symbol = &self.symbols[self.by_name[&begin.name.symbol]];
        let (last, mut payload) = (symbol.last_id(), Vec::new());
        let mut ids = Ids { first: 0, last };
        match begin.since {
            Since::Newest => {
                ids.last = 0;
                symbol.write_newest(begin.name.kind, format_of(encoding), self.clock_us, &mut payload);
            }
            Since::Snapshot => self.write_snapshot(symbol, encoding, &mut payload)?,
            Since::Id {
                epoch,
                id,
                or_snapshot,
            } => {
                // What another history numbered, or this one has not reached, says nothing of this book.
                let is_known = Some(epoch) == self.epoch && id <= last;
                match is_known.then(|| symbol.changes_since(id)).flatten() {
                    Some(_) if id == last => {}
                    Some(changes) => {
                        ids.first = changes.first_id;
                        let event = Published::Symbol(symbol.instrument(), Payload::Diff(&changes));
                        let written = event.encode(format_of(encoding), &mut payload);
                        written.map_err(|_| JoinError::Bound(TOO_MANY_CHANGES))?;
                    }
                    None if or_snapshot => self.write_snapshot(symbol, encoding, &mut payload)?,
                    None => return Err(JoinError::Forgotten(TOO_LONG_AGO)),
                }
            }
        }
        let format = if begin.name.kind.has_sbe() {
            format_of(encoding)
        } else {
            text_format_of(encoding)
        };
        let bytes = if payload.is_empty() {
            Bytes::new()
        } else if encoding.wraps_json() && format != Format::Sbe {
            let mut wrapped = Vec::with_capacity(payload.len() + 64);
            json::combined(&mut wrapped, &begin.name.to_string(), &payload);
            frame(opcode_of(format), &wrapped)
        } else {
            frame(opcode_of(format), &payload)
        };
        let name = begin.name;
        Ok(Body { name, bytes, ids })
    }

    fn write_snapshot(
        &self,
        symbol: &Symbol,
        encoding: Encoding,
        out: &mut Vec<u8>,
    ) -> Result<(), JoinError> {
        let (event_time_us, book) = symbol.whole();
        let instrument = symbol.instrument();
        match format_of(encoding) {
            Format::Json(unit) => {
                let epoch = self.epoch.unwrap_or_default();
                json::depth_snapshot(out, instrument, unit, event_time_us, epoch, &book);
                Ok(())
            }
            Format::Sbe => sbe::depth_snapshot(out, instrument, event_time_us, &book)
                .map_err(|_| JoinError::Bound(TOO_LARGE)),
        }
    }
}
