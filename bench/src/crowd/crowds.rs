//! A crowd as the bench has it: its processes of one role, started, waited for, asked and ended together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::order::{CrowdOrder, CrowdReport};
use crate::control::{ChildError, Processes, Went};
use crate::fleet::counts::{LatencyError, add_histogram};
use crate::fleet::moments::Moment;

/// The hidden subcommand that a crowd's process is.
pub const CROWD_ROLE: &str = "crowd-process";

/// How long a process may take to answer a command: it does so between two turns of its loop, and closing 18,000 connections
/// is one.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong with a crowd.
#[derive(Debug, thiserror::Error)]
pub enum CrowdError {
    /// One of its processes.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// A report cannot be read: bench and process are of two versions.
    #[error(transparent)]
    Latency(#[from] LatencyError),
}

/// What all processes of a crowd have seen, as [`CrowdReport`] has it: sums, the longest, and the books of all.
#[derive(Clone, Debug, Default)]
pub struct CrowdTotals {
    /// Sums; `latency`, the times of joins and `bodies` are in the fields beside it, `books` and `moments`, too.
    pub report: CrowdReport,
    /// How late events were.
    pub latency: Option<Histogram<u64>>,
    /// From asking to the answer.
    pub answer_times: Option<Histogram<u64>>,
    /// From asking to having joined.
    pub join_times: Option<Histogram<u64>>,
    /// From asking to the first event.
    pub continue_times: Option<Histogram<u64>>,
    /// Different snapshots.
    pub bodies: BTreeSet<(u32, u64)>,
    /// Latencies by time, of the first process.
    pub moments: Vec<Moment>,
    /// What books said, by symbol and id.
    pub books: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Ids at which books of two processes said something else.
    pub differing: u64,
}

/// The processes. They are killed when this is dropped, and end with the *thread* that started them.
#[derive(Debug)]
pub struct Crowd(Processes<CrowdReport>);

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd(Processes::new(ANSWER_PATIENCE))
    }
}

impl Crowd {
    /// Starts a process of `program` for each order; they begin to connect at once.
    pub fn start(program: &Path, orders: &[CrowdOrder]) -> Result<Crowd, CrowdError> {
        let mut crowd = Crowd::default();
        for order in orders {
            crowd
                .0
                .start(program, CROWD_ROLE, "crowd process", order, order.connections)?;
        }
        Ok(crowd)
    }

    /// The ids of the processes, to look at them from outside.
    pub fn process_ids(&self) -> Vec<u32> {
        self.0.ids()
    }

    /// Takes the processes of another in: what is waited for or told from here on is of both.
    pub fn take_in(&mut self, other: Crowd) {
        self.0.take_in(other.0);
    }

    /// How many have come so far in what goes on, or went on last.
    pub fn come(&self) -> u32 {
        self.0.count()
    }

    /// Waits until all connections are open, or all have what a storm is for. `progress` is told how many a few times a
    /// second.
    pub fn wait(&mut self, within: Duration, progress: &mut dyn FnMut(u32)) -> Result<Went, CrowdError> {
        Ok(self.0.wait(within, progress)?)
    }

    /// Lets all do what their role does at a time of its own. A storm is waited for with [`Crowd::wait`].
    pub fn go(&mut self) -> Result<(), CrowdError> {
        Ok(self.0.go()?)
    }

    /// Lets all begin to count anew.
    pub fn begin(&mut self) -> Result<(), CrowdError> {
        Ok(self.0.begin()?)
    }

    /// What all have seen.
    pub fn report(&mut self) -> Result<CrowdTotals, CrowdError> {
        let mut totals = CrowdTotals::default();
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

impl CrowdTotals {
    fn add(&mut self, part: CrowdReport) -> Result<(), CrowdError> {
        let sum = &mut self.report;
        sum.fleet.add(part.fleet);
        sum.positioned += part.positioned;
        sum.heard += part.heard;
        sum.events += part.events;
        sum.ids += part.ids;
        sum.gaps += part.gaps;
        sum.refused += part.refused;
        sum.compared += part.compared;
        sum.floor_ns = sum.floor_ns.or(part.floor_ns);
        sum.below_floor_ns = sum.below_floor_ns.max(part.below_floor_ns);
        sum.silence_ns = sum.silence_ns.max(part.silence_ns);
        sum.begun_ns = sum.begun_ns.max(part.begun_ns);
        sum.returns.add(&part.returns);
        let (joins, more) = (&mut sum.joins, &part.joins);
        joins.first_asked_ns = match (joins.asked, more.asked) {
            (_, 0) => joins.first_asked_ns,
            (0, _) => more.first_asked_ns,
            _ => joins.first_asked_ns.min(more.first_asked_ns),
        };
        joins.last_asked_ns = joins.last_asked_ns.max(more.last_asked_ns);
        joins.joined_ns = joins.joined_ns.max(more.joined_ns);
        joins.asked += more.asked;
        joins.answered += more.answered;
        joins.joined += more.joined;
        joins.continued += more.continued;
        add_histogram(&mut self.latency, part.latency.as_deref())?;
        add_histogram(&mut self.answer_times, more.answer_times.as_deref())?;
        add_histogram(&mut self.join_times, more.join_times.as_deref())?;
        add_histogram(&mut self.continue_times, more.continue_times.as_deref())?;
        self.bodies.extend(part.joins.bodies);
        if self.moments.is_empty() {
            self.moments = part.moments;
        }
        self.add_books(&part.books);
        Ok(())
    }

    /// Adds what books said elsewhere, held against what is there.
    pub fn add_books(&mut self, books: &BTreeMap<String, BTreeMap<u64, u64>>) {
        for (symbol, ids) in books {
            let there = self.books.entry(symbol.clone()).or_default();
            for (&id, &said) in ids {
                self.differing += u64::from(*there.entry(id).or_insert(said) != said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::order::JoinReport;
    use crate::fleet::counts::{encode_histogram, latencies};

    fn part(asked: u32, first_asked_ns: u64, took_ns: u64) -> CrowdReport {
        let mut times = latencies();
        times.saturating_record(took_ns);
        CrowdReport {
            gaps: 1,
            silence_ns: took_ns,
            joins: JoinReport {
                asked,
                first_asked_ns,
                last_asked_ns: first_asked_ns + 5,
                join_times: (asked > 0).then(|| encode_histogram(&times).unwrap()),
                bodies: vec![(0, 7), (1, took_ns)],
                ..JoinReport::default()
            },
            books: [("btcusdt".to_string(), [(5, 1), (took_ns, 9)].into())].into(),
            ..CrowdReport::default()
        }
    }

    #[test]
    fn totals_are_of_all_processes() {
        let mut totals = CrowdTotals::default();
        totals.add(part(0, 0, 50)).unwrap();
        totals.add(part(3, 1000, 70)).unwrap();
        totals.add(part(4, 900, 60)).unwrap();
        let joins = &totals.report.joins;
        assert_eq!(
            (joins.asked, joins.first_asked_ns, joins.last_asked_ns),
            (7, 900, 1005)
        );
        assert_eq!((totals.report.gaps, totals.report.silence_ns), (3, 70));
        assert_eq!(totals.join_times.as_ref().unwrap().len(), 2);
        assert_eq!(totals.bodies, [(0, 7), (1, 50), (1, 60), (1, 70)].into());
        assert_eq!((totals.books["btcusdt"].len(), totals.differing), (4, 0));
        totals.add_books(&[("btcusdt".to_string(), [(5, 2), (50, 9)].into())].into());
        assert_eq!(totals.differing, 1, "two say something else at 5");
    }
}
