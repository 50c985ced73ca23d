//! The figures for people, as tables, and for programs, as JSON.

use std::collections::BTreeSet;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::measured::{Measured, Quantiles};
use super::paired::Median;
use super::slow::figures::SlowFigures;

/// One figure.
struct Figure {
    name: &'static str,
    unit: &'static str,
    /// Digits after the point.
    digits: usize,
    of: fn(&Measured) -> Option<f64>,
}

const fn figure(
    name: &'static str,
    unit: &'static str,
    digits: usize,
    of: fn(&Measured) -> Option<f64>,
) -> Figure {
    Figure {
        name,
        unit,
        digits,
        of,
    }
}

fn latency(run: &Measured, of: fn(&Quantiles) -> f64) -> Option<f64> {
    run.latency.as_ref().map(|quantiles| of(quantiles) / 1000.0)
}

fn pass(run: &Measured, of: fn(&Quantiles) -> f64) -> Option<f64> {
    run.pass.as_ref().map(|quantiles| of(quantiles) / 1000.0)
}

fn slow(run: &Measured, of: fn(&SlowFigures) -> Option<f64>) -> Option<f64> {
    run.slow.as_ref().and_then(of)
}

/// All figures, in the order in which they are shown.
const FIGURES: [Figure; 26] = [
    figure("frames received", "/s", 0, |run| Some(run.frames_per_s())),
    figure("sends", "/s", 0, |run| Some(run.sends_per_s())),
    figure("bytes of a send", "B", 0, |run| Some(run.bytes_per_send())),
    figure("send calls a connection and flush", "", 3, |run| {
        run.calls_per_segment.map(|_| run.calls_per_flush())
    }),
    figure("user time of a send, server", "ns", 0, |run| {
        Some(run.user_ns_per_send())
    }),
    figure("CPU of a send, server", "ns", 0, |run| {
        Some(run.run_ns_per_send())
    }),
    figure("CPU of a send, whole machine", "ns", 0, |run| {
        Some(run.cpu_ns_per_send())
    }),
    figure("server's core busy", "%", 1, |run| {
        Some(100.0 * run.server_core_busy_ns as f64 / run.window_ns as f64)
    }),
    figure("softirq, of one core", "%", 1, |run| {
        Some(100.0 * run.softirq_ns as f64 / run.window_ns as f64)
    }),
    figure("taken by the host (steal), of one core", "%", 1, |run| {
        Some(100.0 * run.steal_ns as f64 / run.window_ns as f64)
    }),
    figure("frames a busy second of the server's core", "", 0, |run| {
        Some(run.frames_per_busy_s())
    }),
    figure("latency p50", "ms", 2, |run| {
        latency(run, |quantiles| quantiles.p50_us)
    }),
    figure("latency p99", "ms", 2, |run| {
        latency(run, |quantiles| quantiles.p99_us)
    }),
    figure("latency p99.9", "ms", 2, |run| {
        latency(run, |quantiles| quantiles.p999_us)
    }),
    figure("latency, longest", "ms", 2, |run| {
        latency(run, |quantiles| quantiles.max_us)
    }),
    figure("a round over all, p50", "ms", 2, |run| {
        pass(run, |quantiles| quantiles.p50_us)
    }),
    figure("a round over all, p99", "ms", 2, |run| {
        pass(run, |quantiles| quantiles.p99_us)
    }),
    figure("handshakes", "/s", 0, |run| Some(run.handshakes_per_s())),
    figure("handshakes a CPU second of the server", "", 0, |run| {
        Some(run.handshakes_per_server_s())
    }),
    figure("memory of a connection, server", "B", 0, |run| {
        Some(run.server_bytes_per_connection)
    }),
    figure("kernel slab of a connection, both ends", "B", 0, |run| {
        Some(run.slab_bytes_per_connection)
    }),
    figure("gone after first block, max", "s", 2, |run| {
        slow(run, |slow| slow.kept.map(|kept| kept.max_s))
    }),
    figure("memory of a blocked one, server", "B", 0, |run| {
        slow(run, |slow| slow.memory.map(|memory| memory.user_bytes))
    }),
    figure("TCP's queues of a blocked one, both ends", "B", 0, |run| {
        slow(run, |slow| slow.memory.map(|memory| memory.tcp_bytes))
    }),
    figure("kernel slab of a blocked one, both ends", "B", 0, |run| {
        slow(run, |slow| slow.memory.map(|memory| memory.slab_bytes))
    }),
    figure("depth events checked against books", "", 0, |run| {
        (run.book_events > 0).then_some(run.book_events as f64)
    }),
];

/// A figure of all runs.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What.
    pub name: &'static str,
    /// Its unit; empty for a number without one.
    pub unit: &'static str,
    /// Of the server that is measured.
    pub measured: Option<Median>,
    /// Of what it is compared with.
    pub against: Option<Median>,
    /// The paired ratios.
    pub ratio: Option<Median>,
}

/// Everything a command found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The command line.
    pub command: Vec<String>,
    /// What was measured: `engine` or `bare loop`.
    pub server: &'static str,
    /// What that was compared with.
    pub against: Option<&'static str>,
    /// The figures.
    pub summaries: Vec<Summary>,
    /// Each run of what was measured.
    pub runs: Vec<Measured>,
    /// Each run of what it was compared with, in pairs with those.
    pub against_runs: Vec<Measured>,
}

impl Report {
    /// Sums up runs; those of `against` are paired with them in order.
    pub fn of(
        server: &'static str,
        runs: Vec<Measured>,
        against: Option<&'static str>,
        against_runs: Vec<Measured>,
    ) -> Report {
        let summaries = FIGURES
            .iter()
            .map(|figure| figure.summary(&runs, &against_runs))
            .collect();
        Report {
            command: std::env::args().skip(1).collect(),
            server,
            against,
            summaries,
            runs,
            against_runs,
        }
    }

    /// What was wrong in any run.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        let runs = self.runs.iter().chain(&self.against_runs);
        runs.flat_map(|run| run.faults.iter().map(String::as_str))
    }

    /// What somebody who reads the figures should know, each once.
    pub fn notes(&self) -> BTreeSet<&str> {
        let runs = self.runs.iter().chain(&self.against_runs);
        runs.flat_map(|run| run.notes.iter().map(String::as_str))
            .collect()
    }

    /// What became of slow readers, for people; of each run where there are several.
    pub fn slow_lines(&self) -> Vec<String> {
        let runs = self.runs.iter().chain(&self.against_runs);
        let lines: Vec<Vec<String>> = runs.filter_map(|run| Some(run.slow.as_ref()?.lines())).collect();
        match lines.as_slice() {
            [only] => only.clone(),
            _ => (1..)
                .zip(&lines)
                .flat_map(|(n, lines)| lines.iter().map(move |line| format!("run {n}: {line}")))
                .collect(),
        }
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        let mut header = vec![String::new(), self.server.into()];
        if let Some(against) = self.against {
            header.extend([against.into(), "ratio, median of pairs".into()]);
        }
        let columns = header.len();
        table.set_header(header);
        for (summary, figure) in self.summaries.iter().zip(&FIGURES) {
            if summary.measured.is_none() && summary.against.is_none() {
                continue;
            }
            let mut row = vec![figure.name.to_string(), figure.text(summary.measured)];
            if self.against.is_some() {
                row.push(figure.text(summary.against));
                row.push(
                    summary
                        .ratio
                        .map_or_else(String::new, |ratio| spread(ratio, 3, "")),
                );
            }
            table.add_row(row);
        }
        for column in 1..columns {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }
}

impl Figure {
    fn summary(&self, runs: &[Measured], against: &[Measured]) -> Summary {
        let values = |runs: &[Measured]| runs.iter().filter_map(self.of).collect::<Vec<f64>>();
        let ratios: Vec<f64> = runs
            .iter()
            .zip(against)
            .filter_map(|(run, against)| Some((self.of)(run)? / (self.of)(against)?))
            .collect();
        Summary {
            name: self.name,
            unit: self.unit,
            measured: Median::of(&values(runs)),
            against: Median::of(&values(against)),
            ratio: Median::of(&ratios),
        }
    }

    fn text(&self, median: Option<Median>) -> String {
        median.map_or_else(|| "-".into(), |median| spread(median, self.digits, self.unit))
    }
}

/// A median with its interval where there is more than one value.
fn spread(median: Median, digits: usize, unit: &str) -> String {
    let gap = if unit.is_empty() || unit.starts_with('/') {
        ""
    } else {
        " "
    };
    let value = grouped(median.median, digits);
    if median.count == 1 {
        return format!("{value}{gap}{unit}");
    }
    let (low, high) = (grouped(median.low, digits), grouped(median.high, digits));
    format!("{value}{gap}{unit} [{low}, {high}]")
}

/// A number with its thousands set apart.
pub(crate) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{out}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(user_ns: u64) -> Measured {
        Measured {
            connections: 10,
            open_s: 1.0,
            open_server_ns: 1,
            window_ns: 1_000_000_000,
            fleet_window_ns: 1_000_000_000,
            frames: 1000,
            segments: 1000,
            user_ns,
            frames_per_flush: 1,
            server_core_busy_ns: 1,
            ..Measured::default()
        }
    }

    #[test]
    fn ratios_are_of_pairs() {
        let report = Report::of(
            "engine",
            vec![run(200_000), run(400_000), run(900_000)],
            Some("bare loop"),
            vec![run(100_000), run(100_000), run(300_000)],
        );
        let user = report
            .summaries
            .iter()
            .find(|summary| summary.name.starts_with("user time"))
            .unwrap();
        assert_eq!(user.measured.unwrap().median, 400.0);
        // 2, 4 and 3, not the ratio of the medians, which would be 4.
        assert_eq!(user.ratio.unwrap().median, 3.0);
        let table = report.table();
        assert!(table.contains("400 ns [200, 900]"), "{table}");
        assert!(table.contains("3.000 [2.000, 4.000]"), "{table}");
        assert!(
            !table.contains("latency"),
            "what nobody measured is left out: {table}"
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(-1234.56, 1), "-1,234.6");
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(0.5, 2), "0.50");
    }
}
