//! One stream of one connection as its client sees it: what may come next by the public rules, held against what the exchange
//! knows was true.

use depthcast_wire::stream::{StreamKind, StreamName};

use super::Seen;
use super::derived;
use super::event::{Levels, Told};
use super::exchange::{Book, Exchange, History};
use crate::reactor::machine::{Checked, ensure};

/// How a stream begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begins {
    /// With whatever comes next: the client takes the book before that from elsewhere, as REST would give it.
    Plain,
    Snapshot,
    /// Where the client left off, in a history.
    Resume {
        epoch: u64,
        id: u64,
    },
}

/// What a client knows beside the stream.
pub(super) struct Around<'a> {
    pub(super) exchange: &'a Exchange,
    /// The history that the connection is in.
    pub(super) epoch: Option<u64>,
    /// Its socket had no room at some time: what it was owed may have been merged or skipped.
    pub(super) was_short: bool,
    /// The newest may come in the place of those before it: its socket had no room, or its worker was behind.
    pub(super) may_skip: bool,
    pub(super) with_snapshots: bool,
    pub(super) is_sbe: bool,
    pub(super) seen: &'a mut Seen,
}

impl<'a> Around<'a> {
    fn history(&self, symbol: usize) -> Checked<&'a History> {
        let epoch = self.epoch.ok_or("an event before the first history")?;
        let history = self.exchange.history(epoch, symbol);
        history.ok_or_else(|| format!("an event of a symbol that history {epoch} does not have"))
    }
}

/// A stream that a client has.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) name: StreamName,
    pub(super) symbol: usize,
    begins: Begins,
    /// The book and its id, of a depth stream that has begun.
    pub(super) at: Option<(u64, Book)>,
    /// The newest of a stream whose events stand alone: an id, a count, or one more than a place in a list.
    last: Option<u64>,
}

impl Flow {
    pub(super) fn new(name: StreamName, symbol: usize, begins: Begins) -> Flow {
        Flow {
            name,
            symbol,
            begins,
            at: None,
            last: None,
        }
    }

    /// The next event of the stream.
    pub(super) fn on_told(&mut self, told: &Told, around: &mut Around<'_>) -> Checked {
        match (self.name.kind, told) {
            (StreamKind::Depth, Told::Diff { first, last, sides }) => {
                self.on_diff(*first, *last, sides, around)
            }
            (
                StreamKind::Depth,
                Told::Whole {
                    epoch, last, sides, ..
                },
            ) => self.on_snapshot(*epoch, *last, sides, around),
            (StreamKind::PartialDepth(levels), Told::Whole { last, sides, .. }) => {
                let Some(book) = around.history(self.symbol)?.book(*last) else {
                    return Err(format!("the top of a book at {last}, which never was"));
                };
                let top = book.top(levels.count());
                ensure!(top == *sides, "{sides:?} at {last}, where it was {top:?}");
                ensure!(
                    self.last.is_none_or(|before| before <= *last),
                    "a top that goes back"
                );
                self.last = Some(*last);
                around.seen.tops += 1;
                Ok(())
            }
            (StreamKind::BookTicker | StreamKind::BestBidAsk, Told::Best(best)) => {
                let bests = &around.history(self.symbol)?.bests;
                // What was skipped for one that had no room is told from where it is newest, which may be known already.
                let from =
                    self.last.unwrap_or(0) as usize - usize::from(around.may_skip && self.last.is_some());
                let found = bests[from..].iter().position(|was| was == best);
                let found =
                    found.ok_or_else(|| format!("{best:?} is not among those since number {from}"))?;
                ensure!(
                    found == 0 || around.may_skip || self.last.is_none(),
                    "{found} skipped for one that had room, of a worker that was not behind"
                );
                self.last = Some((from + found + 1) as u64);
                around.seen.bests += 1;
                Ok(())
            }
            (
                StreamKind::Trade,
                &Told::Trade {
                    id,
                    price,
                    qty,
                    is_buyer_maker,
                },
            ) => {
                let trades = &around.history(self.symbol)?.trades;
                let at = self.place_of(trades.binary_search_by_key(&id, |trade| trade.id).ok(), "trade")?;
                let was = &trades[at];
                let is_it = (was.price, was.qty, was.is_buyer_maker) == (price, qty, is_buyer_maker);
                ensure!(is_it, "{told:?} where it was {was:?}");
                self.last = Some(at as u64 + 1);
                around.seen.trades += 1;
                Ok(())
            }
            (
                StreamKind::AggTrade,
                &Told::AggTrade {
                    price,
                    qty,
                    first,
                    last,
                    ..
                },
            ) => {
                let trades = &around.history(self.symbol)?.trades;
                let at = self.place_of(
                    trades.binary_search_by_key(&first, |trade| trade.id).ok(),
                    "aggregate",
                )?;
                let end = trades.binary_search_by_key(&last, |trade| trade.id);
                let end = end.map_err(|_| format!("an aggregate up to {last}"))?;
                ensure!(end >= at, "an aggregate from {first} to {last}");
                let all = &trades[at..=end];
                ensure!(
                    all.iter().all(|trade| trade.price == price)
                        && all.iter().map(|trade| trade.qty).sum::<i64>() == qty
                        && all.len() as i64 == last - first + 1,
                    "{told:?} of {all:?}"
                );
                self.last = Some(end as u64 + 1);
                around.seen.aggregates += 1;
                Ok(())
            }
            (StreamKind::Kline(..), Told::Second { from_ms, trades, .. }) => {
                derived::check_second(told, &around.history(self.symbol)?.trades)?;
                let is_next = self.last.is_none_or(|last| last as i64 + 1000 == *from_ms);
                ensure!(is_next, "the second of {from_ms} behind that of {:?}", self.last);
                self.last = Some(from_ms.unsigned_abs());
                let seen = &mut around.seen;
                *if *trades > 0 {
                    &mut seen.seconds
                } else {
                    &mut seen.empty_seconds
                } += 1;
                Ok(())
            }
            (StreamKind::Checksum, &Told::Checksum { last, sum }) => {
                let book = around.history(self.symbol)?.book(last);
                let book = book.ok_or_else(|| format!("a checksum at {last}, which never was"))?;
                let right = derived::checksum(book);
                ensure!(right == sum, "checksum {sum} at {last}, where it was {right}");
                ensure!(
                    self.last.is_none_or(|before| before <= last),
                    "a checksum that goes back"
                );
                self.last = Some(last);
                around.seen.checksums += 1;
                Ok(())
            }
            (StreamKind::Heartbeat, &Told::Heartbeat { epoch, count }) => {
                ensure!(Some(epoch) == around.epoch, "a heartbeat of {epoch}");
                let is_next = self
                    .last
                    .is_none_or(|last| count == last + 1 || (around.was_short && count > last));
                ensure!(is_next, "heartbeat {count} behind {:?}", self.last);
                self.last = Some(count);
                Ok(())
            }
            (kind, told) => Err(format!("{told:?} of {kind:?}")),
        }
    }

    /// The place in a list of what must not be missed: the one behind the last one.
    fn place_of(&self, found: Option<usize>, what: &str) -> Checked<usize> {
        let at = found.ok_or_else(|| format!("a {what} that never was"))?;
        let is_next = self.last.is_none_or(|last| last == at as u64);
        ensure!(is_next, "{what} number {at} where {:?} was due", self.last);
        Ok(at)
    }

    fn on_diff(&mut self, first: u64, last: u64, sides: &[Levels; 2], around: &mut Around<'_>) -> Checked {
        let history = around.history(self.symbol)?;
        let mut resumed = false;
        let (id, mut book) = match (self.at.take(), self.begins) {
            (Some(at), _) => at,
            (None, Begins::Snapshot) => return Err("a difference before the snapshot".into()),
            (None, Begins::Plain) => {
                let book = history.book(first - 1);
                let book = book.ok_or_else(|| format!("a first difference from {first}, which never was"))?;
                (first - 1, book.clone())
            }
            (None, Begins::Resume { epoch, id }) => {
                ensure!(
                    Some(epoch) == around.epoch,
                    "a difference for one that left off in another history, {epoch}"
                );
                let book = history
                    .book(id)
                    .ok_or("a difference since an id that never was")?;
                resumed = true;
                (id, book.clone())
            }
        };
        ensure!(first == id + 1 && last >= first, "{first}..{last} behind {id}");
        for (is_bid, side) in [(true, &sides[0]), (false, &sides[1])] {
            side.iter().for_each(|&(price, qty)| book.set(is_bid, price, qty));
        }
        let truth = history.book(last).ok_or_else(|| format!("{last} never was"))?;
        ensure!(
            book == *truth,
            "{book:?} at {last}, behind {first}..{last}, where it was {truth:?}"
        );
        self.at = Some((last, book));
        around.seen.resumed_by_diff += u64::from(resumed);
        let cadence = self
            .name
            .cadence(around.is_sbe)
            .map_or(0, |cadence| cadence as usize);
        around.seen.diffs[cadence] += 1;
        Ok(())
    }

    fn on_snapshot(
        &mut self,
        epoch: Option<u64>,
        last: u64,
        sides: &[Levels; 2],
        around: &mut Around<'_>,
    ) -> Checked {
        let history = around.history(self.symbol)?;
        ensure!(
            epoch.is_none_or(|epoch| Some(epoch) == around.epoch),
            "a snapshot of {epoch:?}"
        );
        let truth = history
            .book(last)
            .ok_or_else(|| format!("a snapshot at {last}, which never was"))?;
        ensure!(
            truth.top(usize::MAX) == *sides,
            "a snapshot of {sides:?} at {last}, where it was {truth:?}"
        );
        match (&self.at, self.begins) {
            (None, Begins::Snapshot) => around.seen.snapshots += 1,
            (None, Begins::Plain) => return Err("a snapshot that nobody asked for".into()),
            (None, Begins::Resume { epoch, id }) => {
                let is_known = Some(epoch) == around.epoch && id <= last && history.known.reaches(id);
                ensure!(
                    !is_known || around.was_short,
                    "a snapshot at {last} where a difference since {id} would do"
                );
                around.seen.resumed_by_snapshot += 1;
            }
            (Some((id, _)), _) => {
                ensure!(
                    around.was_short && around.with_snapshots && last >= *id,
                    "a snapshot at {last} in the middle, behind {id}"
                );
            }
        }
        self.at = Some((last, truth.clone()));
        Ok(())
    }

    /// Whether the engine can tell what changed since then; not known of one that has not begun.
    pub(super) fn is_within_reach(&self, around: &Around<'_>) -> bool {
        let Ok(history) = around.history(self.symbol) else {
            return true;
        };
        let is_depth = self.name.kind == StreamKind::Depth;
        !is_depth || self.at.as_ref().is_some_and(|(id, _)| history.known.reaches(*id))
    }

    /// In a calm: it has all that there is, unless (`all` is not set) it has not begun.
    pub(super) fn check_newest(&self, all: bool, around: &Around<'_>) -> Checked {
        if !all && self.at.is_none() && self.last.is_none() {
            return Ok(());
        }
        if self.name.kind == StreamKind::Heartbeat {
            ensure!(self.last.is_some(), "no heartbeat");
            return Ok(());
        }
        let Ok(history) = around.history(self.symbol) else {
            return Ok(());
        };
        if matches!(self.name.kind, StreamKind::Kline(..)) {
            // The second of the last trade is over, and told.
            let last = history.trades.last().map(|trade| trade.trade_time_us / 1000);
            let is_told = last.is_none_or(|last| self.last.is_some_and(|from| from as i64 + 1000 > last));
            ensure!(
                is_told,
                "it ends at {:?} where the last trade was at {last:?}",
                self.last
            );
            return Ok(());
        }
        let (has, newest) = match self.name.kind {
            StreamKind::Checksum => (self.last, history.known.id),
            StreamKind::Depth => (self.at.as_ref().map(|at| at.0), history.known.id),
            StreamKind::PartialDepth(_) => (self.last, history.known.id),
            StreamKind::BookTicker | StreamKind::BestBidAsk => (self.last, Some(history.bests.len() as u64)),
            _ => (self.last, Some(history.trades.len() as u64)),
        };
        ensure!(
            has == newest,
            "it ends at {has:?} where the market is at {newest:?}"
        );
        Ok(())
    }
}
