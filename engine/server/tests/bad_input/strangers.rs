//! Those who come to the port with something else than a good upgrade: bad requests, wrong REST calls, and connections
//! that say little, nothing, or go away.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::raw::{Raw, http, http_get, status_and_body, upgrade_request};
use crate::witness::TradedMarket;

/// The engine's time for a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// An upgrade request with one line replaced.
fn spoilt(from: &str, to: &str) -> String {
    let request = upgrade_request("/ws/btcusdt@trade", "");
    assert!(request.contains(from), "{from}");
    request.replacen(from, to, 1)
}

#[test]
fn requests_that_are_none_are_refused_with_a_sentence() {
    let market = TradedMarket::start();
    let many_streams = vec!["btcusdt@trade"; 1025].join("/");
    let long = "a".repeat(64 * 1024);
    let many_headers = "X-Header: 1\r\n".repeat(100);
    for (name, request, status, part) in [
        ("garbage", "\0\0\0garbage\r\n\r\n".to_string(), 400, "HTTP/1.1"),
        (
            "TLS",
            "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n".into(),
            400,
            "TLS",
        ),
        (
            "a long target",
            upgrade_request(&format!("/ws/{long}"), ""),
            431,
            "65536 bytes",
        ),
        (
            "a long header",
            spoilt("Host", &format!("X: {long}\r\nHost")),
            431,
            "65536 bytes",
        ),
        (
            "a head without end",
            format!("GET / HTTP/1.1\r\nX: {long}{long}"),
            431,
            "65536 bytes",
        ),
        (
            "many headers",
            spoilt("Host", &format!("{many_headers}Host")),
            431,
            "64 header fields",
        ),
        (
            "HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
            505,
            "HTTP/1.1",
        ),
        (
            "no upgrade",
            "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            426,
            "WebSocket",
        ),
        (
            "version 8",
            spoilt("Version: 13", "Version: 8"),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        (
            "no version",
            spoilt("Sec-WebSocket-Version: 13\r\n", ""),
            426,
            "Sec-WebSocket-Version: 13",
        ),
        ("POST", spoilt("GET", "POST"), 405, "GET"),
        ("HTTP/1.0", spoilt("HTTP/1.1", "HTTP/1.0"), 505, "HTTP/1.1"),
        (
            "no key",
            spoilt("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
            "Key",
        ),
        (
            "a short key",
            spoilt("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"),
            400,
            "Key",
        ),
        ("no host", spoilt("Host: localhost\r\n", ""), 400, "Host"),
        ("two hosts", spoilt("Host", "Host: other\r\nHost"), 400, "Host"),
        (
            "no connection",
            spoilt("Connection: Upgrade\r\n", ""),
            400,
            "Connection: Upgrade",
        ),
        ("a body", spoilt("Host", "Content-Length: 5\r\nHost"), 400, "body"),
        (
            "a time unit",
            upgrade_request("/ws?timeUnit=NANOSECOND", ""),
            400,
            "timeUnit",
        ),
        (
            "bad encoding",
            upgrade_request("/ws/btcusdt%4", ""),
            400,
            "percent-encoding",
        ),
        (
            "many streams",
            upgrade_request(&format!("/ws/{many_streams}"), ""),
            400,
            "1024 streams",
        ),
    ] {
        let (got, body) = http(market.address(), &request);
        assert_eq!(got, status, "{name}: {body}");
        assert!(body.contains(part), "{name}: {body}");
        assert_eq!(body.lines().count(), 1, "{name}: one sentence, not {body:?}");
    }
    market.assert_unharmed();
}

#[test]
fn wrong_rest_calls_are_answered_as_the_exchange_does() {
    let market = TradedMarket::start();
    for (target, status, code) in [
        ("/api/v3/ping", 200, None),
        ("/api/v3/depth", 400, Some(-1102)),
        ("/api/v3/depth?symbol=", 400, Some(-1105)),
        ("/api/v3/depth?symbol=btcusdt", 400, Some(-1100)),
        ("/api/v3/depth?symbol=BTC%2FUSDT", 400, Some(-1100)),
        ("/api/v3/depth?symbol=BTC%zzUSDT", 400, Some(-1100)),
        ("/api/v3/depth?symbol=NOSUCH", 400, Some(-1121)),
        ("/api/v3/depth?symbol=BTCUSDT&limit=0", 400, Some(-1130)),
        ("/api/v3/depth?symbol=BTCUSDT&limit=-5", 400, Some(-1100)),
        ("/api/v3/depth?symbol=BTCUSDT&limit=many", 400, Some(-1100)),
        // The market of this test only trades: its book has not begun.
        ("/api/v3/depth?symbol=BTCUSDT", 503, Some(-1008)),
        ("/api/v3/exchangeInfo?symbol=NOSUCH", 400, Some(-1121)),
        ("/api/v3/exchangeInfo?symbols=BTCUSDT", 400, Some(-1100)),
        ("/api/v3/nothing", 404, Some(-1000)),
        ("/", 404, Some(-1000)),
        // Without the setting there is no echo.
        ("/echo", 404, Some(-1000)),
    ] {
        let (got, body) = http_get(market.address(), target);
        assert_eq!(got, status, "{target}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["code"].as_i64(), code, "{target}: {body}");
        assert_eq!(body["msg"].is_string(), code.is_some(), "{target}: {body}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let (status, body) = http(
            market.address(),
            &format!(
                "{method} /api/v3/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            ),
        );
        assert_eq!(status, 405, "{method}");
        assert!(body.contains("GET"), "{body}");
    }
    market.assert_unharmed();
}

#[test]
fn rest_clients_may_pipeline_end_their_direction_and_talk_nonsense_afterwards() {
    let market = TradedMarket::start();
    let ping = "GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n";

    let mut client = Raw::connect(market.address());
    client.send(format!("{ping}{ping}\0nonsense\r\n\r\n").as_bytes());
    let text = client.text_to_end();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("HTTP/1.1 400 ").count(), 1, "{text}");

    for _ in 0..20 {
        let mut client = Raw::connect(market.address());
        client.send(ping.as_bytes());
        client.end_sending();
        assert_eq!(status_and_body(&client.text_to_end()), (200, "{}".to_string()));
    }
    market.assert_unharmed();
}

#[test]
fn a_request_may_trickle_in_and_one_that_does_not_come_is_given_up() {
    let market = TradedMarket::start();
    let connected_at = Instant::now();
    let mut silent = Raw::connect(market.address());
    let mut halting = Raw::connect(market.address());
    halting.send(b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: localh");

    // Byte by byte, but in time.
    let mut trickling = Raw::connect(market.address());
    for byte in upgrade_request("/ws/btcusdt@trade", "").as_bytes() {
        trickling.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(trickling.http_head().starts_with("HTTP/1.1 101 "));
    assert!(trickling.frame().expect("the market").text().contains("trade"));

    let mut rest = Raw::connect(market.address());
    for byte in b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        rest.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(status_and_body(&rest.text_to_end()).0, 200);

    for client in [&mut silent, &mut halting] {
        let (status, body) = status_and_body(&client.text_to_end());
        assert_eq!((status, body.lines().count()), (408, 1), "{body}");
        let waited = connected_at.elapsed();
        assert!(
            waited > HANDSHAKE - Duration::from_millis(500) && waited < HANDSHAKE + Duration::from_secs(2),
            "{waited:?}"
        );
    }
    market.assert_unharmed();
}

#[test]
fn connections_that_go_away_in_the_middle_leave_nothing_behind() {
    let market = TradedMarket::start();
    let request = upgrade_request("/ws/btcusdt@trade/btcusdt@depth", "");
    for n in 0..200 {
        let mut socket = TcpStream::connect(market.address()).expect("the engine takes connections");
        // At every place of the handshake and just behind it, and every other one with a reset.
        let len = request.len() * n / 150;
        socket
            .write_all(&request.as_bytes()[..len.min(request.len())])
            .expect("the engine takes what is sent");
        if n > 150 {
            socket
                .write_all(&[0x81, 0xfe, 0x10][..n % 4])
                .expect("the start of a frame");
        }
        if n % 2 == 0 {
            socket2::SockRef::from(&socket)
                .set_linger(Some(Duration::ZERO))
                .expect("a socket option");
        }
    }
    market.assert_unharmed();
    let until = Instant::now() + Duration::from_secs(5);
    while market.engine.counters().totals().subscribers > 1 {
        assert!(
            Instant::now() < until,
            "those who have gone still count as subscribers"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
