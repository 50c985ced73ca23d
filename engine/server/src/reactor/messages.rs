//! What the threads say to each other.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::Instrument;
use depthcast_wire::stream::StreamName;

use super::questions::Ask;
use crate::fanout::Ids;
use crate::session::encoding::Encoding;

/// A worker's own name for a topic: its key, and a generation that tells a reused key from its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicToken {
    /// The worker's topic.
    pub topic: u32,
    /// Which topic under that key.
    pub generation: u32,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Since {
    /// With a snapshot.
    Snapshot,
    /// With what changed since an update id, as one event; with a snapshot where that cannot be told any more.
    Id {
        /// The number of the history that the id is of.
        epoch: u64,
        /// The id.
        id: u64,
        /// Whether a snapshot will do where the changes cannot be told any more; else the connection is closed.
        or_snapshot: bool,
    },
    /// With its newest event, where there is one: it is of a kind that needs no others.
    Newest,
}

/// A stream of a connection that does not just begin with what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Begin {
    /// The stream.
    pub name: StreamName,
    /// Where it begins.
    pub since: Since,
}

/// A message that is ready to be sent, WebSocket header included, shared by all who get it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it belongs.
    pub token: TopicToken,
    /// Its bytes.
    pub bytes: Bytes,
    /// The update ids that it covers.
    pub ids: Ids,
}

/// What a stream of a join begins with.
#[derive(Clone, Debug)]
pub struct Body {
    /// The stream.
    pub name: StreamName,
    /// Ready to be sent; empty where nothing was missed.
    pub bytes: Bytes,
    /// The update ids that it covers: of a snapshot the first is zero.
    pub ids: Ids,
}

/// Why a join cannot take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// A bound of the engine: close with 1013 and this reason.
    Bound(&'static str),
    /// The connection was too slow for what the engine remembers: close with 1008 and this reason.
    Forgotten(&'static str),
}

/// Why a topic cannot go on without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicEnd {
    /// More changed at once than the book remembers, or than an event of its format holds.
    TooMuchAtOnce,
    /// The worker was so far behind that the market thread could not keep any more of what it was to be told.
    EngineBehind,
}

/// From the market thread to a worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// Frames in the order in which they are to be delivered.
    Batch(Vec<Frame>),
    /// A join takes effect here, behind all that was published before.
    Joined {
        /// The connection, by the worker's key.
        connection: u32,
        /// Which of its joins.
        number: u32,
        /// What its streams begin with, ready to be sent; or why they cannot.
        bodies: Result<Vec<Body>, JoinError>,
    },
    /// These topics cannot go on without a gap: close who has them with 1013.
    EndTopics(Vec<TopicToken>, TopicEnd),
    /// The feed began a history.
    Epoch {
        /// Its number.
        id: u64,
        /// There was one before: close every subscriber with 1012 and this reason, since what it knows is of that.
        ends: Option<&'static str>,
    },
    /// Close every connection with 1001 and end.
    Stop {
        /// Without what the connections are owed still; else after it.
        at_once: bool,
    },
}

/// From workers and the admin thread to the market thread.
#[derive(Debug)]
pub enum MarketRequest {
    /// A worker wants the frames of a topic from the next one on.
    Want {
        /// The worker's number.
        worker: usize,
        /// Its name for the topic.
        token: TopicToken,
        /// The stream.
        name: StreamName,
        /// How it is written.
        encoding: Encoding,
    },
    /// The worker wants them no more.
    Unwant {
        /// The worker's number.
        worker: usize,
        /// Its name for the topic.
        token: TopicToken,
    },
    /// A connection's streams are to begin between two batches, at the first moment at which what each of `begins` starts
    /// with is continued exactly by its next event.
    Join {
        /// The worker's number.
        worker: usize,
        /// The connection, by the worker's key.
        connection: u32,
        /// Which of its joins.
        number: u32,
        /// The depth streams that do not just start with their next event. Their topics were wanted before.
        begins: Vec<Begin>,
        /// How they are written.
        encoding: Encoding,
    },
    /// The connection does not want to join any more.
    Leave {
        /// The worker's number.
        worker: usize,
        /// The connection, by the worker's key.
        connection: u32,
    },
    /// Anything that REST answers.
    Ask(Ask),
    /// End the thread: at once, or after all that a stopped feed has given, and then the workers behind it.
    Stop {
        /// Without what the feed has given still.
        at_once: bool,
    },
}

/// A symbol as its feed announces it.
#[derive(Clone, Debug)]
pub struct FeedSymbol {
    /// Name, precision and filters.
    pub instrument: Arc<Instrument>,
    /// How often the feed gives a depth event: streams of this cadence and shorter ones emit on arrival.
    pub depth_cadence_ms: u32,
}

/// A place in a feed, as people can find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line of a capture, from 1.
    Line(u64),
    /// A step of the embedded exchange, from 1; 0 is before the first.
    Step(u64),
    /// A sequence number of a feed link.
    Sequence(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Line(n) => write!(f, "line {n}"),
            Position::Step(n) => write!(f, "step {n}"),
            Position::Sequence(n) => write!(f, "sequence {n}"),
        }
    }
}

/// From a feed to the market thread. Times are the feed's own (a replay's are the recorded ones), microseconds.
#[derive(Debug)]
pub enum FeedMessage {
    /// A history begins, all its books are unknown. Sent first, and again when ids go back.
    Epoch {
        /// Its number, which no other history has.
        id: u64,
        /// Its symbols.
        symbols: Vec<FeedSymbol>,
    },
    /// Something happened to one symbol.
    Event {
        /// Its place in the list of the epoch.
        symbol: usize,
        /// When it was received.
        at_us: i64,
        /// Where in the feed, for error messages.
        position: Position,
        /// What happened.
        event: MarketEvent,
    },
    /// Frames of the bench feed, all of one moment.
    Fixed {
        /// When.
        at_us: i64,
        /// Payloads, each with the place of its stream's symbol in the list of the epoch, in order.
        frames: Vec<(usize, Bytes)>,
    },
    /// Time has passed without an event.
    Time(i64),
    /// The feed broke: no book can be trusted until its next snapshot.
    Break {
        /// Why, for the log.
        reason: String,
    },
}
