//! How long to wait before the next try: exponential backoff with full jitter.
//!
//! Full jitter means any delay from zero to the present bound is as likely as another, so that subscribers which a
//! server lost at the same moment do not come back at the same moment.

use std::time::Duration;

/// Doublings after which the bound no longer grows, whatever the cap: 2^16 times any base is past every useful cap.
const DOUBLINGS_MAX: u32 = 16;

/// The state of one series of tries.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    /// Delays given since the last success.
    tries: u32,
}

impl Backoff {
    /// A series whose first delay is at most `base` and none over `cap`.
    pub fn new(base: Duration, cap: Duration) -> Backoff {
        Backoff { base, cap, tries: 0 }
    }

    /// The next delay.
    pub fn next_delay(&mut self) -> Duration {
        self.delay_at(rand::random::<f64>())
    }

    /// The next delay, at `fraction` (0 to 1) of its bound.
    fn delay_at(&mut self, fraction: f64) -> Duration {
        let bound = self
            .base
            .saturating_mul(1 << self.tries.min(DOUBLINGS_MAX))
            .min(self.cap);
        self.tries = self.tries.saturating_add(1);
        bound.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// How many delays have been given since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// A try has succeeded: the next series starts at the base.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let bounds: Vec<u128> = (0..8).map(|_| backoff.delay_at(1.0).as_millis()).collect();
        assert_eq!(bounds, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(backoff.delay_at(0.5).as_millis(), 5000);
        assert_eq!(backoff.delay_at(0.0).as_millis(), 0);
        backoff.reset();
        assert_eq!(backoff.delay_at(1.0).as_millis(), 250);
    }

    #[test]
    fn any_number_of_tries_stays_under_the_cap_and_spreads() {
        let cap = Duration::from_millis(100);
        let mut backoff = Backoff::new(Duration::from_millis(100), cap);
        let delays: Vec<Duration> = (0..1000).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().all(|&delay| delay <= cap));
        let early = delays.iter().filter(|&&delay| delay < cap / 2).count();
        assert!((350..650).contains(&early), "{early} of 1000 in the first half");
    }
}
