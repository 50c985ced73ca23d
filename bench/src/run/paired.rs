//! Two servers in turn, A B B A, and the median of their paired ratios with its interval.

use serde::Serialize;

/// A median with the interval that covers the true one with at least 95 % (or as near to it as so few values allow), by
/// order statistics: no distribution is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    /// The median.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The probability with which the interval covers the true median.
    pub coverage: f64,
    /// How many values.
    pub count: usize,
}

impl Median {
    /// Of these values; None when there is none, or one that is no number.
    pub fn of(values: &[f64]) -> Option<Median> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let middle = count / 2;
        let median = if count % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        // The narrowest pair of order statistics that covers enough; the outermost when none does.
        let mut left_out = 0;
        while 2 * (left_out + 1) < count && coverage(count, left_out + 1) >= 0.95 {
            left_out += 1;
        }
        Some(Median {
            median,
            low: sorted[left_out],
            high: sorted[count - 1 - left_out],
            coverage: coverage(count, left_out),
            count,
        })
    }
}

/// The probability that the true median lies between the values that are left when `left_out` are taken away at each end.
fn coverage(count: usize, left_out: usize) -> f64 {
    // The number of values below the median is binomial with probability one half.
    let mut choose = 1.0;
    let mut tail = 0.0;
    for k in 0..=left_out {
        tail += choose;
        choose *= (count - k) as f64 / (k + 1) as f64;
    }
    1.0 - 2.0 * tail / 2f64.powi(count as i32)
}

/// Whether run number `n` is of A, when `pairs` of runs go A B, B A, A B, ...
pub fn is_first(n: usize) -> bool {
    matches!(n % 4, 0 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_values_give_their_middle_and_their_ends() {
        let median = Median::of(&[1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 5.0]).unwrap();
        assert_eq!(
            (median.median, median.low, median.high, median.count),
            (5.0, 1.0, 9.0, 7)
        );
        // 1 - 2 / 2^7
        assert!((median.coverage - 0.984_375).abs() < 1e-12);
    }

    #[test]
    fn more_values_narrow_the_interval() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let median = Median::of(&values).unwrap();
        // The 4th and the 12th of 15 cover 96.5 %, the 5th and the 11th only 88.2 %.
        assert_eq!((median.median, median.low, median.high), (8.0, 4.0, 12.0));
        assert!((median.coverage - 0.9648).abs() < 1e-4);
        assert_eq!(Median::of(&[1.0, 3.0]).unwrap().median, 2.0);
        assert_eq!(Median::of(&[]), None);
        assert_eq!(Median::of(&[f64::NAN]), None);
    }

    #[test]
    fn runs_go_a_b_b_a() {
        let order: String = (0..8).map(|n| if is_first(n) { 'A' } else { 'B' }).collect();
        assert_eq!(order, "ABBAABBA");
    }
}
