//! What an engine says of itself all the time (`serve --stats`): how many of its connections are blocked, how many it has
//! given up. No count from outside tells when a server found a socket full.

use std::sync::{Arc, Mutex, PoisonError};

/// What the line begins with.
const MARK: &str = "stats: ";

/// Samples that are kept: hours of ten a second. Past it the newest are not kept.
const SAMPLES_MAX: usize = 200_000;

/// An engine's counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsSample {
    /// When its line was read, CLOCK_MONOTONIC, ns: a little later than the engine looked.
    pub taken_ns: u64,
    /// Connections that it has.
    pub connections: u64,
    /// Those whose socket was full and that have not caught up since.
    pub blocked: u64,
    /// How often connections were conflated, ever.
    pub conflated: u64,
    /// Connections that it gave up as slow consumers, ever: each is reset a second later at most.
    pub evicted: u64,
    /// Those who did not get a connection, ever.
    pub refused: u64,
}

impl StatsSample {
    /// A line as `stats: 12 connections (10 subscribed), 41.5 updates/s, ..., 1 blocked, 7 conflated, 3 evicted, 0 refused`;
    /// None for any other.
    pub fn parse(line: &str, taken_ns: u64) -> Option<StatsSample> {
        let line = line.strip_prefix(MARK)?;
        let count = |name: &str| {
            line.split(", ").find_map(|part| {
                let (number, what) = part.split_once(' ')?;
                (what.split(' ').next()? == name).then(|| number.parse().ok())?
            })
        };
        Some(StatsSample {
            taken_ns,
            connections: count("connections")?,
            blocked: count("blocked")?,
            conflated: count("conflated")?,
            evicted: count("evicted")?,
            refused: count("refused")?,
        })
    }
}

/// The samples of an engine, as they come; clones share them.
#[derive(Clone, Debug, Default)]
pub struct StatsSeries(Arc<Mutex<Vec<StatsSample>>>);

impl StatsSeries {
    /// Keeps another.
    pub fn push(&self, sample: StatsSample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < SAMPLES_MAX {
            samples.push(sample);
        }
    }

    /// The newest.
    pub fn last(&self) -> Option<StatsSample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.last().copied()
    }

    /// All, in their order.
    pub fn all(&self) -> Vec<StatsSample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_line_is_read_and_no_other() {
        // As the engine's own test of its line has it.
        let line = "stats: 12 connections (10 subscribed), 41.5 updates/s, 1.2k deliveries/s, 3.4 MB/s, \
                    1 blocked, 7 conflated (5 lag, 2 bytes), 3 evicted (2 lag, 1 often), 6 refused, 5 feed gaps";
        let expected = StatsSample {
            taken_ns: 5,
            connections: 12,
            blocked: 1,
            conflated: 7,
            evicted: 3,
            refused: 6,
        };
        assert_eq!(StatsSample::parse(line, 5), Some(expected));
        for other in [
            "",
            "stats: 12 connections",
            "depthcast serves on 127.0.0.1:9",
            &line[1..],
        ] {
            assert_eq!(StatsSample::parse(other, 5), None, "{other}");
        }
        let series = StatsSeries::default();
        series.clone().push(expected);
        assert_eq!((series.last(), series.all().len()), (Some(expected), 1));
    }
}
