//! The fleet as the bench has it: its processes, started, waited for, asked and ended together.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::counts::{LatencyError, decode_histogram};
use super::order::{FleetOrder, FleetReport};
use crate::control::{Answer, Child, ChildError, Command};

/// The hidden subcommand that a fleet process is.
pub const FLEET_ROLE: &str = "fleet-process";

/// How long a process may take to answer a command: it does so between two turns of its loop, which on a crowded core may
/// take a second or two.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// How often the progress is told while connections are opened.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

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

/// How a fleet's connections were opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened {
    /// How many.
    pub connections: u32,
    /// From the beginning of the first to the end of the last, of all processes.
    pub seconds: f64,
}

/// What all processes of a fleet have received since `begin`.
#[derive(Clone, Debug)]
pub struct FleetTotals {
    /// The sums; without a latency of its own. `first_fault` is that of the first process that has one.
    pub report: FleetReport,
    /// From publishing to receiving, nanoseconds, of every frame; None where frames carry no time.
    pub latency: Option<Histogram<u64>>,
}

/// The processes. They are killed when this is dropped, and end with the *thread* that started them.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    child: Child<FleetReport>,
    connections: u32,
    open: u32,
    /// When its first connection began and its last was open; None before they all are.
    opened_ns: Option<(u64, u64)>,
}

impl Fleet {
    /// Starts a process of `program` for each order; they begin to connect at once.
    pub fn start(program: &Path, orders: &[FleetOrder]) -> Result<Fleet, FleetError> {
        let mut members = Vec::with_capacity(orders.len());
        for (number, order) in orders.iter().enumerate() {
            let name = format!("fleet process {number}");
            members.push(Member {
                child: Child::start(program, &[FLEET_ROLE], &name, order)?,
                connections: order.connections,
                open: 0,
                opened_ns: None,
            });
        }
        Ok(Fleet { members })
    }

    /// The ids of the processes, to look at them from outside.
    pub fn process_ids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.child.id()).collect()
    }

    /// Waits until all connections are open. `progress` is told how many are, a few times a second.
    pub fn wait_open(
        &mut self,
        deadline: Duration,
        progress: &mut dyn FnMut(u32),
    ) -> Result<Opened, FleetError> {
        let until = Instant::now() + deadline;
        loop {
            for member in &mut self.members {
                while member.opened_ns.is_none()
                    && let Some(answer) = member.child.answer_at_hand("readiness")?
                {
                    member.note(&answer)?;
                }
            }
            let open = self.members.iter().map(|member| member.open).sum();
            progress(open);
            let left = until.saturating_duration_since(Instant::now());
            let Some(member) = self.members.iter_mut().find(|member| member.opened_ns.is_none()) else {
                break;
            };
            if left.is_zero() {
                return Err(FleetError::NotOpen {
                    open,
                    wanted: self.members.iter().map(|member| member.connections).sum(),
                    within: deadline,
                });
            }
            match member.child.answer("readiness", left.min(PROGRESS_INTERVAL)) {
                Ok(answer) => member.note(&answer)?,
                Err(ChildError::Silent { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let times = || self.members.iter().filter_map(|member| member.opened_ns);
        let begun_ns = times().map(|(begun_ns, _)| begun_ns).min().unwrap_or(0);
        let done_ns = times().map(|(_, done_ns)| done_ns).max().unwrap_or(0);
        Ok(Opened {
            connections: self.members.iter().map(|member| member.connections).sum(),
            seconds: Duration::from_nanos(done_ns.saturating_sub(begun_ns)).as_secs_f64(),
        })
    }

    /// Lets all begin to count anew.
    pub fn begin(&mut self) -> Result<(), FleetError> {
        self.tell(Command::Begin)?;
        for member in &mut self.members {
            member.child.done(ANSWER_PATIENCE)?;
        }
        Ok(())
    }

    /// What all have received since.
    pub fn report(&mut self) -> Result<FleetTotals, FleetError> {
        self.tell(Command::Report)?;
        let mut totals = FleetTotals {
            report: FleetReport::default(),
            latency: None,
        };
        for member in &mut self.members {
            totals.add(member.child.report(ANSWER_PATIENCE)?)?;
        }
        Ok(totals)
    }

    /// Ends all and waits until they have; those that take too long are killed. Gives whether all ended by themselves, and
    /// well.
    pub fn end(mut self) -> bool {
        for member in &mut self.members {
            member.child.tell_end();
        }
        let mut ended_well = true;
        for member in self.members {
            ended_well &= member.child.end();
        }
        ended_well
    }

    /// First to all, so that they do it at the same time.
    fn tell(&mut self, command: Command) -> Result<(), FleetError> {
        for member in &mut self.members {
            member.child.send(command)?;
        }
        Ok(())
    }
}

impl Member {
    fn note(&mut self, answer: &Answer<FleetReport>) -> Result<(), FleetError> {
        match *answer {
            Answer::Connections(open) => self.open = open,
            Answer::Ready { begun_ns, done_ns } => {
                self.open = self.connections;
                self.opened_ns = Some((begun_ns, done_ns));
            }
            _ => return Err(self.child.another("readiness").into()),
        }
        Ok(())
    }
}

impl FleetTotals {
    fn add(&mut self, part: FleetReport) -> Result<(), FleetError> {
        let sum = &mut self.report;
        sum.frames += part.frames;
        sum.bytes += part.bytes;
        sum.reads += part.reads;
        sum.sends += part.sends;
        sum.pings += part.pings;
        sum.open += part.open;
        sum.stalled += part.stalled;
        for (code, count) in part.closed {
            *sum.closed.entry(code).or_default() += count;
        }
        sum.closed_stalled += part.closed_stalled;
        sum.slow.add(part.slow);
        sum.malformed += part.malformed;
        sum.out_of_order += part.out_of_order;
        sum.book_events += part.book_events;
        sum.books += part.books;
        sum.book_gaps += part.book_gaps;
        sum.published_ns = sum.published_ns.max(part.published_ns);
        sum.first_fault = sum.first_fault.take().or(part.first_fault);
        if let Some(latency) = &part.latency {
            let latency = decode_histogram(latency)?;
            match &mut self.latency {
                // All have the same bounds.
                Some(sum) => sum.add(latency).map_err(|_| LatencyError::ADDED)?,
                None => self.latency = Some(latency),
            }
        }
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
        let mut totals = FleetTotals {
            report: FleetReport::default(),
            latency: None,
        };
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
