//! Runs: a server under load, measured from outside, alone or in turn with another.
//!
//! - [`options`]: the load; [`server`]: what is loaded; [`trial`]: one run; [`measured`]: what it showed;
//! - [`paired`]: runs in turn and their ratios; [`report`]: tables and JSON; [`progress`]: bars;
//! - [`slow`]: readers that are slow on purpose.

pub mod measured;
pub mod options;
pub mod paired;
pub mod progress;
pub mod report;
pub mod server;
pub mod slow;
pub mod trial;

use std::path::PathBuf;

use crate::control::ChildError;
use crate::crowd::CrowdError;
use crate::fleet::FleetError;
use crate::fleet::order::CONNECTIONS_PER_PROCESS_MAX;
use crate::fleet::plan::CONNECTIONS_PER_SOURCE;
use crate::probe::ProbeError;
use crate::probe::host::{self, HostNeed, HostShortage};
use crate::probe::launch::LaunchError;
use measured::Measured;
use options::{LoadOptions, OptionsError};
use progress::Progress;
use report::Report;
use server::Side;

/// Where this program is, which is also started as the fleet, as the bare loop, and before what is measured.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its path.
    pub program: PathBuf,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The options do not go together.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The host does not allow so much.
    #[error("this host does not carry that:{}", lines(.0))]
    Host(Vec<HostShortage>),
    /// The engine did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A process of the bench failed.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The fleet failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A crowd failed.
    #[error(transparent)]
    Crowd(#[from] CrowdError),
    /// What the options of a crowd ask for is not to be had: a sentence that says what would be.
    #[error("{0}")]
    Usage(String),
    /// Nothing could be read from outside.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

fn lines(shortages: &[HostShortage]) -> String {
    shortages
        .iter()
        .map(|shortage| format!("\n  {shortage}"))
        .collect()
}

/// Memory that the bench's and an engine's processes take for each connection, bytes: about what they were measured at, of
/// loads whose subscribers keep up.
const USER_BYTES_PER_CONNECTION: u64 = 1_000;

/// Memory of the kernel for a connection that does not read, both ends: its queues are full.
const KERNEL_BYTES_PER_SLOW_CONNECTION: f64 = 65_536.0;

/// Descriptors of a process beside its connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Says, before anything is started, what the host does not allow.
pub fn check_host(load: &LoadOptions) -> Result<(), RunError> {
    let connections = u64::from(load.connections);
    let processes = load.connections.div_ceil(CONNECTIONS_PER_PROCESS_MAX);
    let slow_share = (load.stalled + load.slow.one_byte + load.slow.pausing) / 100.0;
    let slow_bytes = (slow_share * KERNEL_BYTES_PER_SLOW_CONNECTION) as u64;
    let need = HostNeed {
        server: "the server".into(),
        connections,
        server_processes: 1,
        server_descriptors: connections + OTHER_DESCRIPTORS,
        fleet_processes: processes.into(),
        fleet_descriptors: connections.div_ceil(processes.into()) + OTHER_DESCRIPTORS,
        source_addresses: load.connections.div_ceil(CONNECTIONS_PER_SOURCE).into(),
        user_bytes_per_connection: USER_BYTES_PER_CONNECTION + slow_bytes,
    };
    host::check(&need).map_err(RunError::Host)
}

/// Runs the load against one side.
pub fn alone(own: &Own, load: &LoadOptions, side: &Side) -> Result<Report, RunError> {
    let progress = Progress::new(1);
    progress.next_run();
    let run = trial::run(own, load, side, &progress);
    progress.end();
    Ok(Report::of(side.name(), vec![run?], None, Vec::new()))
}

/// Runs the load against two sides in turn, A B B A, `pairs` times each.
pub fn in_turn(own: &Own, load: &LoadOptions, a: &Side, b: &Side, pairs: usize) -> Result<Report, RunError> {
    let progress = Progress::new(2 * pairs);
    // The bare loop tells no books: with some kept on one side the fleet would cost more there.
    let load = &LoadOptions {
        books: 0,
        ..load.clone()
    };
    let outcome = in_pairs(pairs, |is_first| {
        progress.next_run();
        trial::run(own, load, if is_first { a } else { b }, &progress)
    });
    progress.end();
    let (runs_of_a, runs_of_b) = outcome?;
    Ok(Report::of(a.name(), runs_of_a, Some(b.name()), runs_of_b))
}

/// Runs A B B A, `pairs` times each; `run` is told whether it is A's turn.
fn in_pairs(
    pairs: usize,
    mut run: impl FnMut(bool) -> Result<Measured, RunError>,
) -> Result<(Vec<Measured>, Vec<Measured>), RunError> {
    let (mut runs_of_a, mut runs_of_b) = (Vec::new(), Vec::new());
    for n in 0..2 * pairs {
        let is_first = paired::is_first(n);
        let runs = if is_first { &mut runs_of_a } else { &mut runs_of_b };
        runs.push(run(is_first)?);
    }
    Ok((runs_of_a, runs_of_b))
}
