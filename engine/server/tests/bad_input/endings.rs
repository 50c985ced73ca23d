//! The ends that are not faults: Ctrl-C, and a capture that is over. Every subscriber is told, and keeps what it has.

use std::time::{Duration, Instant};

use crate::common::capture_file::{CaptureText, TextLevel};
use crate::common::program::Program;
use crate::common::raw::{Raw, http_get};
use crate::common::scratch::Scratch;
use crate::witness::depth_ids;

const IN_TIME: Duration = Duration::from_secs(2);

fn serve(scratch: &Scratch, capture: &CaptureText, how: &str) -> Program {
    let path = scratch.write("capture", capture.as_str());
    Program::serve(&["--feed", &format!("capture:{}?{how}", path.display())])
}

fn trades(count: usize) -> CaptureText {
    let mut capture = CaptureText::new();
    for _ in 0..count {
        capture.trade("BTCUSDT");
        capture.wait_ms(5);
    }
    capture
}

#[test]
fn an_interrupt_closes_everybody_and_ends_well() {
    let scratch = Scratch::new();
    let program = serve(&scratch, &trades(2000), "speed=1");
    let address = program.address();
    let mut subscribers: Vec<Raw> = (0..20)
        .map(|_| Raw::open(address, "/stream?streams=btcusdt@trade"))
        .collect();
    let mut quiet = Raw::open(address, "/ws");
    for subscriber in &mut subscribers {
        subscriber.frame().expect("the market");
    }
    // One that is in the middle of its request, one that reads nothing and never says goodbye.
    let mut halting = Raw::connect(address);
    halting.send(b"GET / HT");
    let _stubborn = Raw::open(address, "/ws/btcusdt@trade");

    let interrupted_at = Instant::now();
    program.interrupt();
    for subscriber in &mut subscribers {
        let frames = subscriber.frames_to_end();
        let last = frames.last().expect("a close");
        assert_eq!(last.close(), Some((1001, "the engine is ending")));
    }
    assert_eq!(quiet.closed(), (1001, "the engine is ending".to_string()));
    drop((subscribers, quiet));
    let ended = program.ended(IN_TIME.saturating_sub(interrupted_at.elapsed()));
    ended.assert_no_panic();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.starts_with("ending: "), "{ended:?}");
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let scratch = Scratch::new();
    let program = serve(&scratch, &trades(2000), "speed=1");
    let _stubborn = Raw::open(program.address(), "/ws/btcusdt@trade");
    program.interrupt();
    program.stderr_line("ending");
    program.interrupt();
    let ended = program.ended(Duration::from_millis(500));
    ended.assert_no_panic();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The subscriber reads nothing until the engine is at its end, and is then owed megabytes.
#[test]
fn an_engine_that_ends_with_its_capture_delivers_everything_first() {
    const EVENTS: u64 = 3000;
    let prices: Vec<String> = (0..100).map(|n| format!("{}.50000000", 40_000 + n)).collect();
    let bids: Vec<TextLevel<'_>> = prices.iter().map(|price| (&**price, "1.00000000")).collect();
    let mut capture = CaptureText::new();
    capture.snapshot(10, &[], &[]);
    for id in 11..11 + EVENTS {
        capture.depth("BTCUSDT", id, id, &bids, &[]);
    }
    let scratch = Scratch::new();
    for _ in 0..3 {
        let program = serve(&scratch, &capture, "speed=max&start=1&end=exit");
        let mut subscriber = Raw::open(program.address(), "/ws/btcusdt@depth@100ms");
        std::thread::sleep(Duration::from_millis(700));
        let frames = subscriber.frames_to_end();
        drop(subscriber);
        let (close, events) = frames.split_last().expect("a close");
        assert_eq!(close.close(), Some((1001, "the engine is ending")));
        let ids: Vec<(u64, u64)> = events.iter().map(|event| depth_ids(event.text())).collect();
        let all: Vec<(u64, u64)> = (11..11 + EVENTS).map(|id| (id, id)).collect();
        assert!(ids == all, "{} of {EVENTS} events", ids.len());
        let ended = program.ended(IN_TIME);
        ended.assert_no_panic();
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    }
}

#[test]
fn a_capture_that_loops_closes_everybody_and_starts_over() {
    let scratch = Scratch::new();
    let mut capture = CaptureText::new();
    capture.snapshot(10, &[("100.00000000", "1.00000000")], &[]);
    for id in 11..41 {
        capture.wait_ms(20);
        capture.depth("BTCUSDT", id, id, &[("99.00000000", "1.00000000")], &[]);
    }
    let program = serve(&scratch, &capture, "speed=1&start=1&end=loop");
    let address = program.address();
    let mut quiet = Raw::open(address, "/ws");
    for round in 0..3 {
        let mut frames = Raw::open(address, "/ws/btcusdt@depth@100ms").frames_to_end();
        if frames.len() == 1 {
            // Back before its worker had heard of the new beginning, and so closed by it once more; never twice.
            frames = Raw::open(address, "/ws/btcusdt@depth@100ms").frames_to_end();
        }
        let (close, events) = frames.split_last().expect("a close");
        let (code, reason) = close.close().expect("a close with a code");
        assert_eq!(code, 1012, "{reason}");
        assert!(reason.contains("began anew"), "{reason}");
        let ids: Vec<(u64, u64)> = events.iter().map(|event| depth_ids(event.text())).collect();
        // Whoever comes back misses what went by meanwhile, and nothing in the middle.
        assert!(ids.len() > 15, "round {round}: {ids:?}");
        let last: Vec<(u64, u64)> = (41 - ids.len() as u64..41).map(|id| (id, id)).collect();
        assert_eq!(ids, last, "round {round}");
    }
    // Those who subscribed to nothing are closed as well, at the first new beginning.
    assert_eq!(quiet.closed().0, 1012);
    assert_eq!(http_get(address, "/api/v3/depth?symbol=BTCUSDT").0, 200);
}

#[test]
fn a_capture_that_is_over_leaves_a_market_that_stands_still() {
    let scratch = Scratch::new();
    let mut capture = trades(10);
    capture.snapshot(10, &[("100.00000000", "1.00000000")], &[]);
    let mut program = serve(&scratch, &capture, "speed=max&start=1&end=hold");
    let mut subscriber = Raw::open(program.address(), "/ws/btcusdt@trade");
    for _ in 0..10 {
        subscriber.frame().expect("a trade");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(program.is_running());
    assert_eq!(http_get(program.address(), "/api/v3/depth?symbol=BTCUSDT").0, 200);
    program.interrupt();
    assert_eq!(subscriber.closed().0, 1001);
    drop(subscriber);
    let ended = program.ended(IN_TIME);
    assert!(ended.stdout.contains("the market stands still"), "{ended:?}");
    assert_eq!(ended.code, Some(0));
}
