//! Learns an instrument's exponents from the decimals that an event prints, for feeds whose instruments are not known
//! in advance. The exchange prints every number in full precision, so one event tells.

use depthcast_market::decimal::DecimalError;
use depthcast_market::instrument::Exponents;

use super::decode::{Decoder, Found, Kind};
use super::error::{Fault, JsonError};
use super::fields::Key;
use super::levels::Side;
use super::symbol::Symbol;

/// The most decimals an instrument can print: a 64-bit mantissa has 18 that are always free to use.
const PLACES_MAX: usize = 18;

/// What one event tells about how its instrument is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision<'f> {
    /// The stream's name, where the frame is a combined one.
    pub stream: Option<&'f str>,
    /// Whose event it is; [`Symbol::NONE`] for a bare snapshot.
    pub symbol: Symbol,
    /// The exponents that its longest decimals need; `None` where the event has no level.
    pub exponents: Option<Exponents>,
}

impl Decoder {
    /// The precision that the event in `frame` is printed with. Numbers are looked at only as far as their decimal
    /// places; errors are those of [`Decoder::decode`].
    pub fn precision<'f>(&mut self, frame: &'f mut [u8]) -> Result<Precision<'f>, JsonError> {
        self.with_nodes(frame, |nodes| {
            let found = Found::of(nodes)?;
            Ok(Precision {
                stream: found.stream,
                symbol: found.symbol,
                exponents: exponents(&found)?,
            })
        })
    }
}

fn exponents(found: &Found<'_, '_>) -> Result<Option<Exponents>, JsonError> {
    let mut printed = Printed::default();
    let fields = &found.fields;
    let mut pair = |price: Key, qty: Key| -> Result<(), JsonError> {
        let (price_text, qty_text) = (fields.text(price)?, fields.text(qty)?);
        printed
            .note(price_text, qty_text)
            .map_err(|fault| fields.fault(price, fault))
    };
    match found.kind {
        Kind::BestBidAsk => {
            pair(Key::Bid, Key::BidQty)?;
            pair(Key::Ask, Key::AskQty)?;
        }
        Kind::Trade => pair(Key::Price, Key::Qty)?,
        Kind::Depth => {
            for key in [Key::Bid, Key::Ask] {
                Side::of(fields, key)?.texts(|price, qty| printed.note(price, qty))?;
            }
        }
        Kind::Snapshot => {
            for key in [Key::Bids, Key::Asks] {
                Side::of(fields, key)?.texts(|price, qty| printed.note(price, qty))?;
            }
        }
    }
    Ok(printed.longest)
}

/// The longest decimals seen so far.
#[derive(Default)]
struct Printed {
    longest: Option<Exponents>,
}

impl Printed {
    fn note(&mut self, price: &str, qty: &str) -> Result<(), Fault> {
        let (price, qty) = (places_exponent(price)?, places_exponent(qty)?);
        self.longest = Some(match self.longest {
            None => Exponents { price, qty },
            Some(longest) => Exponents {
                price: longest.price.min(price),
                qty: longest.qty.min(qty),
            },
        });
        Ok(())
    }
}

/// Minus the number of digits after the point.
fn places_exponent(text: &str) -> Result<i8, Fault> {
    let places = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match i8::try_from(places) {
        Ok(exponent) if places <= PLACES_MAX => Ok(-exponent),
        _ => Err(DecimalError::Inexact.into()),
    }
}
