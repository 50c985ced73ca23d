//! When latencies are again what they were before an overload, and whether they kept growing in it.

use crate::fleet::moments::{MOMENT_NS, Moment};

/// So many moments in a row have to be within what was before. Those without events tell nothing.
const GOOD_MOMENTS: usize = 5;

/// A market that lets its pace slip stands still for more than this, us: from then on all its events are later by as much.
const SLIP_MIN_US: u64 = 900_000;

/// Moments at the end that tell whether the pace slipped.
const LAST_MOMENTS: usize = 10;

/// Growth of latencies in an overload that is none yet, us.
const GROWTH_MIN_US: u64 = 200_000;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How late 99 of 100 events of a moment were before, in the worst of them, us.
    pub usual_us: u64,
    /// When the last moment was over that was worse, ms after the load's end; 0 where none was. None when it did not come back
    /// to that while it was looked at.
    pub back_ms: Option<u64>,
    /// For how long the market's time stood still in all, us; latencies after it are less by that.
    pub slip_us: u64,
}

/// Looks when latencies are back. `after` was counted from `early_ms` before the load's end on.
pub fn recovery(before: &[Moment], after: &[Moment], early_ms: u64) -> Recovery {
    let usual_us = before.iter().map(|moment| moment.p99_us).max().unwrap_or(0);
    let last = &after[after.len().saturating_sub(LAST_MOMENTS)..];
    let least_us = last.iter().map(|moment| moment.least_us).min().unwrap_or(0);
    let slip_us = if least_us >= SLIP_MIN_US { least_us } else { 0 };
    let is_good = |moment: &Moment| moment.p99_us.saturating_sub(slip_us) <= usual_us;
    let first_good = (0..after.len()).find(|&begin| {
        after
            .get(begin..begin + GOOD_MOMENTS)
            .is_some_and(|row| row.iter().all(is_good))
    });
    let back_ms = first_good.map(|good| match good.checked_sub(1) {
        None => 0,
        Some(bad) => (after[bad].at_ms + MOMENT_NS / 1_000_000).saturating_sub(early_ms),
    });
    Recovery {
        usual_us,
        back_ms,
        slip_us,
    }
}

/// Whether latencies grew all through an overload: those of its last quarter are half as much again as those of its second, and more; in
/// microseconds. A quarter is given to its begin.
pub fn growth(moments: &[Moment]) -> Option<(u64, u64)> {
    let quarter = moments.len() / 4;
    let worst = |moments: &[Moment]| moments.iter().map(|moment| moment.p99_us).max();
    let second = worst(moments.get(quarter..2 * quarter)?)?;
    let last = worst(moments.get(moments.len() - quarter..)?)?;
    // What grows evenly from nothing doubles meanwhile.
    (last > second + second / 2 + GROWTH_MIN_US).then_some((second, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(p99_us: &[u64]) -> Vec<Moment> {
        let moment = |(number, &p99_us): (usize, &u64)| Moment {
            at_ms: 100 * number as u64,
            events: 10,
            least_us: p99_us / 2,
            p50_us: p99_us / 2,
            p99_us,
            max_us: p99_us,
        };
        p99_us.iter().enumerate().map(moment).collect()
    }

    #[test]
    fn it_is_back_when_it_stays_as_it_was() {
        let before = moments(&[4, 9, 5]);
        let back = |after: &[u64], early_ms| recovery(&before, &moments(after), early_ms);
        assert_eq!(back(&[9; 9], 0).back_ms, Some(0));
        // Good ones in between are no return.
        let after = [800, 400, 9, 9, 50, 9, 9, 9, 9, 9];
        let expected = Recovery {
            usual_us: 9,
            back_ms: Some(500),
            slip_us: 0,
        };
        assert_eq!(back(&after, 0), expected);
        assert_eq!(back(&after, 120).back_ms, Some(380), "the load ended later");
        assert_eq!(back(&[800, 9, 9, 9, 9], 0).back_ms, None);
        assert_eq!(back(&[], 0).back_ms, None);
        let mut gap = moments(&after);
        gap.remove(4);
        assert_eq!(
            recovery(&before, &gap, 0).back_ms,
            Some(200),
            "nothing came in that moment"
        );
    }

    #[test]
    fn a_market_that_stood_still_is_told_apart() {
        let before = moments(&[10_000]);
        let mut after = moments(&[
            3_000_000, 1_210_000, 1_209_000, 1_205_000, 1_208_000, 1_206_000, 1_203_000,
        ]);
        for moment in &mut after {
            moment.least_us = 1_200_000;
        }
        let expected = Recovery {
            usual_us: 10_000,
            back_ms: Some(100),
            slip_us: 1_200_000,
        };
        assert_eq!(recovery(&before, &after, 0), expected);
        // Less than any slip is lateness.
        for moment in &mut after {
            moment.least_us = 800_000;
        }
        assert_eq!(recovery(&before, &after, 0).back_ms, None);
    }

    #[test]
    fn latencies_that_go_on_growing_are_seen() {
        let steady: Vec<u64> = (0..40).map(|n| 300_000 + 10_000 * (n % 7)).collect();
        assert_eq!(growth(&moments(&steady)), None);
        let rising: Vec<u64> = (0..40).map(|n| 100_000 * n).collect();
        assert_eq!(growth(&moments(&rising)), Some((1_900_000, 3_900_000)));
        let settled: Vec<u64> = (0..40).map(|n| 100_000 * n.min(12)).collect();
        assert_eq!(growth(&moments(&settled)), None);
        assert_eq!(growth(&[]), None);
    }
}
