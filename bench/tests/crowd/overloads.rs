//! The command `overload` with a few connections: no overload of any machine, but the whole way.

use std::process::Command;

use serde_json::Value;

use super::{BENCH, figure, measured};

/// What a busy machine may do to latencies is no matter here.
const OF_TIME: [&str; 3] = [
    "it took",
    "latencies did not come back",
    "latencies went on growing",
];

fn overload(name: &str, arguments: &[&str]) -> Value {
    const TIMES: [&str; 9] = [
        "overload",
        "--warm-up",
        "1s",
        "--before",
        "1s",
        "--for",
        "1s",
        "--after",
        "1s",
    ];
    let (output, report) = measured(name, &[&TIMES[..], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let faults = report["faults"].as_array().expect("faults");
    for fault in faults {
        let fault = fault.as_str().expect("a sentence");
        assert!(OF_TIME.iter().any(|time| fault.starts_with(time)), "{said}");
    }
    assert_eq!(
        output.status.code(),
        Some(if faults.is_empty() { 0 } else { 4 }),
        "{said}"
    );
    for none in ["evicted (1008)", "lost otherwise", "gaps"] {
        assert_eq!(figure(&report, none), 0.0, "{none}: {said}");
    }
    assert!(figure(&report, "ids that an event covers, before") >= 1.0);
    assert!(figure(&report, "ids that an event covers, in the overload") >= 1.0);
    assert!(figure(&report, "books held against each other at equal ids") > 20.0);
    assert!(figure(&report, "books held against REST's at equal ids") >= 1.0);
    assert!(figure(&report, "the same, in the overload, longest") > 0.0);
    assert!(figure(&report, "latency of the load, in the overload, longest") > 0.0);
    report
}

#[test]
fn every_event_to_connections_that_come_and_leave() {
    let told = ["--connections", "60", "--stay", "20", "--rate", "50"];
    let report = overload("overload-each", &told);
    assert_eq!(figure(&report, "sends offered"), 3000.0);
    // 60 connections, 50 a second, for a second: give or take what chance and a busy machine do.
    let frames = figure(&report, "frames received, in the overload");
    assert!((1000.0..6000.0).contains(&frames), "{frames}");
    let text = report.to_string();
    assert!(!text.contains("one by one"), "nobody asked for it: {text}");
}

#[test]
fn ticks_in_sbe_of_as_many_connections_as_it_takes() {
    let told = [
        "--sends",
        "1000",
        "--cadence",
        "20ms",
        "--stay",
        "10",
        "--format",
        "sbe",
        "--books",
        "5",
    ];
    let report = overload("overload-ticks", &told);
    assert_eq!(figure(&report, "connections"), 41.0);
    assert!((2.0..2.1).contains(&figure(&report, "times that offered")));
    // 20 ms of 1,000 changes a second.
    assert!(figure(&report, "ids that an event covers, before") > 5.0);
}

#[test]
fn the_bare_loop_tells_what_the_core_can_send() {
    let told = ["--connections", "40", "--stay", "10", "--times", "0.01"];
    let report = overload("overload-found", &told);
    let sends = figure(&report, "sends that the core can make one by one");
    assert!(sends > 1000.0, "{sends}");
    let times = figure(&report, "times that offered");
    assert!((0.01..0.05).contains(&times), "{times}");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("was not full") || figure(&report, "server's core busy, in it") > 80.0,
        "{notes}"
    );
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_started() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(BENCH)
            .args([&["overload"], arguments].concat())
            .output()
            .expect("the bench runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&["--sends", "100000", "--connections", "100", "--stay", "1"]);
    assert!(said.contains("give --connections 200 or more"), "{said}");
    let said = refused(&["--sends", "100", "--connections", "100"]);
    assert!(said.contains("give a smaller --stay"), "{said}");
}
