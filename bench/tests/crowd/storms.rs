//! The command `storm` with a few connections.

use std::process::Command;

use serde_json::Value;

use super::{BENCH, figure, measured};

/// A storm that any machine carries.
const SMALL: [&str; 17] = [
    "storm",
    "--joins",
    "60",
    "--there",
    "20",
    "--rate",
    "50",
    "--over",
    "200ms",
    "--away",
    "100ms",
    "--warm-up",
    "1s",
    "--before",
    "300ms",
    "--after",
    "1500ms",
];

fn storm(name: &str, arguments: &[&str]) -> Value {
    let (output, report) = measured(name, &[&SMALL[..], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(report["faults"], Value::Array(Vec::new()), "{said}");
    let table = String::from_utf8(output.stdout).expect("a table of text");
    assert!(table.contains("CPU of the engine for a join"), "{table}");
    assert_eq!(figure(&report, "joins"), 60.0);
    for phase in ["before", "during", "after"] {
        // Those there hear something all the time.
        assert!(figure(&report, &format!("latency of those there, {phase}, longest")) >= 0.0);
    }
    assert!(figure(&report, "the storm took") >= 0.15);
    assert!(figure(&report, "the same, the most in it") > 1.0);
    assert_eq!(report["courses"].as_array().expect("courses").len(), 3);
    report
}

#[test]
fn all_who_join_one_symbol_get_its_book_and_what_continues_it() {
    let report = storm("storm-one", &[]);
    let snapshots = figure(&report, "different snapshots, over all joins");
    assert!((1.0..60.0).contains(&snapshots), "{snapshots}: they are shared");
    let whole = figure(&report, "from SUBSCRIBE to the snapshot, longest");
    assert!(
        figure(
            &report,
            "from SUBSCRIBE to the event behind the snapshot, longest"
        ) >= whole,
        "{report}"
    );
    // Some KB for each of them.
    assert!(figure(&report, "bytes to those who joined, until the end") > 0.1);
}

#[test]
fn a_storm_over_many_symbols_and_workers_in_sbe() {
    let many = ["--symbols", "30", "--workers", "3", "--format", "sbe"];
    let report = storm("storm-many", &many);
    let snapshots = figure(&report, "different snapshots, over all joins");
    assert!((30.0..=60.0).contains(&snapshots), "{snapshots}");
}

#[test]
fn who_wants_no_snapshot_gets_none() {
    let report = storm("storm-next", &["--since", "next", "--cadence", "0ms"]);
    assert!(figure(&report, "from SUBSCRIBE to the first event, longest") > 0.0);
    let text = report.to_string();
    assert!(!text.contains("snapshots"), "{text}");
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let report = storm("storm-resume", &["--since", "resume", "--symbols", "2"]);
    let upgrade = figure(&report, "from connect to the upgrade, longest");
    assert!(figure(&report, "from connect to the event that goes on, longest") >= upgrade);
    let notes = report["notes"].to_string();
    assert!(notes.contains("handshakes: 300 a second were wanted"), "{notes}");
    assert!(!notes.contains("had no event to resume from"), "{notes}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_started() {
    for (arguments, sentence) in [
        (
            &["storm", "--workers", "1"][..],
            "21000 connections are more than --workers 1 hold: give --workers 2",
        ),
        (
            &["storm", "--rate", "0"],
            "the simulated feed's rate is \"0\"; it takes book changes a second",
        ),
    ] {
        let output = Command::new(BENCH)
            .args(arguments)
            .output()
            .expect("the bench runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(sentence), "{said}");
    }
    let output = Command::new(BENCH)
        .args([
            "storm",
            "--joins",
            "10",
            "--there",
            "1",
            "--engine",
            "/nonexistent",
        ])
        .output()
        .expect("the bench runs");
    assert_eq!(output.status.code(), Some(1));
}
