//! A connection that served REST and is then upgraded: libraries with one pool of connections for both do that. It is
//! answered as if it were new.

pub mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::raw::opcode::TEXT;
use common::raw::{PATIENCE, Raw, frame, masked_with, start, upgrade_request};
use depthcast::config::Settings;
use depthcast::engine::Engine;

const REST: &str = "GET /api/v3/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LIST: &[u8] = br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;

fn engine(change: impl FnOnce(&mut Settings)) -> Engine {
    let mut settings = Settings {
        feed: vec!["sim:?symbols=1&rate=50&seed=3".into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..Settings::default()
    };
    change(&mut settings);
    start(settings)
}

/// A connection whose first request was answered.
fn served(address: SocketAddr) -> Raw {
    let mut connection = Raw::connect(address);
    connection.send(REST.as_bytes());
    read_pong(&mut connection);
    connection
}

/// Reads the answer to [`REST`].
fn read_pong(connection: &mut Raw) {
    let head = connection.http_head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(connection.bytes(2).as_deref(), Some(&b"{}"[..]));
}

/// A masking key of characters that are encoded in a request's target, and a zero: what is sent has them and the payload as well.
const QUOTES: [u8; 4] = *b"\"<>\0";

#[test]
fn an_upgrade_behind_rest_makes_a_subscriber() {
    let engine = engine(|_| {});
    let mut all: Vec<Raw> = (0..40).map(|_| served(engine.address())).collect();
    for connection in &mut all {
        // With its first request in the same piece.
        let upgrade = upgrade_request("/ws/btcusdt@depth@100ms/0", "");
        connection.send(&[upgrade.as_bytes(), &masked_with(QUOTES, 0x80 | TEXT, LIST)].concat());
    }
    for connection in &mut all {
        let head = connection.http_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let reply = connection.frame().expect("a reply");
        assert_eq!(reply.text(), r#"{"result":["btcusdt@depth@100ms"],"id":1}"#);
        for _ in 0..3 {
            let event = connection.frame().expect("an event");
            assert!(event.text().starts_with(r#"{"e":"depthUpdate""#));
        }
    }
    assert_eq!(engine.counters().totals().subscribers, 40);
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let engine = engine(|_| {});
    let mut connection = served(engine.address());
    connection.send(
        [REST, REST, &upgrade_request("/stream?streams=", "")]
            .concat()
            .as_bytes(),
    );
    read_pong(&mut connection);
    read_pong(&mut connection);
    let head = connection.http_head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    connection.send(&frame(TEXT, LIST));
    assert_eq!(
        connection.frame().expect("a reply").text(),
        r#"{"result":[],"id":1}"#
    );
}

#[test]
fn what_is_refused_is_refused_as_on_a_new_connection() {
    let engine = engine(|_| {});
    let plain = "GET /ws/btcusdt@trade HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let no_unit = upgrade_request("/ws?timeUnit=week", "");
    let no_version = upgrade_request("/ws", "").replace("Version: 13", "Version: 12");
    for request in [plain, &no_unit, &no_version] {
        let mut fresh = Raw::connect(engine.address());
        fresh.send(request.as_bytes());
        let mut kept = served(engine.address());
        kept.send(request.as_bytes());
        let answer = fresh.text_to_end();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(kept.text_to_end(), answer);
    }
    // What is no subscriber's stays where it is.
    let mut connection = served(engine.address());
    connection.send(upgrade_request("/echo", "").as_bytes());
    let head = connection.http_head();
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}

#[test]
fn where_no_worker_has_room_it_is_told_so() {
    let engine = engine(|settings| settings.connections_per_worker = Some(1));
    let address = engine.address();
    let mut late = [served(address), served(address)];
    let subscribers = [Raw::open(address, "/ws"), Raw::open(address, "/ws")];
    late[0].send(upgrade_request("/ws", "").as_bytes());
    let answer = late[0].text_to_end();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After"), "{answer}");
    let [gone, _stays] = subscribers;
    drop(gone);
    // The worker finds out by itself that it has room again.
    let until = Instant::now() + PATIENCE;
    while engine.counters().totals().connections > 1 {
        assert!(Instant::now() < until, "the one that has gone is still counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let [_, second] = late;
    let _ = second.upgrade("/ws");
}
