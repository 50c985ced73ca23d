//! The fleet as the bench has it: its processes, started, waited for, asked and ended together.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::counts::{LatencyError, add_histogram};
use super::order::{FleetOrder, FleetReport};
use crate::control::{ChildError, Processes, Went};

/// The hidden subcommand that a fleet process is.
pub const FLEET_ROLE: &str = "fleet-process";

/// How long a process may take to answer a command: it does so between two turns of its loop, which on a crowded core may
/// take a second or two.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// What went wrong with a fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// One of its processes.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// Not all connections were open in time.
    #[error("{open} of {wanted} connections were open after {within:?}")]
    NotOpen {
        /// How many were.
        open: u32,
        /// How many there should have been.
        wanted: u32,
        /// How long it was waited.
        within: Duration,
    },
    /// A report cannot be read: bench and process are of two versions.
    #[error(transparent)]
    Latency(#[from] LatencyError),
}

/// What all processes of a fleet have received since `begin`.
#[derive(Clone, Debug, Default)]
pub struct FleetTotals {
    /// The sums; without a latency of its own. `first_fault` is that of the first process that has one.
    pub report: FleetReport,
    /// From publishing to receiving, nanoseconds, of every frame; None where frames carry no time.
    pub latency: Option<Histogram<u64>>,
}

/// The processes. They are killed when this is dropped, and end with the *thread* that started them.
#[derive(Debug)]
pub struct Fleet(Processes<FleetReport>);

impl Fleet {
    /// Starts a process of `program` for each order; they begin to connect at once.
    pub fn start(program: &Path, orders: &[FleetOrder]) -> Result<Fleet, FleetError> {
        let mut fleet = Fleet(Processes::new(ANSWER_PATIENCE));
        for order in orders {
            fleet
                .0
                .start(program, FLEET_ROLE, "fleet process", order, order.connections)?;
        }
        Ok(fleet)
    }

    /// The ids of the processes, to look at them from outside.
    pub fn process_ids(&self) -> Vec<u32> {
        self.0.ids()
    }

    /// Waits until all connections are open. `progress` is told how many are, a few times a second.
    pub fn wait_open(&mut self, within: Duration, progress: &mut dyn FnMut(u32)) -> Result<Went, FleetError> {
        let went = self.0.wait(within, progress)?;
        if went.is_whole {
            return Ok(went);
        }
        Err(FleetError::NotOpen {
            open: went.count,
            wanted: self.0.connections(),
            within,
        })
    }

    /// Lets all begin to count anew.
    pub fn begin(&mut self) -> Result<(), FleetError> {
        Ok(self.0.begin()?)
    }

    /// What all have received since.
    pub fn report(&mut self) -> Result<FleetTotals, FleetError> {
        let mut totals = FleetTotals::default();
        for part in self.0.reports()? {
            totals.add(part)?;
        }
        Ok(totals)
    }

    /// Ends all and waits until they have; those that take too long are killed. Gives whether all ended by themselves, and
    /// well.
    pub fn end(self) -> bool {
        self.0.end()
    }
}

impl FleetTotals {
    fn add(&mut self, part: FleetReport) -> Result<(), LatencyError> {
        add_histogram(&mut self.latency, part.latency.as_deref())?;
        self.report.add(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::counts::{encode_histogram, latencies};

    #[test]
    fn totals_are_sums_of_all_and_their_latencies_together() {
        let mut one = latencies();
        one.saturating_record(1000);
        let mut other = latencies();
        other.saturating_record_n(5000, 3);
        let part = |latency, code| FleetReport {
            frames: 10,
            open: 4,
            books: 2,
            closed: [(code, 1), (0, 2)].into(),
            first_fault: (code == 1008).then(|| "slow".to_string()),
            latency: Some(encode_histogram(latency).unwrap()),
            ..FleetReport::default()
        };
        let mut totals = FleetTotals::default();
        totals.add(part(&one, 1001)).unwrap();
        totals.add(part(&other, 1008)).unwrap();
        let FleetTotals { report, latency } = totals;
        assert_eq!((report.frames, report.open, report.books), (20, 8, 4));
        assert_eq!(report.closed, [(0, 4), (1001, 1), (1008, 1)].into());
        assert_eq!(report.first_fault.as_deref(), Some("slow"));
        let latency = latency.unwrap();
        assert_eq!((latency.len(), latency.count_at(5000)), (4, 3));
    }
}
