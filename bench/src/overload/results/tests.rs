use clap::Parser;

use super::*;
use crate::fleet::moments::Moment;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    overload: OverloadOptions,
}

const OFFER: Offer = Offer {
    connections: 1000,
    rate: 20,
    flushes_per_s: 20.0,
};

fn moments(count: u64, p99_us: u64) -> Vec<Moment> {
    let moment = |number| Moment {
        at_ms: number * 100,
        events: 10,
        least_us: 1,
        p50_us: p99_us,
        p99_us,
        max_us: p99_us,
    };
    (0..count).map(moment).collect()
}

/// An overload in which all went well.
fn seen() -> Seen {
    let mut seen = Seen {
        ended_ns: 1_000_000_000,
        overload: Between {
            wall_ns: 1_000_000_000,
            server_core_busy_ns: 990_000_000,
            ..Between::default()
        },
        ..Seen::default()
    };
    seen.before.moments = moments(20, 3_000);
    seen.during.moments = moments(20, 400_000);
    seen.after.moments = [moments(3, 400_000), moments(20, 2_000)].concat();
    for (number, moment) in seen.after.moments.iter_mut().enumerate() {
        moment.at_ms = number as u64 * 100;
    }
    seen.after.report.begun_ns = 800_000_000;
    seen.after.report.compared = 5;
    seen.rest.compared = 3;
    (seen.before.report.events, seen.before.report.ids) = (100, 150);
    (seen.during.report.events, seen.during.report.ids) = (50, 300);
    (seen.load.report.events, seen.load.report.ids) = (50, 500);
    seen
}

fn found(seen: Seen) -> Findings {
    let options = Line::try_parse_from(["bench"]).unwrap().overload;
    findings(&options, &OFFER, Some(10_000.0), seen)
}

fn value(findings: &Findings, name: &str) -> f64 {
    let found = findings.figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("{name}: {findings:?}")).value
}

#[test]
fn an_overload_that_is_borne_has_no_faults() {
    let findings = found(seen());
    assert_eq!((&findings.faults, &findings.notes), (&vec![], &vec![]));
    assert_eq!(value(&findings, "times that offered"), 2.0);
    assert_eq!(value(&findings, "ids that an event covers, before"), 1.5);
    assert_eq!(value(&findings, "ids that an event covers, in the overload"), 8.0);
    // Three bad moments, of which the load was there for two.
    assert_eq!(value(&findings, "back to that after the load's end, after"), 0.1);
}

#[test]
fn whatever_must_not_be_is_a_fault() {
    let faults = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen();
        change(&mut seen);
        found(seen).faults.join("\n")
    };
    let expect = |change: &dyn Fn(&mut Seen), sentence: &str| {
        let fault = faults(change);
        assert!(fault.contains(sentence), "{sentence:?} in {fault:?}");
    };
    expect(
        &|seen| {
            seen.load.report.fleet.closed.insert(1008, 7);
        },
        "7 connections closed by the server with 1008 (the load)",
    );
    expect(
        &|seen| seen.after.report.gaps = 2,
        "2 events that did not continue the one before (those who stay)",
    );
    expect(
        &|seen| seen.rest.different = 1,
        "1 books of REST that say something else",
    );
    expect(
        &|seen| seen.rest.compared = 0,
        "no book of REST could be compared: none stood",
    );
    expect(&|seen| seen.after.report.compared = 0, "no two stood at one id");
    expect(
        &|seen| seen.after.moments = moments(20, 400_000),
        "latencies did not come back",
    );
    expect(
        &|seen| {
            seen.during.moments = (0..40)
                .map(|n| Moment {
                    p99_us: n * 100_000,
                    ..Moment::default()
                })
                .collect();
        },
        "latencies went on growing",
    );
    expect(
        &|seen| {
            let late = [moments(13, 400_000), moments(20, 2_000)].concat();
            seen.after.moments = late;
            for (number, moment) in seen.after.moments.iter_mut().enumerate() {
                moment.at_ms = number as u64 * 100;
            }
        },
        "it took 1.1 s after the load's end",
    );
}

#[test]
fn a_core_that_was_not_full_is_told() {
    let mut idle = seen();
    idle.overload.server_core_busy_ns /= 2;
    let notes = found(idle).notes;
    assert!(
        notes[0].starts_with("the server's core was not full, so this was no overload"),
        "{notes:?}"
    );
}

#[test]
fn a_load_that_does_not_keep_up_with_its_reading_is_told() {
    let mut slow = seen();
    // A megabyte in a second, and a tenth of that unread.
    slow.load.report.fleet.bytes = 1_000_000;
    slow.queues.unread_bytes = 100_000;
    let notes = found(slow).notes;
    assert!(
        notes[0].starts_with("at the overload's end the load had 100 ms of reading before it"),
        "{notes:?}"
    );
}
