//! One turn of a worker over its connections, slice by slice as `Worker::slice` takes them, but cut anywhere; and the end of
//! a case, at which everybody reads to the end and leaves.

use depthcast_wire::ws::CloseCode;

use super::market::{Post, REFUSAL, why_ended};
use super::peer::Phase;
use super::reader::Got;
use super::socket::ENDLESS;
use super::world::{PEERS, World};
use super::{Checked, ensure};
use crate::reactor::messages::{TopicEnd, TopicToken, WorkerMessage};
use crate::session::EndCause;
use crate::session::ending::Goodbye;

/// How much of everything a turn does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slices {
    pub(super) reads: usize,
    pub(super) sweeps: u32,
    pub(super) messages: usize,
    pub(super) visits: usize,
    pub(super) timers: usize,
}

/// All that there is to do, as far as one turn goes.
pub(super) const WHOLE: Slices = Slices {
    reads: 64,
    sweeps: 64,
    messages: 64,
    visits: 64,
    timers: 64,
};

/// Turns after which a worker with nothing new to do has come to rest: those of a peer that has said a megabyte.
const REST_TURNS_MAX: usize = 10_000;

impl World {
    pub(super) fn turn(&mut self, slices: Slices) -> Checked {
        self.poll();
        self.read(slices.reads)?;
        self.sweep(slices.sweeps)?;
        self.take_messages(slices.messages)?;
        self.flush(slices.visits)?;
        self.run_timers(slices.timers)?;
        self.check_counts()
    }

    fn poll(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            let edges = client.pipe.borrow_mut().take_edges();
            if edges.writable {
                client.peer.is_blocked = false;
                self.connections.on_writable(client.id);
            }
            if edges.readable {
                self.connections.on_readable(client.id, edges.ending);
            }
        }
    }

    fn read(&mut self, turns: usize) -> Checked {
        for client in self.clients.iter_mut().flatten() {
            client.was_in_part = client.is_in_part(client.pipe.borrow().read);
            let is_talking = !client.pipe.borrow().arrived.is_empty();
            let waiting = self.connections.fanout.prefix_cost(client.id);
            self.seen.paused += u64::from(is_talking && waiting > 256 * 1024);
        }
        self.connections.read_some(turns);
        for (socket, head) in self.connections.take_handed_off() {
            let read = socket.0.borrow().read;
            ensure!(
                head.len() as u64 == read,
                "{head:?} is handed off of {read} bytes read"
            );
        }
        for place in 0..PEERS {
            let Some(client) = &mut self.clients[place] else {
                continue;
            };
            let read = client.pipe.borrow().read;
            let session = self.connections.session(client.id);
            if client.peer.phase == Phase::Hello
                && session.is_some_and(|session| session.is_refused_for_room(self.now, &self.rules.session))
            {
                client.refuse_for_room(&self.rules, self.now)?;
                self.seen.no_buffer += 1;
            }
            let mut was_in_part = client.was_in_part;
            while let Some(said) = client.said.pop_front_if(|said| said.at <= read) {
                was_in_part &= said.is_between_fragments;
                client.heard = said.at;
                client.is_between_fragments = said.is_between_fragments;
                client.peer.on_message(said.message, self.epoch, self.now);
            }
            client.peer.message_since = match client.peer.message_since {
                _ if !client.is_in_part(read) => None,
                Some(since) if was_in_part => Some(since),
                _ => Some(self.now),
            };
            if client.peer.phase == Phase::Elsewhere {
                ensure!(client.pipe.borrow().is_closed, "not handed off");
                self.clients[place] = None;
                self.seen.handed_off += 1;
                continue;
            }
            let mut pipe = client.pipe.borrow_mut();
            let is_at_end = std::mem::take(&mut pipe.has_read_end);
            // One that is being said goodbye to may still read.
            let is_owed = client.peer.is_closing() && !pipe.is_shut;
            let is_gone = pipe.has_failed || (is_at_end && !is_owed);
            client.is_at_end |= is_at_end;
            drop(pipe);
            if is_gone {
                self.on_gone(place, None)?;
            }
        }
        self.settle("reading")
    }

    fn sweep(&mut self, count: u32) -> Checked {
        let Some(goodbye) = self.goodbye else {
            ensure!(!self.connections.is_sweeping(), "a round without a reason");
            return Ok(());
        };
        self.connections.sweep_some(count);
        for place in 0..PEERS {
            let Some(client) = self.clients[place].as_mut().filter(|client| client.is_to_go) else {
                continue;
            };
            let session = self.connections.session(client.id);
            match client.peer.phase {
                Phase::Open if session.is_some_and(|session| session.is_closing()) => {
                    client.peer.on_goodbye(&goodbye, self.now);
                    client.is_to_go = false;
                }
                Phase::Hello if client.pipe.borrow().is_closed => {
                    let cause = match client.peer.cause() {
                        cause @ (EndCause::Attempts | EndCause::NoRoom) => cause,
                        _ => EndCause::Engine,
                    };
                    self.on_gone(place, Some(cause))?;
                }
                Phase::Closing(_) => client.is_to_go = false,
                _ => {}
            }
        }
        if !self.connections.is_sweeping() {
            self.goodbye = None;
            ensure!(
                !self.live().any(|client| client.is_to_go),
                "passed over by a round"
            );
        }
        self.settle("sweeping")
    }

    fn take_messages(&mut self, count: usize) -> Checked {
        for _ in 0..count {
            if !self.connections.takes_messages() {
                break;
            }
            let Some(post) = self.market.outbox.pop_front() else {
                break;
            };
            let flow = self.connections.deliver(post.message());
            ensure!(flow.is_continue(), "told to stop by {post:?}");
            self.on_post(post)?;
            self.settle("taking a message")?;
        }
        Ok(())
    }

    /// What the model makes of a message that the worker has taken.
    fn on_post(&mut self, post: Post) -> Checked {
        let now = self.now;
        match post {
            Post::Batch(events) => {
                for (token, event) in events {
                    if self.topics.get(&(event.name, event.encoding)) == Some(&token) {
                        self.live().try_for_each(|client| client.peer.on_event(&event))?;
                    }
                }
            }
            Post::Joined {
                connection,
                number,
                snapshots,
            } => {
                let topics = &self.topics;
                let mut clients = self.clients.iter_mut().flatten();
                let Some(client) = clients.find(|client| client.id == connection) else {
                    return Ok(());
                };
                let (Some(asked), Some(wait)) = (
                    client.asked.take_if(|asked| asked.number == number),
                    &client.peer.wait,
                ) else {
                    return Ok(());
                };
                let is_late = wait.joined.iter().any(|name| {
                    let topic = (*name, wait.encoding);
                    asked.topics.get(&topic) != topics.get(&topic)
                });
                self.seen.joined += 1;
                self.seen.joined_late += u64::from(is_late);
                match snapshots {
                    Ok(snapshots) => client.peer.on_joined(&snapshots, is_late),
                    Err(_) => client
                        .peer
                        .on_goodbye(&goodbye(CloseCode::TRY_AGAIN_LATER, REFUSAL), now),
                }
            }
            Post::EndTopic(token) => self.end_topic(token),
            Post::Epoch { id, ends } => {
                self.epoch = Some(id);
                if let Some(reason) = ends {
                    self.goodbye = Some(goodbye(CloseCode::SERVICE_RESTART, reason));
                    self.live()
                        .for_each(|client| client.is_to_go = client.peer.phase == Phase::Open);
                }
            }
        }
        Ok(())
    }

    fn end_topic(&mut self, token: TopicToken) {
        let topic = self.topics.iter().find(|(_, wanted)| **wanted == token);
        if let Some((&topic, _)) = topic {
            let (reason, cause) = match why_ended(token) {
                TopicEnd::TooMuchAtOnce => ("more changed at once than", EndCause::Overload),
                TopicEnd::EngineBehind => ("the engine is overloaded", EndCause::EngineBehind),
            };
            let goodbye = Goodbye {
                cause,
                ..goodbye(CloseCode::TRY_AGAIN_LATER, reason)
            };
            for client in self.clients.iter_mut().flatten() {
                if client.peer.received().any(|received| received == topic) {
                    client.peer.on_goodbye(&goodbye, self.now);
                }
            }
        }
    }

    fn flush(&mut self, visits: usize) -> Checked {
        let retention = self.rules.fanout.retention_bytes;
        let is_bounded = !self.rules.fanout.lossless;
        let mut behind = [false; PEERS];
        for (behind, client) in behind.iter_mut().zip(&self.clients) {
            if let Some(client) = client
                .as_ref()
                .filter(|client| client.peer.is_blocked && is_bounded)
            {
                *behind = client.peer.owed.shared_bytes() > retention;
            }
        }
        self.connections.fanout.enforce_retention();
        self.connections.flush(visits);
        for (place, behind) in behind.into_iter().enumerate() {
            self.on_flushed(place, behind)
                .map_err(|what| format!("peer {place}, flushing at tick {}: {what}", self.now))?;
        }
        self.settle("flushing")
    }

    /// What a peer has got by a flush, and what follows from it: one that is blocked and `is_behind` must be given up, and
    /// nobody else.
    fn on_flushed(&mut self, place: usize, is_behind: bool) -> Checked {
        let Some(client) = &mut self.clients[place] else {
            return Ok(());
        };
        let mut pipe = client.pipe.borrow_mut();
        let written = std::mem::take(&mut pipe.written);
        let writes = std::mem::take(&mut pipe.writes);
        self.bytes += written.len() as u64;
        for got in client.reader.read(&written)? {
            client.peer.owed.on_got(&got)?;
            self.seen.got += 1;
            self.seen.events += u64::from(is_event(&got));
        }
        client.peer.owed.set_begun(client.reader.has_begun());
        client.peer.on_writes(&writes, self.now);
        self.seen.short_writes += writes.iter().filter(|write| write.taken < write.offered).count() as u64;
        let session = self.connections.session(client.id);
        if client.peer.phase == Phase::Open {
            let is_given_up = session.is_some_and(|session| session.is_closing());
            ensure!(
                is_given_up == is_behind,
                "given up: {is_given_up}, behind: {is_behind}, owed: {:?}",
                client.peer.owed
            );
            if is_given_up {
                self.seen.overrun += 1;
                client
                    .peer
                    .give_up(1008, "slow consumer: ", EndCause::TooFarBehind, self.now);
            }
        }
        let is_through = client.peer.is_closing() && client.peer.owed.is_empty();
        if pipe.is_shut && !client.is_shut {
            ensure!(is_through, "ended before everything was written");
            client.is_shut = true;
            client.peer.on_shut(self.now);
        }
        let is_gone = pipe.has_failed || (is_through && client.is_at_end);
        ensure!(
            is_gone || !is_through || pipe.is_shut,
            "not ended behind the last byte"
        );
        drop(pipe);
        if is_gone {
            self.on_gone(place, None)?;
        }
        Ok(())
    }

    fn run_timers(&mut self, count: usize) -> Checked {
        let (now, limits) = (self.now, self.rules.session);
        let is_due = |place: &usize| {
            let client = self.clients[*place].as_ref();
            client.is_some_and(|client| client.peer.deadline() <= now)
        };
        let due: Vec<usize> = (0..PEERS).filter(is_due).collect();
        let may_have_more = self.connections.run_timers(count);
        for place in due {
            let Some(client) = &mut self.clients[place] else {
                continue;
            };
            let is_gone = client.pipe.borrow().is_closed;
            let session = self.connections.session(client.id);
            let is_handled = is_gone || session.is_none_or(|session| session.deadline(&limits) > now);
            ensure!(
                is_handled || may_have_more,
                "peer {place} is forgotten at tick {now}"
            );
            if !is_handled {
                continue;
            }
            if client.peer.is_closing() {
                self.on_gone(place, None)?;
            } else {
                client.peer.on_timer(now);
            }
        }
        self.settle("running timers")
    }

    /// Everybody reads to the end, and leaves.
    pub(super) fn finish(&mut self) -> Checked {
        for client in self.live() {
            client.utter(b"", 0);
            client.pipe.borrow_mut().make_room(ENDLESS);
        }
        self.come_to_rest()?;
        self.market.publish(!0, 7, 40);
        self.come_to_rest()?;
        self.check_all_read()?;
        ensure!(
            self.connections.fanout.bytes_held() == 0,
            "a log holds what everybody has"
        );
        let is_stopping = self.is_stopping;
        ensure!(
            !is_stopping || self.live().all(|client| client.peer.is_closing()),
            "somebody stays behind the engine's end"
        );
        for place in (0..PEERS).filter(|place| !is_stopping || place % 2 == 0) {
            self.end_of_stream(place);
        }
        self.come_to_rest()?;
        // Those who do not end their side wait for the grace of a Close.
        self.pass_time(self.rules.session.close_ticks + 1);
        self.come_to_rest()?;
        self.check_nothing_left()
    }

    fn come_to_rest(&mut self) -> Checked {
        for _ in 0..REST_TURNS_MAX {
            self.market.read(usize::MAX)?;
            while self.market.waiting() > 0 {
                self.market.answer(0, true);
            }
            self.turn(WHOLE)?;
            if self.is_at_rest() {
                return Ok(());
            }
        }
        Err("the worker does not come to rest".into())
    }

    /// The engine ends, as `Worker::stop` has it.
    pub(super) fn stop(&mut self, at_once: bool) -> Checked {
        let flow = self.connections.deliver(WorkerMessage::Stop { at_once });
        ensure!(flow.is_break(), "not told to stop");
        let goodbye = Goodbye {
            at_once,
            shutdown_us: Some(1_700_000_000_123_456),
            ..goodbye(CloseCode::GOING_AWAY, "the engine is ending")
        };
        self.connections.begin_sweep(goodbye);
        self.goodbye = Some(goodbye);
        self.is_stopping = true;
        self.live().for_each(|client| client.is_to_go = true);
        Ok(())
    }

    fn check_all_read(&mut self) -> Checked {
        for client in self.live() {
            let pipe = client.pipe.borrow();
            ensure!(
                client.peer.owed.is_empty() && !client.reader.has_begun(),
                "connection {} misses {:?}",
                client.id,
                client.peer.owed
            );
            ensure!(pipe.arrived.is_empty(), "connection {} is not read", client.id);
            ensure!(
                client.said.is_empty() || client.peer.is_closing(),
                "connection {} is not heard: {:?}",
                client.id,
                client.said
            );
        }
        Ok(())
    }

    fn check_nothing_left(&mut self) -> Checked {
        ensure!(
            self.connections.len() == 0 && self.connections.without_room() == 0,
            "connections are left"
        );
        ensure!(self.connections.deadlines() == 0, "deadlines are left");
        ensure!(self.topics.is_empty(), "{:?} is still wanted", self.topics);
        ensure!(self.market.is_idle(), "the market thread has something left");
        let fanout = &mut self.connections.fanout;
        ensure!(
            fanout.lagging() == 0 && !fanout.is_over_retention() && fanout.bytes_held() == 0,
            "the fan-out has something left"
        );
        for (n, &cause) in EndCause::ALL.iter().enumerate() {
            self.seen.ended[n] += self.counters.ended(cause);
        }
        Ok(())
    }
}

/// Whether a frame is the market thread's.
fn is_event(got: &Got) -> bool {
    matches!(got, Got::Frame { payload, .. } if payload.starts_with(b"event ") || payload.starts_with(b"snapshot "))
}

fn goodbye(code: u16, reason: &'static str) -> Goodbye {
    let cause = match code {
        CloseCode::TRY_AGAIN_LATER => EndCause::Overload,
        _ => EndCause::Engine,
    };
    Goodbye {
        code,
        reason,
        cause,
        at_once: false,
        shutdown_us: None,
    }
}
