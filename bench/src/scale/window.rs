//! What is looked at while all connections are there: what they got, and what that cost the engine, the load and the machine.

use std::time::Duration;

use super::ramp::Stage;
use crate::crowd::crowds::CrowdTotals;
use crate::crowd::look::{Between, Look};
use crate::probe::ProbeError;
use crate::probe::process::ProcessSample;
use crate::probe::stats::StatsSample;
use crate::run::RunError;
use crate::run::progress::Progress;
use crate::storm::trial::wait_and_look;

/// What was seen in a window.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The engine and the cores.
    pub between: Between,
    /// How long the load's processes ran, ns.
    pub fleet_run_ns: u64,
    /// The connections that were there first.
    pub first: CrowdTotals,
    /// All others.
    pub others: CrowdTotals,
    /// What the engine says of itself at its end, ever; None where it has said nothing.
    pub stats: Option<StatsSample>,
    /// Conflations in it.
    pub conflated: u64,
}

impl Seen {
    /// A sum over all connections.
    pub fn sum(&self, of: impl Fn(&CrowdTotals) -> u64) -> u64 {
        of(&self.first) + of(&self.others)
    }
}

/// Looks at a stage for a time.
pub fn watch(
    stage: &mut Stage,
    time: Duration,
    what: &str,
    cores: (usize, usize),
    progress: &Progress,
) -> Result<Seen, RunError> {
    let begun = Window::begin(stage)?;
    let mut looked = Ok(());
    wait_and_look(time, what, progress, &mut || {
        if looked.is_ok() {
            looked = stage.host.look();
        }
    });
    looked?;
    begun.end(stage, cores)
}

/// A window that goes on.
#[derive(Debug)]
pub struct Window {
    look: Look,
    fleet_run_ns: u64,
    stats: Option<StatsSample>,
}

impl Window {
    /// Begins it: all connections count anew.
    pub fn begin(stage: &mut Stage) -> Result<Window, RunError> {
        stage.first.begin()?;
        stage.others.begin()?;
        Ok(Window {
            fleet_run_ns: run_ns(&stage.process_ids())?,
            stats: stage.engine.stats().last(),
            look: Look::at(stage.engine.id())?,
        })
    }

    /// Ends it. `cores` are the server's and the load's.
    pub fn end(self, stage: &mut Stage, cores: (usize, usize)) -> Result<Seen, RunError> {
        let look = Look::at(stage.engine.id())?;
        let fleet_run_ns = run_ns(&stage.process_ids())?.saturating_sub(self.fleet_run_ns);
        let first = stage.first.report()?;
        let others = stage.others.report()?;
        let stats = stage.engine.stats().last();
        let conflated = |stats: &Option<StatsSample>| stats.map_or(0, |stats| stats.conflated);
        Ok(Seen {
            between: look.since(&self.look, cores)?,
            fleet_run_ns,
            first,
            others,
            conflated: conflated(&stats).saturating_sub(conflated(&self.stats)),
            stats,
        })
    }
}

/// How long all threads of these processes have run, ns.
fn run_ns(processes: &[u32]) -> Result<u64, ProbeError> {
    let mut sum = 0;
    for process in processes {
        sum += ProcessSample::of(*process)?.run_ns();
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_all() {
        let mut seen = Seen::default();
        seen.first.report.events = 3;
        seen.others.report.events = 40;
        assert_eq!(seen.sum(|totals| totals.report.events), 43);
        let own = std::process::id();
        assert!(run_ns(&[own, own]).unwrap() > 0);
    }
}
