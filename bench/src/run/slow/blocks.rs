//! When connections that never catch up were blocked, and how long the server kept them after that.
//!
//! A block is the server's own fact: its socket took no more. From outside there is its gauge of blocked connections, ten
//! times a second, and the fleet's times of resets. Who never catches up stays in the gauge from its first block until it is
//! gone; so of those blocked or gone at some moment, as many as were never fewer at a later moment were blocked for good by
//! then. Healthy connections that were blocked for a moment fall out of that by themselves. Each block counts from the look
//! before the one that showed it, so times are long by up to a tenth of a second.
//!
//! Which of the blocked is which of the gone, nobody says: the first is taken for the first, since all have the same limit.
//! The longest in any order, from the first block to the last reset, is given beside it.

use std::time::Duration;

use serde::Serialize;

use crate::probe::stats::StatsSample;

/// A server drops a connection from its gauge and the fleet learns of the reset a little later: gone within so long counts as
/// gone.
const RESET_NEWS_NS: u64 = 1_000_000_000;

/// When each of `doomed` connections was blocked for good, in their order, as far as the samples tell. `gone_ns` are the
/// resets, ascending. `others` may be blocked in between (readers that stop and resume) and are taken off.
pub fn first_blocks(samples: &[StatsSample], gone_ns: &[u64], doomed: u64, others: u64) -> Vec<u64> {
    let mut blocked: Vec<u64> = samples
        .iter()
        .map(|sample| {
            let gone_by_ns = sample.taken_ns + RESET_NEWS_NS;
            let gone = gone_ns.partition_point(|&gone| gone <= gone_by_ns) as u64;
            (sample.blocked + gone).saturating_sub(others).min(doomed)
        })
        .collect();
    // From the end: what holds from a moment on.
    for later in (1..blocked.len()).rev() {
        blocked[later - 1] = blocked[later - 1].min(blocked[later]);
    }
    let mut blocks = Vec::new();
    for (place, &blocked) in blocked.iter().enumerate() {
        let before = samples[place.saturating_sub(1)].taken_ns;
        while (blocks.len() as u64) < blocked {
            blocks.push(before);
        }
    }
    blocks
}

/// How long connections were there after their first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Kept {
    /// Connections of which both is known.
    pub count: usize,
    /// Half were gone within this, seconds.
    pub p50_s: f64,
    /// 99 of 100.
    pub p99_s: f64,
    /// All, taken in order.
    pub max_s: f64,
    /// From the first block to the last reset: the most it can be in any order.
    pub at_most_s: f64,
}

/// Of blocks and resets, both ascending; None where there is no pair.
pub fn kept(blocks_ns: &[u64], gone_ns: &[u64]) -> Option<Kept> {
    let mut seconds: Vec<f64> = (blocks_ns.iter().zip(gone_ns))
        .map(|(block, gone)| gone.saturating_sub(*block) as f64 / 1e9)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds[((seconds.len() as f64 * share).ceil() as usize).max(1) - 1];
    let (first, last) = (blocks_ns.first()?, gone_ns.last()?);
    (!seconds.is_empty()).then(|| Kept {
        count: seconds.len(),
        p50_s: at(0.5),
        p99_s: at(0.99),
        max_s: at(1.0),
        at_most_s: last.saturating_sub(*first) as f64 / 1e9,
    })
}

/// How many were there for longer than `allowed` after their first block, those among them that are still there at `now_ns`.
pub fn late(blocks_ns: &[u64], gone_ns: &[u64], allowed: Duration, now_ns: u64) -> usize {
    let allowed_ns = allowed.as_nanos() as u64;
    let end = |place: usize| gone_ns.get(place).copied().unwrap_or(now_ns);
    let is_late = |(place, block): (usize, &u64)| end(place).saturating_sub(*block) > allowed_ns;
    blocks_ns
        .iter()
        .enumerate()
        .filter(|&block| is_late(block))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// A sample each second from 1 s on.
    fn samples(blocked: &[u64]) -> Vec<StatsSample> {
        let sample = |(n, &blocked): (u64, &u64)| StatsSample {
            taken_ns: n * S,
            blocked,
            ..StatsSample::default()
        };
        (1..).zip(blocked).map(sample).collect()
    }

    #[test]
    fn a_block_counts_from_the_look_before_it() {
        let samples = samples(&[0, 0, 2, 3, 3, 3]);
        assert_eq!(first_blocks(&samples, &[], 3, 0), [2 * S, 2 * S, 3 * S]);
        assert_eq!(
            first_blocks(&samples, &[], 2, 0),
            [2 * S, 2 * S],
            "there are no more"
        );
        assert_eq!(
            first_blocks(&samples, &[], 3, 2),
            [3 * S],
            "two may have been others"
        );
        assert_eq!(first_blocks(&[], &[], 3, 0), [0; 0]);
    }

    #[test]
    fn who_catches_up_again_was_not_blocked_for_good() {
        // Five healthy ones are blocked for a moment before the two that stay.
        let samples = samples(&[0, 5, 0, 2, 2, 0, 0]);
        let gone = [5 * S + S / 2, 5 * S + S / 2];
        assert_eq!(first_blocks(&samples, &gone, 2, 0), [3 * S, 3 * S]);
    }

    #[test]
    fn resets_that_the_fleet_learns_of_late_do_not_make_blocks_young() {
        // The gauge falls at 4 s, the resets are seen 0.3 s later.
        let samples = samples(&[0, 2, 2, 0, 0]);
        let gone = [4 * S + 300_000_000; 2];
        assert_eq!(first_blocks(&samples, &gone, 2, 0), [S, S]);
    }

    #[test]
    fn who_is_kept_too_long_is_counted_also_while_it_is_still_there() {
        let blocks = [S, 2 * S, 2 * S, 9 * S];
        let gone = [4 * S, 6 * S];
        let allowed = Duration::from_millis(3500);
        // The second took 4 s, the third is there after 8, the fourth has time left.
        assert_eq!(late(&blocks, &gone, allowed, 10 * S), 2);
        let kept = kept(&blocks, &gone).unwrap();
        assert_eq!(
            (kept.count, kept.p50_s, kept.p99_s, kept.max_s),
            (2, 3.0, 4.0, 4.0)
        );
        assert_eq!(kept.at_most_s, 5.0);
        assert_eq!(super::kept(&blocks, &[]), None);
    }
}
