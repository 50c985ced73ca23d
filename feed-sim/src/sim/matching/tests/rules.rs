//! One test for each rule.

use super::super::TimeInForce::{GoodTillCancelled, ImmediateOrCancel, PostOnly};
use super::*;

/// A book and what its last operation did.
struct Desk {
    book: Matching,
    out: Outcome,
}

impl Desk {
    fn new() -> Desk {
        Desk::with_limits(MatchingLimits::default())
    }

    fn with_limits(limits: MatchingLimits) -> Desk {
        Desk {
            book: Matching::new(limits),
            out: Outcome::default(),
        }
    }

    fn try_limit(&mut self, side: Side, price: i64, qty: i64) -> Result<Option<OrderId>, Refusal> {
        self.book
            .limit(side, price, qty, GoodTillCancelled, &mut self.out)
    }

    /// A limit order of which some rests.
    fn rests(&mut self, side: Side, price: i64, qty: i64) -> OrderId {
        self.try_limit(side, price, qty).unwrap().expect("it rests")
    }

    fn fills(&self) -> Vec<(OrderId, i64, i64)> {
        self.out
            .fills
            .iter()
            .map(|fill| (fill.maker, fill.price, fill.qty))
            .collect()
    }
}

#[test]
fn the_best_price_trades_first_and_at_one_price_the_oldest() {
    let mut desk = Desk::new();
    let old = desk.rests(Side::Ask, 101, 5);
    let best = desk.rests(Side::Ask, 100, 2);
    let young = desk.rests(Side::Ask, 101, 5);
    let filled = desk.try_limit(Side::Bid, 101, 9).unwrap();
    assert_eq!(filled, None);
    assert_eq!(desk.out.taker, Some(Side::Bid));
    assert_eq!(desk.fills(), [(best, 100, 2), (old, 101, 5), (young, 101, 2)]);
    assert_eq!(pairs(&desk.out.asks), [(100, 0), (101, 3)]);
    assert!(desk.out.bids.is_empty());
    assert_eq!(levels(&desk.book, Side::Ask), [(101, 3)]);
}

#[test]
fn the_rest_of_a_limit_order_rests_at_its_price() {
    let mut desk = Desk::new();
    desk.rests(Side::Bid, 99, 4);
    desk.rests(Side::Bid, 98, 4);
    let id = desk.rests(Side::Ask, 99, 10);
    assert_eq!(pairs(&desk.out.bids), [(99, 0)]);
    assert_eq!(pairs(&desk.out.asks), [(99, 6)]);
    assert_eq!(
        desk.book.order(id),
        Some((Side::Ask, Level { price: 99, qty: 6 }))
    );
    assert_eq!(desk.book.best(Side::Bid).unwrap().price, 98);
}

#[test]
fn immediate_or_cancel_never_rests_and_post_only_never_trades() {
    let mut desk = Desk::new();
    desk.rests(Side::Ask, 100, 1);
    let refused = desk.book.limit(Side::Bid, 100, 5, PostOnly, &mut desk.out);
    assert_eq!(
        refused,
        Err(Refusal::WouldTrade {
            price: 100,
            best: 100
        })
    );
    assert!(desk.out.is_unchanged());
    let posted = desk.book.limit(Side::Bid, 99, 5, PostOnly, &mut desk.out);
    assert!(posted.unwrap().is_some());
    let taken = desk
        .book
        .limit(Side::Bid, 100, 5, ImmediateOrCancel, &mut desk.out);
    assert_eq!(taken, Ok(None));
    assert_eq!(levels(&desk.book, Side::Ask), []);
    assert_eq!(levels(&desk.book, Side::Bid), [(99, 5)]);
    let nothing = desk
        .book
        .limit(Side::Bid, 100, 5, ImmediateOrCancel, &mut desk.out);
    assert_eq!(nothing, Ok(None));
    assert!(desk.out.is_unchanged());
}

#[test]
fn a_market_order_takes_what_there_is() {
    let mut desk = Desk::new();
    desk.rests(Side::Bid, 99, 3);
    desk.rests(Side::Bid, 97, 3);
    desk.book.market(Side::Ask, 4, &mut desk.out).unwrap();
    assert_eq!(pairs(&desk.out.bids), [(99, 0), (97, 2)]);
    desk.book.market(Side::Ask, 100, &mut desk.out).unwrap();
    assert_eq!(pairs(&desk.out.bids), [(97, 0)]);
    assert_eq!(desk.book.order_count(), 0);
    desk.book.market(Side::Ask, 1, &mut desk.out).unwrap();
    assert!(desk.out.is_unchanged() && desk.out.fills.is_empty());
}

#[test]
fn a_cancelled_order_is_gone_and_its_id_names_nothing_after_it() {
    let mut desk = Desk::new();
    let first = desk.rests(Side::Bid, 99, 3);
    desk.rests(Side::Bid, 99, 4);
    desk.book.cancel(first, &mut desk.out).unwrap();
    assert_eq!(pairs(&desk.out.bids), [(99, 4)]);
    let heir = desk.rests(Side::Bid, 98, 1);
    assert_ne!(heir, first);
    assert_eq!(desk.book.cancel(first, &mut desk.out), Err(Refusal::UnknownOrder));
    assert_eq!(
        desk.book.replace(first, 98, 1, &mut desk.out),
        Err(Refusal::UnknownOrder)
    );
    desk.book.market(Side::Ask, 4, &mut desk.out).unwrap();
    desk.book.cancel(heir, &mut desk.out).unwrap();
    assert_eq!(pairs(&desk.out.bids), [(98, 0)]);
    assert_eq!(desk.book.cancel(heir, &mut desk.out), Err(Refusal::UnknownOrder));
}

#[test]
fn lowering_the_quantity_keeps_the_place_and_raising_it_loses_it() {
    let mut desk = Desk::new();
    let a = desk.rests(Side::Ask, 100, 5);
    let b = desk.rests(Side::Ask, 100, 5);
    assert_eq!(desk.book.replace(a, 100, 2, &mut desk.out), Ok(Some(a)));
    assert_eq!(pairs(&desk.out.asks), [(100, 7)]);
    desk.book.market(Side::Bid, 1, &mut desk.out).unwrap();
    assert_eq!(desk.fills(), [(a, 100, 1)]);
    assert_eq!(desk.book.replace(a, 100, 3, &mut desk.out), Ok(Some(a)));
    assert_eq!(pairs(&desk.out.asks), [(100, 8)]);
    desk.book.market(Side::Bid, 6, &mut desk.out).unwrap();
    assert_eq!(desk.fills(), [(b, 100, 5), (a, 100, 1)]);
    assert_eq!(desk.book.replace(a, 100, 2, &mut desk.out), Ok(Some(a)));
    assert!(
        desk.out.is_unchanged(),
        "the same price and quantity change nothing"
    );
}

#[test]
fn another_price_goes_to_the_back_there_and_may_trade() {
    let mut desk = Desk::new();
    let mover = desk.rests(Side::Bid, 97, 5);
    let there = desk.rests(Side::Bid, 98, 1);
    let ask = desk.rests(Side::Ask, 100, 2);
    assert_eq!(desk.book.replace(mover, 98, 5, &mut desk.out), Ok(Some(mover)));
    assert_eq!(pairs(&desk.out.bids), [(98, 6), (97, 0)]);
    desk.book.market(Side::Ask, 2, &mut desk.out).unwrap();
    assert_eq!(desk.fills(), [(there, 98, 1), (mover, 98, 1)]);
    assert_eq!(desk.book.replace(mover, 100, 5, &mut desk.out), Ok(Some(mover)));
    assert_eq!(desk.fills(), [(ask, 100, 2)]);
    assert_eq!(pairs(&desk.out.bids), [(100, 3), (98, 0)]);
    assert_eq!(pairs(&desk.out.asks), [(100, 0)]);
    desk.rests(Side::Ask, 101, 9);
    assert_eq!(desk.book.replace(mover, 101, 9, &mut desk.out), Ok(None));
    assert_eq!(desk.book.order(mover), None);
    assert_eq!(desk.book.order_count(), 0);
}

#[test]
fn limits_refuse_and_leave_the_book_as_it_was() {
    let mut desk = Desk::with_limits(MatchingLimits {
        orders_max: 3,
        levels_per_side_max: 2,
    });
    desk.rests(Side::Bid, 99, 1);
    let low = desk.rests(Side::Bid, 98, 1);
    assert_eq!(desk.try_limit(Side::Bid, 97, 1), Err(Refusal::LevelsFull(2)));
    assert_eq!(desk.book.replace(low, 97, 1, &mut desk.out), Ok(Some(low)));
    let third = desk.rests(Side::Bid, 97, 1);
    assert_eq!(
        desk.book.replace(third, 96, 1, &mut desk.out),
        Err(Refusal::LevelsFull(2))
    );
    assert_eq!(desk.try_limit(Side::Ask, 99, 1), Err(Refusal::OrdersFull(3)));
    assert!(desk.out.is_unchanged());
    assert_eq!(levels(&desk.book, Side::Bid), [(99, 1), (97, 2)]);
    let taken = desk
        .book
        .limit(Side::Ask, 99, 1, ImmediateOrCancel, &mut desk.out);
    assert_eq!(taken, Ok(None), "an order that cannot rest needs no room");
}

#[test]
fn quantities_stay_within_the_mantissa_and_above_zero() {
    let mut desk = Desk::new();
    let id = desk.rests(Side::Bid, 99, i64::MAX - 1);
    assert_eq!(
        desk.try_limit(Side::Bid, 99, 2),
        Err(Refusal::LevelOverflow { price: 99 })
    );
    let small = desk.rests(Side::Bid, 99, 1);
    assert_eq!(
        desk.book.replace(small, 99, 2, &mut desk.out),
        Err(Refusal::LevelOverflow { price: 99 })
    );
    for (price, qty) in [(0, 1), (-5, 1), (1, 0), (1, -1)] {
        let refused = Refusal::NotPositive { price, qty };
        assert_eq!(desk.try_limit(Side::Ask, price, qty), Err(refused));
        assert_eq!(desk.book.replace(id, price, qty, &mut desk.out), Err(refused));
    }
    assert!(desk.book.market(Side::Ask, 0, &mut desk.out).is_err());
    assert_eq!(levels(&desk.book, Side::Bid), [(99, i64::MAX)]);
}

#[test]
fn refusals_say_what_would_be_right() {
    assert_eq!(
        Refusal::OrdersFull(3).to_string(),
        "3 orders rest, which is the limit; cancel some first"
    );
    assert_eq!(
        Refusal::WouldTrade { price: 5, best: 4 }.to_string(),
        "a post-only order at 5 would trade with the best opposite price 4"
    );
}
