//! What a crowd's process is told to do and what it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::deal::Deal;
use super::returns::{Backoff, ReturnReport};
use crate::control::polled::PolledOrder;
use crate::fleet::moments::Moment;
use crate::fleet::order::{CONNECTIONS_PER_PROCESS_MAX, FleetReport, Format};
use crate::fleet::plan::CONNECTIONS_MAX;

/// What all connections of a process do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// They have their stream from the beginning, and stay.
    Stay,
    /// They are open without a stream, and subscribe on `Go`: with a snapshot, or to what comes next.
    Subscribe {
        /// Whether it begins with a snapshot.
        with_snapshot: bool,
    },
    /// They have their stream from the beginning; on `Go` all close, and a while later they come back and go on from the last
    /// id that they had.
    Resume {
        /// How long they are away, us.
        away_us: u64,
    },
    /// They have their stream from the beginning, and close on `Go`.
    Leave,
    /// They have their stream from the beginning; from `Go` on some leave all the time, each in its turn, and come back at once:
    /// half of them with a Close frame, half as a socket ends whose program was killed. Those that keep books stay.
    Churn {
        /// Of a million connections, how many leave in a second.
        per_million: u32,
        /// For how long, us.
        for_us: u64,
        /// Before tries, where one fails.
        backoff: Backoff,
    },
    /// They have their stream from the beginning; on `Go` the sockets of all end at once, and each comes back with backoff until
    /// it is there again, from the last id that it had.
    Return {
        /// Before tries.
        backoff: Backoff,
    },
}

impl Role {
    /// Whether connections come back to a market that stands still: a snapshot is then all that comes.
    pub fn comes_back(self) -> bool {
        matches!(self, Role::Churn { .. } | Role::Return { .. })
    }
}

/// The order to one process, on the first line of its standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrowdOrder {
    /// Where to connect.
    pub server: SocketAddr,
    /// The number, over all processes, of its first connection: it decides its source address and its stream.
    pub first: u32,
    /// How many connections, up to [`CONNECTIONS_PER_PROCESS_MAX`].
    pub connections: u32,
    /// Depth streams with their cadence, the most wanted first.
    pub streams: Vec<String>,
    /// How connections are dealt to them, see [`Deal`]: the exponent of Zipf's law; 0 gives each stream as many.
    pub zipf: f64,
    /// The market stands still: who comes back takes a snapshot, since nothing else would come.
    pub is_quiet: bool,
    /// Connects a second while connections are opened; 0 for as many as go.
    pub connects_per_s: u32,
    /// Handshakes under way at most while it opens.
    pub at_once: u32,
    /// JSON or SBE.
    pub format: Format,
    /// What they do.
    pub role: Role,
    /// So many of the connections keep a book, and hold it against each other's.
    pub books: u32,
    /// The time over which a storm is spread evenly, us.
    pub over_us: u64,
    /// The zero of latencies where another process has found it.
    pub floor_ns: Option<i64>,
    /// As [`crate::fleet::order::FleetOrder::pause_us`].
    pub pause_us: u32,
    /// The core to stay on, by its number on the host.
    pub core: Option<usize>,
    /// Seconds after which it ends whatever happens.
    pub lifetime_s: u32,
}

/// Why an order cannot be carried out. The fault is whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrowdOrderError {
    /// Nothing to take.
    #[error("a crowd needs a stream")]
    NoStream,
    /// More connections than a process can have, or numbers without a source address.
    #[error("{0} connections are too many for one process, which has at most {CONNECTIONS_PER_PROCESS_MAX}")]
    Connections(u32),
    /// The bench format has no depth.
    #[error("a crowd takes depth streams in JSON or SBE")]
    Format,
}

impl PolledOrder for CrowdOrder {
    fn check(&self) -> Result<(), impl std::fmt::Display> {
        CrowdOrder::check(self)
    }

    fn core(&self) -> Option<usize> {
        self.core
    }

    fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }
}

impl CrowdOrder {
    /// Whether it can be carried out.
    pub fn check(&self) -> Result<(), CrowdOrderError> {
        if self.streams.is_empty() {
            return Err(CrowdOrderError::NoStream);
        }
        let end = self.first.checked_add(self.connections);
        if self.connections > CONNECTIONS_PER_PROCESS_MAX || end.is_none_or(|end| end > CONNECTIONS_MAX) {
            return Err(CrowdOrderError::Connections(self.connections));
        }
        if self.format == Format::Bench {
            return Err(CrowdOrderError::Format);
        }
        Ok(())
    }

    /// Which connection has which stream, by its place.
    pub fn deal(&self) -> Deal {
        Deal::new(self.streams.len() as u32, self.zipf)
    }

    /// The target that subscribes to `stream`, with what else the query says. Times are microseconds.
    pub fn target(&self, stream: &str, query: &str) -> String {
        format!("{}/ws/{stream}?{}{query}", self.base(), self.unit())
    }

    /// The target that subscribes to nothing yet.
    pub fn bare_target(&self, query: &str) -> String {
        format!("{}/ws?{}{query}", self.base(), self.unit())
    }

    fn base(&self) -> &'static str {
        match self.format {
            Format::Sbe => "/sbe",
            Format::Json | Format::Bench => "",
        }
    }

    fn unit(&self) -> &'static str {
        // SBE has no other.
        match self.format {
            Format::Sbe => "",
            Format::Json | Format::Bench => "timeUnit=MICROSECOND&",
        }
    }

    /// Whether the connection at a place of this process keeps a book: they are spread evenly.
    pub fn keeps_book(&self, place: u32) -> bool {
        let before = |end: u32| u64::from(end) * u64::from(self.books) / u64::from(self.connections.max(1));
        before(place + 1) > before(place)
    }
}

/// The orders to as many processes as so many `connections` need, evenly, with their part of the numbers from
/// `template.first` on.
pub fn orders(template: &CrowdOrder, connections: u32) -> Vec<CrowdOrder> {
    let processes = connections.div_ceil(CONNECTIONS_PER_PROCESS_MAX);
    let part = |of: u32, process: u32| (u64::from(of) * u64::from(process) / u64::from(processes)) as u32;
    (0..processes)
        .map(|process| {
            let (begin, end) = (part(connections, process), part(connections, process + 1));
            CrowdOrder {
                first: template.first + begin,
                connections: end - begin,
                books: part(template.books, process + 1) - part(template.books, process),
                connects_per_s: template.connects_per_s.div_ceil(processes),
                ..template.clone()
            }
        })
        .collect()
}

/// What came of the storm so far, ever. Times are HdrHistograms of nanoseconds in their compressed V2 encoding, base64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JoinReport {
    /// Connections that asked for their stream.
    pub asked: u32,
    /// Who have the answer to that.
    pub answered: u32,
    /// Who have their snapshot, or, where none was asked for, their first event.
    pub joined: u32,
    /// Who have their first event.
    pub continued: u32,
    /// When the first asked, CLOCK_MONOTONIC ns; 0 before.
    pub first_asked_ns: u64,
    /// When the last did.
    pub last_asked_ns: u64,
    /// When the last joined.
    pub joined_ns: u64,
    /// From asking to the answer.
    pub answer_times: Option<String>,
    /// From asking to having joined.
    pub join_times: Option<String>,
    /// From asking to the first event.
    pub continue_times: Option<String>,
    /// Different snapshots: the stream's place and the id.
    pub bodies: Vec<(u32, u64)>,
}

/// What a crowd's process has seen; since `Begin`, unless it is said to be ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CrowdReport {
    /// What every fleet counts.
    pub fleet: FleetReport,
    /// Connections that know where they could go on from: an id and the server's history.
    pub positioned: u32,
    /// Connections that have had an event or a snapshot, ever.
    pub heard: u32,
    /// Depth events.
    pub events: u64,
    /// Ids they covered.
    pub ids: u64,
    /// Events that did not continue the one before, and messages that cannot be read, ever.
    pub gaps: u64,
    /// Requests that were refused, ever.
    pub refused: u64,
    /// The joins.
    pub joins: JoinReport,
    /// How late events were over the floor: a histogram as [`JoinReport`] has them; None before there is a floor.
    pub latency: Option<String>,
    /// The floor.
    pub floor_ns: Option<i64>,
    /// By how much an event was faster than that, ns.
    pub below_floor_ns: u64,
    /// Latencies by time.
    pub moments: Vec<Moment>,
    /// When the counting began, CLOCK_MONOTONIC ns.
    pub begun_ns: u64,
    /// The longest time between two events of one connection, ns.
    pub silence_ns: u64,
    /// Books that were held against what another said at the same id, ever.
    pub compared: u64,
    /// Those who left and came back, ever.
    pub returns: ReturnReport,
    /// What books said: symbol in lower case, id and digest ([`crate::fleet::trail`]).
    pub books: BTreeMap<String, BTreeMap<u64, u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> CrowdOrder {
        CrowdOrder {
            server: ([127, 0, 0, 1], 9).into(),
            first: 10,
            connections: 100,
            streams: vec!["btcusdt@depth@100ms".into(), "ethusdt@depth@100ms".into()],
            zipf: 0.0,
            is_quiet: false,
            connects_per_s: 0,
            at_once: 64,
            format: Format::Json,
            role: Role::Stay,
            books: 7,
            over_us: 1_000_000,
            floor_ns: None,
            pause_us: 500,
            core: None,
            lifetime_s: 60,
        }
    }

    #[test]
    fn targets_are_those_of_the_protocol() {
        let order = order();
        assert_eq!(
            order.target("btcusdt@depth@100ms", "resume=btcusdt:5&epoch=7"),
            "/ws/btcusdt@depth@100ms?timeUnit=MICROSECOND&resume=btcusdt:5&epoch=7"
        );
        assert_eq!(
            order.bare_target("snapshot=1"),
            "/ws?timeUnit=MICROSECOND&snapshot=1"
        );
        let sbe = CrowdOrder {
            format: Format::Sbe,
            ..order
        };
        assert_eq!(sbe.bare_target("snapshot=1"), "/sbe/ws?snapshot=1");
    }

    #[test]
    fn parts_are_whole_and_books_are_spread() {
        let all = orders(&order(), 40_000);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].first, 10);
        assert_eq!(all.iter().map(|order| order.connections).sum::<u32>(), 40_000);
        assert_eq!(all.iter().map(|order| order.books).sum::<u32>(), 7);
        for pair in all.windows(2) {
            assert_eq!(pair[0].first + pair[0].connections, pair[1].first);
        }
        for order in &all {
            order.check().unwrap();
            let keepers = (0..order.connections).filter(|&place| order.keeps_book(place));
            assert_eq!(keepers.count() as u32, order.books);
        }
        let deal = order().deal();
        assert_eq!((deal.stream_of(10), deal.stream_of(13)), (0, 1));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refusal = |order: CrowdOrder| order.check().unwrap_err();
        assert_eq!(
            refusal(CrowdOrder {
                streams: Vec::new(),
                ..order()
            }),
            CrowdOrderError::NoStream
        );
        assert_eq!(
            refusal(CrowdOrder {
                connections: 18_001,
                ..order()
            }),
            CrowdOrderError::Connections(18_001)
        );
        assert_eq!(
            refusal(CrowdOrder {
                format: Format::Bench,
                ..order()
            }),
            CrowdOrderError::Format
        );
    }
}
