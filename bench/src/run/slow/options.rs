//! Which readers of a load are slow on purpose, beside those from which nothing is read.

use std::time::Duration;

use clap::Args;

use crate::fleet::slow::SlowPlan;
use crate::run::options::{FormatOption, LoadOptions};

/// How long an engine lets a connection owe bytes unless it is told otherwise (`serve --lag-ms`).
const LAG_MS_DEFAULT: u32 = 10_000;

/// How long an engine gives a connection that it gives up to take its Close before it is reset.
pub const GRACE: Duration = Duration::from_secs(1);

/// How much later than limit and grace a connection may still be there: deadlines are looked at in steps, on a busy core.
pub const TOLERANCE: Duration = Duration::from_secs(1);

/// Unsent bytes that an engine lets its kernel hold of a connection unless it is told otherwise (`serve --notsent-lowat`).
const NOTSENT_BYTES: u64 = 16_384;

/// How long the sockets of a real market may take to be full; nobody knows beforehand what it sends.
const MARKET_FILL: Duration = Duration::from_secs(5);

/// The longest of the times here.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Readers that are slow on purpose. They have the receive buffer of --stalled-buffer, and none of them is in the frames
/// and latencies of a report.
#[derive(Clone, Debug, Args)]
pub struct SlowOptions {
    /// Percent of the connections that read one byte now and then. Like stalled ones they never catch up, and are to be
    /// closed; one that is still there a second after the lag limit and its second of grace is a fault.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub one_byte: f64,

    /// How often those read their byte.
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub one_byte_every: Duration,

    /// Percent of the connections that stop reading and resume, over and over, not all at once. The ids of all that they get
    /// have to continue; of depth streams they keep whole books, which are compared at the same ids with those of --books.
    /// None of them may be lost.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub pausing: f64,

    /// How long those stop. To be conflated one has to be blocked for the engine's --retention-ms (1 s): what comes in a stop
    /// has to be more than both kernels hold, some 20 KB, soon enough.
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub pausing_stop: Duration,

    /// How long they read everything in between.
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub pausing_read: Duration,

    /// How long the engine lets a connection owe bytes, milliseconds: it is told so, and those that never catch up are to be
    /// gone so long, a second of grace and a second more after their first block. [default: the engine's, 10000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(100..=3_600_000))]
    pub lag_ms: Option<u32>,
}

/// Options that make no load. The fault is the caller's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SlowOptionsError {
    /// A share that is none.
    #[error("{option} {given} is no percentage from 0 to 100")]
    Share {
        /// Which.
        option: &'static str,
        /// What was given.
        given: f64,
    },
    /// More than all.
    #[error("--stalled, --one-byte and --pausing are {0} % of the connections together: 100 at most")]
    Together(f64),
    /// A time too short or too long.
    #[error("{option} {given:?}: it takes from 1 ms to 1 h")]
    Time {
        /// Which.
        option: &'static str,
        /// What was given.
        given: Duration,
    },
    /// Nothing to compare with.
    #[error("--pausing compares books with those of connections that keep up: give --books 1 or more")]
    NoBooks,
    /// The bare loop has no policy for those who cannot keep up.
    #[error("--one-byte and --pausing need an engine: the bare loop gives up a socket that is full")]
    NoEngine,
    /// All are slow, or none is.
    #[error(
        "--against healthy compares those that read with themselves: give --stalled, --one-byte or --pausing, and leave some"
    )]
    NoneToCompare,
}

impl Default for SlowOptions {
    /// No slow reader at all.
    fn default() -> SlowOptions {
        SlowOptions {
            one_byte: 0.0,
            one_byte_every: Duration::from_millis(100),
            pausing: 0.0,
            pausing_stop: Duration::from_secs(3),
            pausing_read: Duration::from_secs(2),
            lag_ms: None,
        }
    }
}

impl SlowOptions {
    /// Says what does not go together in `load`, whose options these are.
    pub fn check(&self, load: &LoadOptions) -> Result<(), SlowOptionsError> {
        for (option, given) in [("--one-byte", self.one_byte), ("--pausing", self.pausing)] {
            if !(0.0..=100.0).contains(&given) {
                return Err(SlowOptionsError::Share { option, given });
            }
        }
        let together = load.stalled + self.one_byte + self.pausing;
        if together > 100.0 {
            return Err(SlowOptionsError::Together(together));
        }
        for (option, given) in [
            ("--one-byte-every", self.one_byte_every),
            ("--pausing-stop", self.pausing_stop),
            ("--pausing-read", self.pausing_read),
        ] {
            if !(Duration::from_millis(1)..=TIME_MAX).contains(&given) {
                return Err(SlowOptionsError::Time { option, given });
            }
        }
        if self.pausing > 0.0 && load.format != FormatOption::Bench && load.books == 0 {
            return Err(SlowOptionsError::NoBooks);
        }
        Ok(())
    }

    /// Says that the bare loop cannot serve these.
    pub fn check_limit(&self) -> Result<(), SlowOptionsError> {
        if self.one_byte > 0.0 || self.pausing > 0.0 {
            return Err(SlowOptionsError::NoEngine);
        }
        Ok(())
    }

    /// What the fleet is told of them.
    pub fn plan(&self) -> SlowPlan {
        let per_mille = |percent: f64| (percent * 10.0).round() as u32;
        let ms = |time: Duration| time.as_millis() as u32;
        SlowPlan {
            one_byte_per_mille: per_mille(self.one_byte),
            one_byte_every_ms: ms(self.one_byte_every),
            pausing_per_mille: per_mille(self.pausing),
            stop_ms: ms(self.pausing_stop),
            read_ms: ms(self.pausing_read),
        }
    }

    /// How long after its first block a connection that never catches up may be there.
    pub fn allowed(&self) -> Duration {
        self.lag() + GRACE + TOLERANCE
    }

    /// The window that has everything in it that becomes of slow readers when it begins with their first byte: until they
    /// are blocked, the lag limit, the grace and what is allowed beyond that.
    pub fn window(&self, load: &LoadOptions) -> Duration {
        let doomed = load.stalled + self.one_byte > 0.0;
        let fill = match load.format {
            FormatOption::Bench => {
                let held_bytes = load.stalled_buffer as u64 + NOTSENT_BYTES;
                let bytes_per_s =
                    u64::from(load.rate) * u64::from(load.frames_per_flush()) * u64::from(load.size);
                // A quarter more: the kernel counts its own bytes, too.
                Duration::from_secs_f64(1.25 * held_bytes as f64 / bytes_per_s.max(1) as f64)
            }
            FormatOption::Json | FormatOption::Sbe => MARKET_FILL,
        };
        let round = if self.pausing > 0.0 {
            2 * (self.pausing_stop + self.pausing_read)
        } else {
            Duration::ZERO
        };
        let until_gone = if doomed {
            fill + self.allowed()
        } else {
            Duration::ZERO
        };
        until_gone.max(round)
    }

    fn lag(&self) -> Duration {
        Duration::from_millis(self.lag_ms.unwrap_or(LAG_MS_DEFAULT).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadOptions,
    }

    fn load(flags: &str) -> LoadOptions {
        Cli::parse_from(std::iter::once("bench").chain(flags.split_ascii_whitespace())).load
    }

    fn refusal(flags: &str) -> String {
        load(flags).check().unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_load_is_refused() {
        assert_eq!(
            refusal("--one-byte 101"),
            "--one-byte 101 is no percentage from 0 to 100"
        );
        assert_eq!(
            refusal("--pausing=-1"),
            "--pausing -1 is no percentage from 0 to 100"
        );
        assert!(refusal("--stalled 50 --one-byte 30 --pausing 30").contains("110 % of the connections"));
        assert!(refusal("--pausing 1 --pausing-stop 0s").contains("from 1 ms to 1 h"));
        assert!(refusal("--pausing 1 --format json --feed sim: --books 0").contains("--books 1"));
        assert_eq!(load("--pausing 1 --one-byte 2 --stalled 97").check(), Ok(()));
        assert!(load("--pausing 1").slow.check_limit().is_err());
        assert!(load("--stalled 1").slow.check_limit().is_ok());
    }

    #[test]
    fn the_window_has_all_that_becomes_of_them() {
        let load_s = |flags: &str| {
            let load = load(flags);
            load.slow.window(&load).as_secs_f64()
        };
        // 25,600 bytes at 1,280 a second, 10 s, the grace, and a second.
        assert_eq!(load_s("--stalled 10"), 20.0 + 12.0);
        assert_eq!(load_s("--stalled 10 --rate 100 --lag-ms 500"), 2.0 + 2.5);
        assert_eq!(load_s("--one-byte 10 --format sbe --feed sim:"), 5.0 + 12.0);
        assert_eq!(load_s("--pausing 10"), 10.0);
        assert_eq!(load_s(""), 0.0);
    }
}
