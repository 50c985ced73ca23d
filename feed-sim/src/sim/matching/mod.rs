//! The matching engine of one symbol: limit, market, cancel and replace under price-time priority.
//!
//! Resting orders stand in a slab, linked into one queue for each price level; the levels of a side stand sorted. So an
//! operation costs the logarithm of the number of levels, plus what it trades. Prices and quantities are mantissas.

mod half;
mod orders;
#[cfg(test)]
mod tests;

use depthcast_market::event::{Level, Side};

use half::Half;
use orders::{Order, Orders};

pub(super) use orders::OrderId;

/// How much a matching engine holds. What would pass a limit is refused before it does anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatchingLimits {
    /// Resting orders, both sides together.
    pub(super) orders_max: usize,
    /// Price levels a side.
    pub(super) levels_per_side_max: usize,
}

impl Default for MatchingLimits {
    /// 16,384 orders on 4,096 levels a side: ten times what the simulated order flow keeps resting. An order is 40 bytes and a
    /// level 32, so a full symbol is below 1 MB.
    fn default() -> Self {
        MatchingLimits {
            orders_max: 16_384,
            levels_per_side_max: 4_096,
        }
    }
}

/// What becomes of a limit order beyond what it trades at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeInForce {
    /// The rest of it rests.
    GoodTillCancelled,
    /// The rest of it is given up.
    ImmediateOrCancel,
    /// It only rests: if it would trade, it is refused.
    PostOnly,
}

/// Why an operation was refused. The fault is the one's who asked for it; the book is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// A price or quantity of zero or less.
    #[error("an order's price and quantity must be above zero, not {price} and {qty}")]
    NotPositive {
        /// Price mantissa as given.
        price: i64,
        /// Quantity mantissa as given.
        qty: i64,
    },
    /// No such order rests: it was filled or cancelled, or never was.
    #[error("the order does not rest in the book; it was filled or cancelled before")]
    UnknownOrder,
    /// A post-only order that would trade.
    #[error("a post-only order at {price} would trade with the best opposite price {best}")]
    WouldTrade {
        /// Price mantissa as given.
        price: i64,
        /// Best opposite price mantissa.
        best: i64,
    },
    /// As many orders rest as the limit allows.
    #[error("{0} orders rest, which is the limit; cancel some first")]
    OrdersFull(usize),
    /// The side has as many levels as the limit allows, and none at this price.
    #[error("the side has {0} price levels, which is the limit; use one of their prices")]
    LevelsFull(usize),
    /// The quantities at the price would no longer fit a mantissa.
    #[error("the quantity at price {price} would pass the largest mantissa")]
    LevelOverflow {
        /// Price mantissa as given.
        price: i64,
    },
}

/// A trade between the operation's order, the taker, and a resting one, the maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    /// The resting order, which is gone if it was filled in full.
    pub(super) maker: OrderId,
    /// The maker's price.
    pub(super) price: i64,
    /// The quantity traded.
    pub(super) qty: i64,
}

/// What came of one operation. Its vectors are reused from one operation to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The side of the order that the fills were made for.
    pub(super) taker: Option<Side>,
    /// Trades in the order in which they were made: best price first, oldest order first.
    pub(super) fills: Vec<Fill>,
    /// Bid levels whose quantity changed, best first, with their new quantities; zero where nothing is left.
    pub(super) bids: Vec<Level>,
    /// Ask levels, likewise.
    pub(super) asks: Vec<Level>,
}

impl Outcome {
    /// Whether the book is as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    fn clear(&mut self) {
        self.taker = None;
        self.fills.clear();
        self.bids.clear();
        self.asks.clear();
    }

    fn touched(&mut self, side: Side) -> &mut Vec<Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

/// The other side.
pub(super) fn opposite(side: Side) -> Side {
    match side {
        Side::Bid => Side::Ask,
        Side::Ask => Side::Bid,
    }
}

/// The order book of one symbol, every order of it.
///
/// Invariants: the best bid is below the best ask; a level's quantity is the sum of its orders' and above zero.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    limits: MatchingLimits,
    orders: Orders,
    bids: Half,
    asks: Half,
}

impl Matching {
    pub(super) fn new(limits: MatchingLimits) -> Matching {
        Matching {
            limits,
            orders: Orders::default(),
            bids: Half::new(Side::Bid),
            asks: Half::new(Side::Ask),
        }
    }

    /// Buys or sells `qty` at `price` or better. Gives the order's id if some of it rests.
    pub(super) fn limit(
        &mut self,
        side: Side,
        price: i64,
        qty: i64,
        time_in_force: TimeInForce,
        out: &mut Outcome,
    ) -> Result<Option<OrderId>, Refusal> {
        out.clear();
        check_positive(price, qty)?;
        let best = self.half(opposite(side)).best().map(|level| level.price);
        match time_in_force {
            TimeInForce::ImmediateOrCancel => {}
            TimeInForce::PostOnly if best.is_some_and(|best| crosses(side, price, best)) => {
                return Err(Refusal::WouldTrade {
                    price,
                    best: best.unwrap_or_default(),
                });
            }
            TimeInForce::PostOnly | TimeInForce::GoodTillCancelled => {
                if self.orders.len() >= self.limits.orders_max {
                    return Err(Refusal::OrdersFull(self.orders.len()));
                }
                self.check_room(side, price, qty, 0)?;
            }
        }
        let left = self.take(side, Some(price), qty, out);
        if left == 0 || time_in_force == TimeInForce::ImmediateOrCancel {
            return Ok(None);
        }
        let id = self.orders.insert(Order::new(side, price, left));
        self.rest(id, out);
        Ok(Some(id))
    }

    /// Buys or sells `qty` at whatever prices there are. What the other side does not have is given up.
    pub(super) fn market(&mut self, side: Side, qty: i64, out: &mut Outcome) -> Result<(), Refusal> {
        out.clear();
        check_positive(1, qty)?;
        self.take(side, None, qty, out);
        Ok(())
    }

    /// Takes an order out.
    pub(super) fn cancel(&mut self, id: OrderId, out: &mut Outcome) -> Result<(), Refusal> {
        out.clear();
        let side = self.orders.get(id).ok_or(Refusal::UnknownOrder)?.side;
        self.unrest(id, side, out);
        self.orders.remove(id);
        Ok(())
    }

    /// Gives an order another price and quantity; `qty` is what it has left from now on.
    ///
    /// It keeps its place only when the price is unchanged and the quantity is not raised. Otherwise it goes behind all
    /// others at its price, after it has traded with what the new price crosses. Gives the id, which stays the same, if some
    /// of it rests.
    pub(super) fn replace(
        &mut self,
        id: OrderId,
        price: i64,
        qty: i64,
        out: &mut Outcome,
    ) -> Result<Option<OrderId>, Refusal> {
        out.clear();
        check_positive(price, qty)?;
        let old = *self.orders.get(id).ok_or(Refusal::UnknownOrder)?;
        if price == old.price {
            if qty > old.qty {
                self.check_room(old.side, price, qty - old.qty, 0)?;
            }
            self.requantify(id, old, qty, out);
            return Ok(Some(id));
        }
        let frees_level = usize::from(self.orders.is_alone(id));
        self.check_room(old.side, price, qty, frees_level)?;
        self.unrest(id, old.side, out);
        let left = self.take(old.side, Some(price), qty, out);
        if left == 0 {
            self.orders.remove(id);
            return Ok(None);
        }
        self.orders.relabel(id, price, left);
        self.rest(id, out);
        out.touched(old.side)
            .sort_unstable_by_key(|level| std::cmp::Reverse(half::rank(old.side, level.price)));
        Ok(Some(id))
    }

    /// A resting order: its side, price and quantity.
    pub(super) fn order(&self, id: OrderId) -> Option<(Side, Level)> {
        let order = self.orders.get(id)?;
        Some((
            order.side,
            Level {
                price: order.price,
                qty: order.qty,
            },
        ))
    }

    /// How many orders rest.
    pub(super) fn order_count(&self) -> usize {
        self.orders.len()
    }

    /// How many places for orders there are, vacant ones included: at most the highest count of resting orders so far.
    pub(super) fn places(&self) -> u32 {
        self.orders.places()
    }

    /// The order at a place, for choosing one at random.
    pub(super) fn order_at(&self, place: u32) -> Option<OrderId> {
        self.orders.at(place)
    }

    /// The oldest order of the level that is `depth` levels behind the best of its side.
    pub(super) fn first_order(&self, side: Side, depth: usize) -> Option<OrderId> {
        self.half(side)
            .behind_best(depth)
            .map(|level| self.orders.id(level.first))
    }

    /// The youngest order of that level.
    pub(super) fn last_order(&self, side: Side, depth: usize) -> Option<OrderId> {
        self.half(side)
            .behind_best(depth)
            .map(|level| self.orders.id(level.last))
    }

    /// How many price levels a side has.
    pub(super) fn level_count(&self, side: Side) -> usize {
        self.half(side).len()
    }

    /// Whether an order of a side rests at a price.
    pub(super) fn has_level(&self, side: Side, price: i64) -> bool {
        self.half(side).qty_at(price).is_some()
    }

    /// The best level of a side.
    pub(super) fn best(&self, side: Side) -> Option<Level> {
        self.half(side).best()
    }

    /// The levels of a side, best first.
    pub(super) fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        self.half(side).best_first()
    }

    fn half(&self, side: Side) -> &Half {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn half_and_orders(&mut self, side: Side) -> (&mut Half, &mut Orders) {
        match side {
            Side::Bid => (&mut self.bids, &mut self.orders),
            Side::Ask => (&mut self.asks, &mut self.orders),
        }
    }

    /// Refuses what would not fit if all of it came to rest, whether or not it trades before.
    fn check_room(&self, side: Side, price: i64, qty: i64, levels_freed: usize) -> Result<(), Refusal> {
        let half = self.half(side);
        match half.qty_at(price) {
            Some(present) if present.checked_add(qty).is_none() => Err(Refusal::LevelOverflow { price }),
            None if half.len() - levels_freed >= self.limits.levels_per_side_max => {
                Err(Refusal::LevelsFull(half.len()))
            }
            _ => Ok(()),
        }
    }

    /// Trades up to `qty` against the other side, no worse than `price`. Gives what is left.
    fn take(&mut self, taker: Side, price: Option<i64>, qty: i64, out: &mut Outcome) -> i64 {
        out.taker = Some(taker);
        let maker = opposite(taker);
        let (half, orders) = self.half_and_orders(maker);
        let mut left = qty;
        while left > 0 {
            let Some(best) = half.best() else { break };
            if price.is_some_and(|price| !crosses(taker, price, best.price)) {
                break;
            }
            left = half.take_behind_best(orders, left, &mut out.fills);
            let qty_left = half
                .best()
                .filter(|level| level.price == best.price)
                .map_or(0, |level| level.qty);
            out.touched(maker).push(Level {
                price: best.price,
                qty: qty_left,
            });
        }
        left
    }

    /// Puts an order that stands in the slab behind the others at its price.
    fn rest(&mut self, id: OrderId, out: &mut Outcome) {
        let Some(&Order { side, .. }) = self.orders.get(id) else {
            return;
        };
        let (half, orders) = self.half_and_orders(side);
        let level = half.append(orders, id);
        out.touched(side).push(level);
    }

    /// Takes an order out of its level, but not out of the slab.
    fn unrest(&mut self, id: OrderId, side: Side, out: &mut Outcome) {
        let (half, orders) = self.half_and_orders(side);
        let level = half.unlink(orders, id);
        out.touched(side).push(level);
    }

    /// Changes the quantity of an order that stays at its price.
    fn requantify(&mut self, id: OrderId, old: Order, qty: i64, out: &mut Outcome) {
        let (half, orders) = self.half_and_orders(old.side);
        if qty > old.qty {
            half.unlink(orders, id);
            orders.relabel(id, old.price, qty);
            let level = half.append(orders, id);
            out.touched(old.side).push(level);
        } else if qty < old.qty {
            orders.relabel(id, old.price, qty);
            let level = half.reduce(old.price, old.qty - qty);
            out.touched(old.side).push(level);
        }
    }
}

fn check_positive(price: i64, qty: i64) -> Result<(), Refusal> {
    if price <= 0 || qty <= 0 {
        return Err(Refusal::NotPositive { price, qty });
    }
    Ok(())
}

/// Whether an order of `side` at `price` trades with an opposite one at `best`.
fn crosses(side: Side, price: i64, best: i64) -> bool {
    match side {
        Side::Bid => price >= best,
        Side::Ask => price <= best,
    }
}
