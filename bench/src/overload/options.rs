//! What `overload` takes.

use std::time::Duration;

use clap::Args;

use super::plan::{Offer, Wanted, plan};
use crate::crowd::scene::{CONNECTIONS_PER_WORKER_MAX, SceneOptions, cadences};
use crate::fleet::order::CONNECTIONS_PER_PROCESS_MAX;
use crate::run::RunError;

/// Connections at most: 20 processes of the load.
const CONNECTIONS_MAX: i64 = 20 * CONNECTIONS_PER_PROCESS_MAX as i64;

/// The longest of any of its times, seconds.
const TIME_S_MAX: u64 = 3_600;

/// The shortest of them: ten moments, each with events of its own.
const TIME_MIN: Duration = Duration::from_secs(1);

/// Bytes that may be queued for a connection meanwhile: what the kernel lets a sender keep unsent, and its receiver unread.
const QUEUED_BYTES: u64 = 64 * 1024;

/// What does an engine do with twice the load that its core can send one by one?
///
/// First the bare loop tells how many sends a second the core can make (or --sends does). Then an
/// engine's market is offered so many connections, each to the one symbol's depth, that twice as
/// many are due. Some connections are there before, and stay when the others leave at once:
///
///   depthcast-bench overload                                   each event, as it happens
///   depthcast-bench overload --cadence 10ms                    ticks of 10 ms
///   depthcast-bench overload --sends 120000                    without measuring that first
///   depthcast-bench overload --connections 8000 --rate 30      so many, whatever that comes to
///
/// It must be: nobody closed, no id missing, books of all who keep one equal at equal ids and to
/// REST's, latencies that do not go on growing, and that are back to what they were before within a
/// second of the load's end. What is not is told, and the exit code is 4.
///
/// How much was merged is in the ids that an event covers. A merged event's latency is that of its
/// newest change; how old others in it can be is in the longest time between two events.
///
/// Latencies have the fastest event of the warm-up as their zero, as in `storm`.
///
/// Exit codes: 2 usage or host, 1 the run failed, 4 there are figures but something was wrong.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct OverloadOptions {
    /// How many connections, those who stay included. [default: 10000 at 0ms, else as many as it takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=CONNECTIONS_MAX))]
    pub connections: Option<u32>,

    /// Book changes a second. [default: as many as it takes at 0ms, else 1000]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: Option<u32>,

    /// Sends a second that the server's core can make one by one. [default: what the bare loop makes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub sends: Option<u32>,

    /// How many times that is offered.
    #[arg(long, default_value_t = 2.0, value_name = "TIMES")]
    pub times: f64,

    /// How many are there before, and stay.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_PER_PROCESS_MAX)))]
    pub stay: u32,

    /// How often the depth stream is told: 0ms is every event.
    #[arg(long, default_value = "0ms", value_name = "CADENCE", value_parser = cadences())]
    pub cadence: String,

    /// How long the overload is measured, once all are there.
    #[arg(long = "for", default_value = "15s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub window: Duration,

    /// How long those who stay are there before anything is measured; the fastest event of that time is the zero.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,

    /// How long they are looked at before the others come.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub before: Duration,

    /// How long they are looked at after the others have left.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub after: Duration,

    /// The engine, its cores and the subscriptions.
    #[command(flatten)]
    pub scene: SceneOptions,
}

impl OverloadOptions {
    /// Says what does not go together.
    pub fn check(&self) -> Result<(), RunError> {
        let usage = |text: String| Err(RunError::Usage(text));
        for (name, time) in [
            ("for", self.window),
            ("warm-up", self.warm_up),
            ("before", self.before),
            ("after", self.after),
        ] {
            if !(TIME_MIN..=Duration::from_secs(TIME_S_MAX)).contains(&time) {
                return usage(format!("--{name} {time:?}: it takes 1s to {TIME_S_MAX}s"));
            }
        }
        if !(0.01..=100.0).contains(&self.times) {
            return usage(format!("--times {}: it takes 0.01 to 100", self.times));
        }
        if self.scene.books() < 2 {
            return usage("--books takes 2 or more: books are held against each other".into());
        }
        Ok(())
    }

    /// What is offered where the core can make so many sends a second; what the host does not allow is said.
    pub fn offer(&self, sends_per_s: f64) -> Result<Offer, RunError> {
        let offer = plan(&Wanted {
            sends_per_s,
            times: self.times,
            cadence_ms: self.cadence.trim_end_matches("ms").parse().unwrap_or(0),
            connections: self.connections,
            rate: self.rate,
        })
        .map_err(RunError::Usage)?;
        let connections = offer.connections;
        if connections <= self.stay {
            return Err(RunError::Usage(format!(
                "{connections} connections make the load, and --stay {} of them stay: give a smaller --stay or --rate",
                self.stay
            )));
        }
        let workers = self.scene.workers(connections);
        if connections.div_ceil(workers) > CONNECTIONS_PER_WORKER_MAX {
            return Err(RunError::Usage(format!(
                "{connections} connections are more than --workers {workers} hold: leave it out, or give a higher --rate"
            )));
        }
        let processes = 1 + connections.div_ceil(CONNECTIONS_PER_PROCESS_MAX);
        self.scene.check_host(connections, processes, QUEUED_BYTES)?;
        Ok(offer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        overload: OverloadOptions,
    }

    fn overload(arguments: &[&str]) -> OverloadOptions {
        Line::try_parse_from([&["bench"], arguments].concat())
            .unwrap()
            .overload
    }

    #[test]
    fn what_does_not_go_together_is_said_with_what_would() {
        let refusal = |arguments: &[&str]| {
            let options = overload(arguments);
            let refused = options.check().and_then(|()| options.offer(1000.0).map(drop));
            refused.unwrap_err().to_string()
        };
        assert_eq!(refusal(&["--for", "10ms"]), "--for 10ms: it takes 1s to 3600s");
        assert_eq!(refusal(&["--times", "0"]), "--times 0: it takes 0.01 to 100");
        assert!(refusal(&["--books", "1"]).starts_with("--books takes 2 or more"));
        assert!(refusal(&["--connections", "500"]).starts_with("500 connections make the load"));
        assert!(
            refusal(&["--connections", "20000", "--workers", "1"]).contains("more than --workers 1 hold")
        );
        assert!(
            refusal(&["--cadence", "20ms", "--connections", "30"]).ends_with("give --connections 41 or more")
        );
    }

    #[test]
    fn twice_the_load_is_offered() {
        let offer = overload(&[]).offer(100_000.0).unwrap();
        assert_eq!(
            (offer.connections, offer.rate, offer.sends_per_s()),
            (10_000, 20, 200_000.0)
        );
        let ticking = overload(&["--cadence", "10ms", "--times", "3"])
            .offer(100_000.0)
            .unwrap();
        assert_eq!((ticking.connections, ticking.rate), (3001, 1000));
    }
}
