//! Latencies by the tenth of a second in which frames came: what a storm does to those who are there, and how soon it is over.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::counts::LATENCY_MAX_NS;

/// The length of a moment.
pub const MOMENT_NS: u64 = 100_000_000;

/// Moments that are kept, some minutes; what comes later is in none.
const MOMENTS_MAX: usize = 4000;

/// Significant digits of a moment's latencies: 1 %, in 26 KB.
const DIGITS: u8 = 2;

/// A tenth of a second in which frames came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When it began, milliseconds after the counting.
    pub at_ms: u64,
    /// Depth events that came in it, over all connections.
    pub events: u64,
    /// The least of their latencies, microseconds.
    pub least_us: u64,
    /// Half were at most this late.
    pub p50_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// All.
    pub max_us: u64,
}

/// The moments since a beginning.
#[derive(Debug)]
pub struct Moments {
    begun_ns: u64,
    done: Vec<Moment>,
    /// The number of the moment under way.
    number: u64,
    latency: Histogram<u64>,
}

impl Moments {
    /// None yet, of a counting that begins at `begun_ns`.
    pub fn new(begun_ns: u64) -> Moments {
        Moments {
            begun_ns,
            done: Vec::new(),
            number: 0,
            latency: Histogram::new_with_max(LATENCY_MAX_NS, DIGITS)
                .expect("the bounds are constants that are within its range"),
        }
    }

    /// A frame came at `received_ns`, so late. Times do not go back.
    pub fn record(&mut self, received_ns: u64, latency_ns: u64) {
        let number = received_ns.saturating_sub(self.begun_ns) / MOMENT_NS;
        if number != self.number {
            self.finish();
            self.number = number;
        }
        self.latency.saturating_record(latency_ns);
    }

    /// All of them, the one under way included; those in which nothing came are left out.
    pub fn all(&self) -> Vec<Moment> {
        let mut all = self.done.clone();
        all.extend(self.current());
        all
    }

    fn finish(&mut self) {
        if self.done.len() < MOMENTS_MAX {
            self.done.extend(self.current());
        }
        self.latency.reset();
    }

    fn current(&self) -> Option<Moment> {
        let us = |ns: u64| ns / 1000;
        (!self.latency.is_empty()).then(|| Moment {
            at_ms: self.number * (MOMENT_NS / 1_000_000),
            events: self.latency.len(),
            least_us: us(self.latency.min()),
            p50_us: us(self.latency.value_at_quantile(0.5)),
            p99_us: us(self.latency.value_at_quantile(0.99)),
            max_us: us(self.latency.max()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_in_the_tenth_of_a_second_in_which_it_came() {
        let begun_ns = 5_000_000_000;
        let mut moments = Moments::new(begun_ns);
        assert_eq!(moments.all(), []);
        for _ in 0..99 {
            moments.record(begun_ns + 1, 2_000_000);
        }
        moments.record(begun_ns + MOMENT_NS - 1, 90_000_000);
        moments.record(begun_ns + 3 * MOMENT_NS, 5_000_000);
        let all = moments.all();
        let times: Vec<_> = all.iter().map(|moment| (moment.at_ms, moment.events)).collect();
        assert_eq!(times, [(0, 100), (300, 1)]);
        let near = |us: u64, wanted: u64| us.abs_diff(wanted) <= wanted / 50;
        assert!(near(all[0].p50_us, 2000) && near(all[0].p99_us, 2000), "{all:?}");
        assert!(
            near(all[0].least_us, 2000) && near(all[0].max_us, 90_000),
            "{all:?}"
        );
        assert!(near(all[1].least_us, 5000), "nothing of the one before: {all:?}");
    }
}
