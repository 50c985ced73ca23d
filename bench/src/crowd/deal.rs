//! Which stream each connection of a crowd takes: all as often, or by Zipf's law, where the stream of rank k is taken by a share
//! in proportion to 1 / k^s, as subscribers spread over a market's symbols.
//!
//! It is an exact table and no draw (rand_distr has Zipf's): the stream has to follow from a connection's number alone, alike in
//! every process and each time that a connection comes back, and a stream should be taken as often as its share says, not about
//! so. Numbers are spread over the table by the golden ratio, so that any stretch of them has about the same mix.

/// 2^64 over the golden ratio: its multiples, modulo 2^64, are spread as evenly as any.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    streams: u32,
    /// Where the part of each stream ends, of 2^64; empty where all are taken alike.
    ends: Vec<u64>,
}

impl Deal {
    /// Of so many streams, at least one, by rank; an exponent of 0 gives each as many connections.
    pub fn new(streams: u32, exponent: f64) -> Deal {
        let streams = streams.max(1);
        if exponent == 0.0 {
            return Deal {
                streams,
                ends: Vec::new(),
            };
        }
        let shares: Vec<f64> = (1..=streams)
            .map(|rank| f64::from(rank).powf(-exponent))
            .collect();
        let sum: f64 = shares.iter().sum();
        let mut so_far = 0.0;
        let ends = shares.iter().map(|share| {
            so_far += share;
            // A cast from float saturates.
            (so_far / sum * 2f64.powi(64)) as u64
        });
        Deal {
            streams,
            ends: ends.collect(),
        }
    }

    /// The stream of connection `number`, from 0, the most wanted first.
    pub fn stream_of(&self, number: u32) -> u32 {
        if self.ends.is_empty() {
            return number % self.streams;
        }
        let at = u64::from(number).wrapping_mul(GOLDEN);
        // No more than there are streams.
        let place = self.ends.partition_point(|end| *end <= at) as u32;
        place.min(self.streams - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(deal: &Deal, numbers: std::ops::Range<u32>) -> Vec<u32> {
        let mut counts = vec![0; deal.streams as usize];
        for number in numbers {
            counts[deal.stream_of(number) as usize] += 1;
        }
        counts
    }

    #[test]
    fn the_stream_of_a_rank_has_its_share_by_zipfs_law() {
        for (streams, exponent, connections) in [(1000, 1.0, 240_000), (50, 0.7, 9_000), (10, 2.0, 5_000)] {
            let deal = Deal::new(streams, exponent);
            let sum: f64 = (1..=streams)
                .map(|rank| 1.0 / f64::from(rank).powf(exponent))
                .sum();
            for (place, count) in counts(&deal, 0..connections).into_iter().enumerate() {
                let share = 1.0 / (place as f64 + 1.0).powf(exponent) / sum;
                let expected = share * f64::from(connections);
                assert!(
                    (f64::from(count) - expected).abs() < 8.0,
                    "rank {} of {streams}: {count} where {expected} are due",
                    place + 1
                );
            }
        }
    }

    #[test]
    fn every_part_of_the_numbers_has_the_same_mix() {
        let deal = Deal::new(100, 1.0);
        for begin in [0, 18_000, 222_000] {
            let first = counts(&deal, begin..begin + 18_000)[0];
            // 18,000 / H(100).
            assert!((3465..3475).contains(&first), "{first} from {begin} on");
        }
    }

    #[test]
    fn without_an_exponent_all_are_taken_alike() {
        let deal = Deal::new(3, 0.0);
        assert_eq!(
            (0..7).map(|n| deal.stream_of(n)).collect::<Vec<_>>(),
            [0, 1, 2, 0, 1, 2, 0]
        );
        assert_eq!(Deal::new(0, 1.0).stream_of(u32::MAX), 0);
    }
}
