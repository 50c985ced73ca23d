//! How old events are when they arrive: receive time against the feed's event time E.
//!
//! The two clocks need not agree. A replay of an old day is years behind, and a host whose clock is slow seems to
//! receive events before they happen. So what is collected are ages above that of the *fastest* event; where the
//! fastest age is plausible by itself, it is added again in the report, and where it is not, the report says so.

use std::fmt;

use hdrhistogram::Histogram;

/// The oldest that the fastest event can be for the two clocks to count as one: subscribers take a market for stale
/// when nothing has come for that long.
pub const FASTEST_AGE_US_MAX: i64 = 10_000_000;

/// Ages above this (an hour over the fastest) are counted as this: it bounds the memory of the histogram.
const AGE_US_MAX: u64 = 3_600_000_000;

/// Digits that the percentiles keep.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Collects ages.
#[derive(Clone, Debug)]
pub struct LatencyMeter {
    /// Ages above `fastest_us`, microseconds.
    ages: Histogram<u64>,
    /// The smallest difference of receive time and event time so far; meaningless before the first event.
    fastest_us: i64,
    /// The largest difference, kept beside the histogram because that rounds; meaningless before the first event.
    slowest_us: i64,
}

/// What the ages in a report are measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// From the event time E.
    EventTime,
    /// From the fastest event: the feed's clock and this host's are too far apart.
    FastestEvent {
        /// How far the feed's clock is behind this host's; negative where it is ahead. Microseconds, the fastest
        /// event's latency included.
        clock_behind_us: i64,
    },
}

/// Ages, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyReport {
    /// How many events were measured.
    pub events: u64,
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The largest.
    pub max_us: u64,
    /// What they are measured from.
    pub basis: Basis,
}

impl Default for LatencyMeter {
    fn default() -> Self {
        LatencyMeter::new()
    }
}

impl LatencyMeter {
    /// A meter that has seen nothing.
    pub fn new() -> LatencyMeter {
        LatencyMeter {
            ages: new_histogram(),
            fastest_us: 0,
            slowest_us: 0,
        }
    }

    /// Notes an event; both times are microseconds since the Unix epoch.
    pub fn record(&mut self, event_time_us: i64, received_us: i64) {
        let age_us = received_us.saturating_sub(event_time_us);
        if self.ages.is_empty() {
            self.fastest_us = age_us;
            self.slowest_us = age_us;
        } else if age_us < self.fastest_us {
            self.move_fastest(age_us);
        }
        self.slowest_us = self.slowest_us.max(age_us);
        self.ages.saturating_record(above(age_us, self.fastest_us));
    }

    /// The figures so far; `None` before the first event.
    pub fn report(&self) -> Option<LatencyReport> {
        if self.ages.is_empty() {
            return None;
        }
        let (added_us, basis) = if (0..=FASTEST_AGE_US_MAX).contains(&self.fastest_us) {
            (self.fastest_us.unsigned_abs(), Basis::EventTime)
        } else {
            let clock_behind_us = self.fastest_us;
            (0, Basis::FastestEvent { clock_behind_us })
        };
        let slowest_us = above(self.slowest_us, self.fastest_us);
        let quantile = |fraction| self.ages.value_at_quantile(fraction).min(slowest_us);
        Some(LatencyReport {
            events: self.ages.len(),
            p50_us: quantile(0.5).saturating_add(added_us),
            p99_us: quantile(0.99).saturating_add(added_us),
            max_us: slowest_us.saturating_add(added_us),
            basis,
        })
    }

    /// A faster event came: all ages so far were further above it. New minima become rare, and the histogram's
    /// buckets are few, so rebuilding is cheap.
    fn move_fastest(&mut self, fastest_us: i64) {
        let further_us = above(self.fastest_us, fastest_us);
        let mut ages = new_histogram();
        for bucket in self.ages.iter_recorded() {
            let age_us = bucket.value_iterated_to().saturating_add(further_us);
            ages.saturating_record_n(age_us, bucket.count_at_value());
        }
        self.ages = ages;
        self.fastest_us = fastest_us;
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, AGE_US_MAX, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants, in the order and distance that a histogram needs")
}

fn above(age_us: i64, fastest_us: i64) -> u64 {
    u64::try_from(age_us.saturating_sub(fastest_us)).unwrap_or(0)
}

impl fmt::Display for Basis {
    /// `against E`, or a sentence in brackets such as `(relative to the fastest event: the feed's clock is 836 days
    /// behind this host's)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Basis::EventTime => f.write_str("(receive time against the event time E)"),
            Basis::FastestEvent { clock_behind_us } => {
                let side = if clock_behind_us < 0 { "ahead of" } else { "behind" };
                write!(f, "(relative to the fastest event: the feed's clock is ")?;
                write_span(f, clock_behind_us.unsigned_abs())?;
                write!(f, " {side} this host's)")
            }
        }
    }
}

/// A span in its largest unit that gives at least two of it.
fn write_span(f: &mut fmt::Formatter<'_>, us: u64) -> fmt::Result {
    const UNITS: [(u64, &str); 5] = [
        (86_400_000_000, "days"),
        (3_600_000_000, "hours"),
        (60_000_000, "minutes"),
        (1_000_000, "seconds"),
        (1000, "ms"),
    ];
    match UNITS.into_iter().find(|(unit_us, _)| us >= 2 * unit_us) {
        Some((unit_us, name)) => write!(f, "{} {name}", us / unit_us),
        None => write!(f, "{us} us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400_000_000;

    fn report(ages_us: impl IntoIterator<Item = i64>) -> LatencyReport {
        let mut meter = LatencyMeter::new();
        for age_us in ages_us {
            meter.record(1_000, 1_000 + age_us);
        }
        meter.report().unwrap()
    }

    #[test]
    fn plausible_ages_are_absolute() {
        assert_eq!(LatencyMeter::new().report(), None);
        let ages = report((1..=100).rev().map(|n| n * 10));
        assert_eq!(
            ages,
            LatencyReport {
                events: 100,
                p50_us: 500,
                p99_us: 990,
                max_us: 1000,
                basis: Basis::EventTime
            }
        );
    }

    #[test]
    fn an_old_day_is_measured_from_its_fastest_event() {
        let ages = report([300, 100, 900].map(|n| n + 836 * DAY_US));
        assert_eq!((ages.p50_us, ages.max_us), (200, 800));
        assert_eq!(
            ages.basis.to_string(),
            "(relative to the fastest event: the feed's clock is 836 days behind this host's)"
        );
    }

    #[test]
    fn an_event_from_the_future_is_not_of_this_clock() {
        let ages = report([-4_000, -3_000]);
        assert_eq!(ages.max_us, 1000);
        assert_eq!(
            ages.basis.to_string(),
            "(relative to the fastest event: the feed's clock is 4 ms ahead of this host's)"
        );
        assert_eq!(report([-4_000, 0]).max_us, 4000);
    }

    #[test]
    fn any_times_are_taken() {
        let mut meter = LatencyMeter::new();
        for (event_time_us, received_us) in
            [(0, i64::MAX), (i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (5, 5)]
        {
            meter.record(event_time_us, received_us);
        }
        assert_eq!(meter.report().unwrap().events, 4);
    }
}
