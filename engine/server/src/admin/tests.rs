//! REST over a scripted market: what each request is answered, and how often a body is made.

use std::io::Read;

use flate2::read::GzDecoder;
use hyper::{Method, StatusCode};
use proptest::prelude::*;

use super::scripted::{NOON_US, Scripted, Seen};
use super::weights::WeightLimits;
use crate::reactor::questions::Question;

const MICROSECONDS: (&str, &str) = ("x-mbx-time-unit", "MICROSECOND");

fn json(seen: &Seen) -> serde_json::Value {
    serde_json::from_slice(&seen.body).expect("JSON")
}

/// Bad requests: target behind `/api/v3`, code, message.
const BAD_REQUESTS: &[(&str, i32, &str)] = &[
    ("/ping?x=1", -1101, "Too many parameters; expected '0' and received '1'."),
    ("/time?a=1&b=2", -1101, "Too many parameters; expected '0' and received '2'."),
    ("/depth", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/depth?limit=5", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/depth?symbol=", -1105, "Parameter 'symbol' was empty."),
    ("/depth?symbol", -1105, "Parameter 'symbol' was empty."),
    ("/depth?symbol=btcusdt", -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."),
    ("/depth?symbol=BTC/USDT", -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."),
    ("/depth?symbol=BTC%zzUSDT", -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."),
    ("/depth?symbol=%00%ff", -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."),
    ("/depth?symbol=AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEEF", -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."),
    ("/depth?symbol=AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEE", -1121, "Invalid symbol."),
    ("/depth?symbol=%E5%B8%81USDT", -1121, "Invalid symbol."),
    ("/depth?symbol=NOSUCH", -1121, "Invalid symbol."),
    ("/depth?symbol=BTCUSDT&symbol=BTCUSDT", -1101, "Duplicate values for parameter 'symbol'."),
    ("/depth?symbols[]=A&symbols[]=B", -1101, "Duplicate values for parameter 'symbols[]'."),
    ("/depth?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
    ("/depth?symbol=BTCUSDT&limit=", -1105, "Parameter 'limit' was empty."),
    ("/depth?symbol=BTCUSDT&limit=-5", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
    ("/depth?symbol=BTCUSDT&limit=1.5", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
    ("/depth?symbol=BTCUSDT&limit=None", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
    ("/depth?symbol=BTCUSDT&limit=999999999999999999999", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
    ("/depth?symbol=BTCUSDT&foo=1", -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("/depth?symbol=NOSUCH&limit=5&foo=1&bar=2", -1104, "Not all sent parameters were read; read '2' parameter(s) but was sent '4'."),
    ("/depth?symbol=BTCUSDT&symbolStatus=HALT", -1220, "The symbol's status does not match the requested symbolStatus."),
    ("/depth?symbol=NOSUCH&symbolStatus=HALT", -1121, "Invalid symbol."),
    ("/depth?symbol=BTCUSDT&symbolStatus=halt", -1122, "Invalid symbolStatus."),
    ("/trades?limit=5", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/trades?symbol=BTCUSDT&fromId=5", -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("/trades?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
    ("/historicalTrades?symbol=BTCUSDT&fromId=-1", -1100, "Illegal characters found in parameter 'fromId'; legal range is '^[0-9]{1,20}$'."),
    ("/historicalTrades?symbol=BTCUSDT&fromId=99999999999999999999", -1108, "Parameter 'fromId' overflowed."),
    ("/aggTrades?symbol=BTCUSDT&fromId=1&startTime=2", -1128, "Combination of optional parameters invalid."),
    ("/aggTrades?symbol=BTCUSDT&fromId=1&endTime=2", -1128, "Combination of optional parameters invalid."),
    ("/aggTrades?symbol=BTCUSDT&startTime=now", -1100, "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'."),
    ("/aggTrades?symbol=BTCUSDT&endTime=9223372036854775808", -1108, "Parameter 'endTime' overflowed."),
    ("/klines", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/klines?interval=1m", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/uiKlines?symbol=BTCUSDT", -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."),
    ("/klines?symbol=BTCUSDT&interval=", -1105, "Parameter 'interval' was empty."),
    ("/klines?symbol=BTCUSDT&interval=1", -1120, "Invalid interval."),
    ("/klines?symbol=BTCUSDT&interval=1H", -1120, "Invalid interval."),
    ("/klines?symbol=XXX&interval=1", -1121, "Invalid symbol."),
    ("/klines?symbol=XXX&interval=1m", -1121, "Invalid symbol."),
    ("/klines?symbol=BTCUSDT&interval=1m&timeZone=15", -1130, "Data sent for parameter 'timeZone' is not valid."),
    ("/klines?symbol=BTCUSDT&interval=1m&timeZone=", -1105, "Parameter 'timeZone' was empty."),
    ("/avgPrice", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("/avgPrice?symbol=XXX", -1121, "Invalid symbol."),
    ("/avgPrice?symbol=BTCUSDT&limit=5", -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("/ticker/24hr?symbol=BTCUSDT&type=full", -1139, "Invalid ticker type."),
    ("/ticker/24hr?symbol=XXX", -1121, "Invalid symbol."),
    ("/ticker/price?symbol=BTCUSDT&symbols=[%22ETHUSDT%22]", -1128, "Combination of optional parameters invalid."),
    ("/ticker/price?symbol=BTCUSDT&type=MINI", -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("/ticker/price?symbols=BTCUSDT", -1100, r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#),
    ("/ticker/price?symbols=[%22BTCUSDT%22,%20%22ETHUSDT%22]", -1100, r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#),
    ("/ticker/price?symbols=[%22btcusdt%22]", -1100, r#"Illegal characters found in parameter 'symbols'; legal range is '^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'."#),
    ("/ticker/price?symbols=[]", -1105, "Parameter 'symbols' was empty."),
    ("/ticker/bookTicker?symbols=[%22BTCUSDT%22,%22BTCUSDT%22]", -1151, "Symbol is present multiple times in the list."),
    ("/ticker/bookTicker?symbols=[%22BTCUSDT%22,%22XXX%22]", -1121, "Invalid symbol."),
    ("/ticker/bookTicker?symbol=BTCUSDT&symbolStatus=BREAK", -1220, "The symbol's status does not match the requested symbolStatus."),
    ("/ticker/24hr?symbols=[%22XXX%22]&symbolStatus=BREAK", -1121, "Invalid symbol."),
    ("/exchangeInfo?symbol=XXX", -1121, "Invalid symbol."),
    ("/exchangeInfo?symbols=[%22BTCUSDT%22,%22XXX%22]", -1121, "Invalid symbol."),
    ("/exchangeInfo?symbol=BTCUSDT&permissions=SPOT", -1128, "Combination of optional parameters invalid."),
    ("/exchangeInfo?symbols=[%22BTCUSDT%22]&symbolStatus=TRADING", -1128, "Combination of optional parameters invalid."),
    ("/exchangeInfo?symbol=BTCUSDT&symbols=[%22BTCUSDT%22]", -1128, "Combination of optional parameters invalid."),
    ("/exchangeInfo?permissions=spot", -1130, "Data sent for parameter 'permissions' is not valid."),
    ("/exchangeInfo?permissions=[]", -1130, "Data sent for parameter 'permissions' is not valid."),
    ("/exchangeInfo?symbolStatus=END", -1122, "Invalid symbolStatus."),
    ("/exchangeInfo?showPermissionSets=1", -1130, "Data sent for parameter 'showPermissionSets' is not valid."),
    ("/exchangeInfo?limit=1", -1104, "Not all sent parameters were read; read '0' parameter(s) but was sent '1'."),
];

#[test]
fn bad_requests_are_answered_with_their_codes_and_messages() {
    let market = Scripted::start();
    for (target, code, message) in BAD_REQUESTS {
        let seen = market.get(&format!("/api/v3{target}"));
        let body = json(&seen);
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{target}: {body}");
        assert_eq!(body["code"].as_i64(), Some(i64::from(*code)), "{target}: {body}");
        assert_eq!(body["msg"].as_str(), Some(*message), "{target}");
    }
    let many: String = (0..33).map(|n| format!("p{n}=1&")).collect();
    let seen = market.get(&format!("/api/v3/ping?{many}"));
    assert_eq!(
        seen.text(),
        r#"{"code":-1101,"msg":"Too many parameters sent for this endpoint."}"#
    );
    for target in ["/", "/api/v3", "/api/v3/", "/api/v3/nothing", "/api/v3/depth/", "/api/v1/ping", "/API/V3/ping"] {
        let seen = market.get(target);
        assert_eq!((seen.status, &json(&seen)["code"]), (StatusCode::NOT_FOUND, &(-1000).into()));
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let seen = market.ask(method, "/api/v3/ping", &[], "192.0.2.1", NOON_US);
        assert_eq!(seen.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(seen.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let unit = [("x-mbx-time-unit", "NANOSECOND")];
    let seen = market.ask(Method::GET, "/api/v3/time", &unit, "192.0.2.1", NOON_US);
    assert_eq!(
        seen.text(),
        r#"{"code":-1194,"msg":"Invalid value for time unit; expected either MICROSECOND or MILLISECOND."}"#
    );
}

#[test]
fn each_endpoint_answers_as_documented() {
    let market = Scripted::start();
    let two_trades = |time: &str| {
        let one = |id| {
            format!(
                r#"{{"id":{id},"price":"2.00000000","qty":"0.50000000","quoteQty":"1.00000000","time":{time},"isBuyerMaker":true,"isBestMatch":true}}"#
            )
        };
        format!("[{},{}]", one(500), one(501))
    };
    let full = |name: &str| {
        format!(
            r#"{{"symbol":"{name}","priceChange":"0.00000010","priceChangePercent":"10.000","weightedAvgPrice":"0.00000106","prevClosePrice":"0.00000090","lastPrice":"0.00000110","lastQty":"0.00000007","bidPrice":"0.00000109","bidQty":"0.00000005","askPrice":"0.00000111","askQty":"0.00000006","openPrice":"0.00000100","highPrice":"0.00000130","lowPrice":"0.00000095","volume":"0.00001000","quoteVolume":"0.00000000","openTime":1723075200123,"closeTime":1723161600123,"firstId":1,"lastId":9,"count":9}}"#
        )
    };
    let price = |name: &str| format!(r#"{{"symbol":"{name}","price":"0.00000110"}}"#);
    let book = |name: &str| {
        format!(
            r#"{{"symbol":"{name}","bidPrice":"0.00000109","bidQty":"0.00000005","askPrice":"0.00000111","askQty":"0.00000006"}}"#
        )
    };
    let both = |one: &dyn Fn(&str) -> String| format!("[{},{}]", one("BTCUSDT"), one("ETHUSDT"));
    for (target, expected) in [
        ("/ping", "{}".to_string()),
        ("/time", r#"{"serverTime":1723161600123}"#.to_string()),
        (
            "/depth?symbol=BTCUSDT&limit=1",
            r#"{"lastUpdateId":1000,"bids":[["0.10000000","0.00000100"]],"asks":[["0.10000001","0.00000100"]]}"#.to_string(),
        ),
        ("/trades?symbol=BTCUSDT&limit=2", two_trades("1723161600123")),
        ("/historicalTrades?limit=2&symbol=BTCUSDT", two_trades("1723161600123")),
        (
            "/aggTrades?symbol=BTCUSDT&limit=1&startTime=1723161600000",
            r#"[{"a":70,"p":"2.00000000","q":"0.50000000","f":0,"l":0,"T":1723161600000,"m":false,"M":true}]"#.to_string(),
        ),
        (
            "/klines?symbol=BTCUSDT&interval=1m&limit=1&startTime=1723161600000",
            r#"[[1723161600000,"0.00000001","0.00000004","0.00000001","0.00000002","0.00000005",1723161659999,"0.00000006",2,"0.00000003","0.00000002","0"]]"#.to_string(),
        ),
        ("/avgPrice?symbol=BTCUSDT", r#"{"mins":5,"price":"9.35751834","closeTime":1723161600123}"#.to_string()),
        ("/ticker/24hr?symbol=BTCUSDT", full("BTCUSDT")),
        ("/ticker/24hr?symbol=BTCUSDT&type=FULL&symbolStatus=TRADING", full("BTCUSDT")),
        ("/ticker/24hr", both(&full)),
        ("/ticker/24hr?symbolStatus=HALT", "[]".to_string()),
        ("/ticker/price?symbol=ETHUSDT", price("ETHUSDT")),
        ("/ticker/price?symbols=[%22ETHUSDT%22]", format!("[{}]", price("ETHUSDT"))),
        ("/ticker/price?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D", both(&price)),
        ("/ticker/price?symbols=[\"BTCUSDT\",\"ETHUSDT\"]", both(&price)),
        ("/ticker/price?symbols=[%22BTCUSDT%22]&symbolStatus=HALT", "[]".to_string()),
        ("/ticker/bookTicker?symbol=ETHUSDT", book("ETHUSDT")),
        ("/ticker/bookTicker", both(&book)),
    ] {
        let seen = market.get(&format!("/api/v3{target}"));
        assert_eq!(seen.text(), expected, "{target}");
        assert_eq!(seen.status, StatusCode::OK);
    }
    let mini = market.get("/api/v3/ticker/24hr?type=MINI&symbol=BTCUSDT");
    assert!(mini.text().starts_with(r#"{"symbol":"BTCUSDT","openPrice":"0.00000100","highPrice""#));
    let micro = |target: &str| market.ask(Method::GET, target, &[MICROSECONDS], "192.0.2.1", NOON_US);
    assert_eq!(micro("/api/v3/time").text(), r#"{"serverTime":1723161600123456}"#);
    assert_eq!(
        micro("/api/v3/trades?symbol=BTCUSDT&limit=2").text(),
        two_trades("1723161600123456")
    );
    let names = |target: &str| -> Vec<String> {
        let info = json(&market.get(target));
        assert_eq!(info["serverTime"], NOON_US / 1000);
        let all = info["symbols"].as_array().expect("a list");
        all.iter().map(|one| one["symbol"].as_str().expect("a name").to_string()).collect()
    };
    for (query, expected) in [
        ("", &["BTCUSDT", "ETHUSDT"] as &[&str]),
        ("?symbol=ETHUSDT", &["ETHUSDT"]),
        ("?symbols=[\"ETHUSDT\",\"BTCUSDT\"]", &["BTCUSDT", "ETHUSDT"]),
        ("?permissions=SPOT&showPermissionSets=false&symbolStatus=TRADING", &["BTCUSDT", "ETHUSDT"]),
        ("?permissions=%5B%22MARGIN%22%2C%22SPOT%22%5D", &["BTCUSDT", "ETHUSDT"]),
        ("?permissions=[\"MARGIN\",\"TRD_GRP_002\"]", &[]),
        ("?symbolStatus=HALT", &[]),
    ] {
        assert_eq!(names(&format!("/api/v3/exchangeInfo{query}")), expected, "{query}");
    }
}

#[test]
fn parameters_become_questions() {
    use crate::reactor::questions::{Span, Symbols};
    use depthcast_market::interval::KlineInterval;
    use depthcast_wire::stream::SymbolName;

    let market = Scripted::start();
    let symbol = SymbolName::new("BTCUSDT").expect("a name");
    let klines = |ahead_minutes: i64, span, limit| Question::Klines {
        symbol,
        interval: KlineInterval::Month1,
        ahead_us: ahead_minutes * 60_000_000,
        span,
        limit,
    };
    let span = |from_us, to_us| Span { from_us, to_us };
    for (target, question) in [
        ("/depth?symbol=BTCUSDT", Question::Depth { symbol, limit: 100 }),
        ("/depth?symbol=BTCUSDT&limit=5001", Question::Depth { symbol, limit: 5000 }),
        ("/depth?symbol=BTCUSDT&limit=99999999999999999999", Question::Depth { symbol, limit: 5000 }),
        ("/depth?limit=0007&symbol=BTC%55SDT", Question::Depth { symbol, limit: 7 }),
        ("/trades?symbol=BTCUSDT&limit=1001", Question::Trades { symbol, from_id: None, limit: 1000 }),
        (
            "/historicalTrades?symbol=BTCUSDT&fromId=9223372036854775807&limit=1",
            Question::Trades { symbol, from_id: Some(i64::MAX), limit: 1 },
        ),
        (
            "/aggTrades?symbol=BTCUSDT&startTime=1723161600000&endTime=1723161600001000",
            Question::AggTrades {
                symbol,
                from_id: None,
                span: span(Some(1_723_161_600_000_000), Some(1_723_161_600_001_000)),
                limit: 500,
            },
        ),
        ("/klines?symbol=BTCUSDT&interval=1M", klines(0, Span::default(), 500)),
        (
            "/klines?symbol=BTCUSDT&interval=1M&timeZone=-1:00&endTime=7&limit=3000",
            klines(-60, span(None, Some(7_999)), 1000),
        ),
        ("/uiKlines?symbol=BTCUSDT&interval=1M&timeZone=%2B05:45", klines(345, Span::default(), 500)),
        ("/ticker/price", Question::Tickers { symbols: Symbols::All }),
    ] {
        market.change();
        assert_eq!(market.get(&format!("/api/v3{target}")).status, StatusCode::OK, "{target}");
        assert_eq!(market.questions(), [question], "{target}");
    }
}

#[test]
fn weights_are_those_of_the_documents() {
    let market = Scripted::start();
    let names = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("%22S{n}%22")).collect();
        format!("symbols=[{}]", all.join(","))
    };
    let mut used = 0;
    for (target, weight) in [
        ("/ping".to_string(), 1),
        ("/time".to_string(), 1),
        ("/exchangeInfo".to_string(), 20),
        ("/depth?symbol=BTCUSDT".to_string(), 5),
        ("/depth?symbol=BTCUSDT&limit=100".to_string(), 5),
        ("/depth?symbol=BTCUSDT&limit=101".to_string(), 25),
        ("/depth?symbol=BTCUSDT&limit=500".to_string(), 25),
        ("/depth?symbol=BTCUSDT&limit=501".to_string(), 50),
        ("/depth?symbol=BTCUSDT&limit=1000".to_string(), 50),
        ("/depth?symbol=BTCUSDT&limit=1001".to_string(), 250),
        ("/depth?symbol=BTCUSDT&limit=70000".to_string(), 250),
        ("/trades?symbol=BTCUSDT".to_string(), 25),
        ("/historicalTrades?symbol=BTCUSDT".to_string(), 25),
        ("/aggTrades?symbol=BTCUSDT".to_string(), 4),
        ("/klines?symbol=BTCUSDT&interval=1m".to_string(), 2),
        ("/uiKlines?symbol=BTCUSDT&interval=1m".to_string(), 2),
        ("/avgPrice?symbol=BTCUSDT".to_string(), 2),
        ("/ticker/24hr?symbol=BTCUSDT".to_string(), 2),
        (format!("/ticker/24hr?{}", names(1)), 2),
        (format!("/ticker/24hr?{}", names(20)), 2),
        (format!("/ticker/24hr?{}", names(21)), 40),
        (format!("/ticker/24hr?{}", names(100)), 40),
        (format!("/ticker/24hr?{}", names(101)), 80),
        ("/ticker/24hr?type=MINI".to_string(), 80),
        ("/ticker/price?symbol=BTCUSDT".to_string(), 2),
        (format!("/ticker/price?{}", names(1)), 4),
        ("/ticker/price".to_string(), 4),
        ("/ticker/bookTicker?symbol=BTCUSDT".to_string(), 2),
        ("/ticker/bookTicker".to_string(), 4),
        ("/nothing".to_string(), 1),
        ("/depth?symbol=".to_string(), 1),
    ] {
        let seen = market.get(&format!("/api/v3{target}"));
        used += weight;
        let expected = used.to_string();
        for header in ["x-mbx-used-weight", "x-mbx-used-weight-1m"] {
            assert_eq!(seen.header(header), Some(expected.as_str()), "{target}");
        }
    }
}

#[test]
fn who_asks_too_much_is_told_and_then_banned() {
    let market = Scripted::limited(WeightLimits {
        weight_per_minute: 100,
        loopback: false,
    });
    let begin_us = NOON_US / 60_000_000 * 60_000_000;
    let ask = |peer: &str, now_us| {
        market.ask(Method::GET, "/api/v3/depth?symbol=BTCUSDT&limit=500", &[], peer, now_us)
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
    assert_eq!(asked + market.questions().len(), asked, "nothing is asked for them");
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
        assert!(plain.text().starts_with(&format!(r#"{{"lastUpdateId":{},"#, 1000 + change)));
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
        assert_eq!((market.rest.asking().encoded(), market.copies()), (change + 1, change + 1));
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
        assert_eq!((seen.status.as_u16(), &json(&seen)["code"]), (503, &(-1008).into()), "{target}");
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

/// Codes that a request can be answered with, whatever it is.
const CODES: [i64; 17] = [
    -1000, -1008, -1100, -1101, -1102, -1104, -1105, -1108, -1120, -1121, -1122, -1128, -1130, -1139, -1151, -1194,
    -1220,
];

fn name() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "symbol", "symbols", "limit", "interval", "startTime", "endTime", "fromId", "timeZone", "type",
        "symbolStatus", "permissions", "showPermissionSets",
    ]);
    prop_oneof![4 => known.prop_map(String::from), 1 => "[a-zA-Z%=]{0,8}"]
}

fn value() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "BTCUSDT", "ETHUSDT", "XXX", "5", "5000", "0", "1m", "1M", "1723161600000", "1723161600000000", "8",
        "-12:00", "FULL", "MINI", "TRADING", "HALT", "SPOT", "[\"BTCUSDT\",\"ETHUSDT\"]", "%5B%22BTCUSDT%22%5D",
        "[]", "true", "18446744073709551616", "",
    ]);
    let bytes = proptest::collection::vec(any::<u8>(), 0..12)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>());
    prop_oneof![6 => known.prop_map(String::from), 1 => bytes, 1 => "[!-~&&[^#<>`^|\\\\]]{0,12}"]
}

fn path() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "ping", "time", "exchangeInfo", "depth", "trades", "historicalTrades", "aggTrades", "klines", "uiKlines",
        "avgPrice", "ticker/24hr", "ticker/price", "ticker/bookTicker",
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
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
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
