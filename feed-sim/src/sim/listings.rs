//! What a simulated exchange lists: names, precisions, first prices, and how busy each symbol is.

use std::ops::RangeInclusive;
use std::sync::Arc;

use depthcast_market::instrument::{Exponents, Instrument};

use super::draw::Draw;

/// The symbols that everybody knows: name, first price, tick size and lot size, all in units of 10^-8.
const WELL_KNOWN: [(&str, i64, i64, i64); 20] = [
    ("BTCUSDT", 4_228_358_000_000, 1_000_000, 1_000),
    ("ETHUSDT", 228_193_000_000, 1_000_000, 10_000),
    ("BNBUSDT", 31_220_000_000, 1_000_000, 100_000),
    ("SOLUSDT", 10_172_000_000, 1_000_000, 100_000),
    ("XRPUSDT", 61_530_000, 10_000, 100_000_000),
    ("ADAUSDT", 59_390_000, 10_000, 10_000_000),
    ("DOGEUSDT", 8_949_000, 1_000, 100_000_000),
    ("AVAXUSDT", 3_851_200_000, 100_000, 1_000_000),
    ("DOTUSDT", 819_100_000, 100_000, 1_000_000),
    ("LINKUSDT", 1_494_600_000, 100_000, 1_000_000),
    ("TRXUSDT", 10_765_000, 1_000, 10_000_000),
    ("MATICUSDT", 96_920_000, 10_000, 10_000_000),
    ("LTCUSDT", 7_269_000_000, 1_000_000, 100_000),
    ("BCHUSDT", 25_980_000_000, 1_000_000, 100_000),
    ("UNIUSDT", 731_400_000, 100_000, 1_000_000),
    ("ATOMUSDT", 1_058_700_000, 100_000, 1_000_000),
    ("ETCUSDT", 2_187_100_000, 100_000, 1_000_000),
    ("FILUSDT", 690_800_000, 100_000, 1_000_000),
    ("APTUSDT", 937_200_000, 100_000, 1_000_000),
    ("ARBUSDT", 155_410_000, 10_000, 10_000_000),
];

/// A symbol that the exchange lists.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Name, precision and filters.
    pub instrument: Arc<Instrument>,
    /// Book changes a second, on average.
    pub rate: u32,
}

/// A listing's name and scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) name: String,
    /// Price mantissa that trading begins around, a multiple of the tick size.
    pub(super) first_price: i64,
    /// Price mantissa.
    pub(super) tick_size: i64,
    /// Quantity mantissa.
    pub(super) lot_size: i64,
}

impl Terms {
    /// The terms of the listing in a place, drawn from its stream where it is none of the well known.
    pub(super) fn new(place: usize, draw: &mut Draw) -> Terms {
        if let Some(&(name, first_price, tick_size, lot_size)) = WELL_KNOWN.get(place) {
            return Terms {
                name: name.into(),
                first_price,
                tick_size,
                lot_size,
            };
        }
        // Four digits and a scale from 0.001 up to 9999: as many prices in each decade, and 10,000 to 99,990 ticks in each
        // price. A lot is worth 0.01 to 0.1.
        let digits = 1_000 + draw.below(9_000) as i64;
        let scale = 2 + draw.below(7) as u32;
        Terms {
            name: format!("S{:04}USDT", place + 1),
            first_price: digits * 10_i64.pow(scale),
            tick_size: 10_i64.pow(scale - 1),
            lot_size: 10_i64.pow(11 - scale),
        }
    }

    /// The listing with its rate.
    pub(super) fn listing(&self, rate: u32) -> Listing {
        let instrument = Instrument::new(&self.name, Exponents::default(), self.tick_size, self.lot_size)
            .expect("a name and steps that are right");
        Listing {
            instrument: Arc::new(instrument),
            rate,
        }
    }
}

/// The rate of the listing in a place: the first has the highest, the last the lowest, and from each to the next it falls by
/// the same ratio.
pub(super) fn rate(rates: &RangeInclusive<u32>, place: usize, listings: usize) -> u32 {
    const FRACTION_BITS: u32 = 16;
    let Some(steps) = listings.checked_sub(1).filter(|steps| *steps > 0) else {
        return *rates.end();
    };
    if place >= steps {
        return *rates.start();
    }
    // Bisects the range by geometric means, one binary digit of place / steps after the other.
    let way = ((place as u64) << FRACTION_BITS) / steps as u64;
    let (mut high, mut low) = (u128::from(*rates.end()) << 40, u128::from(*rates.start()) << 40);
    for bit in (0..FRACTION_BITS).rev() {
        let middle = (high * low).isqrt();
        if way >> bit & 1 == 1 {
            high = middle;
        } else {
            low = middle;
        }
    }
    ((high + (1 << 39)) >> 40) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::options::SYMBOLS;

    fn terms(place: usize) -> Terms {
        Terms::new(place, &mut Draw::new(1, place as u64))
    }

    #[test]
    fn names_go_on_past_the_well_known() {
        let names: Vec<String> = [0, 1, 19, 20, 21, 9_998, 9_999]
            .map(|place| terms(place).name)
            .into();
        assert_eq!(
            names,
            [
                "BTCUSDT",
                "ETHUSDT",
                "ARBUSDT",
                "S0021USDT",
                "S0022USDT",
                "S9999USDT",
                "S10000USDT"
            ]
        );
    }

    #[test]
    fn all_terms_are_plausible() {
        let mut names = std::collections::HashSet::new();
        for place in 0..*SYMBOLS.end() as usize {
            let terms = terms(place);
            assert!(names.insert(terms.name.clone()), "{} twice", terms.name);
            let listing = terms.listing(10);
            assert_eq!(listing.instrument.name(), terms.name);
            assert_eq!(terms.first_price % terms.tick_size, 0, "{}", terms.name);
            let ticks = terms.first_price / terms.tick_size;
            assert!(ticks >= 5_000, "{}: {ticks} ticks", terms.name);
            let price = terms.first_price;
            assert!((100_000..10_000_000_000_000).contains(&price), "{price}");
            // Worth of a lot in units of 10^-16.
            let lot_worth = i128::from(price) * i128::from(terms.lot_size);
            let range = 10_i128.pow(14) / 2..10_i128.pow(16);
            assert!(range.contains(&lot_worth), "{}: {lot_worth}", terms.name);
        }
    }

    #[test]
    fn rates_fall_evenly_from_the_highest_to_the_lowest() {
        let rates: Vec<u32> = (0..5).map(|place| rate(&(10..=100), place, 5)).collect();
        // 10^2, 10^1.75, 10^1.5, 10^1.25, 10^1.
        assert_eq!(rates, [100, 56, 32, 18, 10]);
        assert_eq!(rate(&(10..=100), 0, 1), 100);
        for place in 0..1_000 {
            assert_eq!(rate(&(50..=50), place, 1_000), 50);
        }
        for listings in [2, 3, 20, 10_000] {
            let rates: Vec<u32> = (0..listings)
                .map(|place| rate(&(1..=1_000), place, listings))
                .collect();
            assert_eq!((rates[0], rates[listings - 1]), (1_000, 1));
            assert!(rates.is_sorted_by(|a, b| a >= b));
        }
    }
}
