//! What slow readers cost the others: the same number of healthy connections alone, and beside them, in turn.

use super::options::SlowOptionsError;
use crate::fleet::plan::Duty;
use crate::run::options::{LoadOptions, OptionsError};
use crate::run::progress::Progress;
use crate::run::report::Report;
use crate::run::server::Side;
use crate::run::{Own, RunError, in_pairs, trial};

/// The load with its slow readers, and without them: the same number of others, in a window of the same length that has all
/// in it that becomes of the slow ones.
pub fn sides(load: &LoadOptions) -> Result<(LoadOptions, LoadOptions), OptionsError> {
    let (plan, stalled) = (load.slow.plan(), load.stalled_per_mille());
    let reads = |number: &u32| plan.duty(*number, stalled) == Duty::Read;
    let healthy = (0..load.connections).filter(reads).count() as u32;
    if healthy == 0 || healthy == load.connections {
        return Err(SlowOptionsError::NoneToCompare.into());
    }
    let window = load.window.max(load.slow.window(load));
    let beside = LoadOptions {
        window,
        ..load.clone()
    };
    let mut alone = LoadOptions {
        connections: healthy,
        stalled: 0.0,
        ..beside.clone()
    };
    (alone.slow.one_byte, alone.slow.pausing) = (0.0, 0.0);
    Ok((beside, alone))
}

/// Runs both in turn, A B B A, `pairs` times each.
pub fn beside_and_alone(
    own: &Own,
    load: &LoadOptions,
    engine: &Side,
    pairs: usize,
) -> Result<Report, RunError> {
    let (beside, alone) = sides(load)?;
    let progress = Progress::new(2 * pairs);
    let outcome = in_pairs(pairs, |is_first| {
        progress.next_run();
        let load = if is_first { &beside } else { &alone };
        trial::run(own, load, engine, &progress)
    });
    progress.end();
    let (runs_beside, runs_alone) = outcome?;
    Ok(Report::of(
        "beside slow readers",
        runs_beside,
        Some("alone"),
        runs_alone,
    ))
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

    #[test]
    fn as_many_are_alone_as_are_beside() {
        let (beside, alone) = sides(&load("--connections 10000 --stalled 10 --rate 100 --for 5s")).unwrap();
        assert_eq!((beside.connections, alone.connections), (10_000, 9_000));
        assert_eq!(
            (alone.stalled_per_mille(), alone.slow.plan().pausing_per_mille),
            (0, 0)
        );
        assert_eq!(beside.window, alone.window);
        assert_eq!(beside.window.as_secs(), 2 + 12, "until all are gone");
        let (beside, alone) = sides(&load("--stalled 5 --one-byte 5 --pausing 10 --for 60s")).unwrap();
        assert_eq!((alone.connections, beside.window.as_secs()), (8000, 60));
        assert_eq!(alone.slow.plan().one_byte_per_mille, 0);
    }

    #[test]
    fn somebody_has_to_be_slow_and_somebody_not() {
        assert!(sides(&load("")).is_err());
        assert!(sides(&load("--stalled 100")).is_err());
    }
}
