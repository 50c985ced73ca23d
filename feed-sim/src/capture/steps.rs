//! The smallest steps of prices and quantities, learned from those that events hold.

use depthcast_market::event::{Level, MarketEvent};

/// The greatest common divisors of one symbol's price and quantity mantissas; zero where none was seen but zeros.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steps {
    price: u64,
    qty: u64,
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
        self.price = greatest_common_divisor(self.price, price.unsigned_abs());
        self.qty = greatest_common_divisor(self.qty, qty.unsigned_abs());
    }

    /// The tick size as a price mantissa: the largest power of ten in the divisor. The divisor itself would do for a
    /// busy symbol, but for one seen a few times it is chance, and a step too coarse makes clients refuse real prices.
    pub(super) fn tick_size(&self) -> i64 {
        power_of_ten_in(self.price)
    }

    /// The lot size as a quantity mantissa, found likewise.
    pub(super) fn lot_size(&self) -> i64 {
        power_of_ten_in(self.qty)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The largest power of ten that divides `number`; 1, the finest step, for zero.
fn power_of_ten_in(mut number: u64) -> i64 {
    let mut power = 1;
    while number != 0 && number.is_multiple_of(10) {
        number /= 10;
        // A u64 mantissa of an i64 holds at most 10^18, so this cannot overflow.
        power *= 10;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_powers_of_ten_that_divide_everything() {
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
}
