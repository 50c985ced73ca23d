//! A symbol with its precision and filters: what turns the integers of a book into prices.

use crate::decimal::{Decimal, write_mantissa};
use crate::wide;

/// The longest symbol name, as the exchange bounds it (`^[A-Z0-9-_.]{1,20}$`).
pub const SYMBOL_LEN_MAX: usize = 20;

/// How many decimals the exchange prints: the exponents of an instrument's prices and quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exponents {
    /// Power of ten that a price mantissa is multiplied by, usually -8.
    pub price: i8,
    /// Power of ten that a quantity mantissa is multiplied by, usually -8.
    pub qty: i8,
}

impl Default for Exponents {
    /// Eight decimals each, as Binance Spot prints.
    fn default() -> Self {
        Exponents { price: -8, qty: -8 }
    }
}

/// Why a symbol or its filters were refused. The fault is the feed's or the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// The name is empty, too long, or has a character outside `A-Z 0-9 - _ .`.
    #[error("symbol name {0:?} must be 1 to {SYMBOL_LEN_MAX} of A-Z, 0-9, '-', '_' and '.'")]
    Name(String),
    /// Tick or lot size is not positive.
    #[error("{what} of {symbol} must be above zero")]
    Step {
        /// "tick size" or "lot size".
        what: &'static str,
        /// The symbol.
        symbol: String,
    },
    /// An exponent is outside the range that an i64 mantissa can use.
    #[error("exponent {exponent} of {symbol} is outside -18..=0")]
    Exponent {
        /// The exponent given.
        exponent: i8,
        /// The symbol.
        symbol: String,
    },
}

/// A tradable symbol: name, precision, tick size and lot size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    name: Box<str>,
    exponents: Exponents,
    tick_size: i64,
    lot_size: i64,
}

impl Instrument {
    /// An instrument named `name` (upper case), whose price step is `tick_size` (a price mantissa) and whose quantity
    /// step is `lot_size` (a quantity mantissa).
    pub fn new(
        name: &str,
        exponents: Exponents,
        tick_size: i64,
        lot_size: i64,
    ) -> Result<Instrument, InstrumentError> {
        if !is_symbol_name(name.as_bytes()) || name.bytes().any(|b| b.is_ascii_lowercase()) {
            return Err(InstrumentError::Name(
                name.chars().take(2 * SYMBOL_LEN_MAX).collect(),
            ));
        }
        for exponent in [exponents.price, exponents.qty] {
            if !(-18..=0).contains(&exponent) {
                return Err(InstrumentError::Exponent {
                    exponent,
                    symbol: name.into(),
                });
            }
        }
        for (what, step) in [("tick size", tick_size), ("lot size", lot_size)] {
            if step <= 0 {
                return Err(InstrumentError::Step {
                    what,
                    symbol: name.into(),
                });
            }
        }
        Ok(Instrument {
            name: name.into(),
            exponents,
            tick_size,
            lot_size,
        })
    }

    /// The name as payloads carry it: upper case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The exponents of its mantissas.
    pub fn exponents(&self) -> Exponents {
        self.exponents
    }

    /// The price step.
    pub fn tick_size(&self) -> Decimal {
        Decimal {
            mantissa: self.tick_size,
            exponent: self.exponents.price,
        }
    }

    /// The quantity step.
    pub fn lot_size(&self) -> Decimal {
        Decimal {
            mantissa: self.lot_size,
            exponent: self.exponents.qty,
        }
    }

    /// An amount of the quote asset with as many decimal places as prices have, of a price mantissa times a quantity mantissa or
    /// a sum of such, rounded.
    pub fn quote_amount(&self, product: i128) -> i128 {
        wide::divide(product, 10_i128.pow(u32::from(self.exponents.qty.unsigned_abs())))
    }

    /// Appends an amount as [`Instrument::quote_amount`] gives it of `product`.
    pub fn write_quote_amount(&self, out: &mut Vec<u8>, product: i128) {
        wide::write(out, self.quote_amount(product), self.exponents.price);
    }

    /// Appends a sum of quantity mantissas in the instrument's full precision.
    pub fn write_volume(&self, out: &mut Vec<u8>, sum: i128) {
        wide::write(out, sum, self.exponents.qty);
    }

    /// Appends a price in the instrument's full precision, as `61737.63000000`.
    pub fn write_price(&self, out: &mut Vec<u8>, mantissa: i64) {
        write_mantissa(out, mantissa, self.exponents.price);
    }

    /// Appends a quantity in the instrument's full precision.
    pub fn write_qty(&self, out: &mut Vec<u8>, mantissa: i64) {
        write_mantissa(out, mantissa, self.exponents.qty);
    }
}

/// Whether `name` could be a symbol, in either case (stream names are lower case, payloads upper).
pub fn is_symbol_name(name: &[u8]) -> bool {
    (1..=SYMBOL_LEN_MAX).contains(&name.len())
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_checked() {
        let ok = Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).unwrap();
        assert_eq!(ok.tick_size().to_string(), "0.01000000");
        assert_eq!(ok.lot_size().to_string(), "0.00001000");
        for name in ["", "btcusdt", "BTC/USDT", "ABCDEFGHIJKLMNOPQRSTU"] {
            assert!(
                matches!(
                    Instrument::new(name, Exponents::default(), 1, 1),
                    Err(InstrumentError::Name(_))
                ),
                "{name}"
            );
        }
        let zero_tick = Instrument::new("A", Exponents::default(), 0, 1).unwrap_err();
        assert_eq!(zero_tick.to_string(), "tick size of A must be above zero");
        let wild = Instrument::new("A", Exponents { price: 3, qty: 0 }, 1, 1).unwrap_err();
        assert_eq!(wild.to_string(), "exponent 3 of A is outside -18..=0");
    }
}
