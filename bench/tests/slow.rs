//! Slow readers as a person measures them: beside healthy ones and without them, and what is a fault.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use common::{BENCH, engine};

/// A load whose sockets are full within a second, with an engine that gives up after half of one.
const LOAD: [&str; 14] = [
    "fanout",
    "--connections",
    "40",
    "--rate",
    "20",
    "--size",
    "2048",
    "--warm-up",
    "200ms",
    "--fleet-core",
    "0",
    "--lag-ms",
    "500",
    "--engine",
];

/// A file of our own that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("depthcast-slow-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the load against `engine` with more flags; gives how that ended and the report.
fn run(name: &str, engine: &Path, window: &str, flags: &[&str]) -> (Output, Value) {
    let json = Scratch::new(name);
    let output = Command::new(BENCH)
        .args(LOAD)
        .arg(engine)
        .args(["--for", window, "--json", json.path()])
        .args(flags)
        .output()
        .expect("the bench runs");
    let report = std::fs::read(&json.0).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_slice(&report).expect("JSON"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_healthy_are_measured_alone_and_beside_the_slow() {
    let flags = [
        "--stalled",
        "10",
        "--one-byte",
        "10",
        "--against",
        "healthy",
        "--pairs",
        "1",
    ];
    let (output, report) = run("healthy", Path::new(engine()), "2s", &flags);
    assert!(output.status.success(), "{}", said(&output));
    let (beside, alone) = (&report["runs"][0], &report["against_runs"][0]);
    assert_eq!(
        (&beside["connections"], &alone["connections"]),
        (&40.into(), &32.into())
    );
    // The window is longer than was asked for: until all are gone.
    assert!(
        beside["window_ns"].as_u64().expect("a number") > 2_500_000_000,
        "{beside}"
    );
    assert_eq!(alone.get("slow"), None);
    let slow = &beside["slow"];
    for (what, count) in [
        ("stalled", 4),
        ("stalled_gone", 4),
        ("one_byte_gone", 4),
        ("blocked", 8),
        ("late", 0),
    ] {
        assert_eq!(slow[what], count, "{what} of {slow}");
    }
    let longest = slow["kept"]["at_most_s"].as_f64().expect("a number");
    assert!((1.4..2.5).contains(&longest), "limit and grace: {slow}");
    assert!(
        slow["memory"]["tcp_bytes"].is_number(),
        "it was looked at while all were blocked: {slow}"
    );
    // Only the healthy are counted: as many frames a second on either side.
    let ratio = |name: &str| {
        let summaries = report["summaries"].as_array().expect("summaries");
        let summary = summaries.iter().find(|summary| summary["name"] == name);
        summary.expect("the figure")["ratio"]["median"]
            .as_f64()
            .expect("a number")
    };
    assert!(
        (0.9..1.1).contains(&ratio("frames received")),
        "{}",
        ratio("frames received")
    );
    assert!(ratio("latency p99") > 0.0);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("stalled: 4, gone 4"), "{table}");
}

#[test]
fn one_that_is_kept_beyond_its_time_is_a_fault() {
    // An engine that is told of a longer limit than the bench knows of.
    let script = Scratch::new("engine.sh");
    let text = format!(
        "#!/bin/sh\nlast=\nfor word do shift; [ \"$last\" = --lag-ms ] && word=60000; last=$word; set -- \"$@\" \"$word\"; done\n\
         exec '{}' \"$@\"\n",
        engine()
    );
    std::fs::write(&script.0, text).expect("our own file");
    std::fs::set_permissions(&script.0, std::fs::Permissions::from_mode(0o700)).expect("our own file");
    let (output, report) = run("kept", &script.0, "2s", &["--stalled", "10"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(report["runs"][0]["slow"]["late"], 4);
    let expected = "4 connections that never catch up were still there 2.5 s after their first block";
    assert!(said(&output).contains(expected), "{}", said(&output));
}

#[test]
fn a_reader_that_stops_and_is_lost_is_a_fault() {
    let (output, report) = run(
        "lost",
        Path::new(engine()),
        "6s",
        &["--pausing", "10", "--pausing-stop", "4s"],
    );
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(
        said(&output).contains("connections closed by the server"),
        "{}",
        said(&output)
    );
    assert_eq!(report["runs"][0]["slow"]["pausing"], 4);
}

#[test]
fn refusals_come_before_anything_is_started() {
    for (flags, reason) in [
        (&["fanout", "--against", "healthy"][..], "leave some"),
        (
            &["fanout", "--stalled", "60", "--one-byte", "60"],
            "120 % of the connections",
        ),
        (&["limit", "--one-byte", "1"], "need an engine"),
        (
            &["fanout", "--pausing", "1", "--against", "limit"],
            "need an engine",
        ),
    ] {
        let output = Command::new(BENCH).args(flags).output().expect("the bench runs");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(reason), "{}", said(&output));
    }
}
