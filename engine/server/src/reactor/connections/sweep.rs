//! Goodbyes: every connection closed in a round that is cut into slices, or everybody who receives a topic.

use depthcast_wire::ws::CloseCode;

use super::{Connections, EndCause};
use crate::reactor::messages::TopicToken;
use crate::reactor::socket::Socket;
use crate::session::ending::Goodbye;

/// A round over all connections, cut into bounded slices.
#[derive(Debug)]
pub(super) struct Sweep {
    goodbye: Goodbye,
    /// The key to look at next.
    next: u32,
    /// Keys from here on had never been given when the round began.
    end: u32,
}

impl<S: Socket> Connections<S> {
    /// Begins to close every subscriber and, when the engine ends, every connection. A round that is under way is given up
    /// for it.
    pub(in crate::reactor) fn begin_sweep(&mut self, goodbye: Goodbye) {
        self.sweeps = self.sweeps.wrapping_add(1);
        self.sweep = Some(Sweep {
            goodbye,
            next: 0,
            end: self.slab.key_end(),
        });
    }

    /// Whether a round over all connections is under way.
    pub(in crate::reactor) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Goes on with the round, over up to `count` connections.
    pub(in crate::reactor) fn sweep_some(&mut self, count: u32) {
        let Some(Sweep { goodbye, next, end }) = self.sweep.take() else {
            return;
        };
        let stop = end.min(next.saturating_add(count));
        for id in next..stop {
            self.sweep_one(id, &goodbye);
        }
        if stop < end {
            self.sweep = Some(Sweep {
                goodbye,
                next: stop,
                end,
            });
        }
    }

    fn sweep_one(&mut self, id: u32, goodbye: &Goodbye) {
        let Some(connection) = self.slab.get(id) else {
            return;
        };
        if connection.session.is_open() {
            // One that was told of the history that begins has nothing of the one that ends.
            if connection.opened_in != self.sweeps || goodbye.shutdown_us.is_some() {
                self.say_goodbye(id, goodbye);
            }
        } else if goodbye.shutdown_us.is_some() && !connection.is_finishing {
            self.give_up(id, goodbye.code, goodbye.reason, EndCause::Engine);
        }
    }

    fn say_goodbye(&mut self, id: u32, goodbye: &Goodbye) {
        let next = self.with_session(id, |session, turn| session.say_goodbye(goodbye, turn));
        self.carry_out(id, next);
    }

    /// Closes everybody who receives a topic, after all that it is owed.
    pub(in crate::reactor) fn close_topic(
        &mut self,
        token: TopicToken,
        reason: &'static str,
        cause: EndCause,
    ) {
        let Some(topic) = self.topics.find(token) else {
            return;
        };
        let goodbye = Goodbye {
            code: CloseCode::TRY_AGAIN_LATER,
            reason,
            cause,
            at_once: false,
            shutdown_us: None,
        };
        for id in self.fanout.members_of(topic) {
            self.say_goodbye(id, &goodbye);
        }
    }
}
