//! Intervals and candlesticks against plain means: every boundary, and every candlestick worked out from all trades at once.

use depthcast_market::candle::Candle;
use depthcast_market::event::Trade;
use depthcast_market::interval::{KlineClock, KlineInterval, SECOND_US};
use depthcast_market::limits::{KEPT_MAX, RecordLimits};
use depthcast_market::record::{LATE_US, TradeRecord};
use depthcast_market::series::{SeriesId, SeriesSet, Wanted};
use depthcast_market::window::{Part, Window};
use proptest::prelude::*;

const DAY_US: i64 = 86_400 * SECOND_US;
const QUARTER_US: i64 = 900 * SECOND_US;

fn intervals() -> impl Strategy<Value = KlineInterval> {
    prop::sample::select(KlineInterval::ALL.to_vec())
}

/// Clocks from 12 hours behind UTC to 14 ahead.
fn clocks() -> impl Strategy<Value = i64> {
    (-48i64..=56).prop_map(|quarters| quarters * QUARTER_US)
}

/// The years 1900 to 2200, in microseconds.
fn moments() -> impl Strategy<Value = i64> {
    -25_567i64 * DAY_US..84_000 * DAY_US
}

/// 2024-02-01, 2024-03-01, 2023-12-31T16:00 in UTC; seconds.
const FEBRUARY_2024: i64 = 1_706_745_600;
const MARCH_2024: i64 = 1_709_251_200;
const NEW_YEAR_IN_CHINA: i64 = 1_704_038_400;

#[test]
fn months_are_those_of_the_calendar() {
    let month = KlineInterval::Month1;
    let span = |at: i64, ahead_us: i64| {
        let at_us = at * SECOND_US;
        (
            month.open_us(at_us, ahead_us) / SECOND_US,
            month.end_us(at_us, ahead_us) / SECOND_US,
        )
    };
    assert_eq!(span(FEBRUARY_2024, 0), (FEBRUARY_2024, MARCH_2024));
    assert_eq!(
        span(MARCH_2024 - 1, 0),
        (FEBRUARY_2024, MARCH_2024),
        "29 days in a leap year"
    );
    assert_eq!(span(MARCH_2024, 0).0, MARCH_2024);
    // 28 days in 2023, and in 2100, which is no leap year.
    for (february, march) in [(1_675_209_600, 1_677_628_800), (4_105_123_200, 4_107_542_400)] {
        assert_eq!(span(february, 0), (february, march));
    }
    let ahead_us = KlineClock::Ahead8h.ahead_us();
    assert_eq!(span(NEW_YEAR_IN_CHINA, ahead_us).0, NEW_YEAR_IN_CHINA);
    assert_eq!(span(NEW_YEAR_IN_CHINA - 1, ahead_us).1, NEW_YEAR_IN_CHINA);
}

#[test]
fn weeks_begin_on_monday_and_three_days_count_from_1970() {
    // 2024-08-08 was a Thursday; its Monday is 2024-08-05.
    let at_us = 1_723_075_200 * SECOND_US;
    assert_eq!(KlineInterval::W1.open_us(at_us, 0), 1_722_816_000 * SECOND_US);
    assert_eq!(KlineInterval::D3.open_us(3 * DAY_US - 1, 0), 0);
    assert_eq!(KlineInterval::D3.open_us(3 * DAY_US, 0), 3 * DAY_US);
    let ahead_us = KlineClock::Ahead8h.ahead_us();
    assert_eq!(KlineInterval::D1.open_us(0, ahead_us), -8 * 3600 * SECOND_US);
}

#[test]
fn names_are_one_to_one() {
    for interval in KlineInterval::ALL {
        assert_eq!(KlineInterval::parse(interval.as_str()), Some(interval));
        for clock in [KlineClock::Utc, KlineClock::Ahead8h] {
            let id = SeriesId::of(interval, clock);
            assert_eq!(id.interval(), interval);
            let is_same = (-9i64..9).all(|n| {
                let at_us = n * 7_777_777 * SECOND_US;
                interval.open_us(at_us, 0) == interval.open_us(at_us, clock.ahead_us())
            });
            assert_eq!(id.clock() == KlineClock::Utc, is_same, "{interval} by {clock:?}");
        }
    }
    assert_eq!(
        (KlineInterval::parse("1D"), KlineInterval::parse("")),
        (None, None)
    );
    assert_eq!(SeriesId::all().count(), 22);
}

proptest! {
    #[test]
    fn intervals_hold_the_moment_and_follow_each_other(
        interval in intervals(), ahead_us in clocks(), at_us in moments(),
    ) {
        let (open, end) = (interval.open_us(at_us, ahead_us), interval.end_us(at_us, ahead_us));
        prop_assert!(open <= at_us && at_us < end);
        prop_assert_eq!((interval.open_us(open, ahead_us), interval.end_us(open, ahead_us)), (open, end));
        prop_assert_eq!(interval.open_us(end - 1, ahead_us), open);
        prop_assert_eq!(interval.open_us(end, ahead_us), end);
        prop_assert_eq!(interval.end_us(open - 1, ahead_us), open);
        // Days and what is longer begin at midnight of their clock, all others at a whole number of their own length.
        match interval.period_us() {
            Some(period) if period <= DAY_US => prop_assert_eq!((open + ahead_us) % period, 0),
            _ => prop_assert_eq!((open + ahead_us) % DAY_US, 0),
        }
        match interval {
            KlineInterval::W1 => prop_assert_eq!(((open + ahead_us) / DAY_US).rem_euclid(7), 4, "a Monday"),
            KlineInterval::Month1 => prop_assert!((28..=31).contains(&((end - open) / DAY_US))),
            _ => prop_assert_eq!(Some(end - open), interval.period_us()),
        }
    }

    #[test]
    fn what_nests_has_all_boundaries(
        shorter in intervals(), longer in intervals(), ahead_us in clocks(), at_us in moments(),
    ) {
        let open = longer.open_us(at_us, ahead_us);
        if shorter.nests_in(longer, ahead_us) {
            prop_assert_eq!(shorter.open_us(open, 0), open);
        }
    }

    #[test]
    fn any_moment_gives_an_interval(interval in intervals(), ahead_us in any::<i64>(), at_us in any::<i64>()) {
        prop_assert!(interval.open_us(at_us, ahead_us) < interval.end_us(at_us, ahead_us));
    }
}

/// A step of a market: so much time passes, and then there is a trade, made so long before, or there is none.
#[derive(Clone, Debug)]
struct Step {
    pass_us: i64,
    trade: Option<(i64, i64, i64, bool)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pass = prop_oneof![
        8 => 0..400_000i64,
        4 => 0..5 * SECOND_US,
        2 => 0..3 * 3600 * SECOND_US,
        1 => 0..40 * DAY_US,
    ];
    let trade = (0..400_000i64, 90..110i64, 1..20i64, any::<bool>());
    let step =
        (pass, prop::option::weighted(0.7, trade)).prop_map(|(pass_us, trade)| Step { pass_us, trade });
    prop::collection::vec(step, 1..60)
}

/// All trades, each with the second that it counts into.
#[derive(Default)]
struct Model {
    trades: Vec<(i64, Trade)>,
    /// Seconds before this are over.
    over_us: i64,
}

impl Model {
    fn second(at_us: i64) -> i64 {
        at_us.div_euclid(SECOND_US) * SECOND_US
    }

    fn add(&mut self, trade: Trade) {
        let second = Model::second(trade.trade_time_us);
        if self.trades.is_empty() {
            self.over_us = second;
        }
        self.over_us = self.over_us.max(second);
        self.trades.push((self.over_us, trade));
    }

    fn pass(&mut self, now_us: i64) {
        self.over_us = self.over_us.max(Model::second(now_us - LATE_US));
    }

    /// What a candlestick of a span is.
    fn candle(&self, open_us: i64, end_us: i64) -> Candle {
        let before = self.trades.iter().rev().find(|(at_us, _)| *at_us < open_us);
        let mut candle = Candle::empty(open_us, end_us, before.map_or(0, |(_, trade)| trade.price));
        let those: Vec<&Trade> = self
            .trades
            .iter()
            .filter(|(at_us, _)| (open_us..end_us).contains(at_us))
            .map(|(_, trade)| trade)
            .collect();
        if let (Some(first), Some(last)) = (those.first(), those.last()) {
            let prices = || those.iter().map(|trade| trade.price);
            let quote = |trade: &&&Trade| i128::from(trade.price * trade.qty);
            let bought = || those.iter().filter(|trade| !trade.is_buyer_maker);
            candle = Candle {
                open: first.price,
                high: prices().max().unwrap(),
                low: prices().min().unwrap(),
                close: last.price,
                volume: those.iter().map(|trade| i128::from(trade.qty)).sum(),
                quote_volume: those.iter().map(|trade| quote(&trade)).sum(),
                taker_buy_volume: bought().map(|trade| i128::from(trade.qty)).sum(),
                taker_buy_quote_volume: bought().map(|trade| quote(&trade)).sum(),
                first_trade_id: first.id,
                last_trade_id: last.id,
                trades: those.len() as u64,
                ..candle
            };
        }
        candle
    }
}

/// Begin and end, what was told, and what is in the end, of a market.
struct Run {
    record: Option<TradeRecord>,
    model: Model,
    told: Vec<(SeriesId, Candle)>,
    now_us: i64,
}

/// 2024-02-27T10:00Z, so that days, a week and a month end within reach.
const BEGIN_US: i64 = 1_709_028_000 * SECOND_US;

fn run(steps: &[Step], limits: RecordLimits) -> Run {
    let mut series = SeriesSet::default();
    SeriesId::all().for_each(|id| series.set(id, true));
    let wanted = Wanted {
        series,
        empties_max: KEPT_MAX,
    };
    let mut run = Run {
        record: None,
        model: Model::default(),
        told: Vec::new(),
        now_us: BEGIN_US,
    };
    for (n, step) in steps.iter().enumerate() {
        run.now_us += step.pass_us;
        let told = &mut run.told;
        let mut tell = |id, candle: &Candle| told.push((id, *candle));
        if let Some(record) = &mut run.record {
            record.on_time(run.now_us, wanted, &mut tell);
            run.model.pass(run.now_us);
        }
        let Some((behind_us, price, qty, is_buyer_maker)) = step.trade else {
            continue;
        };
        let trade = Trade {
            event_time_us: run.now_us,
            trade_time_us: run.now_us - behind_us,
            id: n as i64,
            price,
            qty,
            is_buyer_maker,
            is_best_match: true,
            aggregate: None,
        };
        match &mut run.record {
            Some(record) => record.on_trade(&trade, run.now_us, wanted, &mut tell),
            None => run.record = Some(TradeRecord::new(limits, &trade, run.now_us)),
        }
        run.model.add(trade);
    }
    run
}

proptest! {
    #[test]
    fn every_candlestick_is_made_of_its_trades(steps in steps()) {
        let Run { record, model, told, .. } = run(&steps, RecordLimits::default());
        let mut ends = std::collections::HashMap::new();
        for (id, candle) in &told {
            prop_assert_eq!(*candle, model.candle(candle.open_us, candle.end_us));
            prop_assert_eq!(id.interval().open_us(candle.open_us, id.clock().ahead_us()), candle.open_us);
            prop_assert_eq!(id.interval().end_us(candle.open_us, id.clock().ahead_us()), candle.end_us);
            prop_assert!(candle.end_us <= model.over_us, "told when it is over");
            // One behind the other, but where a time without trades is longer than what is told of it.
            if let Some(end_us) = ends.insert(id.to_owned(), candle.end_us) {
                let is_next = end_us == candle.open_us;
                prop_assert!(is_next || (candle.is_empty() && candle.open_us > end_us), "{:?}", candle);
            }
        }
        let Some(record) = record else { return Ok(()) };
        for id in SeriesId::all() {
            let current = record.candles().current(id);
            let open_us = id.interval().open_us(model.over_us, id.clock().ahead_us());
            prop_assert_eq!(current, model.candle(open_us, current.end_us));
            // What had trades and is over was told.
            for (at_us, _) in &model.trades {
                let opened_us = id.interval().open_us(*at_us, id.clock().ahead_us());
                let is_told = told.iter().any(|(of, candle)| *of == id && candle.open_us == opened_us);
                prop_assert_eq!(is_told, opened_us < open_us);
            }
        }
    }

    #[test]
    fn lists_are_the_same_by_any_clock(
        steps in steps(), interval in intervals(), ahead_us in clocks(), limit in 0usize..40,
        from in prop::option::of(0.0..1.1f64), to in prop::option::of(0.0..1.1f64),
    ) {
        let Run { record, model, now_us, .. } = run(&steps, RecordLimits::default());
        let Some(record) = record else { return Ok(()) };
        let at = |part: f64| BEGIN_US + ((now_us - BEGIN_US) as f64 * part) as i64;
        let (from, to) = (from.map(at), to.map(at));
        let list = record.candles().list(interval, ahead_us, from, to, limit);
        let first = interval.open_us(model.trades[0].0, ahead_us);
        let newest = interval.open_us(model.over_us, ahead_us);
        let mut expected = Vec::new();
        let mut end = to.unwrap_or(i64::MAX).min(newest);
        match from {
            Some(from) => {
                let mut open = interval.open_us(from.max(first), ahead_us);
                if open < from {
                    open = interval.end_us(from, ahead_us);
                }
                while open <= end && expected.len() < limit {
                    let candle = model.candle(open, interval.end_us(open, ahead_us));
                    open = candle.end_us;
                    expected.push(candle);
                }
            }
            None => {
                while expected.len() < limit && interval.open_us(end, ahead_us) >= first {
                    let open = interval.open_us(end, ahead_us);
                    expected.push(model.candle(open, interval.end_us(open, ahead_us)));
                    end = open - 1;
                }
                expected.reverse();
            }
        }
        prop_assert_eq!(list, expected);
    }

    #[test]
    fn days_and_averages_are_those_of_their_trades(steps in steps()) {
        let limits = RecordLimits::default();
        let Run { record, model, now_us, .. } = run(&steps, limits);
        let Some(mut record) = record else { return Ok(()) };
        record.on_time(now_us, Wanted::default(), &mut |_, _| {});
        let begin = |span_us: i64, part_us: i64| {
            let ago = now_us - span_us;
            let down = ago.div_euclid(part_us) * part_us;
            if down < ago { down + part_us } else { down }
        };
        let day = record.day();
        let day_us = begin(DAY_US, limits.day_part_us);
        prop_assert_eq!((day.open_us, day.close_us), (day_us, now_us));
        let of_day = model.candle(day_us, i64::MAX);
        let (_, last) = model.trades.last().unwrap();
        prop_assert_eq!((day.last, day.last_qty), (last.price, last.qty));
        prop_assert_eq!((day.trades, day.volume, day.quote_volume), (of_day.trades, of_day.volume, of_day.quote_volume));
        prop_assert_eq!((day.first_trade_id, day.last_trade_id), (of_day.first_trade_id, of_day.last_trade_id));
        if day.trades > 0 {
            prop_assert_eq!((day.open, day.high, day.low), (of_day.open, of_day.high, of_day.low));
        } else {
            prop_assert_eq!((day.open, day.high, day.low), (0, 0, 0));
        }
        let before = model.trades.iter().rev().find(|(at_us, _)| *at_us < day_us);
        prop_assert_eq!(day.before, before.map(|(_, trade)| trade.price));
        let of_average = model.candle(begin(300 * SECOND_US, limits.average_part_us), i64::MAX);
        let price = if of_average.volume == 0 {
            last.price
        } else {
            ((2 * of_average.quote_volume + of_average.volume) / (2 * of_average.volume)) as i64
        };
        prop_assert_eq!(record.average().price, price);
        prop_assert_eq!(record.average().last_trade_us, last.trade_time_us);
    }
}

#[test]
fn a_year_without_a_trade_costs_next_to_nothing_and_rings_are_bounded() {
    let limits = RecordLimits::of_symbols(65_536);
    assert!(limits.candles >= 3 && limits.trades >= 20, "{limits:?}");
    let trade = |id: i64, at_us: i64| Trade {
        event_time_us: at_us,
        trade_time_us: at_us,
        id,
        price: 100 + id,
        qty: 1,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    };
    let mut record = TradeRecord::new(limits, &trade(0, BEGIN_US), BEGIN_US);
    for n in 1..200 {
        let at_us = BEGIN_US + n * 366 * DAY_US;
        record.on_trade(&trade(n, at_us), at_us, Wanted::default(), &mut |_, _| {});
    }
    assert_eq!(record.trades().iter().count(), limits.trades);
    let oldest = record.candles().list(KlineInterval::D1, 0, Some(0), None, 1);
    assert_eq!(
        oldest[0].first_trade_id,
        199 - limits.candles as i64,
        "the open one beside those that are kept"
    );
    // Of a month by another clock the first is whole.
    let months = record
        .candles()
        .list(KlineInterval::Month1, QUARTER_US, Some(0), None, 1000);
    assert!(months[0].is_empty(), "its beginning is not kept");
}

#[test]
fn windows_are_bounded_also_where_nobody_moves_them() {
    #[derive(Clone, Copy)]
    struct Sum(i64);
    impl Part for Sum {
        fn joined(&self, later: &Sum) -> Sum {
            Sum(self.0 + later.0)
        }
    }
    let mut window = Window::new(10 * SECOND_US, SECOND_US);
    for n in 0..1000 {
        window.add(n * SECOND_US + 500_000, Sum(n));
        assert!(window.len() <= 12);
    }
    assert_eq!(window.move_to(999_900_000), 990);
    assert_eq!(window.begin_us(999_900_000), 990 * SECOND_US);
    assert_eq!(window.whole().map(|sum| sum.0), Some((990..1000).sum()));
    // It goes as soon as its begin is too long ago.
    assert_eq!(window.due_us(), Some(1_000 * SECOND_US + 1));
    assert_eq!(window.move_to(1_000 * SECOND_US), 0);
    assert_eq!(window.move_to(1_000 * SECOND_US + 1), 1);
}

#[test]
fn a_trade_of_the_future_counts_as_of_now() {
    let trade = |id: i64, made_us: i64| Trade {
        event_time_us: BEGIN_US,
        trade_time_us: made_us,
        id,
        price: i64::MAX,
        qty: i64::MAX,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    };
    for mad in [i64::MAX, i64::MIN, BEGIN_US + DAY_US] {
        let mut record = TradeRecord::new(RecordLimits::default(), &trade(0, BEGIN_US), BEGIN_US);
        for id in 1..5 {
            record.on_trade(&trade(id, mad), BEGIN_US, Wanted::default(), &mut |_, _| {});
        }
        record.on_time(i64::MAX, Wanted::default(), &mut |_, _| {});
        let list = record
            .candles()
            .list(KlineInterval::D1, 0, Some(0), Some(BEGIN_US + DAY_US), 9);
        assert_eq!(list[0].trades, 5, "{mad}");
        assert_eq!(list[0].quote_volume, i128::MAX, "the most there is");
    }
}
