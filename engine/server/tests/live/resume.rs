//! The client in Rust, whose connection to a real engine is cut: its book goes on without a snapshot where that is right, and
//! is the engine's book.

use std::time::{Duration, Instant};

use depthcast::engine::Engine;
use depthcast_client::{BookOrigin, Event, Subscriber, SubscriberOptions, Update};
use depthcast_market::event::BookSnapshot;
use depthcast_wire::json::encode::partial_depth;
use depthcast_wire::stream::{Cadence, SymbolName};
use depthcast_wire::target::Format;

use super::book::{Book, get};
use super::common::program::{Program, depthcast};
use super::common::raw::{PATIENCE, Raw, upgrade_request};
use super::common::scratch::Scratch;
use super::proxy::Proxy;
use super::start;

const FEED: &str = "sim:?symbols=2&rate=100&seed=9";

/// Time for some updates of every cadence here, and longer than any.
const SOME_UPDATES: Duration = Duration::from_millis(400);

const DEPTH: &str = "/api/v3/depth";
const BOTH: [Format; 2] = [Format::Json, Format::Sbe];

/// An engine whose workers know its epoch: those who come before get no number, and resume nothing later.
fn start_numbered(feed: &str) -> Engine {
    let engine = start(feed);
    let begun = Instant::now();
    let mut numbered = 0;
    // Any worker may answer, and each is told for itself.
    while numbered < 20 {
        let mut raw = Raw::connect(engine.address());
        raw.send(upgrade_request("/ws", "").as_bytes());
        numbered += u32::from(raw.http_head().contains("Depthcast-Epoch: "));
        assert!(begun.elapsed() < PATIENCE, "no epoch");
    }
    engine
}

fn subscribe(engine: &Engine, proxy: &Proxy, format: Format, cadence: Cadence) -> Subscriber {
    let url = format!("ws://{}", proxy.address()).parse().expect("a URL");
    let symbol = SymbolName::new(engine.symbols()[0].instrument.name()).expect("a symbol");
    let mut options = SubscriberOptions::new(url, symbol);
    options.format = format;
    options.cadence = Some(cadence);
    options.timing.reconnect_delay_base = Duration::from_millis(50);
    Subscriber::connect(options).expect("a connection")
}

/// The next event that is wanted. No error may come before.
fn until<T>(subscriber: &mut Subscriber, mut wanted: impl FnMut(&Subscriber, &Event) -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let event = subscriber.next(Duration::from_millis(20)).expect("no fault");
        if let Some(found) = event.and_then(|event| wanted(subscriber, &event)) {
            return found;
        }
    }
    panic!("nothing of the kind within {PATIENCE:?}")
}

fn until_synced(subscriber: &mut Subscriber) -> BookOrigin {
    until(subscriber, |_, event| match event {
        Event::Synced { origin, .. } => Some(*origin),
        _ => None,
    })
}

/// Some updates go by.
fn follow(subscriber: &mut Subscriber) {
    let mut updates = 0;
    until(subscriber, |_, event| {
        updates += u32::from(matches!(event, Event::Update(_)));
        (updates == 20).then_some(())
    });
}

/// Cuts the connection, and stays away for a while; the id at which the book stood.
fn lose(subscriber: &mut Subscriber, proxy: &Proxy) -> u64 {
    proxy.cut();
    until(subscriber, |_, event| {
        matches!(event, Event::Reconnecting { .. }).then_some(())
    });
    // Longer than any cadence here: the ids that are missed are not all in one window of the stream.
    std::thread::sleep(SOME_UPDATES);
    subscriber.book().last_id()
}

/// Panics unless the subscriber's book is the engine's, level by level, at an id of both.
fn assert_is_the_engines(subscriber: &mut Subscriber, engine: &Engine) {
    let instrument = subscriber.instrument().expect("its precision").clone();
    let (status, rest) = get(
        engine.address(),
        &format!("{DEPTH}?symbol={}&limit=5000", instrument.name()),
    );
    assert_eq!(status, 200);
    let rest = Book::of_snapshot(&rest);
    while subscriber.book().last_id() < rest.id {
        until(subscriber, |_, event| {
            matches!(event, Event::Update(_)).then_some(())
        });
    }
    let (mut snapshot, mut text) = (BookSnapshot::default(), Vec::new());
    subscriber.book().snapshot(5000, &mut snapshot);
    partial_depth(&mut text, &instrument, &snapshot);
    let ours = Book::of_snapshot(&serde_json::from_slice(&text).expect("JSON"));
    assert!(rest.levels() > 10);
    assert_eq!(ours, rest);
}

#[test]
fn a_cut_connection_goes_on_without_a_snapshot() {
    let engine = start_numbered(FEED);
    for format in BOTH {
        let proxy = Proxy::start(engine.address(), false);
        let mut subscriber = subscribe(&engine, &proxy, format, Cadence::Ms0);
        assert!(matches!(
            until_synced(&mut subscriber),
            BookOrigin::Fetched { .. }
        ));
        follow(&mut subscriber);
        assert_is_the_engines(&mut subscriber, &engine);
        let asked = proxy.targets(DEPTH).len();
        for round in 1..=3 {
            let after_id = lose(&mut subscriber, &proxy);
            let first: Update = until(&mut subscriber, |_, event| match event {
                Event::Update(update) => Some(*update),
                _ => None,
            });
            assert_eq!(first.first_id, after_id + 1);
            assert!(
                first.last_id > first.first_id + 10,
                "what was missed, as one: {first:?}"
            );
            assert_eq!(until_synced(&mut subscriber), BookOrigin::Resumed { after_id });
            follow(&mut subscriber);
            assert_is_the_engines(&mut subscriber, &engine);
            let counters = subscriber.counters();
            assert_eq!((counters.resumed, counters.resyncs, counters.gaps), (round, 0, 0));
        }
        assert_eq!(
            proxy.targets(DEPTH).len(),
            asked,
            "no snapshot was asked for, {format:?}"
        );
        let asked = proxy.targets(match format {
            Format::Json => "/ws/",
            Format::Sbe => "/sbe/ws/",
        });
        let resumes = asked.iter().filter(|target| target.contains("resume="));
        assert_eq!((asked.len(), resumes.count()), (4, 3), "{asked:?}");
    }
}

#[test]
fn a_stream_that_ticks_goes_on_too() {
    let engine = start_numbered(FEED);
    for format in BOTH {
        let proxy = Proxy::start(engine.address(), false);
        let mut subscriber = subscribe(&engine, &proxy, format, Cadence::Ms100);
        until_synced(&mut subscriber);
        follow(&mut subscriber);
        let asked = proxy.targets(DEPTH).len();
        let after_id = lose(&mut subscriber, &proxy);
        assert_eq!(until_synced(&mut subscriber), BookOrigin::Resumed { after_id });
        follow(&mut subscriber);
        assert_eq!(subscriber.counters().gaps, 0);
        assert_eq!(proxy.targets(DEPTH).len(), asked);
    }
}

#[test]
fn another_epoch_brings_its_own_book() {
    let engine = start_numbered(FEED);
    let other = start_numbered("sim:?symbols=2&rate=100&seed=10");
    for format in BOTH {
        let proxy = Proxy::start(engine.address(), false);
        let mut subscriber = subscribe(&engine, &proxy, format, Cadence::Ms0);
        until_synced(&mut subscriber);
        follow(&mut subscriber);
        let asked = proxy.targets(DEPTH).len();
        proxy.lead_to(other.address());
        lose(&mut subscriber, &proxy);
        assert_eq!(until_synced(&mut subscriber), BookOrigin::Streamed);
        follow(&mut subscriber);
        assert_is_the_engines(&mut subscriber, &other);
        let counters = subscriber.counters();
        assert_eq!((counters.resumed, counters.resyncs, counters.gaps), (0, 1, 0));
        assert_eq!(proxy.targets(DEPTH).len(), asked, "{format:?}");
    }
}

#[test]
fn a_server_that_does_not_number_its_history_is_asked_over_rest() {
    let engine = start_numbered(FEED);
    let proxy = Proxy::start(engine.address(), true);
    let mut subscriber = subscribe(&engine, &proxy, Format::Sbe, Cadence::Ms0);
    until_synced(&mut subscriber);
    follow(&mut subscriber);
    let asked = proxy.targets(DEPTH).len();
    lose(&mut subscriber, &proxy);
    assert!(matches!(
        until_synced(&mut subscriber),
        BookOrigin::Fetched { .. }
    ));
    follow(&mut subscriber);
    assert_is_the_engines(&mut subscriber, &engine);
    assert!(proxy.targets(DEPTH).len() > asked);
    let asked = proxy.targets("/sbe/ws/");
    assert!(
        asked.iter().all(|target| !target.contains("resume=")),
        "{asked:?}"
    );
    assert_eq!(subscriber.counters().resumed, 0);
}

#[test]
fn watch_says_that_it_resumed_and_records_one_history() {
    let engine = start_numbered(FEED);
    let other = start_numbered("sim:?symbols=2&rate=100&seed=10");
    let proxy = Proxy::start(engine.address(), false);
    let scratch = Scratch::new();
    let file = scratch.path().join("resumed.capture");
    let mut command = depthcast();
    let url = format!("ws://{}", proxy.address());
    let symbol = engine.symbols()[0].instrument.name();
    command
        .args(["watch", symbol, "--url", &url, "--plain", "--record"])
        .arg(&file);
    let program = Program::spawn(&mut command);
    program.stdout_line(|line| line.starts_with("in step at id ") && line.contains(" snapshot"));
    std::thread::sleep(SOME_UPDATES);
    proxy.cut();
    program.stdout_line(|line| line.starts_with("in step at id ") && line.contains(", resumed at id "));
    std::thread::sleep(SOME_UPDATES);
    proxy.lead_to(other.address());
    proxy.cut();
    program.stdout_line(|line| line.ends_with(" after a new snapshot from the server"));
    program.stderr_line("the recording ends before that");
    program.interrupt();
    let ended = program.ended(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "  gaps                    0\n",
        "  resyncs                 1\n",
        "  reconnects              2\n",
        "  resumed                 1\n",
        "  evicted                 0\n",
    ] {
        assert!(ended.stdout.contains(part), "no {part:?} in {}", ended.stdout);
    }

    // No id is missing, over the lost connection too, and none is of the other history. The snapshot may be newer than the
    // updates before it, and then the next one continues it.
    let text = std::fs::read_to_string(&file).expect("a recording");
    let (mut covered, mut depths, mut snapshots) = (None, 0, 0);
    for line in text.lines() {
        let (_, frame) = line.split_once(' ').expect("a time and a frame");
        let event: serde_json::Value = serde_json::from_str(frame).expect("JSON");
        let (first, last) = (&event["data"]["U"], &event["data"]["u"]);
        let last = match (first.as_u64(), event["lastUpdateId"].as_u64()) {
            (Some(first), _) => {
                assert!(
                    covered.is_none_or(|id: u64| first <= id + 1),
                    "{covered:?}: {line}"
                );
                depths += 1;
                last.as_u64()
            }
            (None, Some(id)) => {
                snapshots += 1;
                Some(id)
            }
            (None, None) => continue,
        };
        covered = covered.max(last);
    }
    assert!(
        depths > 2 && snapshots > 0,
        "{depths} updates, {snapshots} snapshots"
    );
}
