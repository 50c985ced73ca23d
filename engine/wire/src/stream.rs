//! Stream names, as subscribers write them: `<symbol>@<stream>[@<cadence>ms]`, for example `btcusdt@depth@100ms`.
//!
//! A name and its text are one to one: `btcusdt@depth` and `btcusdt@depth@1000ms` are two names of the same content, so
//! that replies and combined events echo the name that was asked for. What a name without a cadence means is
//! [`StreamName::cadence`]'s answer. Source: Binance Spot API documents, "WebSocket Streams" and "SBE Market Data
//! Streams".

use std::fmt;

use depthcast_market::instrument::{SYMBOL_LEN_MAX, is_symbol_name};

/// The longest text of a stream name: the longest symbol and `@depth20@1000ms`.
pub const STREAM_NAME_LEN_MAX: usize = SYMBOL_LEN_MAX + "@depth20@1000ms".len();

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

/// How many levels a side a partial depth stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DepthLevels {
    /// 5 levels a side.
    Five,
    /// 10 levels a side.
    Ten,
    /// 20 levels a side.
    Twenty,
}

impl DepthLevels {
    /// The number of levels a side.
    pub const fn count(self) -> usize {
        match self {
            DepthLevels::Five => 5,
            DepthLevels::Ten => 10,
            DepthLevels::Twenty => 20,
        }
    }
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// `depth`: changes of the book.
    Depth,
    /// `depth5`, `depth10`, `depth20`: the top of the book, whole each time.
    PartialDepth(DepthLevels),
    /// `bookTicker`: best bid and ask.
    BookTicker,
    /// `bestBidAsk`: the same events as `bookTicker`, under the name the SBE streams gave them.
    BestBidAsk,
    /// `trade`: single trades.
    Trade,
}

impl StreamKind {
    /// All kinds.
    pub const ALL: [StreamKind; 7] = [
        StreamKind::Depth,
        StreamKind::PartialDepth(DepthLevels::Five),
        StreamKind::PartialDepth(DepthLevels::Ten),
        StreamKind::PartialDepth(DepthLevels::Twenty),
        StreamKind::BookTicker,
        StreamKind::BestBidAsk,
        StreamKind::Trade,
    ];

    /// The stream type as names spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            StreamKind::Depth => "depth",
            StreamKind::PartialDepth(DepthLevels::Five) => "depth5",
            StreamKind::PartialDepth(DepthLevels::Ten) => "depth10",
            StreamKind::PartialDepth(DepthLevels::Twenty) => "depth20",
            StreamKind::BookTicker => "bookTicker",
            StreamKind::BestBidAsk => "bestBidAsk",
            StreamKind::Trade => "trade",
        }
    }

    /// Whether names of this kind may end in a cadence; the others emit in real time.
    pub const fn takes_cadence(self) -> bool {
        matches!(self, StreamKind::Depth | StreamKind::PartialDepth(_))
    }

    fn parse(text: &str) -> Option<StreamKind> {
        StreamKind::ALL.into_iter().find(|kind| kind.as_str() == text)
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
    /// The symbol, as written; stream names are lower case by custom.
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
        "unknown stream type {kind:?}: expected depth, depth5, depth10, depth20, bookTicker, bestBidAsk or trade"
    )]
    Kind {
        /// The stream type, cut where it was long.
        kind: Box<str>,
    },
    /// The cadence is not one of ours.
    #[error("unknown cadence {cadence:?}: expected 0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms")]
    Cadence {
        /// The cadence, cut where it was long.
        cadence: Box<str>,
    },
    /// A cadence on a stream that emits in real time.
    #[error("{kind} streams are real time and take no cadence, but the name ends in {cadence:?}")]
    CadenceNotTaken {
        /// The stream type.
        kind: &'static str,
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
        let (symbol, stream) = text
            .split_once('@')
            .ok_or_else(|| StreamNameError::NoStream { name: excerpt(text) })?;
        let symbol = SymbolName::new(symbol).ok_or_else(|| StreamNameError::Symbol {
            symbol: excerpt(symbol),
        })?;
        let (kind, suffix) = match stream.split_once('@') {
            Some((kind, suffix)) => (kind, Some(suffix)),
            None => (stream, None),
        };
        let kind = StreamKind::parse(kind).ok_or_else(|| StreamNameError::Kind { kind: excerpt(kind) })?;
        let cadence = suffix.map(|suffix| parse_cadence(kind, suffix)).transpose()?;
        Ok(StreamName {
            symbol,
            kind,
            cadence,
        })
    }

    /// How often this stream emits to a subscriber of SBE (`sbe`) or JSON: the cadence in the name, else the format's
    /// default (JSON 1000 ms; SBE 20 ms for `depth`, 50 ms for partial depth). `None` for real-time kinds.
    pub fn cadence(&self, sbe: bool) -> Option<Cadence> {
        match (self.cadence, self.kind) {
            (_, StreamKind::BookTicker | StreamKind::BestBidAsk | StreamKind::Trade) => None,
            (Some(cadence), _) => Some(cadence),
            (None, StreamKind::Depth) if sbe => Some(Cadence::Ms20),
            (None, StreamKind::PartialDepth(_)) if sbe => Some(Cadence::Ms50),
            (None, StreamKind::Depth | StreamKind::PartialDepth(_)) => Some(Cadence::Ms1000),
        }
    }

    /// Appends the name's text, which is at most [`STREAM_NAME_LEN_MAX`] bytes and never needs escaping in JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in self.parts() {
            out.extend_from_slice(part.as_bytes());
        }
    }

    fn parts(&self) -> [&str; 5] {
        let (at, suffix) = match self.cadence {
            Some(cadence) => ("@", cadence.suffix()),
            None => ("", ""),
        };
        [self.symbol.as_str(), "@", self.kind.as_str(), at, suffix]
    }
}

fn parse_cadence(kind: StreamKind, suffix: &str) -> Result<Cadence, StreamNameError> {
    if !kind.takes_cadence() {
        return Err(StreamNameError::CadenceNotTaken {
            kind: kind.as_str(),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        StreamName::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn names_say_symbol_kind_and_cadence() {
        let depth = name("btcusdt@depth@100ms");
        assert_eq!(depth.symbol.as_str(), "btcusdt");
        assert_eq!(depth.symbol.to_upper().as_str(), "BTCUSDT");
        assert_eq!(
            (depth.kind, depth.cadence),
            (StreamKind::Depth, Some(Cadence::Ms100))
        );
        let partial = name("BTCUSDT@depth20");
        assert_eq!(partial.kind, StreamKind::PartialDepth(DepthLevels::Twenty));
        assert_eq!((partial.cadence, partial.symbol.as_str()), (None, "BTCUSDT"));
        assert_ne!(name("btcusdt@depth"), name("btcusdt@depth@1000ms"));
        assert_ne!(name("btcusdt@bookTicker"), name("btcusdt@bestBidAsk"));
    }

    #[test]
    fn a_name_without_cadence_has_its_formats_default() {
        for (text, json, sbe) in [
            ("a@depth", Some(1000), Some(20)),
            ("a@depth5", Some(1000), Some(50)),
            ("a@depth10", Some(1000), Some(50)),
            ("a@depth20", Some(1000), Some(50)),
            ("a@depth@0ms", Some(0), Some(0)),
            ("a@depth20@1000ms", Some(1000), Some(1000)),
            ("a@bookTicker", None, None),
            ("a@bestBidAsk", None, None),
            ("a@trade", None, None),
        ] {
            assert_eq!(
                name(text).cadence(false).map(Cadence::millis),
                json,
                "{text} JSON"
            );
            assert_eq!(name(text).cadence(true).map(Cadence::millis), sbe, "{text} SBE");
        }
    }

    #[test]
    fn cadences_are_in_order_and_named_by_their_interval() {
        assert!(Cadence::ALL.is_sorted());
        for cadence in Cadence::ALL {
            assert_eq!(cadence.suffix(), format!("{}ms", cadence.millis()));
        }
    }

    #[test]
    fn refusals_name_the_bad_part_and_what_would_be_right() {
        assert_eq!(
            refusal("btcusdt"),
            "no '@' in \"btcusdt\": expected <symbol>@<stream>, as btcusdt@depth"
        );
        assert_eq!(
            refusal("btc/usdt@depth"),
            "symbol \"btc/usdt\" must be 1 to 20 letters, digits, '-', '_' or '.'"
        );
        assert!(refusal("@depth").starts_with("symbol \"\" must be"));
        assert!(refusal("ABCDEFGHIJKLMNOPQRSTU@depth").starts_with("symbol \"ABCDEFGHIJKLMNOPQRSTU\""));
        assert_eq!(
            refusal("btcusdt@depth@33ms"),
            "unknown cadence \"33ms\": expected 0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms"
        );
        assert_eq!(
            refusal("btcusdt@trade@100ms"),
            "trade streams are real time and take no cadence, but the name ends in \"100ms\""
        );
        assert_eq!(
            refusal("btcusdt@depth@100ms@x"),
            "unexpected \"@x\" after the cadence"
        );
        // Texts that would be a second spelling of a name.
        for text in ["a@depth@", "a@depth@0100ms", "a@depth@100MS", "a@depth@100"] {
            assert!(refusal(text).starts_with("unknown cadence"), "{text}");
        }
        for text in ["a@", "a@Depth", "a@depth15", "a@ depth", "a@bookticker"] {
            assert!(refusal(text).starts_with("unknown stream type"), "{text}");
        }
    }

    #[test]
    fn lists_in_refusals_are_whole() {
        for cadence in Cadence::ALL {
            assert!(refusal("a@depth@x").contains(cadence.suffix()), "{cadence:?}");
        }
        for kind in StreamKind::ALL {
            assert!(refusal("a@x").contains(kind.as_str()), "{kind:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_where_it_is_repeated() {
        let long = "é".repeat(10 * EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(&long).chars().count(), EXCERPT_CHARS_MAX + 1);
        assert!(refusal(&long).len() < 200);
        assert_eq!(&*excerpt("short"), "short");
    }

    fn any_name() -> impl Strategy<Value = StreamName> {
        let kind = prop::sample::select(&StreamKind::ALL[..]);
        let cadence = prop::option::of(prop::sample::select(&Cadence::ALL[..]));
        ("[a-zA-Z0-9._-]{1,20}", kind, cadence).prop_map(|(symbol, kind, cadence)| StreamName {
            symbol: SymbolName::new(&symbol).unwrap(),
            kind,
            cadence: cadence.filter(|_| kind.takes_cadence()),
        })
    }

    proptest! {
        #[test]
        fn a_name_and_its_text_are_one_to_one(name in any_name()) {
            let text = name.to_string();
            prop_assert_eq!(StreamName::parse(&text), Ok(name));
            let mut out = Vec::new();
            name.write(&mut out);
            prop_assert_eq!(out, text.as_bytes());
            prop_assert!(text.len() <= STREAM_NAME_LEN_MAX);
        }

        #[test]
        fn what_parses_writes_itself(text in "[a-c.@]{0,6}@(depth(5|10|20)?|trade|bookTicker)?(@[0-9]{1,4}ms)?[@x]?") {
            if let Ok(name) = StreamName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn any_text_never_panics(text in any::<String>()) {
            let _ = StreamName::parse(&text);
        }
    }
}
