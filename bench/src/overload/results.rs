//! The figures of an overload, and what was wrong with it.

use super::options::OverloadOptions;
use super::plan::Offer;
use super::recovery::{growth, recovery};
use crate::crowd::crowds::CrowdTotals;
use crate::crowd::findings::{Course, Findings};
use crate::crowd::look::Between;
use crate::crowd::rest::RestSeen;
use crate::probe::queues::Queues;
use crate::run::report::grouped;

/// How soon after the load's end latencies have to be what they were.
const BACK_MS_MAX: u64 = 1000;

/// A core that is busy for less of its time is not overloaded, percent.
const FULL_PERCENT: f64 = 90.0;

/// A load that is further behind with its reading is told, ms.
const LOAD_BEHIND_MS_MAX: f64 = 20.0;

/// The close codes by which an engine gives up a slow consumer, and one that it cannot serve itself.
const EVICTED: u16 = 1008;
const OVERLOADED: u16 = 1013;

/// What was seen of an overload.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those who stay: before, in the overload, and from its end on.
    pub before: CrowdTotals,
    /// See `before`.
    pub during: CrowdTotals,
    /// See `before`.
    pub after: CrowdTotals,
    /// Those who make the load, in it.
    pub load: CrowdTotals,
    /// When they had left, CLOCK_MONOTONIC ns.
    pub ended_ns: u64,
    /// The engine and the cores before.
    pub calm: Between,
    /// In the overload.
    pub overload: Between,
    /// What lay in the connections' queues at its end.
    pub queues: Queues,
    /// Resident memory of the engine: before, at the overload's end, at the end.
    pub resident_bytes: [u64; 3],
    /// REST's books.
    pub rest: RestSeen,
}

/// What an overload came to.
pub fn findings(options: &OverloadOptions, offer: &Offer, sends_per_s: Option<f64>, seen: Seen) -> Findings {
    let mut findings = Findings::new();
    add_load(&mut findings, offer, sends_per_s, &seen);
    add_lost(&mut findings, &seen);
    for (what, totals) in [
        ("latency of those who stay, before", &seen.before),
        ("the same, in the overload", &seen.during),
        ("latency of the load, in the overload", &seen.load),
        ("latency of those who stay, after", &seen.after),
    ] {
        findings.add_times(what, totals.latency.as_ref());
    }
    add_end(&mut findings, &seen);
    add_engine(&mut findings, &seen);
    add_books(&mut findings, &seen);
    add_queues(&mut findings, &seen);
    if seen.overload.percent(seen.overload.server_core_busy_ns) < FULL_PERCENT {
        findings.notes.push(format!(
            "the server's core was not full, so this was no overload: give more than --times {}, or more with --connections and \
             --rate",
            options.times
        ));
    }
    findings.threads = seen.overload.threads;
    findings.courses = [
        ("before", seen.before.moments),
        ("overload", seen.during.moments),
        ("after", seen.after.moments),
    ]
    .map(|(phase, moments)| Course { phase, moments })
    .into();
    findings
}

fn add_load(findings: &mut Findings, offer: &Offer, sends_per_s: Option<f64>, seen: &Seen) {
    if let Some(sends_per_s) = sends_per_s {
        findings.add("sends that the core can make one by one", "/s", 0, sends_per_s);
        findings.add("times that offered", "", 2, offer.sends_per_s() / sends_per_s);
    }
    findings.add("connections", "", 0, offer.connections.into());
    findings.add("book changes", "/s", 0, offer.rate.into());
    findings.add("sends offered", "/s", 0, offer.sends_per_s());
    let seconds = seen.overload.seconds().max(1e-9);
    let frames = seen.load.report.fleet.frames + seen.during.report.fleet.frames;
    findings.add(
        "frames received, in the overload",
        "/s",
        0,
        frames as f64 / seconds,
    );
    findings.add(
        "ids that an event covers, before",
        "",
        2,
        ids_per_event(&[&seen.before]),
    );
    findings.add(
        "ids that an event covers, in the overload",
        "",
        2,
        ids_per_event(&[&seen.during, &seen.load]),
    );
    let silence = |totals: &[&CrowdTotals]| {
        let longest = totals.iter().map(|totals| totals.report.silence_ns).max();
        longest.unwrap_or(0) as f64 / 1e6
    };
    findings.add(
        "longest time between two events of a connection, before",
        "ms",
        1,
        silence(&[&seen.before]),
    );
    findings.add(
        "the same, in the overload",
        "ms",
        1,
        silence(&[&seen.during, &seen.load]),
    );
}

fn ids_per_event(totals: &[&CrowdTotals]) -> f64 {
    let sum = |of: fn(&CrowdTotals) -> u64| totals.iter().map(|totals| of(totals)).sum::<u64>() as f64;
    sum(|totals| totals.report.ids) / sum(|totals| totals.report.events).max(1.0)
}

fn add_lost(findings: &mut Findings, seen: &Seen) {
    let closed = |codes: &dyn Fn(u16) -> bool| {
        // Each is counted ever.
        let of = |totals: &CrowdTotals| {
            let closed = totals.report.fleet.closed.iter();
            closed
                .filter(|(code, _)| codes(**code))
                .map(|(_, count)| f64::from(*count))
                .sum::<f64>()
        };
        of(&seen.after) + of(&seen.load)
    };
    findings.add("evicted (1008)", "", 0, closed(&|code| code == EVICTED));
    findings.add(
        "closed for the engine's overload (1013)",
        "",
        0,
        closed(&|code| code == OVERLOADED),
    );
    findings.add(
        "lost otherwise",
        "",
        0,
        closed(&|code| code != EVICTED && code != OVERLOADED),
    );
    let gaps = |totals: &CrowdTotals| totals.report.gaps + totals.report.fleet.book_gaps;
    findings.add("gaps", "", 0, (gaps(&seen.after) + gaps(&seen.load)) as f64);
    findings.check("those who stay", &seen.after);
    findings.check("the load", &seen.load);
    findings.must_be_none(
        u64::from(seen.load.report.events == 0),
        "overload without any event for those who make it",
    );
    if let Some((second_us, last_us)) = growth(&seen.during.moments) {
        findings.faults.push(format!(
            "latencies went on growing: 99 of 100 within {:.0} ms in the overload's second quarter, and {:.0} ms in its last",
            second_us as f64 / 1e3,
            last_us as f64 / 1e3
        ));
    }
}

fn add_end(findings: &mut Findings, seen: &Seen) {
    let early_ms = seen.ended_ns.saturating_sub(seen.after.report.begun_ns) / 1_000_000;
    let end = recovery(&seen.before.moments, &seen.after.moments, early_ms);
    let usual_ms = end.usual_us as f64 / 1e3;
    findings.add(
        "latency p99 before, in the worst tenth of a second",
        "ms",
        2,
        usual_ms,
    );
    match end.back_ms {
        Some(back_ms) => {
            findings.add(
                "back to that after the load's end, after",
                "s",
                1,
                back_ms as f64 / 1e3,
            );
            if back_ms > BACK_MS_MAX {
                findings.faults.push(format!(
                    "it took {:.1} s after the load's end until latencies were again within the {usual_ms:.2} ms of before, and a \
                     second is allowed",
                    back_ms as f64 / 1e3
                ));
            }
        }
        None => findings.faults.push(format!(
            "latencies did not come back to the {usual_ms:.2} ms of before: give a longer --after to see when they do"
        )),
    }
    if end.slip_us > 0 {
        findings.notes.push(format!(
            "the simulated market was held up, and its time stood still for {:.1} s: the latencies in and after the overload are \
             up to so much too large",
            end.slip_us as f64 / 1e6
        ));
    }
}

fn add_engine(findings: &mut Findings, seen: &Seen) {
    let (calm, overload) = (&seen.calm, &seen.overload);
    findings.add_engine_share("before", calm);
    findings.add_engine_share("in the overload", overload);
    findings.add_engine_times(overload);
    findings.add_cores(overload);
    let [before, over, last] = seen.resident_bytes.map(|bytes| bytes as f64);
    findings.add_bytes("resident memory of the engine, before", before);
    findings.add_bytes("the same, at the overload's end", over);
    findings.add_bytes("the same, at the end", last);
}

/// How far the load itself was behind.
fn add_queues(findings: &mut Findings, seen: &Seen) {
    let Queues {
        unsent_bytes,
        unread_bytes,
    } = seen.queues;
    findings.add_bytes("unsent at the engine, at the overload's end", unsent_bytes as f64);
    findings.add_bytes("unread by the load, at the overload's end", unread_bytes as f64);
    let bytes = seen.load.report.fleet.bytes + seen.during.report.fleet.bytes;
    let bytes_per_ms = bytes as f64 / (seen.overload.seconds() * 1e3).max(1e-9);
    let behind_ms = unread_bytes as f64 / bytes_per_ms.max(1e-9);
    if behind_ms > LOAD_BEHIND_MS_MAX {
        findings.notes.push(format!(
            "at the overload's end the load had {behind_ms:.0} ms of reading before it: of its latencies about as much is its own. \
             Those who stay are read by a process of their own"
        ));
    }
}

fn add_books(findings: &mut Findings, seen: &Seen) {
    findings.add(
        "depth events that kept a book",
        "",
        0,
        [&seen.before, &seen.during, &seen.after]
            .map(|totals| totals.report.fleet.book_events as f64)
            .iter()
            .sum(),
    );
    findings.add(
        "books held against each other at equal ids",
        "",
        0,
        seen.after.report.compared as f64,
    );
    findings.add(
        "books held against REST's at equal ids",
        "",
        0,
        seen.rest.compared as f64,
    );
    findings.must_be_none(
        u64::from(seen.after.report.compared == 0),
        "comparison of books: no two stood at one id",
    );
    findings.must_be_none(
        seen.rest.different,
        "books of REST that say something else than the connections' at the same id",
    );
    if seen.rest.compared == 0 {
        let why = match &seen.rest.error {
            Some(error) => error.clone(),
            None => format!(
                "none stood at an id at which an event ended; {} is the newest that did",
                grouped(newest_id(&seen.after) as f64, 0)
            ),
        };
        findings
            .faults
            .push(format!("no book of REST could be compared: {why}"));
    }
}

fn newest_id(totals: &CrowdTotals) -> u64 {
    let newest = totals.books.values().filter_map(|ids| ids.keys().next_back());
    newest.copied().max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
