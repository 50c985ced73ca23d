//! The time of the feed's events, between them too, and what is due by it.
//!
//! A feed's messages are received a while behind the time that they carry (E), and its clock is not ours: a recorded market's
//! differ by more than a second. So the time of its events at any moment is the moment less the smallest such while.

use depthcast_market::event::MarketEvent;
use depthcast_market::interval::SECOND_US;
use depthcast_market::record::over_us;

use super::cadence::Tick;

/// By how much a later event may show the while to be smaller than all before it did, microseconds: an hour. One that shows more
/// carries a time that is wrong.
const STEP_MAX_US: i64 = 3600 * SECOND_US;

/// Events one after the other that agree on another while, before they are believed rather than all before them.
const AGREEING_EVENTS: u32 = 20;

/// How often most statistics are told, microseconds.
const SECOND_PERIOD_US: i64 = SECOND_US;

/// How often a candlestick that is not over is told, microseconds.
const KLINE_PERIOD_US: i64 = 2 * SECOND_US;

/// Candlesticks without a trade that are told in one round over all symbols, about, where time has jumped: one for each symbol
/// that there may be. Of each stream the newest are, and at least one beside that which was open.
const EMPTIES_PER_ROUND: usize = super::SYMBOLS_MAX;

/// Seconds that time goes on between two rounds at most where it does not jump: they follow each other within a second.
const NO_JUMP_S: i64 = 3;

/// Candlesticks without a trade that one stream is told at once at most.
pub(super) const EMPTIES_PER_STREAM: usize = 1000;

/// The feed's time.
#[derive(Debug, Default)]
pub(super) struct FeedClock {
    /// The smallest (receive time - event time); None before the first event that carries one.
    apart_us: Option<i64>,
    /// The smallest while of the last events, all of which have shown one that is too small to be believed, and their number.
    doubted: Option<(i64, u32)>,
    /// How far it has come.
    now_us: i64,
    /// All seconds before this are over, as of the last round; zero before the first.
    over_us: i64,
    /// The last ticks at which statistics were told, and open candlesticks.
    second_us: i64,
    kline_us: i64,
    /// The last round was at this tick.
    round_us: i64,
}

/// What is due at a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// The market's time: the tick.
    pub(super) at_us: i64,
    /// The time of its events.
    pub(super) clock_us: i64,
    /// Statistics are told that have changed since this, the market's time; None where they are not due.
    pub(super) statistics_since_us: Option<i64>,
    /// Open candlesticks likewise.
    pub(super) klines_since_us: Option<i64>,
    /// Of a time without a trade so many candlesticks are told of each stream.
    pub(super) empties_max: usize,
}

impl FeedClock {
    /// An event was received.
    pub(super) fn learn(&mut self, event: &MarketEvent, at_us: i64) {
        let event_time_us = match event {
            MarketEvent::Depth(update) => Some(update.event_time_us),
            MarketEvent::Trade(trade) => Some(trade.event_time_us),
            MarketEvent::BestBidAsk(best) => best.event_time_us,
            MarketEvent::Snapshot(_) => None,
        };
        let Some(apart_us) = event_time_us.and_then(|time_us| at_us.checked_sub(time_us)) else {
            return;
        };
        match self.apart_us {
            Some(known) if apart_us >= known => self.doubted = None,
            Some(known) if known.saturating_sub(apart_us) > STEP_MAX_US => self.doubt(apart_us),
            _ => {
                self.apart_us = Some(apart_us);
                self.doubted = None;
            }
        }
    }

    /// An event shows a while that cannot be, unless it was the first one that was wrong: then all others agree on theirs.
    fn doubt(&mut self, apart_us: i64) {
        let (smallest_us, count) = match self.doubted {
            Some((smallest_us, count)) if smallest_us.abs_diff(apart_us) <= STEP_MAX_US.unsigned_abs() => {
                (smallest_us.min(apart_us), count + 1)
            }
            _ => (apart_us, 1),
        };
        self.doubted = Some((smallest_us, count));
        if count >= AGREEING_EVENTS {
            self.apart_us = Some(smallest_us);
            self.doubted = None;
        }
    }

    /// The time of the feed's events at a moment of the market's; it does not go back.
    pub(super) fn at(&mut self, at_us: i64) -> i64 {
        if let Some(apart_us) = self.apart_us {
            self.now_us = self.now_us.max(at_us.saturating_sub(apart_us));
        }
        self.now_us
    }

    /// How far it has come; zero before the first event.
    pub(super) fn now_us(&self) -> i64 {
        self.now_us
    }

    /// What is due at a tick, if anything. `klines` says how many streams of candlesticks are wanted.
    pub(super) fn round(&mut self, tick: Tick, klines: impl FnOnce() -> usize) -> Option<Round> {
        // Once for each tick, and not before there is a time of events.
        if tick.0 <= self.round_us {
            return None;
        }
        self.round_us = tick.0;
        self.apart_us?;
        let clock_us = self.at(tick.0);
        let over_us = over_us(clock_us);
        let is_over = over_us > self.over_us;
        let is_second = tick.0 % SECOND_PERIOD_US == 0;
        if !is_over && !is_second {
            return None;
        }
        let has_jumped = self.over_us > 0 && (over_us - self.over_us) / SECOND_US > NO_JUMP_S;
        let empties_max = if has_jumped {
            (EMPTIES_PER_ROUND / klines().max(1)).clamp(1, EMPTIES_PER_STREAM)
        } else {
            EMPTIES_PER_STREAM
        };
        self.over_us = self.over_us.max(over_us);
        let since = |is_due: bool, last_us: &mut i64| is_due.then(|| std::mem::replace(last_us, tick.0));
        Some(Round {
            at_us: tick.0,
            clock_us,
            statistics_since_us: since(is_second, &mut self.second_us),
            klines_since_us: since(tick.0 % KLINE_PERIOD_US == 0, &mut self.kline_us),
            empties_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::event::DepthUpdate;

    const HOUR_US: i64 = 3600 * SECOND_US;

    fn event(event_time_us: i64) -> MarketEvent {
        MarketEvent::Depth(DepthUpdate {
            event_time_us,
            ..DepthUpdate::default()
        })
    }

    #[test]
    fn a_first_event_with_a_wrong_time_is_outvoted() {
        let mut clock = FeedClock::default();
        let now_us = 500_000 * HOUR_US;
        clock.learn(&event(0), now_us);
        assert_eq!(clock.at(now_us), 0);
        for n in 1..i64::from(AGREEING_EVENTS) {
            clock.learn(&event(now_us + n), now_us + n + 7);
            assert_eq!(clock.at(now_us + n), n, "event {n}");
        }
        clock.learn(&event(now_us), now_us + 5);
        assert_eq!(clock.at(now_us + 100), now_us + 95);
    }

    #[test]
    fn a_later_event_with_a_wrong_time_changes_nothing() {
        let mut clock = FeedClock::default();
        clock.learn(&event(10 * HOUR_US), 10 * HOUR_US + 9);
        for n in 0..1000 {
            clock.learn(&event(20 * HOUR_US + n), 10 * HOUR_US + 9 + n);
            clock.learn(&event(10 * HOUR_US + n), 10 * HOUR_US + 20 + n);
        }
        assert_eq!(clock.at(10 * HOUR_US + 1009), 10 * HOUR_US + 1000);
    }
}
