//! The figures of a command with crowds, for people as a table and for programs as JSON, and what was wrong.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::crowds::CrowdTotals;
use super::look::Between;
use crate::fleet::moments::Moment;
use crate::run::measured::Quantiles;
use crate::run::report::grouped;

/// By how much an event may be faster than the floor before that is told, ns.
const BELOW_FLOOR_MAX_NS: u64 = 1_000_000;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What.
    pub name: String,
    /// Its unit; empty for a number without one.
    pub unit: &'static str,
    /// Digits behind the point that are shown.
    #[serde(skip)]
    digits: usize,
    /// How much.
    pub value: f64,
}

/// Latencies over a time, by tenths of a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// Which time.
    pub phase: &'static str,
    /// Of those who were there.
    pub moments: Vec<Moment>,
}

/// How a figure went over a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Seconds since the beginning, and how much.
    pub points: Vec<(f64, f64)>,
}

/// Everything a command found out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// The command line.
    pub command: Vec<String>,
    /// The figures, in the order in which they are shown.
    pub figures: Vec<Figure>,
    /// Time of each of the engine's threads in the time that is measured, ns, by name.
    pub threads: Vec<(String, u64)>,
    /// How latencies went.
    pub courses: Vec<Course>,
    /// Figures over a time.
    pub series: Vec<Series>,
    /// What was wrong: the command ends with 4.
    pub faults: Vec<String>,
    /// What somebody who reads the figures should know.
    pub notes: Vec<String>,
}

impl Findings {
    /// Of this command line.
    pub fn new() -> Findings {
        Findings {
            command: std::env::args().skip(1).collect(),
            ..Findings::default()
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, name: impl Into<String>, unit: &'static str, digits: usize, value: f64) {
        self.figures.push(Figure {
            name: name.into(),
            unit,
            digits,
            value,
        });
    }

    /// Adds half, 99 of 100 and the longest of some times, of nanoseconds, as milliseconds.
    pub fn add_times(&mut self, what: &str, times: Option<&Histogram<u64>>) {
        let Some(quantiles) = times.and_then(Quantiles::of) else {
            return;
        };
        let of = [
            ("p50", quantiles.p50_us),
            ("p99", quantiles.p99_us),
            ("longest", quantiles.max_us),
        ];
        for (which, us) in of {
            self.add(format!("{what}, {which}"), "ms", 2, us / 1000.0);
        }
    }

    /// Adds the engine's CPU between two looks, `when` that was.
    pub fn add_engine_share(&mut self, when: &str, between: &Between) {
        let share = between.percent(between.run_ns);
        self.add(format!("CPU of the engine, {when}"), "% of a core", 1, share);
    }

    /// Adds the engine's CPU times in what is measured.
    pub fn add_engine_times(&mut self, between: &Between) {
        for (mode, ns) in [("user", between.user_ns), ("system", between.system_ns)] {
            self.add(
                format!("{mode} time of the engine in it"),
                "ms",
                0,
                ns as f64 / 1e6,
            );
        }
    }

    /// Adds how busy the cores were in what is measured.
    pub fn add_cores(&mut self, between: &Between) {
        for (what, ns) in [
            ("server's core busy", between.server_core_busy_ns),
            ("load's core busy", between.fleet_core_busy_ns),
            ("taken by the host (steal)", between.steal_ns),
        ] {
            self.add(format!("{what}, in it"), "%", 1, between.percent(ns));
        }
    }

    /// Adds memory.
    pub fn add_bytes(&mut self, name: impl Into<String>, bytes: f64) {
        self.add(name, "MB", 1, bytes / 1e6);
    }

    /// A fault if there is any of what must not be.
    pub fn must_be_none(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.faults.push(format!("{} {what}", grouped(count as f64, 0)));
        }
    }

    /// What is wrong with any crowd: gaps, broken frames, refusals, books that differ, connections that the server closed.
    pub fn check(&mut self, who: &str, totals: &CrowdTotals) {
        let report = &totals.report;
        let fleet = &report.fleet;
        let before = self.faults.len();
        let mut check = |count: u64, what: &str| self.must_be_none(count, &format!("{what} ({who})"));
        check(report.gaps, "events that did not continue the one before");
        check(
            fleet.book_gaps,
            "events that did not continue their book, or books that differ",
        );
        check(fleet.malformed, "malformed frames");
        check(report.refused, "refused requests");
        check(
            totals.differing,
            "ids at which books of two processes say something else",
        );
        for (code, count) in &fleet.closed {
            check(
                u64::from(*count),
                &format!("connections closed by the server with {code}"),
            );
        }
        if let (Some(fault), true) = (&fleet.first_fault, self.faults.len() > before) {
            self.faults.push(format!("first: {fault}"));
        }
        if report.below_floor_ns > BELOW_FLOOR_MAX_NS {
            self.notes.push(format!(
                "an event was {:.1} ms faster than all before the measurement, so that latencies ({who}) are too small by as much: \
                 give a longer --warm-up",
                report.below_floor_ns as f64 / 1e6
            ));
        }
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        for figure in &self.figures {
            let value = grouped(figure.value, figure.digits);
            let gap = if figure.unit.is_empty() || figure.unit.starts_with('/') {
                ""
            } else {
                " "
            };
            table.add_row(vec![figure.name.clone(), format!("{value}{gap}{}", figure.unit)]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_is_a_fault_with_who_and_the_first() {
        let mut totals = CrowdTotals::default();
        let mut findings = Findings::default();
        findings.check("those there", &totals);
        assert_eq!((findings.faults.len(), findings.notes.len()), (0, 0));
        totals.report.gaps = 1200;
        totals.report.fleet.closed = [(1008, 3)].into();
        totals.report.fleet.first_fault = Some("connection 5: slow".into());
        totals.report.below_floor_ns = 2_000_000;
        totals.differing = 1;
        findings.check("those there", &totals);
        assert_eq!(
            findings.faults,
            [
                "1,200 events that did not continue the one before (those there)",
                "1 ids at which books of two processes say something else (those there)",
                "3 connections closed by the server with 1008 (those there)",
                "first: connection 5: slow",
            ]
        );
        assert!(
            findings.notes[0].contains("2.0 ms faster"),
            "{:?}",
            findings.notes
        );
    }

    #[test]
    fn figures_are_shown_with_their_units() {
        let mut findings = Findings::default();
        findings.add("joins", "", 0, 20_000.0);
        let mut times = Histogram::new(3).unwrap();
        times.record(2_000_000).unwrap();
        findings.add_times("time to the snapshot", Some(&times));
        findings.add_times("nothing", None);
        findings.add_bytes("peak", 1_234_567_890.0);
        let table = findings.table();
        assert!(
            table.contains("20,000") && table.contains("1,234.6 MB"),
            "{table}"
        );
        assert!(
            table.contains("time to the snapshot, p99") && table.contains("2.00 ms"),
            "{table}"
        );
        assert!(!table.contains("nothing"), "{table}");
    }
}
