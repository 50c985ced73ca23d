//! When streams tick. All cadences share one epoch of time, multiples of their period since 1970, so that every
//! 1000 ms tick is also a 100 ms tick; and each book remembers at which id each window of time began, so that a stream
//! sends the same `U..u` whoever joined it when.

use depthcast_wire::stream::Cadence;

/// How many cadences tick: all but 0 ms, which emits on arrival and comes first in the list.
const TICKING_LEN: usize = Cadence::ALL.len() - 1;

/// Cadences that tick.
const TICKING: &[Cadence; TICKING_LEN] = match Cadence::ALL.last_chunk() {
    Some(ticking) => ticking,
    None => panic!("the list has one more"),
};

/// Every tick of any cadence is a multiple of this, microseconds.
const TICK_US: i64 = 10_000;

// An aggregate trade that its feed does not name ends after one tick without a trade.
const _: () = assert!(depthcast_market::aggregate::QUIET_US == TICK_US);

/// Every this often all cadences tick at once, microseconds.
const ALL_TICK_US: i64 = 1_000_000;

/// A moment at which some cadences tick: a multiple of [`TICK_US`], microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(pub(super) i64);

impl Tick {
    /// The last one at a moment.
    pub(super) fn at_or_before(at_us: i64) -> Tick {
        Tick(at_us.div_euclid(TICK_US) * TICK_US)
    }

    /// The cadences that tick now.
    pub(super) fn cadences(self) -> impl Iterator<Item = Cadence> {
        TICKING
            .iter()
            .copied()
            .filter(move |cadence| self.0 % period_us(*cadence) == 0)
    }
}

fn period_us(cadence: Cadence) -> i64 {
    i64::from(cadence.millis()) * 1000
}

/// The feed's time, cut into ticks.
#[derive(Debug, Default)]
pub(super) struct TickClock {
    /// Time has come this far; None before the first event.
    now_us: Option<i64>,
    /// From here on nothing is due: every cadence has ticked since time was last told.
    quiet_from_us: i64,
}

impl TickClock {
    /// How far time has come; None before the first event.
    pub(super) fn now_us(&self) -> Option<i64> {
        self.now_us
    }

    /// The next tick at or before `to_us`. Call until None: then time has come to `to_us`. Where time jumps, only the
    /// ticks of the first second are given: every cadence has had one then, and nothing has happened since.
    pub(super) fn next_tick(&mut self, to_us: i64) -> Option<Tick> {
        let now = match self.now_us {
            None => {
                self.now_us = Some(to_us);
                self.quiet_from_us = to_us + ALL_TICK_US;
                return None;
            }
            Some(now) => now,
        };
        let next = (now.div_euclid(TICK_US) + 1) * TICK_US;
        if next > to_us || next > self.quiet_from_us + TICK_US {
            if to_us > now {
                self.now_us = Some(to_us);
            }
            // The caller handles what happened at `to_us` now: all cadences are due once more after that.
            self.quiet_from_us = self.quiet_from_us.max(to_us + ALL_TICK_US);
            return None;
        }
        self.now_us = Some(next);
        Some(Tick(next))
    }
}

/// For one book: at which id the window of each cadence began in which the book last changed.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowMarks {
    marks: [Mark; TICKING_LEN],
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Number of the window: time divided by the period.
    window: i64,
    /// The book's id before the window's first change.
    id_before: u64,
    /// The window ended while the book was stale: its changes go out with those of the window that heals it.
    is_owed: bool,
}

impl WindowMarks {
    /// A book whose first id is `id`, known since `at_us`: nothing before that is ever part of a difference.
    pub(super) fn begin(at_us: i64, id: u64) -> WindowMarks {
        let marks = TICKING.map(|cadence| Mark {
            window: at_us.div_euclid(period_us(cadence)),
            id_before: id,
            is_owed: false,
        });
        WindowMarks { marks }
    }

    /// The book, which stands at `id_before`, is about to change at `at_us`.
    pub(super) fn on_change(&mut self, at_us: i64, id_before: u64) {
        for (mark, cadence) in self.marks.iter_mut().zip(TICKING.iter().copied()) {
            let window = at_us.div_euclid(period_us(cadence));
            if window > mark.window {
                let id_before = if mark.is_owed { mark.id_before } else { id_before };
                *mark = Mark {
                    window,
                    id_before,
                    ..*mark
                };
            }
        }
    }

    /// The windows that end with this tick cannot be emitted, since the book is stale.
    pub(super) fn owe(&mut self, tick: Tick) {
        for cadence in tick.cadences() {
            if let Some(mark) = self.ended(tick, cadence) {
                mark.is_owed = true;
            }
        }
    }

    /// The id from which the difference of the window that ends with this tick counts; None when the book did not
    /// change in it.
    pub(super) fn take(&mut self, tick: Tick, cadence: Cadence) -> Option<u64> {
        let mark = self.ended(tick, cadence)?;
        mark.is_owed = false;
        Some(mark.id_before)
    }

    /// Whether a book that stands at `id` owes its stream of this cadence nothing at `now_us`, when all ticks up to then
    /// have been: what changes next begins a new window.
    pub(super) fn is_clean(&self, now_us: i64, id: u64, cadence: Cadence) -> bool {
        let Some(at) = TICKING.iter().position(|&ticking| ticking == cadence) else {
            return true;
        };
        let mark = &self.marks[at];
        mark.id_before == id || (!mark.is_owed && mark.window < now_us.div_euclid(period_us(cadence)))
    }

    fn ended(&mut self, tick: Tick, cadence: Cadence) -> Option<&mut Mark> {
        let at = TICKING.iter().position(|&ticking| ticking == cadence)?;
        let ended = tick.0.div_euclid(period_us(cadence)) - 1;
        Some(&mut self.marks[at]).filter(|mark| mark.window == ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(clock: &mut TickClock, to_us: i64) -> Vec<i64> {
        std::iter::from_fn(|| clock.next_tick(to_us))
            .map(|tick| tick.0)
            .collect()
    }

    #[test]
    fn ticks_are_multiples_and_each_comes_once() {
        let mut clock = TickClock::default();
        assert!(ticks(&mut clock, 1_005_000).is_empty());
        assert!(ticks(&mut clock, 1_009_999).is_empty());
        assert_eq!(ticks(&mut clock, 1_010_000), [1_010_000]);
        assert_eq!(ticks(&mut clock, 1_035_000), [1_020_000, 1_030_000]);
        assert!(ticks(&mut clock, 1_035_000).is_empty());
        assert!(ticks(&mut clock, 1_000_000).is_empty(), "time does not go back");
        assert_eq!(ticks(&mut clock, 1_040_000), [1_040_000]);
    }

    #[test]
    fn a_quiet_day_is_passed_over_after_all_cadences_ticked() {
        let mut clock = TickClock::default();
        ticks(&mut clock, 5_000);
        let day = ticks(&mut clock, 86_400_000_000);
        assert!(day.len() <= 102, "{}", day.len());
        assert!(
            day.iter()
                .any(|&at| Tick(at).cadences().any(|cadence| cadence == Cadence::Ms1000))
        );
        assert_eq!(ticks(&mut clock, 86_400_010_000), [86_400_010_000]);
    }

    #[test]
    fn a_window_counts_from_the_id_before_its_first_change() {
        let mut marks = WindowMarks::begin(0, 10);
        assert_eq!(marks.take(Tick(100_000), Cadence::Ms100), Some(10));
        marks.on_change(120_000, 10);
        marks.on_change(150_000, 15);
        marks.on_change(230_000, 20);
        assert_eq!(
            marks.take(Tick(200_000), Cadence::Ms100),
            None,
            "asked too late: a later window began"
        );
        assert_eq!(marks.take(Tick(300_000), Cadence::Ms100), Some(20));
        assert_eq!(marks.take(Tick(250_000), Cadence::Ms250), Some(10));
        assert_eq!(marks.take(Tick(400_000), Cadence::Ms100), None, "nothing changed");
        assert_eq!(marks.take(Tick(1_000_000), Cadence::Ms1000), Some(10));
    }

    #[test]
    fn what_a_stale_book_owes_goes_out_with_the_window_that_heals_it() {
        let mut marks = WindowMarks::begin(0, 10);
        marks.on_change(120_000, 10);
        marks.owe(Tick(200_000));
        marks.owe(Tick(300_000));
        marks.on_change(950_000, 15);
        assert_eq!(marks.take(Tick(1_000_000), Cadence::Ms100), Some(10));
        marks.on_change(1_050_000, 20);
        assert_eq!(marks.take(Tick(1_100_000), Cadence::Ms100), Some(20));
    }
}
