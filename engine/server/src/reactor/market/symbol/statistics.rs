//! What is derived of a symbol's trades, and when it is told: candlesticks when they close and every two seconds, the last 24 hours,
//! the average price and the checksum every second.

use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BestBidAsk, Level, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::limits::{DAY_US, RecordLimits};
use depthcast_market::record::{Changes, TradeRecord};
use depthcast_market::series::{SeriesId, SeriesSet, Wanted};
use depthcast_market::statistics::{AveragePrice, DayStatistics};
use depthcast_market::window::begin_us;
use depthcast_wire::stream::StreamKind;

use super::super::channel::{Channels, Content};
use super::super::feed_clock::{EMPTIES_PER_STREAM, Round};
use super::super::frames::{EventFrames, Outbox};
use super::super::payload::Payload;
use super::Symbol;
use super::newest::Scratch;

/// The statistics of a symbol.
#[derive(Debug)]
pub(in super::super) struct Statistics {
    limits: RecordLimits,
    /// From the first trade on.
    record: Option<Box<TradeRecord>>,
    /// The candlesticks that somebody wants.
    wanted: SeriesSet,
    /// When there was a trade, and the day and the average changed, in the market's time.
    traded_us: i64,
    day_changed_us: i64,
    average_changed_us: i64,
    /// How far the time of the feed's events had come in the last round.
    clock_us: i64,
    /// The best bid and ask as the last ticker had them.
    told_best: Option<(Level, Level)>,
    /// How often the ticker changed beside its trades: by the best bid and ask.
    best_changes: u64,
}

impl Statistics {
    pub(super) fn new(limits: RecordLimits) -> Statistics {
        Statistics {
            limits,
            record: None,
            wanted: SeriesSet::default(),
            traded_us: i64::MIN,
            day_changed_us: i64::MIN,
            average_changed_us: i64::MIN,
            clock_us: 0,
            told_best: None,
            best_changes: 0,
        }
    }

    /// The kind under which the candlesticks of a series are published, whatever name asks for them.
    pub(super) fn kind_of(id: SeriesId) -> StreamKind {
        StreamKind::Kline(id.interval(), id.clock())
    }

    pub(super) fn on_best(&mut self) {
        self.best_changes += 1;
    }

    pub(super) fn on_aggregate(&mut self, trade: &AggTrade) {
        // The record begins with the first trade, which is before any aggregate.
        if let Some(record) = &mut self.record {
            record.on_aggregate(trade);
        }
    }

    pub(super) fn day(&self) -> Option<DayStatistics> {
        self.record.as_ref().map(|record| record.day())
    }

    /// The day of a symbol that never had a trade.
    pub(super) fn quiet_day(&self, clock_us: i64) -> DayStatistics {
        let span = (begin_us(clock_us, DAY_US, self.limits.day_part_us), clock_us);
        DayStatistics::quiet(span, None)
    }

    pub(super) fn average(&self) -> Option<AveragePrice> {
        self.record.as_ref().map(|record| record.average())
    }

    /// Notes when what has changed did.
    fn note(&mut self, before: Changes, at_us: i64) {
        let Some(now) = self.record.as_ref().map(|record| record.changes()) else {
            return;
        };
        for (before, now, changed_us) in [
            (before.trades, now.trades, &mut self.traded_us),
            (before.day, now.day, &mut self.day_changed_us),
            (before.average, now.average, &mut self.average_changed_us),
        ] {
            if now > before {
                *changed_us = at_us;
            }
        }
    }
}

impl Symbol {
    /// Somebody wants a stream, or nobody does any more.
    pub(super) fn on_wants(&mut self) {
        let mut wanted = SeriesSet::default();
        for channel in self.channels.all() {
            if let Content {
                kind: StreamKind::Kline(interval, clock),
                ..
            } = channel.content
            {
                wanted.set(SeriesId::of(interval, clock), true);
            }
        }
        let statistics = &mut self.statistics;
        if let Some(record) = &mut statistics.record
            && wanted.iter().any(|id| !statistics.wanted.contains(id))
        {
            // What was over before is not told to who comes now; to others it was.
            record.on_time(statistics.clock_us, Wanted::default(), &mut |_, _| {});
        }
        statistics.wanted = wanted;
    }

    /// The book has changed, or is stale, or may be: and with it the ticker, where the feed gives no best bid and ask.
    pub(super) fn on_book_change(&mut self) {
        self.book_changes += 1;
        self.statistics.best_changes += u64::from(self.best.is_none());
    }

    /// How many streams of candlesticks are wanted.
    pub(in super::super) fn klines_wanted(&self) -> usize {
        self.statistics.wanted.len()
    }

    /// How often what a ticker says has changed.
    pub(in super::super) fn ticker_changes(&self) -> u64 {
        let of_trades = self.record().map_or(0, |record| record.changes().day);
        of_trades + self.statistics.best_changes
    }

    /// How often the book has changed.
    pub(in super::super) fn book_changes(&self) -> u64 {
        self.book_changes
    }

    /// What is kept of its trades.
    pub(in super::super) fn record(&self) -> Option<&TradeRecord> {
        self.statistics.record.as_deref()
    }

    pub(in super::super) fn day_changed_since(&self, since_us: i64) -> bool {
        self.statistics.day_changed_us >= since_us
    }

    pub(in super::super) fn day(&self) -> Option<DayStatistics> {
        self.statistics.day()
    }

    /// The last 24 hours and the best bid and ask, whatever is known of them.
    pub(in super::super) fn ticker(&self, clock_us: i64) -> (DayStatistics, Option<BestBidAsk>) {
        let day = self.day().unwrap_or_else(|| self.statistics.quiet_day(clock_us));
        (day, self.newest(clock_us).best())
    }

    /// Counts a trade, behind the candlesticks that it closes.
    pub(super) fn count_trade(&mut self, trade: &Trade, (at_us, clock_us): (i64, i64), outbox: &mut Outbox) {
        let statistics = &mut self.statistics;
        let mut before = Changes::default();
        match &mut statistics.record {
            Some(record) => {
                before = record.changes();
                let wanted = Wanted {
                    series: statistics.wanted,
                    empties_max: EMPTIES_PER_STREAM,
                };
                let (instrument, channels) = (&self.instrument, &mut self.channels);
                record.on_trade(trade, clock_us, wanted, &mut |id, candle| {
                    tell_candle(instrument, channels, clock_us, (id, candle, true), outbox);
                });
            }
            None => {
                statistics.record = Some(Box::new(TradeRecord::new(statistics.limits, trade, clock_us)));
            }
        }
        statistics.note(before, at_us);
    }

    /// Time has come to `clock_us` of the feed's events: candlesticks close, and days and averages end with it.
    pub(in super::super) fn move_to(
        &mut self,
        clock_us: i64,
        at_us: i64,
        empties_max: usize,
        outbox: &mut Outbox,
    ) {
        let statistics = &mut self.statistics;
        let Some(record) = &mut statistics.record else {
            return;
        };
        let before = record.changes();
        let wanted = Wanted {
            series: statistics.wanted,
            empties_max,
        };
        let (instrument, channels) = (&self.instrument, &mut self.channels);
        record.on_time(clock_us, wanted, &mut |id, candle| {
            tell_candle(instrument, channels, clock_us, (id, candle, true), outbox);
        });
        statistics.note(before, at_us);
    }

    /// Publishes what is due.
    pub(in super::super) fn tick_statistics(&mut self, round: &Round, outbox: &mut Outbox) {
        self.statistics.clock_us = round.clock_us;
        let is_wanted = !self.channels.is_empty();
        let is_due = self
            .record()
            .is_some_and(|record| record.due_us() <= round.clock_us);
        if is_wanted || is_due {
            // What goes with the time that ends here is told with it.
            self.move_to(round.clock_us, round.at_us - 1, round.empties_max, outbox);
        }
        if !is_wanted {
            return;
        }
        if let Some(since_us) = round.klines_since_us
            && self.statistics.traded_us >= since_us
            && let Some(record) = &self.statistics.record
        {
            for id in self.statistics.wanted.iter().filter(|id| *id != SECONDS) {
                let candle = record.candles().current(id);
                if !candle.is_empty() {
                    let told = (id, &candle, false);
                    tell_candle(&self.instrument, &mut self.channels, round.clock_us, told, outbox);
                }
            }
        }
        if let Some(since_us) = round.statistics_since_us {
            self.tell_statistics(since_us, round.clock_us, outbox);
        }
    }

    /// Publishes the day and the average where they have changed since then, and the checksum.
    fn tell_statistics(&mut self, since_us: i64, clock_us: i64, outbox: &mut Outbox) {
        let day_changed = self.day_changed_since(since_us);
        if day_changed {
            self.tell_newest(StreamKind::MiniTicker, clock_us, outbox);
        }
        if self.channels.has(StreamKind::Ticker) {
            let best = self.newest(clock_us).best().map(|best| (best.bid, best.ask));
            if day_changed || best != self.statistics.told_best {
                self.statistics.told_best = best;
                self.tell_newest(StreamKind::Ticker, clock_us, outbox);
            }
        }
        if self.statistics.average_changed_us >= since_us {
            self.tell_newest(StreamKind::AveragePrice, clock_us, outbox);
        }
        self.tell_newest(StreamKind::Checksum, clock_us, outbox);
    }

    /// Publishes the newest event of a kind; to workers that were behind, too.
    fn tell_newest(&mut self, kind: StreamKind, clock_us: i64, outbox: &mut Outbox) {
        if !self.channels.has(kind) {
            return;
        }
        let mut scratch = Scratch::default();
        let mut channels = std::mem::take(&mut self.channels);
        // A checksum is of the book that subscribers have: where changes of it are owed, the next will do.
        let passed_over = if kind == StreamKind::Checksum {
            channels.owed_changes()
        } else {
            Vec::new()
        };
        let newest = self.newest(clock_us);
        if let Some(payload) = newest.event(kind, &mut scratch) {
            let mut frames = EventFrames::new(&self.instrument, payload);
            for channel in channels.of_kind(kind) {
                let debts = channel.take_debts(outbox.standings());
                let mut told: Vec<usize> = debts.into_iter().map(|(worker, _)| worker).collect();
                told.retain(|worker| !passed_over.contains(worker));
                for &worker in &told {
                    outbox.make_up(channel, worker, &mut frames);
                }
                told.extend(&passed_over);
                outbox.publish_to_others(channel, &mut frames, 0, &told);
            }
        }
        self.channels = channels;
    }
}

/// The candlesticks that are told only when they are over.
const SECONDS: SeriesId = SeriesId::SECONDS;

/// Publishes a candlestick; whether it is over.
fn tell_candle(
    instrument: &Instrument,
    channels: &mut Channels,
    clock_us: i64,
    (id, candle, is_closed): (SeriesId, &Candle, bool),
    outbox: &mut Outbox,
) {
    let payload = Payload::Kline(clock_us, id.interval(), candle, is_closed);
    let mut frames = EventFrames::new(instrument, payload);
    for channel in channels.of_kind(Statistics::kind_of(id)) {
        outbox.publish(channel, &mut frames, 0);
    }
}
