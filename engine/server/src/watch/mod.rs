//! `depthcast watch`: a subscriber in a terminal, which checks every update and says at the end what it saw. Shown as a
//! ladder, or in lines.
//!
//! Exit codes: 0 all was well; 1 a recording that cannot be written; 2 usage, or a symbol that the server does not have;
//! 3 no connection; 4 a gap, a crossed book, a stale market, or market data that cannot be read.

mod ladder;
mod plain;
mod record;
mod session;
mod summary;
mod text;

#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum};
use depthcast_client::{Fault, SubscriberOptions, Url};
use depthcast_wire::stream::{Cadence, SymbolName};
use depthcast_wire::target::Format;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// All was well.
pub const EXIT_OK: i32 = 0;
/// This host is at fault: a recording cannot be written.
pub const EXIT_HOST: i32 = 1;
/// What was asked for cannot be: a wrong argument, or a symbol that the server does not have.
pub const EXIT_USAGE: i32 = 2;
/// There is no connection.
pub const EXIT_CONNECTION: i32 = 3;
/// The market data cannot be trusted: a gap, a crossed book, a stale market, or messages that cannot be read.
pub const EXIT_MARKET: i32 = 4;

/// The silence after which a book counts as stale: twice the slowest cadence.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// The longest time to watch: past it nobody means what was typed.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// The exit code of a program that a second Ctrl-C ends: 128 and the number of the signal.
const EXIT_INTERRUPTED: i32 = 128 + SIGINT;

/// Watch one symbol: keep its order book, check every update, and show it as a live ladder.
///
/// Subscribes to the symbol's depth, best bid/ask and trades, fetches the REST snapshot, and keeps the book in step by the
/// exchange's rules. In a terminal the book stands there as a ladder (? shows the keys); anywhere else, or with --plain,
/// lines are printed. A gap ends the lines; the ladder shows it and goes on. After a lost connection it says whether the book
/// was resumed where it stood or begun anew from a snapshot, and whether it was evicted as a slow consumer. The summary at the end says how many events came, whether there was any gap, and how old the updates
/// were on arrival.
///
/// Exit codes: 0 all was well; 1 a recording that cannot be written; 2 usage, or an unknown symbol; 3 no connection; 4 a gap, a crossed book or a stale market.
#[derive(Clone, Debug, Args)]
pub struct WatchOptions {
    /// The symbol, in upper or lower case, as BTCUSDT
    #[arg(value_name = "SYMBOL", value_parser = parse_symbol)]
    pub symbol: SymbolName,

    /// The server: ws://HOST:PORT, and a path where a proxy puts one before /ws and /api
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9443")]
    pub url: Url,

    /// The encoding of market data: sbe (binary, about half the size) or json
    #[arg(long, value_enum, default_value_t = WatchFormat::Sbe)]
    pub format: WatchFormat,

    /// How long to watch, as 500ms, 10s, 2m or 1h; without it until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// How often depth updates come: 0ms (every change), 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms. Without it the
    /// format's own: 20 ms for sbe, 100 ms for json
    #[arg(long, value_name = "CADENCE", value_parser = parse_cadence)]
    pub cadence: Option<Cadence>,

    /// Print lines of text, one a second, instead of the ladder; without a terminal that is so in any case
    #[arg(long)]
    pub plain: bool,

    /// Print a line for every depth update (no ladder)
    #[arg(long)]
    pub every_update: bool,

    /// Keep what is received in FILE, as a capture that `depthcast serve --feed capture:FILE` replays; gzip where it ends
    /// in .gz. A file that exists is not overwritten
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// End with an error when the connection is lost, instead of connecting again with growing delays (up to 10 s)
    #[arg(long)]
    pub no_reconnect: bool,
}

/// The encodings by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchFormat {
    /// Simple Binary Encoding.
    Sbe,
    /// JSON.
    Json,
}

/// Watches until the duration is over, Ctrl-C, or an error; gives the exit code.
pub fn run(options: &WatchOptions) -> i32 {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first signal asks for the summary; a second one, should that hang, ends the program.
        let registered =
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, stop.clone())
                .and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        if let Err(error) = registered {
            eprintln!("depthcast watch: Ctrl-C will end without a summary: {error}");
        }
    }
    // The window may be closed, or the line to it lost: a recording is to be whole all the same.
    if let Err(error) = signal_hook::flag::register(SIGHUP, stop.clone()) {
        eprintln!("depthcast watch: a closed window will end without a summary: {error}");
    }
    // No lock is held over the run: a panic has to be able to write.
    let (mut out, mut errors) = (std::io::stdout(), std::io::stderr());
    if !options.is_ladder() {
        return session::watch(options, &stop, &mut out.lock(), &mut errors.lock());
    }
    ladder::watch(options, &stop, &mut out, &mut errors)
}

impl WatchFormat {
    /// As the command line has it.
    fn name(self) -> &'static str {
        match self {
            WatchFormat::Sbe => "sbe",
            WatchFormat::Json => "json",
        }
    }
}

impl WatchOptions {
    /// Whether the run is shown as a ladder: to a terminal that can move its cursor, unless lines are asked for.
    fn is_ladder(&self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        !self.plain && !self.every_update && !is_dumb && std::io::stdout().is_terminal()
    }

    fn subscriber_options(&self) -> SubscriberOptions {
        let mut options = SubscriberOptions::new(self.url.clone(), self.symbol);
        options.format = match self.format {
            WatchFormat::Sbe => Format::Sbe,
            WatchFormat::Json => Format::Json,
        };
        options.cadence = self.cadence;
        options.best_bid_ask = true;
        options.trades = true;
        options.reconnect = !self.no_reconnect;
        options
    }
}

fn exit_code(fault: Fault) -> i32 {
    match fault {
        Fault::Request => EXIT_USAGE,
        Fault::Connection => EXIT_CONNECTION,
        Fault::Market => EXIT_MARKET,
    }
}

fn parse_symbol(text: &str) -> Result<SymbolName, String> {
    let symbol = SymbolName::new(text);
    symbol.ok_or_else(|| "a symbol is 1 to 20 letters, digits, '-', '_' or '.', as BTCUSDT".into())
}

fn parse_cadence(text: &str) -> Result<Cadence, String> {
    let cadence = Cadence::ALL.into_iter().find(|cadence| cadence.suffix() == text);
    cadence.ok_or_else(|| {
        let all: Vec<&str> = Cadence::ALL.iter().map(|cadence| cadence.suffix()).collect();
        format!("a cadence is one of {}", all.join(", "))
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("the duration must be above zero".into()),
        Ok(duration) if duration > DURATION_MAX => Err("the duration must be a year at most".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!(
            "{error}; give a number and a unit, as 500ms, 10s, 2m or 1h"
        )),
    }
}
