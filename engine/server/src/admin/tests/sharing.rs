//! How often the market is asked and a body made, what becomes of requests while there is no answer, and of those that are
//! too many.

use std::io::Read;

use flate2::read::GzDecoder;
use hyper::{Method, StatusCode};

use super::{MICROSECONDS, json};
use crate::admin::scripted::{NOON_US, Scripted};
use crate::admin::weights::WeightLimits;

#[test]
fn who_asks_too_much_is_told_and_then_banned() {
    let market = Scripted::limited(WeightLimits {
        weight_per_minute: 100,
        loopback: false,
    });
    let begin_us = NOON_US / 60_000_000 * 60_000_000;
    let ask = |peer: &str, now_us| {
        market.ask(
            Method::GET,
            "/api/v3/depth?symbol=BTCUSDT&limit=500",
            &[],
            peer,
            now_us,
        )
    };
    for _ in 0..4 {
        assert_eq!(ask("192.0.2.1", begin_us).status, StatusCode::OK);
    }
    for refused in 1..=10 {
        let seen = ask("192.0.2.1", begin_us + 1_000_000);
        assert_eq!(seen.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(seen.header("retry-after"), Some("59"));
        let used = (100 + 25 * refused).to_string();
        assert_eq!(seen.header("x-mbx-used-weight-1m"), Some(used.as_str()));
        assert_eq!(
            seen.text(),
            r#"{"code":-1003,"msg":"Too much request weight used; current limit is 100 request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."}"#
        );
    }
    let asked = market.questions().len();
    for _ in 0..3 {
        let seen = ask("192.0.2.1", begin_us + 1_000_000);
        assert_eq!(seen.status.as_u16(), 418);
        assert_eq!(seen.header("retry-after"), Some("120"));
        let until_ms = begin_us / 1000 + 121_000;
        assert_eq!(
            seen.text(),
            format!(
                r#"{{"code":-1003,"msg":"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live updates to avoid bans."}}"#
            )
        );
    }
    assert_eq!(
        asked + market.questions().len(),
        asked,
        "nothing is asked for them"
    );
    assert_eq!(ask("192.0.2.2", begin_us + 1_000_000).status, StatusCode::OK);
    assert_eq!(ask("127.0.0.1", begin_us + 1_000_000).status, StatusCode::OK);
    assert_eq!(ask("192.0.2.1", begin_us + 120_999_999).status.as_u16(), 418);
    assert_eq!(ask("192.0.2.1", begin_us + 121_000_000).status, StatusCode::OK);
}

#[test]
fn a_body_is_made_once_for_each_change_however_many_ask() {
    let market = Scripted::start();
    let target = "/api/v3/depth?symbol=BTCUSDT&limit=1000";
    for change in 0..3 {
        let mut together = Vec::new();
        for n in 0..50 {
            let headers: &'static [(&str, &str)] = match n % 3 {
                0 => &[],
                1 => &[MICROSECONDS],
                _ => &[("accept-encoding", "gzip")],
            };
            together.push(market.asked(Method::GET, target, headers, "192.0.2.1", NOON_US));
        }
        let all = market.block_on(join_all(together));
        let plain = &all[0];
        assert!(
            plain
                .text()
                .starts_with(&format!(r#"{{"lastUpdateId":{},"#, 1000 + change))
        );
        for (n, seen) in all.iter().enumerate() {
            let mut body = Vec::new();
            if n % 3 == 2 {
                assert_eq!(seen.header("content-encoding"), Some("gzip"));
                assert!(seen.body.len() * 2 < plain.body.len());
                GzDecoder::new(&*seen.body).read_to_end(&mut body).expect("gzip");
            } else {
                assert_eq!(seen.header("content-encoding"), None);
                body.clone_from(&seen.body);
            }
            assert_eq!(body, plain.body);
        }
        assert_eq!(market.rest.asking().encoded(), change + 1);
        assert_eq!(market.copies(), change + 1);
        for _ in 0..5 {
            assert_eq!(market.get(target).body, plain.body);
        }
        assert_eq!(
            (market.rest.asking().encoded(), market.copies()),
            (change + 1, change + 1)
        );
        market.change();
    }
    // Another limit is another body, and a unit of times only where there are times.
    market.get("/api/v3/depth?symbol=BTCUSDT&limit=999");
    assert_eq!(market.rest.asking().encoded(), 4);
    let trades = "/api/v3/trades?symbol=BTCUSDT";
    market.get(trades);
    market.ask(Method::GET, trades, &[MICROSECONDS], "192.0.2.1", NOON_US);
    market.get("/api/v3/historicalTrades?symbol=BTCUSDT");
    assert_eq!(market.rest.asking().encoded(), 6);
}

/// Waits for all of them, each getting its turns among the others.
async fn join_all<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = all.into_iter().map(|one| (Some(Box::pin(one)), None)).collect();
    std::future::poll_fn(move |context| {
        let mut is_done = true;
        for (one, output) in &mut waiting {
            if let Some(future) = one {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => (*one, *output) = (None, Some(value)),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            let outputs = waiting.iter_mut().map(|(_, output)| output.take().expect("done"));
            std::task::Poll::Ready(outputs.collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[test]
fn descriptions_of_instruments_are_made_once_a_second_and_with_each_change() {
    let market = Scripted::start();
    let at = |now_us| market.ask(Method::GET, "/api/v3/exchangeInfo", &[], "192.0.2.1", now_us);
    for ms in [0, 1, 500, 999] {
        let seen = at(NOON_US + ms * 1000);
        assert_eq!(json(&seen)["serverTime"], NOON_US / 1000, "{ms} ms later");
    }
    assert_eq!(market.rest.asking().encoded(), 1);
    let seen = at(NOON_US + 1_000_000);
    assert_eq!(json(&seen)["serverTime"], NOON_US / 1000 + 1000);
    assert_eq!((market.rest.asking().encoded(), market.copies()), (2, 1));
    market.change();
    at(NOON_US + 1_000_000);
    assert_eq!((market.rest.asking().encoded(), market.copies()), (3, 2));
}

#[test]
fn what_is_not_known_now_is_503_and_comes_back() {
    let market = Scripted::start();
    let targets = [
        "/api/v3/depth?symbol=BTCUSDT",
        "/api/v3/exchangeInfo",
        "/api/v3/ticker/24hr?symbolStatus=HALT",
        "/api/v3/klines?symbol=BTCUSDT&interval=1",
        "/api/v3/ticker/price",
    ];
    market.set_stale(true);
    for target in targets {
        let seen = market.get(target);
        assert_eq!(
            (seen.status.as_u16(), &json(&seen)["code"]),
            (503, &(-1008).into()),
            "{target}"
        );
    }
    market.set_stale(false);
    for target in targets {
        let status = market.get(target).status.as_u16();
        assert!([200, 400].contains(&status), "{target}: {status}");
    }
}

#[test]
fn a_market_thread_that_is_behind_or_gone_is_not_waited_for() {
    const BUSY: &str = r#"{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}"#;
    let (market, requests) = Scripted::deaf(0);
    let seen = market.get("/api/v3/depth?symbol=BTCUSDT");
    assert_eq!((seen.status.as_u16(), seen.text()), (503, BUSY));
    assert_eq!(market.get("/api/v3/ping").status, StatusCode::OK);
    drop(requests);
    let seen = market.get("/api/v3/exchangeInfo");
    assert_eq!((seen.status.as_u16(), seen.text()), (503, BUSY));
}
