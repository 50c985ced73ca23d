//! Random sequences of operations against a model that is right at sight: a list of orders, searched from end to end.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMITS: MatchingLimits = MatchingLimits {
    orders_max: 12,
    levels_per_side_max: 5,
};

#[derive(Clone, Copy, Debug)]
enum Operation {
    Limit(Side, i64, i64, TimeInForce),
    Market(Side, i64),
    /// Of the order that was accepted so many orders ago.
    Cancel(usize),
    Replace(usize, i64, i64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    let time_in_force = prop_oneof![
        4 => Just(TimeInForce::GoodTillCancelled),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::PostOnly),
    ];
    let (price, qty) = (95..106i64, 1..10i64);
    prop_oneof![
        6 => (side.clone(), price.clone(), qty.clone(), time_in_force)
            .prop_map(|(side, price, qty, tif)| Operation::Limit(side, price, qty, tif)),
        1 => (side, 1..25i64).prop_map(|(side, qty)| Operation::Market(side, qty)),
        2 => (0..16usize).prop_map(Operation::Cancel),
        3 => (0..16usize, price, qty).prop_map(|(ago, price, qty)| Operation::Replace(ago, price, qty)),
    ]
}

/// An order of the model; which came first shows in `arrival`.
#[derive(Clone, Copy, Debug)]
struct Resting {
    number: usize,
    side: Side,
    price: i64,
    qty: i64,
    arrival: usize,
}

/// What the model says came of an operation: fills as (maker's number, price, quantity), or that it was refused.
type Answer = Result<Vec<(usize, i64, i64)>, ()>;

#[derive(Default)]
struct Model {
    orders: Vec<Resting>,
    arrivals: usize,
}

impl Model {
    fn levels(&self, side: Side) -> Vec<(i64, i64)> {
        let mut levels: Vec<(i64, i64)> = Vec::new();
        let mut orders: Vec<_> = self.orders.iter().filter(|order| order.side == side).collect();
        orders.sort_by_key(|order| -half::rank(side, order.price));
        for order in orders {
            match levels.last_mut() {
                Some((price, qty)) if *price == order.price => *qty += order.qty,
                _ => levels.push((order.price, order.qty)),
            }
        }
        levels
    }

    fn has_room(&self, side: Side, price: i64) -> bool {
        let levels = self.levels(side);
        levels.iter().any(|level| level.0 == price) || levels.len() < LIMITS.levels_per_side_max
    }

    fn take(&mut self, taker: Side, price: Option<i64>, qty: &mut i64) -> Vec<(usize, i64, i64)> {
        let maker = opposite(taker);
        let mut fills = Vec::new();
        while *qty > 0 {
            let best = self
                .orders
                .iter_mut()
                .filter(|order| order.side == maker)
                .filter(|order| price.is_none_or(|price| crosses(taker, price, order.price)))
                .min_by_key(|order| (-half::rank(maker, order.price), order.arrival));
            let Some(order) = best else { break };
            let traded = order.qty.min(*qty);
            order.qty -= traded;
            *qty -= traded;
            fills.push((order.number, order.price, traded));
            self.orders.retain(|order| order.qty > 0);
        }
        fills
    }

    fn rest(&mut self, number: usize, side: Side, price: i64, qty: i64) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.orders.push(Resting {
            number,
            side,
            price,
            qty,
            arrival,
        });
    }

    fn limit(&mut self, number: usize, side: Side, price: i64, qty: i64, tif: TimeInForce) -> Answer {
        let would_trade = self
            .orders
            .iter()
            .any(|order| order.side == opposite(side) && crosses(side, price, order.price));
        let may_rest = tif != TimeInForce::ImmediateOrCancel;
        let no_room = self.orders.len() == LIMITS.orders_max || !self.has_room(side, price);
        if (tif == TimeInForce::PostOnly && would_trade) || (may_rest && no_room) {
            return Err(());
        }
        let mut left = qty;
        let fills = self.take(side, Some(price), &mut left);
        if left > 0 && may_rest {
            self.rest(number, side, price, left);
        }
        Ok(fills)
    }

    fn replace(&mut self, number: usize, price: i64, qty: i64) -> Answer {
        let at = self
            .orders
            .iter()
            .position(|order| order.number == number)
            .ok_or(())?;
        let old = self.orders[at];
        if price == old.price && qty <= old.qty {
            self.orders[at].qty = qty;
            return Ok(Vec::new());
        }
        self.orders.remove(at);
        if !self.has_room(old.side, price) {
            self.orders.insert(at, old);
            return Err(());
        }
        let mut left = qty;
        let fills = self.take(old.side, Some(price), &mut left);
        if left > 0 {
            self.rest(number, old.side, price, left);
        }
        Ok(fills)
    }

    fn cancel(&mut self, number: usize) -> Answer {
        let before = self.orders.len();
        self.orders.retain(|order| order.number != number);
        if self.orders.len() < before {
            Ok(Vec::new())
        } else {
            Err(())
        }
    }
}

/// The engine beside the model; orders are numbered as they are accepted.
struct Pair {
    book: Matching,
    out: Outcome,
    model: Model,
    ids: Vec<OrderId>,
    numbers: HashMap<OrderId, usize>,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            book: Matching::new(LIMITS),
            out: Outcome::default(),
            model: Model::default(),
            ids: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Does the same on both and gives both answers, or nothing where there is no such order yet.
    fn operate(&mut self, operation: Operation) -> Option<(Answer, Answer)> {
        let chosen = |ago: usize, ids: &[OrderId]| ids.len().checked_sub(1 + ago);
        let out = &mut self.out;
        let (engine, model) = match operation {
            Operation::Limit(side, price, qty, tif) => {
                let answer = self.book.limit(side, price, qty, tif, out);
                let model = self.model.limit(self.ids.len(), side, price, qty, tif);
                if let Ok(Some(id)) = answer {
                    self.numbers.insert(id, self.ids.len());
                    self.ids.push(id);
                }
                (answer.map(|_| ()), model)
            }
            Operation::Market(side, qty) => {
                let mut left = qty;
                let answer = self.book.market(side, qty, out);
                (answer, Ok(self.model.take(side, None, &mut left)))
            }
            Operation::Cancel(ago) => {
                let number = chosen(ago, &self.ids)?;
                (self.book.cancel(self.ids[number], out), self.model.cancel(number))
            }
            Operation::Replace(ago, price, qty) => {
                let number = chosen(ago, &self.ids)?;
                let answer = self.book.replace(self.ids[number], price, qty, out);
                (answer.map(|_| ()), self.model.replace(number, price, qty))
            }
        };
        let numbers = &self.numbers;
        let fills = |out: &Outcome| {
            out.fills
                .iter()
                .map(|fill| (numbers[&fill.maker], fill.price, fill.qty))
                .collect()
        };
        Some((engine.map(|()| fills(&self.out)).map_err(|_| ()), model))
    }

    /// Applies what the outcome says to levels as they were before, as a subscriber would.
    fn told(&self, side: Side, before: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let changes = match side {
            Side::Bid => &self.out.bids,
            Side::Ask => &self.out.asks,
        };
        let mut levels: Vec<(i64, i64)> = before.to_vec();
        for change in changes {
            levels.retain(|level| level.0 != change.price);
            levels.push((change.price, change.qty));
        }
        levels.retain(|level| level.1 > 0);
        levels.sort_by_key(|level| -half::rank(side, level.0));
        levels
    }
}

fn volume(book: &Matching) -> i64 {
    [Side::Bid, Side::Ask]
        .into_iter()
        .flat_map(|side| book.levels(side).map(|level| level.qty).collect::<Vec<_>>())
        .sum()
}

fn check_outcome(out: &Outcome, before: [&[(i64, i64)]; 2]) -> Result<(), TestCaseError> {
    for ((side, changes), before) in [(Side::Bid, &out.bids), (Side::Ask, &out.asks)]
        .into_iter()
        .zip(before)
    {
        for pair in changes.windows(2) {
            prop_assert!(
                half::rank(side, pair[0].price) > half::rank(side, pair[1].price),
                "best first, once each"
            );
        }
        for change in changes {
            let was = before
                .iter()
                .find(|level| level.0 == change.price)
                .map_or(0, |level| level.1);
            prop_assert_ne!(change.qty, was, "only what changed is told");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn does_what_the_model_does(operations in vec(operation(), 1..120)) {
        let mut pair = Pair::new();
        for operation in operations {
            let (bids, asks) = (levels(&pair.book, Side::Bid), levels(&pair.book, Side::Ask));
            let volume_before = volume(&pair.book);
            let Some((engine, model)) = pair.operate(operation) else { continue };
            prop_assert_eq!(&engine, &model, "{:?}", operation);
            if engine.is_err() {
                prop_assert!(pair.out.is_unchanged() && pair.out.fills.is_empty());
            }
            for side in [Side::Bid, Side::Ask] {
                prop_assert_eq!(levels(&pair.book, side), pair.model.levels(side));
            }
            prop_assert_eq!(pair.told(Side::Bid, &bids), levels(&pair.book, Side::Bid));
            prop_assert_eq!(pair.told(Side::Ask, &asks), levels(&pair.book, Side::Ask));
            check_outcome(&pair.out, [&bids, &asks])?;
            if let (Some(bid), Some(ask)) = (pair.book.best(Side::Bid), pair.book.best(Side::Ask)) {
                prop_assert!(bid.price < ask.price, "crossed");
            }
            if let (Operation::Market(..), Ok(fills)) = (operation, &engine) {
                let traded: i64 = fills.iter().map(|fill| fill.2).sum();
                prop_assert_eq!(volume_before - volume(&pair.book), traded);
            }
            prop_assert_eq!(pair.book.order_count(), pair.model.orders.len());
            let found = (0..pair.book.places()).filter_map(|place| pair.book.order_at(place)).count();
            prop_assert_eq!(found, pair.book.order_count());
        }
    }
}
