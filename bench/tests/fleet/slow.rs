//! Readers that are slow on purpose, against a real engine.

use depthcast::config::Settings;
use depthcast::engine::Engine;
use depthcast::session::EndCause;
use depthcast_bench::clock::monotonic_ns;
use depthcast_bench::fleet::order::{FleetOrder, Format};
use depthcast_bench::fleet::slow::SlowPlan;

use super::{open, order, totals_when};

const STREAMS: [&str; 2] = ["btcusdt@depth@100ms", "ethusdt@depth@100ms"];

/// An engine whose sockets are full soon.
fn engine(feed: &str, settings: Settings) -> Engine {
    let settings = Settings {
        feed: vec![feed.into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        send_buffer: Some(4096),
        notsent_lowat: Some(4096),
        ..settings
    };
    Engine::start(&settings.check(2).unwrap()).unwrap()
}

/// One in ten connections reads a byte each 20 ms, one in ten stops for a second and reads for half of one.
fn slow(one_byte_per_mille: u32, pausing_per_mille: u32) -> SlowPlan {
    SlowPlan {
        one_byte_per_mille,
        one_byte_every_ms: 20,
        pausing_per_mille,
        stop_ms: 1000,
        read_ms: 500,
    }
}

fn fast_feed_order(engine: &Engine, slow: SlowPlan) -> FleetOrder {
    FleetOrder {
        slow,
        ..order(engine.address(), 50, &["bench0@fixed"], Format::Bench)
    }
}

#[test]
fn who_reads_a_byte_now_and_then_is_given_up_like_who_reads_nothing() {
    let engine = engine(
        "bench:?streams=1&hz=50&size=2048",
        Settings {
            lag_ms: Some(500),
            ..Settings::default()
        },
    );
    let mut order = fast_feed_order(&engine, slow(100, 0));
    order.stalled_per_mille = 100;
    let begun_us = monotonic_ns() / 1000;
    let mut fleet = open(&[order]).unwrap();
    let totals = totals_when(&mut fleet, |totals| {
        let slow = &totals.report.slow;
        slow.one_byte_gone_us.len() + slow.stalled_gone_us.len() == 10
    });
    let (report, slow) = (&totals.report, &totals.report.slow);
    assert_eq!((slow.one_byte_gone_us.len(), slow.stalled_gone_us.len()), (5, 5));
    assert_eq!(
        (report.open, report.stalled, slow.one_byte),
        (40, 0, 0),
        "{report:?}"
    );
    assert_eq!((report.closed_stalled, &report.first_fault), (10, &None));
    assert_eq!(engine.counters().ended(EndCause::SlowConsumer), 10);
    // Limit and grace lie behind each.
    let gone_us = slow.one_byte_gone_us.iter().chain(&slow.stalled_gone_us);
    assert!(
        gone_us.into_iter().all(|&us| us > begun_us + 1_500_000),
        "{slow:?}"
    );
    // The handshake left them little, and their own reads a byte each.
    assert!(slow.bytes < 10 * 1024 + 1_000, "{slow:?}");
    assert_eq!(
        totals.latency.as_ref().unwrap().len(),
        report.frames,
        "of the healthy alone"
    );
    assert!(fleet.end());
}

#[test]
fn who_stops_and_resumes_loses_no_frame_that_cannot_be_merged() {
    let engine = engine("bench:?streams=1&hz=50&size=2048", Settings::default());
    let mut fleet = open(&[fast_feed_order(&engine, slow(0, 100))]).unwrap();
    let totals = totals_when(&mut fleet, |totals| {
        let slow = &totals.report.slow;
        slow.resumes > 10 && slow.frames > 500
    });
    let report = totals.report;
    assert_eq!((report.open, report.slow.pausing), (50, 5), "{report:?}");
    assert_eq!(
        (report.out_of_order, report.malformed, report.first_fault),
        (0, 0, None)
    );
    assert_eq!(report.slow.conflations, 0, "there are no books");
    // Nothing of the second for which they stood still.
    let longest_ns = totals.latency.unwrap().max();
    assert!(longest_ns < 900_000_000, "{longest_ns}");
    assert!(fleet.end());
}

#[test]
fn a_book_is_right_after_a_conflation() {
    let engine = engine(
        "sim:?symbols=2&rate=1000&seed=5",
        Settings {
            retention_ms: Some(200),
            ..Settings::default()
        },
    );
    for format in [Format::Json, Format::Sbe] {
        let order = FleetOrder {
            slow: slow(0, 200),
            books: 5,
            ..order(engine.address(), 50, &STREAMS, format)
        };
        let mut fleet = open(&[order]).unwrap();
        let totals = totals_when(&mut fleet, |totals| {
            totals.report.slow.conflations_compared > 20 && totals.report.slow.books_compared > 60
        });
        let report = totals.report;
        assert_eq!((report.book_gaps, report.first_fault), (0, None));
        assert_eq!((report.open, report.slow.pausing, report.books), (50, 10, 30));
        assert_eq!(report.slow.books_different, 0, "{:?}", report.slow);
        assert!(engine.counters().totals().conflated_for_age > 0);
        assert!(fleet.end());
    }
}
