//! Writes the fields of JSON objects one behind the other, decimals as an instrument has them.

use depthcast_market::decimal::write_mantissa;
use depthcast_market::instrument::Instrument;

use super::encode::{boolean, integer};

/// A change in percent has three decimal places.
const PERCENT_EXPONENT: i8 = -3;

/// Appends to `out`. Keys are given as they stand there, with what is before and behind them.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    instrument: &'o Instrument,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, instrument: &'o Instrument) -> Writer<'o> {
        Writer { out, instrument }
    }

    pub(super) fn key(&mut self, key: &str) -> &mut Self {
        self.text(key)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn integer(&mut self, number: impl itoa::Integer) -> &mut Self {
        integer(self.out, number);
        self
    }

    pub(super) fn boolean(&mut self, value: bool) -> &mut Self {
        boolean(self.out, value);
        self
    }

    pub(super) fn price(&mut self, mantissa: i64) -> &mut Self {
        self.quoted(|out, instrument| instrument.write_price(out, mantissa))
    }

    pub(super) fn qty(&mut self, mantissa: i64) -> &mut Self {
        self.quoted(|out, instrument| instrument.write_qty(out, mantissa))
    }

    /// Thousandths of a percent.
    pub(super) fn percent(&mut self, thousandths: i64) -> &mut Self {
        self.quoted(|out, _| write_mantissa(out, thousandths, PERCENT_EXPONENT))
    }

    /// A sum of quantity mantissas.
    pub(super) fn volume(&mut self, sum: i128) -> &mut Self {
        self.quoted(|out, instrument| instrument.write_volume(out, sum))
    }

    /// A price mantissa times a quantity mantissa, or a sum of such.
    pub(super) fn quote_volume(&mut self, product: i128) -> &mut Self {
        self.quoted(|out, instrument| instrument.write_quote_amount(out, product))
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>, &Instrument)) -> &mut Self {
        self.out.push(b'"');
        write(self.out, self.instrument);
        self.out.push(b'"');
        self
    }
}
