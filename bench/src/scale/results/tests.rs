//! What is wrong is said, and what is right is not.

use clap::Parser;

use super::turnover::{Turnover, add_churn, add_reconnect};
use super::*;
use crate::control::Went;
use crate::probe::stats::StatsSample;
use crate::scale::course::MemoryCourse;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    scale: ScaleOptions,
}

fn options(arguments: &[&str]) -> ScaleOptions {
    let all = [&["bench", "--connections", "1000"], arguments].concat();
    Line::try_parse_from(all).unwrap().scale
}

/// A second in which all is well.
fn seen() -> Seen {
    let mut seen = Seen {
        between: Between {
            wall_ns: 1_000_000_000,
            run_ns: 5_000_000,
            ..Between::default()
        },
        stats: Some(StatsSample::default()),
        ..Seen::default()
    };
    for (totals, connections) in [(&mut seen.first, 32), (&mut seen.others, 968)] {
        totals.report.fleet.open = connections;
        totals.report.heard = connections;
        totals.report.events = 10 * u64::from(connections);
        totals.report.ids = 30 * u64::from(connections);
    }
    seen
}

fn figure(findings: &Findings, name: &str) -> f64 {
    let found = findings.figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("no {name}")).value
}

#[test]
fn a_connection_that_is_lost_is_a_fault() {
    let rest = |change: &dyn Fn(&mut Seen)| {
        let (mut findings, mut seen) = (Findings::default(), seen());
        change(&mut seen);
        add_rest(&mut findings, &options(&[]), "at rest", &seen);
        findings.faults
    };
    assert_eq!(rest(&|_| {}), [""; 0]);
    let lost = rest(&|seen| {
        seen.others.report.fleet.open = 966;
        seen.others.report.fleet.closed = [(1008, 1), (0, 1)].into();
        seen.stats = Some(StatsSample {
            evicted: 1,
            ..StatsSample::default()
        });
    });
    assert_eq!(
        lost,
        [
            "1 evicted, as the engine says",
            "2 connections are not open in the end",
            "1 connections closed by the server with 0 (all others)",
            "1 connections closed by the server with 1008 (all others)",
        ]
    );
    assert_eq!(rest(&|seen| seen.stats = None), ["the engine has told no counts"]);
}

#[test]
fn a_ping_costs_what_the_engine_used_more() {
    let (mut findings, without, mut with) = (Findings::default(), seen(), seen());
    with.between.wall_ns = 2_000_000_000;
    with.between.run_ns = 30_000_000;
    with.others.report.fleet.pings = 2_000;
    let told = options(&["--ping-ms", "1000"]);
    add_pings(&mut findings, &told, Some(&without), &with);
    // 10 ms a second more, for 1,000 pings a second.
    let cost_us = figure(&findings, "CPU of the engine for a ping");
    assert!((cost_us - 10.0).abs() < 1e-6, "{cost_us}");
    assert_eq!(findings.faults, [""; 0]);

    with.others.report.fleet.pings = 1_700;
    let mut unpinged = seen();
    unpinged.first.report.fleet.pings = 1;
    add_pings(&mut findings, &told, Some(&unpinged), &with);
    assert_eq!(
        findings.faults,
        [
            "1,700 pings came to the connections, and 2,000 were due",
            "1 pings of the engine that was to send none"
        ]
    );
}

#[test]
fn coalescing_is_told_by_updates_and_by_ids() {
    let mut findings = Findings::default();
    let told = options(&["--case", "one", "--rate", "25"]);
    add_use(&mut findings, &told, &CrowdTotals::default(), &seen());
    assert_eq!(figure(&findings, "updates that an event covers"), 2.5);
    assert_eq!(figure(&findings, "ids that an event covers"), 3.0);
    assert_eq!(
        figure(&findings, "time between two events of a connection, mean"),
        100.0
    );
    assert_eq!(findings.faults, [""; 0]);
    let mut unheard = seen();
    unheard.others.report.heard -= 3;
    add_use(&mut findings, &told, &CrowdTotals::default(), &unheard);
    assert_eq!(findings.faults, ["3 connections that have had no event"]);
}

fn turnover(grown_bytes_per_s: u64) -> Turnover {
    let look = |when: &str, engine_bytes| MemoryLook {
        when: when.into(),
        engine_bytes,
        ..MemoryLook::default()
    };
    let mut course = MemoryCourse::default();
    (0..100).for_each(|second| course.push(second as f64, 20_000_000 + second * grown_bytes_per_s));
    Turnover {
        before: look("before", 20_000_000),
        after: look("after", 20_000_000 + 100 * grown_bytes_per_s),
        course,
        went: Went {
            is_whole: true,
            count: 1000,
            seconds: 3.0,
        },
    }
}

#[test]
fn memory_that_grows_with_churn_is_a_fault() {
    let told = options(&["--case", "churn", "--for", "100s"]);
    let mut findings = Findings::default();
    add_churn(&mut findings, &told, &turnover(1_000), &seen());
    assert_eq!(findings.faults, [""; 0]);
    assert_eq!(findings.series[0].points.len(), 100);
    let mut findings = Findings::default();
    add_churn(&mut findings, &told, &turnover(20_000), &seen());
    assert_eq!(findings.faults.len(), 1);
    assert!(
        findings.faults[0].starts_with("memory is not flat: its trend grew by 1,580 KB in 79 s"),
        "{:?}",
        findings.faults
    );
}

#[test]
fn who_does_not_come_back_is_a_fault_and_who_tried_twice_is_not() {
    let told = options(&["--case", "reconnect"]);
    let mut seen = seen();
    seen.others.report.joins.asked = 968;
    seen.others.report.joins.joined = 968;
    let returns = &mut seen.others.report.returns;
    (returns.left_without, returns.tries, returns.back) = (968, 970, 968);
    returns.failures = [("HTTP 503".to_string(), 2)].into();
    let mut findings = Findings::default();
    add_reconnect(&mut findings, &told, &turnover(10_000), &seen);
    assert_eq!(findings.faults, [""; 0]);
    assert_eq!(findings.notes, ["2 tries failed: HTTP 503"]);
    assert_eq!(figure(&findings, "of them refused, late or failed"), 2.0);

    seen.others.report.joins.joined = 960;
    let mut late = turnover(20_000);
    late.went.is_whole = false;
    let mut findings = Findings::default();
    add_reconnect(&mut findings, &told, &late, &seen);
    assert_eq!(findings.faults.len(), 3, "{:?}", findings.faults);
    assert!(findings.faults[0].starts_with("8 of those who left"));
    assert!(findings.faults[1].starts_with("not all were back"));
    assert!(
        findings.faults[2].starts_with("memory is not back: the engine had 20,000 KB before and 22,000 KB")
    );
}

#[test]
fn what_stopped_opening_is_told_with_how_far_it_came() {
    let ramp = Ramp {
        open: 700,
        stopped: Some("crowd process 1: no port".into()),
        ..Ramp::default()
    };
    let mut findings = Findings::default();
    add_ramp(&mut findings, &options(&[]), &ramp);
    assert_eq!(
        findings.faults,
        ["opening stopped at 700 of 1,000 connections: crowd process 1: no port"]
    );
}
