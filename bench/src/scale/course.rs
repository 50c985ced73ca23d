//! How the engine's memory went over a time, by the second: its trend as a line of least squares, and how far it swung.

use serde::Serialize;

/// Of the time, so much at its beginning is left out: tables and the memory of handshakes grow to their size in it.
const BEGIN_SHARE: f64 = 0.2;

/// By how much the trend may grow over the whole time and memory still counts as flat: a share of what it was.
pub const GROWN_SHARE_MAX: f64 = 0.02;

/// The same where that is more, bytes: pages that an allocator takes and keeps.
pub const GROWN_BYTES_MAX: f64 = 1e6;

/// Points that are kept: more than an hour of one a second. Past it the newest are not.
const POINTS_MAX: usize = 4_000;

/// Memory at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Since the beginning, seconds.
    pub at_s: f64,
    /// Bytes.
    pub bytes: f64,
}

/// The course, in the order of its times.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryCourse(Vec<Point>);

/// Where a course went, its first fifth left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The line's slope, bytes a second.
    pub bytes_per_s: f64,
    /// The most less the least, bytes.
    pub swing_bytes: f64,
    /// What there was at its beginning, bytes.
    pub first_bytes: f64,
    /// Its length, seconds.
    pub seconds: f64,
}

impl MemoryCourse {
    /// Keeps another point.
    pub fn push(&mut self, at_s: f64, bytes: u64) {
        if self.0.len() < POINTS_MAX {
            self.0.push(Point {
                at_s,
                bytes: bytes as f64,
            });
        }
    }

    /// The most there was, bytes.
    pub fn most(&self) -> f64 {
        self.0.iter().map(|point| point.bytes).fold(0.0, f64::max)
    }

    /// All points.
    pub fn points(&self) -> &[Point] {
        &self.0
    }

    /// Its trend; None where there are fewer than three points behind its first fifth.
    pub fn trend(&self) -> Option<Trend> {
        let end_s = self.0.last()?.at_s;
        let from = self.0.partition_point(|point| point.at_s < end_s * BEGIN_SHARE);
        let points = &self.0[from..];
        if points.len() < 3 {
            return None;
        }
        let count = points.len() as f64;
        let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_s, mean_bytes) = (mean(|point| point.at_s), mean(|point| point.bytes));
        let (mut above, mut below) = (0.0, 0.0);
        for point in points {
            let (s, bytes) = (point.at_s - mean_s, point.bytes - mean_bytes);
            above += s * bytes;
            below += s * s;
        }
        let most = points.iter().map(|point| point.bytes).fold(f64::MIN, f64::max);
        let least = points.iter().map(|point| point.bytes).fold(f64::MAX, f64::min);
        (below > 0.0).then(|| Trend {
            bytes_per_s: above / below,
            swing_bytes: most - least,
            first_bytes: points[0].bytes,
            seconds: end_s - points[0].at_s,
        })
    }
}

impl Trend {
    /// By how much it grew over its whole time, bytes.
    pub fn grown_bytes(&self) -> f64 {
        self.bytes_per_s * self.seconds
    }

    /// Whether that is nothing to speak of.
    pub fn is_flat(&self) -> bool {
        self.grown_bytes() <= (self.first_bytes * GROWN_SHARE_MAX).max(GROWN_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(bytes: impl Fn(f64) -> f64) -> MemoryCourse {
        let mut course = MemoryCourse::default();
        (0..=100).for_each(|second| course.push(f64::from(second), bytes(f64::from(second)) as u64));
        course
    }

    #[test]
    fn a_leak_is_seen_under_what_swings() {
        let swing = |second: f64| if second % 2.0 == 0.0 { 3e6 } else { 0.0 };
        let flat = course(|second| 50e6 + swing(second)).trend().unwrap();
        assert!(flat.bytes_per_s.abs() < 2e3 && flat.is_flat(), "{flat:?}");
        assert_eq!((flat.swing_bytes, flat.seconds), (3e6, 80.0));
        let leaking = course(|second| 50e6 + swing(second) + 20e3 * second)
            .trend()
            .unwrap();
        assert!(
            (leaking.bytes_per_s - 20e3).abs() < 2e3 && !leaking.is_flat(),
            "{leaking:?}"
        );
        // 2 % of much memory is more than a megabyte.
        assert!(course(|second| 500e6 + 20e3 * second).trend().unwrap().is_flat());
        assert!(
            course(|second| 500e6 - 900e3 * second).trend().unwrap().is_flat(),
            "it shrinks"
        );
    }

    #[test]
    fn the_beginning_is_left_out() {
        let settling = course(|second| if second < 20.0 { 10e6 } else { 90e6 });
        assert_eq!(settling.trend().unwrap().swing_bytes, 0.0);
        assert_eq!(settling.most(), 90e6);
        assert_eq!(MemoryCourse::default().trend(), None);
    }
}
