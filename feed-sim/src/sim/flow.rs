//! The order flow of one symbol: a fair value that wanders, and people who quote around it, change their minds and trade.
//!
//! The counts find their own level: the more orders rest, the more of the actions are cancels; new orders far from the best
//! price go to the side that has fewer levels; and whoever acts near it leans towards the fair value. Near the best price
//! orders are many and short-lived, and far from it they are sparse, as in a real book.

use depthcast_market::event::Side;

use super::draw::{Draw, WHOLE};
use super::listings::Terms;
use super::matching::{Matching, OrderId, Outcome, Refusal, TimeInForce, opposite};

/// How many orders rest, about which the number of orders swings: some 250 levels a side.
const ORDERS_USUAL: i64 = 800;

/// Of a side with no more levels than this, nothing is taken or cancelled: it would run empty.
const LEVELS_MIN: usize = 40;

/// The most levels that one market order reaches, so that it never empties a side.
const SWEEP_LEVELS_MAX: usize = 12;

/// How far a market order goes from the best price; whoever sends it would wait rather than pay more.
const SWEEP_TICKS_MAX: i64 = 24;

// A side keeps levels whatever comes.
const _: () = assert!(SWEEP_LEVELS_MAX < LEVELS_MIN);

/// A spread of more ticks than this invites quotes.
const SPREAD_USUAL_MAX: i64 = 2;

/// How often an action that changes nothing is drawn again.
const TRIES_MAX: usize = 16;

/// Parts of [`WHOLE`] that are market orders, in quiet times and in bursts.
const TAKES: u32 = 100;
const TAKES_IN_BURSTS: u32 = 240;

/// Parts that are replaces.
const REPLACES: u32 = 80;

/// Parts of the new orders, and of the cancels, that are near the best price.
const NEAR_ADDS: u32 = 300;
const NEAR_CANCELS: u32 = 300;

/// Orders far from the best price are 2 to this power ticks away, or more.
const FAR_OCTAVE_MIN: u64 = 6;

/// A burst begins in one of so many steps, and lasts up to so many.
const BURST_ODDS: u64 = 4_000;
const BURST_STEPS_MAX: u64 = 400;

/// The fair value counts 256 to the tick.
const FAIR_BITS: u32 = 8;

/// What an order is worth at least, in units of 10^-16: 50.
const WORTH_MIN: i128 = 500_000_000_000_000_000;

/// Where the orders of one symbol come from.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    draw: Draw,
    tick_size: i64,
    lot_size: i64,
    /// The least order in lots.
    unit_lots: u64,
    /// In 1/256 ticks; within half and one and a half of the first price.
    fair: i64,
    first_fair: i64,
    /// The octaves that orders far from the best price are spread over.
    octaves: u32,
    burst_steps_left: u64,
}

impl Flow {
    pub(super) fn new(draw: Draw, terms: &Terms) -> Flow {
        let ticks = terms.first_price / terms.tick_size;
        let lot_worth = i128::from(terms.first_price) * i128::from(terms.lot_size);
        let fair = ticks << FAIR_BITS;
        Flow {
            draw,
            tick_size: terms.tick_size,
            lot_size: terms.lot_size,
            unit_lots: (WORTH_MIN / lot_worth).max(1) as u64,
            fair,
            first_fair: fair,
            // The fair value never halves, so a quarter of the first price away from it is still above zero.
            octaves: (ticks / 4).ilog2().min(11),
            burst_steps_left: 0,
        }
    }

    /// The time until the symbol's next step, when they are `mean_us` apart on average.
    pub(super) fn waiting_us(&mut self, mean_us: u64) -> i64 {
        self.draw.waiting(mean_us) as i64
    }

    /// Fills an empty book to its usual size.
    pub(super) fn fill(&mut self, book: &mut Matching, out: &mut Outcome) {
        let ticks = self.fair >> FAIR_BITS;
        for (side, ticks) in [(Side::Bid, ticks), (Side::Ask, ticks + 1)] {
            let qty = self.size(4);
            let _ = book.limit(
                side,
                ticks * self.tick_size,
                qty,
                TimeInForce::GoodTillCancelled,
                out,
            );
        }
        for _ in 0..ORDERS_USUAL {
            let _ = if self.draw.chance(WHOLE / 8) {
                self.add_near(book, out)
            } else {
                self.add_far(book, out)
            };
        }
    }

    /// Does one thing that changes the book.
    pub(super) fn act(&mut self, book: &mut Matching, out: &mut Outcome) {
        self.wander();
        for _ in 0..TRIES_MAX {
            let tried = self.try_to_act(book, out);
            if tried.is_ok() && !out.is_unchanged() {
                return;
            }
        }
        self.join_best(book, out);
    }

    /// Moves the fair value: a few hundredths of a tick in quiet times, more in bursts.
    fn wander(&mut self) {
        let burst = self.burst_steps_left > 0;
        if burst {
            self.burst_steps_left -= 1;
        } else if self.draw.below(BURST_ODDS) == 0 {
            self.burst_steps_left = 1 + self.draw.below(BURST_STEPS_MAX);
        }
        let stride = if burst { 40 } else { 12 };
        let moved = self.fair + self.draw.deviation() * stride;
        if (self.first_fair / 2..=self.first_fair / 2 * 3).contains(&moved) {
            self.fair = moved;
        }
    }

    fn try_to_act(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        if self.spread_ticks(book) > SPREAD_USUAL_MAX && self.draw.chance(WHOLE / 2) {
            return self.add_close(book, out);
        }
        let takes = if self.burst_steps_left > 0 {
            TAKES_IN_BURSTS
        } else {
            TAKES
        };
        let drawn = self.draw.below(u64::from(WHOLE)) as u32;
        if drawn < takes {
            return self.take(book, out);
        }
        if drawn < takes + REPLACES {
            return self.replace(book, out);
        }
        let missing = ORDERS_USUAL - book.order_count() as i64;
        let adds = (512 + 2 * missing).clamp(64, 960) as u32;
        if self.draw.chance(adds) {
            if self.draw.chance(NEAR_ADDS) {
                self.add_near(book, out)
            } else {
                self.add_far(book, out)
            }
        } else {
            self.cancel(book, out)
        }
    }

    /// A side, the more often bids the farther the fair value is above the middle of the book.
    fn leaning_side(&mut self, book: &Matching) -> Side {
        let middle = match (book.best(Side::Bid), book.best(Side::Ask)) {
            (Some(bid), Some(ask)) => {
                (bid.price / self.tick_size + ask.price / self.tick_size) << (FAIR_BITS - 1)
            }
            _ => self.fair,
        };
        // A distance of four ticks or more leaves one in eight against it.
        let lean = ((self.fair - middle) * 3 / 8).clamp(-384, 384);
        if self.draw.chance((512 + lean) as u32) {
            Side::Bid
        } else {
            Side::Ask
        }
    }

    /// A price `distance` ticks behind the fair value, or behind the best that does not trade where that is worse.
    fn price_behind(&self, book: &Matching, side: Side, distance: u64) -> i64 {
        let ticks = |side| book.best(side).map(|level| level.price / self.tick_size);
        let fair = self.fair >> FAIR_BITS;
        let distance = distance as i64;
        let ticks = match side {
            Side::Bid => ticks(Side::Ask).map_or(fair, |ask| fair.min(ask - 1)) - distance,
            Side::Ask => ticks(Side::Bid).map_or(fair + 1, |bid| (fair + 1).max(bid + 1)) + distance,
        };
        ticks.max(1) * self.tick_size
    }

    fn spread_ticks(&self, book: &Matching) -> i64 {
        match (book.best(Side::Bid), book.best(Side::Ask)) {
            (Some(bid), Some(ask)) => (ask.price - bid.price) / self.tick_size,
            _ => i64::MAX,
        }
    }

    fn size(&mut self, doublings_max: u32) -> i64 {
        self.draw.heavy_tailed(self.unit_lots, doublings_max) as i64 * self.lot_size
    }

    fn add(
        &mut self,
        book: &mut Matching,
        side: Side,
        distance: u64,
        doublings_max: u32,
        out: &mut Outcome,
    ) -> Result<(), Refusal> {
        let price = self.price_behind(book, side, distance);
        let qty = self.size(doublings_max);
        book.limit(side, price, qty, TimeInForce::PostOnly, out)?;
        Ok(())
    }

    /// Quotes within a spread that has grown wide.
    fn add_close(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let side = self.leaning_side(book);
        let distance = u64::from(self.draw.geometric(1, 8));
        self.add(book, side, distance, 5, out)
    }

    fn add_near(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let side = self.leaning_side(book);
        let distance = u64::from(self.draw.geometric(4, 64));
        self.add(book, side, distance, 5, out)
    }

    /// Each octave of distance gets as many orders.
    fn add_far(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let (bids, asks) = (book.level_count(Side::Bid), book.level_count(Side::Ask));
        let side = if self.draw.below((bids + asks).max(1) as u64) < asks as u64 {
            Side::Bid
        } else {
            Side::Ask
        };
        let octave = FAR_OCTAVE_MIN + self.draw.below(u64::from(self.octaves) - FAR_OCTAVE_MIN);
        let mut distance = (1 << octave) + self.draw.below(1 << octave);
        // Far away there is room to be alone at a price, which most are.
        if book.has_level(side, self.price_behind(book, side, distance)) {
            distance = (1 << octave) + self.draw.below(1 << octave);
        }
        self.add(book, side, distance, 8, out)
    }

    /// An order near the best price, the oldest or the youngest of its level.
    fn near_order(&mut self, book: &Matching, side: Side) -> Option<OrderId> {
        let depth = self.draw.geometric(4, 64) as usize;
        if self.draw.chance(WHOLE / 2) {
            book.first_order(side, depth)
        } else {
            book.last_order(side, depth)
        }
    }

    /// Any order, all of them equally likely; none if a vacant place was hit.
    fn any_order(&mut self, book: &Matching) -> Option<OrderId> {
        let place = self.draw.below(u64::from(book.places()).max(1));
        book.order_at(place as u32)
    }

    fn cancel(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let id = if self.draw.chance(NEAR_CANCELS) {
            // Who quotes on the side that the fair value moves towards is in a hurry to leave.
            let side = opposite(self.leaning_side(book));
            self.near_order(book, side)
        } else {
            self.any_order(book)
        };
        let id = id.ok_or(Refusal::UnknownOrder)?;
        let (side, _) = book.order(id).ok_or(Refusal::UnknownOrder)?;
        if book.level_count(side) <= LEVELS_MIN {
            return Err(Refusal::UnknownOrder);
        }
        book.cancel(id, out)
    }

    fn replace(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let side = self.leaning_side(book);
        let id = if self.draw.chance(WHOLE / 2) {
            self.near_order(book, side)
        } else {
            self.any_order(book)
        };
        let id = id.ok_or(Refusal::UnknownOrder)?;
        let (side, level) = book.order(id).ok_or(Refusal::UnknownOrder)?;
        if book.level_count(opposite(side)) <= LEVELS_MIN {
            return Err(Refusal::UnknownOrder);
        }
        let qty = self.size(5);
        if self.draw.chance(WHOLE / 2) {
            book.replace(id, level.price, qty, out)?;
        } else {
            let ticks = 1 + i64::from(self.draw.geometric(1, 4));
            let better = if side == Side::Bid { ticks } else { -ticks };
            let price = level.price + better * self.tick_size;
            book.replace(id, price, qty.min(level.qty), out)?;
        }
        Ok(())
    }

    fn take(&mut self, book: &mut Matching, out: &mut Outcome) -> Result<(), Refusal> {
        let side = self.leaning_side(book);
        let maker = opposite(side);
        if book.level_count(maker) <= LEVELS_MIN {
            return Err(Refusal::UnknownOrder);
        }
        let wanted = 2 * self.size(8);
        let mut there = 0;
        let mut best = None;
        for level in book.levels(maker).take(SWEEP_LEVELS_MAX) {
            let distance = (level.price - *best.get_or_insert(level.price)).abs();
            if there >= wanted || distance > SWEEP_TICKS_MAX * self.tick_size {
                break;
            }
            there += level.qty;
        }
        book.market(side, wanted.min(there), out)
    }

    /// What is always possible: a little more at the best bid. Orders are never so many that one more is refused.
    fn join_best(&mut self, book: &mut Matching, out: &mut Outcome) {
        let price = book.best(Side::Bid).map_or(self.tick_size, |level| level.price);
        let qty = self.unit_lots as i64 * self.lot_size;
        let _ = book.limit(Side::Bid, price, qty, TimeInForce::PostOnly, out);
    }
}
