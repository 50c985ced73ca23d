//! The recorded market through an engine at full speed: what subscribers get is what was recorded, byte for byte.

pub mod common;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use common::goodbye::shutdown_time;
use common::market::{Kind, Line, capture, recorded};
use common::raw::{settings, start};
use common::replay::{Done, REPLAY_PATIENCE, to_the_end};
use common::subscriber::{Message, Subscriber};
use depthcast::reactor::feed::FeedEnd;

const STREAMS: [(Kind, &str); 3] = [
    (Kind::Depth, "btcusdt@depth@100ms"),
    (Kind::BookTicker, "btcusdt@bookTicker"),
    (Kind::Trade, "btcusdt@trade"),
];

/// One subscriber: its URL, what it subscribes to by message, and whether events come wrapped.
struct Way {
    kinds: Vec<Kind>,
    target: String,
    by_message: Vec<&'static str>,
    combined: bool,
}

/// Each stream alone and all three together, raw and combined, by URL and by message.
fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for (kind, name) in STREAMS {
        let ways_of_one = [
            (format!("/ws/{name}"), vec![], false),
            (format!("/stream?streams={name}"), vec![], true),
            ("/ws".to_string(), vec![name], false),
            ("/stream".to_string(), vec![name], true),
        ];
        ways.extend(ways_of_one.map(|(target, by_message, combined)| Way {
            kinds: vec![kind],
            target,
            by_message,
            combined,
        }));
    }
    let names = STREAMS.map(|(_, name)| name);
    let joined = names.join("/");
    let ways_of_all = [
        (format!("/stream?streams={joined}"), vec![], true),
        (format!("/ws/{joined}"), vec![], false),
        ("/stream".to_string(), names.to_vec(), true),
    ];
    ways.extend(ways_of_all.map(|(target, by_message, combined)| Way {
        kinds: STREAMS.map(|(kind, _)| kind).to_vec(),
        target,
        by_message,
        combined,
    }));
    ways
}

/// Reads until the engine's goodbye and gives how many events came, each of which was the recorded one.
fn follow(address: SocketAddr, way: &Way, done: Done) -> usize {
    let published = recorded().published();
    let expected: Vec<&Line> = published
        .into_iter()
        .map(|(_, line)| line)
        .filter(|line| way.kinds.contains(&line.kind))
        .collect();
    let mut subscriber = Subscriber::open(address, &way.target);
    if !way.by_message.is_empty() {
        subscriber.subscribe(&way.by_message);
    }
    for (place, line) in expected.iter().enumerate() {
        let text = if way.combined { &line.frame } else { line.payload() };
        assert_eq!(
            subscriber.message().text(),
            text,
            "event {place} of {}",
            way.target
        );
    }
    done.and_goodbye(&mut subscriber, |message| panic!("{message:?} was not recorded"));
    expected.len()
}

#[test]
fn every_recorded_frame_reaches_every_kind_of_subscriber() {
    let ways = ways();
    let engine = start(settings(&capture(), &format!("speed=max&start={}", ways.len())));
    let counts = to_the_end(engine, &ways, follow);
    let (depth, tickers, trades) = (3_449, 28_040, 9_757);
    let all = depth + tickers + trades;
    let expected = [[depth; 4], [tickers; 4], [trades; 4]].concat();
    assert_eq!(counts, [expected, vec![all; 3]].concat());
}

/// A subscriber that was there from the first event loses nothing to an engine that ends right behind the last one.
#[test]
fn an_engine_that_ends_with_its_capture_says_everything_first() {
    let engine = start(settings(&capture(), "speed=max&start=1&end=exit"));
    let mut subscriber = Subscriber::open(engine.address(), "/ws/btcusdt@depth@100ms/btcusdt@depth20");
    let (closed, result) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut last = [None, None].map(|_: Option<()>| String::new());
        loop {
            match subscriber.message() {
                Message::Text(text) if shutdown_time(text).is_some() => {
                    let Message::Close(code, _) = subscriber.message() else {
                        panic!("no close behind its announcement");
                    };
                    closed.send(code).expect("the test is waiting");
                    return last;
                }
                Message::Text(text) => {
                    let place = usize::from(text.starts_with(r#"{"lastUpdateId""#));
                    last[place] = text.to_string();
                }
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(engine.feed_end().recv_timeout(REPLAY_PATIENCE), Ok(FeedEnd::Exit));
    engine.stop(false);
    assert_eq!(result.recv_timeout(REPLAY_PATIENCE), Ok(1001));
    let [depth, partial] = reading.join().expect("the subscriber's thread");
    let recorded = recorded();
    let last_line = recorded.payloads(Kind::Depth).last().expect("a depth event");
    assert_eq!(depth, last_line);
    let last_state = recorded.state(recorded.final_id());
    assert_eq!(partial, common::expected::partial_json(last_state, 20));
}
