//! The heartbeat of the market: once each second, whatever its feed does.

use depthcast_wire::stream::{StreamKind, StreamName};

use super::channel::{Channels, Content, Outlet};
use super::frames::{EventFrames, Outbox};
use super::payload::{Heartbeat, Published};
use crate::session::encoding::Encoding;

/// The heartbeats of one history of the feed, and who wants them.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    epoch: u64,
    /// How many there were: they count on while nobody listens.
    count: u64,
    channels: Channels,
}

/// What decides a heartbeat's content.
const CONTENT: Content = Content {
    kind: StreamKind::Heartbeat,
    ticks: None,
};

impl Heartbeats {
    /// Those of a history that begins.
    pub(super) fn new(epoch: u64) -> Heartbeats {
        Heartbeats {
            epoch,
            ..Heartbeats::default()
        }
    }

    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        self.channels.attach(outlet, name, encoding, CONTENT);
    }

    pub(super) fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        self.channels.detach(outlet, name, encoding);
    }

    /// Publishes the next one. `feed_time_us` is how far the feed's time has come: it stands still when the feed does,
    /// which is how subscribers tell.
    pub(super) fn beat(&mut self, feed_time_us: Option<i64>, outbox: &mut Outbox) {
        self.count += 1;
        let mut frames = EventFrames::of(Published::Heartbeat(Heartbeat {
            feed_time_us: feed_time_us.unwrap_or_default(),
            epoch: self.epoch,
            count: self.count,
        }));
        for channel in self.channels.on_arrival() {
            outbox.publish(channel, &mut frames, 0);
        }
    }
}
