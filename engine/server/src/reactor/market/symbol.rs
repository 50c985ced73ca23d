//! One symbol: its book, the rules that keep it in step with its feed, and what is published of it.

mod newest;
mod statistics;

use std::sync::Arc;

use depthcast_market::aggregate::Aggregator;
use depthcast_market::book::{Book, BookError, BookLimits};
use depthcast_market::event::{AggTrade, BestBidAsk, BookSnapshot, DepthUpdate, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::limits::RecordLimits;
use depthcast_market::series::SeriesId;
use depthcast_market::sync::{BookSync, SnapshotVerdict, SyncError, UpdateVerdict};
use depthcast_wire::stream::{Cadence, StreamKind, StreamName, SymbolName};

use self::statistics::Statistics;
use super::cadence::{Tick, WindowMarks};
use super::channel::{Channels, Content, Outlet};
use super::frames::{EventFrames, Outbox};
use super::payload::Payload;
use super::{FeedSymbol, TopicToken};
use crate::session::encoding::Encoding;

/// Updates kept while a snapshot is awaited: a minute of a busy symbol at 100 a second. Past it the oldest go, and a
/// snapshot must then be as new as those that are left.
const BUFFERED_UPDATES_MAX: usize = 6_000;

/// Why a symbol's book cannot be trusted any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedFault {
    /// The ids do not continue.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The update cannot be applied.
    #[error(transparent)]
    Book(#[from] BookError),
}

#[derive(Debug)]
pub(super) struct Symbol {
    instrument: Arc<Instrument>,
    name: SymbolName,
    feed_cadence_ms: u32,
    book: Book,
    sync: BookSync,
    marks: WindowMarks,
    /// The newest event time that the feed has given, for events that carry none.
    event_time_us: i64,
    /// Subscribers have had a change of this book: the next one goes on where it ended.
    has_published: bool,
    /// The newest best bid and ask that the feed gave, with its event time.
    best: Option<(i64, BestBidAsk)>,
    /// Kept whether or not somebody wants aggregate trades: their ids are the same for everybody.
    aggregator: Aggregator,
    /// Kept likewise.
    statistics: Statistics,
    /// How often the book has changed, or become stale.
    book_changes: u64,
    channels: Channels,
    diff: DepthUpdate,
    top: BookSnapshot,
}

impl Symbol {
    pub(super) fn new(symbol: &FeedSymbol, limits: RecordLimits) -> Symbol {
        let lower = symbol.instrument.name().to_ascii_lowercase();
        Symbol {
            name: SymbolName::new(&lower).expect("an instrument's name is a symbol name"),
            instrument: symbol.instrument.clone(),
            feed_cadence_ms: symbol.depth_cadence_ms,
            book: Book::new(BookLimits::default()),
            sync: BookSync::new(BUFFERED_UPDATES_MAX),
            marks: WindowMarks::default(),
            event_time_us: 0,
            has_published: false,
            best: None,
            aggregator: Aggregator::new(),
            statistics: Statistics::new(limits),
            book_changes: 0,
            channels: Channels::default(),
            diff: DepthUpdate::default(),
            top: BookSnapshot::default(),
        }
    }

    pub(super) fn instrument(&self) -> &Arc<Instrument> {
        &self.instrument
    }

    /// The name as streams have it: lower case.
    pub(super) fn stream_name(&self) -> SymbolName {
        self.name
    }

    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        let content = self.content_of(name, encoding);
        self.channels.attach(outlet, name, encoding, content);
        self.on_wants();
    }

    /// What decides a stream's events.
    fn content_of(&self, name: StreamName, encoding: Encoding) -> Content {
        let kind = match name.kind {
            // Two names of the same events.
            StreamKind::BestBidAsk => StreamKind::BookTicker,
            StreamKind::Kline(interval, clock) => Statistics::kind_of(SeriesId::of(interval, clock)),
            kind => kind,
        };
        let ticks = self.ticks_at(name, encoding);
        Content { kind, ticks }
    }

    /// The topics of one worker whose every event has to be told.
    pub(super) fn unmergeable(&self, worker: usize) -> impl Iterator<Item = TopicToken> {
        let channels = self.channels.all().filter(|channel| channel.is_unmergeable());
        channels.flat_map(move |channel| channel.outlets_of(worker))
    }

    pub(super) fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        self.channels.detach(outlet, name, encoding);
        self.on_wants();
    }

    /// Whether the book is in step with its feed.
    pub(super) fn is_synced(&self) -> bool {
        self.sync.is_synced()
    }

    /// The book is not to be trusted until the next snapshot.
    pub(super) fn mark_stale(&mut self) {
        self.sync.reset();
        self.on_book_change();
    }

    /// The top of the book; None while that is stale.
    pub(super) fn top(&self, limit: usize) -> Option<BookSnapshot> {
        self.sync.is_synced().then(|| {
            let mut top = BookSnapshot::default();
            self.book.snapshot(limit, &mut top);
            top
        })
    }

    /// A snapshot of the book as it is was given: from here on every event must continue it.
    pub(super) fn on_snapshot_given(&mut self) {
        self.has_published = true;
    }

    /// Whether what a stream begins with now is continued exactly by the stream's next event at a worker.
    pub(super) fn can_begin(&self, now_us: i64, name: StreamName, encoding: Encoding, worker: usize) -> bool {
        match name.kind {
            StreamKind::Depth => {
                self.sync.is_synced()
                    && !self.channels.owes(worker, self.content_of(name, encoding))
                    && self
                        .ticks_at(name, encoding)
                        .is_none_or(|cadence| self.marks.is_clean(now_us, self.book.last_id(), cadence))
            }
            // It begins with the newest there is, and that is not known now.
            StreamKind::PartialDepth(_) | StreamKind::Checksum => self.sync.is_synced(),
            _ => true,
        }
    }

    /// The id that the book stands at.
    pub(super) fn last_id(&self) -> u64 {
        self.book.last_id()
    }

    /// The whole book with its event time.
    pub(super) fn whole(&self) -> (i64, BookSnapshot) {
        let mut whole = BookSnapshot::default();
        self.book.snapshot(usize::MAX, &mut whole);
        (self.book.event_time_us().max(self.event_time_us), whole)
    }

    /// What changed after an id that is behind the book's own; None where the book does not remember that far back.
    pub(super) fn changes_since(&self, id: u64) -> Option<DepthUpdate> {
        let mut changes = DepthUpdate::default();
        self.book.diff_since(id, &mut changes).ok()?;
        Some(changes)
    }

    /// The cadence at which a stream ticks; None when it is emitted on arrival.
    fn ticks_at(&self, name: StreamName, encoding: Encoding) -> Option<Cadence> {
        name.cadence(encoding.is_sbe())
            .filter(|cadence| cadence.millis() > self.feed_cadence_ms)
    }

    pub(super) fn on_depth(
        &mut self,
        update: &DepthUpdate,
        at_us: i64,
        outbox: &mut Outbox,
    ) -> Result<(), FeedFault> {
        self.event_time_us = self.event_time_us.max(update.event_time_us);
        self.on_book_change();
        match self.sync.on_update(update) {
            Ok(UpdateVerdict::Apply) => self.apply(update, at_us, outbox),
            Ok(UpdateVerdict::Buffered | UpdateVerdict::Old) => Ok(()),
            // Said once: while no snapshot comes it is so for every update.
            Err(SyncError::BufferFull { dropped, .. }) if dropped > 1 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn on_snapshot(
        &mut self,
        snapshot: &BookSnapshot,
        at_us: i64,
        outbox: &mut Outbox,
    ) -> Result<(), FeedFault> {
        self.on_book_change();
        // A way to the exchange that is a little behind gives a book that is older than ours: ours is as right as it was, and
        // what the feed goes on with is old to it up to where it stands.
        let is_behind = self.book.is_loaded() && snapshot.last_id < self.book.last_id();
        let id = if is_behind {
            self.book.last_id()
        } else {
            snapshot.last_id
        };
        if self.sync.is_synced() || self.sync.on_snapshot(id) != SnapshotVerdict::Load {
            return Ok(());
        }
        if is_behind {
            // Nothing changes, and what is owed goes out with this window.
            self.marks.on_change(at_us, id);
            tracing::info!(
                symbol = self.instrument.name(),
                "the feed's book is older than ours, which goes on"
            );
        } else if self.book.is_loaded() {
            let before = self.book.last_id();
            self.marks.on_change(at_us, before);
            self.book.resync(snapshot).inspect_err(|_| self.sync.reset())?;
            self.publish_healing(before, outbox);
        } else {
            self.book.load(snapshot).inspect_err(|_| self.sync.reset())?;
            self.marks = WindowMarks::begin(at_us, snapshot.last_id);
        }
        while let Some(update) = self.sync.pop_ready()? {
            self.apply(&update, at_us, outbox)?;
        }
        Ok(())
    }

    pub(super) fn on_best_bid_ask(&mut self, mut best: BestBidAsk, at_us: i64, outbox: &mut Outbox) {
        let known = if self.event_time_us > 0 {
            self.event_time_us
        } else {
            at_us
        };
        let event_time_us = *best.event_time_us.get_or_insert(known);
        self.best = Some((event_time_us, best));
        self.statistics.on_best();
        self.publish(
            StreamKind::BookTicker,
            Payload::Best(event_time_us, &best),
            outbox,
        );
    }

    /// A trade, at a moment of the market's time and of its events'.
    pub(super) fn on_trade(&mut self, trade: &Trade, (at_us, clock_us): (i64, i64), outbox: &mut Outbox) {
        self.event_time_us = self.event_time_us.max(trade.event_time_us);
        self.publish(StreamKind::Trade, Payload::Trade(trade), outbox);
        self.count_trade(trade, (at_us, clock_us), outbox);
        for aggregate in self.aggregator.on_trade(trade, at_us) {
            self.publish_aggregate(&aggregate, outbox);
        }
    }

    /// A frame of the bench feed.
    pub(super) fn on_fixed(&mut self, payload: &[u8], outbox: &mut Outbox) {
        self.publish(StreamKind::Fixed, Payload::Fixed(payload), outbox);
    }

    /// The feed says no more: publishes what waits for more of it.
    pub(super) fn on_end(&mut self, clock_us: i64, outbox: &mut Outbox) {
        if let Some(aggregate) = self.aggregator.complete() {
            self.publish_aggregate(&aggregate, outbox);
        }
        let cadences = Cadence::ALL.iter().copied().map(Some);
        for cadence in cadences.chain([None]) {
            self.make_up(cadence, clock_us, outbox);
        }
    }

    fn publish_aggregate(&mut self, aggregate: &AggTrade, outbox: &mut Outbox) {
        self.statistics.on_aggregate(aggregate);
        self.publish(StreamKind::AggTrade, Payload::AggTrade(aggregate), outbox);
    }

    /// Publishes an event of a kind that never waits for a tick.
    fn publish(&mut self, kind: StreamKind, event: Payload<'_>, outbox: &mut Outbox) {
        let before = self.book.last_id();
        let mut frames = EventFrames::new(&self.instrument, event);
        for channel in self
            .channels
            .on_arrival()
            .filter(|channel| channel.content.kind == kind)
        {
            outbox.publish(channel, &mut frames, before);
        }
    }

    /// Emits what ticks at `tick`, where the book changed in the window that ends with it.
    pub(super) fn on_tick(&mut self, tick: Tick, clock_us: i64, outbox: &mut Outbox) {
        if let Some(aggregate) = self.aggregator.on_time(tick.0) {
            self.publish_aggregate(&aggregate, outbox);
        }
        self.make_up(None, clock_us, outbox);
        if !self.sync.is_synced() {
            self.marks.owe(tick);
            return;
        }
        for cadence in tick.cadences() {
            let since = self.marks.take(tick, cadence);
            if let Some(since) = since.filter(|since| *since < self.book.last_id())
                && self.channels.ticking(Some(cadence)).next().is_some()
            {
                self.publish_tick(cadence, since, outbox);
            }
            self.make_up(Some(cadence), clock_us, outbox);
        }
    }

    /// Publishes what changed after the id `since` to the channels of one cadence, which share one difference.
    fn publish_tick(&mut self, cadence: Cadence, since: u64, outbox: &mut Outbox) {
        let ticks = Some(cadence);
        let mut is_known = Ok(());
        if self
            .channels
            .ticking(ticks)
            .any(|channel| channel.is_of_changes())
        {
            is_known = self.book.diff_since(since, &mut self.diff);
        }
        let mut frames = EventFrames::new(&self.instrument, Payload::Diff(&self.diff));
        for channel in self.channels.ticking(ticks) {
            if let StreamKind::PartialDepth(levels) = channel.content.kind {
                self.book.snapshot(levels.count(), &mut self.top);
                let top = Payload::Top(self.book.event_time_us(), &self.top);
                outbox.publish(channel, &mut EventFrames::new(&self.instrument, top), since);
            } else if is_known.is_ok() {
                outbox.publish(channel, &mut frames, since);
            }
        }
        if let Err(error) = is_known {
            // More levels were removed within one window than the book remembers.
            tracing::error!(symbol = self.instrument.name(), %error, "subscribers of a cadence are closed");
            let ended = self.channels.ticking(ticks).map(|channel| &*channel);
            outbox.end_all(ended.filter(|channel| channel.is_of_changes()));
        }
    }

    /// Publishes what a resync changed as one event that continues at `before`.
    fn publish_healing(&mut self, before: u64, outbox: &mut Outbox) {
        if self.book.last_id() == before {
            return;
        }
        let mut diff = std::mem::take(&mut self.diff);
        match self.book.diff_since(before, &mut diff) {
            Ok(()) => {
                diff.event_time_us = self.event_time_us;
                self.publish_depth(&diff, before, outbox);
            }
            Err(error) => {
                tracing::error!(symbol = self.instrument.name(), %error, "subscribers of its depth are closed");
                let ended = self.channels.on_arrival().map(|channel| &*channel);
                outbox.end_all(ended.filter(|channel| channel.is_of_changes()));
                // The top can be told whatever happened before.
                self.publish_tops(self.event_time_us, outbox);
            }
        }
        self.diff = diff;
    }

    fn apply(&mut self, update: &DepthUpdate, at_us: i64, outbox: &mut Outbox) -> Result<(), FeedFault> {
        let before = self.book.last_id();
        self.marks.on_change(at_us, before);
        self.book.apply(update).inspect_err(|_| self.sync.reset())?;
        if self.has_published && update.first_id <= before {
            // The snapshot of a resync covers its beginning, and what that changed was published already.
            let mut rest = update.clone();
            rest.first_id = before + 1;
            self.publish_depth(&rest, before, outbox);
        } else {
            self.publish_depth(update, before, outbox);
        }
        Ok(())
    }

    /// Publishes a change of the book, which stood at `before`, to the channels that do not wait for a tick.
    fn publish_depth(&mut self, update: &DepthUpdate, before: u64, outbox: &mut Outbox) {
        self.has_published = true;
        let mut frames = EventFrames::new(&self.instrument, Payload::Diff(update));
        for channel in self
            .channels
            .on_arrival()
            .filter(|channel| channel.is_of_changes())
        {
            outbox.publish(channel, &mut frames, before);
        }
        self.publish_tops(update.event_time_us, outbox);
    }

    /// Publishes the top of the book to the channels of it that do not wait for a tick.
    fn publish_tops(&mut self, event_time_us: i64, outbox: &mut Outbox) {
        for channel in self.channels.on_arrival() {
            if let StreamKind::PartialDepth(levels) = channel.content.kind {
                self.book.snapshot(levels.count(), &mut self.top);
                let top = Payload::Top(event_time_us, &self.top);
                let before = self.book.last_id();
                outbox.publish(channel, &mut EventFrames::new(&self.instrument, top), before);
            }
        }
    }
}
