//! What the engine tells of itself while it runs: how much it delivers, and whom it has lost.

use std::time::{Duration, Instant};

use crate::common::capture_file::CaptureText;
use crate::common::program::Program;
use crate::common::raw::{PATIENCE, Raw, close, http_get, settings, start, upgrade_request};
use crate::common::scratch::Scratch;
use depthcast::session::EndCause;

#[test]
fn every_frame_and_byte_that_a_socket_took_is_counted_once() {
    const SUBSCRIBERS: usize = 3;
    const EVENTS: u64 = 2000;
    let mut capture = CaptureText::new();
    capture.snapshot(10, &[], &[]);
    for id in 11..11 + EVENTS {
        capture.depth("BTCUSDT", id, id, &[("100.00000000", "1.00000000")], &[]);
    }
    let scratch = Scratch::new();
    let path = scratch.write("depth", capture.as_str());
    let engine = start(settings(&path, &format!("speed=max&start={SUBSCRIBERS}")));
    let request = upgrade_request("/ws/btcusdt@depth@100ms", "");
    let mut subscribers: Vec<Raw> = (0..SUBSCRIBERS).map(|_| Raw::connect(engine.address())).collect();
    let mut bytes = 0;
    for subscriber in &mut subscribers {
        subscriber.send(request.as_bytes());
        bytes += subscriber.http_head().len();
    }
    for subscriber in &mut subscribers {
        for _ in 0..EVENTS {
            // All of them are short: two bytes of header, or four.
            let len = subscriber.frame().expect("an event").payload.len();
            bytes += len + if len < 126 { 2 } else { 4 };
        }
    }
    let counters = engine.counters();
    let until = Instant::now() + PATIENCE;
    // A worker tells its counts when it is through with a turn, which may be after the last byte was read.
    while counters.totals().bytes < bytes as u64 {
        assert!(Instant::now() < until, "{:?}", counters.totals());
        std::thread::sleep(Duration::from_millis(5));
    }
    let totals = counters.totals();
    assert_eq!(totals.bytes, bytes as u64);
    assert_eq!(
        totals.deliveries,
        SUBSCRIBERS as u64 * (EVENTS + 1),
        "events and one answer"
    );
    assert_eq!(totals.depth_events, EVENTS);
    assert_eq!((totals.accepted, totals.blocked, totals.feed_gaps), (3, 0, 0));
    assert_eq!((totals.connections, totals.subscribers), (3, 3));

    // Ends are counted by who made them.
    subscribers[0].send(&close(1000, b""));
    assert_eq!(subscribers[0].closed().0, 1000);
    subscribers.truncate(1);
    assert_eq!(http_get(engine.address(), "/ws").0, 426);
    while counters.totals().connections > 0 {
        // The one that has said goodbye only waits for its peer.
        subscribers.clear();
        assert!(Instant::now() < until, "{:?}", counters.totals());
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut ended = [0; EndCause::ALL.len()];
    ended[EndCause::Peer.index()] = 3;
    ended[EndCause::HandshakeRefused.index()] = 1;
    assert_eq!(counters.totals().ended, ended);
}

#[test]
fn a_line_now_and_then_says_what_goes_on() {
    let mut capture = CaptureText::new();
    capture.snapshot(10, &[], &[]);
    // With a gap.
    for id in (11..400).chain(500..4000) {
        capture.depth("BTCUSDT", id, id, &[("100.00000000", "1.00000000")], &[]);
        capture.trade("BTCUSDT");
        capture.wait_ms(5);
    }
    let scratch = Scratch::new();
    let feed = format!(
        "capture:{}?start=2",
        scratch.write("market", capture.as_str()).display()
    );
    let program = Program::serve(&["--feed", &feed, "--stats", "250ms"]);
    let _subscribers =
        ["/ws/btcusdt@trade", "/ws/btcusdt@depth@100ms"].map(|target| Raw::open(program.address(), target));
    let _idle = Raw::open(program.address(), "/ws");
    let line = program.stdout_line(|line| line.starts_with("stats: ") && line.ends_with(", 1 feed gaps"));
    let start = "stats: 3 connections (2 subscribed), ";
    assert!(line.starts_with(start), "{line}");
    let end = " 0 blocked, 0 conflated, 0 evicted, 0 refused, 1 feed gaps";
    assert!(line.ends_with(end), "{line}");
    let rates = line[start.len()..line.len() - end.len()].to_string();
    let units: Vec<&str> = rates
        .split(", ")
        .map(|rate| {
            rate.trim_end_matches(',')
                .split_once(' ')
                .expect("a number and its unit")
                .1
        })
        .collect();
    assert_eq!(units, ["updates/s", "deliveries/s", "kB/s"], "{line}");
    // An update every 5 ms; how many of them fall between two lines is up to this machine.
    let updates: f64 = rates
        .split(' ')
        .next()
        .unwrap_or_default()
        .parse()
        .expect("a number");
    assert!(updates > 20.0, "{line}");

    program.interrupt();
    let ended = program.ended(Duration::from_secs(4));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn nothing_is_told_unasked() {
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    let scratch = Scratch::new();
    let feed = format!("capture:{}", scratch.write("trade", capture.as_str()).display());
    let program = Program::serve(&["--feed", &feed]);
    program.address();
    std::thread::sleep(Duration::from_millis(300));
    program.interrupt();
    let ended = program.ended(Duration::from_secs(4));
    assert!(!ended.stdout.contains("stats"), "{ended:?}");
}
