//! What the commands take, and what it means for the server and the fleet.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::fleet::order::{Format, StreamPlan};
use crate::limit::order::Traffic;
use crate::run::slow::options::{SlowOptions, SlowOptionsError};

/// Connections of one run at most: what the source addresses that a fleet uses have room for.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Seconds of one measuring window at most.
const WINDOW_S_MAX: u64 = 3_600;
/// Bytes of one send at most: what a writer makes one run of.
const SEND_BYTES_MAX: u64 = 256 * 1024;

/// The format the fleet subscribes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatOption {
    /// Frames of a fixed size that carry when they were published.
    Bench,
    /// The exchange's JSON.
    Json,
    /// SBE.
    Sbe,
}

/// The load: how many connections get what, how often.
#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    /// How many connections.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub connections: u32,

    /// Flushes a second: how often each connection is sent something. 0 lets `limit` send without a pause.
    #[arg(long, default_value_t = 10, value_name = "HZ", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub rate: u32,

    /// Payload bytes of a frame (its header comes on top: 2 bytes up to 125, 4 beyond).
    #[arg(long, default_value_t = 128, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(16..=65_535))]
    pub size: u32,

    /// Frames of each stream in a flush.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub frames: u32,

    /// How many bench streams there are.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub streams: u32,

    /// How many streams each connection takes, drawn at random where there are more.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub streams_per_connection: u32,

    /// What the frames are.
    #[arg(long, default_value = "bench", value_name = "FORMAT")]
    pub format: FormatOption,

    /// The market, for json and sbe: the URL of a feed as the engine takes it, as capture:PATH.
    #[arg(long, value_name = "URL")]
    pub feed: Option<String>,

    /// The streams to choose from, for json and sbe. May be given again.
    #[arg(long = "stream", value_name = "NAME", default_value = "btcusdt@depth@100ms")]
    pub names: Vec<String>,

    /// Percent of the connections from which nothing is read once they are open. They are to be closed: one that is still
    /// there a second after the lag limit and its second of grace is a fault.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub stalled: f64,

    /// Receive buffer of those and of all that are slow, bytes.
    #[arg(long, default_value_t = 4096, value_name = "BYTES")]
    pub stalled_buffer: usize,

    /// Readers that are slow in other ways.
    #[command(flatten)]
    pub slow: SlowOptions,

    /// How many connections keep whole books of their depth streams and check every id. None do in runs in turn with the bare
    /// loop, which tells no books.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub books: u32,

    /// How long is measured, after the warm-up.
    #[arg(long = "for", default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub window: Duration,

    /// How long the load runs before.
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub warm_up: Duration,

    /// Send buffer of the server's sockets (SO_SNDBUF), bytes; the kernel's own sizing when not given.
    #[arg(long, value_name = "BYTES")]
    pub send_buffer: Option<usize>,

    /// The server's core.
    #[arg(long, default_value_t = 0, value_name = "CORE")]
    pub server_core: usize,

    /// The fleet's core.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    pub fleet_core: usize,

    /// How long the fleet sleeps when it has nothing to read, microseconds; 0 sleeps until something comes. Over loopback
    /// the server would have to wake it then, at a price like that of a send, whenever the fleet is the faster of the two.
    #[arg(long, default_value_t = 500, value_name = "US", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub fleet_pause: u32,

    /// Decides which connection takes which streams.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Also write all figures there, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Options that do not go together. The fault is the caller's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// JSON and SBE have no fixed frames.
    #[error(
        "--format json and sbe need a market: give --feed, as --feed capture:PATH or --feed 'sim:?symbols=20'"
    )]
    NoFeed,
    /// The bench feed is made from the options.
    #[error(
        "--format bench makes its own feed from --rate, --size, --frames and --streams: leave --feed out"
    )]
    FeedGiven,
    /// More streams a connection than there are.
    #[error("--streams-per-connection {wanted} of {there} streams: give more with --streams or --stream")]
    TooFewStreams {
        /// Streams a connection.
        wanted: u32,
        /// Streams there are.
        there: usize,
    },
    /// Nothing to prepare bytes from.
    #[error(
        "the bare loop has bytes of fixed size or of one stream of a recording: compare --format bench, or one --stream of --feed capture:PATH"
    )]
    NotPrepared,
    /// A recording in another time than its own.
    #[error(
        "--feed {0:?}: the bare loop sends a recording once and in its own time: compare without speed and end"
    )]
    CaptureSettings(String),
    /// A pause of nothing.
    #[error("--rate 0 is for `limit` only: an engine's feed has a rate from 1 to 1000")]
    NoRate,
    /// A share beyond all.
    #[error("--stalled {0} is no percentage from 0 to 100")]
    Stalled(f64),
    /// Slow readers that cannot be.
    #[error(transparent)]
    Slow(#[from] SlowOptionsError),
    /// Too short or too long.
    #[error("--for {0:?}: a window takes from 1 s to {WINDOW_S_MAX} s, and the warm-up as much at most")]
    Window(Duration),
    /// More than one run.
    #[error("{0} bytes in one flush: frames x size x streams-per-connection may be {SEND_BYTES_MAX} at most")]
    TooMuch(u64),
}

impl LoadOptions {
    /// Says what does not go together.
    pub fn check(&self) -> Result<(), OptionsError> {
        match (self.format, &self.feed) {
            (FormatOption::Bench, Some(_)) => return Err(OptionsError::FeedGiven),
            (FormatOption::Json | FormatOption::Sbe, None) => return Err(OptionsError::NoFeed),
            _ => {}
        }
        let there = self.stream_names().len();
        if self.streams_per_connection as usize > there {
            return Err(OptionsError::TooFewStreams {
                wanted: self.streams_per_connection,
                there,
            });
        }
        if !(0.0..=100.0).contains(&self.stalled) {
            return Err(OptionsError::Stalled(self.stalled));
        }
        self.slow.check(self)?;
        if !(1..=WINDOW_S_MAX).contains(&self.window.as_secs()) || self.warm_up.as_secs() > WINDOW_S_MAX {
            return Err(OptionsError::Window(self.window));
        }
        let bytes = u64::from(self.frames_per_flush()) * u64::from(self.size);
        if bytes > SEND_BYTES_MAX {
            return Err(OptionsError::TooMuch(bytes));
        }
        Ok(())
    }

    /// Frames that a connection is sent at once, of the bench format.
    pub fn frames_per_flush(&self) -> u32 {
        self.frames * self.streams_per_connection
    }

    /// What the fleet is told of the format.
    pub fn fleet_format(&self) -> Format {
        match self.format {
            FormatOption::Bench => Format::Bench,
            FormatOption::Json => Format::Json,
            FormatOption::Sbe => Format::Sbe,
        }
    }

    /// Which connection takes what.
    pub fn stream_plan(&self) -> StreamPlan {
        StreamPlan {
            names: self.stream_names(),
            per_connection: self.streams_per_connection,
            seed: self.seed,
        }
    }

    fn stream_names(&self) -> Vec<String> {
        match self.format {
            FormatOption::Bench => (0..self.streams)
                .map(|index| format!("bench{index}@fixed"))
                .collect(),
            FormatOption::Json | FormatOption::Sbe => self.names.clone(),
        }
    }

    /// Whether it has depth streams, of which books can be kept.
    pub fn tells_depth(&self) -> bool {
        self.format != FormatOption::Bench && self.names.iter().any(|name| name.contains("@depth"))
    }

    /// Stalled connections of a thousand.
    pub fn stalled_per_mille(&self) -> u32 {
        (self.stalled * 10.0).round() as u32
    }

    /// The feed's URL for an engine. A recording waits for the whole fleet, so that it has something to send as long as
    /// possible.
    pub fn engine_feed(&self) -> Result<String, OptionsError> {
        match (&self.feed, self.format) {
            (_, FormatOption::Bench) if self.rate == 0 => Err(OptionsError::NoRate),
            (_, FormatOption::Bench) => Ok(format!(
                "bench:?streams={}&hz={}&size={}&burst={}&start={}",
                self.streams, self.rate, self.size, self.frames, self.connections
            )),
            (Some(feed), _) if feed.starts_with("capture:") && !feed.contains("start=") => {
                let joint = if feed.contains('?') { '&' } else { '?' };
                Ok(format!("{feed}{joint}start={}", self.connections))
            }
            (Some(feed), _) => Ok(feed.clone()),
            (None, _) => Err(OptionsError::NoFeed),
        }
    }

    /// The same bytes in the same time for the bare loop, `frames` in a send where the engine had more than one flush in
    /// one.
    pub fn traffic(&self, frames_per_send: Option<u32>) -> Result<Traffic, OptionsError> {
        let capture = self
            .feed
            .as_deref()
            .and_then(|feed| feed.strip_prefix("capture:"));
        if let Some((_, settings)) = capture.and_then(|capture| capture.split_once('?'))
            && settings.split('&').any(|setting| !setting.starts_with("start="))
        {
            return Err(OptionsError::CaptureSettings(
                self.feed.clone().unwrap_or_default(),
            ));
        }
        match (self.format, capture, self.names.as_slice()) {
            (FormatOption::Bench, ..) => Ok(Traffic::Fixed {
                size: self.size,
                burst: frames_per_send.unwrap_or(self.frames_per_flush()),
                hz: self.rate,
            }),
            (_, Some(capture), [name]) => Ok(Traffic::Recorded {
                capture: PathBuf::from(capture.split('?').next().unwrap_or(capture)),
                stream: name.clone(),
                format: self.fleet_format(),
            }),
            _ => Err(OptionsError::NotPrepared),
        }
    }
}
