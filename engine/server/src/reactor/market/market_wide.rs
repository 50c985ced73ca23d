//! The streams of the whole market: its heartbeat, once each second whatever its feed does, and the tickers of all symbols.

use std::sync::Arc;

use depthcast_market::instrument::Instrument;
use depthcast_market::statistics::DayStatistics;
use depthcast_wire::stream::{StreamKind, StreamName};

use super::channel::{Channels, Content, Debt, Outlet};
use super::feed_clock::Round;
use super::frames::{EventFrames, Outbox};
use super::payload::{Heartbeat, Published};
use super::symbol::Symbol;
use crate::session::encoding::Encoding;

/// The streams of one history of the feed, and who wants them.
#[derive(Debug, Default)]
pub(super) struct MarketWide {
    epoch: u64,
    /// How many heartbeats there were: they count on while nobody listens.
    count: u64,
    channels: Channels,
}

impl MarketWide {
    /// A history begins. What was wanted is attached anew.
    pub(super) fn begin_epoch(&mut self, epoch: u64) {
        *self = MarketWide {
            epoch,
            ..MarketWide::default()
        };
    }

    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        let content = Content {
            kind: name.kind,
            ticks: None,
        };
        self.channels.attach(outlet, name, encoding, content);
    }

    pub(super) fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        self.channels.detach(outlet, name, encoding);
    }

    /// Publishes the next heartbeat. `feed_time_us` is how far the feed's time has come: it stands still when the feed does,
    /// which is how subscribers tell.
    pub(super) fn beat(&mut self, feed_time_us: Option<i64>, outbox: &mut Outbox) {
        self.count += 1;
        let mut frames = EventFrames::of(Published::Heartbeat(Heartbeat {
            feed_time_us: feed_time_us.unwrap_or_default(),
            epoch: self.epoch,
            count: self.count,
        }));
        for channel in self.channels.of_kind(StreamKind::Heartbeat) {
            outbox.publish(channel, &mut frames, 0);
        }
    }

    /// Publishes the tickers that have changed; nothing when none has. A worker that was behind is told of all that have since
    /// it was.
    pub(super) fn tick_statistics(&mut self, round: &Round, symbols: &[Symbol], outbox: &mut Outbox) {
        let Some(since_us) = round.statistics_since_us else {
            return;
        };
        for channel in self.channels.of_kind(StreamKind::MiniTickers) {
            let mut told = Vec::new();
            for (worker, debt) in channel.take_debts(outbox.standings()) {
                let Debt::Since(debt_us) = debt else { continue };
                let changed = changed_since(symbols, debt_us.cast_signed());
                if !changed.is_empty() {
                    let published = Published::MiniTickers(round.clock_us, &changed);
                    outbox.make_up(channel, worker, &mut EventFrames::of(published));
                    told.push(worker);
                }
            }
            let changed = changed_since(symbols, since_us);
            if !changed.is_empty() {
                let published = Published::MiniTickers(round.clock_us, &changed);
                let before = since_us.unsigned_abs();
                outbox.publish_to_others(channel, &mut EventFrames::of(published), before, &told);
            }
        }
    }
}

/// The days of the symbols whose trades of 24 hours have changed since then, in the feed's order.
fn changed_since(symbols: &[Symbol], since_us: i64) -> Vec<(Arc<Instrument>, DayStatistics)> {
    let changed = symbols.iter().filter(|symbol| symbol.day_changed_since(since_us));
    changed
        .filter_map(|symbol| Some((symbol.instrument().clone(), symbol.day()?)))
        .collect()
}
