//! Random numbers of the shapes that order flow needs, in integers alone.
//!
//! The logarithms of platforms differ in their last bits, and one such bit would make another market. So what needs one
//! takes [`minus_log2`], which squares integers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What makes the streams of this use differ from those of any other use of the same seed.
const DOMAIN: [u8; 24] = *b"depthcast exchange flow\0";

/// Probabilities are given in parts of this.
pub(super) const WHOLE: u32 = 1024;

/// ln 2 in 32 fractional bits.
const LN_2: u128 = 2_977_044_472;

/// The stream of the exchange's own draws; those of its symbols are numbered from 0.
pub(super) const EXCHANGE_STREAM: u64 = u64::MAX;

/// A source of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    stream: ChaCha8Rng,
}

impl Draw {
    /// One of the independent streams of a seed.
    pub(super) fn new(seed: u64, stream: u64) -> Draw {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(&DOMAIN);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Draw { stream: generator }
    }

    /// Any 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number below `end`, which is above zero. The bias, below `end` in 2^64, does not show.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// True in so many of [`WHOLE`] cases.
    pub(super) fn chance(&mut self, parts: u32) -> bool {
        self.below(u64::from(WHOLE)) < u64::from(parts)
    }

    /// 0, 1, 2, … up to `end - 1`, each (1 - 2^-stay) times as likely as the one before. The mean is near 2^stay - 1.
    pub(super) fn geometric(&mut self, stay: u32, end: u32) -> u32 {
        let mut count = 0;
        while count + 1 < end && self.stream.next_u32() >> (32 - stay) != 0 {
            count += 1;
        }
        count
    }

    /// From `unit` up with a heavy tail: twice as much is half as likely, up to `unit << doublings_max` and its half again.
    pub(super) fn heavy_tailed(&mut self, unit: u64, doublings_max: u32) -> u64 {
        let doublings = self.bits().trailing_zeros().min(doublings_max);
        (unit << doublings) + self.below((unit << doublings).max(1))
    }

    /// Near zero, as often above as below, with a standard deviation of 4: the heads of 64 tosses beyond 32.
    pub(super) fn deviation(&mut self) -> i64 {
        i64::from(self.bits().count_ones()) - 32
    }

    /// The time to the next of events that come at random, `mean` apart on average, rounded to a whole number.
    pub(super) fn waiting(&mut self, mean: u64) -> u64 {
        let nats = u128::from(minus_log2(self.bits())) * LN_2;
        ((u128::from(mean) * nats + (1 << 63)) >> 64) as u64
    }
}

/// -log2(x / 2^64), in 32 fractional bits of which 18 or more are right; 64 for zero, which has none.
fn minus_log2(x: u64) -> u64 {
    let zeros = x.leading_zeros();
    if zeros == 64 {
        return 64 << 32;
    }
    // 1 <= mantissa < 2 with 31 fractional bits. Squaring doubles its logarithm, whose whole part is then the next bit.
    let mut mantissa = (x << zeros) >> 32;
    let mut fraction = 0;
    for bit in (12..32).rev() {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 != 0 {
            mantissa >>= 1;
            fraction |= 1 << bit;
        }
    }
    (u64::from(zeros + 1) << 32) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_follow_from_seed_and_number() {
        let first = |seed, stream| Draw::new(seed, stream).bits();
        assert_eq!(first(1, 0), first(1, 0));
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
        assert_ne!(first(1, 0), first(1, EXCHANGE_STREAM));
    }

    #[test]
    fn logarithms_are_right_to_the_promised_bits() {
        let mut draw = Draw::new(7, 0);
        for _ in 0..10_000 {
            let x = (draw.bits() >> draw.below(60)).max(1);
            let exact = 64.0 - (x as f64).log2();
            let got = minus_log2(x) as f64 / 4_294_967_296.0;
            assert!((got - exact).abs() < 4e-6, "{x}: {got} for {exact}");
        }
        assert_eq!(minus_log2(0), 64 << 32);
        assert_eq!(minus_log2(u64::MAX >> 1), (1 << 32) + (1 << 12));
    }

    #[test]
    fn waiting_is_exponential() {
        let mut draw = Draw::new(1, 0);
        let waits: Vec<u64> = (0..100_000).map(|_| draw.waiting(10_000)).collect();
        let mean = waits.iter().sum::<u64>() / 100_000;
        assert!((9_900..10_100).contains(&mean), "{mean}");
        // Of an exponential law, e^-1 = 36.8 % is longer than the mean and e^-3 = 5.0 % longer than thrice the mean.
        let longer = |than: u64| waits.iter().filter(|wait| **wait > than).count();
        assert!((36_300..37_300).contains(&longer(10_000)), "{}", longer(10_000));
        assert!((4_750..5_250).contains(&longer(30_000)), "{}", longer(30_000));
    }

    #[test]
    fn shapes_are_what_their_names_say() {
        let mut draw = Draw::new(3, 0);
        let mut below = [0; 7];
        let (mut geometric, mut heads, mut deviations, mut squares) = (0, 0, 0, 0);
        let mut big = 0;
        for _ in 0..64_000 {
            below[draw.below(7) as usize] += 1;
            geometric += draw.geometric(2, 1_000);
            heads += u32::from(draw.chance(WHOLE / 4));
            let deviation = draw.deviation();
            deviations += deviation;
            squares += deviation * deviation;
            let size = draw.heavy_tailed(10, 5);
            assert!((10..640).contains(&size), "{size}");
            big += u32::from(size >= 160);
        }
        assert!(
            below.iter().all(|count| (8_700..9_600).contains(count)),
            "{below:?}"
        );
        assert!((186_000..198_000).contains(&geometric), "{geometric}");
        assert!((15_500..16_500).contains(&heads), "{heads}");
        assert!(deviations.abs() < 3_000, "{deviations}");
        assert!((1_000_000..1_050_000).contains(&squares), "{squares}");
        assert!((3_700..4_300).contains(&big), "{big}");
        assert!((0..1_000).all(|_| draw.geometric(4, 3) < 3));
    }
}
