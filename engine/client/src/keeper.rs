//! The book and the rules that keep it in step with its stream: every update is checked here, without I/O.

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::decimal::Decimal;
use depthcast_market::event::{BookSnapshot, DepthUpdate, Side};
use depthcast_market::instrument::Exponents;
use depthcast_market::sync::{BookSync, SnapshotVerdict, SyncError, UpdateVerdict};

use crate::error::ClientError;

/// Updates that can wait for a snapshot: 40 s of 100 ms updates, 4 s of a market with 1,000 a second. At 100 levels an
/// update that is 7 MB.
const WAITING_UPDATES_MAX: usize = 4096;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The book has it, and it is [`BookKeeper::last_update`].
    Applied,
    /// It waits for a snapshot.
    Waits,
    /// The book had it already.
    Old,
}

/// A book with its place in the stream.
pub(crate) struct BookKeeper {
    book: Book,
    sync: BookSync,
    /// The update applied last.
    last_update: DepthUpdate,
    /// No update has come on this connection.
    before_first: bool,
    /// The book is that of the last connection, and nothing has come that shows that this one continues it.
    is_resuming: bool,
}

impl BookKeeper {
    pub(crate) fn new() -> BookKeeper {
        BookKeeper {
            book: Book::new(BookLimits::default()),
            sync: BookSync::new(WAITING_UPDATES_MAX),
            last_update: DepthUpdate::default(),
            before_first: true,
            is_resuming: false,
        }
    }

    /// A new connection: nothing that waits belongs to it. The book stands until the next snapshot.
    pub(crate) fn begin_connection(&mut self) {
        self.sync.reset();
        self.before_first = true;
        self.is_resuming = false;
    }

    /// A new connection that is to go on where the book stands, in the same history. The first update decides; it is not in
    /// step before.
    pub(crate) fn resume(&mut self) {
        self.begin_connection();
        self.sync.on_snapshot(self.book.last_id());
        self.is_resuming = true;
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    pub(crate) fn last_update(&self) -> &DepthUpdate {
        &self.last_update
    }

    /// Whether the book is in step.
    pub(crate) fn is_synced(&self) -> bool {
        self.sync.is_synced() && !self.is_resuming
    }

    /// Whether the book is to go on from the last connection, and nothing has come yet that says whether it does.
    pub(crate) fn is_resuming(&self) -> bool {
        self.is_resuming
    }

    /// Whether a snapshot is needed.
    pub(crate) fn needs_snapshot(&self) -> bool {
        self.sync.last_id().is_none()
    }

    /// Judges the next update, and applies it when it is its turn; `update` is then the one before, spent.
    ///
    /// After an error a snapshot is needed.
    pub(crate) fn on_update(
        &mut self,
        update: &mut DepthUpdate,
        exponents: Exponents,
    ) -> Result<Outcome, ClientError> {
        let is_first = std::mem::replace(&mut self.before_first, false);
        match self.sync.on_update(update) {
            Ok(UpdateVerdict::Apply) => {
                self.is_resuming = false;
                std::mem::swap(update, &mut self.last_update);
                self.apply_last(exponents)?;
                Ok(Outcome::Applied)
            }
            Ok(UpdateVerdict::Old) => Ok(Outcome::Old),
            // A full buffer lost its oldest; the snapshot that joins will only be a later one.
            Ok(UpdateVerdict::Buffered) | Err(SyncError::BufferFull { .. }) => Ok(Outcome::Waits),
            // The snapshot was taken before the stream began: too old by the rules, and nothing is lost. Or the book was to
            // be resumed, and the server does not tell what was missed: a snapshot has to, as if nobody had asked.
            Err(SyncError::Gap { .. }) if is_first || self.is_resuming => {
                self.is_resuming = false;
                Ok(Outcome::Waits)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Applies the next update that waited, after a snapshot; false when none is ready.
    pub(crate) fn apply_waiting(&mut self, exponents: Exponents) -> Result<bool, ClientError> {
        let Some(update) = self.sync.pop_ready()? else {
            return Ok(false);
        };
        self.last_update = update;
        self.apply_last(exponents)?;
        Ok(true)
    }

    /// Puts a snapshot in the place of the book, where the verdict says so: where it joins the updates that wait, and is
    /// newer than a book that is in step. It ends the wait for an update that resumes the book.
    pub(crate) fn on_snapshot(
        &mut self,
        snapshot: &BookSnapshot,
        exponents: Exponents,
    ) -> Result<SnapshotVerdict, ClientError> {
        if std::mem::take(&mut self.is_resuming) {
            self.sync.reset();
        }
        let verdict = self.sync.on_snapshot(snapshot.last_id);
        match verdict {
            SnapshotVerdict::FetchAgain | SnapshotVerdict::Ignored => {}
            SnapshotVerdict::Load => {
                if let Err(error) = self.book.load(snapshot) {
                    self.sync.reset();
                    return Err(error.into());
                }
                self.check_uncrossed(exponents)?;
            }
        }
        Ok(verdict)
    }

    fn apply_last(&mut self, exponents: Exponents) -> Result<(), ClientError> {
        if let Err(error) = self.book.apply(&self.last_update) {
            self.sync.reset();
            return Err(error.into());
        }
        self.check_uncrossed(exponents)
    }

    fn check_uncrossed(&mut self, exponents: Exponents) -> Result<(), ClientError> {
        if let (Some(bid), Some(ask)) = (self.book.best(Side::Bid), self.book.best(Side::Ask))
            && bid.price >= ask.price
        {
            self.sync.reset();
            let price = |mantissa| Decimal {
                mantissa,
                exponent: exponents.price,
            };
            return Err(ClientError::Crossed {
                last_id: self.book.last_id(),
                bid: price(bid.price),
                ask: price(ask.price),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::event::Level;
    use proptest::prelude::*;

    const PLACES: Exponents = Exponents { price: -2, qty: -2 };

    fn update(first_id: u64, last_id: u64, bid: i64, ask: i64) -> DepthUpdate {
        let level = |price| vec![Level { price, qty: 5 }];
        DepthUpdate {
            event_time_us: 0,
            first_id,
            last_id,
            bids: level(bid),
            asks: level(ask),
        }
    }

    fn snapshot(last_id: u64) -> BookSnapshot {
        let level = |price| vec![Level { price, qty: 5 }];
        BookSnapshot {
            last_id,
            bids: level(100),
            asks: level(102),
        }
    }

    fn outcome(keeper: &mut BookKeeper, mut update: DepthUpdate) -> Result<Outcome, ClientError> {
        keeper.on_update(&mut update, PLACES)
    }

    fn loads(keeper: &mut BookKeeper, snapshot: &BookSnapshot) -> bool {
        keeper.on_snapshot(snapshot, PLACES).unwrap() == SnapshotVerdict::Load
    }

    /// A keeper whose book stands at 20, on a new connection that is to go on there.
    fn resuming() -> BookKeeper {
        let mut keeper = BookKeeper::new();
        assert!(loads(&mut keeper, &snapshot(19)));
        let applied = outcome(&mut keeper, update(20, 20, 99, 103));
        assert_eq!(applied.unwrap(), Outcome::Applied);
        keeper.resume();
        assert!(!keeper.is_synced() && !keeper.needs_snapshot() && keeper.is_resuming());
        keeper
    }

    #[test]
    fn a_book_goes_on_with_an_update_that_continues_it() {
        let mut keeper = resuming();
        // One that was known already decides nothing.
        let old = outcome(&mut keeper, update(18, 20, 1, 200));
        assert_eq!(old.unwrap(), Outcome::Old);
        assert!(!keeper.is_synced());
        let merged = outcome(&mut keeper, update(21, 90, 101, 102));
        assert_eq!(merged.unwrap(), Outcome::Applied);
        assert!(keeper.is_synced() && !keeper.is_resuming());
        assert_eq!(keeper.book().last_id(), 90);
        let levels = keeper.book().level_count(Side::Bid);
        assert_eq!(levels, 3, "what it held before is there");
        assert!(outcome(&mut keeper, update(92, 92, 101, 102)).is_err(), "a gap");
    }

    #[test]
    fn a_book_that_is_not_continued_needs_a_snapshot_and_keeps_what_came() {
        for known_before in [false, true] {
            let mut keeper = resuming();
            if known_before {
                outcome(&mut keeper, update(18, 20, 1, 200)).unwrap();
            }
            let waits = outcome(&mut keeper, update(22, 25, 101, 102));
            assert_eq!(waits.unwrap(), Outcome::Waits, "no fault of anybody");
            assert!(keeper.needs_snapshot() && !keeper.is_resuming());
            assert!(loads(&mut keeper, &snapshot(23)));
            assert!(keeper.apply_waiting(PLACES).unwrap());
            assert!(keeper.is_synced());
            assert_eq!(keeper.book().last_id(), 25);
        }
    }

    #[test]
    fn any_snapshot_takes_the_place_of_a_book_that_waits_to_go_on() {
        // Also an older one: the server is the judge of its history.
        for last_id in [5, 20, 70] {
            let mut keeper = resuming();
            assert!(loads(&mut keeper, &snapshot(last_id)));
            assert!(keeper.is_synced());
            assert_eq!(keeper.book().last_id(), last_id);
            assert_eq!(keeper.book().level_count(Side::Bid), 1);
            let next = outcome(&mut keeper, update(last_id + 1, 90, 101, 102));
            assert_eq!(next.unwrap(), Outcome::Applied);
        }
    }

    #[test]
    fn joins_a_snapshot_in_the_middle() {
        let mut keeper = BookKeeper::new();
        for first_id in [10, 20, 30] {
            let waits = outcome(&mut keeper, update(first_id, first_id + 9, 100, 102));
            assert_eq!(waits.unwrap(), Outcome::Waits);
        }
        assert!(!loads(&mut keeper, &snapshot(8)), "9 is missing");
        assert!(loads(&mut keeper, &snapshot(24)));
        assert!(!keeper.is_synced());
        let mut applied = Vec::new();
        while keeper.apply_waiting(PLACES).unwrap() {
            applied.push(keeper.last_update().first_id);
        }
        assert_eq!(applied, [20, 30]);
        assert!(keeper.is_synced());
        assert_eq!(keeper.book().last_id(), 39);
        assert_eq!(
            outcome(&mut keeper, update(35, 39, 1, 200)).unwrap(),
            Outcome::Old
        );
        assert_eq!(
            outcome(&mut keeper, update(40, 40, 101, 102)).unwrap(),
            Outcome::Applied
        );
        assert_eq!(keeper.book().best(Side::Bid).unwrap().price, 101);
    }

    #[test]
    fn a_snapshot_from_before_the_stream_is_no_gap() {
        let mut keeper = BookKeeper::new();
        assert!(loads(&mut keeper, &snapshot(5)));
        assert_eq!(
            outcome(&mut keeper, update(10, 19, 100, 102)).unwrap(),
            Outcome::Waits
        );
        assert!(keeper.needs_snapshot());
        assert!(loads(&mut keeper, &snapshot(12)));
        assert!(keeper.apply_waiting(PLACES).unwrap());
        assert!(keeper.is_synced());
    }

    #[test]
    fn gaps_name_their_ids_and_need_a_snapshot() {
        let mut keeper = BookKeeper::new();
        assert_eq!(
            outcome(&mut keeper, update(1, 5, 100, 102)).unwrap(),
            Outcome::Waits
        );
        assert!(loads(&mut keeper, &snapshot(5)));
        assert!(!keeper.apply_waiting(PLACES).unwrap());
        let gap = outcome(&mut keeper, update(7, 9, 100, 102)).unwrap_err();
        assert_eq!(
            gap.to_string(),
            "gap: update 7 to 9 does not continue the book: expected it to start at 6"
        );
        assert!(keeper.needs_snapshot());
        assert_eq!(keeper.book().last_id(), 5, "the book stands");
    }

    #[test]
    fn gaps_among_the_waiting_are_found() {
        let mut keeper = BookKeeper::new();
        for (first_id, last_id) in [(10, 19), (25, 29)] {
            assert_eq!(
                outcome(&mut keeper, update(first_id, last_id, 100, 102)).unwrap(),
                Outcome::Waits
            );
        }
        assert!(loads(&mut keeper, &snapshot(12)));
        assert!(keeper.apply_waiting(PLACES).unwrap());
        let gap = keeper.apply_waiting(PLACES).unwrap_err();
        assert!(gap.to_string().contains("update 25 to 29"), "{gap}");
        assert!(keeper.needs_snapshot());
    }

    #[test]
    fn crossed_books_name_their_prices() {
        let mut keeper = BookKeeper::new();
        keeper.on_snapshot(&snapshot(5), PLACES).unwrap();
        let crossed = outcome(&mut keeper, update(6, 6, 102, 103)).unwrap_err();
        assert_eq!(
            crossed.to_string(),
            "crossed book: after update 6 the best bid 1.02 is not below the best ask 1.02"
        );
        assert!(keeper.needs_snapshot());
        let mut crossed = snapshot(9);
        crossed.bids[0].price = 500;
        assert!(matches!(
            keeper.on_snapshot(&crossed, PLACES),
            Err(ClientError::Crossed { last_id: 9, .. })
        ));
        assert!(keeper.needs_snapshot());
    }

    #[test]
    fn what_the_book_refuses_is_out_of_step() {
        let mut keeper = BookKeeper::new();
        keeper.on_snapshot(&snapshot(5), PLACES).unwrap();
        assert!(matches!(
            outcome(&mut keeper, update(6, 6, -1, 103)),
            Err(ClientError::Book(_))
        ));
        assert!(keeper.needs_snapshot());
    }

    proptest! {
        /// Whatever comes in whatever order: in step means at the end of the last update applied, and never crossed.
        #[test]
        fn any_order_of_calls_keeps_the_book_honest(
            calls in proptest::collection::vec((0..5u8, 0..30u64, 0..5u64, 95..105i64, 95..105i64), 0..60)
        ) {
            let mut keeper = BookKeeper::new();
            for (call, id, length, bid, ask) in calls {
                let before = keeper.is_synced().then(|| keeper.book().last_id());
                match call {
                    0 => keeper.begin_connection(),
                    1 => { let _ = keeper.on_snapshot(&snapshot(id), PLACES); }
                    2 => { let _ = keeper.apply_waiting(PLACES); }
                    3 => {
                        // As a subscriber does: only a book that was in step goes on.
                        if before.is_some() {
                            keeper.resume();
                            prop_assert!(!keeper.is_synced());
                        }
                    }
                    _ => {
                        let outcome = outcome(&mut keeper, update(id, id + length, bid, ask));
                        if let (Some(before), Ok(Outcome::Applied)) = (before, outcome) {
                            prop_assert!(id <= before + 1);
                            prop_assert_eq!(keeper.book().last_id(), id + length);
                        }
                    }
                }
                prop_assert!(!keeper.is_synced() || !keeper.book().is_crossed());
                prop_assert!(!(keeper.is_synced() && keeper.needs_snapshot()));
            }
        }
    }
}
