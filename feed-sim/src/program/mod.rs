//! What the commands of feed-sim share: the exchange's settings, what they say and how they end.

pub(crate) mod serve;
pub(crate) mod stats;

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use depthcast_feed_sim::sim::{SimOptions, SimUrlError};

/// Wrong usage or settings.
const EXIT_USAGE: u8 = 2;
/// The host refused something, a port in use for instance, or the exchange itself failed.
const EXIT_HOST: u8 = 1;

/// The exchange's settings as they are written: what is None takes its default.
#[derive(Clone, Debug, Default, Args)]
struct SimFlags {
    /// How many symbols the exchange lists, 1 to 10000. [default: 20]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    symbols: Option<String>,

    /// Book changes a second of each symbol, 1 to 1000: one number, or from the slowest symbol to the fastest.
    /// [default: 10..100]
    #[arg(long, value_name = "LOW..HIGH", allow_negative_numbers = true)]
    rate: Option<String>,

    /// What the randomness starts from: the same settings give the same market. [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<String>,
}

/// A setting that is wrong. The fault is the command line's.
#[derive(Debug, thiserror::Error)]
enum SettingError {
    /// A value that a flag does not take.
    #[error("--{flag} is {value:?}; it takes {accepted}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// The value given.
        value: String,
        /// The values it takes.
        accepted: &'static str,
    },
    /// What the exchange does not take for another reason.
    #[error(transparent)]
    Sim(SimUrlError),
}

impl From<SimUrlError> for SettingError {
    fn from(error: SimUrlError) -> SettingError {
        match error {
            SimUrlError::Value { key, value, accepted } => SettingError::Value {
                flag: key,
                value,
                accepted,
            },
            other => SettingError::Sim(other),
        }
    }
}

impl SimFlags {
    fn check(&self) -> Result<SimOptions, SettingError> {
        let mut options = SimOptions::default();
        let flags = [
            ("symbols", &self.symbols),
            ("rate", &self.rate),
            ("seed", &self.seed),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                options.set(key, value)?;
            }
        }
        Ok(options)
    }
}

/// An exchange's settings, as they could be given.
fn shown(options: &SimOptions) -> String {
    let (low, high) = (options.rate.start(), options.rate.end());
    let rate = if low == high {
        low.to_string()
    } else {
        format!("{low}..{high}")
    };
    format!(
        "--symbols {} --rate {rate} --seed {}",
        options.symbols, options.seed
    )
}

/// Says something on standard output, where anybody listens: `println!` would panic when nobody does.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The same on standard error.
fn say_aside(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    say_aside(&format!("feed-sim: {error}"));
    ExitCode::from(code)
}
