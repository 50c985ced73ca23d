//! What a fleet process is told to do and what it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::slow::{SlowPlan, SlowReport};

/// Connections of one fleet process at most: the host's usual hard limit of 20,000 descriptors, less some for itself.
pub const CONNECTIONS_PER_PROCESS_MAX: u32 = 18_000;

/// The format a fleet subscribes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The exchange's JSON, at `/ws` and `/stream`.
    Json,
    /// SBE, under `/sbe`.
    Sbe,
    /// Frames of the bench feed or of the bare loop, at `/ws` and `/stream`: their payload starts with when they were
    /// published (CLOCK_MONOTONIC, ns, u64 LE) and goes on with their number in their stream from 0 (u64 LE).
    Bench,
}

/// Which streams each connection takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPlan {
    /// All the streams there are to choose from.
    pub names: Vec<String>,
    /// How many of them each connection takes, different ones, drawn from the seed and the connection's number alone; all
    /// in order when it is as many as there are.
    pub per_connection: u32,
    /// Decides the draw.
    pub seed: u64,
}

/// The order to one process, on the first line of its standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetOrder {
    /// Where to connect.
    pub server: SocketAddr,
    /// The number, over all processes, of the first connection of this one: it decides its source address and streams.
    pub first: u32,
    /// How many connections, up to [`CONNECTIONS_PER_PROCESS_MAX`].
    pub connections: u32,
    /// What they take.
    pub streams: StreamPlan,
    /// In which format.
    pub format: Format,
    /// Of so many connections of a thousand nothing is ever read once they are open, spread evenly over the numbers.
    pub stalled_per_mille: u32,
    /// Bytes of receive buffer (`SO_RCVBUF`) of those, and of all that are slow.
    pub stalled_receive_buffer: usize,
    /// Who else is slow, and how.
    pub slow: SlowPlan,
    /// So many of the connections, spread evenly, keep a book of each of their depth streams and check all its ids.
    pub books: u32,
    /// Once all connections are open, whoever has nothing to read sleeps for so long before looking again, microseconds; 0
    /// sleeps until something comes. Over loopback it is the sender who wakes a sleeping receiver, at a price like that of
    /// the send itself and only where the receiver is the faster of the two, which no subscriber on another host would
    /// cost it. A pause takes that out of the measurement, and adds half of itself to the latency.
    pub pause_us: u32,
    /// The core to stay on, by its number on the host.
    pub core: Option<usize>,
    /// Seconds after which it ends whatever happens.
    pub lifetime_s: u32,
}

/// What a fleet process has received since `Begin`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetReport {
    /// Data frames (text and binary) whose last byte came, of connections that read everything at once.
    pub frames: u64,
    /// Bytes of those frames, their headers included.
    pub bytes: u64,
    /// Reads that gave bytes.
    pub reads: u64,
    /// Writes that were made, of pongs mostly.
    pub sends: u64,
    /// Pings that were answered.
    pub pings: u64,
    /// Connections that are open.
    pub open: u32,
    /// Connections of those from which nothing is read.
    pub stalled: u32,
    /// Connections that the server closed, ever, by their close code; 0 is without a close frame.
    pub closed: BTreeMap<u16, u32>,
    /// Connections among those from which nothing was read, or a byte now and then: they are to be closed.
    pub closed_stalled: u32,
    /// Frames that broke RFC 6455 or were none, ever. The connection is given up.
    pub malformed: u64,
    /// Frames of the bench format that were not the next of their stream.
    pub out_of_order: u64,
    /// Depth events that kept a book.
    pub book_events: u64,
    /// Books that are kept, and depth events that did not continue theirs, ever.
    pub books: u32,
    /// See `books`.
    pub book_gaps: u64,
    /// When the newest frame of the bench format was published, CLOCK_MONOTONIC ns; 0 before there was one.
    pub published_ns: u64,
    /// What went wrong first, for people.
    pub first_fault: Option<String>,
    /// From publishing to receiving, nanoseconds, of every frame of the bench format: an HdrHistogram in its compressed
    /// V2 encoding, base64. None where frames carry no time.
    pub latency: Option<String>,
    /// What its slow readers came to.
    pub slow: SlowReport,
}

impl FleetReport {
    /// Adds another process's, except for `latency`, which is no sum. `first_fault` stays that of the first that has one.
    pub fn add(&mut self, part: FleetReport) {
        self.frames += part.frames;
        self.bytes += part.bytes;
        self.reads += part.reads;
        self.sends += part.sends;
        self.pings += part.pings;
        self.open += part.open;
        self.stalled += part.stalled;
        for (code, count) in part.closed {
            *self.closed.entry(code).or_default() += count;
        }
        self.closed_stalled += part.closed_stalled;
        self.slow.add(part.slow);
        self.malformed += part.malformed;
        self.out_of_order += part.out_of_order;
        self.book_events += part.book_events;
        self.books += part.books;
        self.book_gaps += part.book_gaps;
        self.published_ns = self.published_ns.max(part.published_ns);
        self.first_fault = self.first_fault.take().or(part.first_fault);
    }
}
