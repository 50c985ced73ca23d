//! The command `scale` with a few connections, each case from its start to its end.

use std::process::Command;

use serde_json::Value;

use super::{BENCH, figure, measured};

/// A scale that any machine carries.
const SMALL: [&str; 9] = [
    "scale",
    "--connections",
    "400",
    "--books",
    "8",
    "--settle",
    "300ms",
    "--for",
    "3s",
];

fn scale(name: &str, arguments: &[&str]) -> Value {
    let (output, report) = measured(name, &[&SMALL[..], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(report["faults"], Value::Array(Vec::new()), "{said}");
    assert!(output.status.success(), "{said}");
    let table = String::from_utf8(output.stdout).expect("a table of text");
    assert!(table.contains("a socket: kernel slab"), "{table}");
    assert_eq!(figure(&report, "connections opened"), 400.0);
    assert!(figure(&report, "opened behind the first tenth") > 10.0);
    assert!(figure(&report, "engine's anonymous memory, all open") > 0.5);
    report
}

/// What holds in all cases but the quiet one, whose figures have another name.
fn assert_none_lost(report: &Value) {
    assert_eq!(figure(report, "open in the end"), 400.0);
    for none in [
        "evicted (1008)",
        "closed for the engine's overload (1013)",
        "lost otherwise",
        "gaps",
        "refused, as the engine says",
    ] {
        assert_eq!(figure(report, none), 0.0, "{none}");
    }
    assert_eq!(figure(report, "connections that keep whole books"), 8.0);
    assert!(figure(report, "books held against each other at equal ids") > 0.0);
    assert!(figure(report, "books held against REST's at equal ids") > 0.0);
}

#[test]
fn connections_at_rest_are_pinged_and_nothing_else() {
    let report = scale("scale-quiet", &["--ping-ms", "500"]);
    assert_eq!(figure(&report, "pings answered, without pings"), 0.0);
    // 400 each half second; a busy machine may be late with some.
    let pings = figure(&report, "pings answered, with pings");
    assert!((600.0..900.0).contains(&pings), "{pings}");
    assert_eq!(figure(&report, "events, with pings"), 0.0);
    assert_eq!(figure(&report, "open in the end, without pings"), 400.0);
    assert_eq!(figure(&report, "open in the end, with pings"), 400.0);
    assert!(figure(&report, "books held against REST's at equal ids, with pings") > 0.0);
    assert!(figure(&report, "CPU of the engine for a ping") < 10_000.0);
}

#[test]
fn one_symbol_to_all_in_sbe() {
    let report = scale("scale-one", &["--case", "one", "--rate", "50", "--format", "sbe"]);
    assert_none_lost(&report);
    assert_eq!(figure(&report, "updates due"), 20_000.0);
    // Some changes in each 100 ms come as one event.
    let covered = figure(&report, "updates that an event covers");
    assert!(covered > 2.0, "{covered}");
    assert!(
        figure(&report, "latency, the first ones, p50") <= figure(&report, "latency, the first ones, p99")
    );
    assert!(figure(&report, "latency, all others, longest") > 0.0);
}

#[test]
fn many_symbols_by_zipfs_law_and_at_a_pace() {
    let many = [
        "--case",
        "zipf",
        "--symbols",
        "30",
        "--workers",
        "2",
        "--ramp",
        "600",
    ];
    let report = scale("scale-zipf", &many);
    assert_none_lost(&report);
    // 360 in two processes of half the pace each, and those that fall on a whole second.
    let pace = figure(&report, "opened behind the first tenth");
    assert!(pace < 700.0, "{pace}");
}

#[test]
fn those_who_leave_all_the_time_come_back() {
    let report = scale("scale-churn", &["--case", "churn", "--churn", "50"]);
    assert_none_lost(&report);
    let with = figure(&report, "left with a Close");
    let without = figure(&report, "left without");
    // Half of 400 a second for 3 s, but for those that keep books, which stay.
    assert!((300.0..=600.0).contains(&(with + without)), "{with} {without}");
    assert!((with - without).abs() <= 8.0, "{with} {without}");
    assert_eq!(figure(&report, "tries to come back"), with + without);
    assert_eq!(figure(&report, "of them refused, late or failed"), 0.0);
    assert!(
        !report["series"][0]["points"]
            .as_array()
            .expect("points")
            .is_empty()
    );
}

#[test]
fn all_who_lose_their_connection_come_back_where_they_were() {
    for (name, market) in [
        ("scale-reconnect", &[][..]),
        ("scale-resume", &["--rate", "20", "--symbols", "3"]),
    ] {
        let gone = ["--case", "reconnect", "--backoff", "400ms"];
        let report = scale(name, &[&gone[..], market].concat());
        assert_none_lost(&report);
        assert_eq!(figure(&report, "lost their connection at once"), 400.0);
        assert!(figure(&report, "tries to come back") >= 400.0);
        // Drawn from 0 to 400 ms: that none of 400 is in the second half would be a wonder.
        assert!(figure(&report, "the last one was back after") > 0.2, "{name}");
    }
}

#[test]
fn what_stops_opening_is_said_with_how_far_it_came() {
    let little = [
        "--json",
        "/dev/null",
        "--engine",
        super::engine(),
        "--fleet-core",
        "0",
    ];
    let output = Command::new(BENCH)
        .args([&SMALL[..], &little, &["--", "--connections-per-worker", "300"]].concat())
        .output()
        .expect("the bench runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("opening stopped at ") && said.contains(" of 400 connections: "),
        "{said}"
    );
    assert!(said.contains("503"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_started() {
    let output = Command::new(BENCH)
        .args(["scale", "--symbols", "2"])
        .output()
        .expect("the bench runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a market that stands still has one symbol"),
        "{said}"
    );
}
