//! The pace of an exchange: its time against a clock, without reading either.

use std::time::Duration;

use super::Exchange;

/// How often a symbol's book changes are told, milliseconds: 0 is each.
pub const DEPTH_CADENCE_MS: u32 = 0;

/// Steps to take between two looks at the clock and at whether to stop.
pub const STEPS_PER_TURN: usize = 1024;

/// The shortest wait for a step: a busy exchange has one every few microseconds, and a thread that slept between each two
/// would do little else.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The longest: an order to stop and whoever joins are seen within this, and a quiet market still ticks on time.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// How far an exchange may be behind its clock before its pace is let slip, microseconds: after a pause of the host nobody
/// wants minutes of market at once.
pub const BEHIND_MAX_US: i64 = 1_000_000;

/// Which time of the exchange each reading of a clock is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The exchange's time when the clock reads zero, microseconds; earlier with each slip.
    origin_us: i64,
}

impl Pace {
    /// The exchange's present time is now, when the clock reads `clock_ns`.
    pub fn new(exchange: &Exchange, clock_ns: u64) -> Pace {
        Pace {
            origin_us: exchange.now_us() - micros(clock_ns),
        }
    }

    /// The exchange's time by the clock: steps up to it are due.
    pub fn now_us(&self, clock_ns: u64) -> i64 {
        self.origin_us + micros(clock_ns)
    }

    /// How long to sleep until the next step, when all that were due at `now_us` were taken.
    pub fn wait(exchange: &Exchange, now_us: i64) -> Duration {
        let wait_us = u64::try_from(exchange.next_us() - now_us).unwrap_or(0);
        Duration::from_micros(wait_us).clamp(WAIT_MIN, WAIT_MAX)
    }

    /// Lets the pace slip when the next step has been due for too long: it is due just now, then. Gives by how much,
    /// microseconds.
    pub fn slip(&mut self, exchange: &Exchange, clock_ns: u64) -> Option<i64> {
        let behind_us = self.now_us(clock_ns) - exchange.next_us();
        if behind_us <= BEHIND_MAX_US {
            return None;
        }
        self.origin_us -= behind_us;
        Some(behind_us)
    }
}

fn micros(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::super::SimOptions;
    use super::*;

    /// Steps up to the clock, as whoever paces an exchange does. Gives how many there were.
    fn run(exchange: &mut Exchange, pace: &mut Pace, clock_ns: u64) -> usize {
        pace.slip(exchange, clock_ns);
        let mut steps = 0;
        while exchange.next_us() <= pace.now_us(clock_ns) {
            exchange.step(&mut Vec::new());
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_pause_makes_no_burst_and_the_pace_goes_on() {
        let options = SimOptions {
            symbols: 2,
            rate: 10..=10,
            seed: 3,
        };
        let mut exchange = Exchange::new(&options);
        let mut clock_ns = 5_000_000_000;
        let mut pace = Pace::new(&exchange, clock_ns);
        assert_eq!(pace.now_us(clock_ns), exchange.now_us());
        let mut second = |exchange: &mut Exchange, pace: &mut Pace| {
            clock_ns += 1_000_000_000;
            run(exchange, pace, clock_ns)
        };
        let before: usize = (0..30).map(|_| second(&mut exchange, &mut pace)).sum();
        assert!(
            (450..750).contains(&before),
            "{before} steps in 30 s of 20 a second"
        );
        let paused = clock_ns + 30_000_000_000;
        assert!(pace.slip(&exchange, paused).is_some_and(|us| us > 28_000_000));
        assert_eq!(
            run(&mut exchange, &mut pace, paused),
            1,
            "only what is due just now"
        );
        let after: usize = (1..=30u64)
            .map(|s| run(&mut exchange, &mut pace, paused + s * 1_000_000_000))
            .sum();
        assert!(
            (450..750).contains(&after),
            "{after} steps in 30 s of 20 a second"
        );
    }
}
