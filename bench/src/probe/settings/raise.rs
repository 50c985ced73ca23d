//! Which settings of the kernel a run has to have raised, to what, and why. Only what is lower than the run needs is named.

use super::setting::{Setting, text};
use crate::probe::host::HostNeed;
use crate::probe::host_facts::HostFacts;
use crate::probe::host_shortage::Grouped;

/// Descriptors that other programs of this user may watch meanwhile: the kernel does not say how many they are.
const RESERVE_WATCHES: u64 = 10_000;

/// Connections from which on packets of a burst were lost on loopback: 23 to 63 of each opening and each run of 15,000 and
/// 19,000 with room for 1,000, none with room for 10,000.
const PACKET_BACKLOG_CONNECTIONS: u64 = 5_000;

/// The room with which none was lost.
const PACKET_BACKLOG: u64 = 10_000;

/// What a run takes of the kernel beside what [`HostNeed`] counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelNeed {
    /// Workers of the server: a thread each, beside those of its process.
    pub workers: u64,
    /// Bytes that may lie in the kernel's queues for each connection, both ends, with what the kernel adds. 0 for connections
    /// that keep up: a frame at each end then, which is counted in any case.
    pub queued_bytes_per_connection: u64,
    /// Connections that may be under way to one listener at once.
    pub connects_at_once: u64,
    /// The backlog that the listener asks for; more than that no setting gives it.
    pub listen_backlog: u64,
    /// Connections that may be closed at once while their peers are still owed bytes.
    pub closed_while_owed: u64,
}

impl KernelNeed {
    /// Pages that the queues of so many connections hold. The kernel counts whole pages for each socket, so a frame of
    /// 128 bytes is a page where it waits to be read, and one where it waits for its acknowledgement.
    fn pages(&self, connections: u64, page_bytes: u64) -> u64 {
        let of_each = 2_u64.max(self.queued_bytes_per_connection.div_ceil(page_bytes.max(1)) + 1);
        connections.saturating_mul(of_each)
    }
}

/// What becomes of a run without a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// It does not come to its end.
    Stopped,
    /// It does, but its figures would be the setting's rather than the engine's.
    Spoiled,
}

/// A setting that is lower than a run needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Which.
    pub setting: Setting,
    /// What it is.
    pub present: Vec<u64>,
    /// What it has to be.
    pub wanted: Vec<u64>,
    /// What the run takes of it, and what happens without.
    pub because: String,
    /// How bad that is.
    pub without: Without,
}

/// As `net.core.somaxconn: 128 -> 4096, because …`.
impl std::fmt::Display for Raise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (present, wanted) = (text(&self.present), text(&self.wanted));
        write!(
            f,
            "{}: {present} -> {wanted}, because {}",
            self.setting, self.because
        )
    }
}

impl Raise {
    /// The line by which root sets it.
    pub fn command(&self) -> String {
        format!("sysctl -w {}=\"{}\"", self.setting, text(&self.wanted))
    }
}

/// What has to be raised for a run whose processes and memory are all in `need`, in the order in which it is to be done.
pub(in super::super) fn raises(facts: &HostFacts, need: &HostNeed, kernel: &KernelNeed) -> Vec<Raise> {
    let both_ends = need.connections.saturating_mul(2);
    let threads = need.threads();
    let mut raises = Vec::new();
    let mut want = |setting, without, wanted: u64, because: String| {
        let present = facts.settings.get(setting);
        if let Some(&[present]) = present.filter(|present| present[0] < wanted) {
            raises.push(Raise {
                setting,
                present: vec![present],
                wanted: vec![wanted],
                because,
                without,
            });
        }
    };
    if !facts.files_exempt {
        want(
            Setting::FileMax,
            Without::Stopped,
            facts.files_open.saturating_add(need.files()),
            format!(
                "both ends of the connections are {} files beside the {} that are open, and past the limit none is opened",
                Grouped(both_ends),
                Grouped(facts.files_open)
            ),
        );
    }
    want(
        Setting::EpollWatches,
        Without::Stopped,
        both_ends.saturating_add(RESERVE_WATCHES),
        format!(
            "both ends of the connections are watched, {}, and past the limit none is",
            Grouped(both_ends)
        ),
    );
    for setting in [Setting::PidMax, Setting::ThreadsMax] {
        want(
            setting,
            Without::Stopped,
            facts.threads.saturating_add(threads),
            format!(
                "{} processes and threads are needed beside the {} that are there",
                Grouped(threads),
                Grouped(facts.threads)
            ),
        );
    }
    if facts.conntrack_max.is_some() {
        want(
            Setting::Conntrack,
            Without::Stopped,
            both_ends,
            format!(
                "the firewall follows {} connections more, and past the limit their packets are lost",
                Grouped(need.connections)
            ),
        );
    }
    if need.connections >= PACKET_BACKLOG_CONNECTIONS {
        want(
            Setting::PacketBacklog,
            Without::Spoiled,
            PACKET_BACKLOG,
            "packets of a burst over loopback that find no room are lost, and each is sent again only after 200 ms"
                .into(),
        );
    }
    let accept_queue = kernel.connects_at_once.min(kernel.listen_backlog);
    want(
        Setting::AcceptQueue,
        Without::Spoiled,
        accept_queue,
        format!(
            "up to {} connections wait at once to be accepted, and those that find no room are held up for a second or more",
            Grouped(accept_queue)
        ),
    );
    want(
        Setting::Orphans,
        Without::Spoiled,
        kernel.closed_while_owed,
        format!(
            "{} connections may be closed at once with bytes still owed to them, and past the limit they are reset and lose \
             those",
            Grouped(kernel.closed_while_owed)
        ),
    );
    raises.extend(tcp_memory(facts, need, kernel));
    raises
}

/// Of the three numbers the second counts: past it every socket is given less room, past the third none.
fn tcp_memory(facts: &HostFacts, need: &HostNeed, kernel: &KernelNeed) -> Option<Raise> {
    let present = facts.settings.get(Setting::TcpMemory)?;
    let &[low, pressure, high] = present else {
        return None;
    };
    let pages = kernel.pages(need.connections, facts.page_bytes);
    if pages <= pressure {
        return None;
    }
    // A quarter of room, and the kernel's own proportions of 3 : 4 : 6.
    let quarter = pages.div_ceil(4).saturating_add(pages).div_ceil(4);
    let wanted = [3, 4, 6].map(|quarters: u64| quarter.saturating_mul(quarters));
    Some(Raise {
        setting: Setting::TcpMemory,
        present: present.to_vec(),
        wanted: vec![wanted[0].max(low), wanted[1], wanted[2].max(high)],
        because: format!(
            "the queues of {} connections hold up to {} pages, and past the second number every socket is given less room, past \
             the third none",
            Grouped(need.connections),
            Grouped(pages)
        ),
        without: Without::Spoiled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::tests::{facts, need};

    fn kernel() -> KernelNeed {
        KernelNeed {
            workers: 1,
            queued_bytes_per_connection: 0,
            connects_at_once: 1_024,
            listen_backlog: 16_384,
            closed_while_owed: 15_000,
        }
    }

    fn said(facts: &HostFacts, need: &HostNeed, kernel: &KernelNeed) -> Vec<String> {
        let raises = raises(facts, need, kernel);
        raises.iter().map(ToString::to_string).collect()
    }

    /// Facts with one setting at another value.
    fn with(setting: Setting, value: &[u64]) -> HostFacts {
        let facts = facts();
        let others = Setting::ALL.into_iter().filter(|other| *other != setting);
        let values = others.filter_map(|other| Some((other, facts.settings.get(other)?.to_vec())));
        let settings = values.chain([(setting, value.to_vec())]).collect();
        HostFacts { settings, ..facts }
    }

    #[test]
    fn what_is_enough_is_not_raised() {
        assert_eq!(said(&facts(), &need(), &kernel()), [""; 0]);
        // The next lower value of each is.
        let enough = [
            (Setting::FileMax, 692 + 31_000),
            (Setting::EpollWatches, 40_000),
            (Setting::PidMax, 166),
            (Setting::ThreadsMax, 166),
            (Setting::PacketBacklog, 10_000),
            (Setting::AcceptQueue, 1_024),
            (Setting::Orphans, 15_000),
        ];
        for (setting, value) in enough {
            assert_eq!(
                said(&with(setting, &[value]), &need(), &kernel()),
                [""; 0],
                "{setting}"
            );
            let raises = raises(&with(setting, &[value - 1]), &need(), &kernel());
            assert_eq!(raises.len(), 1, "{setting}");
            assert_eq!(raises[0].setting, setting);
            assert_eq!(
                (&raises[0].present[..], &raises[0].wanted[..]),
                (&[value - 1][..], &[value][..])
            );
        }
    }

    #[test]
    fn each_raise_says_what_takes_it_and_how_root_would() {
        let raises = raises(&with(Setting::Orphans, &[1_000]), &need(), &kernel());
        assert_eq!(
            raises[0].to_string(),
            "net.ipv4.tcp_max_orphans: 1000 -> 15000, because 15,000 connections may be closed at once with bytes still owed to \
             them, and past the limit they are reset and lose those"
        );
        assert_eq!(
            raises[0].command(),
            "sysctl -w net.ipv4.tcp_max_orphans=\"15000\""
        );
        assert_eq!(raises[0].without, Without::Spoiled);
    }

    #[test]
    fn the_queues_of_all_connections_are_counted_in_whole_pages() {
        let of = |connections, queued_bytes_per_connection| {
            let need = HostNeed {
                connections,
                source_addresses: 1_000,
                ..need()
            };
            let kernel = KernelNeed {
                queued_bytes_per_connection,
                ..kernel()
            };
            let raises = raises(&facts(), &need, &kernel);
            let raise = raises
                .into_iter()
                .find(|raise| raise.setting == Setting::TcpMemory);
            raise.map(|raise| raise.wanted)
        };
        // Two pages of each, where the kernel begins to be short at 383,779.
        assert_eq!(of(191_889, 0), None);
        assert_eq!(of(191_890, 0), Some(vec![359_796, 479_728, 719_592]));
        // 47 KB in 12 pages, and one more for the other end.
        assert_eq!(of(29_521, 47_000), None);
        assert_eq!(of(29_522, 47_000), Some(vec![359_802, 479_736, 719_604]));
        // So much is enough.
        let exact = with(Setting::TcpMemory, &[1, 30_000, 40_000]);
        assert_eq!(said(&exact, &need(), &kernel()), [""; 0]);
        let short = with(Setting::TcpMemory, &[1, 29_999, 40_000]);
        assert_eq!(said(&short, &need(), &kernel()).len(), 1);
        // Never lower than it is.
        let facts = with(Setting::TcpMemory, &[500_000, 600_000, 9_000_000]);
        let much = HostNeed {
            connections: 310_000,
            ..need()
        };
        let raises = raises(&facts, &much, &kernel());
        let wanted = raises.last().map(|raise| raise.wanted.clone());
        assert_eq!(wanted, Some(vec![581_250, 775_000, 9_000_000]));
    }

    #[test]
    fn what_is_not_there_or_does_not_bind_is_not_raised() {
        let hidden = HostFacts {
            settings: crate::probe::settings::setting::SettingValues::default(),
            ..facts()
        };
        let million = HostNeed {
            connections: 1_000_000,
            ..need()
        };
        assert_eq!(said(&hidden, &million, &kernel()), [""; 0]);
        let exempt = HostFacts {
            files_exempt: true,
            ..with(Setting::FileMax, &[1_000])
        };
        assert_eq!(said(&exempt, &need(), &kernel()), [""; 0]);
        let unfollowed = with(Setting::Conntrack, &[10]);
        assert_eq!(said(&unfollowed, &need(), &kernel()), [""; 0]);
        let followed = HostFacts {
            conntrack_max: Some(10),
            ..unfollowed
        };
        let raises = raises(&followed, &need(), &kernel());
        assert_eq!((raises.len(), raises[0].without), (1, Without::Stopped));
        // No setting gives a listener more than it asks for.
        let modest = KernelNeed {
            connects_at_once: 50_000,
            listen_backlog: 4_096,
            ..kernel()
        };
        assert_eq!(said(&facts(), &need(), &modest), [""; 0]);
    }
}
