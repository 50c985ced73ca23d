//! What a feed says about one instrument: the events that flow from a feed to the books and on to the encoders.
//!
//! Prices and quantities are mantissas under the instrument's exponents ([`crate::instrument::Instrument`]);
//! times are microseconds since the Unix epoch, in the feed's clock; ids are the feed's update ids.

/// One price level of one side: an absolute quantity at a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// Price mantissa.
    pub price: i64,
    /// Absolute quantity mantissa; zero removes the level.
    pub qty: i64,
}

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Buyers; the best is the highest price.
    Bid,
    /// Sellers; the best is the lowest price.
    Ask,
}

/// Changes of a book over the id range `first_id..=last_id`: an event of a feed, or a merged difference.
///
/// Quantities are absolute. A removal of an absent level and an update that changes nothing are both legal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DepthUpdate {
    /// The feed's event time (E), microseconds.
    pub event_time_us: i64,
    /// First update id covered (U).
    pub first_id: u64,
    /// Last update id covered (u); never below `first_id`.
    pub last_id: u64,
    /// Changed bids, best (highest) first.
    pub bids: Vec<Level>,
    /// Changed asks, best (lowest) first.
    pub asks: Vec<Level>,
}

/// A whole book, or its top, as of `last_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookSnapshot {
    /// The update id the levels are true at (lastUpdateId).
    pub last_id: u64,
    /// Bids, best first; no zero quantities.
    pub bids: Vec<Level>,
    /// Asks, best first; no zero quantities.
    pub asks: Vec<Level>,
}

/// The best bid and ask, as an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestBidAsk {
    /// The feed's event time in microseconds, where it gives one (a JSON bookTicker does not).
    pub event_time_us: Option<i64>,
    /// The book's update id (u).
    pub update_id: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The feed's event time (E), microseconds.
    pub event_time_us: i64,
    /// When the trade was made (T), microseconds.
    pub trade_time_us: i64,
    /// Trade id (t).
    pub id: i64,
    /// Price mantissa.
    pub price: i64,
    /// Quantity mantissa.
    pub qty: i64,
    /// True when the buyer was the resting side, so that the seller was the aggressor (m).
    pub is_buyer_maker: bool,
    /// The M flag of the JSON stream; always true on today's exchange and in the SBE schema.
    pub is_best_match: bool,
    /// The aggregate trade that it is a part of, where the feed says so.
    pub aggregate: Option<AggregatePart>,
}

/// A trade's place in its aggregate: the trades that one taker order made at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregatePart {
    /// The aggregate's id; its trades come one after the other.
    pub id: i64,
    /// No more trades of it follow.
    pub is_last: bool,
}

/// The trades that one taker order made at one price, as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggTrade {
    /// The feed's event time (E) of its last trade, microseconds.
    pub event_time_us: i64,
    /// Aggregate trade id (a).
    pub id: i64,
    /// Price mantissa.
    pub price: i64,
    /// Quantity mantissa, over all its trades.
    pub qty: i64,
    /// Id of its first trade (f).
    pub first_trade_id: i64,
    /// Id of its last trade (l).
    pub last_trade_id: i64,
    /// When it was made (T), microseconds.
    pub trade_time_us: i64,
    /// True when the buyer was the resting side (m).
    pub is_buyer_maker: bool,
    /// The M flag, as its trades have it.
    pub is_best_match: bool,
}

/// Anything a feed can say about one instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketEvent {
    /// The book changed.
    Depth(DepthUpdate),
    /// The best bid or ask changed.
    BestBidAsk(BestBidAsk),
    /// A trade was made.
    Trade(Trade),
    /// The whole book as of an id, for (re)synchronising.
    Snapshot(BookSnapshot),
}
