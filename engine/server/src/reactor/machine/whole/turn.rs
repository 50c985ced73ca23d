//! One turn of a worker, and what its clients make of it: what they read, and whether each end is justified.

use std::ops::ControlFlow;

use super::client::Client;
use super::steps::CLIENTS;
use super::world::World;
use crate::reactor::machine::turn::Slices;
use crate::reactor::machine::{Checked, ensure};
use crate::reactor::messages::WorkerMessage;
use crate::session::EndCause;

impl World {
    /// One turn, slice by slice as `Worker::slice` takes them. Gives how many messages it took.
    pub(super) fn turn(&mut self, worker: usize, slices: Slices) -> Checked<usize> {
        let now = self.now();
        let hand = &mut self.workers[worker];
        let connections = &mut hand.connections;
        connections.set_now(now);
        let places: Vec<usize> = (0..CLIENTS)
            .filter(|&place| {
                self.clients[place]
                    .as_ref()
                    .is_some_and(|client| client.worker == worker)
            })
            .collect();
        let clients = &mut self.clients;
        for &place in &places {
            let client = clients[place].as_mut().expect("a client");
            let edges = client.pipe.borrow_mut().take_edges();
            if edges.writable {
                client.socket.is_blocked = false;
                connections.on_writable(client.id);
            }
            if edges.readable {
                connections.on_readable(client.id, edges.ending);
            }
        }
        connections.read_some(slices.reads);
        ensure!(connections.take_handed_off().is_empty(), "a client is handed off");
        connections.topics.flush();
        connections.sweep_some(slices.sweeps);
        let mut taken = 0;
        hand.inbox.acknowledge();
        while taken < slices.messages && connections.takes_messages() {
            let Ok(message) = hand.inbox.take() else { break };
            taken += 1;
            if let WorkerMessage::Epoch { id, ends } = &message {
                for &place in &places {
                    let client = clients[place].as_mut().expect("a client");
                    if connections
                        .session(client.id)
                        .is_some_and(|session| session.is_open())
                    {
                        client.is_to_go |= ends.is_some();
                        client.epoch.get_or_insert(*id);
                    }
                }
            }
            ensure!(
                connections.deliver(message) == ControlFlow::Continue(()),
                "told to stop"
            );
        }
        for &place in &places {
            let socket = &mut clients[place].as_mut().expect("a client").socket;
            socket.was_blocked = socket.is_blocked;
        }
        connections.fanout.enforce_retention();
        connections.flush(slices.visits);
        hand.inbox.set_busy(connections.is_catching_up());
        for &place in &places {
            clients[place].as_mut().expect("a client").on_writes(now);
        }
        let has_run_all = !connections.run_timers(slices.timers);
        connections.publish_counts();
        for place in places {
            self.look_at(place, has_run_all)
                .map_err(|what| format!("client {place} at tick {now}: {what}"))?;
        }
        Ok(taken)
    }

    /// What has come of a client in this turn.
    fn look_at(&mut self, place: usize, has_run_timers: bool) -> Checked {
        let now = self.now();
        let Some(client) = &mut self.clients[place] else {
            return Ok(());
        };
        let connections = &self.workers[client.worker].connections;
        let session = connections.session(client.id);
        let is_open = session.is_some_and(|session| session.is_open());
        if is_open && connections.fanout.is_drained(client.id) && !connections.is_waiting(client.id) {
            client.socket.lag_since = None;
            client.socket.dry_since = None;
            client.socket.is_blocked = false;
        }
        if is_open && connections.has_asked(client.id) {
            // Until the market thread has answered it is not the client who is late.
            client.socket.dry_since = None;
        }
        if let Some(session) = session
            && session.is_closing()
            && client.closing.is_none()
        {
            let cause = session.end_cause().unwrap_or(EndCause::Peer);
            let lag = client.socket.lag_since.map_or(0, |since| now - since);
            client.closing = Some((cause, lag));
            client.closing_since = now;
            client.check_cause(cause, now, self.rules.session.life_ticks)?;
        }
        let limit = self.rules.session.lag_ticks;
        let is_dry = client.socket.dry_since.is_some_and(|since| now - since > limit);
        ensure!(
            !(is_open && has_run_timers && is_dry),
            "kept, though it has taken nothing since {:?}",
            client.socket
        );
        ensure!(
            !(is_open && client.is_to_go) || connections.is_sweeping(),
            "kept past the end of its history"
        );
        let written = std::mem::take(&mut client.pipe.borrow_mut().written);
        for got in client.reader.read(&written)? {
            let mut around = World::around(&self.exchange, client, self.is_live, &mut self.seen);
            client.on_got(&got, &mut around)?;
        }
        if client.close.is_some() && !client.is_told {
            client.is_told = true;
            client.check_close(limit, &mut self.seen)?;
            let is_for_history = client
                .close
                .as_ref()
                .is_some_and(|(_, why)| why.contains("more was missed"));
            let around = World::around(&self.exchange, client, self.is_live, &mut self.seen);
            ensure!(
                !is_for_history || client.flows.values().any(|flow| !flow.is_within_reach(&around)),
                "closed for want of a history that is there"
            );
            client.has_left = true;
            client.pipe.borrow_mut().end();
        }
        if !client.pipe.borrow().is_closed {
            return Ok(());
        }
        let is_told = client.close.is_some();
        match client.closing {
            _ if is_told || client.has_left => {}
            // One that never reads is not told, nor one that was not visited in its time.
            Some(_) if client.socket.was_short || now - client.closing_since >= limit => {}
            closing => return Err(format!("closed without a word: {closing:?}")),
        }
        self.forget(place);
        Ok(())
    }
}

impl Client {
    /// How its socket has taken what it was given.
    fn on_writes(&mut self, now: u32) {
        let pipe = &mut *self.pipe.borrow_mut();
        for write in std::mem::take(&mut pipe.writes) {
            if write.taken < write.offered {
                let socket = &mut self.socket;
                (socket.was_short, socket.is_blocked) = (true, true);
                socket.lag_since.get_or_insert(now);
                socket.dry_since.get_or_insert(now);
            }
        }
    }

    /// The engine has begun to close it for this.
    fn check_cause(&self, cause: EndCause, now: u32, life_ticks: u32) -> Checked {
        let socket = &self.socket;
        let is_justified = match cause {
            EndCause::SlowConsumer | EndCause::TooFarBehind | EndCause::ConflatedTooOften => {
                socket.lag_since.is_some() || socket.was_blocked
            }
            EndCause::Engine => self.is_to_go,
            EndCause::Life => now - self.connected >= life_ticks,
            EndCause::Peer => self.has_left,
            _ => false,
        };
        ensure!(is_justified, "closed for {cause:?}: {socket:?}");
        Ok(())
    }

    /// It has read a Close.
    fn check_close(&self, lag_ticks: u32, seen: &mut super::Seen) -> Checked {
        let Some((code, reason)) = &self.close else {
            return Ok(());
        };
        let (cause, lag) = self
            .closing
            .ok_or_else(|| format!("a Close out of nothing: {code} {reason}"))?;
        let tail = reason.strip_prefix("slow consumer: ");
        let is_right = match (cause, code, tail) {
            (EndCause::SlowConsumer, 1008, Some(tail)) if tail.ends_with(" s behind") => {
                seen.by_age += 1;
                lag >= lag_ticks
            }
            (EndCause::TooFarBehind, 1008, Some(tail)) if tail.ends_with(" bytes behind") => {
                seen.by_bytes += 1;
                true
            }
            (EndCause::ConflatedTooOften, 1008, Some(tail)) if tail.starts_with("conflated more than") => {
                seen.by_count += 1;
                true
            }
            (EndCause::TooFarBehind, 1008, Some(tail)) if tail.starts_with("more was missed") => {
                seen.by_history += 1;
                true
            }
            (EndCause::Engine, 1012, None) => {
                seen.epochs += 1;
                true
            }
            (EndCause::Life, 1001, None) => {
                seen.lives += 1;
                true
            }
            (EndCause::Peer, 1000, None) => true,
            _ => false,
        };
        ensure!(
            is_right,
            "closed with {code} {reason:?} for {cause:?}, after a lag of {lag} ticks"
        );
        Ok(())
    }
}
