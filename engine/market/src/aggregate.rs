//! Trades to aggregate trades: those that one taker order made at one price, as one.
//!
//! Where a feed names the aggregate of a trade, its trades join by that name and it is complete with the trade that the
//! feed calls its last. Where a feed does not, consecutive trades of one price, side and time are one; it is complete
//! when the next trade is another's, or once [`QUIET_US`] have passed without a trade.

use crate::event::{AggTrade, AggregatePart, Trade};

/// How long an aggregate that its feed did not name waits for another trade, in the feed's time. One tick of the fastest
/// cadence: the trades of one taker order come in one burst, and in the recorded market no aggregate is cut by it.
pub const QUIET_US: i64 = 10_000;

/// Makes the aggregate trades of one symbol over one history of its feed. It holds at most one that is not complete.
#[derive(Clone, Debug, Default)]
pub struct Aggregator {
    open: Option<Open>,
    /// Aggregates that the feed did not name, so far: the last one's id.
    unnamed: i64,
}

/// An aggregate that may have more trades.
#[derive(Clone, Copy, Debug)]
struct Open {
    so_far: AggTrade,
    /// The feed gave it its id.
    is_named: bool,
    /// When its last trade was received.
    at_us: i64,
}

impl Aggregator {
    /// One whose first aggregate without a name has the id 1.
    pub fn new() -> Aggregator {
        Aggregator::default()
    }

    /// Takes the next trade, received at `at_us`, and gives what is complete by it, in order: what came before, the
    /// aggregate that it ends, or both.
    pub fn on_trade(&mut self, trade: &Trade, at_us: i64) -> impl Iterator<Item = AggTrade> + use<> {
        let joined = self.open.and_then(|open| open.joined_by(trade, at_us));
        let before = match joined {
            Some(_) => None,
            None => self.complete(),
        };
        self.open = Some(joined.unwrap_or_else(|| self.begin(trade, at_us)));
        let is_last = trade.aggregate.is_some_and(|part| part.is_last);
        let this = if is_last { self.complete() } else { None };
        [before, this].into_iter().flatten()
    }

    /// Time has come to `now_us`: gives what has waited long enough for another trade. What the feed named waits for its
    /// last trade.
    pub fn on_time(&mut self, now_us: i64) -> Option<AggTrade> {
        let is_over = |open: &Open| !open.is_named && now_us.saturating_sub(open.at_us) >= QUIET_US;
        if self.open.as_ref().is_some_and(is_over) {
            self.complete()
        } else {
            None
        }
    }

    /// Gives what is not complete as it is: no trade will follow.
    pub fn complete(&mut self) -> Option<AggTrade> {
        self.open.take().map(|open| open.so_far)
    }

    fn begin(&mut self, trade: &Trade, at_us: i64) -> Open {
        let id = match trade.aggregate {
            Some(AggregatePart { id, .. }) => id,
            None => {
                self.unnamed += 1;
                self.unnamed
            }
        };
        Open {
            so_far: AggTrade {
                event_time_us: trade.event_time_us,
                id,
                price: trade.price,
                qty: trade.qty,
                first_trade_id: trade.id,
                last_trade_id: trade.id,
                trade_time_us: trade.trade_time_us,
                is_buyer_maker: trade.is_buyer_maker,
                is_best_match: trade.is_best_match,
            },
            is_named: trade.aggregate.is_some(),
            at_us,
        }
    }
}

impl Open {
    /// The aggregate with this trade, if it is one of its trades. A trade after lost ones is not, nor one that differs
    /// though the feed gave it the same name, nor one with which the quantity would not fit: nothing is ever lost or
    /// invented, and such an aggregate comes in parts.
    fn joined_by(self, trade: &Trade, at_us: i64) -> Option<Open> {
        let Open {
            mut so_far, is_named, ..
        } = self;
        let is_of_it = match trade.aggregate {
            Some(part) => is_named && part.id == so_far.id,
            None => !is_named,
        };
        if !is_of_it
            || so_far.last_trade_id.checked_add(1) != Some(trade.id)
            || (so_far.price, so_far.is_buyer_maker, so_far.trade_time_us)
                != (trade.price, trade.is_buyer_maker, trade.trade_time_us)
        {
            return None;
        }
        so_far.qty = so_far.qty.checked_add(trade.qty)?;
        so_far.event_time_us = trade.event_time_us;
        so_far.last_trade_id = trade.id;
        so_far.is_best_match &= trade.is_best_match;
        Some(Open {
            so_far,
            is_named,
            at_us,
        })
    }
}
