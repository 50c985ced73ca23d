//! The book-sync rules: one rule a test, then a feed with lost, repeated and late messages against the truth.

use std::collections::BTreeMap;

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, Side};
use depthcast_market::sync::{BookSync, SnapshotVerdict, SyncError, UpdateVerdict};
use proptest::prelude::*;

fn ids(first_id: u64, last_id: u64) -> DepthUpdate {
    DepthUpdate {
        first_id,
        last_id,
        ..DepthUpdate::default()
    }
}

/// A subscriber with room for 4 updates that has seen these.
fn after(updates: &[(u64, u64)]) -> BookSync {
    let mut sync = BookSync::new(4);
    for &(first_id, last_id) in updates {
        assert_eq!(
            sync.on_update(&ids(first_id, last_id)),
            Ok(UpdateVerdict::Buffered)
        );
    }
    sync
}

/// All that can be popped, as id ranges.
fn drain(sync: &mut BookSync) -> Result<Vec<(u64, u64)>, SyncError> {
    let mut popped = Vec::new();
    while let Some(update) = sync.pop_ready()? {
        popped.push((update.first_id, update.last_id));
    }
    Ok(popped)
}

#[test]
fn buffers_until_a_snapshot_and_joins_at_its_id() {
    let mut sync = after(&[(90, 95), (96, 100), (101, 105)]);
    assert!(!sync.is_synced());
    assert_eq!(
        (sync.last_id(), sync.buffered_updates(), sync.pop_ready()),
        (None, 3, Ok(None))
    );
    assert_eq!(sync.on_snapshot(98), SnapshotVerdict::Load);
    assert!(!sync.is_synced(), "updates still wait");
    assert_eq!(drain(&mut sync), Ok(vec![(96, 100), (101, 105)]));
    assert!(sync.is_synced());
    assert_eq!(sync.last_id(), Some(105));
    assert_eq!(sync.on_update(&ids(106, 110)), Ok(UpdateVerdict::Apply));
    assert_eq!(sync.last_id(), Some(110));
}

#[test]
fn a_snapshot_before_the_first_buffered_update_is_fetched_again() {
    let mut sync = after(&[(90, 95)]);
    for too_old in [0, 50, 88] {
        assert_eq!(sync.on_snapshot(too_old), SnapshotVerdict::FetchAgain);
    }
    assert_eq!((sync.last_id(), sync.buffered_updates()), (None, 1));
    // One below U leaves no hole, though the letter of the public rules would fetch again.
    assert_eq!(sync.on_snapshot(89), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(90, 95)]));
}

#[test]
fn a_snapshot_that_ends_with_an_update_drops_it() {
    let mut sync = after(&[(90, 95), (96, 99)]);
    assert_eq!(sync.on_snapshot(95), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(96, 99)]));
}

#[test]
fn a_snapshot_newer_than_all_buffered_ones_waits_for_its_successor() {
    let mut sync = after(&[(90, 95), (96, 99)]);
    assert_eq!(sync.on_snapshot(150), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![]));
    assert!(sync.is_synced());
    assert_eq!(sync.on_update(&ids(100, 149)), Ok(UpdateVerdict::Old));
    assert_eq!(sync.on_update(&ids(145, 150)), Ok(UpdateVerdict::Old));
    assert_eq!(sync.on_update(&ids(149, 153)), Ok(UpdateVerdict::Apply));
}

#[test]
fn a_snapshot_without_buffered_updates_loads() {
    let mut sync = BookSync::new(4);
    assert_eq!(sync.on_snapshot(10), SnapshotVerdict::Load);
    assert!(sync.is_synced());
    assert_eq!(sync.on_update(&ids(11, 12)), Ok(UpdateVerdict::Apply));
}

#[test]
fn a_gap_ends_sync_and_keeps_the_update_behind_it() {
    let mut sync = BookSync::new(4);
    sync.on_snapshot(10);
    let gap = SyncError::Gap {
        expected: 11,
        first_id: 12,
        last_id: 15,
    };
    assert_eq!(sync.on_update(&ids(12, 15)), Err(gap));
    assert_eq!(
        gap.to_string(),
        "update 12 to 15 does not continue the book: expected it to start at 11"
    );
    assert_eq!(
        (sync.is_synced(), sync.last_id(), sync.buffered_updates()),
        (false, None, 1)
    );
    assert_eq!(sync.on_update(&ids(16, 18)), Ok(UpdateVerdict::Buffered));
    assert_eq!(sync.on_snapshot(10), SnapshotVerdict::FetchAgain);
    assert_eq!(sync.on_snapshot(14), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(12, 15), (16, 18)]));
}

#[test]
fn only_the_first_update_after_a_snapshot_may_overlap() {
    let mut sync = BookSync::new(4);
    sync.on_snapshot(10);
    assert_eq!(sync.on_update(&ids(5, 12)), Ok(UpdateVerdict::Apply));
    assert_eq!(
        sync.on_update(&ids(5, 12)),
        Ok(UpdateVerdict::Old),
        "a repetition"
    );
    assert_eq!(
        sync.on_update(&ids(12, 14)),
        Err(SyncError::Gap {
            expected: 13,
            first_id: 12,
            last_id: 14
        })
    );
}

#[test]
fn a_hole_among_the_buffered_ones_is_found() {
    // The snapshot would lead straight into the hole: it is not loaded at all.
    let mut sync = after(&[(90, 95), (101, 105)]);
    assert_eq!(sync.on_snapshot(97), SnapshotVerdict::FetchAgain);
    assert_eq!(sync.on_snapshot(100), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(101, 105)]));

    // The hole comes after something that can be applied.
    let mut sync = after(&[(90, 95), (101, 105)]);
    assert_eq!(sync.on_snapshot(92), SnapshotVerdict::Load);
    assert_eq!(
        drain(&mut sync),
        Err(SyncError::Gap {
            expected: 96,
            first_id: 101,
            last_id: 105
        })
    );
    assert_eq!(
        (sync.last_id(), sync.buffered_updates(), sync.pop_ready()),
        (None, 1, Ok(None))
    );
    assert_eq!(sync.on_snapshot(103), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(101, 105)]));
}

#[test]
fn an_update_between_load_and_drain_waits_its_turn() {
    let mut sync = after(&[(90, 95), (96, 99)]);
    sync.on_snapshot(92);
    assert_eq!(sync.on_update(&ids(100, 101)), Ok(UpdateVerdict::Buffered));
    assert_eq!(sync.pop_ready().map(|update| update.unwrap().first_id), Ok(90));
    assert_eq!(sync.on_update(&ids(102, 103)), Ok(UpdateVerdict::Buffered));
    assert_eq!(drain(&mut sync), Ok(vec![(96, 99), (100, 101), (102, 103)]));
    assert_eq!(sync.on_update(&ids(104, 104)), Ok(UpdateVerdict::Apply));
}

#[test]
fn with_a_book_in_place_only_a_newer_snapshot_is_loaded() {
    let mut sync = BookSync::new(4);
    sync.on_snapshot(10);
    sync.on_update(&ids(11, 20)).unwrap();
    assert_eq!(sync.on_snapshot(5), SnapshotVerdict::Ignored);
    assert_eq!(sync.on_snapshot(20), SnapshotVerdict::Ignored);
    assert_eq!(sync.on_update(&ids(21, 21)), Ok(UpdateVerdict::Apply));
    assert_eq!(sync.on_snapshot(30), SnapshotVerdict::Load);
    assert_eq!(sync.on_update(&ids(22, 29)), Ok(UpdateVerdict::Old));
    assert_eq!(sync.on_update(&ids(31, 33)), Ok(UpdateVerdict::Apply));
}

#[test]
fn a_full_buffer_drops_its_oldest_and_the_hole_must_be_covered() {
    let mut sync = after(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    let full = |dropped| SyncError::BufferFull {
        updates_max: 4,
        dropped,
    };
    assert_eq!(sync.on_update(&ids(9, 10)), Err(full(1)));
    assert_eq!(sync.on_update(&ids(11, 12)), Err(full(2)));
    assert_eq!((sync.buffered_updates(), sync.dropped_updates()), (4, 2));
    assert_eq!(
        full(2).to_string(),
        "4 updates are waiting for a snapshot; 2 older ones have been dropped"
    );
    assert_eq!(sync.on_snapshot(3), SnapshotVerdict::FetchAgain);
    assert_eq!(sync.on_snapshot(5), SnapshotVerdict::Load);
    assert_eq!(drain(&mut sync), Ok(vec![(5, 6), (7, 8), (9, 10), (11, 12)]));
}

#[test]
fn a_buffer_that_overflows_before_it_is_drained_is_a_gap() {
    let mut sync = after(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    sync.on_snapshot(1);
    assert!(matches!(
        sync.on_update(&ids(9, 10)),
        Err(SyncError::BufferFull { .. })
    ));
    assert_eq!(
        drain(&mut sync),
        Err(SyncError::Gap {
            expected: 2,
            first_id: 3,
            last_id: 4
        })
    );
}

#[test]
fn a_buffer_of_no_size_still_holds_the_update_behind_a_gap() {
    let mut sync = BookSync::new(0);
    sync.on_snapshot(1);
    assert!(matches!(sync.on_update(&ids(5, 6)), Err(SyncError::Gap { .. })));
    assert_eq!(sync.buffered_updates(), 1);
}

#[test]
fn inverted_ids_change_nothing() {
    let mut sync = BookSync::new(4);
    let inverted = SyncError::Inverted {
        first_id: 12,
        last_id: 11,
    };
    assert_eq!(sync.on_update(&ids(12, 11)), Err(inverted));
    assert_eq!(sync.buffered_updates(), 0);
    sync.on_snapshot(10);
    assert_eq!(sync.on_update(&ids(12, 11)), Err(inverted));
    assert_eq!(sync.on_update(&ids(11, 11)), Ok(UpdateVerdict::Apply));
}

#[test]
fn reset_forgets_and_a_resumed_book_goes_on_from_its_id() {
    let mut sync = after(&[(1, 2), (3, 4), (5, 6), (7, 8)]);
    assert!(sync.on_update(&ids(9, 10)).is_err());
    sync.reset();
    assert_eq!(
        (sync.buffered_updates(), sync.dropped_updates(), sync.last_id()),
        (0, 0, None)
    );
    assert_eq!(sync.on_snapshot(7), SnapshotVerdict::Load);
    assert_eq!(sync.on_update(&ids(8, 30)), Ok(UpdateVerdict::Apply));
}

/// The exchange: every id sets one level; state and events at any id follow from that.
#[derive(Debug)]
struct Truth {
    /// What each id did, from id 1 on.
    changes: Vec<(Side, Level)>,
    /// The last id of each event, rising; together they cover all changes.
    ends: Vec<u64>,
}

impl Truth {
    fn new(script: &[(bool, i64, i64, bool)]) -> Truth {
        let changes: Vec<_> = script
            .iter()
            .map(|&(is_bid, price, qty, _)| {
                let side = if is_bid { Side::Bid } else { Side::Ask };
                (side, Level { price, qty })
            })
            .collect();
        let last_id = changes.len() as u64;
        let ends = (1..=last_id).filter(|&id| id == last_id || script[id as usize - 1].3);
        Truth {
            ends: ends.collect(),
            changes,
        }
    }

    fn last_id(&self) -> u64 {
        self.changes.len() as u64
    }

    /// The last writes of ids `first_id..=last_id`, best first.
    fn writes(&self, side: Side, first_id: u64, last_id: u64) -> Vec<Level> {
        let mut prices = BTreeMap::new();
        for (of, level) in &self.changes[first_id as usize - 1..last_id as usize] {
            if *of == side {
                prices.insert(level.price, level.qty);
            }
        }
        let mut levels: Vec<_> = prices
            .into_iter()
            .map(|(price, qty)| Level { price, qty })
            .collect();
        if side == Side::Bid {
            levels.reverse();
        }
        levels
    }

    fn event(&self, index: usize) -> DepthUpdate {
        let first_id = index.checked_sub(1).map_or(1, |before| self.ends[before] + 1);
        let last_id = self.ends[index];
        DepthUpdate {
            event_time_us: 0,
            first_id,
            last_id,
            bids: self.writes(Side::Bid, first_id, last_id),
            asks: self.writes(Side::Ask, first_id, last_id),
        }
    }

    fn snapshot(&self, last_id: u64) -> BookSnapshot {
        let live = |side| {
            let mut levels = self.writes(side, 1, last_id);
            levels.retain(|level| level.qty > 0);
            levels
        };
        BookSnapshot {
            last_id,
            bids: live(Side::Bid),
            asks: live(Side::Ask),
        }
    }
}

/// What the network does next.
#[derive(Clone, Debug)]
enum Delivery {
    Next,
    Lost,
    /// An event from this many before comes again.
    Again(usize),
    /// A snapshot as of this many ids before (or after, where negative) the last event sent.
    Snapshot(i64),
    /// The subscriber finds time to pop this many buffered updates.
    Pop(usize),
}

/// A subscriber that does what the verdicts say.
struct Subscriber {
    sync: BookSync,
    book: Book,
}

impl Subscriber {
    fn update(&mut self, update: &DepthUpdate) -> Result<(), TestCaseError> {
        match self.sync.on_update(update) {
            Ok(UpdateVerdict::Apply) => prop_assert_eq!(self.book.apply(update), Ok(())),
            Ok(UpdateVerdict::Buffered | UpdateVerdict::Old) => {}
            Err(SyncError::Gap { .. }) => prop_assert!(!self.sync.is_synced()),
            Err(SyncError::BufferFull { .. }) => prop_assert!(self.sync.dropped_updates() > 0),
            Err(error @ SyncError::Inverted { .. }) => prop_assert!(false, "{}", error),
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &BookSnapshot) -> Result<SnapshotVerdict, TestCaseError> {
        let verdict = self.sync.on_snapshot(snapshot.last_id);
        if verdict == SnapshotVerdict::Load {
            prop_assert_eq!(self.book.load(snapshot), Ok(()));
        }
        Ok(verdict)
    }

    fn pop(&mut self, updates_max: usize) -> Result<(), TestCaseError> {
        for _ in 0..updates_max {
            match self.sync.pop_ready() {
                Ok(Some(update)) => prop_assert_eq!(self.book.apply(&update), Ok(())),
                Ok(None) => break,
                Err(error) => {
                    let is_gap = matches!(error, SyncError::Gap { .. });
                    prop_assert!(is_gap, "{}", error);
                    prop_assert_eq!(self.sync.last_id(), None);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Wherever the rules claim a position, the book is the true one of that id.
    fn check(&self, truth: &Truth) -> Result<(), TestCaseError> {
        if let Some(last_id) = self.sync.last_id() {
            let mut seen = BookSnapshot::default();
            self.book.snapshot(usize::MAX, &mut seen);
            prop_assert_eq!(seen, truth.snapshot(last_id));
        }
        Ok(())
    }
}

fn some_delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        10 => Just(Delivery::Next),
        1 => Just(Delivery::Lost),
        2 => (0usize..4).prop_map(Delivery::Again),
        2 => (-6i64..12).prop_map(Delivery::Snapshot),
        3 => (1usize..6).prop_map(Delivery::Pop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_the_network_does_the_book_is_right_or_unsynced(
        script in prop::collection::vec((any::<bool>(), 1i64..8, 0i64..4, any::<bool>()), 1..80),
        deliveries in prop::collection::vec(some_delivery(), 0..60),
        buffer_updates_max in 1usize..10,
    ) {
        let truth = Truth::new(&script);
        let mut subscriber = Subscriber {
            sync: BookSync::new(buffer_updates_max),
            book: Book::new(BookLimits::default()),
        };
        let mut sent = 0;
        for delivery in deliveries {
            match delivery {
                Delivery::Next if sent < truth.ends.len() => {
                    subscriber.update(&truth.event(sent))?;
                    sent += 1;
                }
                Delivery::Lost if sent < truth.ends.len() => sent += 1,
                Delivery::Again(before) if sent > before => subscriber.update(&truth.event(sent - 1 - before))?,
                Delivery::Snapshot(before) => {
                    let now = sent.checked_sub(1).map_or(0, |last| truth.ends[last]);
                    let id = now.saturating_add_signed(-before).min(truth.last_id());
                    subscriber.snapshot(&truth.snapshot(id))?;
                }
                Delivery::Pop(updates_max) => subscriber.pop(updates_max)?,
                Delivery::Next | Delivery::Lost | Delivery::Again(_) => {}
            }
            subscriber.check(&truth)?;
        }

        // When the network behaves again, one snapshot of the present is enough, if it is needed at all.
        for index in sent..truth.ends.len() {
            subscriber.update(&truth.event(index))?;
        }
        subscriber.pop(usize::MAX)?;
        let ended_unsynced = !subscriber.sync.is_synced() || subscriber.sync.last_id() != Some(truth.last_id());
        if ended_unsynced {
            prop_assert_eq!(subscriber.snapshot(&truth.snapshot(truth.last_id()))?, SnapshotVerdict::Load);
            subscriber.pop(usize::MAX)?;
        }
        prop_assert!(subscriber.sync.is_synced());
        prop_assert_eq!(subscriber.sync.last_id(), Some(truth.last_id()));
        subscriber.check(&truth)?;
    }

    #[test]
    fn any_ids_in_any_order_give_a_verdict(
        calls in prop::collection::vec((0u8..4, any::<u64>(), any::<u64>()), 0..40),
        near_end in any::<bool>(),
    ) {
        let mut sync = BookSync::new(3);
        for (call, first, last) in calls {
            let (first, last) = if near_end { (u64::MAX - first % 4, u64::MAX - last % 4) } else { (first % 8, last % 8) };
            match call {
                0 => {
                    let before = sync.last_id();
                    let loaded = sync.on_snapshot(first) == SnapshotVerdict::Load;
                    prop_assert_eq!(sync.last_id(), if loaded { Some(first) } else { before });
                }
                1 => drop(sync.pop_ready()),
                _ => {
                    let inverted = matches!(sync.on_update(&ids(first, last)), Err(SyncError::Inverted { .. }));
                    prop_assert_eq!(inverted, first > last);
                }
            }
            prop_assert!(sync.buffered_updates() <= 3);
        }
    }
}
