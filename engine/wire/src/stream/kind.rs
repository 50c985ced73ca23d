//! What streams carry, and how names spell it.

use std::fmt;

use depthcast_market::interval::{KlineClock, KlineInterval};

use super::{StreamNameError, excerpt};

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
    /// `aggTrade`: the trades that one taker order made at one price, as one.
    AggTrade,
    /// `kline_1m`, `kline_1d@+08:00`: candlesticks of an interval, by a clock.
    Kline(KlineInterval, KlineClock),
    /// `miniTicker`: the last 24 hours in short.
    MiniTicker,
    /// `ticker`: the last 24 hours with the best bid and ask.
    Ticker,
    /// `avgPrice`: the average price of five minutes.
    AveragePrice,
    /// `checksum`: of the top of the book.
    Checksum,
    /// `!miniTicker@arr`: the `miniTicker` of all symbols that changed. Of the whole market.
    MiniTickers,
    /// `!heartbeat`: that the engine is alive, and how far its feed has come. Of the whole market.
    Heartbeat,
    /// `fixed`: frames of a fixed size that carry no market, for measuring the engine. Only the bench feed has them.
    Fixed,
}

impl StreamKind {
    /// All kinds but candlesticks, of which there are [`StreamKind::klines`].
    pub const OTHERS: [StreamKind; 15] = [
        StreamKind::Depth,
        StreamKind::PartialDepth(DepthLevels::Five),
        StreamKind::PartialDepth(DepthLevels::Ten),
        StreamKind::PartialDepth(DepthLevels::Twenty),
        StreamKind::BookTicker,
        StreamKind::BestBidAsk,
        StreamKind::Trade,
        StreamKind::AggTrade,
        StreamKind::MiniTicker,
        StreamKind::Ticker,
        StreamKind::AveragePrice,
        StreamKind::Checksum,
        StreamKind::MiniTickers,
        StreamKind::Heartbeat,
        StreamKind::Fixed,
    ];

    /// The kinds of candlesticks: each interval by each clock.
    pub fn klines() -> impl Iterator<Item = StreamKind> {
        let by = |clock| {
            KlineInterval::ALL
                .into_iter()
                .map(move |interval| StreamKind::Kline(interval, clock))
        };
        by(KlineClock::Utc).chain(by(KlineClock::Ahead8h))
    }

    /// All kinds.
    pub fn all() -> impl Iterator<Item = StreamKind> {
        StreamKind::OTHERS.into_iter().chain(StreamKind::klines())
    }

    /// The stream type as names spell it, without what stands before it, in two parts: of candlesticks the second says the
    /// interval, and for all others is empty.
    pub(super) const fn spelling(self) -> (&'static str, &'static str) {
        let whole = match self {
            StreamKind::Depth => "depth",
            StreamKind::PartialDepth(DepthLevels::Five) => "depth5",
            StreamKind::PartialDepth(DepthLevels::Ten) => "depth10",
            StreamKind::PartialDepth(DepthLevels::Twenty) => "depth20",
            StreamKind::BookTicker => "bookTicker",
            StreamKind::BestBidAsk => "bestBidAsk",
            StreamKind::Trade => "trade",
            StreamKind::AggTrade => "aggTrade",
            StreamKind::Kline(interval, _) => return (KLINE, interval.as_str()),
            StreamKind::MiniTicker => "miniTicker",
            StreamKind::Ticker => "ticker",
            StreamKind::AveragePrice => "avgPrice",
            StreamKind::Checksum => "checksum",
            StreamKind::MiniTickers => "miniTicker@arr",
            StreamKind::Heartbeat => "heartbeat",
            StreamKind::Fixed => "fixed",
        };
        (whole, "")
    }

    /// What stands behind that: the clock of candlesticks, where it is not UTC.
    pub(super) const fn clock_suffix(self) -> &'static str {
        match self {
            StreamKind::Kline(_, KlineClock::Ahead8h) => AHEAD_8H,
            _ => "",
        }
    }

    /// Whether names of this kind may end in a cadence; the others emit in real time or at a period of their own.
    pub const fn takes_cadence(self) -> bool {
        matches!(self, StreamKind::Depth | StreamKind::PartialDepth(_))
    }

    /// Whether it is of the whole market rather than of a symbol.
    pub const fn is_of_market(self) -> bool {
        matches!(self, StreamKind::Heartbeat | StreamKind::MiniTickers)
    }

    /// Whether it is binary for subscribers of SBE; the others are JSON for everybody.
    pub const fn has_sbe(self) -> bool {
        match self {
            StreamKind::Depth
            | StreamKind::PartialDepth(_)
            | StreamKind::BookTicker
            | StreamKind::BestBidAsk
            | StreamKind::Trade
            | StreamKind::Fixed => true,
            StreamKind::AggTrade
            | StreamKind::Kline(..)
            | StreamKind::MiniTicker
            | StreamKind::Ticker
            | StreamKind::AveragePrice
            | StreamKind::Checksum
            | StreamKind::MiniTickers
            | StreamKind::Heartbeat => false,
        }
    }

    /// The kind of candlesticks that a stream type names, or None where it is of something else.
    pub(super) fn parse_kline(stream: &str) -> Option<Result<StreamKind, StreamNameError>> {
        let (interval, suffix) = match stream.strip_prefix(KLINE)?.split_once('@') {
            Some((interval, suffix)) => (interval, Some(suffix)),
            None => (stream.strip_prefix(KLINE)?, None),
        };
        let Some(interval) = KlineInterval::parse(interval) else {
            return Some(Err(StreamNameError::Interval {
                interval: excerpt(interval),
            }));
        };
        Some(match suffix {
            None => Ok(StreamKind::Kline(interval, KlineClock::Utc)),
            Some(suffix) if Some(suffix) == AHEAD_8H.strip_prefix('@') => {
                Ok(StreamKind::Kline(interval, KlineClock::Ahead8h))
            }
            Some(suffix) => Err(StreamNameError::Clock {
                suffix: excerpt(suffix),
            }),
        })
    }

    pub(super) fn parse(text: &str, is_of_market: bool) -> Option<StreamKind> {
        StreamKind::OTHERS
            .into_iter()
            .find(|kind| kind.is_of_market() == is_of_market && kind.spelling().0 == text)
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, interval) = self.spelling();
        [kind, interval, self.clock_suffix()]
            .into_iter()
            .try_for_each(|part| f.write_str(part))
    }
}

/// What names of candlesticks begin with.
const KLINE: &str = "kline_";

/// What those end in whose clock is eight hours ahead.
const AHEAD_8H: &str = "@+08:00";
