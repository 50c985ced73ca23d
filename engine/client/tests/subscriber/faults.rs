//! What a server can do wrong: each a typed error that says what it was.

use std::time::Duration;

use depthcast_client::latency::NoLatency;
use depthcast_client::{ClientError, Event, Fault, Staleness, Subscriber};
use depthcast_wire::stream::SymbolName;
use depthcast_wire::target::Format;
use depthcast_wire::ws::Opcode;

use crate::server::{Depth, Server, script};
use crate::{until, until_error, until_synced};

#[test]
fn a_gap_names_its_ids_and_is_healed_by_a_snapshot() {
    for format in [Format::Json, Format::Sbe] {
        let server = Server::start(
            &[Depth::Book(12), Depth::Book(25)],
            vec![script(|peer| {
                peer.update(10, 19, 101, 109);
                peer.await_depths(1);
                peer.update(21, 29, 102, 108);
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        let error = until_error(&mut subscriber);
        assert_eq!(
            error.to_string(),
            "gap: update 21 to 29 does not continue the book: expected it to start at 20"
        );
        assert_eq!(error.fault(), Fault::Market);
        assert_eq!(subscriber.counters().gaps, 1);
        assert!(!subscriber.is_synced());

        assert_eq!(until_synced(&mut subscriber).unwrap(), (29, 1));
        assert_eq!(subscriber.counters().resyncs, 1);
    }
}

#[test]
fn a_crossed_book_names_its_prices() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.await_depths(1);
            peer.update(20, 20, 109, 111);
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Sbe)).unwrap();
    let error = until_error(&mut subscriber);
    assert_eq!(
        error.to_string(),
        "crossed book: after update 20 the best bid 1.09000000 is not below the best ask 1.09000000"
    );
    assert_eq!(error.fault(), Fault::Market);
}

#[test]
fn silence_is_stale_even_while_quotes_and_old_updates_come() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.await_depths(1);
            for _ in 0..60 {
                std::thread::sleep(Duration::from_millis(20));
                peer.quote_and_trades(19);
                peer.update(11, 12, 101, 109);
            }
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    let error = until_error(&mut subscriber);
    assert!(
        matches!(error, ClientError::Stale(Staleness::Silent { silent }) if silent >= Duration::from_millis(800)),
        "{error}"
    );
    let counters = subscriber.counters();
    assert!(counters.old_updates > 5 && counters.trades > 5, "{counters:?}");
}

#[test]
fn a_caller_who_was_away_does_not_blame_the_server() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.await_depths(1);
            peer.update(20, 20, 101, 109);
            peer.next_from_subscriber();
        })],
    );
    let mut options = server.options(Format::Sbe);
    options.timing.silence_max = Duration::from_millis(200);
    let mut subscriber = Subscriber::connect(options).unwrap();
    until_synced(&mut subscriber).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    until(&mut subscriber, |_, event| {
        matches!(event, Event::Update(update) if update.last_id == 20).then_some(())
    })
    .unwrap();
    assert_eq!(
        subscriber.latency().report(),
        Err(NoLatency::NoEvents),
        "it waited in the socket"
    );
    assert!(matches!(
        until_error(&mut subscriber),
        ClientError::Stale(Staleness::Silent { .. })
    ));
}

#[test]
fn garbage_is_a_typed_error_and_the_server_hears_why() {
    type Send = fn(&mut crate::server::Peer);
    let cases: [(Format, Send, &str, &str); 10] = [
        (
            Format::Json,
            |peer| peer.bytes(b"\xff\xff\xff\xff"),
            "does not speak WebSocket",
            "close 1002",
        ),
        (
            Format::Json,
            |peer| peer.bytes(b"HTTP/1.1 200 OK\r\n"),
            "does not speak WebSocket",
            "close 1002",
        ),
        (
            Format::Json,
            |peer| peer.bytes(b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
            "larger than",
            "close 1009",
        ),
        (
            Format::Json,
            |peer| peer.frame(Opcode::Text, b"\xc3\x28"),
            "UTF-8",
            "close 1007",
        ),
        (
            Format::Json,
            |peer| peer.frame(Opcode::Text, b"{\"e\":"),
            "not JSON",
            "close 1007",
        ),
        (
            Format::Json,
            |peer| peer.frame(Opcode::Text, b"{\"code\":2,\"msg\":\"x\"}"),
            "no market event",
            "close 1007",
        ),
        (
            Format::Json,
            |peer| peer.frame(Opcode::Binary, b"\0"),
            "a binary message",
            "close 1003",
        ),
        (
            Format::Json,
            |peer| {
                peer.frame(
                    Opcode::Text,
                    br#"{"u":1,"s":"ETHUSDT","b":"1","B":"1","a":"2","A":"1"}"#,
                );
            },
            "\"ETHUSDT\" to a subscriber of BTCUSDT",
            "close 1003",
        ),
        (
            Format::Sbe,
            |peer| peer.frame(Opcode::Binary, b"\x1a\0\x13\x27\x01\0\0\0\0"),
            "cut short",
            "close 1007",
        ),
        (
            Format::Sbe,
            |peer| peer.frame(Opcode::Text, b"hello"),
            "not JSON",
            "close 1007",
        ),
    ];
    for (format, send, text, close) in cases {
        let (told, hears) = std::sync::mpsc::channel();
        let server = Server::start(
            &[Depth::Book(12)],
            vec![script(move |peer| {
                send(peer);
                told.send(peer.next_from_subscriber()).expect("the test waits");
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        let error = until_error(&mut subscriber);
        assert!(error.to_string().contains(text), "{error} has no {text:?}");
        assert_eq!(
            hears.recv_timeout(Duration::from_secs(1)).unwrap(),
            close,
            "{error}"
        );
        assert!(matches!(until_error(&mut subscriber), ClientError::Ended));
    }
}

#[test]
fn rest_answers_that_help_nobody() {
    let cases = [
        (
            Depth::Body("<html>"),
            "cannot be read: the feed sent text that is not JSON",
        ),
        (Depth::Body(r#"{"lastUpdateId":1,"bids":[]}"#), "cannot be read"),
        (
            Depth::Body(r#"{"lastUpdateId":12,"bids":[["3","1"]],"asks":[["2","1"]]}"#),
            "crossed book",
        ),
        (
            Depth::Body(r#"{"lastUpdateId":12,"bids":[["1","1"],["2","1"]],"asks":[]}"#),
            "not sorted best first",
        ),
        (Depth::Status(418, "I am\na teapot"), "418 I am a teapot"),
        (Depth::Status(500, "oh"), "500 oh"),
        (Depth::Status(429, "slow down"), "429 slow down"),
    ];
    for (depth, text) in cases {
        let server = Server::start(
            &[depth],
            vec![script(|peer| {
                peer.update(10, 19, 101, 109);
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
        let error = until_error(&mut subscriber).to_string();
        assert!(error.contains(text), "{error} has no {text:?}");
    }
}

#[test]
fn a_symbol_that_the_server_does_not_have() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.next_from_subscriber();
        })],
    );
    let mut options = server.options(Format::Json);
    options.symbol = SymbolName::new("nosuch").unwrap();
    options.reconnect = true;
    let mut subscriber = Subscriber::connect(options).unwrap();
    let error = until_error(&mut subscriber);
    assert_eq!(error.to_string(), "the server does not know the symbol NOSUCH");
    assert_eq!(error.fault(), Fault::Request);
    assert!(matches!(until_error(&mut subscriber), ClientError::Ended));
}

#[test]
fn a_server_that_is_not_there_or_refuses() {
    let connect = |server: &Server| {
        let error = Subscriber::connect(server.options(Format::Json))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.fault(), Fault::Connection);
        error.to_string()
    };
    let server = Server::start(&[Depth::Book(1)], Vec::new());
    assert!(connect(&server).contains("refused the WebSocket: 503 Service Unavailable: full"));

    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut options = server.options(Format::Json);
    options.url = format!("ws://127.0.0.1:{port}").parse().unwrap();
    let error = Subscriber::connect(options).map(drop).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")),
        "{error}"
    );

    // One that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = server.options(Format::Json);
    options.url = format!("ws://{}", silent.local_addr().unwrap()).parse().unwrap();
    options.timing.connect_max = Duration::from_millis(100);
    let error = Subscriber::connect(options).map(drop).unwrap_err();
    assert!(matches!(error, ClientError::HandshakeTimeout { .. }), "{error}");
}
