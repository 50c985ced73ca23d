//! The end of a connection: given up, said goodbye to, or dropped; what it had goes back.

use super::{Connection, Connections, count_subscriber};
use crate::reactor::counters::Counters;
use crate::reactor::socket::Socket;
use crate::session::EndCause;

impl<S: Socket> Connections<S> {
    pub(super) fn on_end_of_stream(&mut self, id: u32) {
        let connection = &mut self.slab[id];
        connection.is_at_end = true;
        // One that is being said goodbye to may still read: it is dropped when it has been given everything.
        if !connection.is_finishing || connection.is_shut {
            self.drop_connection(id);
        }
    }

    pub(super) fn give_up(&mut self, id: u32, code: u16, reason: &str, cause: EndCause) {
        if self.slab.get(id).is_some() {
            let next = self.with_session(id, |session, turn| session.give_up(code, reason, cause, turn));
            self.carry_out(id, next);
        }
    }

    /// Everything owed to a connection was written: it is read from again, or its end goes on.
    pub(super) fn on_drained(&mut self, id: u32) {
        let Some(connection) = self.slab.get_mut(id) else {
            return;
        };
        if self.conflated.contains_key(&id) && self.joins.get(id).is_none() {
            connection.session.on_caught_up();
            self.arm(id);
        }
        self.wait_for_market(id);
        let connection = &mut self.slab[id];
        if std::mem::take(&mut connection.is_paused) {
            self.on_readable(id, false);
        }
        let connection = &mut self.slab[id];
        if !connection.is_finishing || connection.is_shut {
            return;
        }
        // The peer gets our end of stream behind our last byte; its own is then awaited, up to the session's deadline.
        // Closing at once would turn into a reset where something of the peer's is unread, and destroy our last bytes.
        if connection.is_at_end || connection.socket.shut_down_writing().is_err() {
            self.drop_connection(id);
        } else {
            connection.is_shut = true;
            connection.session.on_all_said(self.now, &self.limits);
            self.arm(id);
        }
    }

    pub(in crate::reactor) fn drop_connection(&mut self, id: u32) {
        let Some(connection) = self.slab.get(id) else {
            return;
        };
        // A peer whose end has not come in the time that it had for it may never read: the kernel would keep our last bytes
        // for it for minutes.
        let is_overdue = connection.is_shut && !connection.is_at_end;
        if is_overdue || !self.fanout.is_drained(id) {
            connection.socket.reset_on_close();
        }
        let cause = connection.session.end_cause();
        tracing::debug!(connection = id, ?cause, "closed");
        if !connection.is_finishing {
            self.count_end(id, cause);
        }
        self.forget(id);
    }

    /// Counts the end of a connection, once. One that has no cause of ours was its peer's.
    pub(super) fn count_end(&self, id: u32, cause: Option<EndCause>) {
        let cause = cause.unwrap_or(EndCause::Peer);
        if EndCause::SLOW.contains(&cause) {
            Counters::sampled(&self.counters.slow_told, || {
                tracing::info!(connection = id, ?cause, "a slow consumer is closed");
            });
        }
        self.counts().ended[cause.index()].add_one();
    }

    pub(super) fn forget(&mut self, id: u32) -> Option<Connection<S>> {
        self.wheel.cancel(id);
        self.conflated.remove(&id);
        if self.joins.get(id).is_some() {
            self.with_session(id, |_, turn| turn.host.withdraw());
        }
        self.fanout.remove(id);
        let mut connection = self.slab.remove(id)?;
        self.without_room -= u32::from(connection.session.end_cause() == Some(EndCause::NoRoom));
        connection.session.give_back(&mut self.buffers);
        count_subscriber(&mut connection.has_streams, false, &self.counters);
        Some(connection)
    }
}
