//! How a replay behaves around its events: its beginning, its end, its pace, and those who are slow or change their mind.

pub mod common;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::capture_file::CaptureText;
use common::expected::merged_events;
use common::goodbye::{ENDING, shutdown_time};
use common::market::{DepthJson, Kind, capture, recorded};
use common::raw::{PATIENCE, http_get, settings, start};
use common::scratch::Scratch;
use common::subscriber::{Message, Subscriber, subscription};
use crossbeam_channel::TryRecvError;
use depthcast::config::Settings;
use depthcast::reactor::feed::FeedEnd;
use depthcast::session::EndCause;
use socket2::{Domain, Socket, Type};

/// A socket buffer that holds few frames, so that a reader's pace is felt at the other end.
const SMALL_BUFFER: usize = 64 * 1024;

/// What an engine keeps for those who are slow: more than sockets take at a time, so that a slow reader is never caught up.
const RETENTION_BYTES: usize = 1 << 20;

/// Lines of the recording that a short capture has: some twelve seconds.
const SHORT_LINES: usize = 1_500;

/// The quiet time at the beginning of a short capture: who comes late to an epoch misses nothing else.
const QUIET: Duration = Duration::from_secs(20);

/// The speed at which that quiet time takes one second.
const SHORT_SPEED: u32 = 20;

/// A trade, a quiet time of whole seconds, and then the first part of the recording.
fn short_capture(scratch: &Scratch) -> PathBuf {
    let lines = &recorded().lines[..SHORT_LINES];
    let first_trade = lines
        .iter()
        .find(|line| line.kind == Kind::Trade)
        .expect("a trade");
    let begin_ns = lines[0].at_ns - u64::try_from(QUIET.as_nanos()).expect("it fits");
    let mut text = format!("{begin_ns} {}\n", first_trade.frame);
    for line in lines {
        text += &format!("{} {}\n", line.at_ns, line.frame);
    }
    scratch.write("short.capture", text)
}

/// Everything up to the close, which has to tell of a new epoch. One that comes before anything else is of the epoch
/// before, by a worker that had not heard of it yet.
fn read_epoch(address: SocketAddr, target: &str) -> Vec<Vec<u8>> {
    loop {
        let mut subscriber = Subscriber::open(address, target);
        let mut messages = Vec::new();
        loop {
            match subscriber.message() {
                Message::Text(text) => messages.push(text.as_bytes().to_vec()),
                Message::Binary(bytes) => messages.push(bytes.to_vec()),
                Message::Close(code, reason) => {
                    assert_eq!(code, 1012, "{reason}");
                    break;
                }
            }
        }
        if !messages.is_empty() {
            return messages;
        }
    }
}

#[test]
fn a_looped_capture_is_the_same_in_each_epoch() {
    let targets = [
        "/ws/btcusdt@depth@100ms",
        "/stream?streams=btcusdt@depth@1000ms/btcusdt@bookTicker/btcusdt@depth10@250ms",
        "/sbe/ws/btcusdt@depth@500ms/btcusdt@bestBidAsk/btcusdt@depth20",
    ];
    let scratch = Scratch::new();
    let how = format!("speed={SHORT_SPEED}&start={}&end=loop", targets.len());
    let engine = start(settings(&short_capture(&scratch), &how));
    let address = engine.address();
    let epochs: Vec<[Vec<Vec<u8>>; 2]> = thread::scope(|scope| {
        let reading =
            targets.map(|target| scope.spawn(move || [(); 2].map(|()| read_epoch(address, target))));
        reading
            .map(|thread| thread.join().expect("a subscriber's thread"))
            .into()
    });
    for (target, [first, second]) in targets.iter().zip(&epochs) {
        assert!(
            first == second,
            "{target}: {} and {} messages",
            first.len(),
            second.len()
        );
    }

    let recorded = recorded();
    let played = recorded
        .updates
        .partition_point(|update| update.line < SHORT_LINES);
    let updates = &recorded.updates[..played];
    let texts = |epoch: &[Vec<u8>]| -> Vec<String> {
        let text = |message: &Vec<u8>| String::from_utf8(message.clone()).expect("text");
        epoch.iter().map(text).collect()
    };
    let payloads = |period| -> Vec<String> {
        let events = merged_events(period, updates).into_iter();
        events.map(|event| event.json).collect()
    };
    assert_eq!(texts(&epochs[0][0]), payloads(100));
    let prefix = r#"{"stream":"btcusdt@depth@1000ms","data":"#;
    let slow: Vec<String> = texts(&epochs[1][0])
        .iter()
        .filter_map(|text| text.strip_prefix(prefix)?.strip_suffix('}').map(str::to_string))
        .collect();
    // Its last event comes at a tick after the last line.
    assert_eq!(slow, payloads(1000));
}

/// Panics when something arrives within some time.
fn assert_silent(subscriber: &mut Subscriber) {
    let message = subscriber.message_within(Duration::from_millis(150));
    assert_eq!(message, None, "before there are enough subscribers");
}

#[test]
fn nothing_is_played_before_there_are_enough_subscribers() {
    let engine = start(settings(&capture(), "speed=max&start=3"));
    let address = engine.address();
    let mut first = Subscriber::open(address, "/ws/btcusdt@trade");
    // Connections are no subscribers until they subscribe to something.
    let mut idle: Vec<Subscriber> = (0..3).map(|_| Subscriber::open(address, "/ws")).collect();
    let leaving = Subscriber::open(address, "/stream?streams=btcusdt@trade");
    assert_silent(&mut first);
    drop(leaving);
    // Its worker has to have seen it go: else the next one would be the third.
    let until = Instant::now() + Duration::from_secs(20);
    while engine.counters().totals().subscribers != 1 {
        assert!(Instant::now() < until, "who has left is still counted");
        thread::sleep(Duration::from_millis(1));
    }
    let mut second = Subscriber::open(address, "/sbe/ws/btcusdt@depth");
    assert_silent(&mut second);
    assert_silent(&mut first);
    idle.iter_mut().for_each(assert_silent);
    let (status, body) = http_get(address, "/api/v3/depth?symbol=BTCUSDT");
    assert_eq!(status, 503, "{body}");
    // The third is one of those that were there.
    idle[0].subscribe(&["btcusdt@depth@100ms"]);
    let recorded = recorded();
    let trade = recorded.payloads(Kind::Trade).next().expect("a trade");
    assert_eq!(first.message().text(), trade);
    let update = recorded.lines[recorded.updates[0].line].payload();
    assert_eq!(idle[0].message().text(), update);
    assert!(matches!(second.message(), Message::Binary(_)));
}

/// A subscriber whose socket takes little ahead of its reading.
fn open_small(address: SocketAddr, target: &str) -> Subscriber {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(SMALL_BUFFER)
        .expect("a socket option");
    socket
        .connect(&address.into())
        .expect("the engine takes connections");
    Subscriber::over(TcpStream::from(socket), target)
}

/// Settings of a replay at full speed that calls a subscriber slow that takes nothing for half a second.
fn impatient(path: &Path) -> Settings {
    Settings {
        retention_bytes: Some(RETENTION_BYTES),
        send_buffer: Some(SMALL_BUFFER),
        lag_ms: Some(500),
        ..settings(path, "speed=max&start=1")
    }
}

/// Reads 200 KB in the course of a second.
fn read_slowly(subscriber: &mut Subscriber) {
    for _ in 0..20 {
        subscriber.read_ahead(10_000);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_slow_reader_loses_nothing_of_a_replay_at_full_speed() {
    let engine = start(impatient(&capture()));
    let target = "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade";
    let mut subscriber = open_small(engine.address(), target);
    read_slowly(&mut subscriber);
    for (_, line) in recorded().published() {
        assert_eq!(subscriber.message().text(), line.frame);
    }
    assert_eq!(engine.feed_end().recv_timeout(PATIENCE), Ok(FeedEnd::Hold));
}

/// More trades than the mailboxes on the way to a subscriber hold.
const TRADES: u64 = 200_000;

fn trades_capture(scratch: &Scratch) -> PathBuf {
    let mut text = CaptureText::new();
    for _ in 0..TRADES {
        text.wait_ms(1).trade("BTCUSDT");
    }
    scratch.write("trades.capture", text.as_str())
}

#[test]
fn a_replay_at_full_speed_waits_for_a_slow_reader() {
    let scratch = Scratch::new();
    let engine = start(impatient(&trades_capture(&scratch)));
    let mut subscriber = open_small(engine.address(), "/ws/btcusdt@trade");
    for _ in 0..3 {
        read_slowly(&mut subscriber);
        assert_eq!(
            engine.feed_end().try_recv(),
            Err(TryRecvError::Empty),
            "the feed waits"
        );
    }
    for id in 1..=TRADES {
        let text = subscriber.message().text();
        assert!(
            text.contains(&format!(r#","t":{id},"#)),
            "trade {id} is not {text}"
        );
    }
    assert_eq!(engine.feed_end().recv_timeout(PATIENCE), Ok(FeedEnd::Hold));
}

#[test]
fn one_who_takes_nothing_does_not_hold_up_a_replay_for_good() {
    let scratch = Scratch::new();
    let engine = start(impatient(&trades_capture(&scratch)));
    let _silent = open_small(engine.address(), "/ws/btcusdt@trade");
    assert_eq!(engine.feed_end().recv_timeout(PATIENCE), Ok(FeedEnd::Hold));
    assert_eq!(engine.counters().ended(EndCause::SlowConsumer), 1);
}

/// Reads one depth event and gives its ids.
fn depth_ids(subscriber: &mut Subscriber) -> (u64, u64) {
    let event: DepthJson<'_> = serde_json::from_str(subscriber.message().text()).expect("a depth event");
    (event.first_id, event.last_id)
}

#[test]
fn a_stream_can_be_left_and_taken_again_in_one_piece() {
    let name = "btcusdt@depth@10ms";
    let requests = [
        subscription("UNSUBSCRIBE", &[name], 2),
        subscription("SUBSCRIBE", &[name], 3),
    ];
    let mut settings = settings(&capture(), "speed=20&start=1");
    settings.messages_per_second = Some(0);
    let engine = start(settings);
    let mut subscriber = Subscriber::open(engine.address(), &format!("/ws/{name}"));
    let mut next_id = None;
    for _ in 0..5 {
        for _ in 0..5 {
            let (first_id, last_id) = depth_ids(&mut subscriber);
            assert!(
                next_id.is_none_or(|next_id| first_id == next_id),
                "a gap before {first_id}"
            );
            next_id = Some(last_id + 1);
        }
        subscriber.request(&[&requests[0], &requests[1]]);
        let mut reply = subscriber.message().text().to_string();
        while reply != r#"{"result":null,"id":2}"# {
            assert!(reply.starts_with(r#"{"e":"depthUpdate""#), "{reply}");
            reply = subscriber.message().text().to_string();
        }
        assert_eq!(subscriber.message().text(), r#"{"result":null,"id":3}"#);
        // What the engine had on its way for the stream that was left is gone.
        next_id = None;
    }
}

#[test]
fn an_engine_that_ends_at_once_closes_with_a_reason() {
    let engine = start(settings(&capture(), "speed=1&start=2"));
    let mut subscriber = Subscriber::open(engine.address(), "/ws/btcusdt@trade");
    let address = engine.address();
    engine.stop(true);
    let announced = shutdown_time(subscriber.message().text());
    assert!(announced.is_some(), "an event before the close");
    assert_eq!(subscriber.message(), Message::Close(ENDING.0, ENDING.1));
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
