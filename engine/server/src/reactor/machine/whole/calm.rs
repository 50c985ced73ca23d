//! Calms, behind which everybody must have everything; and the squeezing of one client.

use depthcast_market::event::MarketEvent;

use super::exchange::{Change, SYMBOLS_LEN};
use super::steps::{CLIENTS, From};
use super::world::World;
use crate::reactor::machine::socket::ENDLESS;
use crate::reactor::machine::turn::{Slices, WHOLE};
use crate::reactor::machine::{Checked, ensure};

/// Turns after which all of it has come to rest.
const REST_TURNS_MAX: usize = 2000;

/// How long one waits for streams of all cadences to begin and to tick, in ticks: a second, and another where a worker was behind
/// just when they could have begun.
const WAIT_TICKS: usize = 22;

/// Conflations that are too many, and some more.
const SQUEEZES: usize = 34;

impl World {
    /// The feed heals and everybody reads; then each symbol moves once more, and everybody must come to have that.
    pub(super) fn calm(&mut self, room: usize) -> Checked {
        self.begin_if_need_be();
        self.make_room(!0, ENDLESS);
        self.rest()?;
        self.heal(0);
        self.wait()?;
        // Not a thing has come since the books are healed: what was missed must have been told all the same.
        self.check_newest(false)
            .map_err(|what| format!("in a calm, {what}"))?;
        self.move_all();
        self.rest()?;
        // What was lost before shows with that event.
        self.heal(0);
        self.rest()?;
        self.move_all();
        self.wait()?;
        self.check_newest(true)
            .map_err(|what| format!("after a calm, {what}"))?;
        self.seen.calms += 1;
        for client in self.clients.iter().flatten() {
            client.pipe.borrow_mut().room = room;
        }
        Ok(())
    }

    /// As long as joins and ticks may take.
    fn wait(&mut self) -> Checked {
        for _ in 0..WAIT_TICKS {
            self.pass_time(100);
            self.rest()?;
        }
        Ok(())
    }

    fn move_all(&mut self) {
        for symbol in 0..self.exchange.symbols {
            let change = Change {
                is_bid: true,
                far: 1,
                qty: 1 + self.now_us / 1_000_000 % 3,
            };
            let update = self.exchange.change(symbol, &[vec![change]], self.now_us);
            self.tell(symbol, update.map(MarketEvent::Depth));
            let best = self.exchange.best(symbol);
            self.tell(symbol, best.map(MarketEvent::BestBidAsk));
            let trade = self.exchange.trade(symbol, 1, 1, true, self.now_us);
            self.tell(symbol, trade.map(MarketEvent::Trade));
        }
    }

    /// Everything is done that can be done now.
    fn rest(&mut self) -> Checked {
        for _ in 0..REST_TURNS_MAX {
            self.turn_market(usize::MAX)?;
            let mut is_at_rest = self.is_handed_on && self.from_feed.is_empty();
            for worker in 0..self.workers.len() {
                let taken = self.turn(worker, WHOLE)?;
                let connections = &self.workers[worker].connections;
                is_at_rest &= taken == 0
                    && connections.reads_waiting() == 0
                    && !connections.fanout.has_work()
                    && !connections.is_sweeping();
            }
            if is_at_rest && self.requests.is_empty() {
                return Ok(());
            }
        }
        Err("it does not come to rest".into())
    }

    /// Nobody waits for anything, and nobody lags.
    fn check_settled(&mut self) -> Checked {
        ensure!(self.market.joins_waiting() == 0, "a join is forgotten");
        for place in 0..CLIENTS {
            let Some(client) = &self.clients[place] else {
                continue;
            };
            let connections = &self.workers[client.worker].connections;
            if connections
                .session(client.id)
                .is_some_and(|session| session.is_open())
            {
                ensure!(!connections.is_waiting(client.id), "client {place} waits still");
                ensure!(
                    connections.fanout.is_drained(client.id),
                    "client {place} is owed something"
                );
            }
        }
        for worker in &mut self.workers {
            let fanout = &mut worker.connections.fanout;
            ensure!(fanout.lagging() == 0, "{} lag still", fanout.lagging());
            ensure!(fanout.bytes_held() == 0, "a log holds what everybody has");
        }
        Ok(())
    }

    /// Everybody has the newest of all its streams, or (`all` is not set) of those that have begun.
    fn check_newest(&mut self, all: bool) -> Checked {
        self.check_settled()?;
        for place in 0..CLIENTS {
            let Some(client) = &self.clients[place] else {
                continue;
            };
            let connections = &self.workers[client.worker].connections;
            if connections
                .session(client.id)
                .is_some_and(|session| session.is_open())
            {
                let around = World::around(&self.exchange, client, self.is_live, &mut self.seen);
                client
                    .check_newest(all, &around)
                    .map_err(|what| format!("client {place}: {what}"))?;
            }
        }
        Ok(())
    }

    /// A history begins; before its worker has closed those of the last one, somebody connects as one of them did.
    pub(super) fn turn_over(&mut self, place: usize) -> Checked {
        let worker = place % self.workers.len();
        let mut those = self
            .clients
            .iter()
            .flatten()
            .filter(|client| client.worker == worker);
        let like = those
            .next()
            .map(|client| (client.manner().clone(), client.streams.clone()));
        let Some((manner, streams)) = like.filter(|_| self.clients[place].is_none()) else {
            return Ok(());
        };
        self.begin_epoch(SYMBOLS_LEN, true);
        self.turn_market(usize::MAX)?;
        let unswept = Slices { sweeps: 0, ..WHOLE };
        self.turn(worker, unswept)?;
        self.connect(place, &manner, &streams, From::Anew, 400)?;
        self.turn(worker, unswept).map(drop)
    }

    /// Has a client conflated again and again, each time reading all that it is given.
    pub(super) fn squeeze(&mut self, place: usize) -> Checked {
        self.begin_if_need_be();
        let bit = 1 << place;
        for _ in 0..SQUEEZES {
            let Some(client) = &self.clients[place] else {
                return Ok(());
            };
            client.pipe.borrow_mut().room = 0;
            for n in 0..8 {
                for symbol in 0..self.exchange.symbols {
                    let change = |far| Change {
                        is_bid: false,
                        far,
                        qty: 1 + n % 3,
                    };
                    let update = self
                        .exchange
                        .change(symbol, &[(0..8).map(change).collect()], self.now_us);
                    self.tell(symbol, update.map(MarketEvent::Depth));
                }
                self.pass_time(50);
                self.rest()?;
            }
            self.make_room(bit, 20_000);
            for _ in 0..10 {
                self.pass_time(100);
                self.rest()?;
            }
        }
        Ok(())
    }
}
