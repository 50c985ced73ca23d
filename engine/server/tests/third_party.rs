//! WebSocket clients that other people wrote, against the engine: Python's `websockets` and `websocket-client`, and `ws`
//! of Node. Their scripts are in `tests/clients`; each echoes messages of all sizes, has permessage-deflate declined,
//! pings, closes with a code, and takes the streams of a capture.

pub mod common;

use common::capture_file::CaptureText;
use common::goodbye::shutdown_time;
use common::program::Program;
use common::raw::{settings, start};
use common::scratch::Scratch;
use common::{node, python};
use depthcast::engine::Engine;

/// Pairs of a depth event and a trade in the capture.
const PAIRS: u64 = 150;

/// Runs a client's script with arguments and gives what it wrote.
type Client = fn(&[&str]) -> String;

const CLIENTS: [(&str, Client); 3] = [
    ("websockets", |arguments| {
        python::run_client("websockets_client.py", arguments)
    }),
    ("websocket-client", |arguments| {
        python::run_client("websocket_client.py", arguments)
    }),
    ("ws", |arguments| node::run_client("ws_client.js", arguments)),
];

/// A capture of one symbol, and what its subscribers must get.
struct Market {
    scratch: Scratch,
    capture: CaptureText,
    depths: Vec<String>,
    trades: Vec<String>,
}

impl Market {
    fn new() -> Market {
        let mut capture = CaptureText::new();
        capture.snapshot(
            10,
            &[("100.00000000", "1.00000000")],
            &[("101.00000000", "2.00000000")],
        );
        let (mut depths, mut trades) = (Vec::new(), Vec::new());
        for n in 0..PAIRS {
            capture.wait_ms(100);
            let id = 11 + n * 3;
            let qty = if n % 2 == 0 { "0.00000000" } else { "7.50000000" };
            depths.push(capture.depth("BTCUSDT", id, id + 2, &[("99.90000000", qty)], &[]));
            trades.push(capture.trade("BTCUSDT"));
        }
        Market {
            scratch: Scratch::new(),
            capture,
            depths,
            trades,
        }
    }

    /// An engine that begins when one subscriber is there, and echoes.
    fn engine(&self) -> (Engine, String) {
        let path = self.scratch.write("market", self.capture.as_str());
        let mut settings = settings(&path, "speed=100&start=1");
        settings.echo = Some(true);
        let engine = start(settings);
        let base = format!("ws://{}", engine.address());
        (engine, base)
    }

    /// The events of both streams in order, wrapped as `/stream` gives them.
    fn combined(&self) -> Vec<String> {
        let wrap =
            |stream: &str, payload: &String| format!(r#"{{"stream":"btcusdt@{stream}","data":{payload}}}"#);
        self.depths
            .iter()
            .zip(&self.trades)
            .flat_map(|(depth, trade)| [wrap("depth@100ms", depth), wrap("trade", trade)])
            .collect()
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn messages_come_back_and_connections_end_as_agreed() {
    let market = Market::new();
    let (_engine, base) = market.engine();
    for (name, client) in CLIENTS {
        assert_eq!(client(&["echo", &base]), "ok\n", "{name}");
    }
}

#[test]
fn streams_named_in_the_url_are_the_captures() {
    let market = Market::new();
    let count = PAIRS.to_string();
    for (name, client) in CLIENTS {
        let (_engine, base) = market.engine();
        let got = client(&["url", &base, "/ws/btcusdt@trade", &count]);
        assert_eq!(lines(&got), market.trades, "{name}");

        let (_engine, base) = market.engine();
        let path = "/stream?streams=btcusdt@depth@100ms/btcusdt@trade";
        let got = client(&["url", &base, path, &(2 * PAIRS).to_string()]);
        assert_eq!(lines(&got), market.combined(), "{name}");
    }
}

#[test]
fn streams_subscribed_to_by_a_message_are_the_captures() {
    let market = Market::new();
    let both = "btcusdt@depth@100ms/btcusdt@trade";
    for (name, client) in CLIENTS {
        let (_engine, base) = market.engine();
        let got = client(&["subscribe", &base, both, &(2 * PAIRS).to_string()]);
        if name == "websocket-client" {
            // Its script subscribes at /stream, the others at /ws.
            assert_eq!(lines(&got), market.combined(), "{name}");
        } else {
            let raw: Vec<&String> = market
                .depths
                .iter()
                .zip(&market.trades)
                .flat_map(<[_; 2]>::from)
                .collect();
            assert_eq!(lines(&got), raw, "{name}");
        }
    }
}

#[test]
fn an_engine_that_ends_says_so_behind_its_last_event() {
    let market = Market::new();
    let path = market.scratch.write("market", market.capture.as_str());
    let feed = format!("capture:{}?speed=max&start=1&end=exit", path.display());
    let program = Program::serve(&["--feed", &feed]);
    let base = format!("ws://{}", program.address());
    let got = python::run_client(
        "websockets_client.py",
        &["until-closed", &base, "/ws/btcusdt@depth@100ms"],
    );
    let got = lines(&got);
    let [events @ .., announced, end] = &got[..] else {
        panic!("{got:?} end without a goodbye");
    };
    assert_eq!(events, market.depths);
    assert!(shutdown_time(announced).is_some(), "{announced}");
    assert_eq!(*end, "1001 the engine is ending");
}
