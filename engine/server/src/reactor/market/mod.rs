//! The market thread: the only writer of its books. It takes what feeds say, keeps every book, encodes once what
//! somebody wants, and hands each worker its frames in batches.

mod answers;
#[cfg(test)]
mod behind_tests;
#[cfg(test)]
mod by_hand;
mod cadence;
mod channel;
mod frames;
mod heartbeat;
mod joins;
#[cfg(test)]
mod joins_tests;
#[cfg(test)]
mod kinds_tests;
mod payload;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select};
use depthcast_market::event::MarketEvent;
use depthcast_wire::stream::{StreamName, SymbolName};

use self::cadence::TickClock;
use self::channel::Outlet;
use self::frames::Outbox;
use self::heartbeat::Heartbeats;
use self::joins::{Books, Join, Joins};
use self::symbol::Symbol;
use super::counters::Counters;
use super::mailbox::Mailbox;
use super::messages::{
    DepthAnswer, FeedMessage, FeedSymbol, Frame, MarketRequest, Position, TopicToken, WorkerMessage,
};
use crate::session::encoding::Encoding;

/// Feed messages handled before the frames that they made are handed on: while the feed is slower than the engine every
/// message is handed on at once, and when it is faster many share one batch and one wake-up.
const BURST: usize = 256;

/// Frames that end a burst: they are handed on before more are made. One event makes at most one for each topic of its
/// symbol; a moment of the bench feed is bounded by its bytes.
const BURST_FRAMES_MAX: usize = 4096;

/// Frames that wait for full workers before no heartbeat is added to them: room for a burst, for the one event that goes
/// past its end, and for some heartbeats. There are none then until the worker takes something.
const WAITING_FRAMES_MAX: usize = 4 * BURST_FRAMES_MAX;

/// How long a full worker is given before it is tried again; requests are answered in between.
const FULL_WORKER_WAIT: Duration = Duration::from_millis(1);

/// Symbols one feed may announce. Each costs a few hundred bytes before its first level.
pub const SYMBOLS_MAX: usize = 65_536;

/// Frames that wait for one worker beside its full mailbox before the streams of it are ended that cannot be told in fewer
/// events: some 10 MB of trades, half a minute of 2,000 a second.
const OVERLOAD_FRAMES_MAX: usize = 65_536;

/// Why subscribers are closed when a feed starts anew.
const NEW_EPOCH: &str = "the feed began anew: reconnect and take a new snapshot";

/// How the thread was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    AtOnce,
    /// After all that a stopped feed has given.
    AfterFeed,
}

/// What becomes of the feed while a worker takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBehind {
    /// It waits: a replay and a feed for measuring have time.
    Wait,
    /// It goes on. The worker is told of changes and of the best bid and ask later, in fewer events; what cannot be told so
    /// is kept up to a bound, and closes its subscribers there.
    Merge,
}

/// A wanted topic, whether or not its symbol exists (yet).
type Wanted = HashMap<(usize, TopicToken), (StreamName, Encoding)>;

/// The market thread's state.
#[derive(Debug)]
pub struct Market {
    requests: Receiver<MarketRequest>,
    feed: Receiver<FeedMessage>,
    seconds: Receiver<Instant>,
    symbols: Vec<Symbol>,
    by_name: HashMap<SymbolName, usize>,
    ticks: TickClock,
    heartbeats: Heartbeats,
    outbox: Outbox,
    when_behind: WhenBehind,
    /// Everything that workers want; kept through epochs.
    wanted: Wanted,
    /// Connections whose streams wait for the moment to begin.
    joins: Joins,
    counters: Arc<Counters>,
    /// The number of the history; None before the first.
    epoch: Option<u64>,
    feed_is_open: bool,
    stop: Option<Stop>,
}

impl Market {
    /// A market that hears `feed` and `requests`, gives a heartbeat at each of `seconds`, and speaks to `workers`.
    pub fn new(
        requests: Receiver<MarketRequest>,
        feed: Receiver<FeedMessage>,
        seconds: Receiver<Instant>,
        workers: Vec<Mailbox<WorkerMessage>>,
        when_behind: WhenBehind,
        counters: Arc<Counters>,
    ) -> Market {
        Market {
            requests,
            feed,
            seconds,
            symbols: Vec::new(),
            by_name: HashMap::new(),
            ticks: TickClock::default(),
            heartbeats: Heartbeats::default(),
            outbox: Outbox::new(workers),
            when_behind,
            wanted: HashMap::new(),
            counters,
            joins: Joins::default(),
            epoch: None,
            feed_is_open: true,
            stop: None,
        }
    }

    /// Runs until told to stop. A feed that ends leaves its books as they are.
    pub fn run(mut self) {
        while self.stop.is_none() {
            let mut message = self.wait();
            self.begin_turn();
            let before = self.outbox.frames();
            for handled in 1..=BURST {
                // Requests that were made before the message was: a subscription counts from before what the feed began
                // to tell because of it, and from before the snapshot that is asked for after it.
                self.answer_requests();
                if let Some(message) = message {
                    self.on_feed(message);
                }
                let made = self.outbox.frames().saturating_sub(before);
                if handled == BURST || made >= BURST_FRAMES_MAX {
                    break;
                }
                message = match self.feed.try_recv() {
                    Ok(message) => Some(message),
                    Err(error) => {
                        self.feed_is_open &= error != TryRecvError::Disconnected;
                        break;
                    }
                };
            }
            self.beat_if_due();
            self.end_turn();
        }
        if self.stop == Some(Stop::AfterFeed) {
            self.finish();
        }
    }

    fn begin_turn(&mut self) {
        self.joins.begin_turn();
        self.look_who_is_behind();
    }

    fn look_who_is_behind(&mut self) {
        if self.when_behind == WhenBehind::Merge {
            // What still waits then does so before a full mailbox.
            self.outbox.try_hand_on();
            self.outbox.look_who_is_behind();
        }
    }

    fn end_turn(&mut self) {
        match self.when_behind {
            WhenBehind::Wait => self.hand_on(),
            WhenBehind::Merge if self.outbox.try_hand_on() => {}
            WhenBehind::Merge => self.shed_overload(),
        }
        self.count_deferred();
    }

    fn count_deferred(&mut self) {
        Counters::add(&self.counters.merged, self.outbox.take_deferred());
    }

    /// Ends the streams that cannot be told in fewer events of each worker for which too much waits.
    fn shed_overload(&mut self) {
        for worker in self.outbox.overloaded(OVERLOAD_FRAMES_MAX) {
            let symbols = self.symbols.iter();
            let tokens: HashSet<TopicToken> = symbols.flat_map(|symbol| symbol.unmergeable(worker)).collect();
            if tokens.is_empty() {
                continue;
            }
            tracing::error!(
                worker,
                streams = tokens.len(),
                "a worker is too far behind: subscribers of trades are closed"
            );
            self.outbox.shed(worker, &tokens);
        }
    }

    /// Publishes what the feed has given before it was stopped, and ends the workers behind that.
    fn finish(mut self) {
        // From here on workers are waited for.
        self.outbox.let_nobody_wait();
        // It ends with the feed's thread, which was told to stop before we were.
        while let Ok(message) = self.feed.recv() {
            self.on_feed(message);
            self.hand_on();
        }
        self.end_history();
        self.outbox.tell_all(|| WorkerMessage::Stop { at_once: false });
        self.hand_on();
    }

    /// Hands on what waits for the workers. While one is full the feed waits, but requests are answered: a subscriber that
    /// is not reading may be waiting for its snapshot. And there are heartbeats for the others.
    fn hand_on(&mut self) {
        while self.stop != Some(Stop::AtOnce) && !self.outbox.try_hand_on() {
            match self.requests.recv_timeout(FULL_WORKER_WAIT) {
                Ok(request) => self.on_request(request),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left to tell us to stop, nor to hand anything on for.
                Err(RecvTimeoutError::Disconnected) => self.stop = Some(Stop::AtOnce),
            }
            if self.outbox.frames() < WAITING_FRAMES_MAX {
                self.beat_if_due();
            }
        }
    }

    fn answer_requests(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.on_request(request);
        }
    }

    /// Sleeps until there is something to do, and answers a request if that is it.
    fn wait(&mut self) -> Option<FeedMessage> {
        let at_once = MarketRequest::Stop { at_once: true };
        let never = crossbeam_channel::never();
        let full_worker = if self.outbox.has_waiting() {
            crossbeam_channel::after(FULL_WORKER_WAIT)
        } else {
            crossbeam_channel::never()
        };
        let feed = if self.feed_is_open { &self.feed } else { &never };
        select! {
            recv(self.requests) -> request => {
                self.on_request(request.unwrap_or(at_once));
                None
            }
            recv(feed) -> message => {
                self.feed_is_open = message.is_ok();
                message.ok()
            }
            recv(self.seconds) -> second => {
                self.on_second(second.is_ok());
                None
            }
            recv(full_worker) -> _ => None,
        }
    }

    fn beat_if_due(&mut self) {
        match self.seconds.try_recv() {
            Ok(_) => self.on_second(true),
            Err(TryRecvError::Disconnected) => self.on_second(false),
            Err(TryRecvError::Empty) => {}
        }
    }

    /// Another second has passed, or (`false`) nobody counts them any more.
    fn on_second(&mut self, is_counted: bool) {
        if !is_counted {
            self.seconds = crossbeam_channel::never();
        } else if self.epoch.is_some() {
            self.heartbeats.beat(self.ticks.now_us(), &mut self.outbox);
            self.look_who_is_behind();
            // While the feed is away no tick comes for it.
            for symbol in &mut self.symbols {
                symbol.make_up(None, &mut self.outbox);
            }
            let (joins, books, outbox) = self.joins_and_books();
            joins.on_second(books, outbox);
        }
    }

    fn on_request(&mut self, request: MarketRequest) {
        match request {
            MarketRequest::Want {
                worker,
                token,
                name,
                encoding,
            } => {
                self.wanted.insert((worker, token), (name, encoding));
                if !self.attach(Outlet { worker, token }, name, encoding) && self.epoch.is_some() {
                    Counters::bump(&self.counters.unknown_symbols);
                }
            }
            MarketRequest::Unwant { worker, token } => {
                if let Some((name, encoding)) = self.wanted.remove(&(worker, token)) {
                    self.detach(Outlet { worker, token }, name, encoding);
                }
            }
            MarketRequest::Join {
                worker,
                connection,
                number,
                begins,
                encoding,
            } => {
                let join = Join {
                    worker,
                    connection,
                    number,
                    begins,
                    encoding,
                    pauses: self.outbox.standing(worker).pauses,
                };
                let (joins, books, outbox) = self.joins_and_books();
                joins.add(join, books, outbox);
            }
            MarketRequest::Leave { worker, connection } => self.joins.remove(worker, connection),
            MarketRequest::Ask(ask) => self.on_ask(ask),
            MarketRequest::Stop { at_once } => {
                self.stop = Some(if at_once { Stop::AtOnce } else { Stop::AfterFeed });
            }
        }
    }

    fn on_feed(&mut self, message: FeedMessage) {
        match message {
            FeedMessage::Epoch { id, symbols } => self.begin_epoch(id, &symbols),
            FeedMessage::Time(at_us) => self.advance(at_us),
            FeedMessage::Event {
                symbol,
                at_us,
                position,
                event,
            } => {
                let at_us = self.not_before(at_us);
                self.advance(at_us);
                self.on_event(symbol, at_us, position, event);
            }
            FeedMessage::Fixed { at_us, frames } => {
                self.advance(self.not_before(at_us));
                for (symbol, payload) in frames {
                    if let Some(symbol) = self.symbols.get_mut(symbol) {
                        symbol.on_fixed(&payload, &mut self.outbox);
                    }
                }
            }
            FeedMessage::Break { reason } => {
                tracing::info!(%reason, "the feed broke: its books are stale until their next snapshots");
                self.symbols.iter_mut().for_each(Symbol::mark_stale);
            }
        }
    }

    /// What is late belongs to the window that is open: the one it was for has been sent.
    fn not_before(&self, at_us: i64) -> i64 {
        self.ticks.now_us().map_or(at_us, |now_us| now_us.max(at_us))
    }

    fn on_event(&mut self, symbol: usize, at_us: i64, position: Position, event: MarketEvent) {
        let Some(symbol) = self.symbols.get_mut(symbol) else {
            tracing::error!(
                symbol,
                %position,
                "the feed spoke of a symbol that it did not announce"
            );
            return;
        };
        if matches!(event, MarketEvent::Depth(_)) {
            Counters::bump(&self.counters.depth_events);
        }
        let outcome = match event {
            MarketEvent::Depth(update) => symbol.on_depth(&update, at_us, &mut self.outbox),
            MarketEvent::Snapshot(snapshot) => symbol.on_snapshot(&snapshot, at_us, &mut self.outbox),
            MarketEvent::BestBidAsk(best) => {
                symbol.on_best_bid_ask(best, at_us, &mut self.outbox);
                Ok(())
            }
            MarketEvent::Trade(trade) => {
                symbol.on_trade(&trade, at_us, &mut self.outbox);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            Counters::bump(&self.counters.feed_gaps);
            let name = symbol.instrument().name();
            tracing::error!(symbol = name, %position, %error, "the feed is at fault: the book is stale until a snapshot");
        }
    }

    /// Ticks everything that is due up to `to_us`.
    fn advance(&mut self, to_us: i64) {
        while let Some(tick) = self.ticks.next_tick(to_us) {
            for symbol in &mut self.symbols {
                symbol.on_tick(tick, &mut self.outbox);
            }
            let (joins, books, outbox) = self.joins_and_books();
            joins.on_tick(tick, books, outbox);
        }
    }

    /// The joins, and what they need to take effect.
    fn joins_and_books(&mut self) -> (&mut Joins, Books<'_>, &mut Outbox) {
        let books = Books {
            symbols: &mut self.symbols,
            by_name: &self.by_name,
            now_us: self.ticks.now_us(),
            epoch: self.epoch,
        };
        (&mut self.joins, books, &mut self.outbox)
    }

    /// The history that was told so far is all there is of it.
    fn end_history(&mut self) {
        self.outbox.let_nobody_wait();
        for symbol in &mut self.symbols {
            symbol.on_end(&mut self.outbox);
        }
    }

    fn begin_epoch(&mut self, id: u64, symbols: &[FeedSymbol]) {
        self.end_history();
        let ends = self.epoch.replace(id).map(|_| NEW_EPOCH);
        self.outbox.tell_all(|| WorkerMessage::Epoch { id, ends });
        self.joins.begin_epoch();
        self.ticks = TickClock::default();
        self.heartbeats = Heartbeats::new(id);
        self.symbols = symbols.iter().take(SYMBOLS_MAX).map(Symbol::new).collect();
        self.by_name = self
            .symbols
            .iter()
            .enumerate()
            .map(|(i, symbol)| (symbol.stream_name(), i))
            .collect();
        for ((worker, token), (name, encoding)) in self.wanted.clone() {
            if !self.attach(Outlet { worker, token }, name, encoding) {
                Counters::bump(&self.counters.unknown_symbols);
            }
        }
    }

    /// Connects a worker's topic to its symbol; false when there is no such symbol.
    fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) -> bool {
        if name.kind.is_of_market() {
            self.heartbeats.attach(outlet, name, encoding);
            return true;
        }
        let Some(&symbol) = self.by_name.get(&name.symbol) else {
            return false;
        };
        self.symbols[symbol].attach(outlet, name, encoding);
        true
    }

    fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        if name.kind.is_of_market() {
            self.heartbeats.detach(outlet, name, encoding);
        } else if let Some(&symbol) = self.by_name.get(&name.symbol) {
            self.symbols[symbol].detach(outlet, name, encoding);
        }
    }
}
