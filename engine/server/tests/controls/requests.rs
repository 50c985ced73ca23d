//! Every control request, well made and not, with its exact reply: one table, on every kind of connection.

use crate::common::capture_file::CaptureText;
use crate::common::raw::opcode::TEXT;
use crate::common::raw::{Raw, frame, settings, start};
use crate::common::scratch::Scratch;
use depthcast::engine::Engine;

/// An engine of BTCUSDT that waits for more subscribers than there will be: nothing but replies is ever sent.
fn silent_market() -> (Engine, Scratch) {
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    let scratch = Scratch::new();
    let path = scratch.write("silent", capture.as_str());
    let mut settings = settings(&path, "speed=1&start=1000");
    settings.streams_per_connection = Some(1024);
    // Many requests on one connection is what these tests are about.
    settings.messages_per_second = Some(0);
    (start(settings), scratch)
}

fn ask(client: &mut Raw, request: &str) -> String {
    client.send(&frame(TEXT, request.as_bytes()));
    client.frame().expect("a reply").text().to_string()
}

/// The refusal of an id.
const BAD_ID: &str =
    r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer","id":null}"#;

/// Requests and their replies, in order: each goes on where the one before has left the connection.
const TABLE: &[(&str, &str)] = &[
    // Ids of every type.
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#,
        r#"{"result":null,"id":1}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":-9223372036854775808}"#,
        r#"{"result":null,"id":-9223372036854775808}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":9223372036854775807}"#,
        r#"{"result":null,"id":9223372036854775807}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":"1"}"#,
        r#"{"result":null,"id":"1"}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":"187d3cb2-942d-484c-8271-4e2141bbadb1"}"#,
        r#"{"result":null,"id":"187d3cb2-942d-484c-8271-4e2141bbadb1"}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":null}"#,
        r#"{"result":null,"id":null}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"]}"#,
        r#"{"result":null,"id":null}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":"abcdefghijklmnopqrstuvwxyz0123456789-"}"#,
        BAD_ID,
    ),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":"a_b"}"#, BAD_ID),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":"é"}"#, BAD_ID),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":9223372036854775808}"#,
        BAD_ID,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":-9223372036854775809}"#,
        BAD_ID,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":123456789012345678901234567890}"#,
        BAD_ID,
    ),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":1.0}"#, BAD_ID),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":1e2}"#, BAD_ID),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":true}"#, BAD_ID),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":[1]}"#, BAD_ID),
    (r#"{"method":"LIST_SUBSCRIPTIONS","id":{"id":1}}"#, BAD_ID),
    // Subscriptions: what is there already, what is not there, unknown symbols, and all of it listed.
    (
        r#"{"method":"SUBSCRIBE","params":["nosuch@depth20@10ms","!heartbeat","btcusdt@aggTrade","btcusdt@trade"],"id":2}"#,
        r#"{"result":null,"id":2}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#,
        r#"{"result":["!heartbeat","btcusdt@trade","btcusdt@aggTrade","nosuch@depth20@10ms"],"id":3}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth","btcusdt@trade","other@trade","btcusdt@trade"],"id":4}"#,
        r#"{"result":null,"id":4}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":5}"#,
        r#"{"result":null,"id":5}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":[],"id":6}"#,
        r#"{"result":null,"id":6}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","params":[],"id":7}"#,
        r#"{"result":["!heartbeat","btcusdt@aggTrade","nosuch@depth20@10ms"],"id":7}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":["!heartbeat","nosuch@depth20@10ms"],"id":8}"#,
        r#"{"result":null,"id":8}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","params":null,"id":9}"#,
        r#"{"result":["btcusdt@aggTrade"],"id":9}"#,
    ),
    // Names that are none; nothing of such a request is done.
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","btcusdt@dept"],"id":10}"#,
        r#"{"code":2,"msg":"Invalid request: stream `btcusdt@dept`: unknown stream type \"dept\": expected depth, depth5, depth10, depth20, bookTicker, bestBidAsk, trade, aggTrade, kline_<interval>, miniTicker, ticker, avgPrice or checksum","id":10}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade","btcusdt"],"id":11}"#,
        r#"{"code":2,"msg":"Invalid request: stream `btcusdt`: no '@' in \"btcusdt\": expected <symbol>@<stream>, as btcusdt@depth","id":11}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["btcusdt@kline_2m"],"id":12}"#,
        r#"{"code":2,"msg":"Invalid request: stream `btcusdt@kline_2m`: unknown kline interval \"2m\": expected 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w or 1M","id":12}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["!ticker@arr"],"id":13}"#,
        r#"{"code":2,"msg":"Invalid request: stream `!ticker@arr`: this engine does not serve !ticker@arr streams","id":13}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":["!heartbeats"],"id":14}"#,
        r#"{"code":2,"msg":"Invalid request: stream `!heartbeats`: unknown stream of the whole market \"!heartbeats\": expected !miniTicker@arr or !heartbeat","id":14}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":15}"#,
        r#"{"result":["btcusdt@aggTrade"],"id":15}"#,
    ),
    // Params that are missing, of the wrong type, or too many.
    (
        r#"{"method":"SUBSCRIBE","id":16}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `params` at line 1 column 30","id":16}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","id":17}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `params` at line 1 column 32","id":17}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","id":18}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `params` at line 1 column 33","id":18}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","id":19}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `params` at line 1 column 33","id":19}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":"btcusdt@trade","id":20}"#,
        r#"{"code":2,"msg":"Invalid request: params must be an array","id":20}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":null,"id":21}"#,
        r#"{"code":2,"msg":"Invalid request: params must be an array","id":21}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","params":{},"id":22}"#,
        r#"{"code":2,"msg":"Invalid request: params must be an array","id":22}"#,
    ),
    (
        r#"{"method":"SUBSCRIBE","params":[1],"id":23}"#,
        r#"{"code":2,"msg":"Invalid request: stream names must be strings","id":23}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":[["btcusdt@aggTrade"]],"id":24}"#,
        r#"{"code":2,"msg":"Invalid request: stream names must be strings","id":24}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","params":["btcusdt@trade"],"id":25}"#,
        r#"{"code":2,"msg":"Invalid request: too many parameters","id":25}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":["combined",true],"id":26}"#,
        r#"{"code":2,"msg":"Invalid request: too many parameters","id":26}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined",true,true],"id":27}"#,
        r#"{"code":2,"msg":"Invalid request: too many parameters","id":27}"#,
    ),
    // Methods.
    (
        r#"{"params":[],"id":28}"#,
        r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 21","id":28}"#,
    ),
    (
        r#"{"method":7,"id":29}"#,
        r#"{"code":2,"msg":"Invalid request: method must be a string","id":29}"#,
    ),
    (
        r#"{"method":null,"id":30}"#,
        r#"{"code":2,"msg":"Invalid request: method must be a string","id":30}"#,
    ),
    (
        r#"{"method":"subscribe","params":[],"id":31}"#,
        r#"{"code":2,"msg":"Invalid request: unknown variant `subscribe`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 21","id":31}"#,
    ),
    (
        r#"{"method":"","id":32}"#,
        r#"{"code":2,"msg":"Invalid request: unknown variant ``, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 12","id":32}"#,
    ),
    // The property.
    (
        r#"{"method":"SET_PROPERTY","params":["combined",true],"id":33}"#,
        r#"{"result":null,"id":33}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined",true],"id":34}"#,
        r#"{"result":null,"id":34}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":["combined"],"id":35}"#,
        r#"{"result":true,"id":35}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined",false],"id":"36"}"#,
        r#"{"result":null,"id":"36"}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":["combined"],"id":"37"}"#,
        r#"{"result":false,"id":"37"}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combine",true],"id":38}"#,
        r#"{"code":0,"msg":"Unknown property","id":38}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":["Combined"],"id":39}"#,
        r#"{"code":0,"msg":"Unknown property","id":39}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined","true"],"id":40}"#,
        r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":40}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined",1],"id":41}"#,
        r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":41}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined",null],"id":42}"#,
        r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":42}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":["combined"],"id":43}"#,
        r#"{"code":1,"msg":"Invalid value type: expected Boolean","id":43}"#,
    ),
    (
        r#"{"method":"SET_PROPERTY","params":[true,"combined"],"id":44}"#,
        r#"{"code":2,"msg":"Invalid request: property name must be a string","id":44}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":[],"id":45}"#,
        r#"{"code":2,"msg":"Invalid request: property name must be a string","id":45}"#,
    ),
    (
        r#"{"method":"GET_PROPERTY","params":["combined"],"id":46}"#,
        r#"{"result":false,"id":46}"#,
    ),
    // Odd requests, and what is none.
    (
        r#"{"extra":{"id":[7]},"method":"SUBSCRIBE","id":47,"method":"LIST_SUBSCRIPTIONS","id":"48","zz":1e999}"#,
        r#"{"result":["btcusdt@aggTrade"],"id":"48"}"#,
    ),
    (
        "\t{ \"id\" : 49 ,\r\n \"params\" : [ ] , \"method\" : \"LIST\\u005fSUBSCRIPTIONS\" }\n",
        r#"{"result":["btcusdt@aggTrade"],"id":49}"#,
    ),
    (
        "[]",
        r#"{"code":2,"msg":"Invalid request: a request is a JSON object","id":null}"#,
    ),
    (
        "null",
        r#"{"code":2,"msg":"Invalid request: a request is a JSON object","id":null}"#,
    ),
    (
        r#""SUBSCRIBE""#,
        r#"{"code":2,"msg":"Invalid request: a request is a JSON object","id":null}"#,
    ),
    (
        "{}",
        r#"{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 2","id":null}"#,
    ),
    (
        "",
        r#"{"code":3,"msg":"Invalid JSON: EOF while parsing a value at line 1 column 0","id":null}"#,
    ),
    (
        "ping",
        r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1","id":null}"#,
    ),
    (
        "{\"method\":\n  SUBSCRIBE,\"id\":50}",
        r#"{"code":3,"msg":"Invalid JSON: expected value at line 2 column 3","id":null}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":51"#,
        r#"{"code":3,"msg":"Invalid JSON: EOF while parsing an object at line 1 column 38","id":null}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":52}{"#,
        r#"{"code":3,"msg":"Invalid JSON: trailing characters at line 1 column 40","id":null}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":1e999}"#,
        r#"{"code":3,"msg":"Invalid JSON: number out of range at line 1 column 41","id":null}"#,
    ),
    (
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":53}"#,
        r#"{"result":null,"id":53}"#,
    ),
    (
        r#"{"method":"LIST_SUBSCRIPTIONS","id":54}"#,
        r#"{"result":[],"id":54}"#,
    ),
];

#[test]
fn every_request_has_its_exact_reply_on_every_kind_of_connection() {
    let (engine, _scratch) = silent_market();
    for (target, combined) in [
        ("/ws", false),
        ("/stream", true),
        ("/sbe/ws", false),
        ("/sbe/stream", true),
    ] {
        let mut client = Raw::open(engine.address(), target);
        assert_eq!(
            ask(
                &mut client,
                r#"{"method":"GET_PROPERTY","params":["combined"],"id":0}"#
            ),
            format!(r#"{{"result":{combined},"id":0}}"#),
            "{target}"
        );
        for (request, reply) in TABLE {
            assert_eq!(ask(&mut client, request), *reply, "{request} on {target}");
        }
    }
}

#[test]
fn large_and_deep_requests_are_answered() {
    let (engine, _scratch) = silent_market();
    let subscribe = |range: std::ops::Range<usize>, id: u32| {
        let names: Vec<String> = range.map(|n| format!("\"s{n:04}@trade\"")).collect();
        format!(
            r#"{{"method":"SUBSCRIBE","params":[{}],"id":{id}}}"#,
            names.join(",")
        )
    };
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    for target in ["/ws", "/sbe/stream"] {
        let mut client = Raw::open(engine.address(), target);
        for (request, reply) in [
            (
                subscribe(0..1025, 1),
                r#"{"code":2,"msg":"Invalid request: too many parameters","id":1}"#,
            ),
            (subscribe(0..1024, 2), r#"{"result":null,"id":2}"#),
            (subscribe(0..1024, 3), r#"{"result":null,"id":3}"#),
            (
                subscribe(1024..1025, 4),
                r#"{"code":2,"msg":"Invalid request: more than 1024 streams on one connection","id":4}"#,
            ),
            (
                deep("[", "]"),
                r#"{"code":2,"msg":"Invalid request: a request is a JSON object","id":null}"#,
            ),
            (
                format!(
                    r#"{{"x":{},"method":"SUBSCRIBE","params":[],"id":5}}"#,
                    deep("[", "]")
                ),
                r#"{"result":null,"id":5}"#,
            ),
            (
                format!(r#"{{"method":"SUBSCRIBE","params":{},"id":6}}"#, deep("[", "]")),
                r#"{"code":2,"msg":"Invalid request: stream names must be strings","id":6}"#,
            ),
            (
                format!(r#"{{"method":"SUBSCRIBE","params":[],"id":{}}}"#, deep("[", "]")),
                BAD_ID,
            ),
            (
                format!(r#"{{"method":"SUBSCRIBE","params":[],"id":{}}}"#, "9".repeat(300)),
                BAD_ID,
            ),
            (
                format!(
                    r#"{{"method":"SUBSCRIBE","params":[],"id":"{}"}}"#,
                    "9".repeat(60_000)
                ),
                BAD_ID,
            ),
        ] {
            let start = &request[..request.len().min(80)];
            assert_eq!(ask(&mut client, &request), reply, "{start} on {target}");
        }
        let list = ask(&mut client, r#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#);
        assert!(
            list.starts_with(r#"{"result":["s0000@trade","s0001@trade","#)
                && list.ends_with(r#","s1023@trade"],"id":7}"#),
            "{list}"
        );
    }
}
