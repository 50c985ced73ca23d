//! Answers of the REST API in Simple Binary Encoding: the messages of the exchange's API schema that market data needs.
//!
//! They are laid out as those of the streams are, with two differences: every group's dimensions are blockLength u16,
//! numInGroup u32; and an optional number that is missing is the lowest of its type. Times are microseconds.
//! Source: Binance `spot_sbe` schema, id 3 version 4; FIX Simple Binary Encoding 1.0.

mod exchange_info;
mod general;
mod market_data;
mod tickers;

pub use exchange_info::exchange_info;
pub use general::{error, ping, server_time};
pub use market_data::{agg_trades, average_price, depth, klines, trades};
pub use tickers::{
    Day, book_ticker, book_tickers, day_full, day_mini, days_full, days_mini, price_ticker, price_tickers,
};

use depthcast_market::instrument::Instrument;
use depthcast_market::wide;

use super::EncodeError;

/// The schema that these messages belong to.
pub const SCHEMA_ID: u16 = 3;
/// The version of it that is written.
pub const SCHEMA_VERSION: u16 = 4;

/// What stands for a missing signed 64-bit number.
const NONE: i64 = i64::MIN;

/// The most entries of a group: the schema's maxValue of numInGroup.
const ENTRIES_MAX: usize = i32::MAX as usize;

/// Writes a message, field by field.
struct Writer<'o>(&'o mut Vec<u8>);

impl<'o> Writer<'o> {
    /// Begins a message: its header.
    fn message(out: &'o mut Vec<u8>, template: u16, root_block: u16) -> Writer<'o> {
        for field in [root_block, template, SCHEMA_ID, SCHEMA_VERSION] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        Writer(out)
    }

    /// The dimensions of a group. A count above [`ENTRIES_MAX`] was refused before.
    fn group(&mut self, block: u16, count: usize) -> &mut Self {
        self.0.extend_from_slice(&block.to_le_bytes());
        self.0.extend_from_slice(&(count as u32).to_le_bytes());
        self
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A mantissa of 128 bits.
    fn i128(&mut self, value: i128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn exponents(&mut self, instrument: &Instrument) -> &mut Self {
        let exponents = instrument.exponents();
        self.0.extend_from_slice(&exponents.price.to_le_bytes());
        self.0.extend_from_slice(&exponents.qty.to_le_bytes());
        self
    }

    /// Text of up to 255 bytes; what is longer is cut between two characters.
    fn text8(&mut self, text: &str) -> &mut Self {
        let text = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
        self.u8(text.len() as u8);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Text of up to 65,534 bytes, likewise.
    fn text16(&mut self, text: &str) -> &mut Self {
        let text = &text[..text.floor_char_boundary(usize::from(u16::MAX) - 1)];
        self.u16(text.len() as u16);
        self.0.extend_from_slice(text.as_bytes());
        self
    }
}

/// The count of a group's entries, where the schema has room for them.
fn checked(what: &'static str, count: usize) -> Result<usize, EncodeError> {
    if count > ENTRIES_MAX {
        return Err(EncodeError::TooManyEntries {
            what,
            count,
            most: ENTRIES_MAX,
        });
    }
    Ok(count)
}

fn id(id: u64) -> Result<i64, EncodeError> {
    i64::try_from(id).map_err(|_| EncodeError::IdRange { id })
}

/// The nearest that 64 bits hold: amounts of more are no market's.
fn narrow(mantissa: i128) -> i64 {
    // The lowest stands for none.
    wide::narrow(mantissa).max(NONE + 1)
}
