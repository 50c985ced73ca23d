//! REST over a scripted market: what each request is answered, and how often a body is made.

mod any_request;
mod bad_requests;
mod sharing;

use hyper::{Method, StatusCode};

use super::scripted::{NOON_US, Scripted, Seen};
use crate::reactor::questions::Question;

const MICROSECONDS: (&str, &str) = ("x-mbx-time-unit", "MICROSECOND");

fn json(seen: &Seen) -> serde_json::Value {
    serde_json::from_slice(&seen.body).expect("JSON")
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
    assert!(
        mini.text()
            .starts_with(r#"{"symbol":"BTCUSDT","openPrice":"0.00000100","highPrice""#)
    );
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
        all.iter()
            .map(|one| one["symbol"].as_str().expect("a name").to_string())
            .collect()
    };
    for (query, expected) in [
        ("", &["BTCUSDT", "ETHUSDT"] as &[&str]),
        ("?symbol=ETHUSDT", &["ETHUSDT"]),
        ("?symbols=[\"ETHUSDT\",\"BTCUSDT\"]", &["BTCUSDT", "ETHUSDT"]),
        (
            "?permissions=SPOT&showPermissionSets=false&symbolStatus=TRADING",
            &["BTCUSDT", "ETHUSDT"],
        ),
        (
            "?permissions=%5B%22MARGIN%22%2C%22SPOT%22%5D",
            &["BTCUSDT", "ETHUSDT"],
        ),
        ("?permissions=[\"MARGIN\",\"TRD_GRP_002\"]", &[]),
        ("?symbolStatus=HALT", &[]),
    ] {
        assert_eq!(
            names(&format!("/api/v3/exchangeInfo{query}")),
            expected,
            "{query}"
        );
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
        (
            "/depth?symbol=BTCUSDT&limit=5001",
            Question::Depth { symbol, limit: 5000 },
        ),
        (
            "/depth?symbol=BTCUSDT&limit=99999999999999999999",
            Question::Depth { symbol, limit: 5000 },
        ),
        (
            "/depth?limit=0007&symbol=BTC%55SDT",
            Question::Depth { symbol, limit: 7 },
        ),
        (
            "/trades?symbol=BTCUSDT&limit=1001",
            Question::Trades {
                symbol,
                from_id: None,
                limit: 1000,
            },
        ),
        (
            "/historicalTrades?symbol=BTCUSDT&fromId=9223372036854775807&limit=1",
            Question::Trades {
                symbol,
                from_id: Some(i64::MAX),
                limit: 1,
            },
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
        (
            "/klines?symbol=BTCUSDT&interval=1M",
            klines(0, Span::default(), 500),
        ),
        (
            "/klines?symbol=BTCUSDT&interval=1M&timeZone=-1:00&endTime=7&limit=3000",
            klines(-60, span(None, Some(7_999)), 1000),
        ),
        (
            "/uiKlines?symbol=BTCUSDT&interval=1M&timeZone=%2B05:45",
            klines(345, Span::default(), 500),
        ),
        (
            "/ticker/price",
            Question::Tickers {
                symbols: Symbols::All,
            },
        ),
    ] {
        market.change();
        assert_eq!(
            market.get(&format!("/api/v3{target}")).status,
            StatusCode::OK,
            "{target}"
        );
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
