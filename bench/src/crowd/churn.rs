//! Who of a crowd leaves when, where some leave and come back all the time: so many a second, evenly, each in its turn.

/// The state of a churn, in terms of places: 0 up to the number of connections.
#[derive(Debug)]
pub struct Churn {
    connections: u32,
    /// Of a million connections, how many leave in a second.
    per_million: u32,
    /// When it begins and ends, ns.
    begun_ns: u64,
    until_ns: u64,
    /// How many turns there were.
    turns: u64,
    /// From one place to the next whose turn it is; it has no divisor in common with `connections`, so that each has its turn.
    stride: u32,
}

impl Churn {
    /// Of so many connections, at a share of a million a second, from one time to another.
    pub fn new(connections: u32, per_million: u32, (begun_ns, until_ns): (u64, u64)) -> Churn {
        // Somewhere in the middle, so that neighbours, who came one after the other, do not leave so.
        let middle = (f64::from(connections) * 0.618) as u32;
        let stride = (middle.max(1)..connections).find(|&stride| common_divisor(stride, connections) == 1);
        Churn {
            connections,
            per_million,
            begun_ns,
            until_ns,
            turns: 0,
            stride: stride.unwrap_or(1),
        }
    }

    /// The place whose turn it is at `now_ns`, if there is one, and how many turns there were before.
    pub fn next(&mut self, now_ns: u64) -> Option<(u32, u64)> {
        let passed_ns = now_ns.min(self.until_ns).saturating_sub(self.begun_ns);
        let due = u128::from(passed_ns) * u128::from(self.connections) * u128::from(self.per_million)
            / (1_000_000 * 1_000_000_000);
        if u128::from(self.turns) >= due || self.connections == 0 {
            return None;
        }
        let place = u128::from(self.turns) * u128::from(self.stride) % u128::from(self.connections);
        self.turns += 1;
        // Less than `connections`.
        Some((place as u32, self.turns - 1))
    }

    /// Whether nobody leaves any more.
    pub fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn so_many_leave_each_second_and_each_has_its_turn() {
        for connections in [1, 2, 10, 997, 18_000] {
            let mut churn = Churn::new(connections, 50_000, (SECOND, 21 * SECOND));
            assert_eq!(churn.next(SECOND), None);
            let mut all = BTreeSet::new();
            for second in 1..=20 {
                let left: Vec<u32> =
                    std::iter::from_fn(|| churn.next((second + 1) * SECOND).map(|(place, _)| place))
                        .collect();
                let due = |second: u64| second * u64::from(connections) / 20;
                assert_eq!(left.len() as u64, due(second) - due(second - 1), "{connections}");
                all.extend(left);
            }
            assert_eq!(all.len() as u32, connections, "5 % a second, 20 s");
            assert_eq!(churn.next(99 * SECOND), None, "it has ended");
            assert!(churn.is_over(21 * SECOND) && !churn.is_over(20 * SECOND));
        }
    }
}
