//! Which limit of the host was met in a run: what the kernel has counted from its beginning to its end, and the most that was
//! taken of what it bounds, each in a sentence with what would lift it.
//!
//! The counts are of this network namespace, those of lost packets and of killed processes of the whole host, whoever caused
//! them.

use std::path::Path;

use super::host_counts::{Counts, Taken};
use super::host_shortage::Grouped;
use super::proc_files::ProbeError;
use super::settings::setting::{SYS, Setting, SettingValues, text};

/// A limit that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTrouble {
    /// Connections found no room to wait to be accepted.
    AcceptQueue {
        /// Packets that met the full queue: several of a connection.
        times: u64,
        /// Of them, connections that the clients took for open and the server knew nothing of.
        by_cookie: u64,
        /// `net.core.somaxconn`.
        limit: String,
    },
    /// Requests to connect were dropped or lost, and sent again.
    Requests {
        /// Dropped since too many had begun.
        dropped: u64,
        /// Sent again, for this or another reason.
        repeated: u64,
    },
    /// Connections were reset, with bytes still owed to them.
    Aborted {
        /// How many.
        connections: u64,
        /// The most orphans that were seen, and how many may be.
        orphans: (u64, String),
        /// The most pages that were seen in queues, and how many may be.
        pages: (u64, String),
    },
    /// TCP was short of memory for its queues.
    Memory {
        /// How often that began.
        pressures: u64,
        /// What came and found none.
        dropped: u64,
        /// The most pages that were seen in queues, and how many may be.
        pages: (u64, String),
    },
    /// Packets over loopback were lost.
    Packets {
        /// How many.
        lost: u64,
        /// `net.core.netdev_max_backlog`.
        limit: String,
    },
    /// The firewall could not follow connections.
    Conntrack {
        /// How many packets or connections.
        times: u64,
        /// `net.netfilter.nf_conntrack_max`.
        limit: String,
    },
    /// Closed connections were forgotten at once. It does a run on loopback no harm.
    TimeWait {
        /// How many.
        connections: u64,
    },
    /// The kernel killed processes.
    OutOfMemory {
        /// How many.
        killed: u64,
    },
}

impl std::fmt::Display for HostTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HostTrouble::AcceptQueue {
                times,
                by_cookie,
                limit,
            } => {
                write!(
                    f,
                    "connections found the queue of those that wait to be accepted full, {} times, and were held up for a second \
                     or more each time",
                    Grouped(*times)
                )?;
                if *by_cookie > 0 {
                    write!(
                        f,
                        " ({} took themselves for open before the server knew of them)",
                        Grouped(*by_cookie)
                    )?;
                }
                write!(
                    f,
                    ": connect more slowly, or raise net.core.somaxconn ({limit}) where the server asks for a longer queue"
                )
            }
            HostTrouble::Requests { dropped, repeated } => write!(
                f,
                "{} requests to connect were sent again after a second or more, and {} had been dropped because too many had \
                 begun: connect more slowly",
                Grouped(*repeated),
                Grouped(*dropped)
            ),
            HostTrouble::Aborted {
                connections,
                orphans: (orphans, orphans_max),
                pages: (pages, pages_max),
            } => write!(
                f,
                "the kernel reset {} connections, and what was still owed to them was lost, because more than \
                 net.ipv4.tcp_max_orphans ({orphans_max}) were closed and owed something (at most {} were seen), or because queues \
                 held more pages than net.ipv4.tcp_mem allows ({pages_max}; at most {} were seen): raise that, or close more slowly",
                Grouped(*connections),
                Grouped(*orphans),
                Grouped(*pages)
            ),
            HostTrouble::Memory {
                pressures,
                dropped,
                pages: (pages, pages_max),
            } => write!(
                f,
                "the kernel was short of room for TCP's queues, {} times, and dropped {} packets for it (at most {} pages were \
                 seen; net.ipv4.tcp_mem is {pages_max}, and from the second number on every socket is given less): raise that, or \
                 let less lie in queues",
                Grouped(*pressures),
                Grouped(*dropped),
                Grouped(*pages)
            ),
            HostTrouble::Packets { lost, limit } => write!(
                f,
                "{} packets found no room in a core's queue and were lost, and each was sent again only after 200 ms or more: raise \
                 net.core.netdev_max_backlog ({limit})",
                Grouped(*lost)
            ),
            HostTrouble::Conntrack { times, limit } => write!(
                f,
                "the firewall could not follow {} connections and dropped their packets: raise net.netfilter.nf_conntrack_max \
                 ({limit}), or exempt loopback from it",
                Grouped(*times)
            ),
            HostTrouble::TimeWait { connections } => write!(
                f,
                "{} closed connections were not kept for the usual minute (net.ipv4.tcp_max_tw_buckets), which does no harm on \
                 loopback",
                Grouped(*connections)
            ),
            HostTrouble::OutOfMemory { killed } => write!(
                f,
                "the kernel killed {} processes because there was no memory left: open fewer connections",
                Grouped(*killed)
            ),
        }
    }
}

/// Looks at the host from the beginning of a run to its end.
#[derive(Clone, Debug)]
pub struct HostWatch {
    first: Counts,
    most: Taken,
}

impl HostWatch {
    /// Begins now.
    pub fn begin() -> Result<HostWatch, ProbeError> {
        Ok(HostWatch {
            first: Counts::read()?,
            most: Taken::read()?,
        })
    }

    /// Looks at what is taken now: some of what is bounded has no count, so it has to be looked at while it is there, a few
    /// times a second.
    pub fn look(&mut self) -> Result<(), ProbeError> {
        let taken = Taken::read()?;
        self.saw(taken);
        Ok(())
    }

    /// What was met since the beginning, the worst first. Nothing where all went well.
    pub fn troubles(&mut self) -> Result<Vec<HostTrouble>, ProbeError> {
        self.look()?;
        let settings = SettingValues::read(Path::new(SYS));
        Ok(self.troubles_until(&Counts::read()?, &settings))
    }

    fn saw(&mut self, taken: Taken) {
        self.most.orphans = self.most.orphans.max(taken.orphans);
        self.most.pages = self.most.pages.max(taken.pages);
    }

    fn troubles_until(&self, last: &Counts, settings: &SettingValues) -> Vec<HostTrouble> {
        let since = last.since(&self.first);
        let limit = |setting| settings.get(setting).map_or("hidden here".into(), text);
        let pages = || (self.most.pages, limit(Setting::TcpMemory));
        let met = |is_met: bool, trouble: &dyn Fn() -> HostTrouble| is_met.then(trouble);
        [
            met(since.oom_kills > 0, &|| HostTrouble::OutOfMemory {
                killed: since.oom_kills,
            }),
            met(since.aborted > 0, &|| HostTrouble::Aborted {
                connections: since.aborted,
                orphans: (self.most.orphans, limit(Setting::Orphans)),
                pages: pages(),
            }),
            met(since.pressures + since.receives_dropped > 0, &|| {
                HostTrouble::Memory {
                    pressures: since.pressures,
                    dropped: since.receives_dropped,
                    pages: pages(),
                }
            }),
            met(since.unfollowed > 0, &|| HostTrouble::Conntrack {
                times: since.unfollowed,
                limit: limit(Setting::Conntrack),
            }),
            met(since.accept_queue_full + since.requests_by_cookie > 0, &|| {
                HostTrouble::AcceptQueue {
                    times: since.accept_queue_full,
                    by_cookie: since.requests_by_cookie,
                    limit: limit(Setting::AcceptQueue),
                }
            }),
            met(since.requests_repeated + since.requests_dropped > 0, &|| {
                HostTrouble::Requests {
                    dropped: since.requests_dropped,
                    repeated: since.requests_repeated,
                }
            }),
            met(since.packets_lost > 0, &|| HostTrouble::Packets {
                lost: since.packets_lost,
                limit: limit(Setting::PacketBacklog),
            }),
            met(since.time_waits_skipped > 0, &|| HostTrouble::TimeWait {
                connections: since.time_waits_skipped,
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::host_counts::tests::counts;
    use super::*;

    fn watch() -> HostWatch {
        HostWatch {
            first: counts(),
            most: Taken::default(),
        }
    }

    fn settings() -> SettingValues {
        [
            (Setting::AcceptQueue, vec![128]),
            (Setting::Orphans, vec![1_000]),
            (Setting::TcpMemory, vec![1, 2, 3]),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn what_was_counted_before_the_run_is_no_trouble_of_its() {
        assert_eq!(watch().troubles_until(&counts(), &settings()), []);
    }

    #[test]
    fn each_limit_that_was_met_is_told_with_what_lifts_it() {
        type Met = fn(&mut Counts);
        let cases: [(Met, &str); 9] = [
            (
                |counts| counts.accept_queue_full += 5_355,
                "connections found the queue of those that wait to be accepted full, 5,355 times, and were held up for a second \
                 or more each time: connect more slowly, or raise net.core.somaxconn (128) where the server asks for a longer queue",
            ),
            (
                |counts| {
                    counts.accept_queue_full += 1;
                    counts.requests_by_cookie += 1;
                },
                "connections found the queue of those that wait to be accepted full, 1 times, and were held up for a second or \
                 more each time (1 took themselves for open before the server knew of them): connect more slowly, or raise \
                 net.core.somaxconn (128) where the server asks for a longer queue",
            ),
            (
                |counts| {
                    counts.requests_repeated += 2_000;
                    counts.requests_dropped += 7;
                },
                "2,000 requests to connect were sent again after a second or more, and 7 had been dropped because too many had \
                 begun: connect more slowly",
            ),
            (
                |counts| counts.aborted += 16_613,
                "the kernel reset 16,613 connections, and what was still owed to them was lost, because more than \
                 net.ipv4.tcp_max_orphans (1000) were closed and owed something (at most 2,387 were seen), or because queues held \
                 more pages than net.ipv4.tcp_mem allows (1 2 3; at most 9 were seen): raise that, or close more slowly",
            ),
            (
                |counts| counts.receives_dropped += 4,
                "the kernel was short of room for TCP's queues, 0 times, and dropped 4 packets for it (at most 9 pages were seen; \
                 net.ipv4.tcp_mem is 1 2 3, and from the second number on every socket is given less): raise that, or let less lie \
                 in queues",
            ),
            (
                |counts| counts.packets_lost += 63,
                "63 packets found no room in a core's queue and were lost, and each was sent again only after 200 ms or more: raise \
                 net.core.netdev_max_backlog (hidden here)",
            ),
            (
                |counts| counts.unfollowed += 1,
                "the firewall could not follow 1 connections and dropped their packets: raise net.netfilter.nf_conntrack_max \
                 (hidden here), or exempt loopback from it",
            ),
            (
                |counts| counts.time_waits_skipped += 9_898,
                "9,898 closed connections were not kept for the usual minute (net.ipv4.tcp_max_tw_buckets), which does no harm on \
                 loopback",
            ),
            (
                |counts| counts.oom_kills += 2,
                "the kernel killed 2 processes because there was no memory left: open fewer connections",
            ),
        ];
        let mut watch = watch();
        // The most of each counts, whenever it was.
        for (orphans, pages) in [(2_387, 5), (3, 9), (0, 0)] {
            watch.saw(Taken { orphans, pages });
        }
        for (met, sentence) in cases {
            let mut last = counts();
            met(&mut last);
            let troubles = watch.troubles_until(&last, &settings());
            let said: Vec<String> = troubles.iter().map(ToString::to_string).collect();
            assert_eq!(said, [sentence]);
        }
    }

    #[test]
    fn all_of_them_are_told_the_worst_first() {
        let mut last = counts();
        last.accept_queue_full += 1;
        last.aborted += 1;
        last.pressures += 1;
        last.oom_kills += 1;
        let troubles = watch().troubles_until(&last, &settings());
        assert!(
            matches!(
                troubles[..],
                [
                    HostTrouble::OutOfMemory { killed: 1 },
                    HostTrouble::Aborted { .. },
                    HostTrouble::Memory { .. },
                    HostTrouble::AcceptQueue { .. }
                ]
            ),
            "{troubles:?}"
        );
    }

    #[test]
    fn a_limit_that_is_met_on_this_host_is_seen() {
        let mut watch = HostWatch::begin().unwrap();
        let tcp = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = tcp();
        let anywhere: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&anywhere.into()).unwrap();
        // Two may wait to be accepted: one more than asked for.
        listener.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<socket2::Socket> = (0..4).map(|_| tcp()).collect();
        for client in &clients {
            client.set_nonblocking(true).unwrap();
            // What does not fit is still under way.
            let _ = client.connect(&address);
        }
        watch.look().unwrap();
        let troubles = watch.troubles().unwrap();
        let is_seen = troubles
            .iter()
            .any(|trouble| matches!(trouble, HostTrouble::AcceptQueue { times: 2.., .. }));
        assert!(is_seen, "{troubles:?}");
    }
}
