//! The name of an instrument as a decoded event carries it: upper case, held in place so that an event of a feed
//! costs no allocation.

use std::fmt;

use depthcast_market::instrument::{SYMBOL_LEN_MAX, is_symbol_name};

/// An upper-case symbol name of at most [`SYMBOL_LEN_MAX`] characters, or the empty name where an event names none
/// (a bare snapshot).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol {
    /// ASCII of `A-Z 0-9 - _ .`; bytes from `length` on are zero, so that equal names are equal values.
    bytes: [u8; SYMBOL_LEN_MAX],
    /// At most [`SYMBOL_LEN_MAX`].
    length: u8,
}

impl Symbol {
    /// The name that no instrument has.
    pub const NONE: Symbol = Symbol {
        bytes: [0; SYMBOL_LEN_MAX],
        length: 0,
    };

    /// `name` in upper case, or `None` where it is no symbol name (empty, too long, a character that symbols do not
    /// have). Either case is taken: stream names are lower case, payloads upper.
    pub fn new(name: &str) -> Option<Symbol> {
        if !is_symbol_name(name.as_bytes()) {
            return None;
        }
        let mut symbol = Symbol {
            length: u8::try_from(name.len()).ok()?,
            ..Symbol::NONE
        };
        let place = symbol.bytes.get_mut(..name.len())?;
        place.copy_from_slice(name.as_bytes());
        place.make_ascii_uppercase();
        Some(symbol)
    }

    /// The symbol a stream name starts with: `btcusdt@depth@100ms` is `BTCUSDT`. `None` where it starts with none.
    pub fn of_stream(stream: &str) -> Option<Symbol> {
        Symbol::new(stream.split_once('@')?.0)
    }

    /// The name; empty for [`Symbol::NONE`].
    pub fn as_str(&self) -> &str {
        // The bytes are ASCII by construction, so the fallback is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether this is [`Symbol::NONE`].
    pub fn is_none(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upper_cased_and_checked() {
        assert_eq!(Symbol::new("btcUSDT").unwrap().as_str(), "BTCUSDT");
        assert_eq!(Symbol::new("btcusdt"), Symbol::new("BTCUSDT"));
        assert_eq!(
            Symbol::new("ABCDEFGHIJKLMNOPQRST").unwrap().to_string(),
            "ABCDEFGHIJKLMNOPQRST"
        );
        for name in ["", "ABCDEFGHIJKLMNOPQRSTU", "BTC/USDT", "ÄÖ"] {
            assert_eq!(Symbol::new(name), None, "{name}");
        }
        assert_eq!(Symbol::NONE.as_str(), "");
        assert!(Symbol::NONE.is_none());
    }

    #[test]
    fn a_stream_name_starts_with_its_symbol() {
        assert_eq!(Symbol::of_stream("btcusdt@depth5@100ms"), Symbol::new("BTCUSDT"));
        for stream in ["", "btcusdt", "@depth", "!miniTicker@arr"] {
            assert_eq!(Symbol::of_stream(stream), None, "{stream}");
        }
    }
}
