//! Random histories: the versioned book against a naive model that keeps every event and every state it ever had.

use std::collections::BTreeMap;

use depthcast_market::book::{Book, BookError, BookLimits, DiffError};
use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, Side};
use proptest::prelude::*;

/// Few prices, so that levels collide, come and go.
const PRICES: i64 = 12;
/// Low enough to be hit.
const LEVELS_MAX: usize = 9;

type Prices = BTreeMap<i64, i64>;

/// Both sides by price.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sides {
    bids: Prices,
    asks: Prices,
}

fn set(prices: &mut Prices, levels: &[Level]) {
    for level in levels {
        if level.qty == 0 {
            prices.remove(&level.price);
        } else {
            prices.insert(level.price, level.qty);
        }
    }
}

fn best_first(side: Side, prices: &Prices) -> Vec<Level> {
    let levels = prices.iter().map(|(&price, &qty)| Level { price, qty });
    match side {
        Side::Bid => levels.rev().collect(),
        Side::Ask => levels.collect(),
    }
}

impl Sides {
    fn apply(&mut self, bids: &[Level], asks: &[Level]) {
        set(&mut self.bids, bids);
        set(&mut self.asks, asks);
    }

    fn snapshot(&self, last_id: u64) -> BookSnapshot {
        BookSnapshot {
            last_id,
            bids: best_first(Side::Bid, &self.bids),
            asks: best_first(Side::Ask, &self.asks),
        }
    }
}

/// The naive book: all events since the load, and the state after each.
#[derive(Debug, Default)]
struct Model {
    events: Vec<DepthUpdate>,
    states: Vec<(u64, Sides)>,
    /// Removed prices of both sides with the id of the removal.
    removed: BTreeMap<(bool, i64), u64>,
    oldest_since: u64,
    /// Between which ids it was brought by a resync.
    skipped: Vec<(u64, u64)>,
    event_time_us: i64,
}

impl Model {
    fn load(snapshot: &BookSnapshot) -> Model {
        let mut sides = Sides::default();
        sides.apply(&snapshot.bids, &snapshot.asks);
        Model {
            states: vec![(snapshot.last_id, sides)],
            oldest_since: snapshot.last_id,
            ..Model::default()
        }
    }

    fn now(&self) -> &(u64, Sides) {
        self.states.last().unwrap()
    }

    fn after(&self, event: &DepthUpdate) -> Sides {
        let mut sides = self.now().1.clone();
        sides.apply(&event.bids, &event.asks);
        sides
    }

    fn push(&mut self, event: DepthUpdate, tombstones_max: usize) {
        let sides = self.after(&event);
        for (is_bid, levels) in [(true, &event.bids), (false, &event.asks)] {
            for level in levels {
                if level.qty == 0 {
                    self.removed.insert((is_bid, level.price), event.last_id);
                } else {
                    self.removed.remove(&(is_bid, level.price));
                }
            }
        }
        while self.removed.len() > tombstones_max {
            self.oldest_since = *self.removed.values().min().unwrap();
            let kept = self.oldest_since;
            self.removed.retain(|_, &mut id| id > kept);
        }
        self.event_time_us = event.event_time_us;
        self.states.push((event.last_id, sides));
        self.events.push(event);
    }

    /// The event that a resync to `target` amounts to.
    fn difference_to(&self, last_id: u64, target: &Sides) -> DepthUpdate {
        let difference = |have: &Prices, want: &Prices| {
            let gone = have.keys().filter(|price| !want.contains_key(price));
            let gone = gone.map(|&price| Level { price, qty: 0 });
            let set = want.iter().filter(|&(price, qty)| have.get(price) != Some(qty));
            gone.chain(set.map(|(&price, &qty)| Level { price, qty }))
                .collect()
        };
        let (now, sides) = self.now();
        DepthUpdate {
            event_time_us: self.event_time_us,
            first_id: now + 1,
            last_id,
            bids: difference(&sides.bids, &target.bids),
            asks: difference(&sides.asks, &target.asks),
        }
    }

    /// The merge of all events after `since`: the last write of each price wins.
    fn diff_since(&self, since: u64) -> Result<DepthUpdate, DiffError> {
        let (last_id, _) = *self.now();
        if since > last_id {
            return Err(DiffError::Future { last_id });
        }
        if since < self.oldest_since {
            return Err(DiffError::TooOld {
                oldest: self.oldest_since,
            });
        }
        let mut skipped = self.skipped.iter();
        if let Some(&(_, until)) = skipped.find(|(from, until)| *from < since && since < *until) {
            return Err(DiffError::Skipped { until });
        }
        let (mut bids, mut asks) = (Prices::new(), Prices::new());
        for event in self.events.iter().filter(|event| event.last_id > since) {
            bids.extend(event.bids.iter().map(|level| (level.price, level.qty)));
            asks.extend(event.asks.iter().map(|level| (level.price, level.qty)));
        }
        Ok(DepthUpdate {
            event_time_us: self.event_time_us,
            first_id: since + 1,
            last_id,
            bids: best_first(Side::Bid, &bids),
            asks: best_first(Side::Ask, &asks),
        })
    }
}

/// Holds the book against the model in everything that can be asked.
fn compare(book: &Book, model: &Model, out: &mut DepthUpdate) -> Result<(), TestCaseError> {
    let (last_id, sides) = model.now();
    let mut seen = BookSnapshot::default();
    book.snapshot(usize::MAX, &mut seen);
    let expected = sides.snapshot(*last_id);
    prop_assert_eq!(&seen, &expected);
    for (side, levels) in [(Side::Bid, &expected.bids), (Side::Ask, &expected.asks)] {
        prop_assert_eq!(book.best(side), levels.first().copied());
        prop_assert_eq!(book.level_count(side), levels.len());
        prop_assert!(book.top(side, 3).eq(levels.iter().take(3).copied()));
    }
    prop_assert_eq!(book.tombstone_count(), model.removed.len());
    prop_assert_eq!(book.oldest_since(), model.oldest_since);
    let crossed = sides.bids.last_key_value().zip(sides.asks.first_key_value());
    prop_assert_eq!(
        book.is_crossed(),
        crossed.is_some_and(|((bid, _), (ask, _))| bid >= ask)
    );

    let first_id = model.states[0].0;
    for since in first_id.saturating_sub(2)..=last_id + 2 {
        let result = book.diff_since(since, out).map(|()| out.clone());
        prop_assert_eq!(&result, &model.diff_since(since));
        // The diff brings whoever was at `since` (or later, which holds part of it already) to the present book.
        if let Ok(diff) = result {
            for (id, state) in model.states.iter().filter(|(id, _)| *id >= since) {
                let mut copy = state.clone();
                copy.apply(&diff.bids, &diff.asks);
                prop_assert_eq!(&copy, sides, "diff since {} applied at {}", since, id);
            }
        }
    }
    Ok(())
}

/// One thing that happens to a book.
#[derive(Clone, Debug)]
enum Step {
    /// `overlap` ids before the expected one, `length` ids long past it.
    Update {
        overlap: u64,
        length: u64,
        bids: Vec<Level>,
        asks: Vec<Level>,
    },
    Resync {
        ahead: u64,
        sides: Sides,
    },
    Load {
        last_id: u64,
        sides: Sides,
    },
    /// Starts `ahead` ids too late.
    Gap {
        ahead: u64,
    },
    /// Ends `behind` ids before the next one.
    Old {
        behind: u64,
    },
    Inverted,
    Negative {
        is_price: bool,
    },
    SnapshotBehind {
        behind: u64,
    },
}

fn some_levels() -> impl Strategy<Value = Vec<Level>> {
    let level = (1..=PRICES, prop_oneof![Just(0i64), 1i64..4]).prop_map(|(price, qty)| Level { price, qty });
    prop::collection::vec(level, 0..6)
}

fn some_sides() -> impl Strategy<Value = Sides> {
    let prices = || prop::collection::btree_map(1..=PRICES, 1i64..4, 0..LEVELS_MAX);
    (prices(), prices()).prop_map(|(bids, asks)| Sides { bids, asks })
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u64..3, 0u64..4, some_levels(), some_levels())
            .prop_map(|(overlap, length, bids, asks)| Step::Update { overlap, length, bids, asks }),
        2 => (0u64..4, some_sides()).prop_map(|(ahead, sides)| Step::Resync { ahead, sides }),
        1 => (0u64..60, some_sides()).prop_map(|(last_id, sides)| Step::Load { last_id, sides }),
        1 => (1u64..4).prop_map(|ahead| Step::Gap { ahead }),
        1 => (0u64..4).prop_map(|behind| Step::Old { behind }),
        1 => Just(Step::Inverted),
        1 => any::<bool>().prop_map(|is_price| Step::Negative { is_price }),
        1 => (1u64..4).prop_map(|behind| Step::SnapshotBehind { behind }),
    ]
}

/// An update that would change the book, were its ids right.
fn changing(first_id: u64, last_id: u64) -> DepthUpdate {
    DepthUpdate {
        event_time_us: -1,
        first_id,
        last_id,
        bids: (1..=PRICES).map(|price| Level { price, qty: 0 }).collect(),
        asks: vec![Level { price: 1, qty: 77 }],
    }
}

/// Does a step to both and checks that the book's answer is the one the model expects.
fn step(book: &mut Book, model: &mut Model, step: Step, tombstones_max: usize) -> Result<(), TestCaseError> {
    let (last_id, _) = *model.now();
    let expected = last_id + 1;
    match step {
        Step::Update {
            overlap,
            length,
            bids,
            asks,
        } => {
            let event = DepthUpdate {
                event_time_us: model.event_time_us + 5,
                first_id: expected.saturating_sub(overlap),
                last_id: expected + length,
                bids,
                asks,
            };
            let after = model.after(&event);
            let over = [(Side::Bid, after.bids.len()), (Side::Ask, after.asks.len())]
                .into_iter()
                .find(|&(_, levels)| levels > LEVELS_MAX);
            match over {
                Some((side, levels)) => prop_assert_eq!(
                    book.apply(&event),
                    Err(BookError::TooManyLevels {
                        side,
                        levels,
                        levels_max: LEVELS_MAX
                    })
                ),
                None => {
                    prop_assert_eq!(book.apply(&event), Ok(()));
                    model.push(event, tombstones_max);
                }
            }
        }
        Step::Resync { ahead, sides } => {
            prop_assert_eq!(book.resync(&sides.snapshot(last_id + ahead)), Ok(()));
            if ahead > 0 {
                model.push(model.difference_to(last_id + ahead, &sides), tombstones_max);
                model.skipped.push((last_id, last_id + ahead));
            }
        }
        Step::Load { last_id, sides } => {
            let snapshot = sides.snapshot(last_id);
            prop_assert_eq!(book.load(&snapshot), Ok(()));
            *model = Model::load(&snapshot);
        }
        Step::Gap { ahead } => {
            let first_id = expected + ahead;
            prop_assert_eq!(
                book.apply(&changing(first_id, first_id + 2)),
                Err(BookError::Gap { expected, first_id })
            );
        }
        Step::Old { behind } => {
            let update_last_id = last_id.saturating_sub(behind);
            prop_assert_eq!(
                book.apply(&changing(0, update_last_id)),
                Err(BookError::Old {
                    last_id,
                    update_last_id
                })
            );
        }
        Step::Inverted => prop_assert_eq!(
            book.apply(&changing(expected + 1, expected)),
            Err(BookError::Inverted {
                first_id: expected + 1,
                last_id: expected
            })
        ),
        Step::Negative { is_price } => {
            let mut event = changing(expected, expected);
            let (price, qty) = if is_price { (-1, 1) } else { (1, -1) };
            event.asks.push(Level { price, qty });
            let side = Side::Ask;
            prop_assert_eq!(book.apply(&event), Err(BookError::Negative { side, price, qty }));
        }
        Step::SnapshotBehind { behind } if behind <= last_id => {
            let snapshot_id = last_id - behind;
            prop_assert_eq!(
                book.resync(&Sides::default().snapshot(snapshot_id)),
                Err(BookError::WentBack { last_id, snapshot_id })
            );
        }
        Step::SnapshotBehind { .. } => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_book_is_the_model(
        start in some_sides(),
        tombstones_max in 0usize..12,
        steps in prop::collection::vec(some_step(), 1..40),
    ) {
        let mut book = Book::new(BookLimits { levels_per_side_max: LEVELS_MAX, tombstones_max });
        let snapshot = start.snapshot(10);
        prop_assert_eq!(book.load(&snapshot), Ok(()));
        let mut model = Model::load(&snapshot);
        let mut out = DepthUpdate::default();
        for next in steps {
            step(&mut book, &mut model, next, tombstones_max)?;
            compare(&book, &model, &mut out)?;
        }
    }

    #[test]
    fn any_update_and_any_snapshot_are_taken_or_refused(
        start in (any::<u64>(), some_sides()),
        updates in prop::collection::vec(
            (any::<u64>(), any::<u64>(), prop::collection::vec((any::<i64>(), any::<i64>()), 0..4)), 0..8),
        since in any::<u64>(),
    ) {
        let mut book = Book::new(BookLimits { levels_per_side_max: usize::MAX, tombstones_max: 3 });
        let loaded = book.load(&start.1.snapshot(start.0)).is_ok();
        prop_assert_eq!(book.is_loaded(), loaded);
        for (first_id, last_id, levels) in updates {
            let levels: Vec<_> = levels.iter().map(|&(price, qty)| Level { price, qty }).collect();
            let event = DepthUpdate { event_time_us: 0, first_id, last_id, bids: levels.clone(), asks: levels.clone() };
            let before = book.last_id();
            let applied = book.apply(&event).is_ok();
            prop_assert_eq!(book.last_id(), if applied { last_id } else { before });
            let snapshot = BookSnapshot { last_id: first_id, bids: levels, asks: Vec::new() };
            let before = book.last_id();
            let resynced = book.resync(&snapshot).is_ok();
            prop_assert_eq!(book.last_id(), if resynced { first_id } else { before });
        }
        let mut out = DepthUpdate::default();
        if book.diff_since(since, &mut out).is_ok() {
            prop_assert_eq!((out.first_id, out.last_id), (since + 1, book.last_id()));
        }
    }
}
