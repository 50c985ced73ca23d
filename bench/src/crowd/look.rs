//! What is read of the engine and the machine from outside, at one moment and between two.

use serde::Serialize;

use crate::probe::ProbeError;
use crate::probe::machine::{MachineSample, MachineUse};
use crate::probe::process::{ProcessSample, ProcessUse};

/// Engine and machine at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// The engine.
    pub engine: ProcessSample,
    /// The machine.
    pub machine: MachineSample,
}

impl Look {
    /// Looks now at the engine with this process id.
    pub fn at(engine: u32) -> Result<Look, ProbeError> {
        Ok(Look {
            engine: ProcessSample::of(engine)?,
            machine: MachineSample::take()?,
        })
    }

    /// What went on since `earlier`. `cores` are the server's and the load's.
    pub fn since(&self, earlier: &Look, cores: (usize, usize)) -> Result<Between, ProbeError> {
        let engine = self.engine.since(&earlier.engine)?;
        let machine = self.machine.since(&earlier.machine);
        Ok(Between::of(&engine, &machine, cores))
    }
}

/// What went on between two looks, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Between {
    /// The time between them.
    pub wall_ns: u64,
    /// The engine in user mode.
    pub user_ns: u64,
    /// The engine in the kernel.
    pub system_ns: u64,
    /// Both, as the scheduler has it.
    pub run_ns: u64,
    /// Each of the engine's threads that ran, by name.
    pub threads: Vec<(String, u64)>,
    /// Busy time of the server's core, without what the host gave to others.
    pub server_core_busy_ns: u64,
    /// Of the load's core.
    pub fleet_core_busy_ns: u64,
    /// In softirqs, of all cores: the kernel's network work, most of it on behalf of a sender.
    pub softirq_ns: u64,
    /// Taken by the host, of both.
    pub steal_ns: u64,
    /// TCP segments that were sent again.
    pub retransmitted: u64,
}

impl Between {
    fn of(engine: &ProcessUse, machine: &MachineUse, (server, fleet): (usize, usize)) -> Between {
        let core = |number: usize| machine.cores.iter().find(|core| core.core == number);
        let busy = |number: usize| core(number).map_or(0, |core| core.busy_ns.saturating_sub(core.steal_ns));
        let steal = |number: usize| core(number).map_or(0, |core| core.steal_ns);
        let threads = engine.threads.iter().filter(|thread| thread.run_ns > 0);
        Between {
            wall_ns: machine.wall_ns,
            user_ns: engine.user_ns,
            system_ns: engine.system_ns,
            run_ns: engine.run_ns,
            threads: threads
                .map(|thread| (thread.name.clone(), thread.run_ns))
                .collect(),
            server_core_busy_ns: busy(server),
            fleet_core_busy_ns: busy(fleet),
            softirq_ns: machine.cores.iter().map(|core| core.softirq_ns).sum(),
            steal_ns: steal(server) + if server == fleet { 0 } else { steal(fleet) },
            retransmitted: machine.tcp.retransmitted,
        }
    }

    /// Its length, seconds.
    pub fn seconds(&self) -> f64 {
        self.wall_ns as f64 / 1e9
    }

    /// A time as a share of it, percent.
    pub fn percent(&self, ns: u64) -> f64 {
        100.0 * ns as f64 / self.wall_ns.max(1) as f64
    }
}

/// The most memory met while something went on, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Peaks {
    /// Resident memory of the engine.
    pub resident_bytes: u64,
    /// TCP's queues, of the whole machine.
    pub tcp_queue_bytes: u64,
    /// The kernel's slab.
    pub slab_bytes: u64,
}

impl Peaks {
    /// Takes another look into account. What the engine itself remembers as its peak counts where it is newer than `before`,
    /// so that none between two looks is missed.
    pub fn see(&mut self, look: &Look, before: &Look) {
        let remembered = look.engine.resident_peak_bytes;
        let is_new = remembered > before.engine.resident_peak_bytes;
        let resident_bytes = if is_new {
            remembered
        } else {
            look.engine.resident_bytes
        };
        self.resident_bytes = self.resident_bytes.max(resident_bytes);
        self.tcp_queue_bytes = self.tcp_queue_bytes.max(look.machine.memory.tcp_queue_bytes);
        self.slab_bytes = self.slab_bytes.max(look.machine.memory.slab_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_count_from_the_first_look_on() {
        let before = Look::at(std::process::id()).unwrap();
        let mut later = before.clone();
        later.engine.resident_bytes += 4096;
        later.machine.memory.tcp_queue_bytes += 5;
        let mut peaks = Peaks::default();
        peaks.see(&later, &before);
        assert_eq!(peaks.resident_bytes, before.engine.resident_bytes + 4096);
        assert_eq!(peaks.tcp_queue_bytes, before.machine.memory.tcp_queue_bytes + 5);
        // A higher one that was there between two looks.
        later.engine.resident_peak_bytes += 1 << 30;
        peaks.see(&later, &before);
        assert_eq!(peaks.resident_bytes, later.engine.resident_peak_bytes);
        peaks.see(&before, &before);
        assert_eq!(peaks.resident_bytes, later.engine.resident_peak_bytes);
    }

    #[test]
    fn what_went_on_is_of_the_two_cores() {
        let earlier = Look::at(std::process::id()).unwrap();
        let later = Look::at(std::process::id()).unwrap();
        let between = later.since(&earlier, (0, 0)).unwrap();
        assert_eq!(between.server_core_busy_ns, between.fleet_core_busy_ns);
        assert!(between.wall_ns > 0 && between.seconds() < 10.0);
        let half = Between {
            wall_ns: 200,
            ..Between::default()
        };
        assert_eq!(half.percent(100), 50.0);
    }
}
