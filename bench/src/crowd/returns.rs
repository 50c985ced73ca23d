//! When those of a crowd that went come back: with exponential backoff and full jitter, so many under way at a time, again and
//! again until they are open.
//!
//! Full jitter: before try k (from 0) it waits for a time drawn evenly from zero to base * 2^k, at most the cap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::fleet::connection::OpenFault;
use crate::fleet::opening::HANDSHAKE_TIME_MAX;

/// Different reasons of failures that are told apart; what comes past it is counted as [`OTHERS`].
const REASONS_MAX: usize = 8;

/// See [`REASONS_MAX`].
const OTHERS: &str = "other reasons";

/// How the waits before tries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The longest wait before the first try, us.
    pub base_us: u64,
    /// The longest before any, us.
    pub cap_us: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReport {
    /// Connections that ended with a Close frame.
    pub left_with_close: u64,
    /// Connections whose socket ended without one.
    pub left_without: u64,
    /// Connects that were begun.
    pub tries: u64,
    /// Those that came to an open connection.
    pub back: u64,
    /// The most tries that one connection needed so far.
    pub tries_max: u32,
    /// Why the others did not, and how many.
    pub failures: BTreeMap<String, u64>,
}

impl ReturnReport {
    /// Adds what another process saw.
    pub fn add(&mut self, more: &ReturnReport) {
        self.left_with_close += more.left_with_close;
        self.left_without += more.left_without;
        self.tries += more.tries;
        self.back += more.back;
        self.tries_max = self.tries_max.max(more.tries_max);
        for (reason, count) in &more.failures {
            self.note(reason, *count);
        }
    }

    fn note(&mut self, reason: &str, count: u64) {
        let is_known = self.failures.contains_key(reason) || self.failures.len() < REASONS_MAX;
        let reason = if is_known { reason } else { OTHERS };
        *self.failures.entry(reason.into()).or_default() += count;
    }
}

/// The state, in terms of places.
#[derive(Debug)]
pub struct Returns {
    backoff: Backoff,
    draw: ChaCha8Rng,
    /// Who waits and until when, ns; the earliest first. Each place at most once.
    waiting: BinaryHeap<Reverse<(u64, u32)>>,
    /// Tries of each place since it went.
    tries: Vec<u32>,
    /// Who is under way and since when, in order; done ones leave when they get to the front.
    begun: VecDeque<(u32, u64)>,
    /// When each place began last: an older entry of `begun` is of an earlier try.
    begun_ns: Vec<u64>,
    under_way: u32,
    under_way_max: u32,
    /// What came of it so far.
    pub report: ReturnReport,
}

impl Returns {
    /// For places up to `connections`, with at most so many under way. `seed` decides the waits.
    pub fn new(connections: u32, backoff: Backoff, under_way_max: u32, seed: u64) -> Returns {
        Returns {
            backoff,
            draw: ChaCha8Rng::seed_from_u64(seed),
            waiting: BinaryHeap::new(),
            tries: vec![0; connections as usize],
            begun: VecDeque::new(),
            begun_ns: vec![0; connections as usize],
            under_way: 0,
            under_way_max,
            report: ReturnReport::default(),
        }
    }

    /// The one at a place went, and comes back at once: those that leave in turn, one by one, need no jitter.
    pub fn went(&mut self, place: u32, now_ns: u64) {
        self.tries[place as usize] = 0;
        self.waiting.push(Reverse((now_ns, place)));
    }

    /// It went together with others, and waits before it comes back.
    pub fn went_with_others(&mut self, place: u32, now_ns: u64) {
        self.tries[place as usize] = 0;
        self.wait(place, now_ns);
    }

    /// Who is to begin at `now_ns`, if there is one, and whether that is its first try.
    pub fn next(&mut self, now_ns: u64) -> Option<(u32, bool)> {
        if self.under_way >= self.under_way_max {
            return None;
        }
        let Reverse((due_ns, place)) = *self.waiting.peek()?;
        if due_ns > now_ns {
            return None;
        }
        self.waiting.pop();
        self.under_way += 1;
        self.begun.push_back((place, now_ns));
        self.begun_ns[place as usize] = now_ns;
        let tries = &mut self.tries[place as usize];
        *tries = tries.saturating_add(1);
        self.report.tries += 1;
        self.report.tries_max = self.report.tries_max.max(*tries);
        Some((place, *tries == 1))
    }

    /// One under way that has taken too long: it is to be given up, and told as failed. `is_opening` tells whether the one at a
    /// place is still on its way.
    pub fn late(&mut self, now_ns: u64, is_opening: impl Fn(u32) -> bool) -> Option<u32> {
        let time_max_ns = HANDSHAKE_TIME_MAX.as_nanos() as u64;
        while let Some(&(place, begun_ns)) = self.begun.front() {
            let is_under_way = self.begun_ns[place as usize] == begun_ns && is_opening(place);
            if is_under_way && now_ns.saturating_sub(begun_ns) <= time_max_ns {
                return None;
            }
            self.begun.pop_front();
            if is_under_way {
                return Some(place);
            }
        }
        None
    }

    /// One under way is open.
    pub fn opened(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.report.back += 1;
    }

    /// The one at a place did not open, and will try again.
    pub fn failed(&mut self, place: u32, fault: &OpenFault, now_ns: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.report.note(&fault.to_string(), 1);
        self.wait(place, now_ns);
    }

    /// The one at a place was open, was closed before it had its stream, and will try again.
    pub fn closed(&mut self, place: u32, now_ns: u64) {
        self.report.note("closed before its stream began", 1);
        self.wait(place, now_ns);
    }

    /// Whether all are back.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    fn wait(&mut self, place: u32, now_ns: u64) {
        let doublings = self.tries[place as usize].min(32);
        let most_us = self
            .backoff
            .base_us
            .saturating_mul(1 << doublings)
            .min(self.backoff.cap_us);
        let drawn_us = (u128::from(self.draw.next_u64()) * u128::from(most_us)) >> 64;
        // Less than `most_us`.
        let wait_ns = (drawn_us as u64).saturating_mul(1000);
        self.waiting
            .push(Reverse((now_ns.saturating_add(wait_ns), place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const BACKOFF: Backoff = Backoff {
        base_us: 1_000_000,
        cap_us: 8_000_000,
    };

    fn returns(connections: u32, under_way_max: u32) -> Returns {
        Returns::new(connections, BACKOFF, under_way_max, 7)
    }

    fn refused() -> OpenFault {
        OpenFault::Connect(std::io::Error::from_raw_os_error(111))
    }

    #[test]
    fn those_who_went_together_come_back_spread_over_the_base() {
        let mut returns = returns(1000, 1000);
        (0..1000).for_each(|place| returns.went_with_others(place, 0));
        let mut come = 0;
        for tenth in 1..=10 {
            while returns.next(tenth * 100 * MS).is_some() {
                come += 1;
            }
            // A hundred a tenth; five standard deviations.
            assert!((tenth * 100).abs_diff(come) < 80, "{come} by {tenth}");
        }
        assert_eq!(come, 1000);
        (0..1000).for_each(|_| returns.opened());
        assert!(returns.is_over());
        assert_eq!(
            (
                returns.report.tries,
                returns.report.back,
                returns.report.tries_max
            ),
            (1000, 1000, 1)
        );
    }

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew() {
        let mut returns = returns(1, 1);
        returns.went(0, 5);
        assert_eq!(returns.next(4), None);
        assert_eq!(returns.next(5), Some((0, true)));
        for (attempt, longest_ms) in [(2, 2000), (3, 4000), (4, 8000), (5, 8000), (6, 8000)] {
            returns.failed(0, &refused(), 0);
            let Reverse((due_ns, _)) = *returns.waiting.peek().unwrap();
            assert!(due_ns < longest_ms * MS, "{due_ns}");
            assert_eq!(returns.next(due_ns), Some((0, false)));
            assert_eq!(returns.report.tries_max, attempt);
        }
        // By now it is in the longest.
        let mut longest = 0;
        for _ in 0..100 {
            returns.failed(0, &refused(), 0);
            let Reverse((due_ns, _)) = *returns.waiting.peek().unwrap();
            longest = longest.max(due_ns);
            returns.next(due_ns);
        }
        assert!((6000 * MS..8000 * MS).contains(&longest), "{longest}");
        returns.opened();
        returns.went(0, 9);
        assert_eq!(returns.next(9), Some((0, true)));
        assert_eq!(
            returns.report.failures,
            [("Connection refused (os error 111)".to_string(), 105)].into()
        );
    }

    #[test]
    fn no_more_are_under_way_than_may_be_and_late_ones_are_given_up() {
        let mut returns = returns(3, 2);
        (0..3).for_each(|place| returns.went(place, u64::from(place)));
        assert_eq!(returns.next(10).map(|(place, _)| place), Some(0));
        assert_eq!(returns.next(11).map(|(place, _)| place), Some(1));
        assert_eq!(returns.next(12), None);
        let time_max_ns = HANDSHAKE_TIME_MAX.as_nanos() as u64;
        assert_eq!(returns.late(10 + time_max_ns, |_| true), None);
        assert_eq!(returns.late(11 + time_max_ns, |_| true), Some(0));
        returns.failed(0, &OpenFault::Late(20), 11 + time_max_ns);
        assert_eq!(returns.next(12 + time_max_ns), Some((2, true)));
        returns.opened();
        // The place that failed is on its way again; its first try does not count for it.
        let again_ns = 20_000 * MS + 2 * time_max_ns;
        assert_eq!(returns.next(again_ns), Some((0, false)));
        assert_eq!(returns.late(again_ns, |place| place == 0), None);
        assert!(!returns.is_over());
    }

    #[test]
    fn reports_of_processes_add_up() {
        let mut one = ReturnReport {
            tries: 3,
            back: 2,
            tries_max: 2,
            ..ReturnReport::default()
        };
        one.note("a", 1);
        let mut other = ReturnReport {
            left_without: 4,
            tries_max: 5,
            ..ReturnReport::default()
        };
        (0..REASONS_MAX + 3).for_each(|n| other.note(&format!("reason {n}"), 1));
        assert_eq!(other.failures[OTHERS], 3);
        one.add(&other);
        assert_eq!(
            (one.tries, one.back, one.tries_max, one.left_without),
            (3, 2, 5, 4)
        );
        assert_eq!(one.failures.values().sum::<u64>(), 1 + REASONS_MAX as u64 + 3);
    }
}
