//! The candlesticks of one symbol, of all intervals at once.
//!
//! A trade goes into an open second and nowhere else; when the second is over it is merged into the open candlestick of each
//! longer interval, so a trade costs one update and a second with trades one for each interval. Only candlesticks with trades
//! are kept: those without are told from the one before them, so a time without trades costs nothing, however long it is.

use std::collections::VecDeque;

use crate::candle::Candle;
use crate::event::Trade;
use crate::interval::{KlineClock, KlineInterval, SECOND_US, moment};
use crate::limits::push_bounded;

/// How many series there are: all intervals by UTC, and those that are not the same by the other clock.
const SERIES_LEN: usize = KlineInterval::ALL.len() + AHEAD.len();

/// The intervals that begin at other moments by the clock that is eight hours ahead: of which eight hours are no multiple.
const AHEAD: [KlineInterval; 6] = [
    KlineInterval::H6,
    KlineInterval::H12,
    KlineInterval::D1,
    KlineInterval::D3,
    KlineInterval::W1,
    KlineInterval::Month1,
];

/// The candlesticks of one interval by one clock. Two names of the same are the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesId(u8);

impl SeriesId {
    /// That of single seconds.
    pub const SECONDS: SeriesId = SeriesId(0);

    /// The series of an interval by a clock.
    pub fn of(interval: KlineInterval, clock: KlineClock) -> SeriesId {
        let ahead = AHEAD.iter().position(|&other| other == interval);
        let by_utc = KlineInterval::ALL.iter().position(|&other| other == interval);
        let place = match (clock, ahead, by_utc) {
            (KlineClock::Ahead8h, Some(place), _) => KlineInterval::ALL.len() + place,
            (_, _, place) => place.unwrap_or(0),
        };
        SeriesId(place as u8)
    }

    /// All series, those by UTC first, each shortest first.
    pub fn all() -> impl Iterator<Item = SeriesId> {
        (0..SERIES_LEN as u8).map(SeriesId)
    }

    /// How long its candlesticks are.
    pub fn interval(self) -> KlineInterval {
        let intervals = KlineInterval::ALL.iter().chain(&AHEAD);
        intervals.copied().nth(self.place()).unwrap_or(KlineInterval::S1)
    }

    /// By which clock they begin.
    pub fn clock(self) -> KlineClock {
        if self.place() < KlineInterval::ALL.len() {
            KlineClock::Utc
        } else {
            KlineClock::Ahead8h
        }
    }

    fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// Some of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesSet(u32);

const _: () = assert!(SERIES_LEN <= u32::BITS as usize);

impl SeriesSet {
    /// With this one, or without it.
    pub fn set(&mut self, id: SeriesId, is_in: bool) {
        let bit = 1 << id.0;
        self.0 = if is_in { self.0 | bit } else { self.0 & !bit };
    }

    /// Whether this one is of it.
    pub fn contains(self, id: SeriesId) -> bool {
        self.0 >> id.0 & 1 == 1
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Those that are.
    pub fn iter(self) -> impl Iterator<Item = SeriesId> {
        SeriesId::all().filter(move |id| self.contains(*id))
    }
}

/// What is to be told of candlesticks that close.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Of these series.
    pub series: SeriesSet,
    /// Of a time without a trade at most so many of each, the newest.
    pub empties_max: usize,
}

/// One series.
#[derive(Clone, Debug)]
struct Series {
    /// The one that is not over; without the trades of the open second.
    open: Candle,
    /// Those with trades that are over, oldest first.
    kept: VecDeque<Candle>,
    /// There were more than are kept.
    has_lost: bool,
    /// How often one closed: a stretch of several without a trade may count once.
    closes: u64,
}

/// All series of a symbol, from its first trade on.
#[derive(Clone, Debug)]
pub struct Candles {
    second: Candle,
    series: Box<[Series; SERIES_LEN]>,
    /// Candlesticks that a series keeps at most. Those by the other clock are made of those by UTC when they are asked for.
    kept_max: usize,
}

impl Candles {
    /// Those that begin at `at_us`, where the price is `price`, with room for `kept_max` of each interval.
    pub fn new(at_us: i64, price: i64, kept_max: usize) -> Candles {
        let mut series = SeriesId::all().map(|id| Series {
            open: empty(id, at_us, price),
            kept: VecDeque::new(),
            has_lost: false,
            closes: 0,
        });
        Candles {
            second: empty(SeriesId::SECONDS, at_us, price),
            series: Box::new(std::array::from_fn(|_| {
                series.next().expect("as many as there are series")
            })),
            kept_max: kept_max.max(1),
        }
    }

    /// The second that is not over.
    pub fn second(&self) -> &Candle {
        &self.second
    }

    /// Counts a trade into the open second: one that is made later belongs into another, see [`Candles::close_until`].
    pub fn add(&mut self, trade: &Trade) {
        self.second.add(trade);
    }

    /// Closes what is over at `until_us`, rounded down to a second, and tells of what is wanted of it, oldest first in each
    /// series. Gives the second that was open, if it is over and had a trade.
    pub fn close_until(
        &mut self,
        until_us: i64,
        wanted: Wanted,
        told: &mut impl FnMut(SeriesId, &Candle),
    ) -> Option<Candle> {
        let until_us = moment(until_us).div_euclid(SECOND_US) * SECOND_US;
        if until_us < self.second.end_us {
            return None;
        }
        let over = self.second;
        for (id, series) in SeriesId::all().zip(self.series.iter_mut()) {
            series.open.merge(&over);
            if series.open.end_us <= until_us {
                let empties_max = wanted.series.contains(id).then_some(wanted.empties_max);
                series.close(id, until_us, self.kept_max, empties_max, told);
            }
        }
        self.second = empty(SeriesId::SECONDS, until_us, over.close);
        Some(over).filter(|over| !over.is_empty())
    }

    /// The candlestick of a series that is not over, with all trades so far.
    pub fn current(&self, id: SeriesId) -> Candle {
        self.series[id.place()].open.merged(&self.second)
    }

    /// How often what [`Candles::list`] gives has changed but by trades.
    pub fn closes(&self, interval: KlineInterval, ahead_us: i64) -> u64 {
        self.series[base(interval, ahead_us).place()].closes
    }

    /// Candlesticks of an interval by a clock that is `ahead_us` ahead of UTC and a multiple of 15 minutes, oldest first, the
    /// one that is not over included: the first `limit` that begin at `from_us` or later, or without that the last, none of
    /// them beginning behind `to_us`. As far back as those that are kept tell.
    pub fn list(
        &self,
        interval: KlineInterval,
        ahead_us: i64,
        from_us: Option<i64>,
        to_us: Option<i64>,
        limit: usize,
    ) -> Vec<Candle> {
        let base = base(interval, ahead_us);
        let series = &self.series[base.place()];
        let current = self.current(base);
        let parts = || series.kept.iter().chain([&current]);
        let oldest = parts().next().map_or(current.open_us, |first| first.open_us);
        let mut first = interval.open_us(oldest, ahead_us);
        if series.has_lost && first < oldest {
            // A part of that one is not kept any more.
            first = interval.end_us(oldest, ahead_us);
        }
        let newest = interval.open_us(current.open_us, ahead_us);
        let last = to_us.map_or(newest, |to_us| interval.open_us(to_us, ahead_us).min(newest));
        let mut at = match from_us {
            Some(from_us) => match interval.open_us(from_us, ahead_us) {
                open if open < from_us => interval.end_us(from_us, ahead_us),
                open => open,
            },
            None => (1..limit).fold(last, |at, _| {
                if at > first {
                    interval.open_us(at - 1, ahead_us)
                } else {
                    at
                }
            }),
        }
        .max(first);
        // The kept ones are in order: what comes before is only looked at for its price.
        let (before, from) = {
            let place = series.kept.partition_point(|part| part.open_us < at);
            (place.checked_sub(1).map(|place| series.kept[place].close), place)
        };
        let mut price = before.unwrap_or_else(|| parts().next().map_or(current.open, |first| first.open));
        let mut parts = series.kept.range(from..).chain([&current]).peekable();
        let mut list = Vec::new();
        while at <= last && list.len() < limit {
            let mut candle = Candle::empty(at, interval.end_us(at, ahead_us), price);
            while let Some(part) = parts.next_if(|part| part.open_us < candle.end_us) {
                candle.merge(part);
            }
            price = candle.close;
            at = candle.end_us;
            list.push(candle);
        }
        list
    }
}

impl Series {
    /// Closes all that is over at `until_us`. Tells of those without a trade as many as are wanted, if any.
    fn close(
        &mut self,
        id: SeriesId,
        until_us: i64,
        kept_max: usize,
        empties_max: Option<usize>,
        told: &mut impl FnMut(SeriesId, &Candle),
    ) {
        let over = self.open;
        self.closes += 1;
        if !over.is_empty() && id.clock() == KlineClock::Utc {
            self.has_lost |= push_bounded(&mut self.kept, over, kept_max).is_some();
        }
        let open = empty(id, until_us, over.close);
        if let Some(empties_max) = empties_max {
            if !over.is_empty() || empties_max > 0 {
                told(id, &over);
            }
            // A month is longer than any that is shorter than another one.
            let longest = id.interval().period_us().unwrap_or(31 * 24 * 3600 * SECOND_US);
            let told_us = longest.saturating_mul(i64::try_from(empties_max).unwrap_or(i64::MAX));
            let from_us = open.open_us.saturating_sub(told_us).max(over.end_us);
            let mut at = empty(id, from_us, over.close);
            while at.open_us < open.open_us {
                if at.open_us >= over.end_us {
                    told(id, &at);
                }
                at = empty(id, at.end_us, over.close);
            }
        }
        self.open = open;
    }
}

/// A candlestick of a series that holds a moment, without a trade.
fn empty(id: SeriesId, at_us: i64, price: i64) -> Candle {
    let (interval, ahead_us) = (id.interval(), id.clock().ahead_us());
    Candle::empty(
        interval.open_us(at_us, ahead_us),
        interval.end_us(at_us, ahead_us),
        price,
    )
}

/// The series with the longest candlesticks of which those of an interval by a clock are made.
fn base(interval: KlineInterval, ahead_us: i64) -> SeriesId {
    let nesting = KlineInterval::ALL
        .into_iter()
        .rfind(|shorter| shorter.nests_in(interval, ahead_us));
    SeriesId::of(nesting.unwrap_or(KlineInterval::S1), KlineClock::Utc)
}
