//! The command line of feed-sim.

mod program;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::program::serve::{self, ServeOptions};
use crate::program::stats::{self, StatsOptions};

/// A simulated exchange: order flow from a seed through matching engines with
/// price-time priority, and the market data that comes of it.
///
/// Serve it to engines over TCP; then start an engine on it, in a second
/// terminal, and watch a book in a third:
///
///   feed-sim serve
///   depthcast serve --feed tcp://127.0.0.1:9700
///   depthcast watch btcusdt
///
/// Any number of engines, up to 64, get the same events with the same
/// sequences:
///
///   feed-sim serve --symbols 1000 --rate 50 --seed 7
///   feed-sim serve --listen 127.0.0.1:9701 --rate 1..1000
///
/// See what such a market looks like, and what it costs, without serving it:
///
///   feed-sim stats --symbols 100 --for 60s
///
/// DEPTHCAST_LOG=info, or debug, shows what goes on inside.
#[derive(Debug, Parser)]
#[command(name = "feed-sim", version, verbatim_doc_comment)]
struct Cli {
    /// Without a command the exchange is served with the settings' defaults.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeOptions),
    Stats(StatsOptions),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("DEPTHCAST_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for people, and a standard error that is gone is no reason to panic.
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_target(false)
        .init();
    match Cli::parse().command {
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Stats(options)) => stats::run(&options),
        None => serve::run(&ServeOptions::default()),
    }
}
