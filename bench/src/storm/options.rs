//! What `storm` takes.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::crowd::order::Role;
use crate::crowd::scene::{CONNECTIONS_PER_WORKER_MAX, SceneOptions, cadences};
use crate::fleet::order::CONNECTIONS_PER_PROCESS_MAX;
use crate::run::RunError;

/// Connections that a storm has at most: 20 processes of the load.
const JOINS_MAX: u32 = 20 * CONNECTIONS_PER_PROCESS_MAX;

/// The longest of any of its times, seconds.
const TIME_S_MAX: u64 = 600;

/// Bytes that may be queued for a connection that joins with a snapshot: most of a simulated book of some 500 levels.
const QUEUED_BYTES: u64 = 64 * 1024;

/// With what those who join begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Since {
    /// A whole book, and then what continues it: connections that are open already subscribe.
    Snapshot,
    /// What comes next: connections that are open already subscribe.
    Next,
    /// The last id that they had: they all lose their connection at once and come back, so that the storm is of handshakes, too.
    Resume,
}

/// How many join a stream within a second, and what does it do to those who are there?
///
/// An engine with a simulated market on core 0, the load on core 1. Some subscribers are there
/// already. Connections that are open and have no stream yet then all subscribe within a second,
/// evenly over it:
///
///   depthcast-bench storm                           20,000 to one symbol
///   depthcast-bench storm --symbols 1000            20,000 over 1,000 symbols
///   depthcast-bench storm --since resume            20,000 lose their connections and come back
///
/// For each it is taken how long it waits for its snapshot, and checked that its first event
/// continues the snapshot (U = N + 1) and each later one the one before.
///
/// Latencies of those there are in three parts: before, during (from the first who subscribes to
/// the last who has joined) and after. An event counts from when it was due in the market's time:
/// its tick, or at 0ms its own time. The market's time runs beside the machine's clock at an offset
/// that nobody tells, so the zero is the fastest event of the warm-up.
///
/// Exit codes: 2 usage or host, 1 the run failed, 4 there are figures but something was wrong.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct StormOptions {
    /// How many join.
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(JOINS_MAX)))]
    pub joins: u32,

    /// How many are there already.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_PER_PROCESS_MAX)))]
    pub there: u32,

    /// Over how many symbols all of them are spread evenly.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub symbols: u32,

    /// Book changes a second of each symbol: a number, or a range as 10..100.
    #[arg(long, default_value = "10", value_name = "HZ")]
    pub rate: String,

    /// Of each depth stream, how often it is told: 0ms is every event.
    #[arg(long, default_value = "100ms", value_name = "CADENCE", value_parser = cadences())]
    pub cadence: String,

    /// With what those who join begin.
    #[arg(long, default_value = "snapshot", value_name = "WHAT")]
    pub since: Since,

    /// Over what time they come.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub over: Duration,

    /// How long those who resume are away.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub away: Duration,

    /// How long all are open before anything is measured; the fastest event of that time is the zero of latencies.
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,

    /// How long those there are looked at before the storm.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub before: Duration,

    /// How long all are looked at after the last has joined.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub after: Duration,

    /// The engine, its cores and the subscriptions.
    #[command(flatten)]
    pub scene: SceneOptions,
}

impl StormOptions {
    /// Says what does not go together, and what the host does not allow.
    pub fn check(&self) -> Result<(), RunError> {
        for (name, time) in [
            ("over", self.over),
            ("away", self.away),
            ("warm-up", self.warm_up),
            ("before", self.before),
            ("after", self.after),
        ] {
            if time > Duration::from_secs(TIME_S_MAX) {
                return Err(RunError::Usage(format!(
                    "--{name} {time:?}: it takes {TIME_S_MAX} s at most"
                )));
            }
        }
        let shortest = Duration::from_millis(100);
        if self.warm_up < shortest || self.before < shortest || self.after < shortest {
            return Err(RunError::Usage(
                "--warm-up, --before and --after take 100ms at least: something has to come in each".into(),
            ));
        }
        let workers = self.scene.workers(self.connections());
        if self.connections().div_ceil(workers) > CONNECTIONS_PER_WORKER_MAX {
            return Err(RunError::Usage(format!(
                "{} connections are more than --workers {workers} hold: give --workers {}, or leave it out",
                self.connections(),
                self.connections().div_ceil(CONNECTIONS_PER_WORKER_MAX)
            )));
        }
        let queued_bytes = if self.since == Since::Snapshot {
            QUEUED_BYTES
        } else {
            0
        };
        let processes = 1 + self.joins.div_ceil(CONNECTIONS_PER_PROCESS_MAX);
        self.scene.check_host(self.connections(), processes, queued_bytes)
    }

    /// All of them.
    pub fn connections(&self) -> u32 {
        self.there + self.joins
    }

    /// What those who join do.
    pub fn role(&self) -> Role {
        match self.since {
            Since::Snapshot => Role::Subscribe { with_snapshot: true },
            Since::Next => Role::Subscribe { with_snapshot: false },
            Since::Resume => Role::Resume {
                away_us: self.away.as_micros() as u64,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        storm: StormOptions,
    }

    fn storm(arguments: &[&str]) -> StormOptions {
        Line::try_parse_from([&["bench"], arguments].concat())
            .unwrap()
            .storm
    }

    #[test]
    fn what_does_not_go_together_is_said_with_what_would() {
        let refusal = |arguments: &[&str]| storm(arguments).check().unwrap_err().to_string();
        assert_eq!(
            refusal(&["--workers", "1"]),
            "21000 connections are more than --workers 1 hold: give --workers 2, or leave it out"
        );
        assert_eq!(refusal(&["--over", "11m"]), "--over 660s: it takes 600 s at most");
        assert!(refusal(&["--before", "1ms"]).starts_with("--warm-up, --before and --after take 100ms"));
        storm(&["--joins", "10", "--there", "10"]).check().unwrap();
    }

    #[test]
    fn those_who_resume_are_away_for_a_while() {
        let resume = storm(&["--since", "resume", "--away", "20ms"]);
        assert_eq!(resume.role(), Role::Resume { away_us: 20_000 });
        assert_eq!(storm(&[]).role(), Role::Subscribe { with_snapshot: true });
        assert_eq!(storm(&[]).scene.workers(storm(&[]).connections()), 2);
    }
}
