//! What the host allows, looked at before a start: a run that cannot come to its end should not begin, and should say what
//! would let it.

use super::host_facts::HostFacts;
pub use super::host_shortage::HostShortage;

/// Kernel memory of a loopback connection, both ends and their places in epoll: 9.2 to 9.9 KB on Linux 6.18.
const KERNEL_BYTES_PER_CONNECTION: u64 = 10_000;

/// Memory that is left to everything else on the host.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// Descriptors that the host's other programs may open meanwhile.
const RESERVE_FILES: u64 = 1_000;

/// Threads of a process of the bench or of an engine on one core: its own, and some for timers, commands and requests.
pub(super) const THREADS_PER_PROCESS: u64 = 8;

/// What a run is going to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNeed {
    /// Who is measured, for people: "the engine".
    pub server: String,
    /// Connections, over all processes.
    pub connections: u64,
    /// Processes that serve them.
    pub server_processes: u64,
    /// The most descriptors that one of them takes, the connections among them.
    pub server_descriptors: u64,
    /// Processes of the load.
    pub fleet_processes: u64,
    /// The most descriptors that one of them takes.
    pub fleet_descriptors: u64,
    /// Different addresses from which the load connects to one address and port.
    pub source_addresses: u64,
    /// Memory of programs for each connection, both ends, bytes.
    pub user_bytes_per_connection: u64,
}

/// Looks whether the host allows what a run needs. Err has everything that stands in the way.
pub fn check(need: &HostNeed) -> Result<(), Vec<HostShortage>> {
    let facts = HostFacts::read().map_err(|error| vec![error.into()])?;
    let shortages = facts.shortages(need);
    if shortages.is_empty() {
        Ok(())
    } else {
        Err(shortages)
    }
}

impl HostNeed {
    /// Files that both ends open, and some room for the host's other programs.
    pub(super) fn files(&self) -> u64 {
        self.connections.saturating_mul(2).saturating_add(RESERVE_FILES)
    }

    /// Processes and threads.
    pub(super) fn threads(&self) -> u64 {
        self.server_processes
            .saturating_add(self.fleet_processes)
            .saturating_mul(THREADS_PER_PROCESS)
    }
}

/// Descriptors of the fullest of an engine's workers, each of which has a table of its own, so that the limit of one process
/// counts for each: the kernel spreads connections over them by a hash of their addresses, so they differ by the square root
/// of a share. Six times that is passed in one of a thousand million cases. The engine's own descriptors come on top.
pub fn descriptors_of_fullest_worker(connections: u64, workers: u64) -> u64 {
    let workers = workers.max(1);
    let share = connections.div_ceil(workers);
    match workers {
        1 => share,
        _ => connections.min(share.saturating_add(6 * (share.isqrt() + 1))),
    }
}

impl HostFacts {
    /// All that stands in the way of a run.
    pub fn shortages(&self, need: &HostNeed) -> Vec<HostShortage> {
        [
            self.descriptor_shortage(&need.server, need.server_descriptors),
            self.descriptor_shortage("a process of the load", need.fleet_descriptors),
            self.file_shortage(need),
            self.memory_shortage(need),
            self.port_shortage(need),
            self.process_shortage(need),
            self.conntrack_shortage(need),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn descriptor_shortage(&self, who: &str, need: u64) -> Option<HostShortage> {
        let limit = self.descriptors_hard?;
        (need > limit).then(|| HostShortage::Descriptors {
            who: who.into(),
            need,
            limit,
            nr_open: self.nr_open,
        })
    }

    fn file_shortage(&self, need: &HostNeed) -> Option<HostShortage> {
        let wanted = need.files();
        let free = self.file_max.saturating_sub(self.files_open);
        (wanted > free && !self.files_exempt).then_some(HostShortage::Files {
            need: wanted,
            free,
            open: self.files_open,
        })
    }

    fn memory_shortage(&self, need: &HostNeed) -> Option<HostShortage> {
        let per_connection_bytes = KERNEL_BYTES_PER_CONNECTION.saturating_add(need.user_bytes_per_connection);
        let need_bytes = need
            .connections
            .saturating_mul(per_connection_bytes)
            .saturating_add(RESERVE_BYTES);
        let of_group = self.group_memory_left_bytes.unwrap_or(u64::MAX);
        let available_bytes = self.memory_available_bytes.min(of_group);
        (need_bytes > available_bytes).then(|| HostShortage::Memory {
            connections: need.connections,
            need_bytes,
            per_connection_bytes,
            available_bytes,
            fitting: available_bytes.saturating_sub(RESERVE_BYTES) / per_connection_bytes,
            is_of_group: of_group < self.memory_available_bytes,
        })
    }

    fn port_shortage(&self, need: &HostNeed) -> Option<HostShortage> {
        let (ports, addresses) = (self.local_ports, need.source_addresses);
        (need.connections > ports.saturating_mul(addresses)).then_some(HostShortage::Ports {
            need: need.connections,
            addresses,
            ports,
        })
    }

    fn process_shortage(&self, need: &HostNeed) -> Option<HostShortage> {
        let wanted = need.threads();
        let bounds = [
            (
                self.processes_hard,
                self.user_threads,
                "the limit of this user with `ulimit -Hu` as root",
            ),
            (
                Some(self.pid_max),
                self.threads,
                "`sysctl kernel.pid_max` as root",
            ),
            (
                Some(self.threads_max),
                self.threads,
                "`sysctl kernel.threads-max` as root",
            ),
            (
                self.group_threads_left,
                0,
                "the limit of the container (`pids.max` of its control group)",
            ),
        ];
        bounds.into_iter().find_map(|(limit, taken, setting)| {
            let free = limit?.saturating_sub(taken);
            (wanted > free).then_some(HostShortage::Processes {
                need: wanted,
                free,
                setting,
            })
        })
    }

    fn conntrack_shortage(&self, need: &HostNeed) -> Option<HostShortage> {
        let limit = self.conntrack_max?;
        (need.connections > limit).then_some(HostShortage::Conntrack {
            need: need.connections,
            limit,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::settings::setting::Setting;
    use super::*;

    pub(in super::super) fn facts() -> HostFacts {
        HostFacts {
            descriptors_hard: Some(20_000),
            nr_open: 1_048_576,
            file_max: 2_465_620,
            files_open: 692,
            files_exempt: false,
            memory_available_bytes: 23_349_316 * 1024,
            group_memory_left_bytes: None,
            group_threads_left: None,
            local_ports: 28_232,
            processes_hard: Some(96_343),
            user_threads: 40,
            pid_max: 32_768,
            threads_max: 192_686,
            threads: 150,
            conntrack_max: None,
            page_bytes: 4096,
            settings: [
                (Setting::FileMax, vec![2_465_620]),
                (Setting::EpollWatches, vec![5_490_265]),
                (Setting::PidMax, vec![32_768]),
                (Setting::ThreadsMax, vec![192_686]),
                (Setting::PacketBacklog, vec![10_000]),
                (Setting::AcceptQueue, vec![4_096]),
                (Setting::TcpMemory, vec![287_832, 383_779, 575_664]),
                (Setting::Orphans, vec![131_072]),
                (Setting::Conntrack, vec![262_144]),
            ]
            .into_iter()
            .collect(),
        }
    }

    pub(in super::super) fn need() -> HostNeed {
        HostNeed {
            server: "the engine".into(),
            connections: 15_000,
            server_processes: 1,
            server_descriptors: 15_100,
            fleet_processes: 1,
            fleet_descriptors: 15_020,
            source_addresses: 1,
            user_bytes_per_connection: 600,
        }
    }

    fn said(facts: &HostFacts, need: &HostNeed) -> Vec<String> {
        let shortages = facts.shortages(need);
        shortages.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fits_is_allowed() {
        assert_eq!(said(&facts(), &need()), [""; 0]);
        let unlimited = HostFacts {
            descriptors_hard: None,
            processes_hard: None,
            ..facts()
        };
        let much = HostNeed {
            server_descriptors: 1 << 40,
            ..need()
        };
        assert_eq!(said(&unlimited, &much), [""; 0]);
    }

    #[test]
    fn each_shortage_says_what_is_there_and_what_would_help() {
        let cases: [(HostFacts, HostNeed, &str); 12] = [
            (
                HostFacts {
                    group_threads_left: Some(15),
                    ..facts()
                },
                need(),
                "15 more processes and threads are allowed here, and 16 are needed: raise the limit of the container \
                 (`pids.max` of its control group)",
            ),
            (
                facts(),
                HostNeed {
                    server_descriptors: 30_100,
                    ..need()
                },
                "20,000 descriptors are the most one process may have here, and the engine would need 30,100: raise the hard \
                 limit with `ulimit -Hn 30100` as root (fs.nr_open allows 1,048,576)",
            ),
            (
                facts(),
                HostNeed {
                    fleet_descriptors: 2_000_000,
                    ..need()
                },
                "20,000 descriptors are the most one process may have here, and a process of the load would need 2,000,000: \
                 raise the hard limit with `ulimit -Hn 2000000` as root, after `sysctl fs.nr_open=2000000` (it allows \
                 1,048,576 now)",
            ),
            (
                HostFacts {
                    files_open: 2_465_000,
                    ..facts()
                },
                need(),
                "620 more files may be open on this host, and both ends of the connections would need 31,000: allow more with \
                 `sysctl fs.file-max=2496000` as root",
            ),
            (
                HostFacts {
                    memory_available_bytes: 300_000_000,
                    ..facts()
                },
                need(),
                "300 MB of memory are available here, and 15,000 connections would need 428 MB (about 11 KB each, both ends, \
                 most of it the kernel's): open at most 2,977 connections, or give the host more memory",
            ),
            (
                HostFacts {
                    group_memory_left_bytes: Some(0),
                    ..facts()
                },
                need(),
                "0 MB of memory are available here, and 15,000 connections would need 428 MB (about 11 KB each, both ends, \
                 most of it the kernel's): open at most 0 connections, or give the container more memory",
            ),
            (
                facts(),
                HostNeed {
                    connections: 60_000,
                    source_addresses: 2,
                    ..need()
                },
                "56,464 connections can be opened to one port here (from 2 addresses with 28,232 ports each), and 60,000 are \
                 wanted: use more source addresses, or widen the range with `sysctl net.ipv4.ip_local_port_range=\"1024 \
                 65535\"` as root",
            ),
            (
                HostFacts {
                    user_threads: 96_340,
                    ..facts()
                },
                need(),
                "3 more processes and threads are allowed here, and 16 are needed: raise the limit of this user with `ulimit \
                 -Hu` as root",
            ),
            (
                HostFacts {
                    threads: 32_760,
                    ..facts()
                },
                need(),
                "8 more processes and threads are allowed here, and 16 are needed: raise `sysctl kernel.pid_max` as root",
            ),
            (
                HostFacts {
                    threads_max: 100,
                    ..facts()
                },
                need(),
                "0 more processes and threads are allowed here, and 16 are needed: raise `sysctl kernel.threads-max` as root",
            ),
            (
                HostFacts {
                    conntrack_max: Some(14_999),
                    ..facts()
                },
                need(),
                "the firewall of this host follows at most 14,999 connections, and 15,000 are wanted: `sysctl \
                 net.netfilter.nf_conntrack_max=30000` as root, or exempt loopback from it",
            ),
            (
                HostFacts {
                    processes_hard: Some(1 << 20),
                    conntrack_max: Some(15_000),
                    ..facts()
                },
                HostNeed {
                    connections: 28_233,
                    ..need()
                },
                "28,232 connections can be opened to one port here (from 1 addresses with 28,232 ports each), and 28,233 are \
                 wanted: use more source addresses, or widen the range with `sysctl net.ipv4.ip_local_port_range=\"1024 \
                 65535\"` as root",
            ),
        ];
        for (facts, need, sentence) in cases {
            assert_eq!(said(&facts, &need).first().map(String::as_str), Some(sentence));
        }
    }

    #[test]
    fn who_has_the_capability_opens_files_past_the_limit() {
        let facts = HostFacts {
            files_open: 2_465_000,
            files_exempt: true,
            ..facts()
        };
        assert_eq!(said(&facts, &need()), [""; 0]);
    }

    #[test]
    fn the_fullest_worker_has_some_more_than_its_share() {
        assert_eq!(descriptors_of_fullest_worker(15_000, 1), 15_000);
        assert_eq!(descriptors_of_fullest_worker(15_000, 0), 15_000);
        assert_eq!(descriptors_of_fullest_worker(240_000, 14), 17_143 + 6 * 131);
        assert_eq!(descriptors_of_fullest_worker(10, 5), 10);
        assert!(descriptors_of_fullest_worker(u64::MAX, 2) > u64::MAX / 2);
    }

    #[test]
    fn all_shortages_are_told_at_once() {
        let everything = HostNeed {
            connections: 5_000_000,
            server_descriptors: 5_000_100,
            fleet_descriptors: 5_000_020,
            fleet_processes: 100_000,
            ..need()
        };
        let facts = HostFacts {
            conntrack_max: Some(262_144),
            ..facts()
        };
        assert_eq!(said(&facts, &everything).len(), 7);
    }
}
