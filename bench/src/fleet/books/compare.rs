//! Books held against each other at the same ids: on the trail of a symbol, and a slow reader's against those of readers that
//! keep up.

use depthcast_market::event::{BookSnapshot, DepthUpdate};
use depthcast_market::instrument::Exponents;

use super::{BookFault, EVENTS_PER_COMPARISON, StreamBook};
use crate::fleet::ledger::{Ledger, Teller};
use crate::fleet::trail::{self, Trail};

impl StreamBook {
    pub(super) fn load_and_compare(
        &mut self,
        snapshot: &BookSnapshot,
        exponents: Exponents,
        ledger: &mut Option<Ledger>,
    ) -> Result<u64, BookFault> {
        // A stream begins with one; a later one stands for events that could not be told any more.
        let conflated = self.last_id.is_some();
        let events = self.load(snapshot, exponents)?;
        self.compare(conflated, ledger).map(|()| events)
    }

    pub(super) fn apply_and_compare(
        &mut self,
        update: &DepthUpdate,
        exponents: Exponents,
        ledger: &mut Option<Ledger>,
    ) -> Result<u64, BookFault> {
        let events = self.apply(update, exponents)?;
        let conflated = self.is_slow
            && ledger
                .as_ref()
                .is_some_and(|ledger| ledger.is_merged(&self.stream, update.first_id, update.last_id));
        self.compare(conflated, ledger).map(|()| events)
    }

    /// Puts down what the book has become, or holds it against what others put down.
    fn compare(&mut self, conflated: bool, ledger: &mut Option<Ledger>) -> Result<(), BookFault> {
        let (Some(ledger), Some(book), Some(last_id)) = (ledger, &self.book, self.last_id) else {
            return Ok(());
        };
        let teller = if self.is_slow {
            ledger.conflations += u64::from(conflated);
            self.events_alone += 1;
            if !conflated && self.events_alone < EVENTS_PER_COMPARISON {
                return Ok(());
            }
            self.events_alone = 0;
            Teller::Slow { conflated }
        } else if ledger.is_sure(&self.stream, last_id) {
            return Ok(());
        } else {
            Teller::Healthy
        };
        match ledger.tell(&self.stream, last_id, trail::digest_of_book(book), teller) {
            true => Ok(()),
            false => Err(BookFault::Differs {
                stream: self.stream.clone(),
                last_id,
            }),
        }
    }

    /// Holds what it says against what other books of the symbol said at the same id.
    pub(super) fn compare_on(&self, trail: &mut Option<Trail>) -> Result<(), BookFault> {
        let (Some(book), Some(trail)) = (&self.book, trail) else {
            return Ok(());
        };
        trail
            .note(&self.stream, book)
            .map_err(|differs| BookFault::Differs {
                stream: self.stream.clone(),
                last_id: differs.last_id,
            })
    }
}
