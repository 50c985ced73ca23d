//! Every path that clients open: each is upgraded, gives the events that it asks for, and takes requests afterwards.

use crate::common::capture_file::{BEGIN_NS, CaptureText};
use crate::common::raw::opcode::{BINARY, TEXT};
use crate::common::raw::{Raw, ServerFrame, frame, settings, start, upgrade_request};
use crate::common::scratch::Scratch;
use depthcast::engine::Engine;

/// How long the market goes on, in steps of 10 ms: longer than any test takes.
const STEPS: u64 = 30_000;

/// A market of trades each 10 ms, and depth and best bid/ask each 100 ms.
fn busy_market() -> (Engine, Scratch) {
    let mut capture = CaptureText::new();
    for step in 0..STEPS {
        capture.trade("BTCUSDT");
        if step % 10 == 0 {
            let id = 100 + step;
            capture.depth("BTCUSDT", id, id + 9, &[("100.00000000", "1.00000000")], &[]);
            capture.line(&format!(
                r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"BTCUSDT","b":"100.00000000","B":"1.00000000","a":"101.00000000","A":"1.00000000"}}}}"#
            ));
        }
        if step == 0 {
            capture.snapshot(
                99,
                &[("99.00000000", "1.00000000")],
                &[("101.00000000", "1.00000000")],
            );
        }
        capture.wait_ms(10);
    }
    let scratch = Scratch::new();
    let path = scratch.write("busy", capture.as_str());
    (start(settings(&path, "speed=1&start=0")), scratch)
}

/// A path, and how what comes of it begins.
struct Case {
    target: &'static str,
    /// Further header lines.
    headers: &'static str,
    /// The name of each stream that is asked for, as it is to be listed.
    streams: &'static [&'static str],
    /// How the events of each of them begin (see [`start_of`]).
    events: &'static [&'static str],
    /// Whether JSON is wrapped.
    combined: bool,
    /// Whether its times are microseconds.
    micros: bool,
}

const RAW: Case = Case {
    target: "",
    headers: "",
    streams: &[],
    events: &[],
    combined: false,
    micros: false,
};

const COMBINED: Case = Case {
    combined: true,
    ..RAW
};

const TRADE: &str = r#"{"e":"trade","E":17"#;
const TICKER: &str = r#"{"u":"#;
const COMBINED_TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":17"#;

const CASES: &[Case] = &[
    Case {
        target: "/ws/btcusdt@trade",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    Case {
        target: "/ws/btcusdt@trade/btcusdt@bookTicker/btcusdt@depth5@100ms",
        streams: &["btcusdt@depth5@100ms", "btcusdt@bookTicker", "btcusdt@trade"],
        events: &[TRADE, TICKER, r#"{"lastUpdateId":"#],
        ..RAW
    },
    Case { target: "/ws", ..RAW },
    Case {
        target: "/ws/",
        ..RAW
    },
    Case {
        target: "/ws/0",
        ..RAW
    },
    Case {
        target: "/ws/0/btcusdt@trade/",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    Case {
        target: "/ws?streams=btcusdt@trade",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    Case {
        target: "/stream",
        ..COMBINED
    },
    Case {
        target: "/stream/",
        ..COMBINED
    },
    Case {
        target: "/stream?",
        ..COMBINED
    },
    Case {
        target: "/stream?streams=",
        ..COMBINED
    },
    Case {
        target: "/stream/0",
        ..COMBINED
    },
    Case {
        target: "/stream/0?streams=btcusdt@trade",
        streams: &["btcusdt@trade"],
        events: &[COMBINED_TRADE],
        ..COMBINED
    },
    Case {
        target: "/stream?streams=btcusdt@trade/!heartbeat/btcusdt@depth@100ms",
        streams: &["!heartbeat", "btcusdt@depth@100ms", "btcusdt@trade"],
        events: &[
            COMBINED_TRADE,
            r#"{"stream":"!heartbeat","data":{"e":"heartbeat","E":17"#,
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":17"#,
        ],
        ..COMBINED
    },
    // Percent-encoded: a name, all of a list, the mark of the whole market.
    Case {
        target: "/ws/btcusdt%40trade",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    Case {
        target: "/stream?streams=btcusdt%40trade%2Fbtcusdt%40depth%40100ms",
        streams: &["btcusdt@depth@100ms", "btcusdt@trade"],
        events: &[COMBINED_TRADE, r#"{"stream":"btcusdt@depth@100ms","data":{"#],
        ..COMBINED
    },
    Case {
        target: "/ws/%21heartbeat",
        streams: &["!heartbeat"],
        events: &[r#"{"e":"heartbeat","E":17"#],
        ..RAW
    },
    // Parameters, known and unknown.
    Case {
        target: "/ws/btcusdt@trade?timeUnit=microsecond",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        micros: true,
        ..RAW
    },
    Case {
        target: "/stream?timeUnit=MICROSECOND&streams=btcusdt@trade",
        streams: &["btcusdt@trade"],
        events: &[COMBINED_TRADE],
        micros: true,
        ..COMBINED
    },
    Case {
        target: "/stream?x=1&streams=btcusdt@trade&listenKey=abc&&=&y",
        streams: &["btcusdt@trade"],
        events: &[COMBINED_TRADE],
        ..COMBINED
    },
    // Headers that nobody asked for.
    Case {
        target: "/ws/btcusdt@trade",
        headers: "X-MBX-APIKEY: vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A\r\n",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    Case {
        target: "/ws/btcusdt@trade",
        headers: "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://localhost\r\n",
        streams: &["btcusdt@trade"],
        events: &[TRADE],
        ..RAW
    },
    // SBE.
    Case {
        target: "/sbe/ws/btcusdt@trade/btcusdt@bestBidAsk/btcusdt@depth20/btcusdt@depth/!heartbeat",
        streams: &[
            "!heartbeat",
            "btcusdt@depth",
            "btcusdt@depth20",
            "btcusdt@bestBidAsk",
            "btcusdt@trade",
        ],
        events: &["10000", "10001", "10002", "10003", r#"{"e":"heartbeat","E":17"#],
        micros: true,
        ..RAW
    },
    Case {
        target: "/sbe/stream?streams=btcusdt@trade&timeUnit=MILLISECOND",
        streams: &["btcusdt@trade"],
        events: &["10000"],
        micros: true,
        ..COMBINED
    },
    Case {
        target: "/sbe/ws/0",
        micros: true,
        ..RAW
    },
    Case {
        target: "/sbe/stream?streams=",
        micros: true,
        ..COMBINED
    },
];

/// The text of a text frame, the template's number of a binary one.
fn start_of(frame: &ServerFrame) -> String {
    match frame.opcode {
        TEXT => frame.text().to_string(),
        BINARY => u16::from_le_bytes([frame.payload[2], frame.payload[3]]).to_string(),
        _ => panic!("{frame:?}"),
    }
}

/// A connection and what it is expected to get.
struct Client<'c> {
    raw: Raw,
    case: &'c Case,
}

impl Client<'_> {
    fn open<'c>(engine: &Engine, case: &'c Case) -> Client<'c> {
        let mut raw = Raw::connect(engine.address());
        raw.send(upgrade_request(case.target, case.headers).as_bytes());
        let head = raw.http_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{}: {head}", case.target);
        assert!(
            !head.to_ascii_lowercase().contains("sec-websocket-extensions"),
            "{}: {head}",
            case.target
        );
        Client { raw, case }
    }

    fn next(&mut self) -> String {
        let frame = self
            .raw
            .frame()
            .unwrap_or_else(|| panic!("{} ended", self.case.target));
        let start = start_of(&frame);
        if let Some((_, time)) = start.split_once("\"E\":") {
            let digits = time
                .find(|c: char| !c.is_ascii_digit())
                .expect("more than a time");
            // A time of the capture, in the unit asked for; a heartbeat may come before the first event.
            let begin = BEGIN_NS / if self.case.micros { 1_000 } else { 1_000_000 };
            assert!(
                digits == begin.to_string().len() || &time[..digits] == "0",
                "{}: {start}",
                self.case.target
            );
        }
        start
    }

    /// Reads on until something of each of `starts` has come.
    fn await_all(&mut self, starts: &[&str]) {
        let mut missing = starts.to_vec();
        let mut others = 0;
        while !missing.is_empty() {
            let next = self.next();
            missing.retain(|start| !next.starts_with(start));
            others += 1;
            assert!(others < 5_000, "{}: no {missing:?}", self.case.target);
        }
    }

    /// Sends a request and gives the reply, between whatever events.
    fn ask(&mut self, request: &str) -> String {
        self.raw.send(&frame(TEXT, request.as_bytes()));
        loop {
            let next = self.next();
            if next.ends_with(r#""id":"asked"}"#) {
                return next;
            }
        }
    }

    fn list(&mut self) -> String {
        self.ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":"asked"}"#)
    }
}

#[test]
fn every_path_gives_what_it_asks_for_and_takes_requests() {
    let (engine, _scratch) = busy_market();
    for case in CASES {
        let mut client = Client::open(&engine, case);
        client.await_all(case.events);
        let names: Vec<String> = case.streams.iter().map(|name| format!("\"{name}\"")).collect();
        assert_eq!(
            client.list(),
            format!(r#"{{"result":[{}],"id":"asked"}}"#, names.join(",")),
            "{}",
            case.target
        );
        let property = r#"{"method":"GET_PROPERTY","params":["combined"],"id":"asked"}"#;
        assert_eq!(
            client.ask(property),
            format!(r#"{{"result":{},"id":"asked"}}"#, case.combined),
            "{}",
            case.target
        );
        let subscribe = r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":"asked"}"#;
        assert_eq!(
            client.ask(subscribe),
            r#"{"result":null,"id":"asked"}"#,
            "{}",
            case.target
        );
        client.await_all(&[if case.combined {
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":17"#
        } else {
            r#"{"e":"aggTrade","E":17"#
        }]);
    }
}

#[test]
fn wrapping_follows_the_property() {
    let (engine, _scratch) = busy_market();
    for target in ["/ws/btcusdt@aggTrade", "/sbe/ws/btcusdt@aggTrade"] {
        let case = Case {
            target,
            micros: target.starts_with("/sbe"),
            ..RAW
        };
        let mut client = Client::open(&engine, &case);
        let (raw, wrapped) = (
            r#"{"e":"aggTrade","#,
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","#,
        );
        client.await_all(&[raw]);
        for (combined, start) in [(true, wrapped), (false, raw)] {
            let set = format!(r#"{{"method":"SET_PROPERTY","params":["combined",{combined}],"id":"asked"}}"#);
            assert_eq!(client.ask(&set), r#"{"result":null,"id":"asked"}"#);
            for _ in 0..3 {
                let next = client.next();
                assert!(next.starts_with(start), "{target}: {next}");
            }
        }
    }
}
