//! Where connections arrive at a worker, and what becomes of those for which there is no room.
//!
//! Each worker has a listener, and the kernel spreads connections over all. A full worker leaves its own alone, and its heir
//! ([`occupancy`](super::occupancy)) accepts there as well as at its own: no connection waits for a worker that has no room,
//! and no listener is ever closed, which would reset what waits in its queue. A worker without an heir accepts what arrives
//! at it and refuses it, at most so many at a time as there are places for that; past those, after a short wait, without
//! hearing the request.
//!
//! Where the host itself has no descriptor left, one of those held in reserve is given up to accept and refuse with.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::counters::WorkerCounters;
use super::episode::Episode;
use super::occupancy::Occupancy;
use super::table::{SPARES, TableSize};
use crate::os::net::{self, Accepted};
use crate::os::spare::Spares;

/// How long a worker counts as full after the host refused it a descriptor, ticks: then it tries again.
const STARVED_TICKS: u32 = 10;

/// How long a connection that is to be refused waits for a place to be heard in, ticks.
const REFUSAL_WAIT_TICKS: u32 = 2;

/// What a worker has to accept with.
#[derive(Debug)]
pub struct Listeners {
    /// Its own.
    pub own: OwnedFd,
    /// Copies of those of the workers before it, nearest first.
    pub neighbours: Vec<OwnedFd>,
}

/// What became of accepting.
#[derive(Debug)]
pub(super) enum Arrival {
    /// There is room for it.
    Admitted(TcpStream, IpAddr),
    /// There is none, but a place to tell it so behind its request.
    NoRoom(TcpStream),
    /// There is not even that.
    Unheard(TcpStream),
    /// It was gone before it was accepted.
    Gone,
}

/// What a worker's table holds now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Connections that are served.
    pub(super) served: u32,
    /// Connections that are being refused.
    pub(super) refused: u32,
}

#[derive(Debug)]
struct Door {
    listener: TcpListener,
    token: Token,
    /// We accept there: it is registered.
    is_ours: bool,
    /// Somebody may wait there.
    may_have_more: bool,
}

/// The listeners of one worker and its view of the others.
#[derive(Debug)]
pub(super) struct Acceptor {
    worker: usize,
    size: TableSize,
    /// Our own, and behind it the copies of our neighbours'.
    doors: Vec<Door>,
    /// The door at which the next look begins, so that none is waited at for the others.
    next_door: usize,
    occupancy: Arc<Occupancy>,
    /// The last change of the others that was looked at.
    seen: u64,
    /// Somebody else accepts at our listener while we are full.
    has_heir: bool,
    is_full: bool,
    spares: Spares,
    /// The host refused a descriptor; it is asked again at this tick.
    starved_until: Option<u32>,
    /// Since when somebody waits for a place to be refused in.
    refusal_waits_since: Option<u32>,
    /// Nothing can be accepted before something else happens.
    rests: bool,
    /// The worker is ending: nobody is admitted any more.
    is_ending: bool,
    full_told: Episode,
    starved_told: Episode,
}

impl Acceptor {
    /// Takes tokens from `last_token` downwards. An error is the host's.
    pub(super) fn new(
        worker: usize,
        size: TableSize,
        listeners: Listeners,
        occupancy: Arc<Occupancy>,
        last_token: Token,
        registry: &Registry,
    ) -> io::Result<Acceptor> {
        let all = std::iter::once(listeners.own).chain(listeners.neighbours);
        let mut doors: Vec<Door> = all
            .enumerate()
            .map(|(index, copy)| Door {
                listener: TcpListener::from_std(copy.into()),
                token: Token(last_token.0 - index),
                is_ours: false,
                may_have_more: false,
            })
            .collect();
        doors[0].open(registry)?;
        Ok(Acceptor {
            worker,
            size,
            doors,
            next_door: 0,
            seen: occupancy.revision(),
            has_heir: occupancy.view(worker).has_heir,
            occupancy,
            is_full: false,
            spares: Spares::take(SPARES)?,
            starved_until: None,
            refusal_waits_since: None,
            rests: false,
            is_ending: false,
            full_told: Episode::default(),
            starved_told: Episode::default(),
        })
    }

    /// An event of the poll, under a token that is not above ours. False when it is not ours.
    pub(super) fn on_event(&mut self, token: Token) -> bool {
        let index = self.doors[0].token.0 - token.0;
        let door = self.doors.get_mut(index);
        door.map(|door| door.may_have_more = true).is_some()
    }

    /// Tells the others whether we are full, and takes over or gives back what follows from what they tell: once a turn.
    pub(super) fn settle(&mut self, now: u32, served: u32, counts: &WorkerCounters, registry: &Registry) {
        self.rests = false;
        if self.is_ending {
            return;
        }
        // While it is full, what was given up goes on being of use.
        if self.starved_until.map_or(!self.is_full, |until| now >= until) {
            match self.spares.refill() {
                Ok(()) => self.starved_until = None,
                Err(error) => self.starve(now, &error, counts),
            }
        }
        let mark = if self.is_full {
            self.size.low_water() + 1
        } else {
            self.size.connections
        };
        let is_full = served >= mark || self.starved_until.is_some();
        if is_full != self.is_full {
            self.is_full = is_full;
            counts.is_full.set(is_full.into());
            if is_full {
                counts.became_full.add_one();
            }
            if self.occupancy.set_full(self.worker, is_full) {
                tracing::warn!("all workers are full: newcomers are answered 503");
            }
        }
        self.tell(now, served);
        let revision = self.occupancy.revision();
        if revision != self.seen {
            self.seen = revision;
            let view = self.occupancy.view(self.worker);
            self.has_heir = view.has_heir;
            let mut refused = None;
            for (door, is_ours) in self.doors[1..].iter_mut().zip(view.inherits) {
                if let Err(error) = door.set_ours(is_ours, registry) {
                    refused = Some(error);
                }
            }
            if let Some(error) = refused {
                // It is tried again in the next turn; until then others are the heirs.
                self.seen = revision.wrapping_sub(1);
                self.starve(now, &error, counts);
            }
        }
    }

    fn tell(&mut self, now: u32, served: u32) {
        let worker = self.worker;
        if self.is_full && self.full_told.note(now) {
            tracing::warn!(worker, served, "a worker is full");
        }
        if self.full_told.is_over(now) {
            tracing::info!(worker, served, "a worker that was full has room again");
            if self.occupancy.recovered() {
                tracing::info!("no longer are all workers full");
            }
        }
        if self.starved_told.is_over(now) {
            tracing::info!(worker, "the host refuses no more connections");
        }
    }

    /// Accepts one connection; None when there is none, or nothing to do with one for now.
    pub(super) fn next(&mut self, now: u32, load: Load, counts: &WorkerCounters) -> Option<Arrival> {
        if self.is_ending {
            return match self.accept_at(0) {
                Accepted::Connection(socket, _) => Some(Arrival::Unheard(socket)),
                Accepted::Gone => Some(Arrival::Gone),
                Accepted::Nothing => None,
                Accepted::Refused(_) => {
                    self.rests = true;
                    None
                }
            };
        }
        let has_room = load.served < self.size.connections && self.starved_until.is_none();
        if has_room {
            for _ in 0..self.doors.len() {
                let arrival = match self.accept_at(self.next_door) {
                    Accepted::Connection(socket, peer) => Arrival::Admitted(socket, peer),
                    Accepted::Gone => Arrival::Gone,
                    Accepted::Nothing => {
                        self.next_door = (self.next_door + 1) % self.doors.len();
                        continue;
                    }
                    Accepted::Refused(error) => {
                        self.starve(now, &error, counts);
                        // Its heir has room and perhaps a descriptor; without one it is refused in the next step.
                        return None;
                    }
                };
                self.next_door = (self.next_door + 1) % self.doors.len();
                return Some(arrival);
            }
            return None;
        }
        if !self.is_full {
            // The others have not been told: that is done at the beginning of the next turn.
            return None;
        }
        if self.has_heir {
            self.rests = true;
            return None;
        }
        self.refuse(now, load)
    }

    /// Accepts one connection at our own listener, to be refused.
    fn refuse(&mut self, now: u32, load: Load) -> Option<Arrival> {
        let is_heard = load.refused < self.size.refusals;
        if is_heard {
            self.refusal_waits_since = None;
        } else {
            let since = *self.refusal_waits_since.get_or_insert(now);
            if now - since < REFUSAL_WAIT_TICKS {
                self.rests = true;
                return None;
            }
        }
        let mut accepted = self.accept_at(0);
        while matches!(accepted, Accepted::Refused(_)) && self.spares.give_up() {
            accepted = self.accept_at(0);
        }
        match accepted {
            Accepted::Connection(socket, _) if is_heard => Some(Arrival::NoRoom(socket)),
            Accepted::Connection(socket, _) => Some(Arrival::Unheard(socket)),
            Accepted::Gone => Some(Arrival::Gone),
            Accepted::Nothing => None,
            Accepted::Refused(_) => {
                // What is being refused gives its descriptor back soon.
                let _ = self.spares.refill();
                self.rests = true;
                None
            }
        }
    }

    /// Whether there is something to do at once.
    pub(super) fn has_more(&self) -> bool {
        !self.rests && self.doors.iter().any(|door| door.is_ours && door.may_have_more)
    }

    /// Nobody is admitted from now on: who comes to our own listener is turned away without being heard, since nothing here
    /// waits for a request any more. What arrives when this has been dropped is refused by the kernel.
    pub(super) fn stop(&mut self, registry: &Registry) {
        self.is_ending = true;
        for door in &mut self.doors[1..] {
            // Nothing is asked of the host that it could refuse.
            let _ = door.set_ours(false, registry);
        }
    }

    fn accept_at(&mut self, index: usize) -> Accepted {
        let door = &mut self.doors[index];
        if !(door.is_ours && door.may_have_more) {
            return Accepted::Nothing;
        }
        let accepted = net::accept(&door.listener);
        door.may_have_more = !matches!(accepted, Accepted::Nothing);
        accepted
    }

    /// The host has refused a connection what it needs.
    pub(super) fn starve(&mut self, now: u32, error: &io::Error, counts: &WorkerCounters) {
        counts.starved.add_one();
        self.starved_until = Some(now + STARVED_TICKS);
        if self.starved_told.note(now) {
            tracing::warn!(worker = self.worker, %error, "the host refuses another connection: raise its limit of descriptors");
        }
    }
}

impl Drop for Acceptor {
    /// Others have copies of our listener, and would keep it open while nobody accepts there: it must not listen any more.
    fn drop(&mut self) {
        // It listens, and nothing else would be an error.
        let _ = rustix::net::shutdown(&self.doors[0].listener, rustix::net::Shutdown::Read);
    }
}

impl Door {
    fn open(&mut self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut self.listener, self.token, Interest::READABLE)?;
        self.is_ours = true;
        // Somebody may have come before: that is no event of this poll's on every kernel.
        self.may_have_more = true;
        Ok(())
    }

    /// Accepts here from now on, or leaves it to others.
    fn set_ours(&mut self, is_ours: bool, registry: &Registry) -> io::Result<()> {
        if is_ours && !self.is_ours {
            self.open(registry)?;
        } else if !is_ours && self.is_ours {
            // Only a listener that is not registered refuses, and then that is what is wanted.
            let _ = registry.deregister(&mut self.listener);
            self.is_ours = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;
    use crate::os::net::{SocketBuffers, listen_together};

    const BUFFERS: SocketBuffers = SocketBuffers {
        send: None,
        notsent_lowat: 16 * 1024,
    };
    const SIZE: TableSize = TableSize {
        connections: 1,
        refusals: 1,
        neighbours: 0,
    };

    #[test]
    fn an_ended_workers_listener_takes_nobody_though_others_hold_copies_of_it() {
        let local = (Ipv4Addr::LOCALHOST, 0).into();
        let own = listen_together(local, 1, BUFFERS).unwrap().remove(0);
        let address = own.local_addr().unwrap();
        let copy = own.try_clone().unwrap();
        let poll = mio::Poll::new().unwrap();
        let acceptor = Acceptor::new(
            0,
            SIZE,
            Listeners {
                own: own.into(),
                neighbours: vec![],
            },
            Arc::new(Occupancy::new(1, 0)),
            Token(usize::MAX),
            poll.registry(),
        )
        .unwrap();
        TcpStream::connect(address).unwrap();
        drop(acceptor);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        drop(copy);
    }
}
