//! What connections cost that do what most do most of the time: nothing, or take what all are given. Allocations are counted,
//! over sockets without a kernel that own no memory themselves.

mod buffers;

use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use depthcast_wire::ws::{Opcode, write_frame};

use super::PATIENT;
use crate::fanout::{Fanout, FanoutLimits, Ids, TopicId};
use crate::reactor::connections::Connections;
use crate::reactor::counters::Counters;
use crate::reactor::messages::MarketRequest;
use crate::reactor::socket::Socket;
use crate::reactor::topics::Topics;
use crate::session::SessionLimits;

/// Connections of which each test looks at the cost.
const CONNECTIONS: u32 = 1000;

/// As an engine has it where nothing else is said.
const PING_TICKS: u32 = 200;

/// A peer: what it has said, and what it has got.
#[derive(Debug, Default)]
struct Peer {
    said: Option<Rc<[u8]>>,
    is_ended: bool,
    is_reset: bool,
    /// Writes that were an empty Ping.
    pings: u32,
    writes: u32,
    /// The last write began with these.
    last: [u8; 12],
}

impl Socket for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.said.take() {
            _ if self.is_reset => Err(ErrorKind::ConnectionReset.into()),
            Some(said) => {
                buffer[..said.len()].copy_from_slice(&said);
                Ok(said.len())
            }
            None if self.is_ended => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes += 1;
        if let [ping] = slices {
            self.pings += u32::from(**ping == [0x89, 0]);
        }
        let begin = &slices[0][..slices[0].len().min(self.last.len())];
        self.last[..begin.len()].copy_from_slice(begin);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_close(&self) {}
}

/// A worker, turned by hand.
struct Rig {
    connections: Connections<Peer>,
    counters: Arc<Counters>,
    from_worker: Receiver<MarketRequest>,
    now: u32,
}

impl Rig {
    fn new(session: SessionLimits) -> Rig {
        let (to_market, from_worker) = bounded(1 << 16);
        let counters = Arc::new(Counters::of_workers(1));
        let fanout = Fanout::new(FanoutLimits {
            retention_bytes: 1 << 20,
            prefix_bytes_max: 1 << 20,
            lossless: false,
        });
        let topics = Topics::new(0, to_market);
        let connections = Connections::new(1 << 16, fanout, topics, session, counters.clone(), 0);
        Rig {
            connections,
            counters,
            from_worker,
            now: 0,
        }
    }

    fn connect(&mut self) -> u32 {
        self.connections
            .insert(Peer::default(), None)
            .expect("room for a connection")
    }

    /// The peer says this, and everybody is given what there is for it.
    fn say(&mut self, id: u32, said: &Rc<[u8]>) {
        self.peer(id).said = Some(said.clone());
        self.connections.on_readable(id, false);
        self.turn();
    }

    fn turn(&mut self) {
        self.connections.set_now(self.now);
        while self.connections.reads_waiting() > 0 {
            self.connections.read_some(128);
        }
        loop {
            let has_more = self.connections.run_timers(256);
            self.connections.flush(512);
            while self.connections.fanout.has_work() {
                self.connections.flush(512);
            }
            if !has_more {
                break;
            }
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        self.turn();
    }

    fn peer(&mut self, id: u32) -> &mut Peer {
        self.connections.socket_mut(id).expect("a connection")
    }

    fn open(&mut self, request: &Rc<[u8]>) -> u32 {
        let id = self.connect();
        self.say(id, request);
        assert!(
            self.connections
                .session(id)
                .is_some_and(|session| session.is_open())
        );
        id
    }

    /// The topics that the market thread was asked for since the last call.
    fn wanted(&mut self) -> Vec<TopicId> {
        let requests = self.from_worker.try_iter();
        let wanted = requests.filter_map(|request| match request {
            MarketRequest::Want { token, .. } => Some(token.topic),
            _ => None,
        });
        wanted.collect()
    }
}

/// The limits of an engine where nothing else is said, as far as they matter here.
const LIMITS: SessionLimits = SessionLimits {
    ping_ticks: PING_TICKS,
    pong_ticks: 600,
    streams_max: 10,
    ..PATIENT
};

fn upgrade(streams: &str) -> Rc<[u8]> {
    let request = format!(
        "GET /ws/{streams} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    Rc::from(request.as_bytes())
}

fn frame(opcode: Opcode, payload: &[u8]) -> Rc<[u8]> {
    let mut frame = Vec::new();
    write_frame(&mut frame, opcode, payload, Some([1, 2, 3, 4]));
    Rc::from(frame)
}

/// So many blocks and bytes are there more than before.
fn kept(info: AllocationInfo) -> (i64, i64) {
    (info.count_current, info.bytes_current)
}

#[test]
fn an_idle_subscriber_owns_no_block_of_memory() {
    let mut rig = Rig::new(LIMITS);
    let by_url = upgrade("btcusdt@depth/ethusdt@depth");
    let (bare, subscribe) = (
        upgrade(""),
        frame(
            Opcode::Text,
            br#"{"method":"SUBSCRIBE","params":["btcusdt@depth","ethusdt@depth"],"id":1}"#,
        ),
    );
    rig.open(&by_url);
    let come = |rig: &mut Rig| {
        for n in 0..CONNECTIONS {
            if n % 2 == 0 {
                rig.open(&by_url);
            } else {
                let id = rig.open(&bare);
                rig.say(id, &subscribe);
            }
        }
    };
    // Tables that have been as long before do not grow.
    come(&mut rig);
    for id in 1..=CONNECTIONS {
        rig.peer(id).is_reset = true;
        rig.connections.on_readable(id, true);
    }
    rig.turn();
    assert_eq!(rig.connections.len(), 1);

    let info = measure(|| come(&mut rig));
    assert_eq!(rig.connections.len(), CONNECTIONS + 1);
    assert_eq!(kept(info), (0, 0), "kept of {} allocations", info.count_total);
    assert_eq!(rig.connections.bytes_lent(), 0);
}

#[test]
fn a_ping_and_its_pong_allocate_nothing() {
    let mut rig = Rig::new(LIMITS);
    let (request, ping) = (upgrade("btcusdt@depth"), frame(Opcode::Ping, b""));
    let pongs = [frame(Opcode::Pong, b""), frame(Opcode::Pong, b"12345678")];
    let ids: Vec<u32> = (0..CONNECTIONS).map(|_| rig.open(&request)).collect();
    let round = |rig: &mut Rig| {
        for _ in 0..PING_TICKS {
            rig.tick();
            for &id in &ids {
                let peer = rig.peer(id);
                if std::mem::take(&mut peer.pings) > 0 {
                    peer.writes = 0;
                    rig.say(id, &pongs[id as usize % 2]);
                }
            }
        }
    };
    round(&mut rig);
    let info = measure(|| round(&mut rig));
    assert_eq!(info.count_total, 0);
    // Those of the peer are answered for as little.
    rig.say(0, &ping);
    let info = measure(|| ids.iter().for_each(|&id| rig.say(id, &ping)));
    assert_eq!(info.count_total, 0);
    assert!(ids.iter().all(|&id| rig.peer(id).last[..2] == [0x8a, 0]));
}

#[test]
fn those_who_come_at_once_are_pinged_evenly() {
    let mut rig = Rig::new(LIMITS);
    let request = upgrade("btcusdt@depth");
    rig.now = 1234;
    rig.turn();
    let ids: Vec<u32> = (0..CONNECTIONS).map(|_| rig.open(&request)).collect();
    for period in 1..=3 {
        for _ in 0..PING_TICKS {
            rig.tick();
            let pings = ids.iter().map(|&id| std::mem::take(&mut rig.peer(id).pings));
            assert_eq!(pings.sum::<u32>(), CONNECTIONS / PING_TICKS, "period {period}");
        }
    }
}

#[test]
fn frames_for_shared_groups_and_groups_of_one_allocate_nothing() {
    let mut rig = Rig::new(LIMITS);
    let shared = upgrade("btcusdt@depth");
    for _ in 0..CONNECTIONS / 2 {
        rig.open(&shared);
    }
    for n in 0..CONNECTIONS / 2 {
        rig.open(&upgrade(&format!("btcusdt@depth/s{n}usdt@depth")));
    }
    let topics = rig.wanted();
    assert_eq!(topics.len() as u32, 1 + CONNECTIONS / 2);
    let frame = Bytes::from(vec![0x2a; 132]);
    let deliver = |rig: &mut Rig| {
        for &topic in &topics {
            rig.connections
                .fanout
                .publish(topic, &frame.clone(), Ids::default());
        }
        rig.turn();
    };
    deliver(&mut rig);
    let before = rig.connections.fanout.sent().frames;
    let info = measure(|| deliver(&mut rig));
    let delivered = rig.connections.fanout.sent().frames - before;
    assert_eq!(delivered, u64::from(CONNECTIONS + CONNECTIONS / 2));
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_group_of_one_keeps_one_block_and_no_log() {
    let mut rig = Rig::new(LIMITS);
    let requests: Vec<Rc<[u8]>> = (0..CONNECTIONS)
        .map(|n| {
            let names: Vec<String> = (0..10)
                .map(|i| format!("s{}usdt@depth", (n * 7 + i * 31) % 1009))
                .collect();
            upgrade(&names.join("/"))
        })
        .collect();
    // All topics are there, and all tables of connections as long as they come to be.
    let keepers: Vec<u32> = requests.iter().map(|request| rig.open(request)).collect();
    let topics = rig.wanted();
    let frame = Bytes::from(vec![0x2a; 132]);
    let deliver = |rig: &mut Rig| {
        for &topic in &topics {
            rig.connections
                .fanout
                .publish(topic, &frame.clone(), Ids::default());
        }
        rig.turn();
    };
    deliver(&mut rig);
    keepers
        .iter()
        .for_each(|&id| rig.connections.on_readable(id, false));
    rig.turn();
    let gone = measure(|| {
        for (n, &id) in keepers.iter().enumerate().skip(1) {
            if n % 2 == 0 {
                rig.peer(id).is_reset = true;
                rig.connections.on_readable(id, true);
            }
        }
        rig.turn();
        deliver(&mut rig);
    });
    // A group of ten topics has one block, that of its topics.
    let groups = i64::from(CONNECTIONS / 2 - 1);
    assert_eq!(kept(gone), (-groups, -80 * groups));
}
