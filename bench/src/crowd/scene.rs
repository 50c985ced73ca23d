//! The engine that crowds come to: its simulated market, its cores, and whether the host carries it all.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use depthcast_feed_sim::sim::{Exchange, SimOptions};

use super::order::{CrowdOrder, Role};
use super::process::UNDER_WAY_MAX;
use crate::fleet::order::{CONNECTIONS_PER_PROCESS_MAX, Format};
use crate::fleet::plan::CONNECTIONS_PER_SOURCE;
use crate::probe::host::{self, HostNeed};
use crate::probe::launch::Launched;
use crate::probe::stats::StatsSeries;
use crate::run::{Own, RunError};

/// Connections that keep whole books, where nobody says how many.
const BOOKS: u32 = 16;

/// How long an engine may take to listen: it fills the books of all symbols before.
const LISTEN_PATIENCE: Duration = Duration::from_secs(60);

/// Connections of one worker at most: a table of descriptors usually holds 20,000.
pub const CONNECTIONS_PER_WORKER_MAX: u32 = 18_000;

/// Descriptors of a process beside its connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Memory of programs for each connection, bytes, beside what is queued for it.
const USER_BYTES_PER_CONNECTION: u64 = 1_000;

/// In which format a crowd subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CrowdFormat {
    /// The exchange's JSON, with times in microseconds.
    Json,
    /// SBE.
    Sbe,
}

/// The cadences that a depth stream has.
pub fn cadences() -> PossibleValuesParser {
    PossibleValuesParser::new(["0ms", "10ms", "20ms", "50ms", "100ms", "250ms", "500ms", "1000ms"])
}

/// What all commands with crowds take.
#[derive(Clone, Debug, Args)]
pub struct SceneOptions {
    /// The format of the subscriptions.
    #[arg(long, default_value = "json", value_name = "FORMAT")]
    pub format: CrowdFormat,

    /// How many of those who are there all the time keep whole books: every id is checked, and books of a symbol have to be
    /// equal at equal ids. [default: 16]
    #[arg(long, value_name = "N")]
    pub books: Option<u32>,

    /// Workers of the engine, all on its core. [default: one for each 18,000 connections]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,

    /// What the simulated market starts from.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// The server's core.
    #[arg(long, default_value_t = 0, value_name = "CORE")]
    pub server_core: usize,

    /// The core of the load's processes.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    pub fleet_core: usize,

    /// How long the load sleeps when it has nothing to read, microseconds; 0 sleeps until something comes, and is woken by
    /// the server at a price like that of a send.
    #[arg(long, default_value_t = 500, value_name = "US", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub fleet_pause: u32,

    /// Also write all figures there, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// The engine's program. [default: depthcast beside this program]
    #[arg(long, value_name = "PATH")]
    pub engine: Option<PathBuf>,

    /// More flags for the engine, behind --.
    #[arg(last = true, value_name = "FLAGS")]
    pub flags: Vec<String>,
}

/// A simulated market: what follows `sim:` in a feed's URL, and its depth streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// The feed's URL.
    pub feed: String,
    /// The depth stream of each symbol, with its cadence.
    pub streams: Vec<String>,
}

/// An engine that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Engine {
    launched: Launched,
    address: SocketAddr,
}

impl SceneOptions {
    /// The market of so many symbols; `rate` is book changes a second of each, or a range as `10..100`, and `cadence` how
    /// often its depth streams tell.
    pub fn market(&self, symbols: u32, rate: &str, cadence: &str) -> Result<Market, RunError> {
        let settings = format!("?symbols={symbols}&rate={rate}&seed={}", self.seed);
        let options = SimOptions::parse(&settings).map_err(|error| RunError::Usage(error.to_string()))?;
        let exchange = Exchange::new(&options);
        let stream = |name: &str| format!("{}@depth@{cadence}", name.to_lowercase());
        Ok(Market {
            feed: format!("sim:{settings}"),
            streams: exchange
                .listings()
                .iter()
                .map(|listing| stream(listing.instrument.name()))
                .collect(),
        })
    }

    /// The engine's workers where there are so many connections.
    pub fn workers(&self, connections: u32) -> u32 {
        let needed = connections.div_ceil(CONNECTIONS_PER_WORKER_MAX).max(1);
        self.workers.unwrap_or(needed)
    }

    /// Says, before anything is started, what the host does not allow. Each connection may have so many bytes under way.
    pub fn check_host(
        &self,
        connections: u32,
        fleet_processes: u32,
        queued_bytes: u64,
    ) -> Result<(), RunError> {
        let need = self.host_need(connections, fleet_processes, queued_bytes);
        host::check(&need).map_err(RunError::Host)
    }

    /// What so many connections take of the host. Each may have so many bytes under way.
    pub fn host_need(&self, connections: u32, fleet_processes: u32, queued_bytes: u64) -> HostNeed {
        let workers = self.workers(connections);
        let share_max = host::descriptors_of_fullest_worker(connections.into(), workers.into());
        HostNeed {
            server: "a worker of the engine".into(),
            connections: connections.into(),
            server_processes: 1,
            server_descriptors: share_max + OTHER_DESCRIPTORS,
            fleet_processes: fleet_processes.into(),
            fleet_descriptors: u64::from(connections.min(CONNECTIONS_PER_PROCESS_MAX)) + OTHER_DESCRIPTORS,
            source_addresses: connections.div_ceil(CONNECTIONS_PER_SOURCE).into(),
            user_bytes_per_connection: USER_BYTES_PER_CONNECTION + queued_bytes,
        }
    }

    /// How many connections keep whole books.
    pub fn books(&self) -> u32 {
        self.books.unwrap_or(BOOKS)
    }

    /// The format as a fleet has it.
    pub fn fleet_format(&self) -> Format {
        match self.format {
            CrowdFormat::Json => Format::Json,
            CrowdFormat::Sbe => Format::Sbe,
        }
    }

    /// The order to `connections` that stay, from number 0 on; orders of other roles are made of it.
    pub fn order(
        &self,
        server: SocketAddr,
        market: &Market,
        connections: u32,
        lifetime_s: u32,
    ) -> CrowdOrder {
        CrowdOrder {
            server,
            first: 0,
            connections,
            streams: market.streams.clone(),
            zipf: 0.0,
            is_quiet: false,
            connects_per_s: 0,
            at_once: UNDER_WAY_MAX,
            format: self.fleet_format(),
            role: Role::Stay,
            books: self.books().min(connections),
            over_us: 0,
            floor_ns: None,
            pause_us: self.fleet_pause,
            core: Some(self.fleet_core),
            lifetime_s,
        }
    }

    /// Starts the engine for so many connections.
    pub fn start_engine(&self, own: &Own, market: &Market, connections: u32) -> Result<Engine, RunError> {
        self.start_engine_with(own, market, connections, &[])
    }

    /// The same with more flags, before those of the command line.
    pub fn start_engine_with(
        &self,
        own: &Own,
        market: &Market,
        connections: u32,
        flags: &[String],
    ) -> Result<Engine, RunError> {
        let beside = || own.program.with_file_name("depthcast");
        let program = self.engine.clone().unwrap_or_else(beside);
        let workers = self.workers(connections).to_string();
        let mut arguments: Vec<String> = ["serve", "--listen", "127.0.0.1:0", "--workers", &workers]
            .map(String::from)
            .to_vec();
        arguments.extend(["--feed".into(), market.feed.clone()]);
        arguments.extend(flags.iter().chain(&self.flags).cloned());
        let mut launched = Launched::start(&own.program, &program, &arguments, Some(self.server_core))?;
        let address = launched.await_address(LISTEN_PATIENCE)?;
        Ok(Engine { launched, address })
    }
}

impl Engine {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says of itself, as that comes, where it was started with `--stats`.
    pub fn stats(&self) -> &StatsSeries {
        self.launched.stats()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.launched.id()
    }

    /// Ends it. Gives how it ended and the last that it said, for people.
    pub fn end(self) -> String {
        let said = self.launched.said();
        let lines: String = said.iter().map(|line| format!("\n  {line}")).collect();
        format!("{}{lines}", self.launched.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        scene: SceneOptions,
    }

    fn scene(arguments: &[&str]) -> SceneOptions {
        let all = [&["bench"], arguments].concat();
        Line::try_parse_from(all).unwrap().scene
    }

    #[test]
    fn the_market_has_the_streams_that_its_engine_lists() {
        let market = scene(&["--seed", "3"]).market(22, "10..100", "20ms").unwrap();
        assert_eq!(market.feed, "sim:?symbols=22&rate=10..100&seed=3");
        assert_eq!(market.streams.len(), 22);
        assert_eq!(market.streams[0], "btcusdt@depth@20ms");
        assert_eq!(market.streams[21], "s0022usdt@depth@20ms");
        let error = scene(&[]).market(0, "10", "20ms").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the simulated feed's symbols is \"0\"; it takes a number of symbols from 1 to 10000"
        );
    }

    #[test]
    fn a_worker_has_no_more_than_its_table_holds() {
        let workers = |connections| scene(&[]).workers(connections);
        assert_eq!([0, 18_000, 18_001, 40_000].map(workers), [1, 1, 2, 3]);
        assert_eq!(scene(&["--workers", "5"]).workers(40_000), 5);
        let much = scene(&["--workers", "1"]).check_host(u32::MAX / 2, 1, 0);
        assert!(matches!(much, Err(RunError::Host(_))), "{much:?}");
    }
}
