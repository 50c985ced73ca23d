//! The market thread: the only writer of its books. It takes what feeds say, keeps every book, encodes once what
//! somebody wants, and hands each worker its frames in batches.

mod answers;
#[cfg(test)]
mod answers_tests;
#[cfg(test)]
mod behind_tests;
#[cfg(test)]
mod by_hand;
mod cadence;
mod channel;
mod feed_clock;
mod feeding;
mod frames;
mod joins;
#[cfg(test)]
mod joins_tests;
#[cfg(test)]
mod kinds_tests;
mod market_wide;
mod payload;
mod requests;
#[cfg(test)]
mod requests_tests;
#[cfg(test)]
mod statistics_tests;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select};
use depthcast_wire::stream::{StreamName, SymbolName};

use self::cadence::TickClock;
use self::feed_clock::FeedClock;
use self::frames::Outbox;
use self::joins::{Books, Joins};
use self::market_wide::MarketWide;
use self::symbol::Symbol;
use super::counters::Counters;
use super::mailbox::Mailbox;
use super::messages::{FeedMessage, FeedSymbol, Frame, MarketRequest, TopicToken, WorkerMessage};
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
    clock: FeedClock,
    /// The streams of the whole market.
    market_wide: MarketWide,
    /// How often the tickers of all symbols have changed, each counted.
    ticker_changes: u64,
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
            clock: FeedClock::default(),
            market_wide: MarketWide::default(),
            ticker_changes: 0,
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
            self.market_wide.beat(self.ticks.now_us(), &mut self.outbox);
            self.look_who_is_behind();
            // While the feed is away no tick comes for it.
            let clock_us = self.clock.now_us();
            for symbol in &mut self.symbols {
                symbol.make_up(None, clock_us, &mut self.outbox);
            }
            let (joins, books, outbox) = self.joins_and_books();
            joins.on_second(books, outbox);
        }
    }

    /// The joins, and what they need to take effect.
    fn joins_and_books(&mut self) -> (&mut Joins, Books<'_>, &mut Outbox) {
        let books = Books {
            symbols: &mut self.symbols,
            by_name: &self.by_name,
            now_us: self.ticks.now_us(),
            clock_us: self.clock.now_us(),
            epoch: self.epoch,
        };
        (&mut self.joins, books, &mut self.outbox)
    }
}
