//! All of it together: the exchange, the market thread turned by hand, whole workers, and their clients.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, never};
use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::{Exponents, Instrument};

use super::client::{Client, LeftOff, Manner};
use super::exchange::{Exchange, SYMBOLS, SYMBOLS_LEN};
use super::flow::Around;
use super::steps::{CLIENTS, Case, From, Step};
use super::{Rules, Seen};
use crate::fanout::Fanout;
use crate::reactor::connections::Connections;
use crate::reactor::counters::Counters;
use crate::reactor::machine::socket::{Pipe, VirtualSocket};
use crate::reactor::machine::{Checked, ensure};
use crate::reactor::mailbox::{Inbox, mailbox_of};
use crate::reactor::market::{Market, WhenBehind};
use crate::reactor::messages::{FeedMessage, FeedSymbol, MarketRequest, Position, WorkerMessage};
use crate::reactor::topics::Topics;
use depthcast_wire::stream::StreamKind;

/// Messages that a worker's mailbox holds, and requests that the market's does: so few that both are full at times.
const MAILBOX: usize = 3;

/// How often the feed says that it has depth of each symbol, milliseconds.
const FEED_CADENCES: [u32; SYMBOLS_LEN] = [100, 0, 20];

/// When the time begins, microseconds.
const BEGIN_US: i64 = 1_700_000_000_003_000;

/// A worker without its thread.
pub(super) struct Worker {
    pub(super) connections: Connections<VirtualSocket>,
    pub(super) inbox: Inbox<WorkerMessage>,
}

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) counters: Arc<Counters>,
    pub(super) market: Market,
    pub(super) requests: Receiver<MarketRequest>,
    pub(super) exchange: Exchange,
    /// The history that the market thread is in.
    market_epoch: Option<u64>,
    /// What the feed has said and the market thread has not taken.
    pub(super) from_feed: VecDeque<FeedMessage>,
    /// The engine hears the feed.
    pub(super) is_up: bool,
    pub(super) now_us: i64,
    is_second_due: bool,
    /// Nothing waits for a mailbox with room.
    pub(super) is_handed_on: bool,
    /// The feed goes on while workers are behind.
    pub(super) is_live: bool,
    pub(super) workers: Vec<Worker>,
    pub(super) clients: Vec<Option<Client>>,
    left_off: Vec<Option<LeftOff>>,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(rules: &Rules, case: &Case, seen: Seen) -> World {
        let workers = case.workers;
        let when_behind = if case.is_live {
            WhenBehind::Merge
        } else {
            WhenBehind::Wait
        };
        let (to_market, requests) = bounded(MAILBOX);
        let counters = Arc::new(Counters::of_workers(workers));
        let (mut mailboxes, mut hands) = (Vec::new(), Vec::new());
        for worker in 0..workers {
            let (mailbox, inbox) = mailbox_of(MAILBOX).expect("a descriptor");
            mailboxes.push(mailbox);
            let connections = Connections::new(
                CLIENTS as u32,
                Fanout::new(rules.fanout),
                Topics::new(worker, to_market.clone()),
                rules.session,
                counters.clone(),
                worker,
            );
            hands.push(Worker { connections, inbox });
        }
        World {
            rules: *rules,
            market: Market::new(
                requests.clone(),
                never(),
                never(),
                mailboxes,
                when_behind,
                counters.clone(),
            ),
            counters,
            requests,
            exchange: Exchange::default(),
            market_epoch: None,
            from_feed: VecDeque::new(),
            is_up: true,
            now_us: BEGIN_US,
            is_second_due: false,
            is_handed_on: true,
            is_live: case.is_live,
            workers: hands,
            clients: (0..CLIENTS).map(|_| None).collect(),
            left_off: vec![None; CLIENTS],
            seen,
        }
    }

    /// The workers' time, in ticks.
    pub(super) fn now(&self) -> u32 {
        ((self.now_us - BEGIN_US) / 100_000) as u32
    }

    pub(super) fn step(&mut self, step: &Step) -> Checked {
        match *step {
            Step::Connect {
                place,
                ref manner,
                ref streams,
                from,
                room,
            } => return self.connect(place, manner, streams, from, room),
            Step::Say { place, ref say } => {
                if let Some(client) = &mut self.clients[place] {
                    client.say(say);
                }
            }
            Step::End { place } => self.leave(place, false),
            Step::Reset { place } => self.leave(place, true),
            Step::Room { places, bytes } => self.make_room(places, bytes),
            Step::Dry { places } => self
                .those(places)
                .for_each(|client| client.pipe.borrow_mut().room = 0),
            Step::Depth {
                symbol,
                ref ids,
                is_lost,
            } => {
                self.begin_if_need_be();
                let update = self.exchange.change(symbol, ids, self.now_us);
                self.tell(symbol, update.filter(|_| !is_lost).map(MarketEvent::Depth));
            }
            Step::Best { symbol } => {
                let best = self.exchange.best(symbol);
                self.tell(symbol, best.map(MarketEvent::BestBidAsk));
            }
            Step::Trade {
                symbol,
                price,
                qty,
                is_buyer_maker,
            } => {
                let trade = self
                    .exchange
                    .trade(symbol, price, qty, is_buyer_maker, self.now_us);
                self.tell(symbol, trade.map(MarketEvent::Trade));
            }
            Step::Break { is_down } => {
                if self.is_up && self.exchange.epoch.is_some() {
                    let reason = "the link broke".to_string();
                    self.from_feed.push_back(FeedMessage::Break { reason });
                    self.is_up = !is_down;
                    self.seen.breaks += 1;
                }
            }
            Step::Heal { back } => self.heal(back),
            Step::Epoch { symbols, has_books } => self.begin_epoch(symbols, has_books),
            Step::Turnover { place } => return self.turn_over(place),
            Step::Time { ms } => self.pass_time(ms),
            Step::Market { messages } => return self.turn_market(messages),
            Step::Turn { worker, slices } => {
                let worker = worker % self.workers.len();
                return self.turn(worker, slices).map(drop);
            }
            Step::Calm { room } => return self.calm(room),
            Step::Squeeze { place } => return self.squeeze(place),
        }
        Ok(())
    }

    /// The clients in the places of which the mask has the bit.
    fn those(&mut self, places: u8) -> impl Iterator<Item = &mut Client> {
        let clients = self.clients.iter_mut().enumerate();
        clients.filter_map(move |(place, client)| client.as_mut().filter(|_| places >> place & 1 == 1))
    }

    pub(super) fn make_room(&mut self, places: u8, bytes: usize) {
        for client in self.those(places).filter(|_| bytes > 0) {
            client.pipe.borrow_mut().make_room(bytes);
            client.socket.dry_since = None;
        }
    }

    fn leave(&mut self, place: usize, by_reset: bool) {
        if let Some(client) = &mut self.clients[place] {
            client.has_left = true;
            let mut pipe = client.pipe.borrow_mut();
            if by_reset {
                pipe.reset();
            } else {
                pipe.end();
            }
        }
    }

    pub(super) fn connect(
        &mut self,
        place: usize,
        manner: &Manner,
        streams: &[(usize, usize)],
        from: From,
        room: usize,
    ) -> Checked {
        if self.clients[place].is_some() {
            return Ok(());
        }
        let resume = self.resume(place, from);
        let pipe = Rc::new(RefCell::new(Pipe::default()));
        pipe.borrow_mut().make_room(room);
        let worker = place % self.workers.len();
        let now = self.now();
        let connections = &mut self.workers[worker].connections;
        connections.set_now(now);
        let id = connections.insert(VirtualSocket(pipe.clone()), None);
        let id = id.map_err(|_| "no room for a connection")?;
        let client = Client::new((id, worker), pipe.clone(), manner, streams, resume, now);
        pipe.borrow_mut().arrive(&client.hello());
        self.clients[place] = Some(client);
        Ok(())
    }

    fn resume(&self, place: usize, from: From) -> Option<LeftOff> {
        let epoch = self.exchange.epoch?;
        let all = |epoch: u64, id: &dyn Fn(u64) -> u64| {
            let ids = (0..self.exchange.symbols).filter_map(|symbol| {
                let known = self.exchange.history(self.exchange.epoch?, symbol)?.known.id?;
                Some((symbol, id(known)))
            });
            // One that nobody knows does no harm.
            let ids = ids.chain([(SYMBOLS_LEN, 5)]).collect();
            Some(LeftOff { epoch, ids })
        };
        match from {
            From::Anew => None,
            From::LeftOff => self.left_off[place].clone(),
            From::Back(back) => all(epoch, &|id| id.saturating_sub(back)),
            From::Future(ahead) => all(epoch, &|id| id + ahead),
            From::OtherEpoch(back) => all(epoch - 7, &|id| id.saturating_sub(back)),
        }
    }

    /// A client's connection is no more.
    pub(super) fn forget(&mut self, place: usize) {
        if let Some(client) = self.clients[place].take()
            && let Some(left_off) = client.left_off()
        {
            self.left_off[place] = Some(left_off);
        }
    }

    pub(super) fn tell(&mut self, symbol: usize, event: Option<MarketEvent>) {
        if let Some(event) = event.filter(|_| self.is_up) {
            self.from_feed.push_back(FeedMessage::Event {
                symbol,
                at_us: self.now_us,
                position: Position::Step(0),
                event,
            });
        }
    }

    pub(super) fn heal(&mut self, back: u64) {
        self.is_up = true;
        for symbol in 0..self.exchange.symbols {
            let snapshot = self.exchange.snapshot(symbol, back);
            self.tell(symbol, snapshot.map(MarketEvent::Snapshot));
        }
    }

    pub(super) fn begin_if_need_be(&mut self) {
        if self.exchange.epoch.is_none() {
            self.begin_epoch(SYMBOLS_LEN, true);
        }
    }

    pub(super) fn begin_epoch(&mut self, symbols: usize, has_books: bool) {
        let id = self.exchange.begin_epoch(symbols);
        let symbols = SYMBOLS.iter().zip(FEED_CADENCES).take(symbols);
        let symbols = symbols.map(|(name, depth_cadence_ms)| {
            let exponents = Exponents { price: 0, qty: 0 };
            let instrument = Instrument::new(name, exponents, 1, 1).expect("an instrument");
            FeedSymbol {
                instrument: Arc::new(instrument),
                depth_cadence_ms,
            }
        });
        let symbols = symbols.collect();
        self.from_feed.push_back(FeedMessage::Epoch { id, symbols });
        self.is_up = true;
        if has_books {
            self.heal(0);
        }
    }

    pub(super) fn pass_time(&mut self, ms: i64) {
        let before = self.now_us;
        self.now_us += ms * 1000;
        self.is_second_due |= before / 1_000_000 != self.now_us / 1_000_000;
        if self.is_up && self.exchange.epoch.is_some() {
            self.from_feed.push_back(FeedMessage::Time(self.now_us));
        }
    }

    /// One turn of the market thread, as `Market::run` has it.
    pub(super) fn turn_market(&mut self, messages: usize) -> Checked {
        self.watch_stale(|market| market.begin_by_hand(), |_| false)?;
        // While a mailbox is full the feed waits, or goes on.
        let goes_on = self.is_live || self.is_handed_on;
        for _ in 0..if goes_on { messages } else { 0 } {
            let Some(message) = self.from_feed.pop_front() else {
                break;
            };
            self.take(message)?;
        }
        if std::mem::take(&mut self.is_second_due) {
            self.watch_stale(|market| market.second_by_hand(), |_| false)?;
        }
        self.is_handed_on = self.market.hand_on_by_hand();
        self.seen.full += u64::from(!self.is_handed_on);
        Ok(())
    }

    fn take(&mut self, message: FeedMessage) -> Checked {
        let mut event = None;
        let mut breaks = false;
        match &message {
            FeedMessage::Epoch { id, .. } => self.market_epoch = Some(*id),
            FeedMessage::Event {
                symbol, event: told, ..
            } => event = Some((*symbol, told.clone())),
            FeedMessage::Break { .. } => breaks = true,
            _ => {}
        }
        let epoch = self.market_epoch.unwrap_or_default();
        // What a worker that was behind was not told of a history comes before its end.
        let ends_history = self.is_live && matches!(message, FeedMessage::Epoch { .. });
        self.watch_stale(
            |market| market.take_by_hand(message),
            |world| {
                if let Some((symbol, event)) = &event
                    && let Some(history) = world.exchange.history_mut(epoch, *symbol)
                {
                    world.seen.healed += u64::from(history.on_event(event));
                }
                for symbol in 0..if breaks { SYMBOLS_LEN } else { 0 } {
                    if let Some(history) = world.exchange.history_mut(epoch, symbol) {
                        history.known.on_break();
                    }
                }
                ends_history || matches!(event, Some((_, MarketEvent::Snapshot(_))))
            },
        )
    }

    /// Has the market thread do something of which `learn` makes the model know, and sees that nothing comes of a book that is
    /// stale before and behind it.
    fn watch_stale(
        &mut self,
        act: impl FnOnce(&mut Market),
        learn: impl FnOnce(&mut World) -> bool,
    ) -> Checked {
        let (stale, before) = (self.stale(), self.told_of_books());
        act(&mut self.market);
        if learn(self) {
            // For a moment it was not, if what waited behind the snapshot does not continue it.
            return Ok(());
        }
        let (still, behind) = (self.stale(), self.told_of_books());
        for symbol in 0..SYMBOLS_LEN {
            ensure!(
                !(stale[symbol] && still[symbol]) || behind[symbol] <= before[symbol],
                "something is told of {}, whose book is stale",
                SYMBOLS[symbol]
            );
        }
        Ok(())
    }

    fn stale(&self) -> [bool; SYMBOLS_LEN] {
        std::array::from_fn(|symbol| {
            let history = self
                .exchange
                .history(self.market_epoch.unwrap_or_default(), symbol);
            history.is_some_and(|history| !history.known.is_synced)
        })
    }

    fn told_of_books(&self) -> [usize; SYMBOLS_LEN] {
        let mut told = [0; SYMBOLS_LEN];
        for name in self.market.not_handed_on() {
            let is_of_book = matches!(
                name.kind,
                StreamKind::Depth | StreamKind::PartialDepth(_) | StreamKind::Checksum
            );
            let upper = name.symbol.to_upper();
            let symbol = SYMBOLS[..SYMBOLS_LEN]
                .iter()
                .position(|symbol| *symbol == upper.as_str());
            if let Some(symbol) = symbol.filter(|_| is_of_book) {
                told[symbol] += 1;
            }
        }
        told
    }

    /// What a client knows beside its streams.
    pub(super) fn around<'a>(
        exchange: &'a Exchange,
        client: &Client,
        is_live: bool,
        seen: &'a mut Seen,
    ) -> Around<'a> {
        Around {
            exchange,
            epoch: client.epoch,
            was_short: client.socket.was_short,
            may_skip: is_live || client.socket.was_short,
            with_snapshots: client.manner().snapshots || client.resumes(),
            is_sbe: client.manner().sbe,
            seen,
        }
    }
}
