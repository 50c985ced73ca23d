//! What `scale` takes, and the cases.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::crowd::order::Role;
use crate::crowd::process::UNDER_WAY_MAX;
use crate::crowd::returns::Backoff;
use crate::crowd::scene::{CONNECTIONS_PER_WORKER_MAX, SceneOptions, cadences};
use crate::fleet::opening::OPENING_TIME_MAX;
use crate::fleet::order::CONNECTIONS_PER_PROCESS_MAX;
use crate::probe::ready::make_ready;
use crate::probe::settings::journal::Places;
use crate::probe::settings::raise::KernelNeed;
use crate::probe::settings::raised::{RaisedSettings, on_standard_error};
use crate::run::{Own, RunError};

/// Connections at most: those of 64 workers.
const CONNECTIONS_MAX: u32 = 64 * CONNECTIONS_PER_WORKER_MAX;

/// The longest of any of its times, seconds.
const TIME_S_MAX: u64 = 3600;

/// Connections that keep whole books, where nobody says how many.
const BOOKS: u32 = 64;

/// Bytes that may be queued for a connection with a market that moves: an event or two.
const QUEUED_BYTES: u64 = 2_000;

/// Handshakes under way at most while all processes open, together.
const ALL_AT_ONCE_MAX: u32 = 3_600;

/// The backlog that the engine asks of the kernel for its listeners.
const ENGINE_BACKLOG: u64 = 16_384;

/// The longest that a process of the load sleeps, us.
const PAUSE_US_MAX: u32 = 20_000;

/// What a run may take beside opening and its times: the engine's start, settling, books of REST, closing.
const SLACK: Duration = Duration::from_secs(300);

/// How long all may take to be back, in the cases in which they leave.
pub const RETURN_PATIENCE: Duration = Duration::from_secs(300);

/// What the connections do once they are all open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Nothing: a market that stands still, looked at without pings and then, with another engine, with them.
    Quiet,
    /// All take one symbol.
    One,
    /// They take 1,000 symbols, by Zipf's law.
    Zipf,
    /// 10,000 take one symbol, in turn without and with 2,000 snapshots of its book a second asked for by REST.
    Requests,
    /// Some leave and come back all the time, 5 % a second of 100,000, for 5 minutes.
    Churn,
    /// All lose their connections at once and come back with backoff.
    Reconnect,
}

/// How many connections does this machine carry, and what do they cost?
///
/// An engine on core 0, a load of as many processes as it takes on core 1. The cases:
///
///   depthcast-bench scale                           240,000 at rest: memory, CPU, pings
///   depthcast-bench scale --case one                all on one symbol of 10 updates a second
///   depthcast-bench scale --case zipf               over 1,000 symbols, by Zipf's law
///   depthcast-bench scale --case requests           10,000 on one symbol beside 2,000 snapshots a second by REST
///   depthcast-bench scale --case churn              5 % of 100,000 come and go each second
///   depthcast-bench scale --case reconnect          all gone at once, and back with backoff
///   depthcast-bench scale --connections 1000000     as far as it goes
///
/// Each is made of the options below, which can be given with any case. Every message of every
/// connection is looked at (its kind, and that its ids continue those of the one before); some
/// connections keep whole books, which are held against each other and against REST's.
///
/// What the host does not allow is said before the start, what stopped it later with how far it came.
///
/// Exit codes: 2 usage or host, 1 the run failed, 4 there are figures but something was wrong.
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ScaleOptions {
    /// What they do once they are all open.
    #[arg(long, default_value = "quiet", value_name = "CASE")]
    pub case: Case,

    /// How many connections. [default: 240000; churn: 100000; requests: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=i64::from(CONNECTIONS_MAX)))]
    pub connections: Option<u32>,

    /// Over how many symbols. [default: 1; zipf: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub symbols: Option<u32>,

    /// The exponent of Zipf's law, by which the symbol of rank k is taken by a share in proportion to 1/k^S; 0 spreads them evenly.
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub zipf: f64,

    /// Updates a second of each symbol, up to 1000; 0 is a market that stands still. [default: 0; one, zipf, requests: 10]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub rate: Option<u32>,

    /// Of each depth stream, how often it is told: 0ms is every event.
    #[arg(long, default_value = "100ms", value_name = "CADENCE", value_parser = cadences())]
    pub cadence: String,

    /// Percent of the connections that leave, and come back, each second of churn: half with a Close, half without.
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT")]
    pub churn: f64,

    /// The longest wait of who comes back before its first try; it doubles with each, and is drawn evenly from zero to that (full
    /// jitter).
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub backoff: Duration,

    /// The longest wait before any try.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub backoff_cap: Duration,

    /// Requests a second of the case of that name.
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests: u32,

    /// What these ask for. [default: /api/v3/depth of the first symbol, 100 levels a side]
    #[arg(long, value_name = "PATH")]
    pub request: Option<String>,

    /// How long all are looked at; of churn, how long it goes on; of requests, each time. [default: 60s; churn: 300s; requests: 20s]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub window: Option<Duration>,

    /// How long all are left alone before memory is looked at or anything is measured.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub settle: Duration,

    /// Milliseconds between two pings of the engine to a connection.
    #[arg(long, default_value_t = 20_000, value_name = "MS", value_parser = clap::value_parser!(u32).range(100..=86_400_000))]
    pub ping_ms: u32,

    /// Leave out the first engine of the quiet case, which sends no pings: what one costs is then not told.
    #[arg(long)]
    pub pings_only: bool,

    /// Connects a second while they are opened; 0 for as many as go.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub ramp: u32,

    /// When the load gives up and the run fails. [default: as long as opening may take, and the times above]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub deadline: Option<Duration>,

    /// Raise the kernel's settings that are too low for the run. Each is said, with why, and set back at the end, however the
    /// run ends; root may do that. Without this it is only said what would have to be raised.
    #[arg(long)]
    pub apply_settings: bool,

    /// The engine, its cores and the subscriptions.
    #[command(flatten)]
    pub scene: SceneOptions,
}

impl ScaleOptions {
    /// How many connections.
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(match self.case {
            Case::Churn => 100_000,
            Case::Requests => 10_000,
            Case::Quiet | Case::One | Case::Zipf | Case::Reconnect => 240_000,
        })
    }

    /// Over how many symbols.
    pub fn symbols(&self) -> u32 {
        self.symbols
            .unwrap_or(if self.case == Case::Zipf { 1_000 } else { 1 })
    }

    /// Updates a second of each.
    pub fn rate(&self) -> u32 {
        self.rate.unwrap_or(match self.case {
            Case::One | Case::Zipf | Case::Requests => 10,
            Case::Quiet | Case::Churn | Case::Reconnect => 0,
        })
    }

    /// Whether the market stands still.
    pub fn is_quiet(&self) -> bool {
        self.rate() == 0
    }

    /// How long all are looked at.
    pub fn window(&self) -> Duration {
        let usual_s = match self.case {
            Case::Churn => 300,
            Case::Requests => 20,
            Case::Quiet | Case::One | Case::Zipf | Case::Reconnect => 60,
        };
        self.window.unwrap_or(Duration::from_secs(usual_s))
    }

    /// Connections that keep whole books: those that are opened first, and others among all the rest.
    pub fn books(&self) -> (u32, u32) {
        let books = self.scene.books.unwrap_or(BOOKS);
        let first = books.div_ceil(2);
        (first, books - first)
    }

    /// Connections of which memory is looked at for the first time: a tenth.
    pub fn tenth(&self) -> u32 {
        (self.connections() / 10).max(self.books().0 + 1)
    }

    /// Processes of the load.
    pub fn processes(&self) -> u32 {
        let tenth = self.tenth();
        // The first has those that keep books.
        1 + (tenth - self.books().0).div_ceil(CONNECTIONS_PER_PROCESS_MAX)
            + (self.connections() - tenth).div_ceil(CONNECTIONS_PER_PROCESS_MAX)
    }

    /// How long each process of the load sleeps, us: together they look as often as one alone would.
    pub fn pause_us(&self) -> u32 {
        let pause_us = self.scene.fleet_pause;
        pause_us
            .saturating_mul(self.processes())
            .min(PAUSE_US_MAX.max(pause_us))
    }

    /// Handshakes that each process of the load has under way at most while it opens: with very many processes each has its
    /// turn seldom, and the engine waits ten seconds for a request.
    pub fn at_once(&self) -> u32 {
        (ALL_AT_ONCE_MAX / self.processes().max(1)).clamp(1, UNDER_WAY_MAX)
    }

    /// What the connections do.
    pub fn role(&self) -> Role {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let backoff = Backoff {
            base_us: us(self.backoff),
            cap_us: us(self.backoff_cap),
        };
        match self.case {
            Case::Quiet | Case::One | Case::Zipf | Case::Requests => Role::Stay,
            Case::Churn => Role::Churn {
                // A cast from float saturates.
                per_million: (self.churn * 10_000.0).round() as u32,
                for_us: us(self.window()),
                backoff,
            },
            Case::Reconnect => Role::Return { backoff },
        }
    }

    /// When a process of the load ends whatever happens, seconds.
    pub fn lifetime_s(&self) -> u32 {
        let usual = OPENING_TIME_MAX + self.settle * 4 + self.window() + RETURN_PATIENCE + SLACK;
        let lifetime_s = self.deadline.unwrap_or(usual).as_secs();
        u32::try_from(lifetime_s).unwrap_or(u32::MAX)
    }

    /// Says what does not go together and what the host does not allow, and raises the kernel's settings where that is asked
    /// for: they are set back when what this gives is dropped.
    pub fn make_ready(&self, own: &Own) -> Result<RaisedSettings, RunError> {
        self.check_options().map_err(RunError::Usage)?;
        let queued_bytes = if self.is_quiet() { 0 } else { QUEUED_BYTES };
        let (connections, processes) = (self.connections(), self.processes());
        let is_closed_at_once = self.case == Case::Reconnect;
        let workers = self.scene.workers(connections);
        let kernel = KernelNeed {
            workers: workers.into(),
            queued_bytes_per_connection: queued_bytes,
            connects_at_once: u64::from((processes * UNDER_WAY_MAX).div_ceil(workers)),
            listen_backlog: ENGINE_BACKLOG,
            closed_while_owed: if is_closed_at_once { connections.into() } else { 0 },
        };
        let need = self.scene.host_need(connections, processes, 0);
        let places = Places::default();
        let tell = on_standard_error;
        make_ready(&own.program, &places, &need, &kernel, self.apply_settings, tell).map_err(RunError::Host)
    }

    fn check_options(&self) -> Result<(), String> {
        let longest = Duration::from_secs(TIME_S_MAX);
        let window = self.window();
        if !(Duration::from_secs(1)..=longest).contains(&window) {
            return Err(format!("--for {window:?}: it takes 1s to {TIME_S_MAX}s"));
        }
        for (name, time) in [("settle", self.settle), ("backoff-cap", self.backoff_cap)] {
            if time > longest {
                return Err(format!("--{name} {time:?}: it takes {TIME_S_MAX}s at most"));
            }
        }
        if self.backoff < Duration::from_millis(1) || self.backoff > self.backoff_cap {
            return Err(format!(
                "--backoff {:?}: it takes 1ms to --backoff-cap, {:?}",
                self.backoff, self.backoff_cap
            ));
        }
        if self
            .deadline
            .is_some_and(|deadline| deadline < Duration::from_secs(1))
        {
            return Err("--deadline takes 1s or more".into());
        }
        if !(0.0..=10.0).contains(&self.zipf) {
            return Err(format!("--zipf {}: it takes 0 to 10", self.zipf));
        }
        if !(0.01..=100.0).contains(&self.churn) {
            return Err(format!(
                "--churn {}: it takes 0.01 to 100 percent a second",
                self.churn
            ));
        }
        if self.is_quiet() && self.symbols() > 1 {
            return Err(
                "a market that stands still has one symbol: give --rate 1 or more with --symbols".into(),
            );
        }
        if self.is_quiet() && matches!(self.case, Case::One | Case::Zipf | Case::Requests) {
            return Err("this case is of a market that moves: give a --rate of 1 or more".into());
        }
        self.check_sizes()
    }

    fn check_sizes(&self) -> Result<(), String> {
        let connections = self.connections();
        let (first, others) = self.books();
        if first == 0 || first > CONNECTIONS_PER_PROCESS_MAX || first + others > connections / 2 {
            return Err(format!(
                "--books takes 1 to {}, half of the connections at most",
                (connections / 2).min(CONNECTIONS_PER_PROCESS_MAX)
            ));
        }
        let opening_s = OPENING_TIME_MAX.as_secs();
        if self.ramp > 0 && u64::from(connections) > u64::from(self.ramp) * opening_s {
            return Err(format!(
                "--ramp {}: {connections} connections would take more than {opening_s} s; give {} or more",
                self.ramp,
                u64::from(connections).div_ceil(opening_s)
            ));
        }
        let workers = self.scene.workers(connections);
        if connections.div_ceil(workers) > CONNECTIONS_PER_WORKER_MAX {
            return Err(format!(
                "{connections} connections are more than --workers {workers} hold: give --workers {}, or leave it out",
                connections.div_ceil(CONNECTIONS_PER_WORKER_MAX)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        scale: ScaleOptions,
    }

    fn scale(arguments: &[&str]) -> ScaleOptions {
        Line::try_parse_from([&["bench"], arguments].concat())
            .unwrap()
            .scale
    }

    #[test]
    fn cases_are_made_of_options() {
        let of = |case: &str| {
            let options = scale(&["--case", case]);
            (
                options.connections(),
                options.symbols(),
                options.rate(),
                options.window().as_secs(),
            )
        };
        assert_eq!(of("quiet"), (240_000, 1, 0, 60));
        assert_eq!(of("one"), (240_000, 1, 10, 60));
        assert_eq!(of("zipf"), (240_000, 1000, 10, 60));
        assert_eq!(of("churn"), (100_000, 1, 0, 300));
        assert_eq!(of("reconnect"), (240_000, 1, 0, 60));
        assert_eq!(of("requests"), (10_000, 1, 10, 20));
        let told = scale(&[
            "--case",
            "churn",
            "--connections",
            "60",
            "--rate",
            "5",
            "--for",
            "7s",
            "--churn",
            "2.5",
        ]);
        assert_eq!((told.connections(), told.rate()), (60, 5));
        let Role::Churn {
            per_million, for_us, ..
        } = told.role()
        else {
            panic!("{:?}", told.role());
        };
        assert_eq!((per_million, for_us), (25_000, 7_000_000));
    }

    #[test]
    fn a_million_is_spread_over_processes_and_workers() {
        let million = scale(&["--connections", "1000000"]);
        assert_eq!(
            (million.processes(), million.scene.workers(1_000_000)),
            (1 + 6 + 50, 56)
        );
        assert_eq!(million.pause_us(), PAUSE_US_MAX);
        assert_eq!(scale(&["--connections", "2000"]).pause_us(), 3 * 500);
        assert_eq!(million.tenth(), 100_000);
        assert_eq!(million.check_options(), Ok(()));
    }

    #[test]
    fn what_does_not_go_together_is_said_with_what_would() {
        let refusal = |arguments: &[&str]| scale(arguments).check_options().unwrap_err();
        assert_eq!(
            refusal(&["--symbols", "5"]),
            "a market that stands still has one symbol: give --rate 1 or more with --symbols"
        );
        assert!(refusal(&["--case", "one", "--rate", "0"]).contains("a market that moves"));
        assert_eq!(refusal(&["--for", "10ms"]), "--for 10ms: it takes 1s to 3600s");
        assert!(refusal(&["--settle", "2h"]).starts_with("--settle 7200s"));
        assert!(refusal(&["--backoff", "31s"]).ends_with("1ms to --backoff-cap, 30s"));
        assert!(refusal(&["--zipf", "11"]).starts_with("--zipf 11"));
        assert!(refusal(&["--churn", "0"]).starts_with("--churn 0"));
        assert!(refusal(&["--books", "0"]).starts_with("--books takes 1 to 18000"));
        assert!(refusal(&["--connections", "100"]).starts_with("--books takes 1 to 50"));
        assert!(refusal(&["--ramp", "399"]).ends_with("give 400 or more"));
        assert!(refusal(&["--workers", "2"]).ends_with("give --workers 14, or leave it out"));
        assert!(refusal(&["--deadline", "1ms"]).starts_with("--deadline"));
    }
}
