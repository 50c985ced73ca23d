//! The market thread: the only writer of its books. It takes what feeds say, keeps every book, encodes once what
//! somebody wants, and hands each worker its frames in batches.

mod cadence;
mod channel;
mod frames;
mod payload;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, select};
use depthcast_market::event::MarketEvent;
use depthcast_wire::stream::{StreamName, SymbolName};

use self::cadence::TickClock;
use self::channel::Outlet;
use self::frames::Outbox;
use self::symbol::Symbol;
use super::counters::Counters;
use super::mailbox::Mailbox;
use super::messages::{
    DepthAnswer, FeedMessage, FeedSymbol, Frame, MarketRequest, TopicToken, WorkerMessage,
};
use crate::session::encoding::Encoding;

/// Feed messages handled before the frames that they made are handed on: while the feed is slower than the engine every
/// message is handed on at once, and when it is faster many share one batch and one wake-up.
const BURST: usize = 256;

/// Frames that end a burst: they are handed on before more are made. One event makes at most one for each topic of its
/// symbol.
const BURST_FRAMES_MAX: usize = 4096;

/// How long a full worker is given before it is tried again; requests are answered in between.
const FULL_WORKER_WAIT: Duration = Duration::from_millis(1);

/// Symbols one feed may announce. Each costs a few hundred bytes before its first level.
pub const SYMBOLS_MAX: usize = 65_536;

/// Why subscribers are closed when a feed starts anew.
const NEW_EPOCH: &str = "the feed began anew: reconnect and take a new snapshot";

/// How the thread was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    AtOnce,
    /// After all that a stopped feed has given.
    AfterFeed,
}

/// A wanted topic, whether or not its symbol exists (yet).
type Wanted = HashMap<(usize, TopicToken), (StreamName, Encoding)>;

/// The market thread's state.
#[derive(Debug)]
pub struct Market {
    requests: Receiver<MarketRequest>,
    feed: Receiver<FeedMessage>,
    symbols: Vec<Symbol>,
    by_name: HashMap<SymbolName, usize>,
    ticks: TickClock,
    outbox: Outbox,
    /// Everything that workers want; kept through epochs.
    wanted: Wanted,
    counters: Arc<Counters>,
    is_first_epoch: bool,
    feed_is_open: bool,
    stop: Option<Stop>,
}

impl Market {
    /// A market that hears `feed` and `requests` and speaks to `workers`.
    pub fn new(
        requests: Receiver<MarketRequest>,
        feed: Receiver<FeedMessage>,
        workers: Vec<Mailbox<WorkerMessage>>,
        counters: Arc<Counters>,
    ) -> Market {
        Market {
            requests,
            feed,
            symbols: Vec::new(),
            by_name: HashMap::new(),
            ticks: TickClock::default(),
            outbox: Outbox::new(workers),
            wanted: HashMap::new(),
            counters,
            is_first_epoch: true,
            feed_is_open: true,
            stop: None,
        }
    }

    /// Runs until told to stop. A feed that ends leaves its books as they are.
    pub fn run(mut self) {
        while self.stop.is_none() {
            let mut message = self.wait();
            for handled in 1..=BURST {
                // Requests that were made before the message was: a subscription counts from before what the feed began
                // to tell because of it, and from before the snapshot that is asked for after it.
                self.answer_requests();
                if let Some(message) = message {
                    self.on_feed(message);
                }
                if handled == BURST || self.outbox.frames() >= BURST_FRAMES_MAX {
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
            self.hand_on();
        }
        if self.stop == Some(Stop::AfterFeed) {
            self.finish();
        }
    }

    /// Publishes what the feed has given before it was stopped, and ends the workers behind that.
    fn finish(mut self) {
        // It ends with the feed's thread, which was told to stop before we were.
        while let Ok(message) = self.feed.recv() {
            self.on_feed(message);
            self.hand_on();
        }
        self.outbox.tell_all(|| WorkerMessage::Stop { at_once: false });
        self.hand_on();
    }

    /// Hands on what waits for the workers. While one is full the feed waits, but requests are answered: a subscriber that
    /// is not reading may be waiting for its snapshot.
    fn hand_on(&mut self) {
        while self.stop != Some(Stop::AtOnce) && !self.outbox.try_hand_on() {
            match self.requests.recv_timeout(FULL_WORKER_WAIT) {
                Ok(request) => self.on_request(request),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left to tell us to stop, nor to hand anything on for.
                Err(RecvTimeoutError::Disconnected) => self.stop = Some(Stop::AtOnce),
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
        if !self.feed_is_open {
            let request = self.requests.recv().unwrap_or(at_once);
            self.on_request(request);
            return None;
        }
        select! {
            recv(self.requests) -> request => {
                self.on_request(request.unwrap_or(at_once));
                None
            }
            recv(self.feed) -> message => {
                self.feed_is_open = message.is_ok();
                message.ok()
            }
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
                if !self.attach(Outlet { worker, token }, name, encoding) && !self.is_first_epoch {
                    Counters::bump(&self.counters.unknown_symbols);
                }
            }
            MarketRequest::Unwant { worker, token } => {
                if let Some((name, encoding)) = self.wanted.remove(&(worker, token))
                    && let Some(&symbol) = self.by_name.get(&name.symbol)
                {
                    self.symbols[symbol].detach(Outlet { worker, token }, name, encoding);
                }
            }
            MarketRequest::Depth { symbol, limit, reply } => {
                // A requester that has gone away needs no answer.
                let _ = reply.send(self.depth(symbol, limit));
            }
            MarketRequest::Instruments { reply } => {
                let _ = reply.send(
                    self.symbols
                        .iter()
                        .map(|symbol| symbol.instrument().clone())
                        .collect(),
                );
            }
            MarketRequest::Stop { at_once } => {
                self.stop = Some(if at_once { Stop::AtOnce } else { Stop::AfterFeed });
            }
        }
    }

    fn on_feed(&mut self, message: FeedMessage) {
        match message {
            FeedMessage::Epoch(symbols) => self.begin_epoch(&symbols),
            FeedMessage::Time(at_us) => self.advance(at_us),
            FeedMessage::Event {
                symbol,
                at_us,
                line,
                event,
            } => {
                self.advance(at_us);
                self.on_event(symbol, at_us, line, event);
            }
            FeedMessage::Break { reason } => {
                tracing::error!(%reason, "the feed broke: its books are stale until their next snapshots");
                self.symbols.iter_mut().for_each(Symbol::mark_stale);
            }
        }
    }

    fn on_event(&mut self, symbol: usize, at_us: i64, line: u64, event: MarketEvent) {
        let Some(symbol) = self.symbols.get_mut(symbol) else {
            tracing::error!(
                symbol,
                line,
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
                symbol.on_trade(&trade, &mut self.outbox);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            Counters::bump(&self.counters.feed_gaps);
            let name = symbol.instrument().name();
            tracing::error!(symbol = name, line, %error, "the feed is at fault: the book is stale until a snapshot");
        }
    }

    /// Ticks everything that is due up to `to_us`.
    fn advance(&mut self, to_us: i64) {
        while let Some(tick) = self.ticks.next_tick(to_us) {
            for symbol in &mut self.symbols {
                symbol.on_tick(tick, &mut self.outbox);
            }
        }
    }

    fn begin_epoch(&mut self, symbols: &[FeedSymbol]) {
        if !std::mem::replace(&mut self.is_first_epoch, false) {
            self.outbox
                .tell_all(|| WorkerMessage::EndEpoch { reason: NEW_EPOCH });
        }
        self.ticks = TickClock::default();
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
        let Some(&symbol) = self.by_name.get(&name.symbol) else {
            return false;
        };
        self.symbols[symbol].attach(outlet, name, encoding);
        true
    }

    fn depth(&self, symbol: SymbolName, limit: usize) -> DepthAnswer {
        // REST names symbols in upper case, streams in lower case.
        let lower = SymbolName::new(&symbol.as_str().to_ascii_lowercase());
        match lower.and_then(|name| self.by_name.get(&name)) {
            None => DepthAnswer::UnknownSymbol,
            Some(&index) => self.symbols[index].depth(limit),
        }
    }
}
