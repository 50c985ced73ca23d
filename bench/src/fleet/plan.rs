//! What each connection of a fleet is: where it comes from, what it asks for, what is done with it. All of it follows from
//! the order and the connection's number alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::order::{CONNECTIONS_PER_PROCESS_MAX, FleetOrder, Format, StreamPlan};
use crate::control::polled::PolledOrder;

/// Connections that share a source address. A connect tries the even ones of the 28,232 ports first, and where those are
/// used up it looks through all of them each time, which takes longer than all else: so it is far less than 14,116, with
/// room for the ports of connections that have ended within the last second.
pub const CONNECTIONS_PER_SOURCE: u32 = 8000;

/// Source addresses are taken from 127.1.0.0/16 on, each third and fourth number from 1 to 250.
const SOURCES_PER_NUMBER: u32 = 250;

/// The most connections of a fleet, which is as far as the source addresses go: 250 x 250 of them would be far more than
/// any host carries.
pub const CONNECTIONS_MAX: u32 = 16_000_000;
const _: () =
    assert!(CONNECTIONS_MAX.div_ceil(CONNECTIONS_PER_SOURCE) <= SOURCES_PER_NUMBER * SOURCES_PER_NUMBER);

/// Why an order cannot be carried out. The fault is whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// More streams than there are to choose from.
    #[error("each connection is to take {wanted} streams, and there are {there}")]
    Streams {
        /// Streams of a connection.
        wanted: u32,
        /// Names given.
        there: usize,
    },
    /// More connections than one process can have.
    #[error(
        "{wanted} connections are too many for one process, which has at most {CONNECTIONS_PER_PROCESS_MAX}"
    )]
    Connections {
        /// Connections wanted.
        wanted: u32,
    },
    /// Numbers for which there is no source address.
    #[error("a fleet has at most {CONNECTIONS_MAX} connections")]
    Numbers,
}

/// What is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Everything is read, and its frames checked.
    Read,
    /// Nothing is read once it is open.
    Stall,
    /// Everything is read, and a book kept of each depth stream.
    Books,
    /// One byte is read now and then.
    OneByte,
    /// It stops reading and resumes, over and over, and keeps a book of each depth stream.
    Pause,
}

impl Duty {
    /// Whether it is slow on purpose: what it receives is counted apart, and comes through a small receive buffer.
    pub fn is_slow(self) -> bool {
        matches!(self, Duty::Stall | Duty::OneByte | Duty::Pause)
    }

    /// Whether a server is to close it, since it never catches up.
    pub fn is_doomed(self) -> bool {
        matches!(self, Duty::Stall | Duty::OneByte)
    }
}

impl StreamPlan {
    /// The streams of connection `number`, all different, in the order of the plan.
    pub fn of_connection(&self, number: u32) -> Vec<&str> {
        let names = self.names.len();
        let wanted = self.per_connection as usize;
        if wanted >= names {
            return self.names.iter().map(String::as_str).collect();
        }
        let mut draw = ChaCha8Rng::seed_from_u64(self.seed);
        draw.set_stream(u64::from(number));
        // Floyd's algorithm: every choice of so many is as likely as any other.
        let mut chosen = BTreeSet::new();
        for last in names - wanted..names {
            let place = ((u128::from(draw.next_u64()) * (last as u128 + 1)) >> 64) as usize;
            if !chosen.insert(place) {
                chosen.insert(last);
            }
        }
        chosen
            .into_iter()
            .map(|place| self.names[place].as_str())
            .collect()
    }
}

impl PolledOrder for FleetOrder {
    fn check(&self) -> Result<(), impl std::fmt::Display> {
        FleetOrder::check(self)
    }

    fn core(&self) -> Option<usize> {
        self.core
    }

    fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }
}

impl FleetOrder {
    /// Whether it can be carried out.
    pub fn check(&self) -> Result<(), OrderError> {
        let StreamPlan {
            names,
            per_connection,
            ..
        } = &self.streams;
        if *per_connection as usize > names.len() {
            return Err(OrderError::Streams {
                wanted: *per_connection,
                there: names.len(),
            });
        }
        if self.connections > CONNECTIONS_PER_PROCESS_MAX {
            return Err(OrderError::Connections {
                wanted: self.connections,
            });
        }
        match self.first.checked_add(self.connections) {
            Some(end) if end <= CONNECTIONS_MAX => Ok(()),
            _ => Err(OrderError::Numbers),
        }
    }

    /// The request target of connection `number`: raw events of one stream, combined ones of several, and depth streams
    /// with a snapshot to start from where books are to be kept.
    pub fn target(&self, number: u32, duty: Duty) -> String {
        let format = match self.format {
            Format::Sbe => "/sbe",
            Format::Json | Format::Bench => "",
        };
        let with_snapshot = duty == Duty::Books || duty == Duty::Pause && self.format != Format::Bench;
        match self.streams.of_connection(number).as_slice() {
            [] => format!("{format}/ws"),
            [name] => {
                let snapshot = if with_snapshot { "?snapshot=1" } else { "" };
                format!("{format}/ws/{name}{snapshot}")
            }
            names => {
                let snapshot = if with_snapshot { "&snapshot=1" } else { "" };
                format!("{format}/stream?streams={}{snapshot}", names.join("/"))
            }
        }
    }

    /// The duty of each connection of this process, in the order of their numbers. A slow one keeps none of the books: those
    /// go to the next that reads.
    pub fn duties(&self) -> Vec<Duty> {
        let mut duties: Vec<Duty> = (0..self.connections)
            .map(|place| self.slow.duty(self.first + place, self.stalled_per_mille))
            .collect();
        // Behind the last one the count goes on from the first, so that what is owed by then finds its place.
        let mut owed = 0;
        let mut left = match self.format {
            Format::Json | Format::Sbe => self.books.min(self.connections),
            Format::Bench => 0,
        };
        let all = u64::from(self.connections);
        for round in 0..2 {
            for duty in &mut duties {
                if round == 0 {
                    owed += u64::from(self.books);
                }
                if left > 0 && *duty == Duty::Read && (owed >= all || round == 1) {
                    owed = owed.saturating_sub(all);
                    left -= 1;
                    *duty = Duty::Books;
                }
            }
        }
        duties
    }
}

/// The address that connection `number` comes from, in 127/8 and never 127.0.0.1, where servers are.
pub fn source(number: u32) -> IpAddr {
    let source = number / CONNECTIONS_PER_SOURCE;
    let (third, fourth) = (source / SOURCES_PER_NUMBER, source % SOURCES_PER_NUMBER);
    IpAddr::V4(Ipv4Addr::new(127, 1, third as u8 + 1, fourth as u8 + 1))
}

/// The orders to as many processes as so many `connections` need, evenly: each is `template` with its own part of the
/// numbers, from `template.first` on, and of the books.
pub fn orders(template: &FleetOrder, connections: u32) -> Vec<FleetOrder> {
    let processes = connections.div_ceil(CONNECTIONS_PER_PROCESS_MAX);
    let part = |of: u32, process: u32| (u64::from(of) * u64::from(process) / u64::from(processes)) as u32;
    (0..processes)
        .map(|process| {
            let (begin, end) = (part(connections, process), part(connections, process + 1));
            FleetOrder {
                first: template.first + begin,
                connections: end - begin,
                books: part(template.books, process + 1) - part(template.books, process),
                ..template.clone()
            }
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fleet::slow::SlowPlan;
    use proptest::prelude::*;

    /// An order of `connections` to streams that need no server.
    pub(in crate::fleet) fn order(connections: u32) -> FleetOrder {
        FleetOrder {
            server: ([127, 0, 0, 1], 9).into(),
            first: 0,
            connections,
            streams: StreamPlan {
                names: (0..20).map(|n| format!("s{n:02}usdt@depth@100ms")).collect(),
                per_connection: 3,
                seed: 7,
            },
            format: Format::Json,
            stalled_per_mille: 0,
            stalled_receive_buffer: 4096,
            slow: SlowPlan::default(),
            books: 0,
            core: None,
            pause_us: 0,
            lifetime_s: 10,
        }
    }

    fn count(duties: &[Duty], duty: Duty) -> usize {
        duties.iter().filter(|&&other| other == duty).count()
    }

    #[test]
    fn targets_are_those_of_the_protocol() {
        let mut order = order(10);
        assert!(
            order.target(0, Duty::Read).starts_with("/stream?streams=s"),
            "{}",
            order.target(0, Duty::Read)
        );
        order.streams.names.truncate(2);
        order.streams.per_connection = 2;
        let both = "/stream?streams=s00usdt@depth@100ms/s01usdt@depth@100ms";
        assert_eq!(order.target(3, Duty::Read), both);
        assert_eq!(order.target(3, Duty::Books), format!("{both}&snapshot=1"));
        order.streams.names.truncate(1);
        order.streams.per_connection = 1;
        order.format = Format::Sbe;
        assert_eq!(order.target(3, Duty::Stall), "/sbe/ws/s00usdt@depth@100ms");
        assert_eq!(
            order.target(3, Duty::Books),
            "/sbe/ws/s00usdt@depth@100ms?snapshot=1"
        );
        order.streams.per_connection = 0;
        order.streams.names.clear();
        order.format = Format::Bench;
        assert_eq!(order.target(3, Duty::Read), "/ws");
        order.streams.names = vec!["bench0@fixed".into()];
        order.streams.per_connection = 1;
        assert_eq!(order.target(3, Duty::Pause), "/ws/bench0@fixed");
        order.format = Format::Json;
        assert_eq!(order.target(3, Duty::Pause), "/ws/bench0@fixed?snapshot=1");
    }

    #[test]
    fn no_source_carries_more_than_it_can() {
        assert_eq!(source(0).to_string(), "127.1.1.1");
        assert_eq!(source(CONNECTIONS_PER_SOURCE - 1), source(0));
        assert_eq!(source(CONNECTIONS_PER_SOURCE).to_string(), "127.1.1.2");
        assert_eq!(source(CONNECTIONS_PER_SOURCE * 250).to_string(), "127.1.2.1");
        assert_eq!(source(CONNECTIONS_MAX - 1).to_string(), "127.1.8.250");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refusal = |change: &dyn Fn(&mut FleetOrder)| {
            let mut order = order(10);
            change(&mut order);
            order.check().unwrap_err().to_string()
        };
        assert_eq!(order(10).check(), Ok(()));
        assert_eq!(
            refusal(&|order| order.streams.per_connection = 21),
            "each connection is to take 21 streams, and there are 20"
        );
        assert!(refusal(&|order| order.connections = 18_001).starts_with("18001 connections are too many"));
        assert!(refusal(&|order| order.first = u32::MAX).starts_with("a fleet has at most"));
    }

    #[test]
    fn a_stalled_connection_keeps_no_book() {
        let mut order = order(100);
        order.stalled_per_mille = 500;
        order.books = 50;
        let duties = order.duties();
        assert_eq!(
            (count(&duties, Duty::Stall), count(&duties, Duty::Books)),
            (50, 50)
        );
        order.books = 80;
        assert_eq!(count(&order.duties(), Duty::Books), 50, "only so many read");
        order.format = Format::Bench;
        assert_eq!(count(&order.duties(), Duty::Books), 0);
    }

    #[test]
    fn every_stream_is_as_likely_as_any_other() {
        let plan = order(0).streams;
        let mut times = std::collections::BTreeMap::new();
        for number in 0..20_000 {
            for name in plan.of_connection(number) {
                *times.entry(name).or_insert(0) += 1;
            }
        }
        // 3,000 each on average, with a standard deviation of 50.
        assert!(
            times.len() == 20 && times.values().all(|n| (2700..3300).contains(n)),
            "{times:?}"
        );
    }

    proptest! {
        #[test]
        fn a_draw_is_of_different_streams_and_always_the_same(
            names in 0_usize..60, per_connection in 0_u32..60, seed: u64, number: u32,
        ) {
            let plan = StreamPlan {
                names: (0..names).map(|n| format!("{n:02}")).collect(),
                per_connection,
                seed,
            };
            let drawn = plan.of_connection(number);
            prop_assert_eq!(drawn.len(), names.min(per_connection as usize));
            prop_assert!(drawn.is_sorted_by(|a, b| a < b), "{:?}", drawn);
            prop_assert_eq!(plan.of_connection(number), drawn);
        }

        #[test]
        fn parts_are_even_and_follow_each_other(connections in 0_u32..2_000_000, books in 0_u32..2000, first in 0_u32..1000) {
            let template = FleetOrder { first, books, ..order(0) };
            let orders = orders(&template, connections);
            prop_assert_eq!(orders.len() as u32, connections.div_ceil(CONNECTIONS_PER_PROCESS_MAX));
            let mut next = first;
            for order in &orders {
                prop_assert_eq!(order.first, next);
                next += order.connections;
                prop_assert!(order.check().is_ok());
                prop_assert!(order.connections.abs_diff(connections / orders.len() as u32) <= 1);
                prop_assert!(order.books.abs_diff(books / orders.len() as u32) <= 1);
            }
            prop_assert_eq!(next, first + connections);
            prop_assert_eq!(orders.iter().map(|order| order.books).sum::<u32>(), if connections > 0 { books } else { 0 });
        }

        #[test]
        fn duties_are_spread_evenly(connections in 1_u32..3000, stalled_per_mille in 0_u32..=1000, books in 0_u32..400, first in 0_u32..5000) {
            let order = FleetOrder { first, stalled_per_mille, books, ..order(connections) };
            let duties = order.duties();
            prop_assert_eq!(duties.len() as u32, connections);
            let stalled = count(&duties, Duty::Stall);
            let expected = connections as usize * stalled_per_mille as usize / 1000;
            prop_assert!(stalled.abs_diff(expected) <= 1);
            let keepers = (books.min(connections) as usize).min(duties.len() - stalled);
            prop_assert_eq!(count(&duties, Duty::Books), keepers);
            // Any half of the numbers has about half of them.
            if stalled_per_mille == 0 {
                let half = count(&duties[..duties.len() / 2], Duty::Books);
                prop_assert!(half.abs_diff(keepers / 2) <= 1, "{} of {}", half, keepers);
            }
        }
    }
}
