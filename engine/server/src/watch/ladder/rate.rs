//! Events a second over the last few seconds; takes the time as an argument.

use std::time::{Duration, Instant};

/// The width of one bucket.
const BUCKET_MS: u64 = 250;

/// How many buckets are looked at: five seconds, so that ten updates a second read as ten.
const BUCKETS: usize = 20;

/// Counts what happens.
#[derive(Clone, Debug)]
pub(super) struct RateMeter {
    start: Instant,
    /// The count of bucket n stands at n modulo their number.
    counts: [u64; BUCKETS],
    /// The bucket that is counted in.
    newest: u64,
}

impl RateMeter {
    pub(super) fn new(now: Instant) -> RateMeter {
        RateMeter {
            start: now,
            counts: [0; BUCKETS],
            newest: 0,
        }
    }

    pub(super) fn note(&mut self, now: Instant) {
        self.advance(now);
        self.counts[self.newest as usize % BUCKETS] += 1;
    }

    /// Tenths of an event a second.
    pub(super) fn tenths_per_second(&mut self, now: Instant) -> u64 {
        let elapsed_ms = self.advance(now);
        let window_start_ms = (self.newest + 1).saturating_sub(BUCKETS as u64) * BUCKET_MS;
        // Before a whole bucket has passed a rate would be a guess.
        let span_ms = (elapsed_ms - window_start_ms).max(BUCKET_MS);
        let events: u64 = self.counts.iter().sum();
        events.saturating_mul(10_000).div_ceil(span_ms)
    }

    /// Empties the buckets that have become too old; gives the milliseconds since the start.
    fn advance(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX / 2);
        let newest = (elapsed_ms / BUCKET_MS).max(self.newest);
        for bucket in (self.newest + 1..=newest).take(BUCKETS) {
            self.counts[bucket as usize % BUCKETS] = 0;
        }
        self.newest = newest;
        elapsed_ms.max(newest * BUCKET_MS)
    }
}

/// Tenths of a second in `duration`, rounded down.
pub(super) fn tenths(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis() / 100).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_and_forgotten() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = RateMeter::new(start);
        assert_eq!(meter.tenths_per_second(start), 0);
        for ms in (0..20_000).step_by(100) {
            meter.note(at(ms));
            if ms >= 1_000 {
                let rate = meter.tenths_per_second(at(ms + 50));
                assert!((99..=110).contains(&rate), "{rate} tenths at {ms} ms");
            }
        }
        assert!(meter.tenths_per_second(at(22_500)) < 60);
        assert_eq!(meter.tenths_per_second(at(25_500)), 0);
        assert_eq!(meter.tenths_per_second(at(1_000_000_000)), 0);
        meter.note(at(1_000_000_100));
        assert!(meter.tenths_per_second(at(1_000_000_200)) > 0);
        // A clock that stands still or goes back is no reason to panic.
        meter.note(at(5));
        assert!(meter.tenths_per_second(at(0)) > 0);
    }
}
