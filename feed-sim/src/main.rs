//! The command line of feed-sim.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use crossbeam_channel::{Receiver, bounded, select};
use depthcast_feed_sim::link::{LinkNews, LinkServer, LinkServerOptions};
use depthcast_feed_sim::sim::{SimOptions, SimUrlError, stats};
use tracing_subscriber::EnvFilter;

/// Wrong usage or configuration.
const EXIT_USAGE: u8 = 2;
/// The host refused something, a port in use for instance, or the exchange itself failed.
const EXIT_HOST: u8 = 1;
/// The simulated market contradicted itself.
const EXIT_MARKET: u8 = 4;

/// Where engines look for an exchange.
const LISTEN_DEFAULT: &str = "127.0.0.1:9700";

/// Symbols named at the start; the rest are counted.
const SYMBOLS_SHOWN: usize = 5;

/// The longest simulated time that is counted: a day of 20 symbols takes minutes.
const STATS_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Rows of symbols that are printed; the total covers all.
const ROWS_SHOWN: usize = 20;

/// A simulated exchange: order flow from a seed through matching engines with
/// price-time priority, fed to any number of depthcast engines over TCP.
///
///   feed-sim serve --symbols 1000 --rate 50
///   depthcast serve --feed tcp://127.0.0.1:9700
///   depthcast watch btcusdt
///
/// What it is like, as fast as this machine simulates it:
///
///   feed-sim stats --symbols 3 --rate 100 --for 10m
///
/// The same options and version give the same orders, trades, ids and times on
/// any machine. DEPTHCAST_LOG=info, or debug, shows what goes on inside.
#[derive(Debug, Parser)]
#[command(name = "feed-sim", version, verbatim_doc_comment)]
struct Cli {
    /// Without a command the exchange is served with the defaults.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the exchange and feed every engine that connects.
    ///
    /// An engine gets every book when it connects, and every event from then on. Started again, it is another exchange:
    /// engines tell their subscribers to begin anew.
    Serve(Serve),
    /// Run simulated time as fast as it goes, and print what the market is like and what it costs.
    ///
    /// Exit code 4 when the market contradicts itself: a crossed or empty book, ids or trades that do not fit.
    Stats(StatsOptions),
}

#[derive(Clone, Debug, Args)]
struct Serve {
    /// Address and port for engines
    #[arg(long, value_name = "HOST:PORT", default_value = LISTEN_DEFAULT)]
    listen: String,
    /// Listen on an address that other hosts reach: there is no encryption and no login
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    market: Market,
}

#[derive(Clone, Debug, Args)]
struct StatsOptions {
    /// Simulated time to run, as 500ms, 60s, 10m or 6h
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    duration: Duration,
    #[command(flatten)]
    market: Market,
}

/// What decides the content of the market.
#[derive(Clone, Debug, Args)]
struct Market {
    /// How many symbols: BTCUSDT, ETHUSDT, ... and past the twentieth S0021USDT and on; 1 to 10000
    #[arg(long, value_name = "N", default_value = "20", value_parser = parse_symbols)]
    symbols: u32,
    /// Book changes a second of each symbol, 1 to 1000: one number, or slowest..fastest
    #[arg(long, value_name = "RATE", default_value = "10..100", value_parser = parse_rate)]
    rate: Rate,
    /// What its randomness starts from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

/// Book changes a second, slowest and fastest.
#[derive(Clone, Copy, Debug)]
struct Rate(u32, u32);

impl Market {
    fn options(&self) -> SimOptions {
        SimOptions {
            symbols: self.symbols,
            rate: self.rate.0..=self.rate.1,
            seed: self.seed,
        }
    }
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("DEPTHCAST_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_target(false)
        .init();
    let command = Cli::parse().command.unwrap_or_else(|| {
        // The defaults stand in one place: where the flags are declared.
        let serve = Cli::parse_from(["feed-sim", "serve"]);
        serve.command.expect("a command was given")
    });
    match command {
        Command::Serve(options) => serve(&options),
        Command::Stats(options) => count(&options),
    }
}

/// Says something on standard output, where anybody listens: `println!` would end the exchange when nobody does.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn fail(what: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "feed-sim: {what}");
    ExitCode::from(code)
}

fn serve(options: &Serve) -> ExitCode {
    let listen = match listen_address(options) {
        Ok(listen) => listen,
        Err(what) => return fail(&what, EXIT_USAGE),
    };
    let signals = match interrupts() {
        Ok(signals) => signals,
        Err(error) => return fail(&error.to_string(), EXIT_HOST),
    };
    let server = LinkServerOptions::new(listen, options.market.options(), wall_us());
    let epoch = server.epoch;
    let server = match LinkServer::start(server) {
        Ok(server) => server,
        Err(error) => return fail(&error.to_string(), EXIT_HOST),
    };
    introduce(&server, options, epoch);
    loop {
        select! {
            recv(signals) -> _ => {
                let _ = writeln!(std::io::stderr(), "ending: engines are told (once more to end at once)");
                return stop(server, &signals);
            }
            recv(server.failure()) -> failure => {
                let what = failure.unwrap_or_default();
                return fail(&format!("the exchange failed: {what}; this is a bug"), EXIT_HOST);
            }
            recv(server.news()) -> news => if let Ok(news) = news { tell(&news, &server) },
        }
    }
}

/// Ends the server on a thread of its own, so that a second signal need not wait for goodbyes.
fn stop(server: LinkServer, signals: &Receiver<()>) -> ExitCode {
    let (done, ended) = bounded::<()>(1);
    std::thread::spawn(move || {
        server.stop();
        drop(done);
    });
    select! {
        recv(ended) -> _ => {}
        recv(signals) -> _ => {}
    }
    ExitCode::SUCCESS
}

fn introduce(server: &LinkServer, options: &Serve, epoch: u64) {
    let address = server.address();
    let symbols = server.symbols();
    let first: Vec<&str> = symbols
        .iter()
        .take(SYMBOLS_SHOWN)
        .map(|symbol| symbol.name())
        .collect();
    let more = if symbols.len() > SYMBOLS_SHOWN {
        ", ..."
    } else {
        ""
    };
    let Rate(low, high) = options.market.rate;
    let rate = if low == high {
        low.to_string()
    } else {
        format!("{low} to {high}")
    };
    say(&format!("feed-sim runs a simulated exchange on {address}"));
    say(&format!(
        "  symbols  {}: {}{more}",
        symbols.len(),
        first.join(", ")
    ));
    say(&format!(
        "  market   {rate} book changes a second each, seed {}, epoch {epoch}",
        options.market.seed
    ));
    say(&format!(
        "Feed an engine:  depthcast serve --feed tcp://{address}"
    ));
    say(&format!(
        "From a checkout: cargo run --release -- serve --feed tcp://{address}"
    ));
    say("Ctrl-C ends.");
}

fn tell(news: &LinkNews, server: &LinkServer) {
    let engines = server.counters().engines;
    match news {
        LinkNews::Came { peer, name } => say(&format!("{name} at {peer} is fed ({engines} now)")),
        LinkNews::Went { peer, name, reason } => {
            say(&format!(
                "{name} at {peer} is fed no more: {reason} ({engines} now)"
            ));
        }
        LinkNews::Refused { peer, reason } => say(&format!("{peer} was refused: {reason}")),
    }
}

fn count(options: &StatsOptions) -> ExitCode {
    let simulated_us = i64::try_from(options.duration.as_micros()).unwrap_or(i64::MAX);
    let begun = Instant::now();
    let mut stats = stats::run(&options.market.options(), simulated_us);
    let took = begun.elapsed().as_secs_f64();
    let hidden = stats.symbols.len().saturating_sub(ROWS_SHOWN);
    stats.symbols.truncate(ROWS_SHOWN);
    let simulated = options.duration.as_secs_f64();
    let changes = stats.total.book_changes as f64;
    // A reader that has gone, as `head` does, needs no more of it.
    let _ = write!(std::io::stdout(), "{stats}");
    if hidden > 0 {
        say(&format!("and {hidden} more symbols, which the total has"));
    }
    say(&format!(
        "\n{simulated:.0} s simulated in {took:.2} s, with a book kept and checked beside each: {:.2} us a change, {:.1} % of one core in real time",
        took * 1e6 / changes.max(1.0),
        100.0 * took / simulated
    ));
    let wrong = stats.total.crossed + stats.total.empty + stats.total.contradictions;
    if wrong > 0 {
        return fail(
            &format!("the market contradicted itself {wrong} times; this is a bug"),
            EXIT_MARKET,
        );
    }
    ExitCode::SUCCESS
}

/// The address to listen on: one that only this host reaches, unless others may as well.
fn listen_address(options: &Serve) -> Result<SocketAddr, String> {
    let listen = &options.listen;
    let address = listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| {
            format!("--listen {listen:?} is no address of this host: it takes HOST:PORT, as {LISTEN_DEFAULT}")
        })?;
    if options.allow_remote || address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "--listen {address} is not loopback: other hosts could take this feed, without encryption or login; give \
         --allow-remote as well if that is meant"
    ))
}

fn parse_symbols(text: &str) -> Result<u32, String> {
    one_setting("symbols", text).map(|options| options.symbols)
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    one_setting("rate", text).map(|options| Rate(*options.rate.start(), *options.rate.end()))
}

/// One of the settings as a feed URL has it, so that both take the same.
fn one_setting(key: &str, value: &str) -> Result<SimOptions, String> {
    if value.contains('&') {
        return Err("it takes one value".into());
    }
    SimOptions::parse(&format!("?{key}={value}")).map_err(|error| match error {
        SimUrlError::Value { accepted, .. } => format!("it takes {accepted}"),
        other => other.to_string(),
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() || duration > STATS_MAX => {
            Err("it takes more than nothing and at most 7d".into())
        }
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!(
            "{error}; give a number and a unit, as 500ms, 60s, 10m or 6h"
        )),
    }
}

/// Microseconds since 1970: the number of an exchange's history, which no other start of it has.
fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| u64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// A message for each SIGINT or SIGTERM.
fn interrupts() -> std::io::Result<Receiver<()>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = bounded(2);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                // More signals than the channel holds say nothing new.
                let _ = sender.try_send(());
            }
        })?;
    Ok(receiver)
}
