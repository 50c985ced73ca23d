//! `feed-sim stats`: what the market of some settings looks like, and what it costs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use depthcast_feed_sim::os::Clock;
use depthcast_feed_sim::sim::{Exchange, SimOptions, stats};

use super::{EXIT_USAGE, SettingError, SimFlags, fail, say, shown};

/// The longest simulated time: more is hours of work even for one symbol.
const FOR_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Run simulated time as fast as it goes, without serving it; then show what the market looked like, and its cost.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatsOptions {
    #[command(flatten)]
    sim: SimFlags,

    /// The simulated time to run, as 60s, 5min or 2h.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s")]
    duration: String,
}

/// Runs, and says what came of it. Gives the exit code.
pub(crate) fn run(options: &StatsOptions) -> ExitCode {
    let checked = options
        .sim
        .check()
        .and_then(|sim| Ok((sim, simulated_us(&options.duration)?)));
    let (sim, duration_us) = match checked {
        Ok(checked) => checked,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    say(&format!("{} --for {}", shown(&sim), options.duration));
    say(&stats::run(&sim, duration_us).to_string());
    let cost = Cost::measure(&sim, duration_us);
    say(&format!(
        "cost: {:.0} steps a second on one core; this market in real time takes {:.3} % of a core",
        cost.steps_per_second(),
        100.0 * cost.seconds * 1e6 / duration_us as f64
    ));
    ExitCode::SUCCESS
}

fn simulated_us(duration: &str) -> Result<i64, SettingError> {
    humantime::parse_duration(duration)
        .ok()
        .filter(|duration| *duration <= FOR_MAX)
        .and_then(|duration| i64::try_from(duration.as_micros()).ok())
        .filter(|duration_us| *duration_us > 0)
        .ok_or_else(|| SettingError::Value {
            flag: "for",
            value: duration.into(),
            accepted: "a time such as 60s, 5min or 2h, 30 days at most",
        })
}

/// What an exchange costs by itself, without whatever looks at its events.
struct Cost {
    steps: u64,
    seconds: f64,
}

impl Cost {
    fn measure(options: &SimOptions, duration_us: i64) -> Cost {
        let mut exchange = Exchange::new(options);
        let end_us = exchange.now_us() + duration_us;
        let (mut steps, mut events) = (0, Vec::new());
        let clock = Clock::start();
        while exchange.next_us() <= end_us {
            exchange.step(&mut events);
            steps += 1;
            events.clear();
        }
        let seconds = Duration::from_nanos(clock.now_ns()).as_secs_f64();
        Cost { steps, seconds }
    }

    fn steps_per_second(&self) -> f64 {
        self.steps as f64 / self.seconds.max(1e-9)
    }
}
