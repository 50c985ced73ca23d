//! Joins: streams of a connection that begin with a snapshot, or in another encoding without a gap.
//!
//! A join takes effect between two events of every stream in it. A stream that emits on arrival can begin at any time;
//! one that ticks can where its current window has no change yet: just after its tick, or while the market is quiet.
//! Streams of several cadences begin together, at the latest at the next tick that all of them share.

use std::collections::HashMap;

use bytes::Bytes;
use depthcast_wire::json::encode as json;
use depthcast_wire::sbe::encode as sbe;
use depthcast_wire::stream::{StreamName, SymbolName};

use super::WorkerMessage;
use super::frames::{Outbox, format_of, frame, opcode_of};
use super::payload::Format;
use super::symbol::Symbol;
use crate::session::encoding::Encoding;

/// Joins that wait for their moment at most: a minute's reconnects of every connection of one machine wait for a second at
/// the longest, unless their books are stale.
pub(super) const JOINS_MAX: usize = 1 << 18;

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

/// All that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Joins {
    waiting: Vec<Join>,
}

/// The books at one moment.
pub(super) struct Books<'m> {
    pub(super) symbols: &'m mut [Symbol],
    pub(super) by_name: &'m HashMap<SymbolName, usize>,
    /// The market's time; None before the first event.
    pub(super) now_us: Option<i64>,
    /// The number of the history; None before the first.
    pub(super) epoch: Option<u64>,
}

/// Snapshots that were written at one moment.
type Written = HashMap<(StreamName, Encoding), Result<Bytes, &'static str>>;

impl Joins {
    /// Lets a join wait. The bound on them closes the connection.
    pub(super) fn add(&mut self, join: Join, outbox: &mut Outbox) {
        if self.waiting.len() >= JOINS_MAX {
            reply(&join, Err(TOO_MANY), outbox);
        } else {
            self.waiting.push(join);
        }
    }

    /// Lets those take effect whose moment this is: everything up to now was published, and nothing after it.
    pub(super) fn answer(&mut self, mut books: Books<'_>, outbox: &mut Outbox) {
        if self.waiting.is_empty() {
            return;
        }
        let mut written = Written::new();
        self.waiting.retain(|join| {
            let is_now = join
                .snapshots
                .iter()
                .all(|&name| books.can_begin(name, join.encoding));
            if is_now {
                reply(join, books.snapshots_of(join, &mut written), outbox);
            }
            !is_now
        });
    }
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
    /// Whether a stream may begin now. One of an unknown symbol may: nothing will come of it.
    fn can_begin(&self, name: StreamName, encoding: Encoding) -> bool {
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
            .map(|name| {
                let snapshot = written.entry((name, join.encoding));
                snapshot
                    .or_insert_with(|| self.write(name, join.encoding))
                    .clone()
            })
            .collect()
    }

    fn write(&mut self, name: StreamName, encoding: Encoding) -> Result<Bytes, &'static str> {
        let symbol = &mut self.symbols[self.by_name[&name.symbol]];
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
