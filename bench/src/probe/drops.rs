//! What the kernel's network code has counted of connections that it could not serve: which of its own limits were met, and how
//! often (Documentation/networking/snmp_counter.rst).

use super::proc_files::{ProbeError, foreign, read, table_field};

const NETSTAT: &str = "/proc/net/netstat";

/// The counts, and what each means for people, with the setting that would change it.
const COUNTS: [(&str, &str); 6] = [
    (
        "ListenOverflows",
        "connects found a full accept queue and had to be made again (net.core.somaxconn, or a server that is slow to accept)",
    ),
    (
        "TCPReqQFullDrop",
        "connects were dropped with the queue of handshakes full (net.ipv4.tcp_max_syn_backlog)",
    ),
    (
        "TCPAbortOnMemory",
        "connections were given up since TCP's memory was used up (net.ipv4.tcp_mem, net.ipv4.tcp_max_orphans)",
    ),
    (
        "TCPMemoryPressures",
        "times TCP began to save memory (net.ipv4.tcp_mem)",
    ),
    (
        "TCPTimeWaitOverflow",
        "closed connections were forgotten early (net.ipv4.tcp_max_tw_buckets): on loopback this does no harm",
    ),
    ("TCPSynRetrans", "connects or their answers had to be sent again"),
];

/// The counts at one moment, of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops([u64; COUNTS.len()]);

impl Drops {
    /// Reads them now.
    pub fn take() -> Result<Drops, ProbeError> {
        Drops::parse(&read(NETSTAT)?)
    }

    /// What was counted since `earlier`, as sentences.
    pub fn since(&self, earlier: &Drops) -> Vec<String> {
        let grown = self
            .0
            .iter()
            .zip(&earlier.0)
            .map(|(now, before)| now.saturating_sub(*before));
        grown
            .zip(COUNTS)
            .filter(|(count, _)| *count > 0)
            .map(|(count, (_, meaning))| format!("{count} {meaning}"))
            .collect()
    }

    fn parse(text: &str) -> Result<Drops, ProbeError> {
        let mut counts = [0; COUNTS.len()];
        for (count, (name, _)) in counts.iter_mut().zip(COUNTS) {
            *count = table_field(text, "TcpExt", name).ok_or_else(|| foreign(NETSTAT, name))?;
        }
        Ok(Drops(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_told_with_its_setting() {
        let text = |overflows: u64| {
            format!(
                "TcpExt: ListenOverflows TCPReqQFullDrop TCPAbortOnMemory TCPMemoryPressures TCPTimeWaitOverflow \
                 TCPSynRetrans\nTcpExt: {overflows} 2 3 4 5 6\n"
            )
        };
        let before = Drops::parse(&text(10)).unwrap();
        let now = Drops::parse(&text(17)).unwrap();
        let told = now.since(&before);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("7 connects found a full accept queue"),
            "{told:?}"
        );
        assert!(Drops::parse("TcpExt: A\nTcpExt: 1\n").is_err());
        Drops::take().unwrap();
    }
}
