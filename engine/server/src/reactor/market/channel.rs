//! Channels of one symbol: what is published of it, and for each the topics and workers that want it.

use depthcast_wire::stream::{Cadence, StreamKind, StreamName};

use super::TopicToken;
use super::frames::Standing;
use crate::session::encoding::Encoding;

/// A worker's place for the frames of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outlet {
    pub(super) worker: usize,
    pub(super) token: TopicToken,
}

/// A stream in one encoding, and who wants it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: StreamName,
    /// The name as text, for wrapping.
    pub(super) text: String,
    pub(super) encoding: Encoding,
    pub(super) outlets: Vec<Outlet>,
}

/// What decides an event's content: several topics have the same (`@depth` and `@depth@1000ms`, raw and combined).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: StreamKind,
    /// The cadence at which it ticks; None when it is emitted on arrival.
    pub(super) ticks: Option<Cadence>,
}

/// What a worker that was behind has not been told of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    /// All changes after this update id; of the tickers of all symbols, since this time.
    Since(u64),
    /// The newest event.
    Newest,
}

/// One content and the topics that carry it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) content: Content,
    pub(super) topics: Vec<Topic>,
    /// Workers that get nothing of it until what they were not told has been made up for. At most one of each.
    debts: Vec<Owed>,
}

/// A debt to a worker.
#[derive(Clone, Copy, Debug)]
struct Owed {
    worker: usize,
    debt: Debt,
    /// How often it had been through with what it took by then.
    pauses: u64,
}

impl Channel {
    /// Notes for each worker that is behind what it has to be told of an event later: of a change of the book, which stood
    /// at `before`, all that came since. Nothing for channels whose every event has to be told, nor for workers that have been
    /// `told`. Gives how many workers have to wait for the event.
    pub(super) fn defer(&mut self, standings: &[Standing], before: u64, told: &[usize]) -> usize {
        let debt = match self.content.kind {
            StreamKind::Depth | StreamKind::MiniTickers => Debt::Since(before),
            StreamKind::BookTicker
            | StreamKind::BestBidAsk
            | StreamKind::PartialDepth(_)
            | StreamKind::MiniTicker
            | StreamKind::Ticker
            | StreamKind::AveragePrice
            | StreamKind::Checksum => Debt::Newest,
            StreamKind::Trade
            | StreamKind::AggTrade
            | StreamKind::Kline(..)
            | StreamKind::Fixed
            | StreamKind::Heartbeat => return 0,
        };
        let behind = standings.iter().enumerate();
        let behind = behind.filter(|(worker, it)| it.is_behind && !told.contains(worker));
        for (worker, standing) in behind {
            if self.has_outlet_of(worker) && !self.owes(worker) {
                self.debts.push(Owed {
                    worker,
                    debt,
                    pauses: standing.pauses,
                });
            }
        }
        self.debts.len()
    }

    /// Whether a worker has to be told of earlier events before it can be told of the next.
    pub(super) fn owes(&self, worker: usize) -> bool {
        self.debts.iter().any(|owed| owed.worker == worker)
    }

    /// Takes the debts to the workers that are not behind any more, or were not in between.
    pub(super) fn take_debts(&mut self, standings: &[Standing]) -> Vec<(usize, Debt)> {
        if self.debts.is_empty() {
            return Vec::new();
        }
        let is_ready = |owed: &Owed| {
            let standing = standings.get(owed.worker);
            standing.is_none_or(|standing| standing.is_ready(owed.pauses))
        };
        let due = self.debts.extract_if(.., |owed| is_ready(owed));
        due.map(|owed| (owed.worker, owed.debt)).collect()
    }

    /// Whether all its events have to be told, however many wait.
    pub(super) fn is_unmergeable(&self) -> bool {
        matches!(
            self.content.kind,
            StreamKind::Trade | StreamKind::AggTrade | StreamKind::Kline(..) | StreamKind::Fixed
        )
    }

    /// The places of one worker for its frames.
    pub(super) fn outlets_of(&self, worker: usize) -> impl Iterator<Item = TopicToken> {
        let outlets = self.topics.iter().flat_map(|topic| &topic.outlets);
        outlets
            .filter(move |outlet| outlet.worker == worker)
            .map(|outlet| outlet.token)
    }

    fn has_outlet_of(&self, worker: usize) -> bool {
        self.outlets_of(worker).next().is_some()
    }

    /// Whether its events are changes, each of which must continue the one before.
    pub(super) fn is_of_changes(&self) -> bool {
        self.content.kind == StreamKind::Depth
    }
}

/// The channels of one symbol that somebody wants.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding, content: Content) {
        let channel = match self
            .channels
            .iter()
            .position(|channel| channel.content == content)
        {
            Some(at) => &mut self.channels[at],
            None => {
                self.channels.push(Channel {
                    content,
                    topics: Vec::new(),
                    debts: Vec::new(),
                });
                self.channels.last_mut().expect("just pushed")
            }
        };
        match channel
            .topics
            .iter_mut()
            .find(|topic| topic.name == name && topic.encoding == encoding)
        {
            Some(topic) => topic.outlets.push(outlet),
            None => {
                let text = name.to_string();
                channel.topics.push(Topic {
                    name,
                    text,
                    encoding,
                    outlets: vec![outlet],
                });
            }
        }
    }

    pub(super) fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        for channel in &mut self.channels {
            for topic in &mut channel.topics {
                if topic.name == name && topic.encoding == encoding {
                    topic.outlets.retain(|there| *there != outlet);
                }
            }
            channel.topics.retain(|topic| !topic.outlets.is_empty());
            if channel.owes(outlet.worker) && !channel.has_outlet_of(outlet.worker) {
                channel.debts.retain(|owed| owed.worker != outlet.worker);
            }
        }
        self.channels.retain(|channel| !channel.topics.is_empty());
    }

    /// Whether nobody wants anything.
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    /// Those that are emitted when an event of this kind arrives.
    pub(super) fn on_arrival(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.ticking(None)
    }

    /// Those of a kind that are not of a cadence.
    pub(super) fn of_kind(&mut self, kind: StreamKind) -> impl Iterator<Item = &mut Channel> {
        self.on_arrival()
            .filter(move |channel| channel.content.kind == kind)
    }

    /// Whether somebody wants a kind.
    pub(super) fn has(&self, kind: StreamKind) -> bool {
        self.all().any(|channel| channel.content.kind == kind)
    }

    /// Those that tick at a cadence; with None those that do not.
    pub(super) fn ticking(&mut self, cadence: Option<Cadence>) -> impl Iterator<Item = &mut Channel> {
        self.channels
            .iter_mut()
            .filter(move |channel| channel.content.ticks == cadence)
    }

    /// The workers that have still to be told of changes of the book.
    pub(super) fn owed_changes(&self) -> Vec<usize> {
        let changes = self.channels.iter().filter(|channel| channel.is_of_changes());
        changes
            .flat_map(|channel| &channel.debts)
            .map(|owed| owed.worker)
            .collect()
    }

    /// Whether a worker has to be told of earlier events of the channel that has this topic.
    pub(super) fn owes(&self, worker: usize, content: Content) -> bool {
        self.channels
            .iter()
            .any(|channel| channel.content == content && channel.owes(worker))
    }
}
