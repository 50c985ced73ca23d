//! One side of a matching engine: price levels, each a queue of orders from the oldest to the youngest.

use depthcast_market::event::{Level, Side};

use super::Fill;
use super::orders::{NONE, OrderId, Orders};

/// A price, negated for asks, so that on both sides a higher rank is a better price.
pub(super) fn rank(side: Side, price: i64) -> i64 {
    match side {
        Side::Bid => price,
        Side::Ask => -price,
    }
}

/// The orders at one price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    rank: i64,
    /// The sum of its orders' quantities.
    qty: i64,
    /// The place of the oldest order, which trades first.
    pub(super) first: u32,
    /// The place of the youngest.
    pub(super) last: u32,
}

/// The bids or the asks.
#[derive(Clone, Debug)]
pub(super) struct Half {
    side: Side,
    /// Invariant: ranks rise strictly, so the best queue is the last, near which most changes happen.
    queues: Vec<Queue>,
}

impl Half {
    pub(super) fn new(side: Side) -> Half {
        Half {
            side,
            queues: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn best(&self) -> Option<Level> {
        self.queues.last().map(|queue| self.level(queue))
    }

    pub(super) fn best_first(&self) -> impl Iterator<Item = Level> {
        self.queues.iter().rev().map(|queue| self.level(queue))
    }

    /// The queue that is `depth` queues behind the best.
    pub(super) fn behind_best(&self, depth: usize) -> Option<&Queue> {
        self.queues.iter().nth_back(depth)
    }

    pub(super) fn qty_at(&self, price: i64) -> Option<i64> {
        let at = self.find(price).ok()?;
        Some(self.queues[at].qty)
    }

    /// Puts an order, whose price and quantity stand in the slab, behind the others at its price. Gives the level.
    pub(super) fn append(&mut self, orders: &mut Orders, id: OrderId) -> Level {
        let place = id.place();
        let order = orders.link(place);
        let (price, qty) = (order.price, order.qty);
        order.next = NONE;
        order.previous = NONE;
        match self.find(price) {
            Ok(at) => {
                let queue = &mut self.queues[at];
                order.previous = queue.last;
                orders.link(queue.last).next = place;
                queue.last = place;
                queue.qty += qty;
                self.level(&self.queues[at])
            }
            Err(at) => {
                let rank = rank(self.side, price);
                let (first, last) = (place, place);
                self.queues.insert(
                    at,
                    Queue {
                        rank,
                        qty,
                        first,
                        last,
                    },
                );
                Level { price, qty }
            }
        }
    }

    /// Takes an order out of its queue. Gives the level, with a quantity of zero when it is gone.
    pub(super) fn unlink(&mut self, orders: &mut Orders, id: OrderId) -> Level {
        let place = id.place();
        let order = *orders.link(place);
        let at = self.expect(order.price);
        let queue = &mut self.queues[at];
        queue.qty -= order.qty;
        match order.previous {
            NONE => queue.first = order.next,
            previous => orders.link(previous).next = order.next,
        }
        match order.next {
            NONE => queue.last = order.previous,
            next => orders.link(next).previous = order.previous,
        }
        let level = self.level(&self.queues[at]);
        if level.qty == 0 {
            self.queues.remove(at);
        }
        level
    }

    /// Lowers the quantity at a price, whose order has been lowered in the slab. Gives the level.
    pub(super) fn reduce(&mut self, price: i64, by: i64) -> Level {
        let at = self.expect(price);
        self.queues[at].qty -= by;
        self.level(&self.queues[at])
    }

    /// Trades up to `qty` with the best queue, oldest order first. Gives what is left.
    pub(super) fn take_behind_best(&mut self, orders: &mut Orders, qty: i64, fills: &mut Vec<Fill>) -> i64 {
        let mut left = qty;
        let Some(queue) = self.queues.last_mut() else {
            return left;
        };
        while left > 0 && queue.qty > 0 {
            let maker = orders.id(queue.first);
            let order = orders.link(queue.first);
            let qty = left.min(order.qty);
            fills.push(Fill {
                maker,
                price: order.price,
                qty,
            });
            left -= qty;
            queue.qty -= qty;
            if qty < order.qty {
                order.qty -= qty;
                break;
            }
            queue.first = order.next;
            orders.remove(maker);
            if queue.first != NONE {
                orders.link(queue.first).previous = NONE;
            }
        }
        if queue.qty == 0 {
            self.queues.pop();
        }
        left
    }

    fn find(&self, price: i64) -> Result<usize, usize> {
        let rank = rank(self.side, price);
        self.queues.binary_search_by_key(&rank, |queue| queue.rank)
    }

    fn expect(&self, price: i64) -> usize {
        self.find(price).expect("a resting order's price has a queue")
    }

    fn level(&self, queue: &Queue) -> Level {
        Level {
            price: rank(self.side, queue.rank),
            qty: queue.qty,
        }
    }
}
