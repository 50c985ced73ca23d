//! The recorded market at its own pace: frames come when they were received, as far as a busy machine lets them.

pub mod common;

use std::time::{Duration, Instant};

use common::market::{capture, recorded};
use common::raw::{settings, start};
use common::subscriber::{Subscriber, rest_book};

/// How much of the recording is played.
const PLAYED: Duration = Duration::from_secs(5);

/// How late a frame may come on a machine that is busy with other things.
const LATE_MAX: Duration = Duration::from_millis(250);

/// How late most frames may come.
const LATE_MEDIAN_MAX: Duration = Duration::from_millis(20);

#[test]
fn frames_come_at_their_recorded_times() {
    let recorded = recorded();
    let begin_ns = recorded.lines[0].at_ns;
    let due = |at_ns: u64| Duration::from_nanos(at_ns - begin_ns);
    let engine = start(settings(&capture(), "speed=1&start=1"));
    let asked_at = Instant::now();
    let mut subscriber = Subscriber::open(
        engine.address(),
        "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade",
    );
    let mut arrivals = Vec::new();
    for (place, line) in recorded.published() {
        let due = due(recorded.lines[place].at_ns);
        if due > PLAYED {
            break;
        }
        assert_eq!(subscriber.message().text(), line.frame);
        arrivals.push((asked_at.elapsed(), due));
    }
    assert!(arrivals.len() > 300, "{} frames in {PLAYED:?}", arrivals.len());

    // The replay began within a few milliseconds of the subscription; the frame that was least late tells when.
    let began = arrivals
        .iter()
        .map(|(arrival, due)| arrival.saturating_sub(*due))
        .min()
        .expect("some frames");
    assert!(began < LATE_MAX, "the replay began after {began:?}");
    let early = arrivals.iter().find(|(arrival, due)| arrival < due);
    assert_eq!(early, None, "a frame came before it was due");
    let mut late: Vec<Duration> = arrivals
        .iter()
        .map(|(arrival, due)| *arrival - *due - began)
        .collect();
    late.sort_unstable();
    let (median, last) = (late[late.len() / 2], late[late.len() - 1]);
    println!(
        "{} frames; late by {median:?} in the median, {last:?} at most",
        late.len()
    );
    assert!(
        median < LATE_MEDIAN_MAX && last < LATE_MAX,
        "median {median:?}, worst {last:?}"
    );

    // The market stands where its last event left it.
    rest_book(engine.address(), |book| {
        assert!(book.last_id > recorded.snapshot_id && book.last_id < recorded.final_id());
    })
    .expect("a book");
}
