//! The price levels of one side, `[["61737.63000000","0.02000000"],…]`: the part of an event that takes the time.

use depthcast_market::event::Level;
use depthcast_market::instrument::Exponents;
use simd_json::Node;

use super::decimal_text::mantissa;
use super::error::{Fault, JsonError};
use super::fields::{Fields, Key};

/// The most levels of a side that one event may list: twice the deepest REST snapshot (5,000), so that a merged
/// difference of a whole book still passes.
pub const LEVELS_PER_SIDE_MAX: usize = 10_000;

/// A level is an array node and its two strings.
const NODES_PER_LEVEL: usize = 3;

/// One side of an event, checked to be a list of pairs of strings.
pub(super) struct Side<'t, 'f> {
    event: &'static str,
    key: Key,
    levels: &'t [Node<'f>],
}

impl<'t, 'f> Side<'t, 'f> {
    /// The side under `key`.
    pub(super) fn of(fields: &Fields<'t, 'f>, key: Key) -> Result<Side<'t, 'f>, JsonError> {
        let Some((Node::Array { len, .. }, levels)) = fields.nodes(key)?.split_first() else {
            return Err(fields.fault(
                key,
                Fault::Type {
                    wanted: "a list of levels",
                },
            ));
        };
        if *len > LEVELS_PER_SIDE_MAX {
            return Err(fields.fault(key, Fault::TooManyLevels(*len)));
        }
        Ok(Side {
            event: fields.event(),
            key,
            levels,
        })
    }

    /// Calls `each` with the texts of every level's price and quantity.
    fn each(&self, mut each: impl FnMut(&'f str, &'f str) -> Result<(), Fault>) -> Result<(), JsonError> {
        for (place, nodes) in self.levels.chunks(NODES_PER_LEVEL).enumerate() {
            let outcome = match nodes {
                [Node::Array { len: 2, .. }, Node::String(price), Node::String(qty)] => each(price, qty),
                _ => Err(Fault::Type {
                    wanted: "a pair of decimals in strings",
                }),
            };
            outcome.map_err(|fault| JsonError::Level {
                event: self.event,
                key: self.key.name(),
                place,
                fault,
            })?;
        }
        Ok(())
    }

    /// Appends the levels to `out`. A quantity of zero removes a level in an update and is a fault in a snapshot,
    /// so `qty_min` is 0 or 1.
    pub(super) fn read(
        &self,
        out: &mut Vec<Level>,
        exponents: Exponents,
        qty_min: i64,
    ) -> Result<(), JsonError> {
        out.reserve(self.levels.len() / NODES_PER_LEVEL);
        self.each(|price, qty| {
            let level = Level {
                price: mantissa(price, exponents.price)?,
                qty: mantissa(qty, exponents.qty)?,
            };
            if level.qty < qty_min {
                return Err(if level.qty < 0 {
                    Fault::NegativeQuantity
                } else {
                    Fault::ZeroQuantity
                });
            }
            out.push(level);
            Ok(())
        })
    }

    /// Calls `note` with each level's price and quantity texts, for learning how they are printed.
    pub(super) fn texts(
        &self,
        mut note: impl FnMut(&'f str, &'f str) -> Result<(), Fault>,
    ) -> Result<(), JsonError> {
        self.each(&mut note)
    }
}
