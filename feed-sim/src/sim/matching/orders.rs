//! The slab of a matching engine's orders, each a link in its level's queue.

use depthcast_market::event::Side;

/// No order: the end of a queue.
pub(super) const NONE: u32 = u32::MAX;

/// Names an order for as long as it rests, and no other order after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::sim) struct OrderId {
    place: u32,
    /// Counts the orders that the place has had; it would have to wrap around for an id to name another order.
    generation: u32,
}

impl OrderId {
    pub(super) fn place(self) -> u32 {
        self.place
    }
}

/// An order and its neighbours in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) price: i64,
    /// What is left of it; zero in a vacant place.
    pub(super) qty: i64,
    generation: u32,
    pub(super) previous: u32,
    /// In a vacant place: the next vacant one.
    pub(super) next: u32,
    pub(super) side: Side,
}

impl Order {
    pub(super) fn new(side: Side, price: i64, qty: i64) -> Order {
        Order {
            price,
            qty,
            generation: 0,
            previous: NONE,
            next: NONE,
            side,
        }
    }
}

/// The orders by place.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    places: Vec<Order>,
    vacant: u32,
    len: usize,
}

impl Default for Orders {
    fn default() -> Self {
        Orders {
            places: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Adds an order, which is in no queue yet.
    pub(super) fn insert(&mut self, order: Order) -> OrderId {
        self.len += 1;
        let place = self.vacant;
        if place == NONE {
            let place = self.places();
            self.places.push(order);
            return self.id(place);
        }
        let slot = &mut self.places[place as usize];
        self.vacant = slot.next;
        let generation = slot.generation.wrapping_add(1);
        *slot = Order { generation, ..order };
        self.id(place)
    }

    /// Gives up the place of an order that is in no queue any more.
    pub(super) fn remove(&mut self, id: OrderId) {
        if self.get(id).is_some() {
            let vacant = self.vacant;
            let slot = &mut self.places[id.place as usize];
            slot.qty = 0;
            slot.next = vacant;
            self.vacant = id.place;
            self.len -= 1;
        }
    }

    pub(super) fn get(&self, id: OrderId) -> Option<&Order> {
        self.places
            .get(id.place as usize)
            .filter(|order| order.generation == id.generation && order.qty > 0)
    }

    /// The id of the order at a place that has one.
    pub(super) fn id(&self, place: u32) -> OrderId {
        OrderId {
            place,
            generation: self.places[place as usize].generation,
        }
    }

    pub(super) fn at(&self, place: u32) -> Option<OrderId> {
        let order = self.places.get(place as usize)?;
        (order.qty > 0).then(|| self.id(place))
    }

    /// Whether the order is the only one of its queue.
    pub(super) fn is_alone(&self, id: OrderId) -> bool {
        self.get(id)
            .is_some_and(|order| order.previous == NONE && order.next == NONE)
    }

    /// Changes price and quantity; the queues are the caller's.
    pub(super) fn relabel(&mut self, id: OrderId, price: i64, qty: i64) {
        let order = self.link(id.place);
        order.price = price;
        order.qty = qty;
    }

    /// The order at a place known to have one.
    pub(super) fn link(&mut self, place: u32) -> &mut Order {
        &mut self.places[place as usize]
    }
}
