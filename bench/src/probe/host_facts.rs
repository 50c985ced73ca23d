//! What the host allows, as it says under /proc and /sys.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, geteuid, getrlimit};

use super::proc_files::{ProbeError, foreign, kilobytes, pair, read};

/// Where control groups are (cgroup v2).
const CGROUPS: &str = "/sys/fs/cgroup";

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
    /// MemAvailable, bytes.
    pub memory_available_bytes: u64,
    /// What this process's control groups still let it have, bytes; None where they set no bound.
    pub group_memory_left_bytes: Option<u64>,
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
}

impl HostFacts {
    /// Reads them all.
    pub fn read() -> Result<HostFacts, ProbeError> {
        let meminfo = read("/proc/meminfo")?;
        Ok(HostFacts {
            descriptors_hard: getrlimit(Resource::Nofile).maximum,
            nr_open: setting("/proc/sys/fs/nr_open")?,
            file_max: setting("/proc/sys/fs/file-max")?,
            files_open: setting("/proc/sys/fs/file-nr")?,
            memory_available_bytes: kilobytes(&meminfo, "MemAvailable")
                .ok_or_else(|| foreign("/proc/meminfo", "MemAvailable"))?,
            group_memory_left_bytes: group_memory_left_bytes(&read("/proc/self/cgroup")?, Path::new(CGROUPS)),
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

/// What a control group and those above it leave, the least of them. `cgroup` is /proc/self/cgroup (cgroups(7)).
fn group_memory_left_bytes(cgroup: &str, root: &Path) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // In a container the path may be the host's, and not to be seen here; what is to be seen counts.
    let group: PathBuf = root.join(path.trim_end());
    group
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(group_left_bytes)
        .min()
}

fn group_left_bytes(group: &Path) -> Option<u64> {
    let text = |file| std::fs::read_to_string(group.join(file)).ok();
    // Without a bound there is the word `max`.
    let max = first_number(&text("memory.max")?)?;
    let current = first_number(&text("memory.current")?)?;
    // Of files the kernel forgets what it has read as soon as the memory is wanted.
    let files = pair(&text("memory.stat")?, "file")?;
    Some(max.saturating_sub(current.saturating_sub(files)))
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
    }

    #[test]
    fn the_narrowest_control_group_counts() {
        let root = std::env::temp_dir().join(format!("depthcast-bench-cgroups-{}", std::process::id()));
        let inner = root.join("outer/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |group: &Path, max: &str, current: &str| {
            std::fs::write(group.join("memory.max"), max).unwrap();
            std::fs::write(group.join("memory.current"), current).unwrap();
            std::fs::write(group.join("memory.stat"), "anon 7\nfile 100\nkernel 3\n").unwrap();
        };
        write(&inner, "max\n", "5\n");
        let unbounded = group_memory_left_bytes("0::/outer/inner\n", &root);
        write(&root.join("outer"), "1000\n", "300\n");
        let bounded = group_memory_left_bytes("1:cpu:/x\n0::/outer/inner\n", &root);
        write(&inner, "400\n", "600\n");
        let over = group_memory_left_bytes("0::/outer/inner\n", &root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((unbounded, bounded, over), (None, Some(800), Some(0)));
        assert_eq!(group_memory_left_bytes("", &root), None);
    }

    #[test]
    fn this_host_is_read() {
        let facts = HostFacts::read().unwrap();
        assert!(facts.nr_open > 0 && facts.file_max > facts.files_open && facts.files_open > 0);
        assert!(facts.memory_available_bytes > 0 && facts.local_ports > 0);
        assert!(facts.user_threads > 0 && facts.threads > 0);
    }
}
