//! What a run of very many connections meets on this host, told before it begins: what no setting of the kernel's lifts, and
//! the settings that have to be raised.

use super::host::{HostNeed, THREADS_PER_PROCESS};
use super::host_facts::HostFacts;
use super::host_shortage::HostShortage;
use super::settings::raise::{KernelNeed, Raise, Without, raises};
use super::settings::setting::Setting;

/// What stands in the way of a run.
#[derive(Debug)]
pub struct Assessment {
    /// What stops it, and no setting of the kernel's changes that.
    pub shortages: Vec<HostShortage>,
    /// The settings that are too low for it, in the order in which they are to be raised.
    pub raises: Vec<Raise>,
}

impl Assessment {
    /// Looks at this host.
    pub fn of_host(need: &HostNeed, kernel: &KernelNeed) -> Result<Assessment, HostShortage> {
        Ok(Assessment::of(&HostFacts::read()?, need, kernel))
    }

    /// Looks at a host of which this is known.
    pub fn of(facts: &HostFacts, need: &HostNeed, kernel: &KernelNeed) -> Assessment {
        // What lies in the queues is memory, too, and workers are threads.
        let user_bytes = need.user_bytes_per_connection;
        let processes = kernel.workers.div_ceil(THREADS_PER_PROCESS);
        let whole = HostNeed {
            user_bytes_per_connection: user_bytes.saturating_add(kernel.queued_bytes_per_connection),
            server_processes: need.server_processes.saturating_add(processes),
            ..need.clone()
        };
        let raises = raises(facts, &whole, kernel);
        // As it is once they are raised.
        let mut raised = facts.clone();
        for raise in &raises {
            let value = raise.wanted[0];
            match raise.setting {
                Setting::FileMax => raised.file_max = value,
                Setting::PidMax => raised.pid_max = value,
                Setting::ThreadsMax => raised.threads_max = value,
                Setting::Conntrack => raised.conntrack_max = Some(value),
                Setting::EpollWatches
                | Setting::PacketBacklog
                | Setting::AcceptQueue
                | Setting::TcpMemory
                | Setting::Orphans => {}
            }
        }
        Assessment {
            shortages: raised.shortages(&whole),
            raises,
        }
    }

    /// Why the run must not begin; empty where it may. Without `is_applying` no setting is raised, so those that would stop it
    /// are among the reasons.
    pub fn refusals(self, is_applying: bool) -> Vec<HostShortage> {
        let stopping = self
            .raises
            .into_iter()
            .filter(|raise| !is_applying && raise.without == Without::Stopped)
            .map(|raise| HostShortage::Setting { raise });
        self.shortages.into_iter().chain(stopping).collect()
    }

    /// What would spoil a run for which no setting is raised: a line each, with what would help.
    pub fn warnings(&self) -> Vec<String> {
        self.raises
            .iter()
            .filter(|raise| raise.without == Without::Spoiled)
            .map(|raise| HostShortage::Setting { raise: raise.clone() }.to_string())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::{facts, need};
    use super::*;

    fn kernel() -> KernelNeed {
        KernelNeed {
            workers: 9,
            queued_bytes_per_connection: 0,
            connects_at_once: 8_192,
            listen_backlog: 16_384,
            closed_while_owed: 15_000,
        }
    }

    fn said(shortages: &[HostShortage]) -> Vec<String> {
        shortages.iter().map(ToString::to_string).collect()
    }

    fn narrow() -> HostFacts {
        let facts = facts();
        let values = Setting::ALL
            .into_iter()
            .filter_map(|setting| Some((setting, facts.settings.get(setting)?.to_vec())));
        let narrow = [
            (Setting::FileMax, vec![20_000]),
            (Setting::PidMax, vec![151]),
            (Setting::Conntrack, vec![9_000]),
        ];
        HostFacts {
            file_max: 20_000,
            pid_max: 151,
            conntrack_max: Some(9_000),
            settings: values.chain(narrow).collect(),
            ..facts
        }
    }

    #[test]
    fn what_settings_lift_stands_in_the_way_only_unless_they_are_raised() {
        let assessment = Assessment::of(&narrow(), &need(), &kernel());
        assert_eq!(said(&assessment.shortages), [""; 0]);
        assert_eq!(
            assessment.warnings(),
            [
                "net.core.somaxconn: 4096 -> 8192, because up to 8,192 connections wait at once to be accepted, and those that find \
                 no room are held up for a second or more: `sysctl -w net.core.somaxconn=\"8192\"` as root does that, and so \
                 does --apply-settings, which undoes it at the end"
            ]
        );
        assert_eq!(said(&assessment.refusals(true)), [""; 0]);
        let refusals = said(&Assessment::of(&narrow(), &need(), &kernel()).refusals(false));
        assert_eq!(refusals.len(), 3, "{refusals:?}");
        assert!(
            refusals[0].starts_with("fs.file-max: 20000 -> 31692, because both ends"),
            "{refusals:?}"
        );
        assert!(
            refusals[1].starts_with("kernel.pid_max: 151 -> 182, because"),
            "{refusals:?}"
        );
        assert!(
            refusals[2].starts_with("net.netfilter.nf_conntrack_max: 9000 -> 30000, because"),
            "{refusals:?}"
        );
    }

    #[test]
    fn what_no_setting_lifts_stands_in_the_way_in_any_case() {
        let facts = HostFacts {
            descriptors_hard: Some(1_000),
            // Connections, programs and the reserve alone take 428 MB.
            memory_available_bytes: 500_000_000,
            ..narrow()
        };
        let refused = |queued_bytes_per_connection, is_applying| {
            let kernel = KernelNeed {
                queued_bytes_per_connection,
                ..kernel()
            };
            let assessment = Assessment::of(&facts, &need(), &kernel);
            said(&assessment.refusals(is_applying)).len()
        };
        assert_eq!((refused(0, true), refused(0, false)), (2, 5));
        // The server's descriptors, the load's, and now the memory of what is queued.
        assert_eq!(refused(47_000, true), 3);
    }

    #[test]
    fn this_host_is_assessed() {
        let small = HostNeed {
            connections: 10,
            server_descriptors: 50,
            fleet_descriptors: 50,
            ..need()
        };
        let assessment = Assessment::of_host(&small, &KernelNeed::default()).unwrap();
        let refusals = assessment.refusals(false);
        assert!(refusals.is_empty(), "{refusals:?}");
    }
}
