//! The commands as a person runs them: small loads against the bare loop and a real engine, refusals, and an end in the
//! middle.

mod common;

use std::collections::BTreeSet;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{BENCH, engine};

/// How long processes may take to be there, or to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// A load that any machine carries, on one core.
const SMALL: [&str; 12] = [
    "--connections",
    "40",
    "--rate",
    "20",
    "--for",
    "1s",
    "--warm-up",
    "300ms",
    "--server-core",
    "0",
    "--fleet-core",
    "0",
];

fn bench(arguments: &[&str]) -> Output {
    Command::new(BENCH)
        .args(arguments)
        .output()
        .expect("the bench runs")
}

/// Runs a command with the small load and gives its report.
fn measured(name: &str, arguments: &[&str]) -> Value {
    let file = std::env::temp_dir().join(format!("depthcast-bench-{name}-{}.json", std::process::id()));
    let json = file.to_str().expect("a path of text");
    let output = bench(&[&arguments[..1], &SMALL, &["--json", json], &arguments[1..]].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = String::from_utf8(output.stdout).expect("a table of text");
    assert!(table.contains("CPU of a send, whole machine"), "{table}");
    let report = std::fs::read(&file).expect("a report");
    std::fs::remove_file(&file).expect("our own file");
    serde_json::from_slice(&report).expect("JSON")
}

/// Each of the 40 connections got each of the window's 20 flushes of so many frames; nothing was wrong.
fn assert_whole(run: &Value, frames_per_flush: u64) {
    assert_eq!(run["connections"], 40);
    assert_eq!(run["faults"], Value::Array(Vec::new()));
    let frames = run["frames"].as_u64().expect("a number");
    // A busy machine may let one flush at either end fall into the window or out of it.
    let flushes = 40 * frames_per_flush;
    assert!((18 * flushes..=22 * flushes).contains(&frames), "{frames} frames");
    assert!(run["latency"]["p50_us"].as_f64().expect("a number") > 0.0);
    assert!(run["run_ns"].as_u64().expect("a number") > 0);
}

#[test]
fn the_bare_loop_is_measured_alone() {
    let report = measured("limit", &["limit", "--frames", "3"]);
    assert_eq!(report["server"], "bare loop");
    assert_whole(&report["runs"][0], 3);
    assert!(report["runs"][0]["pass"]["p50_us"].as_f64().expect("a number") > 0.0);
}

#[test]
fn an_engine_and_the_bare_loop_are_measured_in_turn() {
    let engine = engine();
    let streams = ["--streams", "30", "--streams-per-connection", "4"];
    let turns = ["--against", "limit", "--pairs", "2", "--engine", engine];
    let report = measured("turns", &[&["fanout"][..], &streams, &turns].concat());
    for runs in ["runs", "against_runs"] {
        assert_eq!(report[runs].as_array().expect("runs").len(), 2);
        for run in report[runs].as_array().expect("runs") {
            assert_whole(run, 4);
        }
    }
    let of = |name: &str| {
        let summaries = report["summaries"].as_array().expect("summaries");
        summaries
            .iter()
            .find(|summary| summary["name"] == name)
            .expect("the figure")["ratio"]
            .clone()
    };
    let ratio = of("frames received");
    assert_eq!(ratio["count"], 2);
    assert!(
        (0.8..1.25).contains(&ratio["median"].as_f64().expect("a number")),
        "{ratio}"
    );
    assert!(
        of("CPU of a send, whole machine")["median"]
            .as_f64()
            .expect("a number")
            > 0.0
    );
}

#[test]
fn books_of_a_simulated_market_are_kept_and_stalled_readers_do_no_harm() {
    let engine = engine();
    let market = [
        "--feed",
        "sim:?symbols=2&rate=50",
        "--stream",
        "btcusdt@depth@100ms",
        "--stream",
        "ethusdt@depth@100ms",
    ];
    let fleet = [
        "--streams-per-connection",
        "2",
        "--books",
        "4",
        "--stalled",
        "10",
        "--engine",
        engine,
    ];
    for format in ["json", "sbe"] {
        let report = measured(
            format,
            &[&["fanout", "--format", format][..], &market, &fleet].concat(),
        );
        let run = &report["runs"][0];
        assert_eq!(run["faults"], Value::Array(Vec::new()));
        assert!(run["book_events"].as_u64().expect("a number") > 0);
        assert!(run["frames"].as_u64().expect("a number") > run["book_events"].as_u64().expect("a number"));
    }
}

#[test]
fn refusals_say_what_is_right_before_anything_is_started() {
    for (arguments, reason) in [
        (&["fanout", "--format", "sbe"][..], "give --feed"),
        (&["fanout", "--feed", "sim:"], "leave --feed out"),
        (
            &["fanout", "--rate", "0"],
            "an engine's feed has a rate from 1 to 1000",
        ),
        (
            &["fanout", "--streams-per-connection", "2"],
            "2 of 1 streams: give more",
        ),
        (&["fanout", "--stalled", "101"], "no percentage from 0 to 100"),
        (&["limit", "--for", "10ms"], "a window takes from 1 s"),
        (
            &["limit", "--frames", "1024", "--size", "65535"],
            "bytes in one flush",
        ),
        (
            &[
                "fanout",
                "--format",
                "json",
                "--feed",
                "sim:",
                "--against",
                "limit",
            ],
            "one --stream of --feed capture:PATH",
        ),
        (&["fanout", "--connections", "0"], "1..="),
    ] {
        let output = bench(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains(reason),
            "{arguments:?}: {said:?} does not say {reason:?}"
        );
    }
}

#[test]
fn more_connections_than_the_host_allows_are_refused_with_the_setting() {
    let script = format!("ulimit -n 200 && exec '{BENCH}' limit --connections 500");
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("200") && said.contains("564") && said.contains("ulimit -Hn"),
        "{said}"
    );
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let output = bench(&[&["fanout", "--engine", "/nonexistent/engine"][..], &SMALL].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("/nonexistent/engine"), "{said}");
}

/// The processes that descend from `process`.
fn descendants(process: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut to_look_at = vec![process];
    while let Some(process) = to_look_at.pop() {
        let threads = std::fs::read_dir(format!("/proc/{process}/task"))
            .into_iter()
            .flatten();
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
                if found.insert(child) {
                    to_look_at.push(child);
                }
            }
        }
    }
    found
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // One that has ended and that nobody has asked for yet is a zombie.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_bench_that_is_killed_leaves_no_process_behind() {
    let engine = engine();
    let long = [
        "--connections",
        "40",
        "--for",
        "60s",
        "--fleet-core",
        "0",
        "--engine",
        engine,
    ];
    let mut bench: Child = Command::new(BENCH)
        .arg("fanout")
        .args(long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the bench runs");
    // The engine and one process of the fleet.
    wait_until("starting", || descendants(bench.id()).len() >= 2);
    let started = descendants(bench.id());
    bench.kill().expect("our own process");
    bench.wait().expect("our own process");
    wait_until("their end", || !started.iter().any(|process| is_alive(*process)));
}
