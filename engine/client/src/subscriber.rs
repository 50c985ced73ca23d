//! The subscriber: a connection when there is one, a book in step with it when possible, and the way back to both.

mod link;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use depthcast_market::book::Book;
use depthcast_market::event::{BookSnapshot, DepthUpdate, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::sync::SnapshotVerdict;
use depthcast_wire::ws::CloseCode;

use crate::backoff::Backoff;
use crate::connection::unix_time_us;
use crate::decode::{Content, MessageDecoder};
use crate::error::{ClientError, Staleness};
use crate::event::{BookOrigin, Counters, Event, Update};
use crate::fetch::{Fetch, Need, Refusal};
use crate::keeper::{BookKeeper, Outcome};
use crate::latency::LatencyMeter;
use crate::options::SubscriberOptions;
use crate::rest::{Answer, Rest};
use crate::resume::ResumePoint;
use crate::tap::{self, Received, Tap};

use self::link::{Link, open};

/// How long a caller must have been away for the socket to count as unread: longer than it takes to print a line, and
/// short against the latencies that it would falsify by more.
const ABSENCE_MIN: Duration = Duration::from_millis(5);

/// A subscription to one symbol, with its book.
///
/// [`Subscriber::next`] does all the work. After an error it may be called again: after a gap, a crossed book or a
/// refused snapshot it synchronises anew on the same connection; after errors that end the connection it reconnects
/// if it is to.
pub struct Subscriber {
    options: SubscriberOptions,
    rest: Rest,
    decoder: MessageDecoder,
    link: Link,
    /// `None` until exchangeInfo has answered on the first connection.
    instrument: Option<Instrument>,
    /// What is to be fetched; `None` while the book needs nothing.
    fetch: Option<Fetch>,
    keeper: BookKeeper,
    /// Trades of the last message that have not been told yet; bounded by the length of a message.
    trades: VecDeque<Trade>,
    /// When the stream last gave an update that leads on.
    last_progress: Instant,
    /// The socket has been read empty since nobody was reading: a silence now is the server's.
    caught_up: bool,
    /// When the caller got its last answer.
    answered_at: Instant,
    /// That the book is in step has been told.
    synced_told: bool,
    /// Where the book comes from, or will when it comes into step.
    origin: BookOrigin,
    /// Where this connection is to go on until its book has come into step, or the next one while there is none.
    resume: Option<ResumePoint>,
    /// This connection was asked to go on from an earlier one: the server may send a whole book instead.
    may_send_book: bool,
    backoff: Backoff,
    counters: Counters,
    latency: LatencyMeter,
    tap: Option<Tap>,
    /// No depth update has come on this connection.
    before_first_update: bool,
    /// The number of this connection's last heartbeat.
    heartbeat: Option<u64>,
}

impl Subscriber {
    /// Connects once. The first [`Subscriber::next`] then begins to synchronise.
    pub fn connect(options: SubscriberOptions) -> Result<Subscriber, ClientError> {
        let connection = open(&options, None)?;
        let timing = &options.timing;
        let mut subscriber = Subscriber {
            rest: Rest::new(
                options.url.clone(),
                options.symbol.to_upper().as_str(),
                timing.rest_max,
            ),
            decoder: MessageDecoder::new(options.format),
            link: Link::Ended,
            instrument: None,
            fetch: None,
            keeper: BookKeeper::new(),
            trades: VecDeque::new(),
            last_progress: Instant::now(),
            caught_up: false,
            answered_at: Instant::now(),
            synced_told: false,
            origin: BookOrigin::Fetched { snapshots: 0 },
            resume: None,
            may_send_book: false,
            backoff: Backoff::new(timing.reconnect_delay_base, timing.reconnect_delay_cap),
            counters: Counters::default(),
            latency: LatencyMeter::new(),
            tap: None,
            before_first_update: true,
            heartbeat: None,
            options,
        };
        subscriber.begin_connection(connection);
        Ok(subscriber)
    }

    /// The next event; `None` when there is none within `wait`.
    ///
    /// It can take longer than `wait` by the patience of one connect or one REST request ([`crate::Timing`]).
    pub fn next(&mut self, wait: Duration) -> Result<Option<Event>, ClientError> {
        let now = Instant::now();
        if now.saturating_duration_since(self.answered_at) > ABSENCE_MIN {
            self.note_absence();
        }
        let event = self.next_until(now + wait);
        self.answered_at = Instant::now();
        event
    }

    /// The book. It is in step with the stream while [`Subscriber::is_synced`]; otherwise it is as it was when it last
    /// was, or empty.
    pub fn book(&self) -> &Book {
        self.keeper.book()
    }

    /// Whether the book is in step with the stream.
    pub fn is_synced(&self) -> bool {
        self.keeper.is_synced()
    }

    /// The update applied last, with its levels.
    pub fn last_update(&self) -> &DepthUpdate {
        self.keeper.last_update()
    }

    /// The symbol's precision and steps, once the server has told them; known with the first event of the market.
    pub fn instrument(&self) -> Option<&Instrument> {
        self.instrument.as_ref()
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How old depth updates were on arrival; those that had to wait for a snapshot are not in it.
    pub fn latency(&self) -> &LatencyMeter {
        &self.latency
    }

    /// Whether there is a connection; it may have been lost without a sign so far.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Shows `tap` everything that is received from now on.
    pub fn set_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Ends the subscription and tells the server so.
    pub fn close(mut self) {
        if let Link::Up(connection) = std::mem::replace(&mut self.link, Link::Ended) {
            connection.close(CloseCode::NORMAL, "");
        }
    }

    fn next_until(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        loop {
            match self.advance(deadline) {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => return self.recover(error).map(Some),
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// One step: at most one event, one request, or one wait up to `deadline`.
    fn advance(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        if let Some(trade) = self.trades.pop_front() {
            return Ok(Some(Event::Trade(trade)));
        }
        match self.link {
            Link::Up(_) => {}
            Link::Down(due) => return self.advance_down(due, deadline),
            Link::Ended => return Err(ClientError::Ended),
        }
        if let Some(event) = self.advance_book()? {
            return Ok(Some(event));
        }
        let now = Instant::now();
        let silent = now.saturating_duration_since(self.last_progress);
        if silent >= self.options.timing.silence_max && self.caught_up {
            return Err(ClientError::Stale(Staleness::Silent { silent }));
        }
        if self.fetch.as_ref().is_some_and(|fetch| fetch.due() <= now) {
            self.run_fetch()?;
            return Ok(None);
        }
        self.receive(deadline.min(self.last_progress + self.options.timing.silence_max))
    }

    /// Applies an update that waited, or tells that the book has come into step.
    fn advance_book(&mut self) -> Result<Option<Event>, ClientError> {
        let Some(instrument) = &self.instrument else {
            return Ok(None);
        };
        if self.keeper.apply_waiting(instrument.exponents())? {
            return Ok(Some(Event::Update(self.update_event(None))));
        }
        if self.keeper.is_synced() && !self.synced_told {
            self.synced_told = true;
            self.backoff.reset();
            return Ok(Some(Event::Synced {
                last_id: self.keeper.book().last_id(),
                origin: self.origin,
            }));
        }
        Ok(None)
    }

    /// Asks for what is due.
    fn run_fetch(&mut self) -> Result<(), ClientError> {
        self.note_absence();
        let Some(fetch) = &mut self.fetch else {
            return Ok(());
        };
        let timing = &self.options.timing;
        let refusal = match (fetch.need(), &self.instrument) {
            (Need::Snapshot, Some(instrument)) => match self.rest.depth(self.options.snapshot_limit)? {
                Answer::Given(mut body) => {
                    fetch.on_snapshot();
                    let snapshot = self.decoder.decode_snapshot(&mut body, instrument);
                    let snapshot = snapshot.map_err(|error| self.rest.bad_snapshot(&error))?;
                    if let Some(tap) = &mut self.tap {
                        let snapshot = &snapshot;
                        let epoch = self.link.epoch();
                        tap(unix_time_us(), instrument, Received::Snapshot { snapshot, epoch });
                    }
                    let snapshots = fetch.snapshots();
                    if self.take_snapshot(&snapshot, BookOrigin::Fetched { snapshots })? {
                        return Ok(());
                    }
                    let snapshot_id = snapshot.last_id;
                    Refusal::TooOld { snapshot_id }
                }
                Answer::NotReady => Refusal::NotReady,
                Answer::TooMany(error) => Refusal::TooMany(error),
            },
            (Need::Instrument, _) | (Need::Snapshot, None) => match self.rest.instrument()? {
                Answer::Given(instrument) => {
                    if self
                        .instrument
                        .as_ref()
                        .is_some_and(|before| *before != instrument)
                    {
                        // Its mantissas mean something else now.
                        self.keeper.begin_connection();
                    }
                    self.instrument = Some(instrument);
                    fetch.on_instrument(Instant::now(), timing);
                    return Ok(());
                }
                Answer::NotReady => Refusal::NotReady,
                Answer::TooMany(error) => Refusal::TooMany(error),
            },
        };
        match &mut self.fetch {
            Some(fetch) => fetch.on_refusal(Instant::now(), refusal, &self.options.timing),
            None => Ok(()),
        }
    }

    /// Begins the book anew where the snapshot joins the stream; false where it is too old.
    fn take_snapshot(&mut self, snapshot: &BookSnapshot, origin: BookOrigin) -> Result<bool, ClientError> {
        let Some(instrument) = &self.instrument else {
            return Ok(false);
        };
        let is_resync = self.keeper.book().is_loaded();
        match self.keeper.on_snapshot(snapshot, instrument.exponents())? {
            SnapshotVerdict::FetchAgain => return Ok(false),
            SnapshotVerdict::Ignored => {}
            SnapshotVerdict::Load => {
                self.counters.resyncs += u64::from(is_resync);
                self.origin = origin;
                self.synced_told = false;
            }
        }
        self.fetch = None;
        self.resume = None;
        Ok(true)
    }

    /// Waits for a message, and takes it in.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        let Link::Up(connection) = &mut self.link else {
            return Ok(None);
        };
        let wake = self
            .fetch
            .as_ref()
            .map_or(deadline, |fetch| deadline.min(fetch.due()));
        let Some(instrument) = &self.instrument else {
            // Without the precision no message can be read: they wait in the socket.
            std::thread::sleep(wake.saturating_duration_since(Instant::now()));
            self.note_absence();
            return Ok(None);
        };
        let epoch = connection.epoch();
        let Some(mut message) = connection.receive(wake)? else {
            self.caught_up = true;
            return Ok(None);
        };
        let received_us = message.received_us;
        self.caught_up = message.prompt;
        let content = self.decoder.decode(&mut message, instrument, &mut self.trades)?;
        if let Some(tap) = &mut self.tap {
            let is_first_update = self.before_first_update;
            tap::show(
                tap,
                received_us,
                instrument,
                &content,
                &self.trades,
                (is_first_update, epoch),
            );
        }
        match content {
            Content::Depth(update) => self.on_update(update, received_us),
            Content::BestBidAsk(best) => {
                self.counters.best_bid_asks += 1;
                Ok(Some(Event::BestBidAsk(best)))
            }
            Content::Trades => {
                self.counters.trades += self.trades.len() as u64;
                Ok(None)
            }
            Content::Snapshot(snapshot) if self.may_send_book => {
                // One that does not reach the updates that wait is of no use: those have asked for another over REST.
                self.take_snapshot(&snapshot, BookOrigin::Streamed)?;
                Ok(None)
            }
            Content::Snapshot(_) => Err(ClientError::Unasked("a book")),
            Content::Heartbeat(number) => Ok(self.on_heartbeat(number)),
            Content::Reply => Ok(None),
            Content::ServerShutdown => Ok(Some(Event::ServerShutdown)),
        }
    }

    fn on_update(&mut self, mut update: DepthUpdate, received_us: i64) -> Result<Option<Event>, ClientError> {
        let Some(instrument) = &self.instrument else {
            return Ok(None);
        };
        self.counters.depth_updates += 1;
        self.before_first_update = false;
        let was_resuming = self.keeper.is_resuming();
        let outcome = self.keeper.on_update(&mut update, instrument.exponents());
        self.decoder.recycle(update);
        let now = Instant::now();
        match outcome? {
            Outcome::Applied => {
                self.last_progress = now;
                let event = self.update_event(Some(received_us));
                if was_resuming {
                    // It is as old as the connection took to be made, whatever its server's latency.
                    self.on_resumed();
                } else if self.caught_up {
                    self.latency.record(event.event_time_us, received_us);
                }
                Ok(Some(Event::Update(event)))
            }
            Outcome::Waits => {
                self.last_progress = now;
                if self.keeper.needs_snapshot() {
                    self.synced_told = false;
                    self.fetch
                        .get_or_insert_with(|| Fetch::for_resync(now))
                        .on_update(now);
                }
                Ok(None)
            }
            Outcome::Old => {
                self.counters.old_updates += 1;
                Ok(None)
            }
        }
    }

    /// Tells of heartbeats that are missing: the server leaves out none but with all else that was not read in time.
    fn on_heartbeat(&mut self, number: u64) -> Option<Event> {
        let before = self.heartbeat.replace(number)?;
        let heartbeats = number.checked_sub(before + 1).filter(|missing| *missing > 0)?;
        self.counters.conflated += 1;
        Some(Event::Conflated { heartbeats })
    }

    /// The first update of this connection has continued the book of the last one.
    fn on_resumed(&mut self) {
        if let Some(point) = self.resume.take() {
            let after_id = point.last_id;
            self.origin = BookOrigin::Resumed { after_id };
        }
        self.counters.resumed += 1;
        self.fetch = None;
    }

    fn update_event(&self, received_us: Option<i64>) -> Update {
        let update = self.keeper.last_update();
        Update {
            first_id: update.first_id,
            last_id: update.last_id,
            event_time_us: update.event_time_us,
            received_us,
        }
    }

    /// Nobody has read the socket for a while: what waits in it is late through no fault of the server.
    fn note_absence(&mut self) {
        self.caught_up = false;
        if let Link::Up(connection) = &mut self.link {
            connection.note_absence();
        }
    }
}
