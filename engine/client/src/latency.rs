//! How old events are when they arrive: receive time against the feed's event time E.
//!
//! The two clocks need not agree. A replay of an old day is years behind, and a host whose clock is slow seems to
//! receive events before they happen. So what is collected are ages above that of the *fastest* event; where the
//! fastest age is plausible by itself, it is added again in the report, and where it is not, the report says so.
//! A replay at another speed than the recorded one has no latency at all: its clock runs away from this host's.

use std::fmt;

use hdrhistogram::Histogram;

/// The oldest that the fastest event can be for the two clocks to count as one: subscribers take a market for stale
/// when nothing has come for that long.
pub const FASTEST_AGE_US_MAX: i64 = 10_000_000;

/// Ages above this (an hour over the fastest) are counted as this: it bounds the memory of the histogram.
const AGE_US_MAX: u64 = 3_600_000_000;

/// How far the feed's clock must have run away before its pace is judged, microseconds: a hiccup of less than that is
/// a latency.
const RUNAWAY_US_MIN: u64 = 1_000_000;

/// The event time that may pass in a second of this host, for the two clocks to run at one pace.
const PACE_RANGE: std::ops::RangeInclusive<f64> = 0.75..=1.25;

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
    /// The first event and the last; meaningless before the first event.
    first: Times,
    last: Times,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    event_time_us: i64,
    received_us: i64,
}

/// Why there are no figures.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoLatency {
    /// Nothing was measured.
    #[error("no event has been measured")]
    NoEvents,
    /// The feed's clock is another one and does not run as this host's does.
    #[error(
        "not measurable: the feed's clock runs at {pace:.1} times the pace of this host's, as in a fast replay"
    )]
    OtherPace {
        /// Seconds of the feed in a second of this host.
        pace: f64,
    },
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
            first: Times::default(),
            last: Times::default(),
        }
    }

    /// Notes an event; both times are microseconds since the Unix epoch.
    pub fn record(&mut self, event_time_us: i64, received_us: i64) {
        let age_us = received_us.saturating_sub(event_time_us);
        self.last = Times {
            event_time_us,
            received_us,
        };
        if self.ages.is_empty() {
            self.first = self.last;
            self.fastest_us = age_us;
            self.slowest_us = age_us;
        } else if age_us < self.fastest_us {
            self.move_fastest(age_us);
        }
        self.slowest_us = self.slowest_us.max(age_us);
        self.ages.saturating_record(above(age_us, self.fastest_us));
    }

    /// A new connection: a feed that began anew in between has another difference of clocks, so where they are apart
    /// the measuring begins anew too.
    pub fn on_reconnect(&mut self) {
        if !self.is_clock_shared() {
            *self = LatencyMeter::new();
        }
    }

    /// The figures so far.
    pub fn report(&self) -> Result<LatencyReport, NoLatency> {
        if self.ages.is_empty() {
            return Err(NoLatency::NoEvents);
        }
        let (added_us, basis) = if self.is_clock_shared() {
            (self.fastest_us.unsigned_abs(), Basis::EventTime)
        } else {
            self.check_pace()?;
            let clock_behind_us = self.fastest_us;
            (0, Basis::FastestEvent { clock_behind_us })
        };
        let slowest_us = above(self.slowest_us, self.fastest_us);
        let quantile = |fraction| self.ages.value_at_quantile(fraction).min(slowest_us);
        Ok(LatencyReport {
            events: self.ages.len(),
            p50_us: quantile(0.5).saturating_add(added_us),
            p99_us: quantile(0.99).saturating_add(added_us),
            max_us: slowest_us.saturating_add(added_us),
            basis,
        })
    }

    /// Whether the feed's clock and this host's can be taken for one.
    fn is_clock_shared(&self) -> bool {
        (0..=FASTEST_AGE_US_MAX).contains(&self.fastest_us)
    }

    fn check_pace(&self) -> Result<(), NoLatency> {
        let span_us = self.last.received_us.saturating_sub(self.first.received_us);
        let event_span_us = self.last.event_time_us.saturating_sub(self.first.event_time_us);
        let pace = event_span_us as f64 / span_us as f64;
        if event_span_us.abs_diff(span_us) < RUNAWAY_US_MIN || PACE_RANGE.contains(&pace) {
            Ok(())
        } else {
            Err(NoLatency::OtherPace { pace })
        }
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
        assert_eq!(LatencyMeter::new().report(), Err(NoLatency::NoEvents));
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
    fn a_fast_replay_has_no_latency() {
        let replay = |speed: i64, seconds: i64| {
            let mut meter = LatencyMeter::new();
            for n in 0..seconds * 10 {
                meter.record(n * 100_000 * speed, 836 * DAY_US + n * 100_000 + n % 3);
            }
            meter
        };
        assert_eq!(replay(1, 60).report().unwrap().max_us, 2);
        let none = replay(60, 60).report().unwrap_err();
        assert_eq!(
            none.to_string(),
            "not measurable: the feed's clock runs at 60.0 times the pace of this host's, as in a fast replay"
        );
        assert!(replay(2, 1).report().is_ok(), "too early to tell");
        let mut meter = replay(1, 1);
        meter.on_reconnect();
        assert_eq!(meter.report(), Err(NoLatency::NoEvents));
        let mut meter = LatencyMeter::new();
        meter.record(0, 500);
        meter.on_reconnect();
        assert_eq!(meter.report().unwrap().max_us, 500, "one clock: it goes on");
    }

    #[test]
    fn any_times_are_taken() {
        let mut meter = LatencyMeter::new();
        for (event_time_us, received_us) in
            [(0, 0), (i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (5, i64::MAX)]
        {
            meter.record(event_time_us, received_us);
        }
        assert!(matches!(meter.report(), Err(NoLatency::OtherPace { .. })));
    }
}
