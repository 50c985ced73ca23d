//! The whole machine at one moment: the time of every core, what TCP has counted, and the memory of the kernel. On loopback
//! the kernel's work for a receiver is done on the sender's core and moves about, so only all cores together tell what
//! something costs.

use super::proc_files::{ProbeError, foreign, kilobytes, line_of, pair, read, table_field, ticks_ns};
use super::process::growth;
use crate::clock::monotonic_ns;

const STAT: &str = "/proc/stat";
const SNMP: &str = "/proc/net/snmp";
const NETSTAT: &str = "/proc/net/netstat";
const MEMINFO: &str = "/proc/meminfo";
const SOCKSTAT: &str = "/proc/net/sockstat";

/// The machine at one moment. What is of TCP is of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineSample {
    /// When it was looked at, CLOCK_MONOTONIC, ns.
    pub taken_ns: u64,
    /// Its cores that are on.
    pub cores: Vec<CoreSample>,
    /// What TCP has counted since the host's start.
    pub tcp: TcpCounts,
    /// Memory.
    pub memory: MemorySample,
}

/// One core's time since the host's start, ns in steps of a clock tick (10 ms). On a tickless kernel (`CONFIG_NO_HZ`, the
/// rule) the idle time is measured exactly; how the busy time is divided is sampled by the timer tick, unless the kernel
/// accounts for it exactly (`CONFIG_VIRT_CPU_ACCOUNTING_GEN`, `CONFIG_IRQ_TIME_ACCOUNTING`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreSample {
    /// Its number.
    pub core: usize,
    /// In user mode, nice or not.
    pub user_ns: u64,
    /// In the kernel for a process.
    pub system_ns: u64,
    /// With nothing to do.
    pub idle_ns: u64,
    /// The same, while a process waits for a disk.
    pub iowait_ns: u64,
    /// In interrupts.
    pub irq_ns: u64,
    /// In softirqs: the kernel's network work, for one.
    pub softirq_ns: u64,
    /// Wanted, and given by the hypervisor to another machine.
    pub steal_ns: u64,
}

/// What TCP has counted (RFC 4022, and Linux's own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounts {
    /// Segments with data that were sent, without those sent again (TCPOrigDataSent).
    pub data_segments: u64,
    /// Segments that were sent, bare acknowledgements too (OutSegs).
    pub segments: u64,
    /// Segments that were sent again (RetransSegs): anything but a few on loopback means that a receiver was overrun.
    pub retransmitted: u64,
}

/// Memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// What programs could still get without swapping (MemAvailable).
    pub available_bytes: u64,
    /// The kernel's own objects, sockets among them (Slab).
    pub slab_bytes: u64,
    /// Of those, what it can give back: caches (SReclaimable).
    pub slab_reclaimable_bytes: u64,
    /// Of those, what it cannot (SUnreclaim).
    pub slab_unreclaimable_bytes: u64,
    /// Bytes held for TCP's send and receive queues, in whole pages (sockstat).
    pub tcp_queue_bytes: u64,
    /// TCP sockets, both ends on loopback (sockstat).
    pub tcp_sockets: u64,
}

/// What happened from one sample to a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineUse {
    /// Time from one to the other, ns.
    pub wall_ns: u64,
    /// By core, those that were on at both.
    pub cores: Vec<CoreUse>,
    /// What TCP counted meanwhile.
    pub tcp: TcpCounts,
    /// By how much the kernel's objects grew, bytes.
    pub slab_bytes: i64,
    /// By how much those grew that it cannot give back, bytes: what connections cost is here.
    pub slab_unreclaimable_bytes: i64,
    /// By how much TCP's queues grew, bytes.
    pub tcp_queue_bytes: i64,
    /// By how much available memory shrank, bytes.
    pub available_lost_bytes: i64,
}

/// What a core did meanwhile, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreUse {
    /// Its number.
    pub core: usize,
    /// The time that went by less what it was idle: exact but for a clock tick at each end. Stolen time is in it.
    pub busy_ns: u64,
    /// Of that in user mode, sampled.
    pub user_ns: u64,
    /// Of that in the kernel for a process, sampled.
    pub system_ns: u64,
    /// Of that in interrupts, sampled.
    pub irq_ns: u64,
    /// Of that in softirqs, sampled.
    pub softirq_ns: u64,
    /// Of that stolen by the hypervisor.
    pub steal_ns: u64,
}

impl MachineSample {
    /// Looks at the machine now.
    pub fn take() -> Result<MachineSample, ProbeError> {
        let taken_ns = monotonic_ns();
        let cores = cores(&read(STAT)?).ok_or_else(|| foreign(STAT, "times of cores"))?;
        Ok(MachineSample {
            taken_ns,
            cores,
            tcp: TcpCounts::parse(&read(SNMP)?, &read(NETSTAT)?)?,
            memory: MemorySample::parse(&read(MEMINFO)?, &read(SOCKSTAT)?)?,
        })
    }

    /// What happened since `earlier`.
    pub fn since(&self, earlier: &MachineSample) -> MachineUse {
        let wall_ns = self.taken_ns.saturating_sub(earlier.taken_ns);
        let cores = self.cores.iter().filter_map(|core| {
            let before = earlier.cores.iter().find(|before| before.core == core.core)?;
            Some(core.since(before, wall_ns))
        });
        MachineUse {
            wall_ns,
            cores: cores.collect(),
            tcp: self.tcp.since(earlier.tcp),
            slab_bytes: growth(earlier.memory.slab_bytes, self.memory.slab_bytes),
            slab_unreclaimable_bytes: growth(
                earlier.memory.slab_unreclaimable_bytes,
                self.memory.slab_unreclaimable_bytes,
            ),
            tcp_queue_bytes: growth(earlier.memory.tcp_queue_bytes, self.memory.tcp_queue_bytes),
            available_lost_bytes: growth(self.memory.available_bytes, earlier.memory.available_bytes),
        }
    }
}

impl MachineUse {
    /// The busy time of all cores, ns.
    pub fn busy_ns(&self) -> u64 {
        self.cores.iter().map(|core| core.busy_ns).sum()
    }
}

/// The cores in /proc/stat (proc_stat(5)).
fn cores(text: &str) -> Option<Vec<CoreSample>> {
    let cores: Vec<CoreSample> = text.lines().filter_map(CoreSample::parse).collect();
    (!cores.is_empty()).then_some(cores)
}

impl CoreSample {
    /// A line as `cpu0 805578 4852 247231 1237447 4506 0 5106 338 0 0`; the one without a number is the sum.
    fn parse(line: &str) -> Option<CoreSample> {
        let (core, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        let mut times = times
            .split_ascii_whitespace()
            .map(|ticks| ticks.parse().ok().map(ticks_ns));
        let mut next = || times.next()?;
        Some(CoreSample {
            core: core.parse().ok()?,
            user_ns: next()?.saturating_add(next()?),
            system_ns: next()?,
            idle_ns: next()?,
            iowait_ns: next()?,
            irq_ns: next()?,
            softirq_ns: next()?,
            steal_ns: next()?,
        })
    }

    fn since(&self, earlier: &CoreSample, wall_ns: u64) -> CoreUse {
        // The kernel warns that the time of waiting for disks may go back.
        let rested_ns =
            self.idle_ns.saturating_sub(earlier.idle_ns) + self.iowait_ns.saturating_sub(earlier.iowait_ns);
        CoreUse {
            core: self.core,
            busy_ns: wall_ns.saturating_sub(rested_ns),
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            irq_ns: self.irq_ns.saturating_sub(earlier.irq_ns),
            softirq_ns: self.softirq_ns.saturating_sub(earlier.softirq_ns),
            steal_ns: self.steal_ns.saturating_sub(earlier.steal_ns),
        }
    }
}

impl TcpCounts {
    fn parse(snmp: &str, netstat: &str) -> Result<TcpCounts, ProbeError> {
        let count =
            |path, text, table, field| table_field(text, table, field).ok_or_else(|| foreign(path, field));
        Ok(TcpCounts {
            data_segments: count(NETSTAT, netstat, "TcpExt", "TCPOrigDataSent")?,
            segments: count(SNMP, snmp, "Tcp", "OutSegs")?,
            retransmitted: count(SNMP, snmp, "Tcp", "RetransSegs")?,
        })
    }

    fn since(self, earlier: TcpCounts) -> TcpCounts {
        TcpCounts {
            data_segments: self.data_segments.saturating_sub(earlier.data_segments),
            segments: self.segments.saturating_sub(earlier.segments),
            retransmitted: self.retransmitted.saturating_sub(earlier.retransmitted),
        }
    }
}

impl MemorySample {
    fn parse(meminfo: &str, sockstat: &str) -> Result<MemorySample, ProbeError> {
        let bytes = |name| kilobytes(meminfo, name).ok_or_else(|| foreign(MEMINFO, name));
        let tcp = |name| {
            line_of(sockstat, "TCP")
                .and_then(|line| pair(line, name))
                .ok_or_else(|| foreign(SOCKSTAT, name))
        };
        let page_bytes = rustix::param::page_size() as u64;
        Ok(MemorySample {
            available_bytes: bytes("MemAvailable")?,
            slab_bytes: bytes("Slab")?,
            slab_reclaimable_bytes: bytes("SReclaimable")?,
            slab_unreclaimable_bytes: bytes("SUnreclaim")?,
            tcp_queue_bytes: tcp("mem")?.saturating_mul(page_bytes),
            tcp_sockets: tcp("inuse")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of Linux 6.18.
    const STAT_TEXT: &str = "cpu  1664614 10421 506160 2403667 13797 0 11378 673 0 0\n\
        cpu0 805578 4852 247231 1237447 4506 0 5106 338 0 0\n\
        cpu1 859035 5568 258928 1166220 9290 0 6271 335 0 0\n\
        intr 26027218 0 0 0\n\
        ctxt 68654358\n";
    const SNMP_TEXT: &str = "Ip: Forwarding DefaultTTL\nIp: 2 64\n\
        Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs \
        RetransSegs InErrs OutRsts InCsumErrors\n\
        Tcp: 1 200 120000 -1 464434 463210 1024 40462 0 26708267 26687468 50307 0 23908 0\n";
    const NETSTAT_TEXT: &str = "TcpExt: SyncookiesSent TCPOrigDataSent TCPHystartTrainDetect\nTcpExt: 0 1231579 25\n\
        IpExt: InNoRoutes\nIpExt: 0\n";
    const MEMINFO_TEXT: &str = "MemTotal:       24655444 kB\nMemAvailable:   23349316 kB\nSlab:             430772 kB\n\
        SReclaimable:     357440 kB\nSUnreclaim:        73332 kB\n";
    const SOCKSTAT_TEXT: &str =
        "sockets: used 24\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 141\nUDP: inuse 0 mem 0\n";

    fn sample() -> MachineSample {
        MachineSample {
            taken_ns: 1_000,
            cores: cores(STAT_TEXT).unwrap(),
            tcp: TcpCounts::parse(SNMP_TEXT, NETSTAT_TEXT).unwrap(),
            memory: MemorySample::parse(MEMINFO_TEXT, SOCKSTAT_TEXT).unwrap(),
        }
    }

    #[test]
    fn the_kernels_texts_are_read() {
        let sample = sample();
        assert_eq!(sample.cores.len(), 2, "not their sum");
        let tick_ns = ticks_ns(1);
        assert_eq!(
            sample.cores[1],
            CoreSample {
                core: 1,
                user_ns: (859_035 + 5_568) * tick_ns,
                system_ns: 258_928 * tick_ns,
                idle_ns: 1_166_220 * tick_ns,
                iowait_ns: 9_290 * tick_ns,
                irq_ns: 0,
                softirq_ns: 6_271 * tick_ns,
                steal_ns: 335 * tick_ns,
            }
        );
        let tcp = TcpCounts {
            data_segments: 1_231_579,
            segments: 26_687_468,
            retransmitted: 50_307,
        };
        assert_eq!(sample.tcp, tcp);
        assert_eq!(sample.memory.slab_unreclaimable_bytes, 73_332 * 1024);
        assert_eq!(sample.memory.available_bytes, 23_349_316 * 1024);
        assert_eq!(sample.memory.tcp_sockets, 1);
        assert_eq!(
            sample.memory.tcp_queue_bytes,
            141 * rustix::param::page_size() as u64
        );
        assert_eq!(cores("intr 5\n"), None);
        assert_eq!(cores("cpu0 1 2 3\n"), None);
        let error = TcpCounts::parse(SNMP_TEXT, "").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/proc/net/netstat has no TCPOrigDataSent"),
            "{error}"
        );
    }

    #[test]
    fn busy_is_what_was_not_idle() {
        let earlier = sample();
        let mut later = sample();
        let second_ns = 1_000_000_000;
        later.taken_ns += second_ns;
        later.cores[0].idle_ns += 200_000_000;
        later.cores[0].iowait_ns += 100_000_000;
        later.cores[0].softirq_ns += 40_000_000;
        later.cores[1].idle_ns += second_ns + ticks_ns(1);
        later.cores[1].iowait_ns -= 1;
        later.tcp.segments += 7;
        later.memory.slab_bytes += 4096;
        later.memory.available_bytes -= 8192;
        let used = later.since(&earlier);
        assert_eq!(used.cores[0].busy_ns, 700_000_000);
        assert_eq!(used.cores[0].softirq_ns, 40_000_000);
        assert_eq!(used.cores[1].busy_ns, 0);
        assert_eq!(used.busy_ns(), 700_000_000);
        assert_eq!((used.tcp.segments, used.tcp.data_segments), (7, 0));
        assert_eq!((used.slab_bytes, used.available_lost_bytes), (4096, 8192));
    }

    #[test]
    fn this_machine_is_read() {
        let earlier = MachineSample::take().unwrap();
        assert!(!earlier.cores.is_empty());
        assert!(earlier.memory.available_bytes > 0 && earlier.memory.slab_bytes > 0);
        let later = MachineSample::take().unwrap();
        let used = later.since(&earlier);
        assert_eq!(used.cores.len(), later.cores.len());
        assert!(used.cores.iter().all(|core| core.busy_ns <= used.wall_ns));
    }
}
