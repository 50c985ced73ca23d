//! The ends that are not faults: Ctrl-C, and a capture that is over. Every subscriber is told, and keeps what it has.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::capture_file::{CaptureText, TextLevel};
use crate::common::goodbye::{before_goodbye, shutdown_time};
use crate::common::program::Program;
use crate::common::raw::{PATIENCE, Raw, http_get, settings, start, upgrade_request};
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
    // Each by its URL, how long its announcement's times are in digits, and whether it is wrapped.
    let mut subscribers = Vec::new();
    for _ in 0..5 {
        for (target, digits, is_wrapped) in [
            ("/stream?streams=btcusdt@trade", 13, true),
            ("/ws/btcusdt@trade", 13, false),
            ("/ws/btcusdt@trade?timeUnit=MICROSECOND", 16, false),
            ("/sbe/ws/btcusdt@trade", 16, false),
        ] {
            subscribers.push((Raw::open(address, target), digits, is_wrapped));
        }
    }
    let mut quiet = Raw::open(address, "/ws");
    for (subscriber, _, _) in &mut subscribers {
        subscriber.frame().expect("the market");
    }
    // One that is in the middle of its request, one that reads nothing and never says goodbye.
    let mut halting = Raw::connect(address);
    halting.send(b"GET / HT");
    let _stubborn = Raw::open(address, "/ws/btcusdt@trade");

    let interrupted_at = Instant::now();
    program.interrupt();
    for (subscriber, digits, is_wrapped) in &mut subscribers {
        let frames = subscriber.frames_to_end();
        let (_, text) = before_goodbye(&frames);
        let time = shutdown_time(text).expect("just checked").to_string();
        assert_eq!(time.len(), *digits, "{text}");
        assert_eq!(text.starts_with(r#"{"stream":"#), *is_wrapped, "{text}");
    }
    assert!(before_goodbye(&quiet.frames_to_end()).0.is_empty());
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
        let (events, _) = before_goodbye(&frames);
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
    // The close is on its way before the new history's snapshot is known.
    let until = std::time::Instant::now() + IN_TIME;
    while http_get(address, "/api/v3/depth?symbol=BTCUSDT").0 != 200 {
        assert!(std::time::Instant::now() < until, "no book in the new history");
        std::thread::sleep(Duration::from_millis(5));
    }
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
    before_goodbye(&subscriber.frames_to_end());
    drop(subscriber);
    let ended = program.ended(IN_TIME);
    assert!(ended.stdout.contains("the market stands still"), "{ended:?}");
    assert_eq!(ended.code, Some(0));
}

/// Whoever is upgraded in the very turn in which the engine ends gets the answer to the upgrade before the goodbye, or is
/// turned away, or gets nothing at all; never a frame where the answer should be.
#[test]
fn an_end_right_behind_a_handshake_does_not_lose_the_answer() {
    const ROUNDS: usize = 20;
    const CONNECTIONS: usize = 50;
    let scratch = Scratch::new();
    let path = scratch.write("capture", trades(10).as_str());
    let request = upgrade_request("/ws/btcusdt@trade", "");
    let mut answered = 0;
    for round in 0..ROUNDS {
        let engine = start(settings(&path, "start=100000"));
        let address = engine.address();
        let mut sockets: Vec<TcpStream> = (0..CONNECTIONS)
            .map(|_| TcpStream::connect(address).expect("the engine takes connections"))
            .collect();
        let ending = std::thread::spawn(move || {
            // At another moment of the handshakes in each round.
            std::thread::sleep(Duration::from_micros(100 * (round * round) as u64));
            engine.stop(true);
        });
        for socket in &mut sockets {
            // An engine that has ended before takes nothing any more.
            let _ = socket.write_all(request.as_bytes());
        }
        for mut socket in sockets {
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
            let mut got = Vec::new();
            if let Err(error) = socket.read_to_end(&mut got) {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            }
            if got.is_empty() {
                continue;
            }
            let text = String::from_utf8_lossy(&got);
            if text.starts_with("HTTP/1.1 503 ") {
                assert!(
                    text.ends_with("the engine is ending: try again in 5 s\n"),
                    "{text:?}"
                );
                continue;
            }
            answered += 1;
            assert!(text.starts_with("HTTP/1.1 101 "), "{text:?}");
            let (_, frames) = text.split_once("\r\n\r\n").expect("a whole answer");
            assert!(frames.contains(r#"{"e":"serverShutdown","E":"#), "{frames:?}");
            assert!(frames.ends_with("the engine is ending"), "{frames:?}");
        }
        ending.join().expect("the engine's end");
    }
    assert!(answered > 0, "the ends came before all handshakes");
}
