//! The exchange is stopped, killed and started again under a thousand subscribers: no book is ever crossed, no event is
//! missed without a word, and everybody is back with the right book.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use depthcast::engine::Engine;

use super::book::{Book, get};
use super::common::program::{Program, feed_sim};
use super::common::raw::{Raw, opcode};
use super::start;

/// Subscribers, each of one symbol.
const SUBSCRIBERS: usize = 1000;

/// Symbols of the exchange.
const SYMBOLS: usize = 20;

/// How long everybody may take to have done something on a slow and busy machine.
const EVERYBODY_MAX: Duration = Duration::from_secs(60);

/// Stack of a subscriber's thread: a thousand of them are cheap.
const STACK_BYTES: usize = 256 * 1024;

/// What one subscriber has seen.
#[derive(Default)]
struct Seen {
    /// The history that it is in.
    epoch: AtomicU64,
    /// Depth events applied in it.
    updates: AtomicU64,
    /// Snapshots that it began with.
    snapshots: AtomicUsize,
    /// Its book.
    book: Mutex<Book>,
    /// The engine has said goodbye for good.
    is_done: AtomicBool,
}

/// Subscribes until the engine ends, and again whenever a new history begins.
fn subscribe(address: SocketAddr, target: &str, seen: &Seen) {
    while !seen.is_done.load(Ordering::Relaxed) {
        let mut raw = Raw::open(address, target);
        follow(&mut raw, seen);
    }
}

/// Keeps the book of one connection to its Close. A gap or a crossed book panics, and so does an end without a Close.
fn follow(raw: &mut Raw, seen: &Seen) {
    let mut is_begun = false;
    loop {
        let frame = raw.frame().expect("a close before the end");
        if frame.opcode == opcode::CLOSE {
            let (code, reason) = frame.close().expect("a close with a code");
            match code {
                1012 => assert!(reason.contains("began anew"), "{reason}"),
                1001 => seen.is_done.store(true, Ordering::Relaxed),
                _ => panic!("{code} {reason}"),
            }
            return;
        }
        if frame.opcode != opcode::TEXT {
            continue;
        }
        let event: serde_json::Value = serde_json::from_str(frame.text()).expect("JSON");
        if event["e"] == "serverShutdown" {
            continue;
        }
        let mut book = seen.book.lock().expect("nobody panics with it");
        if is_begun {
            book.apply(&event);
            seen.updates.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(event["e"], "depthSnapshot", "{event}");
            is_begun = true;
            *book = Book::of_snapshot(&event);
            seen.updates.store(0, Ordering::Relaxed);
            seen.snapshots.fetch_add(1, Ordering::Relaxed);
            seen.epoch
                .store(event["ep"].as_u64().expect("an epoch"), Ordering::Relaxed);
        }
    }
}

/// Waits until all subscribers are as wanted. One that has panicked never is.
fn everybody(seen: &[Arc<Seen>], what: &str, wanted: impl Fn(&Seen) -> bool) {
    let until = Instant::now() + EVERYBODY_MAX;
    loop {
        let missing = seen.iter().filter(|seen| !wanted(seen)).count();
        if missing == 0 {
            return;
        }
        assert!(
            Instant::now() < until,
            "{missing} of {} have not {what}",
            seen.len()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn updates(seen: &[Arc<Seen>]) -> Vec<u64> {
    seen.iter()
        .map(|seen| seen.updates.load(Ordering::Relaxed))
        .collect()
}

/// Waits until everybody has had some more updates.
fn everybody_goes_on(seen: &[Arc<Seen>]) {
    let before: Vec<(Arc<Seen>, u64)> = seen.iter().cloned().zip(updates(seen)).collect();
    let until = Instant::now() + EVERYBODY_MAX;
    while let Some((_, before)) = before
        .iter()
        .find(|(seen, before)| seen.updates.load(Ordering::Relaxed) < before + 3)
    {
        assert!(Instant::now() < until, "one stands at {before} updates");
        thread::sleep(Duration::from_millis(20));
    }
}

fn rest_depth(engine: &Engine, symbol: &str) -> (u16, serde_json::Value) {
    get(
        engine.address(),
        &format!("/api/v3/depth?symbol={symbol}&limit=5000"),
    )
}

/// Waits until REST answers for a symbol with this status.
fn wait_for_status(engine: &Engine, symbol: &str, status: u16) {
    let until = Instant::now() + EVERYBODY_MAX;
    while rest_depth(engine, symbol).0 != status {
        assert!(Instant::now() < until, "REST does not answer {status}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn exchange(listen: &str) -> Program {
    let rate = ["--symbols", "20", "--rate", "20..60", "--seed", "11"];
    Program::spawn(feed_sim().args(["serve", "--listen", listen]).args(rate))
}

#[test]
fn a_killed_exchange_leaves_no_wrong_book_among_a_thousand_subscribers() {
    let mut feed = exchange("127.0.0.1:0");
    let feed_address = feed.address().to_string();
    let engine = start(&format!("tcp://{feed_address}"));
    let names: Vec<String> = engine
        .symbols()
        .iter()
        .map(|s| s.instrument.name().to_string())
        .collect();
    assert_eq!(names.len(), SYMBOLS);
    let address = engine.address();
    let mut seen = Vec::new();
    let mut threads = Vec::new();
    for number in 0..SUBSCRIBERS {
        let mine = Arc::new(Seen::default());
        seen.push(mine.clone());
        let cadence = ["100ms", "100ms", "100ms", "250ms", "1000ms"][number / SYMBOLS % 5];
        let name = names[number % SYMBOLS].to_lowercase();
        let target = format!("/ws/{name}@depth@{cadence}?snapshot=1");
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        threads.push(
            thread
                .spawn(move || subscribe(address, &target, &mine))
                .expect("a thread"),
        );
    }
    everybody(&seen, "begun", |seen| seen.updates.load(Ordering::Relaxed) >= 2);
    let epoch = seen[0].epoch.load(Ordering::Relaxed);
    everybody(&seen, "begun in the same history", |seen| {
        seen.epoch.load(Ordering::Relaxed) == epoch
    });

    // Stopped for long enough that the engine gives the link up, then let go on: the same history, healed.
    feed.signal("STOP");
    wait_for_status(&engine, &names[0], 503);
    let standing = updates(&seen);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(updates(&seen), standing, "nothing is told of a stale book");
    feed.signal("CONT");
    wait_for_status(&engine, &names[0], 200);
    everybody_goes_on(&seen);
    everybody(&seen, "stayed", |seen| {
        seen.snapshots.load(Ordering::Relaxed) == 1
    });

    // Killed and started again, as another history.
    drop(feed);
    wait_for_status(&engine, &names[0], 503);
    feed = exchange(&feed_address);
    everybody(&seen, "begun anew", |seen| {
        seen.snapshots.load(Ordering::Relaxed) == 2 && seen.epoch.load(Ordering::Relaxed) != epoch
    });
    everybody_goes_on(&seen);

    // Stopped for less than the link bears: the last ticks come, and all books are the market's.
    feed.signal("STOP");
    for (number, name) in names.iter().enumerate() {
        let of_symbol = || seen.iter().skip(number).step_by(SYMBOLS);
        let is_equal = |rest: &Book| of_symbol().all(|seen| *seen.book.lock().expect("no panic") == *rest);
        let until = Instant::now() + EVERYBODY_MAX;
        loop {
            let (status, rest) = rest_depth(&engine, name);
            if status == 200 && is_equal(&Book::of_snapshot(&rest)) {
                break;
            }
            assert!(
                Instant::now() < until,
                "{name}: a subscriber's book is not the market's"
            );
            // The link was lost before everybody was looked at: once more.
            feed.signal("CONT");
            thread::sleep(Duration::from_millis(200));
            feed.signal("STOP");
            thread::sleep(Duration::from_millis(1300));
        }
    }
    feed.signal("CONT");
    engine.stop(false);
    for thread in threads {
        thread
            .join()
            .expect("no subscriber saw a gap, a crossed book or an end without a close");
    }
}
