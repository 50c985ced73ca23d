//! The newest event of each kind that needs no others: what workers are told that were behind, and what connections begin with that
//! were conflated.

use depthcast_market::book::Book;
use depthcast_market::checksum::{CHECKSUM_LEVELS, checksum};
use depthcast_market::event::{BestBidAsk, BookSnapshot, Side};
use depthcast_market::statistics::{AveragePrice, DayStatistics};
use depthcast_wire::stream::{Cadence, StreamKind};

use super::super::channel::Debt;
use super::super::frames::{EventFrames, Outbox};
use super::super::payload::{Format, Payload, Published};
use super::Symbol;
use super::statistics::Statistics;
use crate::reactor::messages::TopicEnd;

/// What is known of a symbol now.
pub(super) struct Newest<'s> {
    pub(super) book: &'s Book,
    pub(super) is_synced: bool,
    /// The best bid and ask as the feed gave it, with its event time.
    pub(super) best: Option<(i64, BestBidAsk)>,
    pub(super) statistics: &'s Statistics,
    /// The time of the feed's events.
    pub(super) clock_us: i64,
}

/// Where an event stands while it is written.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    top: BookSnapshot,
    best: Option<BestBidAsk>,
    day: Option<DayStatistics>,
    average: Option<AveragePrice>,
}

impl Newest<'_> {
    /// The best bid and ask: as the feed gives them, or else as the book has them.
    pub(super) fn best(&self) -> Option<BestBidAsk> {
        if let Some((_, best)) = self.best {
            return Some(best);
        }
        if !self.is_synced {
            return None;
        }
        let (bid, ask) = (self.book.best(Side::Bid), self.book.best(Side::Ask));
        if bid.is_none() && ask.is_none() {
            return None;
        }
        Some(BestBidAsk {
            event_time_us: None,
            update_id: self.book.last_id(),
            bid: bid.unwrap_or_default(),
            ask: ask.unwrap_or_default(),
        })
    }

    /// The newest event of a kind; None where there is none, or it is not to be trusted.
    pub(super) fn event<'e>(&'e self, kind: StreamKind, scratch: &'e mut Scratch) -> Option<Payload<'e>> {
        match kind {
            StreamKind::BookTicker | StreamKind::BestBidAsk => {
                let (at_us, best) = self.best.as_ref()?;
                Some(Payload::Best(*at_us, best))
            }
            StreamKind::PartialDepth(levels) if self.is_synced => {
                self.book.snapshot(levels.count(), &mut scratch.top);
                Some(Payload::Top(self.book.event_time_us(), &scratch.top))
            }
            StreamKind::Checksum if self.is_synced => {
                self.book.snapshot(CHECKSUM_LEVELS, &mut scratch.top);
                let sum = checksum(&scratch.top.bids, &scratch.top.asks);
                Some(Payload::Checksum(self.clock_us, scratch.top.last_id, sum))
            }
            StreamKind::MiniTicker => {
                let day = scratch.day.insert(self.statistics.day()?);
                Some(Payload::MiniTicker(self.clock_us, day))
            }
            StreamKind::Ticker => {
                scratch.best = self.best();
                let day = self.statistics.day();
                if day.is_none() && scratch.best.is_none() {
                    return None;
                }
                let quiet = || self.statistics.quiet_day(self.clock_us);
                let day = scratch.day.insert(day.unwrap_or_else(quiet));
                Some(Payload::Ticker(self.clock_us, day, scratch.best.as_ref()))
            }
            StreamKind::AveragePrice => {
                let average = scratch.average.insert(self.statistics.average()?);
                Some(Payload::AveragePrice(self.clock_us, average))
            }
            _ => None,
        }
    }
}

impl Symbol {
    /// What is known of it at a time of the feed's events.
    pub(super) fn newest(&self, clock_us: i64) -> Newest<'_> {
        Newest {
            book: &self.book,
            is_synced: self.sync.is_synced(),
            best: self.best,
            statistics: &self.statistics,
            clock_us,
        }
    }

    /// Writes the newest event of a kind that needs no others; nothing where there is none, or it is not to be trusted.
    pub(in super::super) fn write_newest(
        &self,
        kind: StreamKind,
        format: Format,
        clock_us: i64,
        out: &mut Vec<u8>,
    ) {
        let mut scratch = Scratch::default();
        if let Some(payload) = self.newest(clock_us).event(kind, &mut scratch) {
            let event = Published::Symbol(&self.instrument, payload);
            // A top fits every format, and statistics are JSON.
            let _ = event.encode(event.format(format), out);
        }
    }

    /// Tells workers that were behind, and are not any more, what they were not told of the channels that tick at `cadence`,
    /// or of those that do not: all that changed in one event, or the newest.
    pub(in super::super) fn make_up(&mut self, cadence: Option<Cadence>, clock_us: i64, outbox: &mut Outbox) {
        let newest = Newest {
            book: &self.book,
            is_synced: self.sync.is_synced(),
            best: self.best,
            statistics: &self.statistics,
            clock_us,
        };
        let mut scratch = Scratch::default();
        for channel in self.channels.ticking(cadence) {
            let kind = channel.content.kind;
            // Nothing is published from a stale book; and a checksum is of the book that subscribers have at its own ticks.
            let is_of_book = matches!(kind, StreamKind::Depth | StreamKind::PartialDepth(_));
            if (is_of_book && !newest.is_synced) || kind == StreamKind::Checksum {
                continue;
            }
            for (worker, debt) in channel.take_debts(outbox.standings()) {
                let payload = match debt {
                    Debt::Since(id) if id == newest.book.last_id() => continue,
                    Debt::Since(id) => match newest.book.diff_since(id, &mut self.diff) {
                        Ok(()) => Payload::Diff(&self.diff),
                        Err(error) => {
                            tracing::error!(symbol = self.instrument.name(), %error, worker, "subscribers of its depth are closed");
                            for token in channel.outlets_of(worker) {
                                outbox.end(worker, token, TopicEnd::EngineBehind);
                            }
                            continue;
                        }
                    },
                    Debt::Newest => match newest.event(kind, &mut scratch) {
                        Some(payload) => payload,
                        None => continue,
                    },
                };
                outbox.make_up(channel, worker, &mut EventFrames::new(&self.instrument, payload));
            }
        }
    }
}
