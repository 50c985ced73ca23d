//! An exchange that says over the feed link exactly what a test wants, right or wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, MarketEvent};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::feed_link::{LinkMessage, LinkReader, encode};

use super::common::raw::PATIENCE;

/// Its time at the start, microseconds.
const ORIGIN_US: i64 = 1_700_000_000_000_000;

/// An exchange of BTCUSDT and ETHUSDT.
pub struct FakeExchange {
    listener: TcpListener,
}

impl FakeExchange {
    /// One on any free port.
    pub fn start() -> FakeExchange {
        FakeExchange {
            listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
        }
    }

    /// One on a port that was just given up.
    pub fn at(address: SocketAddr) -> FakeExchange {
        FakeExchange {
            listener: TcpListener::bind(address).expect("the port is free again"),
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// The next engine's connection, after its hello.
    pub fn accept(&self) -> FakeLink {
        let (stream, _) = self.listener.accept().expect("an engine");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut link = FakeLink { stream, sequence: 0 };
        let mut reader = LinkReader::new();
        loop {
            match reader.next_message().expect("a feed link's message") {
                Some(LinkMessage::EngineHello { name }) => {
                    assert!(name.starts_with("depthcast "), "{name}");
                    return link;
                }
                Some(other) => panic!("{other:?}"),
                None => {
                    let mut bytes = [0; 256];
                    let read = link.stream.read(&mut bytes).expect("an engine says hello");
                    assert_ne!(read, 0, "an engine says hello");
                    reader.push(&bytes[..read]);
                }
            }
        }
    }
}

/// A connection to one engine. Dropped, it is lost.
pub struct FakeLink {
    stream: TcpStream,
    sequence: u64,
}

impl FakeLink {
    /// Sends bytes. An engine that has had enough of them may be gone: what it does is what a test looks at.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a message.
    pub fn say(&mut self, message: &LinkMessage) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).expect("a message that fits");
        self.bytes(&bytes);
    }

    /// Announces the exchange in an epoch, at a second of its time.
    pub fn announce(&mut self, epoch: u64, second: i64) {
        self.sequence = 1000 * epoch;
        self.say(&LinkMessage::Hello {
            epoch,
            sequence: self.sequence,
            time_us: at(second),
            heartbeat_ms: 100,
            symbols: 2,
            exchange: "fake".into(),
        });
        for (index, name) in (0..).zip(["BTCUSDT", "ETHUSDT"]) {
            let instrument = Instrument::new(name, Exponents::default(), 1, 1).expect("a symbol");
            self.say(&LinkMessage::Symbol {
                index,
                instrument,
                depth_cadence_ms: 0,
            });
        }
    }

    /// Gives both books, at an id: BTCUSDT with these bids, and an ask at 200.
    pub fn books(&mut self, second: i64, last_id: u64, bids: &[(i64, i64)]) {
        for symbol in 0..2 {
            let snapshot = BookSnapshot {
                last_id,
                bids: levels(if symbol == 0 { bids } else { &[] }),
                asks: levels(&[(200, 1)]),
            };
            self.say(&LinkMessage::Book {
                symbol,
                time_us: at(second),
                snapshot,
            });
        }
    }

    /// Changes bids of BTCUSDT.
    pub fn depth(&mut self, second: i64, ids: std::ops::RangeInclusive<u64>, bids: &[(i64, i64)]) {
        self.sequence += 1;
        self.say(&LinkMessage::Event {
            sequence: self.sequence,
            time_us: at(second),
            symbol: 0,
            event: MarketEvent::Depth(DepthUpdate {
                event_time_us: at(second),
                first_id: *ids.start(),
                last_id: *ids.end(),
                bids: levels(bids),
                asks: Vec::new(),
            }),
        });
    }

    /// Loses events on the way.
    pub fn skip(&mut self, events: u64) {
        self.sequence += events;
    }
}

fn at(second: i64) -> i64 {
    ORIGIN_US + second * 1_000_000
}

/// Whole prices and quantities.
fn levels(pairs: &[(i64, i64)]) -> Vec<Level> {
    let mut levels: Vec<Level> = pairs
        .iter()
        .map(|&(price, qty)| Level {
            price: price * 100_000_000,
            qty: qty * 100_000_000,
        })
        .collect();
    levels.sort_by_key(|level| -level.price);
    levels
}
