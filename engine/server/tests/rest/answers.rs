//! What an answer is made of.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::calm_market;
use crate::client::{Client, Seen};

/// The header lines that do not change from one answer to the next.
fn lasting(seen: &Seen) -> Vec<(String, String)> {
    let is_lasting = |name: &str| !name.starts_with("x-mbx-used-weight") && name != "date";
    seen.headers
        .iter()
        .filter(|(name, _)| is_lasting(name))
        .cloned()
        .collect()
}

#[test]
fn every_answer_has_the_headers_of_the_exchange() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    let mut used = client.get("/api/v3/ping").number("x-mbx-used-weight");
    for (target, status, weight) in [
        ("/api/v3/ping", 200, 1),
        ("/api/v3/time", 200, 1),
        ("/api/v3/exchangeInfo", 200, 20),
        ("/api/v3/depth?symbol=BTCUSDT&limit=1000", 200, 50),
        ("/api/v3/depth?symbol=NOSUCH", 400, 5),
        ("/api/v3/depth", 400, 1),
        ("/nothing", 404, 1),
    ] {
        let seen = client.get(target);
        used += weight;
        assert_eq!(seen.status, status, "{target}");
        assert_eq!(seen.version, "HTTP/1.1");
        for (name, value) in [
            ("content-type", "application/json;charset=UTF-8"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("pragma", "no-cache"),
            ("expires", "0"),
            ("vary", "Accept-Encoding, Accept, X-MBX-SBE, X-MBX-TIME-UNIT"),
            ("access-control-allow-origin", "*"),
            (
                "access-control-expose-headers",
                "X-MBX-USED-WEIGHT, X-MBX-USED-WEIGHT-1M, Retry-After",
            ),
        ] {
            assert_eq!(seen.header(name), Some(value), "{target}");
        }
        assert_eq!(seen.header("content-encoding"), None);
        // A minute may end in between.
        let now = seen.number("x-mbx-used-weight");
        assert_eq!(seen.number("x-mbx-used-weight-1m"), now);
        assert!(now == used || now == weight, "{target}: {now} for {used}");
        used = now;
        seen.json();
    }
    let seen = client.ask("POST", "/api/v3/ping", "Content-Length: 0\r\n");
    assert_eq!(
        (seen.status, seen.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    let now_ms = client.get("/api/v3/time").json()["serverTime"]
        .as_i64()
        .expect("a time");
    let seen = client.ask("GET", "/api/v3/time", "X-MBX-TIME-UNIT: MICROSECOND\r\n");
    let now_us = seen.json()["serverTime"].as_i64().expect("a time");
    assert!(
        (0..10_000_000).contains(&(now_us - now_ms * 1000)),
        "{now_us} {now_ms}"
    );
}

#[test]
fn the_answer_to_head_is_that_to_get_without_its_body() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    for (target, more) in [
        ("/api/v3/ping", ""),
        ("/api/v3/avgPrice", ""),
        ("/api/v3/exchangeInfo?symbol=ETHUSDT", ""),
        ("/api/v3/exchangeInfo?symbol=ETHUSDT", "Accept-Encoding: gzip\r\n"),
        ("/nothing", ""),
    ] {
        let get = client.ask("GET", target, more);
        let head = client.ask("HEAD", target, more);
        assert_eq!(head.status, get.status, "{target}");
        assert_eq!(lasting(&head), lasting(&get), "{target}");
        assert_eq!(get.number("content-length"), get.body.len() as u64);
    }
}

#[test]
fn gzip_is_the_same_in_fewer_bytes() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    let target = "/api/v3/depth?symbol=BTCUSDT&limit=5000";
    // Until the book stands still for three requests.
    let (plain, packed) = loop {
        let before = client.get(target);
        let packed = client.ask("GET", target, "Accept-Encoding: br;q=1, gzip;q=0.5\r\n");
        if client.get(target).body == before.body {
            break (before, packed);
        }
    };
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(
        packed.header("vary"),
        Some("Accept-Encoding, Accept, X-MBX-SBE, X-MBX-TIME-UNIT")
    );
    assert!(
        packed.body.len() * 2 < plain.body.len(),
        "{} of {}",
        packed.body.len(),
        plain.body.len()
    );
    let mut body = Vec::new();
    GzDecoder::new(&*packed.body)
        .read_to_end(&mut body)
        .expect("gzip");
    assert_eq!(body, plain.body);
    for more in [
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: deflate, br\r\n",
    ] {
        assert_eq!(
            client.ask("GET", target, more).header("content-encoding"),
            None,
            "{more}"
        );
    }
    // Too short to be worth it.
    let ping = client.ask("GET", "/api/v3/ping", "Accept-Encoding: gzip\r\n");
    assert_eq!((ping.text(), ping.header("content-encoding")), ("{}", None));
}

#[test]
fn a_page_of_any_origin_may_ask() {
    let engine = calm_market(|_| {});
    let mut client = Client::connect(engine.address());
    let beforehand = "Origin: https://example.org\r\nAccess-Control-Request-Method: GET\r\n\
                      Access-Control-Request-Headers: x-mbx-time-unit\r\n";
    let seen = client.ask("OPTIONS", "/api/v3/depth?symbol=BTCUSDT", beforehand);
    assert_eq!(seen.status, 204);
    assert_eq!(seen.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        seen.header("access-control-allow-methods"),
        Some("GET, HEAD, OPTIONS")
    );
    let headers = seen.header("access-control-allow-headers").expect("headers");
    assert!(headers.contains("X-MBX-TIME-UNIT"), "{headers}");
    assert_eq!(seen.number("access-control-max-age"), 86_400);
    assert_eq!(seen.header("content-length"), None);
    let seen = client.ask("GET", "/api/v3/ping", "Origin: https://example.org\r\n");
    assert_eq!(
        (seen.status, seen.header("access-control-allow-origin")),
        (200, Some("*"))
    );
}
