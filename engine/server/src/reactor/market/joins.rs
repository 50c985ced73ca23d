//! Joins: streams of a connection that begin with a snapshot, or in another encoding without a gap.
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
use super::frames::{Outbox, format_of, frame, opcode_of};
use super::payload::Format;
use super::symbol::Symbol;
use crate::session::encoding::Encoding;

/// Streams that wait to begin at most, over all connections: some 24 MB. A reconnect of everybody to a few streams each fits.
pub(super) const STREAMS_WAITING_MAX: usize = 1 << 20;

/// Bytes of snapshots that are written in one turn of the market thread before the joins that need more have to wait for
/// another: a few milliseconds of it, so that nobody's joining holds up what all others get. One join is served whole.
const WRITTEN_PER_TURN: usize = 4 << 20;

/// Bytes of snapshots that are kept for the next who joins before their books move on, for a second at most.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// How often a join is looked at that only waits for its books to be healed, microseconds.
const HEALED_EVERY_US: i64 = 100_000;

/// Why a connection is closed that asked to join when so many wait.
const TOO_MANY: &str = "too many subscribers wait for a snapshot: try again later";

/// Why a connection is closed whose snapshot SBE cannot hold.
const TOO_LARGE: &str =
    "the book has more levels than a snapshot of its format holds: subscribe without snapshot=1";

/// A connection's streams that wait to begin.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) worker: usize,
    pub(super) connection: u32,
    pub(super) number: u32,
    /// The streams that begin with a snapshot.
    pub(super) snapshots: Vec<StreamName>,
    pub(super) encoding: Encoding,
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
    /// The number of the history; None before the first.
    pub(super) epoch: Option<u64>,
}

/// Snapshots that were written, and are good while their books stand where they stood.
#[derive(Debug, Default)]
struct Written {
    snapshots: HashMap<(StreamName, Encoding), (u64, Snapshot)>,
    /// Their bytes.
    kept: usize,
    /// Bytes written in this turn.
    this_turn: usize,
}

impl Written {
    /// Whether this turn has room for what a join needs; one without snapshots needs nothing.
    fn has_room_for(&self, join: &Join) -> bool {
        join.snapshots.is_empty() || self.this_turn < WRITTEN_PER_TURN
    }

    fn keep(&mut self, name: StreamName, encoding: Encoding, id: u64, snapshot: Snapshot) {
        let len = snapshot.as_ref().map_or(0, Bytes::len);
        self.this_turn += len;
        if self.kept + len > KEPT_BYTES_MAX {
            self.forget();
        }
        self.kept += len;
        self.snapshots.insert((name, encoding), (id, snapshot));
    }

    fn forget(&mut self) {
        self.snapshots.clear();
        self.kept = 0;
    }
}

/// A snapshot that is ready to be sent, or why it cannot be.
type Snapshot = Result<Bytes, &'static str>;

impl Joins {
    /// Lets a join take effect, at once if this is its moment; it replaces what the connection has waited for. The bound on
    /// them closes the connection.
    pub(super) fn add(&mut self, join: Join, mut books: Books<'_>, outbox: &mut Outbox) {
        let place = (join.worker, join.connection);
        self.remove(join.worker, join.connection);
        if self.written.has_room_for(&join) && books.can_begin(&join) {
            reply(&join, books.snapshots_of(&join, &mut self.written), outbox);
        } else if self.streams + join.snapshots.len() > STREAMS_WAITING_MAX {
            reply(&join, Err(TOO_MANY), outbox);
        } else {
            let period = period_us(&join);
            self.streams += join.snapshots.len();
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
            self.streams -= join.snapshots.len();
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
                let is_now = written.has_room_for(join) && books.can_begin(join);
                if is_now {
                    self.periods.remove(place);
                    self.streams -= join.snapshots.len();
                    reply(join, books.snapshots_of(join, written), outbox);
                }
                !is_now
            });
        }
    }
}

/// The period at which all streams of a join tick, which the periods of all cadences allow: their least common multiple.
/// Streams that emit on arrival only wait for a stale book.
fn period_us(join: &Join) -> i64 {
    join.snapshots
        .iter()
        .filter_map(|name| name.cadence(join.encoding.is_sbe()))
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

fn reply(join: &Join, snapshots: Result<Vec<Bytes>, &'static str>, outbox: &mut Outbox) {
    let message = WorkerMessage::Joined {
        connection: join.connection,
        number: join.number,
        snapshots,
    };
    outbox.tell(join.worker, message);
}

impl Books<'_> {
    /// Whether all streams of a join may begin now.
    fn can_begin(&self, join: &Join) -> bool {
        join.snapshots
            .iter()
            .all(|&name| self.stream_can_begin(name, join.encoding))
    }

    /// Whether a stream may. One of an unknown symbol may: nothing will come of it.
    fn stream_can_begin(&self, name: StreamName, encoding: Encoding) -> bool {
        match (self.by_name.get(&name.symbol), self.now_us) {
            (Some(&symbol), Some(now_us)) => self.symbols[symbol].can_begin(now_us, name, encoding),
            (Some(_), None) => false,
            // Before the first history nobody knows which symbols there are.
            (None, _) => self.epoch.is_some(),
        }
    }

    /// The snapshots of a join, each written once for all that join at this moment.
    fn snapshots_of(&mut self, join: &Join, written: &mut Written) -> Result<Vec<Bytes>, &'static str> {
        let known = join
            .snapshots
            .iter()
            .filter(|name| self.by_name.contains_key(&name.symbol));
        let names: Vec<StreamName> = known.copied().collect();
        names
            .into_iter()
            .map(|name| self.snapshot_of(name, join.encoding, written))
            .collect()
    }

    fn snapshot_of(&mut self, name: StreamName, encoding: Encoding, written: &mut Written) -> Snapshot {
        let symbol = &mut self.symbols[self.by_name[&name.symbol]];
        symbol.on_snapshot_given();
        let id = symbol.last_id();
        if let Some((at, snapshot)) = written.snapshots.get(&(name, encoding))
            && *at == id
        {
            return snapshot.clone();
        }
        let snapshot = self.write(name, encoding);
        written.keep(name, encoding, id, snapshot.clone());
        snapshot
    }

    fn write(&self, name: StreamName, encoding: Encoding) -> Snapshot {
        let symbol = &self.symbols[self.by_name[&name.symbol]];
        let (event_time_us, book) = symbol.whole();
        let instrument = symbol.instrument();
        let mut payload = Vec::new();
        let format = format_of(encoding);
        match format {
            Format::Json(unit) => {
                let epoch = self.epoch.unwrap_or_default();
                json::depth_snapshot(&mut payload, instrument, unit, event_time_us, epoch, &book);
            }
            Format::Sbe => {
                sbe::depth_snapshot(&mut payload, instrument, event_time_us, &book).map_err(|_| TOO_LARGE)?;
            }
        }
        if encoding.wraps_json() && format != Format::Sbe {
            let mut wrapped = Vec::with_capacity(payload.len() + 64);
            json::combined(&mut wrapped, &name.to_string(), &payload);
            payload = wrapped;
        }
        Ok(frame(opcode_of(format), &payload))
    }
}
