//! Figures of streams beside requests to REST.

use super::{add_cpu, check};
use crate::crowd::findings::Findings;
use crate::run::measured::Quantiles;
use crate::scale::options::ScaleOptions;
use crate::scale::requests::Answered;
use crate::scale::window::Seen;

/// Of the requests of a window so many have to be answered in it.
const ANSWERED_SHARE_MIN: f64 = 0.98;

/// Windows without requests and with, in the order in which they were.
pub fn add(findings: &mut Findings, options: &ScaleOptions, windows: &[(Seen, Option<Answered>)]) {
    for (n, (seen, answered)) in (1..).zip(windows) {
        let which = match answered {
            Some(_) => format!("{n}: beside requests"),
            None => format!("{n}: without"),
        };
        let events = seen.sum(|totals| totals.report.events) as f64;
        let seconds = seen.between.seconds().max(1e-9);
        findings.add(format!("events received, {which}"), "/s", 0, events / seconds);
        findings.add_times(&format!("latency, {which}"), seen.others.latency.as_ref());
        add_cpu(findings, &which, seen);
        if let Some(answered) = answered {
            add_answers(findings, options, &which, seconds, answered);
        }
        check(findings, options, &format!(", {which}"), seen);
    }
    let p99_ms = |is_beside: bool| {
        let of_kind = windows
            .iter()
            .filter(|(_, answered)| answered.is_some() == is_beside);
        let p99: Vec<f64> = of_kind
            .filter_map(|(seen, _)| Quantiles::of(seen.others.latency.as_ref()?))
            .map(|quantiles| quantiles.p99_us / 1e3)
            .collect();
        p99.iter().sum::<f64>() / p99.len() as f64
    };
    let (without, beside) = (p99_ms(false), p99_ms(true));
    findings.add("latency p99, without, mean of both", "ms", 2, without);
    findings.add("latency p99, beside requests, mean of both", "ms", 2, beside);
    findings.add("the same, ratio", "", 3, beside / without);
}

fn add_answers(
    findings: &mut Findings,
    options: &ScaleOptions,
    which: &str,
    seconds: f64,
    answered: &Answered,
) {
    let per_second = answered.count as f64 / seconds;
    findings.add(format!("answers of REST, {which}"), "/s", 0, per_second);
    findings.add(
        format!("bytes of one, {which}"),
        "B",
        0,
        answered.bytes as f64 / answered.count.max(1) as f64,
    );
    findings.add_times(&format!("an answer, {which}"), Some(&answered.times));
    if answered.failed > 0 {
        let why = answered.error.as_deref().unwrap_or("a thread failed");
        findings
            .faults
            .push(format!("{} requests failed, one since {why}", answered.failed));
    }
    if per_second < f64::from(options.requests) * ANSWERED_SHARE_MIN {
        findings.faults.push(format!(
            "{per_second:.0} requests a second were answered, and {} were asked for",
            options.requests
        ));
    }
}
