//! Anything that could be asked.

use hyper::{Method, StatusCode};
use proptest::prelude::*;

use crate::admin::scripted::{NOON_US, Scripted};

/// Codes that a request can be answered with, whatever it is.
const CODES: [i64; 17] = [
    -1000, -1008, -1100, -1101, -1102, -1104, -1105, -1108, -1120, -1121, -1122, -1128, -1130, -1139, -1151,
    -1194, -1220,
];

fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "symbol",
        "symbols",
        "limit",
        "interval",
        "startTime",
        "endTime",
        "fromId",
        "timeZone",
        "type",
        "symbolStatus",
        "permissions",
        "showPermissionSets",
    ]);
    prop_oneof![4 => known.prop_map(String::from), 1 => "[a-zA-Z%=]{0,8}"]
}

fn value() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "BTCUSDT",
        "ETHUSDT",
        "XXX",
        "5",
        "5000",
        "0",
        "1m",
        "1M",
        "1723161600000",
        "1723161600000000",
        "8",
        "-12:00",
        "FULL",
        "MINI",
        "TRADING",
        "HALT",
        "SPOT",
        "[\"BTCUSDT\",\"ETHUSDT\"]",
        "%5B%22BTCUSDT%22%5D",
        "[]",
        "true",
        "18446744073709551616",
        "",
    ]);
    let bytes = proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| {
        bytes
            .iter()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    });
    prop_oneof![6 => known.prop_map(String::from), 1 => bytes, 1 => "[!-~&&[^#<>`^|\\\\]]{0,12}"]
}

fn path() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "ping",
        "time",
        "exchangeInfo",
        "depth",
        "trades",
        "historicalTrades",
        "aggTrades",
        "klines",
        "uiKlines",
        "avgPrice",
        "ticker/24hr",
        "ticker/price",
        "ticker/bookTicker",
    ]);
    prop_oneof![
        8 => known.prop_map(|endpoint| format!("/api/v3/{endpoint}")),
        1 => "/[a-z0-9/%.]{0,20}",
        1 => "/api/v3/[a-zA-Z0-9/%.]{0,20}",
    ]
}

#[test]
fn any_request_is_answered_and_with_a_documented_code() {
    let market = Scripted::start();
    let answered = std::cell::Cell::new(0);
    let strategy = (
        path(),
        proptest::collection::vec((name(), value()), 0..6),
        proptest::sample::select(vec!["MICROSECOND", "millisecond", "x", "\u{e9}"]),
        any::<bool>(),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2000));
    runner
        .run(&strategy, |(path, pairs, unit, is_head)| {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let target = format!("{path}?{}", pairs.join("&"));
            // What is no target is HTTP's to refuse.
            if target.parse::<hyper::Uri>().is_err() {
                return Ok(());
            }
            let method = if is_head { Method::HEAD } else { Method::GET };
            let headers = if unit.is_ascii() {
                vec![("x-mbx-time-unit", unit)]
            } else {
                Vec::new()
            };
            let seen = market.ask(method, &target, &headers, "192.0.2.1", NOON_US);
            let body: serde_json::Value = serde_json::from_slice(&seen.body)
                .map_err(|error| TestCaseError::fail(format!("{target}: {error}: {:?}", seen.body)))?;
            if seen.status == StatusCode::OK {
                prop_assert!(body.get("code").is_none(), "{}: {}", target, body);
                answered.set(answered.get() + 1);
            } else {
                let code = body["code"].as_i64().unwrap_or_default();
                prop_assert!(CODES.contains(&code), "{}: {}", target, body);
                prop_assert!(body["msg"].is_string());
                prop_assert_eq!(seen.status.is_client_error(), code != -1008);
            }
            prop_assert!(seen.header("x-mbx-used-weight").is_some());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(answered.get() > 50, "only {} were answered", answered.get());
}
