//! Stream names, as subscribers write them: `<symbol>@<stream>[@<cadence>ms]`, for example `btcusdt@depth@100ms`, and
//! `!<stream>` for those of the whole market.
//!
//! A name and its text are one to one: `btcusdt@depth` and `btcusdt@depth@1000ms` are two names of the same content, so
//! that replies and combined events echo the name that was asked for. What a name without a cadence means is
//! [`StreamName::cadence`]'s answer.
//!
//! The SBE schema of streams has messages for few kinds ([`StreamKind::has_sbe`]): subscribers of SBE get the others as JSON
//! in text frames, times in microseconds, beside the binary frames of their other streams.
//!
//! Source: Binance Spot API documents, "WebSocket Streams" and "SBE Market Data Streams"; `checksum` and `!heartbeat` are this
//! engine's.

mod kind;

use std::fmt;

use depthcast_market::instrument::{SYMBOL_LEN_MAX, is_symbol_name};

pub use self::kind::{DepthLevels, StreamKind};

/// The longest text of a stream name: the longest symbol and `@kline_12h@+08:00`.
pub const STREAM_NAME_LEN_MAX: usize = SYMBOL_LEN_MAX + "@kline_12h@+08:00".len();

/// How much of a peer's text an error repeats, in characters: enough to recognise any real name, too little to flood
/// a log or a reply.
pub(crate) const EXCERPT_CHARS_MAX: usize = 48;

/// The start of a text a peer sent, for an error: at most [`EXCERPT_CHARS_MAX`] characters, `…` where it was cut.
pub(crate) fn excerpt(text: &str) -> Box<str> {
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// How often a stream emits, from fastest to slowest. The order is by interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cadence {
    /// Every book event, as it arrives.
    Ms0,
    /// Every 10 ms.
    Ms10,
    /// Every 20 ms.
    Ms20,
    /// Every 50 ms.
    Ms50,
    /// Every 100 ms.
    Ms100,
    /// Every 250 ms.
    Ms250,
    /// Every 500 ms.
    Ms500,
    /// Every 1000 ms.
    Ms1000,
}

impl Cadence {
    /// All cadences, fastest first.
    pub const ALL: [Cadence; 8] = [
        Cadence::Ms0,
        Cadence::Ms10,
        Cadence::Ms20,
        Cadence::Ms50,
        Cadence::Ms100,
        Cadence::Ms250,
        Cadence::Ms500,
        Cadence::Ms1000,
    ];

    /// The interval in milliseconds; zero is every event.
    pub const fn millis(self) -> u32 {
        match self {
            Cadence::Ms0 => 0,
            Cadence::Ms10 => 10,
            Cadence::Ms20 => 20,
            Cadence::Ms50 => 50,
            Cadence::Ms100 => 100,
            Cadence::Ms250 => 250,
            Cadence::Ms500 => 500,
            Cadence::Ms1000 => 1000,
        }
    }

    /// The suffix of a stream name, without its `@`.
    pub const fn suffix(self) -> &'static str {
        match self {
            Cadence::Ms0 => "0ms",
            Cadence::Ms10 => "10ms",
            Cadence::Ms20 => "20ms",
            Cadence::Ms50 => "50ms",
            Cadence::Ms100 => "100ms",
            Cadence::Ms250 => "250ms",
            Cadence::Ms500 => "500ms",
            Cadence::Ms1000 => "1000ms",
        }
    }

    // Only the exact suffix counts (`0100ms` does not): a name must have one text.
    fn from_suffix(text: &str) -> Option<Cadence> {
        Cadence::ALL.into_iter().find(|cadence| cadence.suffix() == text)
    }
}

/// A symbol as a subscriber wrote it, in any case, kept inline: names are copied, hashed and compared, never owned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolName {
    // Symbol characters (ASCII) up to `len`, zeros after it, so that equality and hash may take the whole array.
    bytes: [u8; SYMBOL_LEN_MAX],
    len: u8,
}

impl SymbolName {
    /// No symbol: that of streams of the whole market. No text names it.
    pub const MARKET: SymbolName = SymbolName {
        bytes: [0; SYMBOL_LEN_MAX],
        len: 0,
    };

    /// The symbol, or `None` where the text could not name one (see [`is_symbol_name`]).
    pub fn new(text: &str) -> Option<SymbolName> {
        if !is_symbol_name(text.as_bytes()) {
            return None;
        }
        let mut bytes = [0; SYMBOL_LEN_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(SymbolName {
            bytes,
            len: u8::try_from(text.len()).ok()?,
        })
    }

    /// The symbol as it was written.
    pub fn as_str(&self) -> &str {
        // ASCII by construction, so the default is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// The symbol as instruments are named: upper case.
    pub fn to_upper(self) -> SymbolName {
        SymbolName {
            bytes: self.bytes.map(|b| b.to_ascii_uppercase()),
            len: self.len,
        }
    }
}

impl fmt::Debug for SymbolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for SymbolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stream, under the name that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// The symbol, as written; stream names are lower case by custom. [`SymbolName::MARKET`] for kinds of the whole market
    /// ([`StreamKind::is_of_market`]), and for no other.
    pub symbol: SymbolName,
    /// What the stream carries.
    pub kind: StreamKind,
    /// The cadence the name ends in, if any. Only kinds that take one have one ([`StreamKind::takes_cadence`]).
    pub cadence: Option<Cadence>,
}

// A name is the key of many tables, and a connection may hold 1024 of them.
const _: () = assert!(size_of::<StreamName>() <= 24);

/// Why a text is no stream name. The fault is the subscriber's; each says which part and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamNameError {
    /// No `@` at all.
    #[error("no '@' in {name:?}: expected <symbol>@<stream>, as btcusdt@depth")]
    NoStream {
        /// The name, cut where it was long.
        name: Box<str>,
    },
    /// The part before the first `@` could not be a symbol.
    #[error("symbol {symbol:?} must be 1 to {SYMBOL_LEN_MAX} letters, digits, '-', '_' or '.'")]
    Symbol {
        /// The symbol, cut where it was long.
        symbol: Box<str>,
    },
    /// The stream type is not one of ours.
    #[error(
        "unknown stream type {kind:?}: expected depth, depth5, depth10, depth20, bookTicker, bestBidAsk, trade, aggTrade, \
         kline_<interval>, miniTicker, ticker, avgPrice or checksum"
    )]
    Kind {
        /// The stream type, cut where it was long.
        kind: Box<str>,
    },
    /// Nor is a stream of the whole market.
    #[error("unknown stream of the whole market {name:?}: expected !miniTicker@arr or !heartbeat")]
    MarketKind {
        /// The name, cut where it was long.
        name: Box<str>,
    },
    /// The stream is known, but not from this engine.
    #[error("this engine does not serve {stream} streams")]
    NotServed {
        /// The stream type, with its `!` where it has one.
        stream: Box<str>,
    },
    /// The cadence is not one of ours.
    #[error("unknown cadence {cadence:?}: expected 0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms")]
    Cadence {
        /// The cadence, cut where it was long.
        cadence: Box<str>,
    },
    /// The interval of candlesticks is not one of the exchange's.
    #[error(
        "unknown kline interval {interval:?}: expected 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w or 1M"
    )]
    Interval {
        /// The interval, cut where it was long.
        interval: Box<str>,
    },
    /// Nor is their clock.
    #[error("kline streams end in their interval or in @+08:00 behind it, but the name ends in {suffix:?}")]
    Clock {
        /// What follows the interval, cut where it was long.
        suffix: Box<str>,
    },
    /// A cadence on a stream that has none to choose.
    #[error("{kind} streams take no cadence, but the name ends in {cadence:?}")]
    CadenceNotTaken {
        /// The stream type.
        kind: StreamKind,
        /// What followed it, cut where it was long.
        cadence: Box<str>,
    },
    /// Something follows the cadence.
    #[error("unexpected {rest:?} after the cadence")]
    Trailing {
        /// What follows, cut where it was long.
        rest: Box<str>,
    },
}

impl StreamName {
    /// Parses a name, decoded already where it came from a URL.
    pub fn parse(text: &str) -> Result<StreamName, StreamNameError> {
        if text.starts_with('!') {
            return parse_market_name(text);
        }
        let (symbol, stream) = text
            .split_once('@')
            .ok_or_else(|| StreamNameError::NoStream { name: excerpt(text) })?;
        let symbol = SymbolName::new(symbol).ok_or_else(|| StreamNameError::Symbol {
            symbol: excerpt(symbol),
        })?;
        if let Some(kind) = StreamKind::parse_kline(stream) {
            return Ok(StreamName {
                symbol,
                kind: kind?,
                cadence: None,
            });
        }
        let (kind, suffix) = match stream.split_once('@') {
            Some((kind, suffix)) => (kind, Some(suffix)),
            None => (stream, None),
        };
        let kind =
            StreamKind::parse(kind, false).ok_or_else(|| StreamNameError::Kind { kind: excerpt(kind) })?;
        let cadence = suffix.map(|suffix| parse_cadence(kind, suffix)).transpose()?;
        Ok(StreamName {
            symbol,
            kind,
            cadence,
        })
    }

    /// How often this stream emits to a subscriber of SBE (`sbe`) or JSON: the cadence in the name, else the format's
    /// default (JSON 1000 ms; SBE 20 ms for `depth`, 50 ms for partial depth). `None` for kinds that take none.
    pub fn cadence(&self, sbe: bool) -> Option<Cadence> {
        match (self.cadence, self.kind) {
            _ if !self.kind.takes_cadence() => None,
            (Some(cadence), _) => Some(cadence),
            (None, StreamKind::Depth) if sbe => Some(Cadence::Ms20),
            (None, _) if sbe => Some(Cadence::Ms50),
            (None, _) => Some(Cadence::Ms1000),
        }
    }

    /// Appends the name's text, which is at most [`STREAM_NAME_LEN_MAX`] bytes and never needs escaping in JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in self.parts() {
            out.extend_from_slice(part.as_bytes());
        }
    }

    fn parts(&self) -> [&str; 6] {
        let (at, suffix) = match self.cadence {
            Some(cadence) => ("@", cadence.suffix()),
            None => ("", self.kind.clock_suffix()),
        };
        let before = if self.kind.is_of_market() { "!" } else { "@" };
        let (kind, interval) = self.kind.spelling();
        [self.symbol.as_str(), before, kind, interval, at, suffix]
    }
}

fn parse_market_name(text: &str) -> Result<StreamName, StreamNameError> {
    let name = text.strip_prefix('!').unwrap_or(text);
    match StreamKind::parse(name, true) {
        Some(kind) => Ok(StreamName {
            symbol: SymbolName::MARKET,
            kind,
            cadence: None,
        }),
        None if is_known_elsewhere(text) => Err(StreamNameError::NotServed {
            stream: excerpt(text),
        }),
        None => Err(StreamNameError::MarketKind { name: excerpt(text) }),
    }
}

/// Whether a stream of the whole market, its `!` included, is one that subscribers know from the exchange but that is not
/// served: its name was not misspelt.
fn is_known_elsewhere(stream: &str) -> bool {
    stream == "!ticker@arr"
}

fn parse_cadence(kind: StreamKind, suffix: &str) -> Result<Cadence, StreamNameError> {
    if !kind.takes_cadence() {
        return Err(StreamNameError::CadenceNotTaken {
            kind,
            cadence: excerpt(suffix),
        });
    }
    let (cadence, rest) = match suffix.find('@') {
        Some(at) => suffix.split_at(at),
        None => (suffix, ""),
    };
    let cadence = Cadence::from_suffix(cadence).ok_or_else(|| StreamNameError::Cadence {
        cadence: excerpt(cadence),
    })?;
    if !rest.is_empty() {
        return Err(StreamNameError::Trailing { rest: excerpt(rest) });
    }
    Ok(cadence)
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().into_iter().try_for_each(|part| f.write_str(part))
    }
}

#[cfg(test)]
mod tests;
