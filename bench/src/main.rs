//! The command line of depthcast-bench.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use depthcast_bench::crowd::findings::Findings;
use depthcast_bench::overload::{self, OverloadOptions};
use depthcast_bench::probe::launch;
use depthcast_bench::probe::settings::guardian;
use depthcast_bench::run::options::{LoadOptions, OptionsError};
use depthcast_bench::run::report::Report;
use depthcast_bench::run::server::Side;
use depthcast_bench::run::{self, Own, RunError, slow};
use depthcast_bench::scale::{self, ScaleOptions};
use depthcast_bench::storm::{self, StormOptions};
use depthcast_bench::{crowd, fleet, limit};

/// Wrong usage, or more than the host allows.
const EXIT_USAGE: u8 = 2;
/// The run failed.
const EXIT_FAILED: u8 = 1;
/// There are figures, but something was wrong in a run.
const EXIT_FAULTS: u8 = 4;

/// Pairs of runs at most: a few hours.
const PAIRS_MAX: i64 = 200;

/// How many subscribers, at what rate and latency, can this machine carry, and
/// what does an engine cost beyond the kernel's own price of a send?
///
/// Build both first; the engine is looked for beside this program:
///
///   cargo build --release -p depthcast -p depthcast-bench
///
/// What the kernel alone allows; an engine under the same load; both in turn:
///
///   depthcast-bench limit
///   depthcast-bench fanout
///   depthcast-bench fanout --against limit
///
/// What becomes of readers that do not read, and what they cost 9,000 others:
///
///   depthcast-bench fanout --stalled 10 --against healthy --pairs 5
///
/// Thousands who join within a second; more than the core can send one by one:
///
///   depthcast-bench storm
///   depthcast-bench overload
///
/// As many connections as the machine carries, at rest and in use:
///
///   depthcast-bench scale
///
/// The server stays on core 0 and the fleet on core 1, over loopback.
#[derive(Debug, Parser)]
#[command(name = "depthcast-bench", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send prepared bytes to each socket in turn and nothing else: the kernel's own price.
    Limit(LimitOptions),
    /// Load an engine, alone or in turn with the bare loop.
    Fanout(FanoutOptions),
    Storm(StormOptions),
    Overload(OverloadOptions),
    Scale(Box<ScaleOptions>),
    /// A process of a crowd.
    #[command(hide = true)]
    CrowdProcess,
    /// A process of the fleet.
    #[command(hide = true)]
    FleetProcess,
    /// The bare loop's process.
    #[command(hide = true)]
    LimitProcess,
    /// Sets the kernel's settings back when a run has ended.
    #[command(hide = true)]
    SettingsProcess,
    /// Becomes a program that is measured.
    #[command(hide = true)]
    ExecProcess {
        /// What follows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

#[derive(Debug, Args)]
struct LimitOptions {
    #[command(flatten)]
    load: LoadOptions,
}

/// What an engine can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    /// The bare loop.
    Limit,
    /// The same connections without those that are slow (--stalled, --one-byte, --pausing): what these cost the others. The
    /// window is at least as long as it takes until all that never catch up are gone.
    Healthy,
}

#[derive(Debug, Args)]
struct FanoutOptions {
    #[command(flatten)]
    load: LoadOptions,

    /// Also run that, in turn (A B B A), and give the median of the paired ratios with its interval.
    #[arg(long, value_name = "WHAT")]
    against: Option<Against>,

    /// How many pairs of runs then.
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=PAIRS_MAX))]
    pairs: u32,

    /// Frames in a send of the bare loop, where the engine is to be given more than it can send flush by flush and so sends
    /// several at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    limit_frames: Option<u32>,

    /// The engine's program. [default: depthcast beside this program]
    #[arg(long, value_name = "PATH")]
    engine: Option<PathBuf>,

    /// More flags for the engine, behind --.
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Limit(options) => finish(&options.load, run_limit(&options)),
        Command::Fanout(options) => finish(&options.load, run_fanout(&options)),
        Command::Storm(options) => conclude(options.scene.json.as_deref(), storm::run(&own(), &options)),
        Command::Overload(options) => {
            conclude(options.scene.json.as_deref(), overload::run(&own(), &options))
        }
        Command::Scale(options) => conclude(options.scene.json.as_deref(), scale::run(&own(), &options)),
        Command::CrowdProcess => crowd::run_child(),
        Command::FleetProcess => fleet::run_child(),
        Command::LimitProcess => limit::run_child(),
        Command::SettingsProcess => guardian::run_child(),
        Command::ExecProcess { arguments } => launch::run_exec(arguments),
    }
}

/// This program's own path.
fn own() -> Own {
    Own {
        program: std::env::current_exe()
            .unwrap_or_else(|_| std::env::args_os().next().unwrap_or_default().into()),
    }
}

fn run_limit(options: &LimitOptions) -> Result<Report, RunError> {
    options.load.check()?;
    options.load.slow.check_limit().map_err(OptionsError::from)?;
    run::check_host(&options.load)?;
    let side = Side::Limit {
        frames_per_send: None,
    };
    run::alone(&own(), &options.load, &side)
}

fn run_fanout(options: &FanoutOptions) -> Result<Report, RunError> {
    options.load.check()?;
    run::check_host(&options.load)?;
    let own = own();
    let beside = || own.program.with_file_name("depthcast");
    let engine = Side::Engine {
        program: options.engine.clone().unwrap_or_else(beside),
        flags: options.flags.clone(),
    };
    match options.against {
        None => run::alone(&own, &options.load, &engine),
        Some(Against::Limit) => {
            let limit = Side::Limit {
                frames_per_send: options.limit_frames,
            };
            // What cannot be compared is said before the first run.
            options.load.slow.check_limit().map_err(OptionsError::from)?;
            options.load.traffic(options.limit_frames)?;
            run::in_turn(&own, &options.load, &engine, &limit, options.pairs as usize)
        }
        Some(Against::Healthy) => {
            slow::healthy::beside_and_alone(&own, &options.load, &engine, options.pairs as usize)
        }
    }
}

fn finish(load: &LoadOptions, report: Result<Report, RunError>) -> ExitCode {
    let told = |report: &Report| {
        (
            [report.table()]
                .into_iter()
                .chain(report.slow_lines())
                .collect::<Vec<_>>()
                .join("\n"),
            report.notes().into_iter().map(String::from).collect(),
            report.faults().map(String::from).collect(),
        )
    };
    tell(load.json.as_deref(), report, told)
}

fn conclude(json: Option<&Path>, findings: Result<Findings, RunError>) -> ExitCode {
    let told = |findings: &Findings| (findings.table(), findings.notes.clone(), findings.faults.clone());
    tell(json, findings, told)
}

/// Tells what came of a command: `told` gives its table, its notes and its faults.
fn tell<R: serde::Serialize>(
    json: Option<&Path>,
    report: Result<R, RunError>,
    told: impl Fn(&R) -> (String, Vec<String>, Vec<String>),
) -> ExitCode {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("depthcast-bench: {error}");
            let is_usage = matches!(
                error,
                RunError::Options(_) | RunError::Host(_) | RunError::Usage(_)
            );
            return ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILED });
        }
    };
    let (table, notes, faults) = told(&report);
    // Whoever does not read the table may still want the file.
    let _ = writeln!(std::io::stdout(), "{table}");
    if let Some(path) = json {
        let written = serde_json::to_vec_pretty(&report)
            .map_err(std::io::Error::from)
            .and_then(|json| std::fs::write(path, json));
        if let Err(error) = written {
            eprintln!("depthcast-bench: cannot write {}: {error}", path.display());
            return ExitCode::from(EXIT_FAILED);
        }
    }
    for note in notes.iter().chain(&faults) {
        eprintln!("depthcast-bench: {note}");
    }
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_FAULTS),
    }
}
