//! What the admin thread asks the market thread for REST, and what it is answered.
//!
//! Every answer has a revision. Who asks again says which it has, and while that is still true is told only so: an answer
//! costs the market thread a copy of what was asked for once for each change of it, however many ask.

use std::sync::Arc;

use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BestBidAsk, BookSnapshot, Trade};
use depthcast_market::instrument::Instrument;
use depthcast_market::interval::KlineInterval;
use depthcast_market::statistics::{AveragePrice, DayStatistics};
use depthcast_wire::stream::SymbolName;

/// Which state of what was asked for an answer is of. Two of the same question with the same revision are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The number of the feed's history.
    pub epoch: u64,
    /// Counts changes in it.
    pub change: u64,
}

/// Symbols, upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Symbols {
    /// One.
    One(SymbolName),
    /// Several, in the order in which they are answered.
    Several(Vec<SymbolName>),
    /// All that the feed has, in its order.
    All,
}

/// A span of time: microseconds, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Nothing before this. With it the oldest come first, up to the limit; without it the newest up to the end.
    pub from_us: Option<i64>,
    /// Nothing behind this.
    pub to_us: Option<i64>,
}

/// What can be asked. Symbols are upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The top of a book as it is now, `limit` levels a side.
    Depth {
        /// Of this symbol.
        symbol: SymbolName,
        /// Levels a side.
        limit: usize,
    },
    /// All instruments.
    Instruments,
    /// Trades, oldest first: from an id on, else the newest.
    Trades {
        /// Of this symbol.
        symbol: SymbolName,
        /// The first id.
        from_id: Option<i64>,
        /// At most so many.
        limit: usize,
    },
    /// Aggregate trades, oldest first: from an id on, or in a span of time.
    AggTrades {
        /// Of this symbol.
        symbol: SymbolName,
        /// The first id.
        from_id: Option<i64>,
        /// By the time they were made.
        span: Span,
        /// At most so many.
        limit: usize,
    },
    /// Candlesticks, oldest first.
    Klines {
        /// Of this symbol.
        symbol: SymbolName,
        /// How long each is.
        interval: KlineInterval,
        /// How far the clock by which they begin is ahead of UTC, microseconds.
        ahead_us: i64,
        /// By their beginnings.
        span: Span,
        /// At most so many.
        limit: usize,
    },
    /// The average price of five minutes.
    AveragePrice {
        /// Of this symbol.
        symbol: SymbolName,
    },
    /// The last 24 hours and the best bid and ask.
    Tickers {
        /// Of these symbols.
        symbols: Symbols,
    },
}

/// A question, and what the one who asks knows already.
#[derive(Debug)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// The newest revision of the answer that is known.
    pub known: Option<Revision>,
    /// Where the answer goes.
    pub reply: tokio::sync::oneshot::Sender<Result<Answer, NoAnswer>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such symbol.
    UnknownSymbol,
    /// It is not known now: the feed has not begun, or the book is stale.
    NotNow,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of this revision.
    pub revision: Revision,
    /// None where it is the one that is known.
    pub content: Option<Content>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub enum Content {
    /// The top of a book.
    Depth(Arc<Instrument>, BookSnapshot),
    /// Instruments, in the feed's order.
    Instruments(Vec<Arc<Instrument>>),
    /// Trades.
    Trades(Arc<Instrument>, Vec<Trade>),
    /// Aggregate trades.
    AggTrades(Arc<Instrument>, Vec<AggTrade>),
    /// Candlesticks.
    Klines(Arc<Instrument>, Vec<Candle>),
    /// The average price.
    AveragePrice(Arc<Instrument>, AveragePrice),
    /// One for each symbol.
    Tickers(Vec<Ticker>),
}

/// A symbol's day.
#[derive(Clone, Debug)]
pub struct Ticker {
    /// The symbol.
    pub instrument: Arc<Instrument>,
    /// Its trades of 24 hours.
    pub statistics: DayStatistics,
    /// Its best bid and ask, as the feed gave them or else as the book has them.
    pub best: Option<BestBidAsk>,
}
