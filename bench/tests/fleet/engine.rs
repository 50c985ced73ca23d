//! A real engine over its simulated exchange.

use depthcast::config::Settings;
use depthcast::engine::Engine;
use depthcast::session::EndCause;
use depthcast_bench::fleet::Fleet;
use depthcast_bench::fleet::order::{FleetOrder, Format};

use super::{is_there, open, order, totals_when};

fn engine(settings: Settings) -> Engine {
    let settings = Settings {
        feed: vec!["sim:?symbols=3&rate=200&seed=5".into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..settings
    };
    Engine::start(&settings.check(2).unwrap()).unwrap()
}

/// The depth streams of the engine's symbols at these cadences.
fn streams(engine: &Engine, cadences: &[&str]) -> Vec<String> {
    let symbols = engine
        .symbols()
        .iter()
        .map(|symbol| symbol.instrument.name().to_lowercase());
    symbols
        .flat_map(|symbol| {
            cadences
                .iter()
                .map(move |cadence| format!("{symbol}@depth{cadence}"))
        })
        .collect()
}

/// Two processes with a part of the connections each.
fn halves(order: &FleetOrder) -> [FleetOrder; 2] {
    let half = order.connections / 2;
    [0, half].map(|first| FleetOrder {
        first,
        connections: half,
        books: order.books / 2,
        ..order.clone()
    })
}

fn end(fleet: Fleet) {
    let processes = fleet.process_ids();
    assert!(processes.iter().all(|&process| is_there(process)));
    assert!(fleet.end());
    assert!(!processes.iter().any(|&process| is_there(process)));
}

#[test]
fn all_books_of_both_formats_keep_in_step() {
    let engine = engine(Settings::default());
    for (format, cadences) in [
        (Format::Json, &["@0ms", "@100ms"][..]),
        (Format::Sbe, &["@100ms"]),
    ] {
        for per_connection in [1, 2] {
            let names = streams(&engine, cadences);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut order = order(engine.address(), 100, &names, format);
            order.streams.per_connection = per_connection;
            order.books = 10;
            let mut fleet = open(&halves(&order)).unwrap();
            fleet.begin().unwrap();
            let totals = totals_when(&mut fleet, |totals| {
                let report = &totals.report;
                report.frames > 2000 && report.book_events > 200
            });
            let report = totals.report;
            assert_eq!(report.first_fault, None, "{report:?}");
            assert_eq!(
                (report.open, report.stalled, report.books),
                (100, 0, 10 * per_connection)
            );
            assert_eq!(
                (report.book_gaps, report.malformed, report.closed.len()),
                (0, 0, 0)
            );
            assert!(report.bytes > report.frames && report.reads > 0, "{report:?}");
            assert!(totals.latency.is_none());
            end(fleet);
        }
    }
}

#[test]
fn pings_are_answered_so_that_nobody_is_dropped() {
    let engine = engine(Settings {
        ping_ms: Some(100),
        pong_ms: Some(1000),
        ..Settings::default()
    });
    let mut fleet = open(&halves(&order(
        engine.address(),
        20,
        &["btcusdt@trade"],
        Format::Json,
    )))
    .unwrap();
    fleet.begin().unwrap();
    // Far more than would come before the first were dropped.
    let totals = totals_when(&mut fleet, |totals| totals.report.pings > 20 * 30);
    assert_eq!((totals.report.open, totals.report.first_fault), (20, None));
    assert!(totals.report.sends >= totals.report.pings);
    end(fleet);
}

#[test]
fn who_reads_nothing_is_evicted_and_the_others_are_not() {
    let engine = engine(Settings {
        lag_ms: Some(500),
        send_buffer: Some(4096),
        ..Settings::default()
    });
    let names = streams(&engine, &["@0ms"]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut order = order(engine.address(), 100, &names, Format::Json);
    order.stalled_per_mille = 100;
    let mut fleet = open(&halves(&order)).unwrap();
    let totals = totals_when(&mut fleet, |_| {
        engine.counters().ended(EndCause::SlowConsumer) >= 10
    });
    let report = totals.report;
    // An end that the kernel keeps back for want of a window is seen when that gives up.
    assert_eq!(report.open - report.stalled, 90, "{report:?}");
    assert_eq!(report.first_fault, None);
    assert_eq!(engine.counters().ended(EndCause::SlowConsumer), 10);
    end(fleet);
}

#[test]
fn an_engine_that_ends_is_seen_by_its_code() {
    let engine = engine(Settings::default());
    let mut fleet = open(&halves(&order(
        engine.address(),
        40,
        &["btcusdt@depth@100ms"],
        Format::Sbe,
    )))
    .unwrap();
    engine.stop(false);
    let totals = totals_when(&mut fleet, |totals| totals.report.open == 0);
    assert_eq!(totals.report.closed, [(1001, 40)].into());
    let fault = totals.report.first_fault.unwrap();
    assert!(fault.ends_with("closed by the server with 1001"), "{fault}");
    end(fleet);
}
