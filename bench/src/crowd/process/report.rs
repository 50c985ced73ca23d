//! What a crowd's process tells when it is asked.

use super::CrowdProcess;
use crate::crowd::order::{CrowdReport, JoinReport};
use crate::fleet::counts::{LatencyError, encode_histogram};
use crate::fleet::watch::Watching;

/// Ids of each symbol that a report tells.
const REPORTED_IDS_MAX: usize = 1024;

impl CrowdProcess {
    /// All that it has seen.
    pub(super) fn report(&mut self) -> Result<CrowdReport, LatencyError> {
        let mut report = CrowdReport {
            begun_ns: self.begun_ns,
            fleet: self.tools.counts.report(self.order.format)?,
            ..CrowdReport::default()
        };
        for connection in &mut self.connections {
            report.fleet.open += u32::from(connection.is_open());
            report.fleet.books += u32::from(connection.books().is_some());
            let watch = connection.watch();
            report.heard += u32::from(watch.as_ref().is_some_and(|watch| watch.has_heard()));
            report.positioned += u32::from(watch.is_some_and(|watch| watch.position().is_some()));
        }
        if let Some(watching) = &self.tools.watching {
            add_watching(&mut report, watching)?;
        }
        if let Some(trail) = &self.tools.books.trail {
            report.compared = trail.compared;
            report.books = trail.newest(REPORTED_IDS_MAX / self.order.streams.len().max(1));
        }
        if let Some(returns) = &self.returns {
            report.returns = returns.report.clone();
        }
        Ok(report)
    }
}

fn add_watching(report: &mut CrowdReport, watching: &Watching) -> Result<(), LatencyError> {
    let (first_asked_ns, last_asked_ns) = watching.asked_ns.unwrap_or_default();
    report.events = watching.events;
    report.ids = watching.ids;
    report.gaps = watching.gaps;
    report.refused = watching.refused;
    report.floor_ns = watching.floor_ns();
    report.below_floor_ns = watching.below_floor_ns;
    report.moments = watching.moments.all();
    report.silence_ns = watching.silence_ns;
    if watching.floor_ns().is_some() {
        report.latency = Some(encode_histogram(&watching.latency)?);
    }
    report.joins = JoinReport {
        asked: watching.asked,
        answered: watching.answered,
        joined: watching.joined,
        continued: watching.continued,
        first_asked_ns,
        last_asked_ns,
        joined_ns: watching.joined_ns,
        bodies: watching.bodies.iter().copied().collect(),
        ..JoinReport::default()
    };
    if watching.asked > 0 {
        report.joins.answer_times = Some(encode_histogram(&watching.answer_times)?);
        report.joins.join_times = Some(encode_histogram(&watching.join_times)?);
        report.joins.continue_times = Some(encode_histogram(&watching.continue_times)?);
    }
    Ok(())
}
