//! The settings of `depthcast serve`: each is a flag and a key of the TOML file under the same name, with one text of
//! help. A flag wins over the file, the file over the default.

mod feed;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use depthcast_wire::target::LagPolicy;
use serde::{Deserialize, Deserializer};

pub use self::feed::{FeedOptions, FeedUrlError};

/// The address where none is given: loopback, the port of the exchange's own streams.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:9443";

/// More workers than this only switch among themselves on any machine of today.
const WORKERS_MAX: usize = 1024;

/// How much of a line of a file an error repeats, in characters: the key and the beginning of its value.
const LINE_SHOWN: usize = 60;

/// Settings as they are written: what is None takes its default.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the market comes from. [default: sim:?symbols=20&rate=10..100&seed=1]
    ///
    /// sim:?symbols=20&rate=10..100&seed=1 simulates an exchange inside the engine.
    /// symbols: how many, 1 to 10000; rate: book changes a second of each, 1 to 1000, one number or slowest..fastest;
    /// seed: what its randomness starts from.
    ///
    /// tcp://HOST:PORT takes the market of a feed-sim, or of anything that speaks the feed link. Give it again for
    /// other ways to the same exchange: the first that works is used.
    ///
    /// capture:PATH?speed=1&start=0&end=hold replays recorded frames, plain or .gz, lines of LOCAL_NS JSON.
    /// speed: recorded seconds per second, 0.01 to 10000, or max (as fast as its subscribers take it);
    /// start: wait for so many subscribers before the first frame;
    /// end: hold (stay, the market stands still), loop (start over as a new epoch) or exit.
    ///
    /// bench:?streams=1&hz=10&size=128&burst=1&start=0 is no market but frames of a fixed size, to measure the engine with:
    /// streams bench0@fixed, bench1@fixed, ...; each emits burst frames of size bytes hz times a second, from when there
    /// are start subscribers.
    #[arg(long, value_name = "URL", verbatim_doc_comment)]
    #[serde(default, deserialize_with = "one_or_more")]
    pub feed: Vec<String>,

    /// Address and port for everything: WebSocket and REST. [default: 127.0.0.1:9443]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,

    /// Also listen beyond loopback: whoever reaches the host then reaches the engine, without encryption or login.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_remote: Option<bool>,

    /// Worker threads, each with its own share of the connections and a descriptor table of its own, as large as the host's
    /// limit (ulimit -n): more workers than cores carry more connections. [default: one for each core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,

    /// Connections each worker takes before its share goes to the others; when all are full, newcomers get 503. What the
    /// host's limit of descriptors allows at most. [default: 500000]
    #[arg(long, value_name = "N")]
    pub connections_per_worker: Option<u32>,

    /// Streams one connection may subscribe to. [default: 1024]
    #[arg(long, value_name = "N")]
    pub streams_per_connection: Option<usize>,

    /// Milliseconds between two pings to a connection. [default: 20000]
    #[arg(long, value_name = "MS")]
    pub ping_ms: Option<u32>,

    /// Milliseconds a connection has to answer a ping before it is dropped. [default: 60000]
    #[arg(long, value_name = "MS")]
    pub pong_ms: Option<u32>,

    /// What becomes of a connection that cannot keep up, unless its URL has lag=: conflate (what it missed of a book comes
    /// as one event, best bid and ask skip to the newest; trades cannot, and close) or evict. [default: conflate]
    #[arg(long, value_name = "POLICY")]
    pub lag: Option<String>,

    /// Milliseconds a connection may owe bytes before it is closed as a slow consumer. [default: 10000]
    #[arg(long, value_name = "MS")]
    pub lag_ms: Option<u32>,

    /// Milliseconds a connection may owe bytes before it is conflated. [default: 1000]
    #[arg(long, value_name = "MS")]
    pub retention_ms: Option<u32>,

    /// Seconds after which a connection is closed, to come back. [default: 86400]
    #[arg(long, value_name = "S")]
    pub life_s: Option<u32>,

    /// Messages (pings, pongs, requests) a connection may send in a second; 0 = no limit. [default: 5]
    #[arg(long, value_name = "N")]
    pub messages_per_second: Option<u32>,

    /// Connections, of any kind, one IP address (of IPv6, a /64) may open in --attempts-window-s; 0 = no limit. [default: 300]
    #[arg(long, value_name = "N")]
    pub attempts_per_ip: Option<u32>,

    /// Seconds over which --attempts-per-ip counts. [default: 300]
    #[arg(long, value_name = "S")]
    pub attempts_window_s: Option<u32>,

    /// Count --attempts-per-ip for loopback addresses as well, which are exempt otherwise.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub attempts_loopback: Option<bool>,

    /// Weight of the REST requests that one IP address (of IPv6, a /64) may make in a minute, each counted as the exchange does;
    /// 0 = no limit. [default: 6000]
    #[arg(long, value_name = "N")]
    pub weight_per_ip: Option<u32>,

    /// Hold loopback addresses to --weight-per-ip as well, which are exempt otherwise.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub weight_loopback: Option<bool>,

    /// Bytes a group of equal subscribers keeps for those who cannot keep up; past it they are
    /// conflated or closed. [default: 8388608]
    #[arg(long, value_name = "BYTES")]
    pub retention_bytes: Option<usize>,

    /// Bytes of kernel send buffer of each connection. [default: as the kernel sizes it]
    #[arg(long, value_name = "BYTES")]
    pub send_buffer: Option<usize>,

    /// Bytes that the kernel may hold of a connection before it has sent them (TCP_NOTSENT_LOWAT): past it the connection counts
    /// as one that cannot keep up, and what it finally gets is fresh. [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub notsent_lowat: Option<usize>,

    /// Say every so often, as 5s or 1m, what the engine does: a line on standard output. [default: never]
    #[arg(long, value_name = "DURATION")]
    pub stats: Option<String>,

    /// Also answer /echo, which returns every message: for WebSocket conformance suites.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub echo: Option<bool>,
}

/// Settings that were checked and completed.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the market comes from.
    pub feed: FeedOptions,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Worker threads.
    pub workers: usize,
    /// Connections of one worker.
    pub connections_per_worker: u32,
    /// Streams of one connection.
    pub streams_per_connection: usize,
    /// Between two pings, milliseconds.
    pub ping_ms: u32,
    /// For a pong, milliseconds.
    pub pong_ms: u32,
    /// What becomes of slow consumers.
    pub lag: LagPolicy,
    /// Before a slow consumer is conflated, milliseconds.
    pub retention_ms: u32,
    /// Before a slow consumer is closed, milliseconds.
    pub lag_ms: u32,
    /// Of a connection, seconds.
    pub life_s: u32,
    /// Messages of one connection in a second; 0 for any number.
    pub messages_per_second: u16,
    /// Connections of one address in a window; 0 for any number.
    pub attempts_per_ip: u32,
    /// The window, seconds.
    pub attempts_window_s: u32,
    /// Whether loopback addresses count.
    pub attempts_loopback: bool,
    /// Weight of the REST requests of one address in a minute; 0 for any.
    pub weight_per_ip: u32,
    /// Whether loopback addresses are held to it.
    pub weight_loopback: bool,
    /// Bytes a group's log keeps.
    pub retention_bytes: usize,
    /// Bytes of kernel send buffer.
    pub send_buffer: Option<usize>,
    /// Bytes unsent in the kernel.
    pub notsent_lowat: usize,
    /// Between two lines of statistics.
    pub stats: Option<Duration>,
    /// Whether `/echo` exists.
    pub echo: bool,
}

/// Why the settings were refused. The fault is the configuration's; exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no TOML of settings: an unknown key, a value of another type.
    #[error("the configuration {path}, line {line}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// The line at fault, from 1.
        line: usize,
        /// What is wrong, in one line.
        message: String,
    },
    /// What `--feed` says.
    #[error(transparent)]
    Feed(#[from] FeedUrlError),
    /// What `--lag` says.
    #[error("--lag {text:?} is no policy: it takes conflate or evict")]
    Lag {
        /// The value.
        text: String,
    },
    /// Where to listen.
    #[error(
        "--listen {0:?} is no address of this host: it takes HOST:PORT, as 127.0.0.1:9443 or localhost:0"
    )]
    Listen(String),
    /// An address that others than this host reach, which nobody allowed.
    #[error(
        "--listen {0} is not loopback: whoever reaches this host could subscribe, without encryption or login; \
         give --allow-remote as well if that is meant"
    )]
    Remote(SocketAddr),
    /// How often to tell statistics.
    #[error("--stats {0:?} is no time from 100ms to 1day; it takes one as 5s or 1m")]
    Stats(String),
    /// A number outside its range.
    #[error("--{name} is {value}; it takes {low} to {high}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: u64,
        /// The least it takes.
        low: u64,
        /// The most it takes.
        high: u64,
    },
}

impl Settings {
    /// The settings of a TOML file.
    pub fn from_file(path: &Path) -> Result<Settings, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.into(),
            error,
        })?;
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            let written: String = text
                .lines()
                .nth(line)
                .unwrap_or_default()
                .chars()
                .take(LINE_SHOWN)
                .collect();
            ConfigError::File {
                path: path.into(),
                line: line + 1,
                message: format!("{} in {:?}", error.message().replace('\n', " "), written.trim()),
            }
        })
    }

    /// These, completed by `below` where they say nothing.
    #[must_use]
    pub fn over(self, below: Settings) -> Settings {
        Settings {
            feed: if self.feed.is_empty() {
                below.feed
            } else {
                self.feed
            },
            listen: self.listen.or(below.listen),
            allow_remote: self.allow_remote.or(below.allow_remote),
            workers: self.workers.or(below.workers),
            connections_per_worker: self.connections_per_worker.or(below.connections_per_worker),
            streams_per_connection: self.streams_per_connection.or(below.streams_per_connection),
            ping_ms: self.ping_ms.or(below.ping_ms),
            pong_ms: self.pong_ms.or(below.pong_ms),
            lag: self.lag.or(below.lag),
            lag_ms: self.lag_ms.or(below.lag_ms),
            retention_ms: self.retention_ms.or(below.retention_ms),
            notsent_lowat: self.notsent_lowat.or(below.notsent_lowat),
            life_s: self.life_s.or(below.life_s),
            messages_per_second: self.messages_per_second.or(below.messages_per_second),
            attempts_per_ip: self.attempts_per_ip.or(below.attempts_per_ip),
            attempts_window_s: self.attempts_window_s.or(below.attempts_window_s),
            attempts_loopback: self.attempts_loopback.or(below.attempts_loopback),
            weight_per_ip: self.weight_per_ip.or(below.weight_per_ip),
            weight_loopback: self.weight_loopback.or(below.weight_loopback),
            retention_bytes: self.retention_bytes.or(below.retention_bytes),
            send_buffer: self.send_buffer.or(below.send_buffer),
            stats: self.stats.or(below.stats),
            echo: self.echo.or(below.echo),
        }
    }

    /// Checks every setting; `cores` is the default number of workers.
    pub fn check(self, cores: usize) -> Result<Config, ConfigError> {
        let ms = |name, value: Option<u32>, default| {
            in_range(name, u64::from(value.unwrap_or(default)), 100, 86_400_000).map(|ms| ms as u32)
        };
        let number = |name, value: Option<u32>, default: u32, low, high| {
            in_range(name, u64::from(value.unwrap_or(default)), low, high).map(|n| n as u32)
        };
        let bytes = |name, value: usize| in_range(name, value as u64, 4096, 1 << 32).map(|n| n as usize);
        Ok(Config {
            feed: FeedOptions::parse(&self.feed)?,
            listen: listen_address(
                self.listen.as_deref().unwrap_or(LISTEN_DEFAULT),
                self.allow_remote.unwrap_or(false),
            )?,
            workers: in_range(
                "workers",
                self.workers.unwrap_or(cores) as u64,
                1,
                WORKERS_MAX as u64,
            )? as usize,
            connections_per_worker: in_range(
                "connections-per-worker",
                self.connections_per_worker.unwrap_or(500_000).into(),
                1,
                1 << 24,
            )? as u32,
            streams_per_connection: in_range(
                "streams-per-connection",
                self.streams_per_connection.unwrap_or(1024) as u64,
                1,
                65_536,
            )? as usize,
            ping_ms: ms("ping-ms", self.ping_ms, 20_000)?,
            pong_ms: ms("pong-ms", self.pong_ms, 60_000)?,
            lag: self.lag.map_or(Ok(LagPolicy::default()), lag_policy)?,
            lag_ms: ms("lag-ms", self.lag_ms, 10_000)?,
            retention_ms: ms("retention-ms", self.retention_ms, 1000)?,
            notsent_lowat: bytes("notsent-lowat", self.notsent_lowat.unwrap_or(16_384))?,
            life_s: number("life-s", self.life_s, 86_400, 1, 31_536_000)?,
            messages_per_second: number("messages-per-second", self.messages_per_second, 5, 0, 10_000)?
                as u16,
            attempts_per_ip: number("attempts-per-ip", self.attempts_per_ip, 300, 0, 1_000_000)?,
            attempts_window_s: number("attempts-window-s", self.attempts_window_s, 300, 1, 86_400)?,
            attempts_loopback: self.attempts_loopback.unwrap_or(false),
            weight_per_ip: number("weight-per-ip", self.weight_per_ip, 6000, 0, 1_000_000_000)?,
            weight_loopback: self.weight_loopback.unwrap_or(false),
            retention_bytes: bytes("retention-bytes", self.retention_bytes.unwrap_or(8 << 20))?,
            send_buffer: self.send_buffer.map(|n| bytes("send-buffer", n)).transpose()?,
            stats: self.stats.map(stats_interval).transpose()?,
            echo: self.echo.unwrap_or(false),
        })
    }
}

fn lag_policy(text: String) -> Result<LagPolicy, ConfigError> {
    LagPolicy::parse(&text).ok_or(ConfigError::Lag { text })
}

/// A text, or a list of texts.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected the URL of a feed, or a list of such")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(url) => vec![url],
        OneOrMore::More(urls) => urls,
    })
}

/// The address to listen on: one that only this host reaches, unless others may as well.
fn listen_address(listen: &str, allow_remote: bool) -> Result<SocketAddr, ConfigError> {
    let address = resolve(listen)?;
    if allow_remote || address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(ConfigError::Remote(address))
    }
}

/// The first address of `HOST:PORT`.
fn resolve(listen: &str) -> Result<SocketAddr, ConfigError> {
    let addresses = listen.to_socket_addrs();
    addresses
        .ok()
        .and_then(|mut all| all.next())
        .ok_or_else(|| ConfigError::Listen(listen.into()))
}

/// The time between two lines of statistics.
fn stats_interval(text: String) -> Result<Duration, ConfigError> {
    let range = Duration::from_millis(100)..=Duration::from_hours(24);
    match humantime::parse_duration(&text) {
        Ok(interval) if range.contains(&interval) => Ok(interval),
        _ => Err(ConfigError::Stats(text)),
    }
}

fn in_range(name: &'static str, value: u64, low: u64, high: u64) -> Result<u64, ConfigError> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError::Range {
            name,
            value,
            low,
            high,
        })
    }
}
