//! `feed-sim serve`: the exchange over TCP, until a signal ends it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use clap::Args;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use depthcast_feed_sim::link::{LinkNews, LinkServer, LinkServerOptions};
use depthcast_feed_sim::os;
use depthcast_feed_sim::sim::SimOptions;

use super::{EXIT_HOST, EXIT_USAGE, SettingError, SimFlags, fail, say, say_aside, shown};

/// The address where none is given: loopback, the port that the feed link's schema is numbered after.
const LISTEN_DEFAULT: &str = "127.0.0.1:9700";

/// Symbols named at the start; the rest are counted.
const SYMBOLS_SHOWN: usize = 5;

/// Serve the exchange to engines over TCP.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeOptions {
    /// Address and port for engines. [default: 127.0.0.1:9700]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Also listen beyond loopback: whoever reaches the host then reaches the exchange, without encryption or login.
    #[arg(long)]
    allow_remote: bool,

    #[command(flatten)]
    sim: SimFlags,
}

/// Why `--listen` was refused.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    /// Where to listen.
    #[error(
        "--listen {0:?} is no address of this host: it takes HOST:PORT, as 127.0.0.1:9700 or localhost:0"
    )]
    Address(String),
    /// An address that others than this host reach, which nobody allowed.
    #[error(
        "--listen {0} is not loopback: whoever reaches this host could take the feed, without encryption or login; \
         give --allow-remote as well if that is meant"
    )]
    Remote(SocketAddr),
}

/// Serves until a signal comes. Gives the exit code.
pub(crate) fn run(options: &ServeOptions) -> ExitCode {
    let sim: Result<SimOptions, SettingError> = options.sim.check();
    let sim = match sim {
        Ok(sim) => sim,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let listen = options.listen.as_deref().unwrap_or(LISTEN_DEFAULT);
    let listen = match listen_address(listen, options.allow_remote) {
        Ok(listen) => listen,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let signals = match interrupts() {
        Ok(signals) => signals,
        Err(error) => return fail(&error, EXIT_HOST),
    };
    // Two starts are never in the same microsecond: a port is free only once its exchange has ended.
    let epoch = os::wall_us();
    let server = match LinkServer::start(LinkServerOptions::new(listen, sim.clone(), epoch)) {
        Ok(server) => server,
        Err(error) => return fail(&error, EXIT_HOST),
    };
    introduce(&server, &sim, epoch);
    loop {
        select! {
            recv(signals) -> _ => {
                say_aside("ending: engines are being told (once more to end at once)");
                return stop(server, &signals, ExitCode::SUCCESS);
            }
            recv(server.news()) -> news => if let Ok(news) = news {
                tell(&news, server.counters().engines);
            },
            recv(server.failure()) -> reason => {
                let reason = reason.unwrap_or_else(|_| "its thread is gone".into());
                say_aside(&format!("feed-sim: the exchange failed: {reason}; this is a bug"));
                return stop(server, &signals, ExitCode::from(EXIT_HOST));
            }
        }
    }
}

/// Ends the server on a thread of its own, so that a second signal need not wait for goodbyes.
fn stop(server: LinkServer, signals: &Receiver<()>, code: ExitCode) -> ExitCode {
    let (done, ended) = bounded::<()>(1);
    std::thread::spawn(move || {
        server.stop();
        drop(done);
    });
    select! {
        recv(ended) -> _ => {}
        recv(signals) -> _ => {}
    }
    code
}

/// Says what this is, where it is and what to do next. The first line ends in the address.
fn introduce(server: &LinkServer, sim: &SimOptions, epoch: u64) {
    let address = server.address();
    let names: Vec<&str> = server
        .symbols()
        .iter()
        .map(|instrument| instrument.name())
        .collect();
    say(&format!("feed-sim serves a simulated exchange on {address}"));
    say(&format!("  settings  {}", shown(sim)));
    say(&format!("  symbols   {}", listed(&names)));
    say(&format!("  epoch     {epoch}"));
    let feed = SocketAddr::new(reachable(address.ip()), address.port());
    say("Start an engine on it in a second terminal:");
    say(&format!("  depthcast serve --feed tcp://{feed}"));
    say("or, from a checkout:");
    say(&format!("  cargo run --release -- serve --feed tcp://{feed}"));
    say("Ctrl-C ends.");
}

/// An address that leads here from this host.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Symbols for people: how many, and the first of them.
fn listed(names: &[&str]) -> String {
    let first = names[..names.len().min(SYMBOLS_SHOWN)].join(", ");
    if names.len() <= SYMBOLS_SHOWN {
        first
    } else {
        format!("{}: {first}, ...", names.len())
    }
}

/// Tells people who came and went.
fn tell(news: &LinkNews, engines: usize) {
    match news {
        LinkNews::Came { peer, name } => say(&format!("{peer} ({name}) came; engines: {engines}")),
        LinkNews::Went { peer, name, reason } => {
            say(&format!("{peer} ({name}) went: {reason}; engines: {engines}"));
        }
        // The log has said so on standard error.
        LinkNews::Refused { .. } => {}
    }
}

/// The address to listen on: one that only this host reaches, unless others may as well.
fn listen_address(listen: &str, allow_remote: bool) -> Result<SocketAddr, ListenError> {
    let address = listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| ListenError::Address(listen.into()))?;
    if allow_remote || address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(ListenError::Remote(address))
    }
}

/// A message for each SIGINT or SIGTERM.
fn interrupts() -> std::io::Result<Receiver<()>> {
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
