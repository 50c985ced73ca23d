//! Connections: kept, shared by several requests at once, and spoilt.

use std::thread;

use crate::calm_market;
use crate::client::Client;

#[test]
fn lists_of_symbols_come_as_they_are_typed() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    for list in [
        r#"["ETHUSDT","BTCUSDT"]"#,
        "%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D",
        "[%22BTCUSDT%22,%22ETHUSDT%22]",
        r#"["ETHUSDT","BTCUSDT"]"#,
    ] {
        let info = client.get(&format!("/api/v3/exchangeInfo?symbols={list}"));
        assert_eq!(info.status, 200, "{list}: {}", info.text());
        let names: Vec<_> = info.json()["symbols"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|symbol| symbol["symbol"].as_str().expect("a name").to_string())
            .collect();
        assert_eq!(names, ["BTCUSDT", "ETHUSDT"]);
    }
    let seen = client.get(r#"/api/v3/exchangeInfo?symbols=["ETHUSDT", "BTCUSDT"]"#);
    // A space ends the target: no request at all.
    assert_eq!(seen.status, 400);
    assert!(client.ends());
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    let targets = [
        "/api/v3/ping",
        "/api/v3/depth?symbol=BTCUSDT&limit=7",
        r#"/api/v3/exchangeInfo?symbols=["ETHUSDT"]"#,
        "/api/v3/depth?symbol=NOSUCH",
        "/nothing",
        "/api/v3/depth?symbol=ETHUSDT&limit=3",
    ];
    for _ in 0..3 {
        let together: String = targets
            .iter()
            .map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .collect();
        client.send(together.as_bytes());
        let seen: Vec<_> = targets.iter().map(|_| client.answer(false)).collect();
        let statuses: Vec<u16> = seen.iter().map(|seen| seen.status).collect();
        assert_eq!(statuses, [200, 200, 200, 400, 404, 200]);
        assert_eq!(seen[0].text(), "{}");
        assert_eq!(seen[1].json()["bids"].as_array().map(Vec::len), Some(7));
        assert_eq!(seen[2].json()["symbols"][0]["symbol"], "ETHUSDT");
        assert_eq!(seen[5].json()["asks"].as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn a_connection_is_kept_as_its_client_asks() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    let mut id = 0;
    for _ in 0..100 {
        let seen = client.get("/api/v3/depth?symbol=BTCUSDT&limit=5");
        let next = seen.json()["lastUpdateId"].as_u64().expect("an id");
        assert!(next >= id);
        id = next;
    }
    let seen = client.ask("GET", "/api/v3/ping", "Connection: close\r\n");
    assert_eq!((seen.status, seen.header("connection")), (200, Some("close")));
    assert!(client.ends());

    let mut old = Client::connect(engine.address());
    old.send(b"GET /api/v3/ping HTTP/1.0\r\n\r\n");
    let seen = old.answer(false);
    assert_eq!(
        (seen.version.as_str(), seen.status, seen.text()),
        ("HTTP/1.0", 200, "{}")
    );
    assert!(old.ends());
    let mut old = Client::connect(engine.address());
    for _ in 0..3 {
        old.send(b"GET /api/v3/ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(old.answer(false).status, 200);
    }
}

#[test]
fn bodies_are_not_looked_at_and_bad_heads_are_refused() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    for _ in 0..3 {
        client.send(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\"body");
        assert_eq!(client.answer(false).status, 200);
    }
    let fields: String = (0..300).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = format!("X: {}\r\n", "x".repeat(200_000));
    for (head, status) in [
        (
            format!("GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
            431,
        ),
        (format!("GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n{long}\r\n"), 431),
        ("GET /api/v3/ping HTTP/1.1\r\nHost x\r\n\r\n".to_string(), 400),
        ("nonsense\r\n\r\n".to_string(), 400),
    ] {
        let mut client = Client::connect(engine.address());
        assert_eq!(client.get("/api/v3/ping").status, 200);
        client.send(head.as_bytes());
        assert_eq!(client.answer(false).status, status, "{}", &head[..40]);
    }
}

#[test]
fn many_who_ask_at_once_are_all_answered() {
    let engine = calm_market(|_| {});
    let address = engine.address();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|n| {
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let limit = [5, 100, 1000, 5000][n % 4];
                    let target = format!("/api/v3/depth?symbol=BTCUSDT&limit={limit}");
                    let more = if n % 3 == 0 {
                        "Accept-Encoding: gzip\r\n"
                    } else {
                        ""
                    };
                    (0..50).all(|_| client.ask("GET", &target, more).status == 200)
                })
            })
            .collect();
        for client in clients {
            assert!(client.join().expect("a client's thread"));
        }
    });
}
