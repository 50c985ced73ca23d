//! Files under /proc (proc_pid_stat(5) and its siblings): reading them, and the forms that several of them have.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What cannot be learned, and why.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The process has ended.
    #[error("process {pid} is gone")]
    Gone {
        /// Its id.
        pid: u32,
    },
    /// A file that is not there, or not for this user.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The kernel writes the file otherwise than is documented.
    #[error("{} has no {wanted}, which every Linux since 5.4 writes there", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
}

/// A whole file.
pub(super) fn read(path: impl AsRef<Path>) -> Result<String, ProbeError> {
    let path = path.as_ref();
    std::fs::read_to_string(path).map_err(|error| ProbeError::Unreadable {
        path: path.into(),
        error,
    })
}

/// A file of a process or of one of its threads.
pub(super) fn read_of(pid: u32, path: impl AsRef<Path>) -> Result<String, ProbeError> {
    read(path).map_err(|error| gone_or(pid, error))
}

/// A file that vanishes with its process says so in two ways, before it is opened and after.
pub(super) fn gone_or(pid: u32, error: ProbeError) -> ProbeError {
    match &error {
        ProbeError::Unreadable { error: cause, .. } if is_gone(cause) => ProbeError::Gone { pid },
        _ => error,
    }
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

/// An error that names the file and what it lacks.
pub(super) fn foreign(path: impl Into<PathBuf>, wanted: &'static str) -> ProbeError {
    ProbeError::Foreign {
        path: path.into(),
        wanted,
    }
}

/// The number behind `name` in lines of the form `Name:   123 kB`, in bytes.
pub(super) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = line_of(text, name)?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// What follows `name:` on its line.
pub(super) fn line_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// The number called `field` in the pair of lines that both begin with `table:`, one of names and one of numbers.
pub(super) fn table_field(text: &str, table: &str, field: &str) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(table)?.strip_prefix(':'));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let place = names.split_ascii_whitespace().position(|name| name == field)?;
    numbers.split_ascii_whitespace().nth(place)?.parse().ok()
}

/// The number behind `name` among pairs `name 1 other 2`.
pub(super) fn pair(text: &str, name: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    words.find(|&word| word == name)?;
    words.next()?.parse().ok()
}

/// Clock ticks as nanoseconds.
pub(super) fn ticks_ns(ticks: u64) -> u64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(per_second);
    u64::try_from(ns).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let status = "VmPeak:\t    3060 kB\nVmRSS:\t    1616 kB\nRssAnon:\t     112 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(status, "VmRSS"), Some(1616 * 1024));
        assert_eq!(kilobytes(status, "Rss"), None);
        assert_eq!(kilobytes(status, "Threads"), None);
        let snmp = "Udp: InDatagrams\nUdp: 4\nTcp: MaxConn InSegs OutSegs\nTcp: -1 26708267 26687468\n";
        assert_eq!(table_field(snmp, "Tcp", "OutSegs"), Some(26_687_468));
        assert_eq!(table_field(snmp, "Tcp", "MaxConn"), None);
        assert_eq!(table_field(snmp, "Tcp", "OutSeg"), None);
        assert_eq!(table_field("Tcp: OutSegs\n", "Tcp", "OutSegs"), None);
        assert_eq!(pair("inuse 1 orphan 0 mem 141", "mem"), Some(141));
        assert_eq!(pair("inuse 1 mem", "mem"), None);
    }
}
