//! The figures of a storm, and what was wrong with it.

use super::options::{Since, StormOptions};
use crate::control::Went;
use crate::crowd::crowds::CrowdTotals;
use crate::crowd::findings::{Course, Findings};
use crate::crowd::look::{Between, Peaks};

/// By how much the load may be late with a storm before that is told.
const LATE_SHARE_MAX: f64 = 1.1;

/// What was seen of a storm.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those there, before it, from its begin to the last who joined, and after.
    pub before: CrowdTotals,
    /// See `before`.
    pub during: CrowdTotals,
    /// See `before`.
    pub after: CrowdTotals,
    /// Those who joined.
    pub joiners: CrowdTotals,
    /// Those who had an id to resume from.
    pub positioned: u32,
    /// The engine and the cores before the storm.
    pub calm: Between,
    /// In it.
    pub storm: Between,
    /// The most memory in it.
    pub peaks: Peaks,
    /// Resident memory of the engine: empty, before, when the last had joined, at the end.
    pub resident_bytes: [u64; 4],
}

/// What a storm came to.
pub fn findings(options: &StormOptions, went: &Went, seen: Seen) -> Findings {
    let mut findings = Findings::new();
    add_joins(&mut findings, options, &seen);
    for (phase, totals) in [
        ("before", &seen.before),
        ("during", &seen.during),
        ("after", &seen.after),
    ] {
        let what = format!("latency of those there, {phase}");
        findings.add_times(&what, totals.latency.as_ref());
    }
    add_engine(&mut findings, options, &seen);
    add_faults(&mut findings, options, went, &seen);
    findings.threads = seen.storm.threads;
    findings.courses = [
        ("before", seen.before.moments),
        ("during", seen.during.moments),
        ("after", seen.after.moments),
    ]
    .map(|(phase, moments)| Course { phase, moments })
    .into();
    findings
}

fn add_joins(findings: &mut Findings, options: &StormOptions, seen: &Seen) {
    let joins = &seen.joiners.report.joins;
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
    findings.add("joins", "", 0, joins.joined.into());
    findings.add(
        "all had asked after",
        "s",
        3,
        seconds(joins.first_asked_ns, joins.last_asked_ns),
    );
    findings.add(
        "all had joined after",
        "s",
        3,
        seconds(joins.first_asked_ns, joins.joined_ns),
    );
    let (answer, joined) = match options.since {
        Since::Snapshot => ("from SUBSCRIBE to its answer", "from SUBSCRIBE to the snapshot"),
        Since::Next => (
            "from SUBSCRIBE to its answer",
            "from SUBSCRIBE to the first event",
        ),
        Since::Resume => (
            "from connect to the upgrade",
            "from connect to the event that goes on",
        ),
    };
    findings.add_times(answer, seen.joiners.answer_times.as_ref());
    findings.add_times(joined, seen.joiners.join_times.as_ref());
    if options.since == Since::Snapshot {
        findings.add_times(
            "from SUBSCRIBE to the event behind the snapshot",
            seen.joiners.continue_times.as_ref(),
        );
        findings.add(
            "different snapshots, over all joins",
            "",
            0,
            seen.joiners.bodies.len() as f64,
        );
    }
}

fn add_engine(findings: &mut Findings, options: &StormOptions, seen: &Seen) {
    let (calm, storm) = (&seen.calm, &seen.storm);
    findings.add("the storm took", "s", 3, storm.seconds());
    findings.add_engine_times(storm);
    findings.add_engine_share("before", calm);
    findings.add_engine_share("in it", storm);
    // What it would have used anyway is taken off.
    let usual_ns = calm.run_ns as f64 / calm.wall_ns.max(1) as f64 * storm.wall_ns as f64;
    let own_ns = (storm.run_ns as f64 - usual_ns).max(0.0);
    findings.add(
        "CPU of the engine for a join",
        "us",
        1,
        own_ns / f64::from(options.joins.max(1)) / 1e3,
    );
    findings.add_cores(storm);
    let bytes = seen.during.report.fleet.bytes;
    findings.add_bytes("bytes to those there, in it", bytes as f64);
    findings.add_bytes(
        "bytes to those who joined, until the end",
        seen.joiners.report.fleet.bytes as f64,
    );
    let [empty, before, after, last] = seen.resident_bytes.map(|bytes| bytes as f64);
    findings.add_bytes("resident memory of the engine, without connections", empty);
    findings.add_bytes("the same, before the storm", before);
    findings.add_bytes("the same, the most in it", seen.peaks.resident_bytes as f64);
    findings.add_bytes("the same, when the last had joined", after);
    findings.add_bytes("the same, at the end", last);
    findings.add_bytes("TCP's queues, the most in it", seen.peaks.tcp_queue_bytes as f64);
}

fn add_faults(findings: &mut Findings, options: &StormOptions, went: &Went, seen: &Seen) {
    let joins = &seen.joiners.report.joins;
    let missing = |count: u32| u64::from(options.joins.saturating_sub(count));
    findings.must_be_none(
        missing(joins.asked),
        "connections were lost before they could ask for their stream",
    );
    findings.must_be_none(missing(joins.joined), "of those who were to join did not");
    if !went.is_whole {
        findings
            .faults
            .push("not all had joined within a minute: the storm's figures are of that minute".into());
    }
    findings.must_be_none(
        u64::from(joins.joined.saturating_sub(joins.continued)),
        "joined and got no event until the end, so that nothing continued what they have: give a longer --after or a \
         higher --rate",
    );
    findings.must_be_none(
        u64::from(
            seen.after
                .latency
                .as_ref()
                .is_none_or(|latency| latency.is_empty()),
        ),
        "time without any event for those there: give a longer --warm-up, --after or a higher --rate",
    );
    // Each is counted ever.
    findings.check("those there", &seen.after);
    findings.check("those who joined", &seen.joiners);
    for totals in [&seen.before, &seen.during] {
        let below = totals.report.below_floor_ns;
        if below > seen.after.report.below_floor_ns && below > 1_000_000 {
            findings.notes.push(format!(
                "an event was {:.1} ms faster than all of the warm-up: give a longer --warm-up",
                below as f64 / 1e6
            ));
        }
    }
    let asked_s = joins.last_asked_ns.saturating_sub(joins.first_asked_ns) as f64 / 1e9;
    let over_s = options.over.as_secs_f64();
    if options.since == Since::Resume {
        findings.notes.push(format!(
            "handshakes: {:.0} a second were wanted and {:.0} were begun",
            f64::from(options.joins) / over_s.max(1e-9),
            f64::from(joins.asked) / asked_s.max(1e-9)
        ));
        if seen.positioned < options.joins {
            findings.notes.push(format!(
                "{} had no event to resume from, and came back to what comes next",
                options.joins - seen.positioned
            ));
        }
    } else if asked_s > over_s * LATE_SHARE_MAX && options.joins > 1 {
        findings.notes.push(format!(
            "the load took {asked_s:.3} s to ask where {over_s:.3} s were wanted: its core was busy, and the storm weaker"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        storm: StormOptions,
    }

    fn options(arguments: &[&str]) -> StormOptions {
        let all = [&["bench", "--joins", "10"], arguments].concat();
        Line::try_parse_from(all).unwrap().storm
    }

    /// A storm in which ten joined and everything went well.
    fn seen() -> Seen {
        let mut latency = crate::fleet::counts::latencies();
        latency.record(2_000_000).unwrap();
        let mut seen = Seen {
            positioned: 10,
            ..Seen::default()
        };
        seen.after.latency = Some(latency);
        let joins = &mut seen.joiners.report.joins;
        (joins.asked, joins.joined, joins.continued) = (10, 10, 10);
        (joins.first_asked_ns, joins.last_asked_ns, joins.joined_ns) = (5, 1_000_000_005, 1_500_000_005);
        seen.calm = Between {
            wall_ns: 2_000_000_000,
            run_ns: 200_000_000,
            ..Between::default()
        };
        seen.storm = Between {
            wall_ns: 1_000_000_000,
            run_ns: 600_000_000,
            ..Between::default()
        };
        seen
    }

    const WENT: Went = Went {
        is_whole: true,
        count: 10,
        seconds: 1.5,
    };

    fn value(findings: &Findings, name: &str) -> f64 {
        let found = findings.figures.iter().find(|figure| figure.name == name);
        found.unwrap_or_else(|| panic!("{name}: {findings:?}")).value
    }

    #[test]
    fn a_join_costs_what_is_beyond_the_usual() {
        let findings = findings(&options(&[]), &WENT, seen());
        assert_eq!(findings.faults, [""; 0]);
        assert_eq!(findings.notes, [""; 0]);
        // 600 ms less the 100 ms that a second takes anyway, over ten.
        assert_eq!(value(&findings, "CPU of the engine for a join"), 50_000.0);
        assert_eq!(value(&findings, "all had joined after"), 1.5);
        assert_eq!(value(&findings, "latency of those there, after, p50"), {
            crate::run::measured::Quantiles::of(seen().after.latency.as_ref().unwrap())
                .unwrap()
                .p50_us
                / 1000.0
        });
    }

    #[test]
    fn what_must_not_be_is_a_fault() {
        let faults = |change: &dyn Fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            findings(&options(&[]), &WENT, seen).faults.join("\n")
        };
        let fault = faults(&|seen| seen.joiners.report.gaps = 1);
        assert!(fault.starts_with("1 events that did not continue"), "{fault}");
        let fault = faults(&|seen| seen.joiners.report.joins.joined = 9);
        assert!(
            fault.starts_with("1 of those who were to join did not"),
            "{fault}"
        );
        let fault = faults(&|seen| seen.joiners.report.joins.continued = 8);
        assert!(
            fault.starts_with("2 joined and got no event until the end"),
            "{fault}"
        );
        let fault = faults(&|seen| seen.after.latency = None);
        assert!(fault.contains("without any event for those there"), "{fault}");
        let fault = faults(&|seen| {
            seen.after.report.fleet.closed.insert(1013, 4);
        });
        assert!(
            fault.contains("4 connections closed by the server with 1013"),
            "{fault}"
        );
        let late = Went {
            is_whole: false,
            ..WENT
        };
        assert!(findings(&options(&[]), &late, seen()).faults[0].contains("within a minute"));
    }

    #[test]
    fn a_weaker_storm_is_told() {
        let mut weak = seen();
        weak.joiners.report.joins.last_asked_ns *= 2;
        let notes = findings(&options(&[]), &WENT, weak).notes;
        assert!(
            notes[0].starts_with("the load took 2.000 s to ask where 1.000 s"),
            "{notes:?}"
        );
        let notes = findings(&options(&["--since", "resume"]), &WENT, seen()).notes;
        assert_eq!(notes, ["handshakes: 10 a second were wanted and 10 were begun"]);
    }
}
