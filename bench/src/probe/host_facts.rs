//! What the host allows, as it says under /proc and /sys.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Resource, geteuid, getrlimit};

use super::host_groups::GroupBounds;
use super::proc_files::{ProbeError, foreign, kilobytes, line_of, read};
use super::settings::setting::{SYS, SettingValues};

/// The bit of CAP_SYS_ADMIN among a process's capabilities (capabilities(7)).
const CAP_SYS_ADMIN: u32 = 21;

/// What the host allows, and what of it is taken. Counts are of this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The most descriptors of one process (RLIMIT_NOFILE, hard); None where there is no limit.
    pub descriptors_hard: Option<u64>,
    /// To what root can raise that (fs.nr_open).
    pub nr_open: u64,
    /// The most files open on the host (fs.file-max).
    pub file_max: u64,
    /// Those that are (fs.file-nr).
    pub files_open: u64,
    /// Whether this process may open files past that: it has CAP_SYS_ADMIN (fs/file_table.c).
    pub files_exempt: bool,
    /// MemAvailable, bytes.
    pub memory_available_bytes: u64,
    /// What this process's control groups still let it have, bytes; None where they set no bound.
    pub group_memory_left_bytes: Option<u64>,
    /// Threads that they still let it have; None where they set no bound.
    pub group_threads_left: Option<u64>,
    /// Ports from which a socket connects that was not bound to one (net.ipv4.ip_local_port_range).
    pub local_ports: u64,
    /// The most threads of this user (RLIMIT_NPROC, hard); None where there is no limit, or for root, who is exempt.
    pub processes_hard: Option<u64>,
    /// Threads that this user has.
    pub user_threads: u64,
    /// The most threads on the host by their numbers (kernel.pid_max).
    pub pid_max: u64,
    /// The same by the memory they take (kernel.threads-max).
    pub threads_max: u64,
    /// Threads on the host.
    pub threads: u64,
    /// Connections that the firewall can follow; None where it follows none.
    pub conntrack_max: Option<u64>,
    /// Bytes of a page, in which the kernel counts what lies in queues.
    pub page_bytes: u64,
    /// The settings that a run may raise.
    pub settings: SettingValues,
}

impl HostFacts {
    /// Reads them all.
    pub fn read() -> Result<HostFacts, ProbeError> {
        let meminfo = read("/proc/meminfo")?;
        let groups = GroupBounds::read(&read("/proc/self/cgroup")?);
        Ok(HostFacts {
            descriptors_hard: getrlimit(Resource::Nofile).maximum,
            nr_open: setting("/proc/sys/fs/nr_open")?,
            file_max: setting("/proc/sys/fs/file-max")?,
            files_open: setting("/proc/sys/fs/file-nr")?,
            files_exempt: has_capability(&read("/proc/self/status")?, CAP_SYS_ADMIN),
            memory_available_bytes: kilobytes(&meminfo, "MemAvailable")
                .ok_or_else(|| foreign("/proc/meminfo", "MemAvailable"))?,
            group_memory_left_bytes: groups.memory_left_bytes,
            group_threads_left: groups.threads_left,
            local_ports: local_ports()?,
            processes_hard: if geteuid().is_root() {
                None
            } else {
                getrlimit(Resource::Nproc).maximum
            },
            user_threads: user_threads(),
            pid_max: setting("/proc/sys/kernel/pid_max")?,
            threads_max: setting("/proc/sys/kernel/threads-max")?,
            threads: threads(&read("/proc/loadavg")?)
                .ok_or_else(|| foreign("/proc/loadavg", "number of threads"))?,
            conntrack_max: conntrack_max(),
            page_bytes: rustix::param::page_size() as u64,
            settings: SettingValues::read(Path::new(SYS)),
        })
    }
}

/// A setting's file: a number, the first where there are several.
fn setting(path: &str) -> Result<u64, ProbeError> {
    first_number(&read(path)?).ok_or_else(|| foreign(path, "number"))
}

/// A firewall that could follow connections and has no rules for it follows none.
fn conntrack_max() -> Option<u64> {
    let followed = setting("/proc/sys/net/netfilter/nf_conntrack_count").ok()?;
    let max = setting("/proc/sys/net/netfilter/nf_conntrack_max").ok()?;
    (followed > 0).then_some(max)
}

/// Whether a process whose /proc/PID/status this is has a capability: a bit of a number of 16 digits.
fn has_capability(status: &str, capability: u32) -> bool {
    line_of(status, "CapEff")
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .is_some_and(|bits| bits & (1 << capability) != 0)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn local_ports() -> Result<u64, ProbeError> {
    const PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    ports_of(&read(PATH)?).ok_or_else(|| foreign(PATH, "range of ports"))
}

/// Of `32768 60999`, how many there are.
fn ports_of(range: &str) -> Option<u64> {
    let mut ends = range.split_ascii_whitespace().map(|port| port.parse::<u16>());
    let (low, high) = (ends.next()?.ok()?, ends.next()?.ok()?);
    u64::from(high)
        .checked_sub(u64::from(low))
        .map(|between| between + 1)
}

/// Of `2.49 2.31 2.60 3/147 12345`, how many threads there are: the second number of the fourth word.
fn threads(loadavg: &str) -> Option<u64> {
    let (_, threads) = loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?;
    threads.parse().ok()
}

/// Threads of this user. Processes that end meanwhile, or hide, count for nothing.
fn user_threads() -> u64 {
    let user = geteuid().as_raw();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|process| process.uid() == user))
        .filter_map(|entry| std::fs::read_dir(entry.path().join("task")).ok())
        .map(|tasks| tasks.count() as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(first_number("692\t0\t2465620\n"), Some(692));
        assert_eq!(first_number("max\n"), None);
        assert_eq!(ports_of("32768\t60999\n"), Some(28_232));
        assert_eq!(ports_of("60999 32768"), None);
        assert_eq!(ports_of("1"), None);
        assert_eq!(threads("1.92 2.23 2.59 3/147 12345\n"), Some(147));
        assert_eq!(threads("1.92"), None);
        let status = "CapPrm:\t0000000000000000\nCapEff:\t0000000000200000\nCapBnd:\t000001fffeffffff\n";
        assert!(has_capability(status, CAP_SYS_ADMIN));
        assert!(!has_capability(status, CAP_SYS_ADMIN + 1));
        assert!(!has_capability("", CAP_SYS_ADMIN));
    }

    #[test]
    fn this_host_is_read() {
        let facts = HostFacts::read().unwrap();
        assert!(facts.nr_open > 0 && facts.file_max > facts.files_open && facts.files_open > 0);
        assert!(facts.memory_available_bytes > 0 && facts.local_ports > 0);
        assert!(facts.user_threads > 0 && facts.threads > 0);
    }
}
