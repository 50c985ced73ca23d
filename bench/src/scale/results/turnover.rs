//! The figures of connections that left and came back, and what was wrong with that.

use super::{add_cpu, add_memory, check};
use crate::control::Went;
use crate::crowd::findings::{Findings, Series};
use crate::crowd::returns::ReturnReport;
use crate::run::report::grouped;
use crate::scale::course::{GROWN_BYTES_MAX, GROWN_SHARE_MAX, MemoryCourse};
use crate::scale::memory::MemoryLook;
use crate::scale::options::{RETURN_PATIENCE, ScaleOptions};
use crate::scale::window::Seen;

/// Of the memory before all went, so much more may be there when all are back: tables that have grown and are kept.
const BACK_SHARE_MAX: f64 = 0.05;

/// The same of each worker, bytes: the kernel spreads those who come back anew, and one that has some more than before has another
/// chunk of 1,024 places in each of its tables (110 KB), and what its pools keep once they have been filled.
const BACK_BYTES_PER_WORKER: f64 = 256.0 * 1024.0;

/// What was seen of connections that left and came back.
#[derive(Debug)]
pub struct Turnover {
    /// Memory before.
    pub before: MemoryLook,
    /// Memory once all had settled again.
    pub after: MemoryLook,
    /// The engine's memory meanwhile.
    pub course: MemoryCourse,
    /// Who came back.
    pub went: Went,
}

/// Some left and came back all the time.
pub fn add_churn(findings: &mut Findings, options: &ScaleOptions, turnover: &Turnover, seen: &Seen) {
    let returns = add_returns(findings, turnover, seen);
    let seconds = seen.between.seconds().max(1e-9);
    findings.add("left and came back", "/s", 0, returns.back as f64 / seconds);
    findings.must_be_none(
        returns.failures.values().sum(),
        "connects of those who came back failed",
    );
    let wanted = f64::from(options.connections()) * options.churn / 100.0 * options.window().as_secs_f64();
    findings.add(
        "of those who were to leave, did",
        "%",
        1,
        100.0 * left(&returns) / wanted.max(1.0),
    );
    match turnover.course.trend() {
        Some(trend) => {
            findings.add(
                "memory's trend, its first fifth left out",
                "B/s",
                0,
                trend.bytes_per_s,
            );
            findings.add_bytes("memory's trend over the whole time", trend.grown_bytes());
            findings.add_bytes("memory, most less least", trend.swing_bytes);
            if !trend.is_flat() {
                findings.faults.push(format!(
                    "memory is not flat: its trend grew by {} KB in {:.0} s, and {:.0} % of what there was or {:.0} KB are allowed",
                    grouped(trend.grown_bytes() / 1e3, 0),
                    trend.seconds,
                    GROWN_SHARE_MAX * 100.0,
                    GROWN_BYTES_MAX / 1e3
                ));
            }
        }
        None => findings
            .notes
            .push("too short for a trend of memory: give a longer --for".into()),
    }
    add_cpu(findings, "in the churn", seen);
    check(findings, options, "", seen);
}

/// All left at once and came back.
pub fn add_reconnect(findings: &mut Findings, options: &ScaleOptions, turnover: &Turnover, seen: &Seen) {
    let returns = add_returns(findings, turnover, seen);
    findings.add("lost their connection at once", "", 0, left(&returns));
    findings.add("the last one was back after", "s", 2, turnover.went.seconds);
    findings.add("tries of one at most", "", 0, returns.tries_max.into());
    let (before, after) = (
        turnover.before.engine_bytes as f64,
        turnover.after.engine_bytes as f64,
    );
    findings.add_bytes(
        "engine's anonymous memory, the most in it",
        turnover.course.most(),
    );
    let workers = options.scene.workers(options.connections());
    let allowed = (before * BACK_SHARE_MAX)
        .max(GROWN_BYTES_MAX)
        .max(f64::from(workers) * BACK_BYTES_PER_WORKER);
    if after - before > allowed {
        findings.faults.push(format!(
            "memory is not back: the engine had {} KB before and {} KB when all were back, and {} KB more are allowed",
            grouped(before / 1e3, 0),
            grouped(after / 1e3, 0),
            grouped(allowed / 1e3, 0)
        ));
    }
    for (reason, count) in &returns.failures {
        findings
            .notes
            .push(format!("{} tries failed: {reason}", grouped(*count as f64, 0)));
    }
    add_cpu(findings, "in it", seen);
    check(findings, options, "", seen);
}

fn left(returns: &ReturnReport) -> f64 {
    (returns.left_with_close + returns.left_without) as f64
}

/// What both have in common.
fn add_returns(findings: &mut Findings, turnover: &Turnover, seen: &Seen) -> ReturnReport {
    let mut returns = seen.first.report.returns.clone();
    returns.add(&seen.others.report.returns);
    findings.add("left with a Close", "", 0, returns.left_with_close as f64);
    findings.add("left without", "", 0, returns.left_without as f64);
    findings.add("tries to come back", "", 0, returns.tries as f64);
    findings.add(
        "of them refused, late or failed",
        "",
        0,
        returns.failures.values().sum::<u64>() as f64,
    );
    findings.add_times(
        "from leaving to the first message of the stream",
        seen.others.join_times.as_ref(),
    );
    let joins = [&seen.first, &seen.others].map(|totals| totals.report.joins.clone());
    let missing: u32 = joins
        .iter()
        .map(|joins| joins.asked.saturating_sub(joins.joined))
        .sum();
    findings.must_be_none(
        missing.into(),
        "of those who left have not come back to their stream",
    );
    if !turnover.went.is_whole {
        findings
            .faults
            .push(format!("not all were back {} s after", RETURN_PATIENCE.as_secs()));
    }
    add_memory(findings, &turnover.before.when, &turnover.before);
    add_memory(findings, &turnover.after.when, &turnover.after);
    findings.series.push(Series {
        name: "engine's anonymous memory",
        unit: "B",
        points: turnover
            .course
            .points()
            .iter()
            .map(|point| (point.at_s, point.bytes))
            .collect(),
    });
    returns
}
