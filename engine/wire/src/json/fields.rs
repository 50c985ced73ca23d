//! The fields of one event, found in a parsed frame: one pass over an object's keys notes where each value stands,
//! whatever their order; values nobody asked for are stepped over.
//!
//! The parsed frame is a flat list of nodes in which every array and object says how many nodes lie inside it. So
//! nothing here recurses, and no nesting can exhaust the stack.

use simd_json::{Node, StaticNode};

use super::decimal_text::mantissa;
use super::error::{Fault, JsonError};
use super::symbol::Symbol;

/// A key that some event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Stream,
    Data,
    Kind,
    EventTime,
    Symbol,
    FirstId,
    LastId,
    Bid,
    BidQty,
    Ask,
    AskQty,
    TradeId,
    Price,
    Qty,
    TradeTime,
    IsBuyerMaker,
    IsBestMatch,
    SnapshotId,
    Bids,
    Asks,
}

/// One place per [`Key`].
const KEYS: usize = Key::Asks as usize + 1;

impl Key {
    /// As it stands in the JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Key::Stream => "stream",
            Key::Data => "data",
            Key::Kind => "e",
            Key::EventTime => "E",
            Key::Symbol => "s",
            Key::FirstId => "U",
            Key::LastId => "u",
            Key::Bid => "b",
            Key::BidQty => "B",
            Key::Ask => "a",
            Key::AskQty => "A",
            Key::TradeId => "t",
            Key::Price => "p",
            Key::Qty => "q",
            Key::TradeTime => "T",
            Key::IsBuyerMaker => "m",
            Key::IsBestMatch => "M",
            Key::SnapshotId => "lastUpdateId",
            Key::Bids => "bids",
            Key::Asks => "asks",
        }
    }

    fn of(name: &str) -> Option<Key> {
        // Events spell their keys in one letter; comparing bytes, not strings, is what makes this cheap.
        let &[letter] = name.as_bytes() else {
            return match name {
                "stream" => Some(Key::Stream),
                "data" => Some(Key::Data),
                "lastUpdateId" => Some(Key::SnapshotId),
                "bids" => Some(Key::Bids),
                "asks" => Some(Key::Asks),
                _ => None,
            };
        };
        match letter {
            b'e' => Some(Key::Kind),
            b'E' => Some(Key::EventTime),
            b's' => Some(Key::Symbol),
            b'U' => Some(Key::FirstId),
            b'u' => Some(Key::LastId),
            b'b' => Some(Key::Bid),
            b'B' => Some(Key::BidQty),
            b'a' => Some(Key::Ask),
            b'A' => Some(Key::AskQty),
            b't' => Some(Key::TradeId),
            b'p' => Some(Key::Price),
            b'q' => Some(Key::Qty),
            b'T' => Some(Key::TradeTime),
            b'm' => Some(Key::IsBuyerMaker),
            b'M' => Some(Key::IsBestMatch),
            _ => None,
        }
    }
}

/// How many nodes lie inside `node`.
fn inner_nodes(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => *count,
        Node::String(_) | Node::Static(_) => 0,
    }
}

/// The values of one object by key. Where a key stands twice the later one counts.
pub(super) struct Fields<'t, 'f> {
    /// What errors call the event.
    event: &'static str,
    /// The value of each key with all that lies inside it.
    values: [Option<&'t [Node<'f>]>; KEYS],
}

impl<'t, 'f> Fields<'t, 'f> {
    /// The fields of the object that `nodes` starts with; `None` where it starts with something else.
    pub(super) fn of_object(nodes: &'t [Node<'f>]) -> Option<Fields<'t, 'f>> {
        let (Node::Object { len, count }, rest) = nodes.split_first()? else {
            return None;
        };
        let mut rest = rest.get(..*count)?;
        let mut values = [None; KEYS];
        for _ in 0..*len {
            let (Node::String(name), value) = rest.split_first()? else {
                return None;
            };
            let (value, next) = value.split_at_checked(1 + inner_nodes(value.first()?))?;
            if let Some(key) = Key::of(name) {
                values[key as usize] = Some(value);
            }
            rest = next;
        }
        Some(Fields {
            event: "frame",
            values,
        })
    }

    /// The same fields under the name of the event they turned out to be.
    pub(super) fn named(self, event: &'static str) -> Fields<'t, 'f> {
        Fields { event, ..self }
    }

    /// Whether the object has this key.
    pub(super) fn has(&self, key: Key) -> bool {
        self.values[key as usize].is_some()
    }

    /// What errors call the event.
    pub(super) fn event(&self) -> &'static str {
        self.event
    }

    /// The value of `key` with all that lies inside it.
    pub(super) fn nodes(&self, key: Key) -> Result<&'t [Node<'f>], JsonError> {
        self.values[key as usize].ok_or(JsonError::Missing {
            event: self.event,
            key: key.name(),
        })
    }

    /// The error of a value that is there and wrong.
    pub(super) fn fault(&self, key: Key, fault: Fault) -> JsonError {
        JsonError::Field {
            event: self.event,
            key: key.name(),
            fault,
        }
    }

    fn wrong_type(&self, key: Key, wanted: &'static str) -> JsonError {
        self.fault(key, Fault::Type { wanted })
    }

    /// A text.
    pub(super) fn text(&self, key: Key) -> Result<&'f str, JsonError> {
        match self.nodes(key)?.first() {
            Some(Node::String(text)) => Ok(text),
            _ => Err(self.wrong_type(key, "a string")),
        }
    }

    /// A symbol in upper case.
    pub(super) fn symbol(&self) -> Result<Symbol, JsonError> {
        let name = self.text(Key::Symbol)?;
        Symbol::new(name)
            .filter(|symbol| symbol.as_str() == name)
            .ok_or_else(|| self.fault(Key::Symbol, Fault::Symbol))
    }

    /// An update id: an integer from 0 to 2^64 - 1.
    pub(super) fn update_id(&self, key: Key) -> Result<u64, JsonError> {
        match self.nodes(key)?.first() {
            Some(Node::Static(StaticNode::U64(id))) => Ok(*id),
            Some(Node::Static(StaticNode::I64(id))) => {
                u64::try_from(*id).map_err(|_| self.fault(key, Fault::OutOfRange))
            }
            _ => Err(self.wrong_type(key, "an integer")),
        }
    }

    /// A signed 64-bit integer.
    pub(super) fn integer(&self, key: Key) -> Result<i64, JsonError> {
        match self.nodes(key)?.first() {
            Some(Node::Static(StaticNode::I64(number))) => Ok(*number),
            Some(Node::Static(StaticNode::U64(number))) => {
                i64::try_from(*number).map_err(|_| self.fault(key, Fault::OutOfRange))
            }
            _ => Err(self.wrong_type(key, "an integer")),
        }
    }

    /// A time in microseconds; `micros_per_unit` is how many of them the feed's unit has.
    pub(super) fn time_us(&self, key: Key, micros_per_unit: i64) -> Result<i64, JsonError> {
        self.integer(key)?
            .checked_mul(micros_per_unit)
            .ok_or_else(|| self.fault(key, Fault::OutOfRange))
    }

    /// A boolean.
    pub(super) fn boolean(&self, key: Key) -> Result<bool, JsonError> {
        match self.nodes(key)?.first() {
            Some(Node::Static(StaticNode::Bool(value))) => Ok(*value),
            _ => Err(self.wrong_type(key, "a boolean")),
        }
    }

    /// A decimal text as a mantissa under `exponent`. Prices may be below zero: futures and spreads have traded there.
    pub(super) fn price(&self, key: Key, exponent: i8) -> Result<i64, JsonError> {
        match self.nodes(key)?.first() {
            Some(Node::String(text)) => {
                mantissa(text, exponent).map_err(|fault| self.fault(key, fault.into()))
            }
            _ => Err(self.wrong_type(key, "a decimal in a string")),
        }
    }

    /// As [`Fields::price`], and not below zero.
    pub(super) fn qty(&self, key: Key, exponent: i8) -> Result<i64, JsonError> {
        let qty = self.price(key, exponent)?;
        if qty < 0 {
            return Err(self.fault(key, Fault::NegativeQuantity));
        }
        Ok(qty)
    }
}
