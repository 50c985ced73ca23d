//! A subscriber's book, kept from JSON events alone and checked at each of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::common::market::digits;
use super::common::raw::{Raw, opcode};

/// A book at an update id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Bids and asks: quantity by price, both as digits.
    sides: [BTreeMap<i64, i64>; 2],
    /// The id it stands at.
    pub id: u64,
}

impl Book {
    /// The book of a snapshot: one of the stream's, or REST's.
    pub fn of_snapshot(snapshot: &Value) -> Book {
        let mut book = Book {
            id: snapshot["lastUpdateId"].as_u64().expect("a snapshot's id"),
            ..Book::default()
        };
        book.set([&snapshot["bids"], &snapshot["asks"]]);
        book
    }

    /// Applies a depth event, which has to continue the book exactly and to leave it uncrossed.
    pub fn apply(&mut self, event: &Value) {
        assert_eq!(event["e"], "depthUpdate", "{event}");
        assert_eq!(event["U"], self.id + 1, "a gap after {}: {event}", self.id);
        self.id = event["u"].as_u64().expect("an id");
        self.set([&event["b"], &event["a"]]);
        let best = (self.sides[0].last_key_value(), self.sides[1].first_key_value());
        if let (Some((bid, _)), Some((ask, _))) = best {
            assert!(bid < ask, "crossed at {}: {bid} and {ask}", self.id);
        }
    }

    /// How many levels it has.
    pub fn levels(&self) -> usize {
        self.sides.iter().map(BTreeMap::len).sum()
    }

    fn set(&mut self, sides: [&Value; 2]) {
        for (side, levels) in self.sides.iter_mut().zip(sides) {
            for level in levels.as_array().expect("levels") {
                let [price, qty] = [0, 1].map(|at| digits(level[at].as_str().expect("a decimal")));
                match qty {
                    0 => side.remove(&price),
                    _ => side.insert(price, qty),
                };
            }
        }
    }
}

/// The next event, a whole text frame.
pub fn event(raw: &mut Raw) -> Value {
    let frame = raw.frame().expect("an event before the end");
    assert_eq!(frame.opcode, opcode::TEXT, "{:?}", frame.payload);
    serde_json::from_str(frame.text()).expect("JSON")
}

/// What REST answers to a GET, with its status.
pub fn get(address: SocketAddr, target: &str) -> (u16, Value) {
    let mut raw = Raw::connect(address);
    raw.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
    let head = raw.http_head();
    let status = head[9..12].parse().expect("a status");
    (status, serde_json::from_str(&raw.text_to_end()).expect("JSON"))
}
