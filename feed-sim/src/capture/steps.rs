//! The smallest steps of prices and quantities, learned from those that events hold.

use depthcast_market::event::{Level, MarketEvent};

/// One number in this many may be finer than the step. Real books hold a few orders between the steps, likely placed
/// before the exchange made the step coarser: in the recorded BTCUSDT market of August 2024, three quantities of about
/// 130,000 are not multiples of its lot size. Below this many numbers every one counts.
const FINER_ONE_IN: u64 = 1_000;

/// The smallest steps that one symbol's events show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    prices: Zeros,
    quantities: Zeros,
}

impl Steps {
    /// Takes the numbers of an event into account.
    pub(super) fn note_event(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Depth(update) => self.note_levels(&[&update.bids, &update.asks]),
            MarketEvent::Snapshot(snapshot) => self.note_levels(&[&snapshot.bids, &snapshot.asks]),
            MarketEvent::BestBidAsk(best) => self.note_levels(&[&[best.bid, best.ask]]),
            MarketEvent::Trade(trade) => self.note(trade.price, trade.qty),
        }
    }

    fn note_levels(&mut self, sides: &[&[Level]]) {
        for level in sides.iter().copied().flatten() {
            self.note(level.price, level.qty);
        }
    }

    fn note(&mut self, price: i64, qty: i64) {
        self.prices.note(price);
        self.quantities.note(qty);
    }

    /// The tick size as a price mantissa.
    pub(super) fn tick_size(&self) -> i64 {
        self.prices.step()
    }

    /// The lot size as a quantity mantissa.
    pub(super) fn lot_size(&self) -> i64 {
        self.quantities.step()
    }
}

/// How many zeros a non-zero 64-bit number ends in at most, and one for none.
const ZEROS: usize = 19;

/// How many numbers ended in how many zeros. Steps are taken to be powers of ten: the greatest common divisor would
/// find others too, but for a symbol seen a few times it is chance, and a step too coarse makes clients refuse real
/// prices.
#[derive(Clone, Copy, Debug, Default)]
struct Zeros {
    numbers: [u64; ZEROS],
}

impl Zeros {
    fn note(&mut self, number: i64) {
        let mut rest = number.unsigned_abs();
        // Zero is a multiple of every step and tells nothing.
        if rest == 0 {
            return;
        }
        let mut zeros = 0;
        while rest.is_multiple_of(10) {
            rest /= 10;
            zeros += 1;
        }
        self.numbers[zeros] += 1;
    }

    /// The largest power of ten that divides all numbers but one in [`FINER_ONE_IN`]; 1 where there are none.
    fn step(&self) -> i64 {
        let finer_max = self.numbers.iter().sum::<u64>() / FINER_ONE_IN;
        let mut finer = 0;
        let mut step = 1;
        for &numbers in &self.numbers[..ZEROS - 1] {
            finer += numbers;
            if finer > finer_max {
                return step;
            }
            step *= 10;
        }
        if self.numbers[ZEROS - 1] > 0 { step } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_powers_of_ten_that_divide_everything() {
        let mut steps = Steps::default();
        assert_eq!((steps.tick_size(), steps.lot_size()), (1, 1));
        steps.note(6_173_763_000_000, 2_000_000);
        assert_eq!((steps.tick_size(), steps.lot_size()), (1_000_000, 1_000_000));
        steps.note(-6_173_700_000_000, 0);
        steps.note(0, 154_698_000);
        assert_eq!((steps.tick_size(), steps.lot_size()), (1_000_000, 1_000));
        steps.note(i64::MIN, i64::MAX);
        assert_eq!((steps.tick_size(), steps.lot_size()), (1, 1));
        let mut largest = Steps::default();
        largest.note(1_000_000_000_000_000_000, 1);
        assert_eq!(largest.tick_size(), 1_000_000_000_000_000_000);
    }

    #[test]
    fn a_rare_order_between_the_steps_does_not_make_them_finer() {
        let mut zeros = Zeros::default();
        for _ in 0..998 {
            zeros.note(5_000);
        }
        zeros.note(5_100);
        assert_eq!(zeros.step(), 100, "of 999 numbers every one counts");
        zeros.note(5_000);
        assert_eq!(zeros.step(), 1_000, "of 1,000 numbers one may be finer");
        zeros.note(5_010);
        assert_eq!(
            zeros.step(),
            100,
            "the second one makes the step finer, though not the finest"
        );
    }
}
