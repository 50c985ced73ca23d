//! The kernel's settings that a run may raise, and what they are now. No other is ever written, whatever a file or an order
//! says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the kernel has its settings.
pub const SYS: &str = "/proc/sys";

/// Bytes of a setting's text at most: three numbers and what is between them.
pub const TEXT_BYTES_MAX: usize = 128;

/// A setting of the kernel (Documentation/admin-guide/sysctl, Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// Files open on the host. Whoever has CAP_SYS_ADMIN is exempt.
    #[serde(rename = "fs.file-max")]
    FileMax,
    /// Descriptors that the polls of one user watch.
    #[serde(rename = "fs.epoll.max_user_watches")]
    EpollWatches,
    /// The largest number of a process or thread.
    #[serde(rename = "kernel.pid_max")]
    PidMax,
    /// Threads on the host.
    #[serde(rename = "kernel.threads-max")]
    ThreadsMax,
    /// Packets that wait for a core's network work; loopback's are among them. Those past it are lost.
    #[serde(rename = "net.core.netdev_max_backlog")]
    PacketBacklog,
    /// Connections that wait to be accepted, of one listener.
    #[serde(rename = "net.core.somaxconn")]
    AcceptQueue,
    /// Pages in the queues of all TCP sockets: low, pressure, high.
    #[serde(rename = "net.ipv4.tcp_mem")]
    TcpMemory,
    /// Closed connections that the kernel still has bytes of.
    #[serde(rename = "net.ipv4.tcp_max_orphans")]
    Orphans,
    /// Connections that the firewall follows.
    #[serde(rename = "net.netfilter.nf_conntrack_max")]
    Conntrack,
}

impl Setting {
    /// All of them.
    pub const ALL: [Setting; 9] = [
        Setting::FileMax,
        Setting::EpollWatches,
        Setting::PidMax,
        Setting::ThreadsMax,
        Setting::PacketBacklog,
        Setting::AcceptQueue,
        Setting::TcpMemory,
        Setting::Orphans,
        Setting::Conntrack,
    ];

    /// Its name for `sysctl`.
    pub fn name(self) -> &'static str {
        match self {
            Setting::FileMax => "fs.file-max",
            Setting::EpollWatches => "fs.epoll.max_user_watches",
            Setting::PidMax => "kernel.pid_max",
            Setting::ThreadsMax => "kernel.threads-max",
            Setting::PacketBacklog => "net.core.netdev_max_backlog",
            Setting::AcceptQueue => "net.core.somaxconn",
            Setting::TcpMemory => "net.ipv4.tcp_mem",
            Setting::Orphans => "net.ipv4.tcp_max_orphans",
            Setting::Conntrack => "net.netfilter.nf_conntrack_max",
        }
    }

    /// Its file under `sys`, which is [`SYS`] but in tests.
    pub fn file(self, sys: &Path) -> PathBuf {
        sys.join(self.name().replace('.', "/"))
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The numbers of a setting's text; None where there is anything else in it.
pub fn numbers(text: &str) -> Option<Vec<u64>> {
    let numbers: Option<Vec<u64>> = text
        .split_ascii_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    numbers.filter(|numbers| !numbers.is_empty())
}

/// Numbers as a setting's text.
pub fn text(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    words.join(" ")
}

/// What the settings are. One that is not there bounds nothing that this process could change: in a container with a network
/// of its own those of the whole host (`tcp_mem`, `tcp_max_orphans`, `netdev_max_backlog`) are not to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingValues(BTreeMap<Setting, Vec<u64>>);

impl SettingValues {
    /// Reads all that are there.
    pub fn read(sys: &Path) -> SettingValues {
        let value = |setting: Setting| {
            let text = std::fs::read_to_string(setting.file(sys)).ok()?;
            Some((setting, numbers(&text)?))
        };
        SettingValues(Setting::ALL.into_iter().filter_map(value).collect())
    }

    /// The numbers of one.
    pub fn get(&self, setting: Setting) -> Option<&[u64]> {
        self.0.get(&setting).map(Vec::as_slice)
    }
}

impl FromIterator<(Setting, Vec<u64>)> for SettingValues {
    fn from_iter<I: IntoIterator<Item = (Setting, Vec<u64>)>>(values: I) -> SettingValues {
        SettingValues(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_name_is_what_serde_and_sysctl_call_it() {
        for setting in Setting::ALL {
            let json = serde_json::to_string(&setting).unwrap();
            assert_eq!(json, format!("\"{}\"", setting.name()));
        }
        assert_eq!(
            Setting::FileMax.file(Path::new(SYS)),
            Path::new("/proc/sys/fs/file-max")
        );
        // What was left by a run is read again; nothing else can be named there.
        assert!(serde_json::from_str::<Setting>("\"kernel.core_pattern\"").is_err());
    }

    #[test]
    fn texts_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            numbers("287832\t383779\t575664\n"),
            Some(vec![287_832, 383_779, 575_664])
        );
        for foreign in ["", "\n", "4096 max", "-1", "1.5"] {
            assert_eq!(numbers(foreign), None, "{foreign:?}");
        }
        assert_eq!(text(&[1, 22, 333]), "1 22 333");
    }

    #[test]
    fn this_hosts_settings_are_read() {
        let values = SettingValues::read(Path::new(SYS));
        assert_eq!(values.get(Setting::FileMax).map(<[u64]>::len), Some(1));
        assert_eq!(values.get(Setting::AcceptQueue).map(<[u64]>::len), Some(1));
        let nowhere = SettingValues::read(Path::new("/nonexistent"));
        assert_eq!(nowhere, SettingValues::default());
    }
}
