//! The figures of a case, and what was wrong with it.

pub mod requests;
pub mod turnover;

use super::memory::MemoryLook;
use super::options::ScaleOptions;
use super::ramp::Ramp;
use super::window::Seen;
use crate::crowd::crowds::CrowdTotals;
use crate::crowd::findings::Findings;
use crate::crowd::look::Between;
use crate::crowd::rest::RestSeen;
use crate::run::report::grouped;

/// The close codes by which an engine gives up a slow consumer, and one that it cannot serve itself.
const EVICTED: u16 = 1008;
const OVERLOADED: u16 = 1013;

/// Of the pings that are due in a window, so many have to be answered in it: those at its ends may fall out of it.
const PINGS_SHARE_MIN: f64 = 0.9;

/// A core that is busy for more of its time is a limit itself, percent.
const FULL_PERCENT: f64 = 90.0;

/// How opening went, and what each connection takes.
pub fn add_ramp(findings: &mut Findings, options: &ScaleOptions, ramp: &Ramp) {
    findings.add("connections asked for", "", 0, options.connections().into());
    findings.add("connections opened", "", 0, ramp.open.into());
    if ramp.most.count > 0 {
        let count = f64::from(ramp.most.count);
        findings.add(
            "opened behind the first tenth",
            "/s",
            0,
            count / ramp.most.seconds.max(1e-9),
        );
        findings.add("the same took", "s", 2, ramp.most.seconds);
        let each_us = ramp.between.run_ns as f64 / count / 1e3;
        findings.add(
            "CPU of the engine for each, while they were opened",
            "us",
            1,
            each_us,
        );
    }
    for look in &ramp.looks {
        add_memory(findings, &look.when, look);
    }
    if let [.., tenth, all] = ramp.looks.as_slice()
        && let Some(each) = all.per_connection(tenth)
    {
        for (name, bytes) in [
            ("a connection: anonymous memory of the engine", each.engine_bytes),
            ("a connection: anonymous memory of the load", each.fleet_bytes),
            ("a socket: kernel slab", each.slab_bytes_per_socket),
            (
                "a socket: of that, caches of sockets, files and polls",
                each.socket_slab_bytes_per_socket,
            ),
            ("a connection: TCP's queues", each.tcp_queue_bytes),
            ("a connection: memory of the host, both ends", each.whole_bytes),
        ] {
            findings.add(name, "B", 0, bytes);
        }
    }
    if let Some(stopped) = &ramp.stopped {
        findings.faults.push(format!(
            "opening stopped at {} of {} connections: {stopped}",
            grouped(ramp.open.into(), 0),
            grouped(options.connections().into(), 0)
        ));
    }
}

/// Memory at a moment.
pub fn add_memory(findings: &mut Findings, when: &str, look: &MemoryLook) {
    findings.add_bytes(
        format!("engine's anonymous memory, {when}"),
        look.engine_bytes as f64,
    );
    findings.add_bytes(format!("kernel slab, {when}"), look.slab_bytes as f64);
}

/// Connections at rest.
pub fn add_rest(findings: &mut Findings, options: &ScaleOptions, what: &str, seen: &Seen) {
    add_cpu(findings, what, seen);
    let pings = seen.sum(|totals| totals.report.fleet.pings);
    let seconds = seen.between.seconds().max(1e-9);
    findings.add(format!("pings answered, {what}"), "/s", 0, pings as f64 / seconds);
    let events = seen.sum(|totals| totals.report.events);
    findings.add(format!("events, {what}"), "/s", 1, events as f64 / seconds);
    check(findings, options, &format!(", {what}"), seen);
}

/// What a ping costs: what the engine with pings used more than the one without, over the pings.
pub fn add_pings(findings: &mut Findings, options: &ScaleOptions, without: Option<&Seen>, with: &Seen) {
    let pings = with.sum(|totals| totals.report.fleet.pings) as f64;
    let seconds = with.between.seconds();
    let due = f64::from(options.connections()) * seconds * 1e3 / f64::from(options.ping_ms);
    if seconds * 1e3 >= f64::from(options.ping_ms) && pings < due * PINGS_SHARE_MIN {
        findings.faults.push(format!(
            "{} pings came to the connections, and {} were due",
            grouped(pings, 0),
            grouped(due, 0)
        ));
    }
    let Some(without) = without else {
        return;
    };
    findings.must_be_none(
        without.sum(|totals| totals.report.fleet.pings),
        "pings of the engine that was to send none",
    );
    if pings == 0.0 {
        return;
    }
    let share = |seen: &Seen, ns: u64| ns as f64 / seen.between.wall_ns.max(1) as f64;
    let more =
        |of: &dyn Fn(&Seen) -> u64| (share(with, of(with)) - share(without, of(without))) * seconds * 1e6;
    findings.add(
        "CPU of the engine for a ping",
        "us",
        2,
        more(&|seen| seen.between.run_ns) / pings,
    );
    findings.add(
        "CPU of the load for a ping",
        "us",
        2,
        more(&|seen| seen.fleet_run_ns) / pings,
    );
    let busy = |seen: &Seen| busy_ns(options, &seen.between);
    findings.add("busy time of both cores for a ping", "us", 2, more(&busy) / pings);
}

/// Connections with a market that moves.
pub fn add_use(findings: &mut Findings, options: &ScaleOptions, alone: &CrowdTotals, seen: &Seen) {
    let seconds = seen.between.seconds().max(1e-9);
    let connections = f64::from(options.connections());
    let events = seen.sum(|totals| totals.report.events) as f64;
    findings.add("updates due", "/s", 0, connections * f64::from(options.rate()));
    findings.add("events received", "/s", 0, events / seconds);
    findings.add_bytes(
        "bytes received a second",
        seen.sum(|totals| totals.report.fleet.bytes) as f64 / seconds,
    );
    let updates = f64::from(options.rate()) * seconds * connections;
    findings.add("updates that an event covers", "", 2, updates / events.max(1.0));
    findings.add(
        "ids that an event covers",
        "",
        2,
        ids_per_event(&[&seen.first, &seen.others]),
    );
    findings.add(
        "the same, to the first ones alone",
        "",
        2,
        ids_per_event(&[alone]),
    );
    let between_ms = seconds * 1e3 * connections / events.max(1.0);
    findings.add(
        "time between two events of a connection, mean",
        "ms",
        1,
        between_ms,
    );
    let longest_ns = seen.first.report.silence_ns.max(seen.others.report.silence_ns);
    findings.add("the same, longest", "ms", 1, longest_ns as f64 / 1e6);
    findings.add_times("latency, the first ones alone", alone.latency.as_ref());
    findings.add_times("latency, the first ones", seen.first.latency.as_ref());
    findings.add_times("latency, all others", seen.others.latency.as_ref());
    add_cpu(findings, "in use", seen);
    check(findings, options, "", seen);
    let heard = seen.sum(|totals| totals.report.heard.into());
    findings.must_be_none(
        u64::from(options.connections()).saturating_sub(heard),
        "connections that have had no event",
    );
    if seen.between.percent(seen.between.fleet_core_busy_ns) > FULL_PERCENT {
        findings.notes.push(
            "the load's core was full: latencies of all others are partly its own; the first ones have a process of their own".into(),
        );
    }
    if seen.between.percent(seen.between.server_core_busy_ns) > FULL_PERCENT {
        findings
            .notes
            .push("the engine's core was full: what limits the events is its time".into());
    }
}

/// CPU of the engine, the load and the cores.
pub(super) fn add_cpu(findings: &mut Findings, what: &str, seen: &Seen) {
    let between = &seen.between;
    for (name, unit, ns) in [
        ("CPU of the engine", "% of a core", between.run_ns),
        ("its user time", "% of a core", between.user_ns),
        ("its system time", "% of a core", between.system_ns),
        ("CPU of the load", "% of a core", seen.fleet_run_ns),
        ("server's core busy", "%", between.server_core_busy_ns),
        ("load's core busy", "%", between.fleet_core_busy_ns),
        ("softirqs of all cores", "% of a core", between.softirq_ns),
        ("taken by the host (steal)", "%", between.steal_ns),
    ] {
        findings.add(format!("{name}, {what}"), unit, 2, between.percent(ns));
    }
    findings.threads.clone_from(&between.threads);
}

fn busy_ns(options: &ScaleOptions, between: &Between) -> u64 {
    if options.scene.server_core == options.scene.fleet_core {
        return between.server_core_busy_ns;
    }
    between.server_core_busy_ns + between.fleet_core_busy_ns
}

/// Who was lost, and what else is wrong with any case; `which` as in [`add_books`].
pub(super) fn check(findings: &mut Findings, options: &ScaleOptions, which: &str, seen: &Seen) {
    let closed = |wanted: &dyn Fn(u16) -> bool| {
        let of = |totals: &CrowdTotals| -> u64 {
            let closed = totals.report.fleet.closed.iter();
            closed
                .filter(|(code, _)| wanted(**code))
                .map(|(_, count)| u64::from(*count))
                .sum()
        };
        seen.sum(of) as f64
    };
    let add = |findings: &mut Findings, name: &str, value: f64| {
        findings.add(format!("{name}{which}"), "", 0, value);
    };
    let open = seen.sum(|totals| totals.report.fleet.open.into());
    add(findings, "open in the end", open as f64);
    add(findings, "evicted (1008)", closed(&|code| code == EVICTED));
    add(
        findings,
        "closed for the engine's overload (1013)",
        closed(&|code| code == OVERLOADED),
    );
    add(
        findings,
        "lost otherwise",
        closed(&|code| code != EVICTED && code != OVERLOADED),
    );
    let gaps = seen.sum(|totals| totals.report.gaps + totals.report.fleet.book_gaps);
    add(findings, "gaps", gaps as f64);
    add(findings, "conflated", seen.conflated as f64);
    match &seen.stats {
        Some(stats) => {
            add(
                findings,
                "blocked in the end, as the engine says",
                stats.blocked as f64,
            );
            add(findings, "refused, as the engine says", stats.refused as f64);
            findings.must_be_none(stats.evicted, "evicted, as the engine says");
        }
        None => findings.faults.push("the engine has told no counts".into()),
    }
    findings.must_be_none(
        u64::from(options.connections()).saturating_sub(open),
        "connections are not open in the end",
    );
    findings.check("the first ones", &seen.first);
    findings.check("all others", &seen.others);
}

fn ids_per_event(totals: &[&CrowdTotals]) -> f64 {
    let sum = |of: fn(&CrowdTotals) -> u64| totals.iter().map(|totals| of(totals)).sum::<u64>() as f64;
    sum(|totals| totals.report.ids) / sum(|totals| totals.report.events).max(1.0)
}

/// The whole books; `which` is what follows the names of the figures.
pub fn add_books(findings: &mut Findings, which: &str, seen: &Seen, rest: &RestSeen) {
    let add = |findings: &mut Findings, name: &str, value: f64| {
        findings.add(format!("{name}{which}"), "", 0, value);
    };
    let kept = seen.sum(|totals| totals.report.fleet.books.into());
    add(findings, "connections that keep whole books", kept as f64);
    let compared = seen.sum(|totals| totals.report.compared);
    add(
        findings,
        "books held against each other at equal ids",
        compared as f64,
    );
    add(
        findings,
        "books held against REST's at equal ids",
        rest.compared as f64,
    );
    let mut all = seen.others.clone();
    let before = all.differing;
    all.add_books(&seen.first.books);
    findings.must_be_none(
        all.differing - before,
        "ids at which books of the first ones and of others say something else",
    );
    findings.must_be_none(
        rest.different,
        "books of REST that say something else than the connections' at the same id",
    );
    if rest.compared == 0 {
        let why = rest.error.clone();
        let why = why.unwrap_or_else(|| "none stood at an id at which an event ended".into());
        findings
            .faults
            .push(format!("no book of REST could be compared: {why}"));
    }
}

#[cfg(test)]
mod tests;
