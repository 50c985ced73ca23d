//! Subscribers that ask wrongly: in their URL, in their requests, in their frames.

use crate::common::raw::opcode::{BINARY, PING, TEXT};
use crate::common::raw::{Raw, close, frame};
use crate::witness::TradedMarket;
use depthcast::session::MESSAGE_BYTES_MAX;

/// A subscriber that asks and is answered.
struct Asker(Raw);

impl Asker {
    fn open(market: &TradedMarket, target: &str) -> Asker {
        Asker(Raw::open(market.address(), target))
    }

    fn ask(&mut self, request: &str) -> String {
        self.0.send(&frame(TEXT, request.as_bytes()));
        loop {
            let answer = self.0.frame().expect("an answer").text().to_string();
            // The market goes on between the answers.
            if !answer.starts_with(r#"{"e":"#) && !answer.starts_with(r#"{"stream":"#) {
                return answer;
            }
        }
    }

    fn list(&mut self) -> String {
        self.ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#)
    }
}

#[test]
fn names_in_a_url_that_are_no_streams_are_passed_over() {
    let market = TradedMarket::start();
    for target in [
        "/ws/btcusdt@dept/btcusdt@trade",
        "/stream?streams=btc%20usdt@trade/btcusdt@trade/btcusdt@depth@77ms",
    ] {
        let mut asker = Asker::open(&market, target);
        assert_eq!(asker.list(), r#"{"result":["btcusdt@trade"],"id":1}"#, "{target}");
    }
    assert_eq!(Asker::open(&market, "/ws/0").list(), r#"{"result":[],"id":1}"#);
    market.assert_unharmed();
}

#[test]
fn requests_that_cannot_be_carried_out_are_answered_and_change_nothing() {
    let market = TradedMarket::start_with(|mut settings| {
        settings.streams_per_connection = Some(3);
        settings.messages_per_second = Some(0);
        settings
    });
    let mut asker = Asker::open(&market, "/ws/btcusdt@trade");
    for (request, answer, part) in [
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","btcusdt@dept"],"id":1}"#,
            r#"{"code":2,"msg":"Invalid request: stream `btcusdt@dept`: "#,
            r#","id":1}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt"],"id":"two"}"#,
            r#"{"code":2,"msg":"Invalid request: stream `btcusdt`: "#,
            r#","id":"two"}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade","c@trade"],"id":3}"#,
            r#"{"code":2,"msg":"Invalid request: more than 3 streams"#,
            r#","id":3}"#,
        ),
        (
            r#"{"method":"SUBSCRIBE","params":"a@trade"}"#,
            r#"{"code":2,"#,
            "params",
        ),
        (
            r#"{"method":"SUBSCRIBE","params":[7]}"#,
            r#"{"code":2,"#,
            "strings",
        ),
        (
            r#"{"method":"SUBSCRIBED","params":[]}"#,
            r#"{"code":2,"#,
            "SUBSCRIBED",
        ),
        (r#"{"params":[]}"#, r#"{"code":2,"#, "method"),
        (r#"["SUBSCRIBE"]"#, r#"{"code":2,"#, "object"),
        (
            r#"{"method":"GET_PROPERTY","params":["combine"],"id":4}"#,
            r#"{"code":0,"msg":"Unknown property"#,
            r#","id":4}"#,
        ),
        (
            r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":5}"#,
            r#"{"code":1,"#,
            r#","id":5}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","id":1.5}"#,
            r#"{"code":2,"#,
            "request ID",
        ),
        ("", r#"{"code":3,"msg":"Invalid JSON: "#, "line 1 column 0"),
        (
            "{\"method\":\n  SUBSCRIBE}",
            r#"{"code":3,"msg":"Invalid JSON: "#,
            "line 2 column 3",
        ),
        (
            r#"{"method":"SUBSCRIBE"} {}"#,
            r#"{"code":3,"msg":"Invalid JSON: "#,
            "line 1 column 24",
        ),
    ] {
        let got = asker.ask(request);
        assert!(
            got.starts_with(answer) && got.contains(part),
            "{request} gives {got}"
        );
    }
    let nested = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let got = asker.ask(&nested);
    assert!(got.starts_with(r#"{"code":"#), "{got}");
    assert_eq!(asker.list(), r#"{"result":["btcusdt@trade"],"id":1}"#);
    market.assert_unharmed();
}

#[test]
fn more_streams_in_a_url_than_are_allowed_end_the_connection() {
    let market = TradedMarket::start_with(|mut settings| {
        settings.streams_per_connection = Some(2);
        settings
    });
    let mut client = Raw::open(market.address(), "/ws/a@trade/b@trade/c@trade");
    assert_eq!(
        client.closed(),
        (1008, "more than 2 streams on one connection".to_string())
    );
    market.assert_unharmed();
}

#[test]
fn frames_that_break_the_protocol_end_their_connection_alone() {
    let market = TradedMarket::start();
    let oversized = vec![b' '; MESSAGE_BYTES_MAX + 1];
    for (name, bytes, code, part) in [
        ("oversized", frame(TEXT, &oversized), 1009, "65536 bytes"),
        ("unmasked", b"\x81\x02{}".to_vec(), 1002, "mask"),
        ("binary", frame(BINARY, b"{}"), 1003, "text messages"),
        ("not UTF-8", frame(TEXT, b"{\"id\":\"\xff\"}"), 1007, "UTF-8"),
        ("opcode 3", frame(3, b""), 1002, "opcode 0x3"),
        ("reserved bit", b"\xc1\x80\0\0\0\0".to_vec(), 1002, "reserved"),
        ("ping of 126", frame(PING, &[0; 126]), 1002, "125 bytes"),
        ("code 1005", close(1005, b""), 1002, "1005"),
        (
            "no frame at all",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            1002,
            "reserved",
        ),
    ] {
        // Subscribed to nothing, so that the close is the first frame, and to the market.
        let mut client = Raw::open(market.address(), "/ws");
        client.send(&bytes);
        let closed = client.closed();
        assert_eq!(closed.0, code, "{name}: {closed:?}");
        assert!(closed.1.contains(part), "{name}: {closed:?}");

        let mut client = Raw::open(market.address(), "/stream?streams=btcusdt@trade");
        client.frame().expect("the market");
        client.send(&bytes);
        let frames = client.frames_to_end();
        let (last, trades) = frames.split_last().expect("a close");
        assert_eq!(last.close().map(|(code, _)| code), Some(code), "{name}");
        assert!(
            trades.iter().all(|frame| frame.text().contains("trade")),
            "{name}"
        );
        market.assert_unharmed();
    }
}
