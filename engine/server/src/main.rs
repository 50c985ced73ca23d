//! The command line of depthcast.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use crossbeam_channel::{Sender, bounded, select};
use depthcast::config::{Config, LISTEN_DEFAULT, Settings};
use depthcast::engine::{Engine, StartError};
use depthcast::os::{cpu, limits};
use depthcast::reactor::feed::{Beginning, FeedEnd, FeedNews};
use depthcast::stats;
use depthcast::watch::{self, WatchOptions};
use tracing_subscriber::EnvFilter;

/// Wrong usage or configuration.
const EXIT_USAGE: u8 = 2;
/// The host refused something, a port in use for instance, or the engine itself failed.
const EXIT_HOST: u8 = 1;
/// The feed is at fault.
const EXIT_FEED: u8 = 4;

/// Symbols named at the start; the rest are counted.
const SYMBOLS_SHOWN: usize = 5;

/// A market-data streaming engine: an exchange's feed in, every order book
/// kept, order-book deltas out over WebSocket, in JSON and SBE, as the Binance
/// Spot market-data API gives them.
///
/// Start it, with a simulated exchange inside; then watch it from a second
/// terminal:
///
///   depthcast
///   depthcast watch btcusdt
///
/// Other markets:
///
///   depthcast serve --feed 'sim:?symbols=1000&rate=50&seed=7'
///   depthcast serve --feed tcp://127.0.0.1:9700     (where feed-sim serves)
///   depthcast serve --feed 'capture:PATH.gz?speed=1'
///
/// Trading clients connect by changing their base URLs:
///
///   ws://127.0.0.1:9443     streams at /ws and /stream, SBE under /sbe
///   http://127.0.0.1:9443   REST under /api/v3
///
/// DEPTHCAST_LOG=info, or debug, shows what goes on inside.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Cli {
    /// Without a command the engine is run with the settings' defaults.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the engine.
    Serve {
        /// A TOML file with any of the settings below, as keys of the same name. Flags win over it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    Watch(WatchOptions),
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
        Some(Command::Serve { config, settings }) => serve(config, *settings),
        Some(Command::Watch(options)) => {
            ExitCode::from(u8::try_from(watch::run(&options)).unwrap_or(u8::MAX))
        }
        None => serve(None, Settings::default()),
    }
}

/// Says something on standard output, where anybody listens: `println!` would end the engine when nobody does.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The same on standard error.
fn say_aside(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    say_aside(&format!("depthcast: {error}"));
    ExitCode::from(code)
}

fn serve(file: Option<PathBuf>, flags: Settings) -> ExitCode {
    let settings = match file.map(|path| Settings::from_file(&path)).transpose() {
        Ok(file) => flags.over(file.unwrap_or_default()),
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let config = match settings.check(cpu::cores()) {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let descriptors = limits::raise_descriptor_limit();
    tracing::info!(?descriptors, "the most descriptors this process may have");
    let engine = match Engine::start(&config) {
        Ok(engine) => engine,
        Err(error @ (StartError::Capture(_) | StartError::Link(_))) => return fail(&error, EXIT_FEED),
        Err(error) => return fail(&error, EXIT_HOST),
    };
    // Until here Ctrl-C ends the program at once: looking for a feed may take a while.
    let signals = match interrupts() {
        Ok(signals) => signals,
        Err(error) => return fail(&error, EXIT_HOST),
    };
    // Nobody has to listen.
    let _ = introduce(&engine, &config, &mut std::io::stdout());
    let mut feed_news = engine.feed_news().clone();
    let mut feed_end = engine.feed_end().clone();
    let stats_due = config
        .stats
        .map_or_else(crossbeam_channel::never, crossbeam_channel::tick);
    let lines = aside_lines();
    // A reader that is behind gets fewer lines.
    let say = |line: String| drop(lines.try_send(line));
    let mut last_look = (Instant::now(), engine.counters().totals());
    loop {
        select! {
            recv(stats_due) -> _ => {
                let look = (Instant::now(), engine.counters().totals());
                let line = stats::line(&last_look.1, &look.1, look.0.duration_since(last_look.0));
                last_look = look;
                say(line);
            }
            recv(signals) -> _ => {
                say_aside("ending: connections are being closed (once more to end at once)");
                return stop(engine, true, &signals, ExitCode::SUCCESS);
            }
            recv(engine.failure()) -> thread => {
                let thread = thread.unwrap_or_default();
                say_aside(&format!("depthcast: its thread {thread} failed: this is a bug; the engine ends"));
                return stop(engine, true, &signals, ExitCode::from(EXIT_HOST));
            }
            recv(feed_news) -> news => match news {
                Ok(news) => drop(news_line(&news).map(say)),
                // The feed has ended; how is told apart.
                Err(_) => feed_news = crossbeam_channel::never(),
            },
            recv(feed_end) -> end => {
                // Told once; from here on only a signal ends the engine.
                feed_end = crossbeam_channel::never();
                match end {
                    Ok(FeedEnd::Exit) => return stop(engine, false, &signals, ExitCode::SUCCESS),
                    Ok(FeedEnd::Hold) => say("The capture has ended; the market stands still. Ctrl-C ends.".into()),
                    Ok(FeedEnd::Failed) if config.feed.exits_at_end() => {
                        return stop(engine, false, &signals, ExitCode::from(EXIT_FEED));
                    }
                    Ok(FeedEnd::Failed) => say("The feed is gone; books are stale. Ctrl-C ends.".into()),
                    Ok(FeedEnd::Stopped) | Err(_) => {}
                }
            }
        }
    }
}

/// Lines that wait for whoever reads standard output.
const LINES_WAITING_MAX: usize = 64;

/// Lines for standard output, written by a thread of its own: a pipe whose reader has stopped reading must not keep the
/// loop from hearing a signal.
fn aside_lines() -> Sender<String> {
    let (lines, to_write) = bounded::<String>(LINES_WAITING_MAX);
    std::thread::spawn(move || to_write.iter().for_each(|line| say(&line)));
    lines
}

/// Ends the engine on a thread of its own, so that a second signal need not wait for goodbyes.
fn stop(
    engine: Engine,
    at_once: bool,
    signals: &crossbeam_channel::Receiver<()>,
    code: ExitCode,
) -> ExitCode {
    let (done, ended) = bounded::<()>(1);
    std::thread::spawn(move || {
        engine.stop(at_once);
        drop(done);
    });
    select! {
        recv(ended) -> _ => {}
        recv(signals) -> _ => {}
    }
    code
}

/// Says where everything is and what to do next. An error is that of `out`.
fn introduce(engine: &Engine, config: &Config, out: &mut impl Write) -> std::io::Result<()> {
    let address = engine.address();
    let names: Vec<&str> = engine
        .symbols()
        .iter()
        .map(|symbol| symbol.instrument.name())
        .collect();
    let first = names.first().unwrap_or(&"BTCUSDT");
    writeln!(out, "depthcast serves on {address}")?;
    writeln!(out, "  feed     {}", config.feed)?;
    writeln!(out, "  symbols  {}", listed(&names))?;
    writeln!(
        out,
        "  carries  {}",
        capacity(config.workers, engine.connections_max())
    )?;
    writeln!(out, "  streams  ws://{address}/ws and /stream, SBE under /sbe")?;
    writeln!(out, "  REST     http://{address}/api/v3/depth?symbol={first}")?;
    let url = if address.to_string() == LISTEN_DEFAULT {
        String::new()
    } else {
        format!(" --url ws://{address}")
    };
    let lower = first.to_lowercase();
    // As this program was called, so that the line works where it is not on the path.
    let program = std::env::args().next().unwrap_or_else(|| "depthcast".into());
    writeln!(
        out,
        "Watch it in a second terminal:  {program} watch {lower}{url}"
    )?;
    writeln!(out, "Ctrl-C ends.")
}

/// How much the engine carries, for people.
fn capacity(workers: usize, connections_max: u64) -> String {
    let digits = connections_max.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let plural = if workers == 1 { "" } else { "s" };
    format!("{workers} worker{plural}, up to {grouped} connections")
}

/// Symbols for people: how many, and the first of them.
fn listed(names: &[&str]) -> String {
    let first = names[..names.len().min(SYMBOLS_SHOWN)].join(", ");
    match names.len() {
        0 => "none yet: the feed is not there".into(),
        1..=SYMBOLS_SHOWN => first,
        count => format!("{count}: {first}, ..."),
    }
}

/// What people are told of the feed.
fn news_line(news: &FeedNews) -> Option<String> {
    Some(match news {
        FeedNews::Began {
            epoch,
            symbols,
            beginning,
        } => match beginning {
            // It has been said.
            Beginning::AtStart => return None,
            Beginning::Late => format!("The feed is there, with {symbols} symbols."),
            Beginning::Anew => format!(
                "The feed began anew with {symbols} symbols (epoch {epoch}): subscribers were told to reconnect."
            ),
        },
        FeedNews::Away { reason, retry_in } => format!(
            "The feed is away: {reason}. Books are stale; trying again in {:.1} s.",
            retry_in.as_secs_f64()
        ),
        FeedNews::Back => "The feed is back: books are healed.".into(),
    })
}

/// A message for each SIGINT or SIGTERM.
fn interrupts() -> std::io::Result<crossbeam_channel::Receiver<()>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver): (Sender<()>, _) = bounded(2);
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
