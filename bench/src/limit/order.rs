//! What the bare loop is told to do and what it answers.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fleet::order::Format;

/// The bytes that it sends, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Traffic {
    /// `burst` frames with payloads of `size` bytes in one send, `hz` times a second; as fast as it goes when `hz` is 0.
    Fixed {
        /// Payload bytes of a frame, 16 at least: when it was published, its number, and filler.
        size: u32,
        /// Frames in one send.
        burst: u32,
        /// Sends to each connection a second.
        hz: u32,
    },
    /// The depth events of a recorded market, each a frame, in the time in which they were recorded.
    Recorded {
        /// The recording.
        capture: PathBuf,
        /// Its stream, as `btcusdt@depth@100ms`.
        stream: String,
        /// JSON or SBE.
        format: Format,
    },
}

/// The order to the bare loop, on the first line of its standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitOrder {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// How many connections it takes before it is ready.
    pub connections: u32,
    /// What it sends.
    pub traffic: Traffic,
    /// `SO_SNDBUF` of its sockets; the kernel's own sizing when None.
    pub send_buffer: Option<usize>,
    /// The core to stay on, by its number on the host.
    pub core: Option<usize>,
    /// Seconds after which it ends whatever happens.
    pub lifetime_s: u32,
}

/// What the bare loop has done since `Begin`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Rounds over all connections.
    pub passes: u64,
    /// Send calls.
    pub sends: u64,
    /// Bytes that sockets took.
    pub bytes: u64,
    /// Sends that found a socket full or took a part only: what was left is lost, and the connection is sent no more.
    pub refused: u64,
    /// Sends to a peer that had gone: the connection is closed.
    pub gone: u64,
    /// Connections that are sent to.
    pub open: u32,
    /// How long a round took, nanoseconds: an HdrHistogram in its compressed V2 encoding, base64.
    pub pass: Option<String>,
    /// Rounds that began later than they should have because the one before was still under way.
    pub late: u64,
}
