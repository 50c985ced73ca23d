//! The thread that reads: it owns the subscriber, keeps the model, and leaves the newest picture for whoever draws.
//! Nothing here waits for the terminal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use depthcast_client::backoff::Backoff;
use depthcast_client::{ClientError, Event, Fault, Subscriber, SubscriberOptions};
use depthcast_wire::stream::SymbolName;

use super::model::{Market, Model};
use super::picture::Picture;

/// How often a picture is made: as often as people can tell.
pub(super) const PICTURE_INTERVAL: Duration = Duration::from_millis(40);

/// Events taken between two looks at the commands, whatever the time: a fifth of what a replay at full speed gives in
/// a second.
const EVENTS_PER_TURN_MAX: usize = 20_000;

/// What the drawing side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Leave the symbol for this one.
    Watch(SymbolName),
    /// So many rows a side.
    Levels(usize),
    /// So many ticks a row.
    Group(i64),
    /// End.
    Stop,
}

/// Where the newest picture lies. One that nobody took is replaced.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Arc<Picture>>>>);

impl Slot {
    pub(super) fn take(&self) -> Option<Arc<Picture>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, picture: Arc<Picture>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture);
    }
}

/// What is left when the thread has ended.
pub(super) struct Outcome {
    /// The last subscription, where there was one.
    pub(super) subscriber: Option<Subscriber>,
    pub(super) symbol: SymbolName,
    /// When the last subscription began.
    pub(super) start: Instant,
    /// Updates applied, over all subscriptions.
    pub(super) updates: u64,
    /// The error that ended the thread; `None` where it was told to.
    pub(super) failed: Option<ClientError>,
    /// Why there is no connection, or no book in step after one was lost.
    pub(super) lost: Option<ClientError>,
    /// The first fault of the market's data, over all subscriptions.
    pub(super) fault: Option<ClientError>,
}

/// The state of the thread.
pub(super) struct Feeder {
    /// Of the present symbol.
    options: SubscriberOptions,
    commands: Receiver<Command>,
    slot: Slot,
    shown: Option<Arc<Picture>>,
    subscriber: Option<Subscriber>,
    /// When to connect, while there is no subscriber; `None` where that would not help.
    connect_at: Option<Instant>,
    backoff: Backoff,
    model: Model,
    start: Instant,
    /// Updates that earlier subscriptions applied.
    updates_before: u64,
    levels_max: usize,
    group: i64,
    /// Some book came into step: from here on a lost connection is shown, not an end.
    has_synced: bool,
    lost: Option<ClientError>,
    fault: Option<ClientError>,
}

/// Why the thread ends.
enum Stop {
    Told,
    Failed(ClientError),
}

impl Feeder {
    pub(super) fn new(
        subscriber: Subscriber,
        options: SubscriberOptions,
        commands: Receiver<Command>,
        slot: Slot,
    ) -> Feeder {
        let now = Instant::now();
        let timing = &options.timing;
        Feeder {
            backoff: Backoff::new(timing.reconnect_delay_base, timing.reconnect_delay_cap),
            model: Model::new(options.symbol, now),
            options,
            commands,
            slot,
            shown: None,
            subscriber: Some(subscriber),
            connect_at: None,
            start: now,
            updates_before: 0,
            levels_max: 1,
            group: 1,
            has_synced: false,
            lost: None,
            fault: None,
        }
    }

    /// Follows the market until it is told to stop, or an error that leaves nothing to follow.
    pub(super) fn run(mut self) -> Outcome {
        let stop = loop {
            let turn = self.obey().and_then(|()| self.turn());
            if let Err(stop) = turn {
                break stop;
            }
            self.show();
        };
        Outcome {
            subscriber: self.subscriber,
            symbol: self.options.symbol,
            start: self.start,
            updates: self.updates_before + self.model.updates(),
            failed: match stop {
                Stop::Told => None,
                Stop::Failed(error) => Some(error),
            },
            lost: self.lost,
            fault: self.fault,
        }
    }

    fn obey(&mut self) -> Result<(), Stop> {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.on_command(command)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Stop::Told),
            }
        }
    }

    fn on_command(&mut self, command: Command) -> Result<(), Stop> {
        match command {
            Command::Stop => return Err(Stop::Told),
            Command::Levels(levels) => self.levels_max = levels,
            Command::Group(group) => self.group = group,
            Command::Watch(symbol) => {
                let now = Instant::now();
                self.options.symbol = symbol;
                self.updates_before += self.model.updates();
                self.model = Model::new(symbol, now);
                self.start = now;
                self.lost = None;
                self.connect_at = Some(now);
                self.backoff.reset();
                let before = self.subscriber.take();
                self.show();
                if let Some(before) = before {
                    before.close();
                }
            }
        }
        Ok(())
    }

    /// One picture's time of reading, or of waiting.
    fn turn(&mut self) -> Result<(), Stop> {
        let until = Instant::now() + PICTURE_INTERVAL;
        if self.subscriber.is_none() {
            return self.turn_without(until);
        }
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(subscriber) = &mut self.subscriber else {
                break;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match subscriber.next(left) {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => break,
                Err(error) => return self.on_error(error),
            }
        }
        Ok(())
    }

    /// Connects when that is due, and otherwise waits for a command.
    fn turn_without(&mut self, until: Instant) -> Result<(), Stop> {
        let now = Instant::now();
        if self.connect_at.is_some_and(|due| due <= now) {
            return self.connect();
        }
        let wake = self.connect_at.map_or(until, |due| due.min(until));
        match self.commands.recv_timeout(wake.saturating_duration_since(now)) {
            Ok(command) => self.on_command(command),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Stop::Told),
        }
    }

    fn connect(&mut self) -> Result<(), Stop> {
        match Subscriber::connect(self.options.clone()) {
            Ok(subscriber) => {
                self.subscriber = Some(subscriber);
                self.connect_at = None;
                Ok(())
            }
            Err(error) if self.options.reconnect => {
                let due = Instant::now() + self.backoff.next_delay();
                self.model.on_connect_failed(&error, due);
                self.connect_at = Some(due);
                self.lost = Some(error);
                Ok(())
            }
            Err(error) => Err(Stop::Failed(error)),
        }
    }

    fn on_event(&mut self, event: Event) {
        self.model.on_event(&event, Instant::now());
        match event {
            Event::Synced { .. } => {
                self.has_synced = true;
                self.lost = None;
            }
            Event::Reconnecting { reason, .. } => self.lost = Some(reason),
            _ => {}
        }
    }

    /// Decides what an error means: a fault of the market is shown and the ladder goes on; so it does where the
    /// subscriber connects again, once there has been something to see.
    fn on_error(&mut self, error: ClientError) -> Result<(), Stop> {
        match error.fault() {
            Fault::Market if self.options.reconnect || self.is_up() => {
                self.model.on_trouble(&error);
                self.fault.get_or_insert(error);
                Ok(())
            }
            Fault::Request if self.has_synced => {
                self.model.on_end(&error);
                self.subscriber = None;
                Ok(())
            }
            Fault::Connection if self.has_synced && self.options.reconnect => {
                self.model.on_trouble(&error);
                self.lost = Some(error);
                Ok(())
            }
            _ => Err(Stop::Failed(error)),
        }
    }

    fn is_up(&self) -> bool {
        self.subscriber.as_ref().is_some_and(Subscriber::is_connected)
    }

    /// Leaves a picture, where it differs from the one before.
    fn show(&mut self) {
        let market = self.subscriber.as_ref().map(Market::of);
        let picture = self
            .model
            .picture(market, self.levels_max, self.group, Instant::now());
        if self.shown.as_deref() != Some(&picture) {
            let picture = Arc::new(picture);
            self.slot.put(picture.clone());
            self.shown = Some(picture);
        }
    }
}
