//! A worker: one thread with a poll, a listener and connections of its own. It accepts, reads, takes batches from its
//! mailbox, flushes and runs timers, each in bounded slices, so that none of them holds up the others for long.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use depthcast_wire::ws::CloseCode;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::acceptor::{Acceptor, Arrival, Listeners, Load};
use super::attempts::{AttemptLimits, Attempts, Verdict};
use super::connections::Connections;
use super::counters::Counters;
use super::delivery::Stop;
use super::mailbox::Inbox;
use super::messages::{MarketRequest, WorkerMessage};
use super::occupancy::Occupancy;
use super::table::TableSize;
use super::topics::Topics;
use crate::fanout::{Fanout, FanoutLimits};
use crate::os::apart::Stays;
use crate::os::clock::{self, Clock};
use crate::os::handoff::{Giver, HEAD_BYTES_MAX, NotGiven, Taken};
use crate::os::wake::Ear;
use crate::os::{cpu, net};
use crate::session::ending::Goodbye;
use crate::session::handshake::{NO_ROOM, unavailable};
use crate::session::{EndCause, SessionLimits, TICK_MS, TurnedAway};

const WAKER: Token = Token(usize::MAX);
/// What the admin thread gives back.
const RETURNS: Token = Token(usize::MAX - 1);
/// The first of those of listeners, which go downwards; connections have theirs from 0 up.
const LISTENER: Token = Token(usize::MAX - 2);

/// Poll events taken at a time.
const EVENTS_MAX: usize = 1024;
/// Connections accepted before anything else has its turn.
const ACCEPTS_PER_SLICE: usize = 64;
/// The same while more than [`READS_WAITING_MAX`] connections wait to be read: when all lose their connections and come back,
/// the places of those that have gone are free first, and no table grows for it. Who waits to be accepted loses nothing.
const ACCEPTS_WHILE_MANY_WAIT: usize = 8;
/// See [`ACCEPTS_WHILE_MANY_WAIT`].
const READS_WAITING_MAX: usize = 256;
/// Connections taken back from the admin thread before anything else has its turn.
const RETURNS_PER_SLICE: usize = 16;
/// Connections read before anything else has its turn.
const READS_PER_SLICE: usize = 128;
/// Messages taken from the mailbox before anything else has its turn.
const MESSAGES_PER_SLICE: usize = 64;
/// Members visited before anything else has its turn: about 2 ms of `send()`.
const VISITS_PER_SLICE: usize = 512;
/// Connections closed in a round over all before anything else has its turn.
const SWEEP_PER_SLICE: u32 = 1024;
/// Deadlines handled before anything else has its turn.
const TIMERS_PER_SLICE: usize = 256;
/// How much longer than its connections' own deadlines a stopping worker waits for them.
const STOP_SLACK_TICKS: u32 = 5;

/// What those are told who are there when the engine ends, and those who come then.
const ENDING: &str = "the engine is ending";

/// What all workers share.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Bounds of the fan-out.
    pub fanout: FanoutLimits,
    /// Times and bounds of a connection.
    pub session: SessionLimits,
    /// Connections that one address may open.
    pub attempts: AttemptLimits,
    /// The places of one worker's table.
    pub table: TableSize,
    /// Workers that share a core at most.
    pub sharers: usize,
}

/// The way from a worker to the other threads.
#[derive(Clone, Debug)]
pub struct WorkerLinks {
    /// To the market thread.
    pub market: Sender<MarketRequest>,
    /// Counts for everybody.
    pub counters: Arc<Counters>,
    /// The time of all workers.
    pub clock: Clock,
    /// The connections that addresses have opened lately, at whichever worker. A lock is enough: it is taken once for a
    /// connection, held for one look into a table, and by peers to whom the limit does not apply never.
    pub attempts: Arc<Mutex<Attempts>>,
    /// Which workers are full.
    pub occupancy: Arc<Occupancy>,
    /// Set when the engine is to end at once, past whatever the mailbox holds.
    pub end_at_once: Arc<AtomicBool>,
}

/// What a worker has of its own: its descriptors are of the table of its thread.
#[derive(Debug)]
pub struct WorkerEnds {
    /// Keeps it on that thread.
    pub stays: Stays,
    /// Where connections arrive.
    pub listeners: Listeners,
    /// Where messages arrive.
    pub inbox: Inbox<WorkerMessage>,
    /// A copy of the bell of its mailbox.
    pub bell: OwnedFd,
    /// The way to the admin thread.
    pub admin: Giver,
}

/// A worker that was built and not started, on the thread on which it is to run.
///
/// It cannot leave that thread, with whose descriptor table its own are:
///
/// ```compile_fail
/// fn crosses_threads<T: Send>() {}
/// crosses_threads::<depthcast::reactor::worker::Worker>();
/// ```
#[derive(Debug)]
pub struct Worker {
    _stays: Stays,
    index: usize,
    settings: WorkerSettings,
    links: WorkerLinks,
    poll: Poll,
    acceptor: Acceptor,
    inbox: Inbox<WorkerMessage>,
    /// Kept for as long as the worker may sleep.
    _ear: Ear,
    admin: Giver,
    connections: Connections<TcpStream>,
    clock: Clock,
    now: u32,
    inbox_may_have_more: bool,
    returns_may_have_more: bool,
    timers_may_be_due: bool,
    /// Set once the worker is to end: at this tick at the latest.
    stop_at: Option<u32>,
    is_stopping_at_once: bool,
}

impl Worker {
    /// Worker number `index`.
    pub fn new(
        index: usize,
        ends: WorkerEnds,
        settings: WorkerSettings,
        links: WorkerLinks,
    ) -> io::Result<Worker> {
        let clock = links.clock;
        let poll = Poll::new()?;
        let table = settings.table;
        let acceptor = Acceptor::new(
            index,
            table,
            ends.listeners,
            links.occupancy.clone(),
            LISTENER,
            poll.registry(),
        )?;
        let ear = Ear::register(ends.bell, poll.registry(), WAKER)?;
        ends.admin.register(poll.registry(), RETURNS)?;
        let connections = Connections::new(
            table.connections + table.refusals,
            Fanout::new(settings.fanout),
            Topics::new(index, links.market.clone()),
            settings.session,
            links.counters.clone(),
            index,
        );
        connections.counts().connections_max.set(table.connections.into());
        Ok(Worker {
            _stays: Stays::default(),
            index,
            settings,
            links,
            poll,
            acceptor,
            inbox: ends.inbox,
            _ear: ear,
            admin: ends.admin,
            connections,
            clock,
            now: 0,
            inbox_may_have_more: false,
            returns_may_have_more: false,
            timers_may_be_due: false,
            stop_at: None,
            is_stopping_at_once: false,
        })
    }

    /// Runs until told to stop. An error is the host's: the poll itself failed.
    pub fn run(mut self) -> io::Result<()> {
        if !cpu::pin_to_core(self.index) {
            tracing::debug!(
                worker = self.index,
                "the host does not let a thread stay on one core"
            );
        }
        if !cpu::share_core(self.settings.sharers) {
            tracing::debug!(
                worker = self.index,
                "the host does not let a thread be less urgent"
            );
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let patience = self.patience();
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now = (self.clock.now_ns() / (u64::from(TICK_MS) * 1_000_000)) as u32;
            self.connections.set_now(self.now);
            for event in &events {
                match event.token() {
                    WAKER => {
                        self.inbox.acknowledge();
                        self.inbox_may_have_more = true;
                    }
                    RETURNS => self.returns_may_have_more = true,
                    token if self.acceptor.on_event(token) => {}
                    Token(id) => {
                        if event.is_writable() {
                            self.connections.on_writable(id as u32);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.connections.on_readable(id as u32, event.is_read_closed());
                        }
                    }
                }
            }
            self.slice();
            if self
                .stop_at
                .is_some_and(|at| self.now >= at || self.connections.len() == 0)
            {
                return Ok(());
            }
        }
    }

    /// How long the poll may sleep: not at all while something is left to do, and never past the next tick.
    fn patience(&mut self) -> Duration {
        let busy = self.acceptor.has_more()
            || (self.inbox_may_have_more && self.connections.takes_messages())
            || (self.returns_may_have_more && self.load().served < self.settings.table.connections)
            || self.timers_may_be_due
            || self.connections.is_sweeping()
            || self.connections.reads_waiting() > 0
            || self.connections.fanout.has_work();
        if busy {
            Duration::ZERO
        } else {
            Duration::from_millis(u64::from(TICK_MS))
        }
    }

    /// One bounded turn of everything.
    fn slice(&mut self) {
        if self.links.end_at_once.load(Ordering::Relaxed) {
            self.stop(true);
        }
        self.connections.read_some(READS_PER_SLICE);
        self.accept_some();
        if self.returns_may_have_more {
            self.take_back();
        }
        self.pass_on_requests();
        self.connections.topics.flush();
        self.connections.sweep_some(SWEEP_PER_SLICE);
        if self.inbox_may_have_more {
            self.take_messages();
        }
        self.connections.fanout.enforce_retention();
        self.connections.flush(VISITS_PER_SLICE);
        self.inbox.set_busy(self.connections.is_catching_up());
        self.timers_may_be_due = self.connections.run_timers(TIMERS_PER_SLICE);
        self.connections.publish_counts();
    }

    fn accept_some(&mut self) {
        let (counts, registry) = (self.connections.counts(), self.poll.registry());
        let load = self.load();
        self.acceptor.settle(self.now, load.served, counts, registry);
        if !self.acceptor.has_more() {
            return;
        }
        let count = if self.connections.reads_waiting() > READS_WAITING_MAX {
            ACCEPTS_WHILE_MANY_WAIT
        } else {
            ACCEPTS_PER_SLICE
        };
        for _ in 0..count {
            let load = self.load();
            match self.acceptor.next(self.now, load, self.connections.counts()) {
                Some(Arrival::Admitted(socket, peer)) => {
                    let turned_away = self.note_attempt(peer);
                    self.admit(socket, turned_away);
                }
                Some(Arrival::NoRoom(socket)) => drop(self.admit(socket, Some(TurnedAway::NoRoom))),
                Some(Arrival::Unheard(socket)) => self.refuse_unheard(socket),
                Some(Arrival::Gone) => {}
                None => return,
            }
        }
    }

    fn load(&self) -> Load {
        let refused = self.connections.without_room();
        Load {
            served: self.connections.len() - refused,
            refused,
        }
    }

    /// Counts a connection of `peer`. Whether its address has opened too many.
    fn note_attempt(&self, peer: IpAddr) -> Option<TurnedAway> {
        if !self.settings.attempts.apply_to(peer) {
            return None;
        }
        // A table in which another worker has panicked is as good as before: its windows are numbers.
        let mut attempts = self.links.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match attempts.note(peer, self.now) {
            Verdict::Admitted => None,
            Verdict::Untracked => {
                Counters::bump(&self.links.counters.untracked_attempts);
                None
            }
            Verdict::TooMany(ticks) => Some(TurnedAway::for_ticks(ticks)),
        }
    }

    /// Its number, unless it has not come to be served or turned away.
    fn admit(&mut self, socket: TcpStream, turned_away: Option<TurnedAway>) -> Option<u32> {
        let id = match self.connections.insert(socket, turned_away) {
            Ok(id) => id,
            Err(socket) => {
                self.refuse_unheard(socket);
                return None;
            }
        };
        if turned_away == Some(TurnedAway::NoRoom) {
            self.connections.counts().refused.add_one();
        } else {
            self.connections.counts().accepted.add_one();
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        let socket = self.connections.socket_mut(id)?;
        if let Err(error) = registry.register(socket, Token(id as usize), interest) {
            self.connections.drop_connection(id);
            self.acceptor.starve(self.now, &error, self.connections.counts());
            return None;
        }
        Some(id)
    }

    /// Takes connections that the admin thread served and whose next request is a subscriber's. Whichever worker comes first
    /// has them; a full one leaves them to others while there are any with room.
    fn take_back(&mut self) {
        let mut head = Vec::new();
        for _ in 0..RETURNS_PER_SLICE {
            let load = self.load();
            let has_room = load.served < self.settings.table.connections;
            if !has_room && !self.links.occupancy.are_all_full() {
                return;
            }
            head.resize(HEAD_BYTES_MAX, 0);
            match self.admin.take_back(&mut head) {
                Ok(Taken::Socket(socket, bytes)) => {
                    let socket = TcpStream::from_std(socket.into());
                    if self.stop_at.is_some() || (!has_room && load.refused >= self.settings.table.refusals) {
                        self.refuse_unheard(socket);
                    } else if let Some(id) = self.admit(socket, (!has_room).then_some(TurnedAway::NoRoom)) {
                        self.connections.on_bytes(id, &head[..bytes], true);
                    }
                }
                Ok(Taken::Lost) => tracing::warn!(
                    worker = self.index,
                    "a connection was lost: the host refuses another descriptor"
                ),
                // Another worker was quicker, or the admin thread has gone.
                Ok(Taken::Ended) | Err(_) => {
                    self.returns_may_have_more = false;
                    return;
                }
            }
        }
    }

    /// Answers a connection that has no place in the table.
    fn refuse_unheard(&mut self, socket: TcpStream) {
        self.connections.counts().refused.add_one();
        let why = if self.stop_at.is_some() { ENDING } else { NO_ROOM };
        net::answer_and_close(socket, &unavailable(why));
    }

    /// Gives requests that are not subscribers' to the admin thread, or refuses them when it has enough.
    fn pass_on_requests(&mut self) {
        for (mut socket, head) in self.connections.take_handed_off() {
            // Only a socket that has failed refuses to be deregistered, and then the admin thread finds out.
            let _ = self.poll.registry().deregister(&mut socket);
            // What is given is a copy: this one is closed here.
            if let Err(error) = self.admin.give(socket.as_fd(), &head) {
                if let NotGiven::Host(_) = error {
                    tracing::warn!(worker = self.index, %error, "cannot pass a request on");
                }
                net::answer_and_close(socket, &unavailable("too many requests wait"));
            }
        }
    }

    fn take_messages(&mut self) {
        for _ in 0..MESSAGES_PER_SLICE {
            if !self.connections.takes_messages() {
                return;
            }
            match self.inbox.take() {
                Ok(message) => {
                    if let ControlFlow::Break(Stop { at_once }) = self.connections.deliver(message) {
                        self.stop(at_once);
                    }
                }
                Err(error) => {
                    self.inbox_may_have_more = false;
                    // Those who told it to stop may end before it does: that does not hurry the goodbyes.
                    if error == crossbeam_channel::TryRecvError::Disconnected && self.stop_at.is_none() {
                        self.stop(true);
                    }
                    return;
                }
            }
        }
    }

    fn stop(&mut self, at_once: bool) {
        if self.stop_at.is_some() && (self.is_stopping_at_once || !at_once) {
            return;
        }
        self.is_stopping_at_once = at_once;
        let session = &self.settings.session;
        let patience = session.close_ticks + STOP_SLACK_TICKS + if at_once { 0 } else { session.lag_ticks };
        // A lossless end takes as long as its slowest subscriber goes on reading.
        let is_patient = self.settings.fanout.lossless && !at_once;
        self.stop_at = Some(if is_patient { u32::MAX } else { self.now + patience });
        self.connections.begin_sweep(Goodbye {
            code: CloseCode::GOING_AWAY,
            reason: ENDING,
            cause: EndCause::Engine,
            at_once,
            shutdown_us: Some(clock::wall_us()),
        });
        self.acceptor.stop(self.poll.registry());
    }
}
