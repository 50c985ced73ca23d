//! What is looked at of slow readers while a run goes on: the server's memory at the moment when all that never catch up are
//! blocked and none is given up yet, and the end of each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::blocks::first_blocks;
use super::figures::{MemoryPerDoomed, SlowFigures, SlowTimes};
use crate::clock::monotonic_ns;
use crate::fleet::order::FleetOrder;
use crate::fleet::plan::Duty;
use crate::fleet::{Fleet, FleetError, FleetTotals};
use crate::probe::ProbeError;
use crate::probe::machine::MachineSample;
use crate::probe::process::ProcessSample;
use crate::probe::stats::{StatsSample, StatsSeries};
use crate::run::options::LoadOptions;

/// Looks at the memory: their median counts, since frames on their way to the others come and go.
const LOOKS_MAX: usize = 10;

/// How often it is asked whether all are gone. Each time the fleet makes a whole report.
const ASK_INTERVAL: Duration = Duration::from_millis(300);

/// How long it is waited for blocks that may still come, behind the window: none, since a run is as long as it is; but what
/// is blocked has its whole time, and this on top.
const SLACK: Duration = Duration::from_millis(500);

/// How many connections of each slow kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowCounts {
    /// From which nothing is read.
    pub stalled: u32,
    /// Which read a byte now and then.
    pub one_byte: u32,
    /// Which stop and resume.
    pub pausing: u32,
}

impl SlowCounts {
    /// Those of these orders.
    pub fn of(orders: &[FleetOrder]) -> SlowCounts {
        let mut counts = SlowCounts::default();
        for duty in orders.iter().flat_map(FleetOrder::duties) {
            match duty {
                Duty::Stall => counts.stalled += 1,
                Duty::OneByte => counts.one_byte += 1,
                Duty::Pause => counts.pausing += 1,
                Duty::Read | Duty::Books => {}
            }
        }
        counts
    }

    /// Those that never catch up, and are to be closed.
    pub fn doomed(self) -> u32 {
        self.stalled + self.one_byte
    }

    /// All.
    pub fn all(self) -> u32 {
        self.doomed() + self.pausing
    }
}

/// Memory at one moment, bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    user: u64,
    tcp: u64,
    slab: u64,
}

impl Memory {
    fn of(server: u32) -> Result<Memory, ProbeError> {
        let machine = MachineSample::take()?.memory;
        Ok(Memory {
            user: ProcessSample::of(server)?.anonymous_bytes,
            tcp: machine.tcp_queue_bytes,
            slab: machine.slab_bytes,
        })
    }
}

/// The watch over the slow readers of a run.
#[derive(Debug)]
pub struct SlowWatch {
    counts: SlowCounts,
    allowed: Duration,
    tells_depth: bool,
    server: u32,
    /// None for a server that says nothing of itself.
    stats: Option<StatsSeries>,
    /// When all are open and nothing has been sent yet.
    before: Option<Memory>,
    looks: Vec<Memory>,
    /// CLOCK_MONOTONIC ns; see [`SlowWatch::window`].
    window_ns: (u64, u64),
}

impl SlowWatch {
    /// Over the connections of `orders` at the process `server`.
    pub fn new(
        load: &LoadOptions,
        orders: &[FleetOrder],
        server: u32,
        stats: Option<StatsSeries>,
    ) -> SlowWatch {
        SlowWatch {
            counts: SlowCounts::of(orders),
            allowed: load.slow.allowed(),
            tells_depth: load.tells_depth(),
            server,
            stats,
            before: None,
            looks: Vec::new(),
            window_ns: (0, 0),
        }
    }

    /// All connections are open.
    pub fn opened(&mut self) {
        self.before = match self.counts.doomed() {
            0 => None,
            _ => Memory::of(self.server).ok(),
        };
    }

    /// Looks at the memory, if it is the moment.
    pub fn look(&mut self) {
        let doomed = u64::from(self.counts.doomed());
        let Some(last) = self.stats.as_ref().and_then(StatsSeries::last) else {
            return;
        };
        let is_moment = doomed > 0 && last.blocked >= doomed && last.evicted == 0;
        if is_moment && self.looks.len() < LOOKS_MAX {
            self.looks.extend(Memory::of(self.server));
        }
    }

    /// When the window began and ended, CLOCK_MONOTONIC ns.
    pub fn window(&mut self, begun_ns: u64, ended_ns: u64) {
        self.window_ns = (begun_ns, ended_ns);
    }

    /// Waits, behind the window, until all that are blocked are gone or have had their whole time. Gives the fleet's counts
    /// then.
    pub fn await_gone(&mut self, fleet: &mut Fleet) -> Result<FleetTotals, FleetError> {
        let until = Instant::now() + self.allowed + SLACK;
        loop {
            let totals = fleet.report()?;
            let gone_ns = gone(&totals);
            let blocks = self.blocks(&gone_ns);
            let now_ns = monotonic_ns();
            let has_time = |block: u64| block + (self.allowed + SLACK).as_nanos() as u64 > now_ns;
            let is_over = !blocks.iter().skip(gone_ns.len()).any(|&block| has_time(block));
            if is_over || Instant::now() >= until {
                return Ok(totals);
            }
            sleep(ASK_INTERVAL);
        }
    }

    fn samples(&self) -> Vec<StatsSample> {
        self.stats.as_ref().map(StatsSeries::all).unwrap_or_default()
    }

    fn blocks(&self, gone_ns: &[u64]) -> Vec<u64> {
        first_blocks(
            &self.samples(),
            gone_ns,
            self.counts.doomed().into(),
            self.counts.pausing.into(),
        )
    }

    /// What it all came to, given the fleet's last counts; None where nobody was slow.
    pub fn figures(&self, totals: &FleetTotals) -> Option<SlowFigures> {
        if self.counts.all() == 0 {
            return None;
        }
        let gone_ns = gone(totals);
        let samples = self.samples();
        let times = SlowTimes {
            blocks_ns: self.blocks(&gone_ns),
            gone_ns,
            window_ns: self.window_ns,
            now_ns: monotonic_ns(),
            allowed: self.allowed,
        };
        let conflated = samples.last().map(|sample| sample.conflated);
        Some(SlowFigures::new(
            self.counts,
            &totals.report.slow,
            &times,
            self.memory(),
            (conflated, self.tells_depth),
        ))
    }

    fn memory(&self) -> Option<MemoryPerDoomed> {
        let before = self.before?;
        let per_doomed = |of: fn(&Memory) -> u64| {
            let mut values: Vec<u64> = self.looks.iter().map(of).collect();
            values.sort_unstable();
            let median = *values.get(values.len() / 2)?;
            Some((median as f64 - of(&before) as f64) / f64::from(self.counts.doomed().max(1)))
        };
        Some(MemoryPerDoomed {
            user_bytes: per_doomed(|memory| memory.user)?,
            tcp_bytes: per_doomed(|memory| memory.tcp)?,
            slab_bytes: per_doomed(|memory| memory.slab)?,
        })
    }
}

/// When those that never catch up were found to be gone, CLOCK_MONOTONIC ns, ascending.
fn gone(totals: &FleetTotals) -> Vec<u64> {
    let slow = &totals.report.slow;
    let all = slow.stalled_gone_us.iter().chain(&slow.one_byte_gone_us);
    let mut gone: Vec<u64> = all.map(|us| us * 1000).collect();
    gone.sort_unstable();
    gone
}
