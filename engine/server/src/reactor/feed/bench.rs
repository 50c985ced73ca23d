//! The bench feed: frames of a fixed size at a fixed rate, which take the way of market data through the whole engine, for
//! measuring it.
//!
//! Payload: `0..8` when it was published (CLOCK_MONOTONIC ns, u64 LE) · `8..16` its number in its stream, from 0 (u64 LE) ·
//! `16..20` the stream's index, where the size has room for it (u32 LE) · zeros.
//!
//! The time is that at which the frame was due, not that at which the feed came round to it: where the engine does not keep
//! up, what it is late by counts as latency and is not left out.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use depthcast_market::instrument::{Exponents, Instrument};

use super::{Beginning, FeedEnd, FeedLinks, MarketEnded, SLEEP_MAX, epoch_now};
use crate::os::clock;
use crate::reactor::messages::{FeedMessage, FeedSymbol};

/// Streams taken: as many as a simulated exchange has symbols.
const STREAMS: RangeInclusive<u32> = 1..=10_000;
/// Bursts a second taken: ten times what any real stream emits.
const RATES: RangeInclusive<u32> = 1..=1_000;
/// Payload bytes taken: from the time and the number to the longest that a header of 4 bytes tells.
const SIZES: RangeInclusive<u32> = 16..=65_535;
/// Frames of one stream at once taken.
const BURSTS: RangeInclusive<u32> = 1..=1_024;
/// Subscribers waited for taken: more than one machine has had.
const STARTS: RangeInclusive<u32> = 0..=10_000_000;
/// Payload bytes of one moment taken, over all streams: half of what a group's log keeps by default, so that one moment alone
/// makes nobody a slow consumer. Where the engine is given more than it can send, a worker's mailbox may hold 512 moments.
const MOMENT_BYTES_MAX: u64 = 4 << 20;

/// Moments that may wait for the market thread: past these the feed waits, and its frames grow old. A feed that runs ahead
/// would only fill memory.
const MOMENTS_WAITING_MAX: usize = 4;

/// How long the feed waits before it looks again whether the market thread has come on: nothing beside a moment that could
/// not be sent in its time.
const WAIT: Duration = Duration::from_millis(1);

/// What follows `bench:` in a feed's URL: `?streams=1&hz=10&size=128&burst=1&start=0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// How many streams: `bench0@fixed`, `bench1@fixed`, ... All emit at the same moments.
    pub streams: u32,
    /// Bursts a second of each.
    pub hz: u32,
    /// Payload bytes of a frame.
    pub size: u32,
    /// Frames of each stream at each moment.
    pub burst: u32,
    /// It begins when there are so many subscribers.
    pub start: u32,
}

impl Default for BenchOptions {
    fn default() -> BenchOptions {
        BenchOptions {
            streams: 1,
            hz: 10,
            size: 128,
            burst: 1,
            start: 0,
        }
    }
}

/// Why the settings of a bench feed were refused. The fault is the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BenchUrlError {
    /// Something before the `?`.
    #[error(
        "a bench feed has no name or path, but {0:?} stands before its settings: bench:?streams=1&hz=10&size=128&burst=1"
    )]
    Path(String),
    /// A key that bench feeds do not have.
    #[error("a bench feed has no setting {0:?}; it has streams, hz, size, burst and start")]
    UnknownKey(String),
    /// A key given more than once.
    #[error("the bench feed's {0} is given twice")]
    Twice(String),
    /// A value that its key does not take.
    #[error("the bench feed's {key} is {value:?}; it takes a whole number from {} to {}", .accepted.start(), .accepted.end())]
    Value {
        /// The key.
        key: String,
        /// The value given.
        value: String,
        /// The values it takes.
        accepted: RangeInclusive<u32>,
    },
    /// All together are too much.
    #[error(
        "the bench feed would make {0} bytes at each moment; streams x burst x size may be {MOMENT_BYTES_MAX} at most"
    )]
    TooMuch(u64),
}

impl BenchOptions {
    /// Parses what follows `bench:`.
    pub fn parse(text: &str) -> Result<BenchOptions, BenchUrlError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if !path.is_empty() {
            return Err(BenchUrlError::Path(path.into()));
        }
        let mut options = BenchOptions::default();
        let mut given = Vec::new();
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let (place, accepted) = match key {
                "streams" => (&mut options.streams, STREAMS),
                "hz" => (&mut options.hz, RATES),
                "size" => (&mut options.size, SIZES),
                "burst" => (&mut options.burst, BURSTS),
                "start" => (&mut options.start, STARTS),
                _ => return Err(BenchUrlError::UnknownKey(key.into())),
            };
            if given.contains(&key) {
                return Err(BenchUrlError::Twice(key.into()));
            }
            given.push(key);
            *place = value
                .parse()
                .ok()
                .filter(|value| accepted.contains(value))
                .ok_or_else(|| BenchUrlError::Value {
                    key: key.into(),
                    value: value.into(),
                    accepted,
                })?;
        }
        let bytes = u64::from(options.streams) * u64::from(options.burst) * u64::from(options.size);
        if bytes > MOMENT_BYTES_MAX {
            return Err(BenchUrlError::TooMuch(bytes));
        }
        Ok(options)
    }
}

impl fmt::Display for BenchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BenchOptions {
            streams,
            hz,
            size,
            burst,
            start,
        } = self;
        write!(f, "bench:?streams={streams}&hz={hz}&size={size}&burst={burst}")?;
        match start {
            0 => Ok(()),
            start => write!(f, "&start={start}"),
        }
    }
}

/// The feed of frames for measuring.
#[derive(Debug)]
pub struct BenchFeed {
    options: BenchOptions,
}

impl BenchFeed {
    /// A feed with these options.
    pub fn new(options: &BenchOptions) -> BenchFeed {
        BenchFeed { options: *options }
    }

    pub(super) fn symbols(&self) -> Vec<FeedSymbol> {
        let exponents = Exponents { price: 0, qty: 0 };
        (0..self.options.streams)
            .map(|index| {
                let instrument = Instrument::new(&format!("BENCH{index}"), exponents, 1, 1);
                FeedSymbol {
                    instrument: Arc::new(instrument.expect("the name and the steps are well-formed")),
                    depth_cadence_ms: 0,
                }
            })
            .collect()
    }

    pub(super) fn run(self, links: &FeedLinks) -> FeedEnd {
        // It has no end of its own: it was told to stop, or the market thread was.
        let (Ok(()) | Err(MarketEnded)) = self.emit(links);
        FeedEnd::Stopped
    }

    fn emit(&self, links: &FeedLinks) -> Result<(), MarketEnded> {
        links.begin_epoch(epoch_now(), self.symbols(), Beginning::AtStart)?;
        while links.counters.subscribers.get() < self.options.start as usize && !links.is_stopped() {
            std::thread::sleep(SLEEP_MAX);
        }
        let begun_ns = clock::monotonic_ns();
        for moment in 0.. {
            let due_ns = begun_ns + moment * 1_000_000_000 / u64::from(self.options.hz);
            wait_until(due_ns, links);
            while links.market.len() >= MOMENTS_WAITING_MAX && !links.is_stopped() {
                std::thread::sleep(WAIT);
            }
            if links.is_stopped() {
                break;
            }
            links.send(FeedMessage::Fixed {
                at_us: clock::wall_us(),
                frames: self.frames(moment, due_ns),
            })?;
        }
        Ok(())
    }

    /// The frames of one moment, stream by stream.
    fn frames(&self, moment: u64, due_ns: u64) -> Vec<(usize, Bytes)> {
        let burst = u64::from(self.options.burst);
        (0..self.options.streams)
            .flat_map(|stream| (0..burst).map(move |n| (stream, moment * burst + n)))
            .map(|(stream, number)| {
                (
                    stream as usize,
                    payload(self.options.size, due_ns, number, stream),
                )
            })
            .collect()
    }
}

/// Sleeps until the host's monotonic clock shows `due_ns`, or the feed is stopped.
fn wait_until(due_ns: u64, links: &FeedLinks) {
    while !links.is_stopped() {
        let left_ns = due_ns.saturating_sub(clock::monotonic_ns());
        if left_ns == 0 {
            return;
        }
        std::thread::sleep(Duration::from_nanos(left_ns).min(SLEEP_MAX));
    }
}

fn payload(size: u32, due_ns: u64, number: u64, stream: u32) -> Bytes {
    let mut payload = vec![0; size as usize];
    payload[..8].copy_from_slice(&due_ns.to_le_bytes());
    payload[8..16].copy_from_slice(&number.to_le_bytes());
    if let Some(index) = payload.get_mut(16..20) {
        index.copy_from_slice(&stream.to_le_bytes());
    }
    payload.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_told_alike() {
        assert_eq!(BenchOptions::parse(""), Ok(BenchOptions::default()));
        let text = "bench:?streams=1000&hz=100&size=64&burst=2&start=5";
        let options = BenchOptions::parse(&text["bench:".len()..]).unwrap();
        assert_eq!(
            (options.streams, options.hz, options.size, options.burst),
            (1000, 100, 64, 2)
        );
        assert_eq!(options.to_string(), text);
    }

    #[test]
    fn refusals_say_what_is_right() {
        for (text, reason) in [
            ("//x?hz=1", "a bench feed has no name or path"),
            ("?rate=1", "it has streams, hz, size, burst and start"),
            ("?hz=1&hz=2", "hz is given twice"),
            ("?hz=0", "hz is \"0\"; it takes a whole number from 1 to 1000"),
            (
                "?size=15",
                "size is \"15\"; it takes a whole number from 16 to 65535",
            ),
            ("?burst=x", "burst is \"x\""),
            ("?streams=10000&burst=1000&size=1000", "may be 4194304 at most"),
        ] {
            let error = BenchOptions::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        }
    }

    #[test]
    fn a_moment_has_every_frame_of_every_stream_numbered_on() {
        let feed = BenchFeed::new(&BenchOptions::parse("?streams=2&burst=3&size=24").unwrap());
        let frames = feed.frames(5, 77);
        let told: Vec<_> = frames
            .iter()
            .map(|(stream, payload)| {
                let u64_at = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
                assert_eq!((payload.len(), u64_at(0), u64_at(16)), (24, 77, *stream as u64));
                (*stream, u64_at(8))
            })
            .collect();
        assert_eq!(told, [(0, 15), (0, 16), (0, 17), (1, 15), (1, 16), (1, 17)]);
        assert_eq!(payload(16, 1, 2, 3).len(), 16);
    }
}
