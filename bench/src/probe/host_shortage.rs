//! What can stand in the way of a run, each in one sentence with what would change it.

use super::proc_files::ProbeError;
use super::settings::journal::JournalError;
use super::settings::raise::Raise;
use super::settings::raised::SettingsError;

/// What the host does not allow, and what would change that: one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum HostShortage {
    /// One process needs more descriptors than one may have.
    #[error(
        "{} descriptors are the most one process may have here, and {who} would need {}: raise the hard limit with \
         `ulimit -Hn {need}` as root{}",
        Grouped(*limit), Grouped(*need), NrOpen(*need, *nr_open)
    )]
    Descriptors {
        /// Which process.
        who: String,
        /// What it needs.
        need: u64,
        /// The hard limit (RLIMIT_NOFILE).
        limit: u64,
        /// To what it can be raised (fs.nr_open).
        nr_open: u64,
    },
    /// All processes together need more than the host holds open.
    #[error(
        "{} more files may be open on this host, and both ends of the connections would need {}: allow more with `sysctl \
         fs.file-max={}` as root",
        Grouped(*free), Grouped(*need), open.saturating_add(*need)
    )]
    Files {
        /// What is needed.
        need: u64,
        /// What is left.
        free: u64,
        /// What is open already.
        open: u64,
    },
    /// There is not enough memory.
    #[error(
        "{} MB of memory are available here, and {} connections would need {} MB (about {} KB each, both ends, most of it the \
         kernel's): open at most {} connections, or give the {} more memory",
        available_bytes / MB, Grouped(*connections), need_bytes.div_ceil(MB), per_connection_bytes.div_ceil(1000),
        Grouped(*fitting), if *is_of_group { "container" } else { "host" }
    )]
    Memory {
        /// Connections.
        connections: u64,
        /// What all of them need, and a reserve.
        need_bytes: u64,
        /// What one needs.
        per_connection_bytes: u64,
        /// What is available.
        available_bytes: u64,
        /// How many connections would fit.
        fitting: u64,
        /// Whether it is a control group (a container) that sets the bound.
        is_of_group: bool,
    },
    /// The load's addresses have too few ports.
    #[error(
        "{} connections can be opened to one port here (from {} addresses with {} ports each), and {} are wanted: use more \
         source addresses, or widen the range with `sysctl net.ipv4.ip_local_port_range=\"1024 65535\"` as root",
        Grouped(ports * addresses), Grouped(*addresses), Grouped(*ports), Grouped(*need)
    )]
    Ports {
        /// Connections.
        need: u64,
        /// Source addresses.
        addresses: u64,
        /// Ports of each.
        ports: u64,
    },
    /// There would be too many processes or threads.
    #[error(
        "{} more processes and threads are allowed here, and {} are needed: raise {setting}",
        Grouped(*free), Grouped(*need)
    )]
    Processes {
        /// What is needed.
        need: u64,
        /// What is left.
        free: u64,
        /// What sets the bound, and how to raise it.
        setting: &'static str,
    },
    /// The firewall's table of connections is too small.
    #[error(
        "the firewall of this host follows at most {} connections, and {} are wanted: `sysctl \
         net.netfilter.nf_conntrack_max={}` as root, or exempt loopback from it",
        Grouped(*limit), Grouped(*need), need.saturating_mul(2)
    )]
    Conntrack {
        /// Connections.
        need: u64,
        /// What the table holds.
        limit: u64,
    },
    /// A setting of the kernel is too low.
    #[error("{raise}: `{}` as root does that, and so does --apply-settings, which undoes it at the end", raise.command())]
    Setting {
        /// Which, to what it is to be raised, and why.
        raise: Raise,
    },
    /// Settings cannot be raised.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What a killed run has left cannot be undone.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the host allows cannot be learned.
    #[error("what this host allows cannot be learned: {0}")]
    Unknown(#[from] ProbeError),
}

const MB: u64 = 1_000_000;

/// A number with a comma between thousands.
pub(super) struct Grouped(pub(super) u64);

impl std::fmt::Display for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// How far the hard limit of descriptors can be raised, for the need of the first.
struct NrOpen(u64, u64);

impl std::fmt::Display for NrOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 <= self.1 {
            write!(f, " (fs.nr_open allows {})", Grouped(self.1))
        } else {
            write!(
                f,
                ", after `sysctl fs.nr_open={}` (it allows {} now)",
                self.0,
                Grouped(self.1)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let grouped = [0, 999, 1_000, 10_100, 1_048_576].map(|number| Grouped(number).to_string());
        assert_eq!(grouped, ["0", "999", "1,000", "10,100", "1,048,576"]);
    }
}
