//! What the kernel counts where a limit of the host is met, and what is taken of limits that it counts nothing for.

use super::proc_files::{ProbeError, foreign, line_of, pair, read, table_field};

const NETSTAT: &str = "/proc/net/netstat";
const SOCKSTAT: &str = "/proc/net/sockstat";
const SOFTNET: &str = "/proc/net/softnet_stat";
const CONNTRACK: &str = "/proc/net/stat/nf_conntrack";
const VMSTAT: &str = "/proc/vmstat";

/// What the kernel counts where a limit is met, since the host's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// ListenOverflows: a full queue of those that wait to be accepted, at each packet that met it.
    pub(super) accept_queue_full: u64,
    /// TCPReqQFullDrop: the same of those that have only begun, dropped.
    pub(super) requests_dropped: u64,
    /// TCPReqQFullDoCookies: the same, answered with a cookie: the client takes itself for connected.
    pub(super) requests_by_cookie: u64,
    /// TCPSynRetrans.
    pub(super) requests_repeated: u64,
    /// TCPAbortOnMemory: connections that were reset for want of memory, or of room among the orphans.
    pub(super) aborted: u64,
    /// TCPMemoryPressures: how often the kernel began to be short.
    pub(super) pressures: u64,
    /// TCPRcvQDrop: what came and found no memory.
    pub(super) receives_dropped: u64,
    /// TCPTimeWaitOverflow.
    pub(super) time_waits_skipped: u64,
    /// Packets that found no room in a core's queue.
    pub(super) packets_lost: u64,
    /// Connections that the firewall could not follow.
    pub(super) unfollowed: u64,
    /// Processes that were killed for want of memory.
    pub(super) oom_kills: u64,
}

/// What is taken at a moment of what the kernel bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) orphans: u64,
    pub(super) pages: u64,
}

impl Counts {
    pub(super) fn read() -> Result<Counts, ProbeError> {
        // A kernel without a firewall has no such file.
        let conntrack = read(CONNTRACK).unwrap_or_default();
        Counts::parse(&read(NETSTAT)?, &read(SOFTNET)?, &conntrack, &read(VMSTAT)?)
    }

    pub(super) fn parse(
        netstat: &str,
        softnet: &str,
        conntrack: &str,
        vmstat: &str,
    ) -> Result<Counts, ProbeError> {
        let count = |field| table_field(netstat, "TcpExt", field).ok_or_else(|| foreign(NETSTAT, field));
        Ok(Counts {
            accept_queue_full: count("ListenOverflows")?,
            requests_dropped: count("TCPReqQFullDrop")?,
            requests_by_cookie: count("TCPReqQFullDoCookies")?,
            requests_repeated: count("TCPSynRetrans")?,
            aborted: count("TCPAbortOnMemory")?,
            pressures: count("TCPMemoryPressures")?,
            receives_dropped: count("TCPRcvQDrop")?,
            time_waits_skipped: count("TCPTimeWaitOverflow")?,
            packets_lost: packets_lost(softnet).ok_or_else(|| foreign(SOFTNET, "count of lost packets"))?,
            unfollowed: unfollowed(conntrack),
            oom_kills: pair(vmstat, "oom_kill").ok_or_else(|| foreign(VMSTAT, "oom_kill"))?,
        })
    }

    pub(super) fn since(&self, earlier: &Counts) -> Counts {
        let by = |of: fn(&Counts) -> u64| of(self).saturating_sub(of(earlier));
        Counts {
            accept_queue_full: by(|counts| counts.accept_queue_full),
            requests_dropped: by(|counts| counts.requests_dropped),
            requests_by_cookie: by(|counts| counts.requests_by_cookie),
            requests_repeated: by(|counts| counts.requests_repeated),
            aborted: by(|counts| counts.aborted),
            pressures: by(|counts| counts.pressures),
            receives_dropped: by(|counts| counts.receives_dropped),
            time_waits_skipped: by(|counts| counts.time_waits_skipped),
            packets_lost: by(|counts| counts.packets_lost),
            unfollowed: by(|counts| counts.unfollowed),
            oom_kills: by(|counts| counts.oom_kills),
        }
    }
}

impl Taken {
    pub(super) fn read() -> Result<Taken, ProbeError> {
        Taken::parse(&read(SOCKSTAT)?)
    }

    pub(super) fn parse(sockstat: &str) -> Result<Taken, ProbeError> {
        let line = line_of(sockstat, "TCP").ok_or_else(|| foreign(SOCKSTAT, "TCP"))?;
        let count = |field| pair(line, field).ok_or_else(|| foreign(SOCKSTAT, field));
        Ok(Taken {
            orphans: count("orphan")?,
            pages: count("mem")?,
        })
    }
}

/// The second number of each core's line, all in hexadecimal.
fn packets_lost(softnet: &str) -> Option<u64> {
    softnet
        .lines()
        .map(|line| u64::from_str_radix(line.split_ascii_whitespace().nth(1)?, 16).ok())
        .sum()
}

/// A line of names, and one of hexadecimal numbers for each core.
fn unfollowed(conntrack: &str) -> u64 {
    let mut lines = conntrack.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let mut sum: u64 = 0;
    for line in lines {
        for (name, number) in names.iter().zip(line.split_ascii_whitespace()) {
            if ["drop", "early_drop"].contains(name) {
                sum = sum.saturating_add(u64::from_str_radix(number, 16).unwrap_or(0));
            }
        }
    }
    sum
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    // Of Linux 6.18, most columns left out.
    const NETSTAT_TEXT: &str = "TcpExt: ListenOverflows ListenDrops TCPAbortOnMemory TCPMemoryPressures \
        TCPTimeWaitOverflow TCPReqQFullDoCookies TCPReqQFullDrop TCPSynRetrans TCPRcvQDrop\n\
        TcpExt: 5869 5870 189 329 8100 2484 18 145194 41\nIpExt: InNoRoutes\nIpExt: 0\n";
    const SOFTNET_TEXT: &str = "275062b7 0000b240 00000006 00000000\n1c40279b 00000d2d 00000009 00000000\n";
    const CONNTRACK_TEXT: &str = "entries clashres insert_failed drop early_drop icmp_error\n\
        00000000 00000000 00000007 0000000a 00000001 00000000\n\
        00000000 00000000 00000000 00000002 00000000 00000000\n";
    const VMSTAT_TEXT: &str = "oom_kill_disable 9\noom_kill 3\npgfault 1\n";

    pub(in super::super) fn counts() -> Counts {
        Counts::parse(NETSTAT_TEXT, SOFTNET_TEXT, CONNTRACK_TEXT, VMSTAT_TEXT).unwrap()
    }

    #[test]
    fn the_kernels_texts_are_read() {
        let expected = Counts {
            accept_queue_full: 5_869,
            requests_dropped: 18,
            requests_by_cookie: 2_484,
            requests_repeated: 145_194,
            aborted: 189,
            pressures: 329,
            receives_dropped: 41,
            time_waits_skipped: 8_100,
            packets_lost: 45_632 + 3_373,
            unfollowed: 13,
            oom_kills: 3,
        };
        assert_eq!(counts(), expected);
        let sockstat = "sockets: used 24\nTCP: inuse 1 orphan 17 tw 0 alloc 1 mem 141\nUDP: inuse 0 mem 5\n";
        let taken = Taken {
            orphans: 17,
            pages: 141,
        };
        assert_eq!(Taken::parse(sockstat).unwrap(), taken);
        let without_firewall = Counts::parse(NETSTAT_TEXT, SOFTNET_TEXT, "", VMSTAT_TEXT).unwrap();
        assert_eq!(without_firewall.unfollowed, 0);
        let error = Counts::parse(NETSTAT_TEXT, "x\n", "", VMSTAT_TEXT).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/proc/net/softnet_stat has no count"),
            "{error}"
        );
    }
}
