//! Candlesticks, tickers, average prices and checksums of the recorded market: worked out anew from the recorded text, moment by
//! moment, and every one that a subscriber gets compared.

pub mod common;

use common::expected::{self, Trade};
use common::market::{Kind, Level, capture, decimal, recorded};
use common::raw::{settings, start};
use common::replay::to_the_end;
use common::subscriber::Subscriber;

/// How often the market ticks, microseconds.
const TICK_US: i64 = 10_000;
const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 86_400 * SECOND_US;

/// How long a second waits for its last trades.
const LATE_US: i64 = 250_000;

/// How long the market's time goes on after the last line.
const AFTERWARDS_US: i64 = 1_100_000;

const STREAMS: [&str; 7] = [
    "kline_1s",
    "kline_1m",
    "kline_1d@+08:00",
    "miniTicker",
    "ticker",
    "avgPrice",
    "checksum",
];

/// A span of candlesticks, microseconds.
#[derive(Clone, Copy, PartialEq)]
struct Interval {
    name: &'static str,
    period_us: i64,
    /// By how much their clock is ahead.
    ahead_us: i64,
}

const INTERVALS: [Interval; 3] = [
    Interval {
        name: "1s",
        period_us: SECOND_US,
        ahead_us: 0,
    },
    Interval {
        name: "1m",
        period_us: MINUTE_US,
        ahead_us: 0,
    },
    Interval {
        name: "1d",
        period_us: DAY_US,
        ahead_us: 8 * 3600 * SECOND_US,
    },
];

impl Interval {
    fn open_us(self, at_us: i64) -> i64 {
        (at_us + self.ahead_us).div_euclid(self.period_us) * self.period_us - self.ahead_us
    }
}

/// The market as it comes by.
struct Market {
    /// Trades so far, each with the second that it counts into.
    trades: Vec<(i64, &'static Trade)>,
    /// How many there were at the last ticks of one and of two seconds.
    at_second: usize,
    at_two_seconds: usize,
    /// The smallest difference of the two clocks.
    apart_us: Option<i64>,
    clock_us: i64,
    /// The second that is open.
    second_us: i64,
    best: Option<[Level; 2]>,
    told_best: Option<[Level; 2]>,
    /// The newest event of depth, once there is the snapshot.
    book_id: Option<u64>,
    /// How many parts of the average's five minutes had gone at the last second.
    average_begin_us: i64,
    told: [Vec<String>; STREAMS.len()],
}

fn quote(trades: &[&Trade]) -> i128 {
    let quote = |trade: &&Trade| i128::from(trade.level.0) * i128::from(trade.level.1);
    trades.iter().map(quote).sum()
}

/// With eight places, of sixteen; rounded half up.
fn quote_decimal(quote: i128) -> String {
    decimal(i64::try_from((quote + 50_000_000) / 100_000_000).expect("it fits"))
}

fn volume(trades: &[&Trade]) -> i64 {
    trades.iter().map(|trade| trade.level.1).sum()
}

/// Half up.
fn rounded(dividend: i128, divisor: i128) -> i64 {
    i64::try_from((2 * dividend + divisor).div_euclid(2 * divisor)).expect("it fits")
}

fn highest(trades: &[&Trade]) -> i64 {
    trades.iter().map(|trade| trade.level.0).max().expect("a trade")
}

fn lowest(trades: &[&Trade]) -> i64 {
    trades.iter().map(|trade| trade.level.0).min().expect("a trade")
}

fn signed(digits: i64) -> String {
    let sign = if digits < 0 { "-" } else { "" };
    format!("{sign}{}", decimal(digits.abs()))
}

/// CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

impl Market {
    fn new() -> Market {
        Market {
            trades: Vec::new(),
            at_second: 0,
            at_two_seconds: 0,
            apart_us: None,
            clock_us: 0,
            second_us: 0,
            best: None,
            told_best: None,
            book_id: None,
            average_begin_us: 0,
            told: Default::default(),
        }
    }

    fn learn(&mut self, at_us: i64, event_time_ms: i64) {
        let apart_us = at_us - event_time_ms * 1000;
        self.apart_us = Some(self.apart_us.map_or(apart_us, |known| known.min(apart_us)));
        self.move_clock(at_us);
    }

    fn move_clock(&mut self, at_us: i64) {
        if let Some(apart_us) = self.apart_us {
            self.clock_us = self.clock_us.max(at_us - apart_us);
        }
    }

    /// The trades of a span, by the seconds that they count into.
    fn of(&self, from_us: i64, to_us: i64) -> Vec<&'static Trade> {
        let those = self
            .trades
            .iter()
            .filter(|(at_us, _)| (from_us..to_us).contains(at_us));
        those.map(|(_, trade)| *trade).collect()
    }

    fn tell(&mut self, stream: usize, text: String) {
        self.told[stream].push(text);
    }

    fn tell_candle(&mut self, stream: usize, open_us: i64, is_closed: bool) {
        let interval = INTERVALS[stream];
        let end_us = open_us + interval.period_us;
        let trades = self.of(open_us, end_us);
        let bought: Vec<&Trade> = trades
            .iter()
            .copied()
            .filter(|trade| !trade.is_buyer_maker)
            .collect();
        let before = || {
            self.of(i64::MIN, open_us)
                .last()
                .expect("an earlier trade")
                .level
                .0
        };
        let [open, high, low, close] = match (trades.first(), trades.last()) {
            (Some(first), Some(last)) => [first.level.0, highest(&trades), lowest(&trades), last.level.0],
            _ => [before(); 4],
        }
        .map(decimal);
        let text = format!(
            r#"{{"e":"kline","E":{},"s":"BTCUSDT","k":{{"t":{},"T":{},"s":"BTCUSDT","i":"{}","f":{},"L":{},"o":"{open}","c":"{close}","h":"{high}","l":"{low}","v":"{}","n":{},"x":{is_closed},"q":"{}","V":"{}","Q":"{}","B":"0"}}}}"#,
            self.clock_us / 1000,
            open_us / 1000,
            end_us / 1000 - 1,
            interval.name,
            trades.first().map_or(-1, |trade| trade.id),
            trades.last().map_or(-1, |trade| trade.id),
            decimal(volume(&trades)),
            trades.len(),
            quote_decimal(quote(&trades)),
            decimal(volume(&bought)),
            quote_decimal(quote(&bought)),
        );
        self.tell(stream, text);
    }

    /// Closes all candlesticks that end at a moment or before.
    fn close_until(&mut self, until_us: i64) {
        let until_us = until_us.div_euclid(SECOND_US) * SECOND_US;
        if self.trades.is_empty() || until_us <= self.second_us {
            return;
        }
        for (stream, interval) in INTERVALS.iter().enumerate() {
            let mut open_us = interval.open_us(self.second_us);
            while open_us + interval.period_us <= until_us {
                self.tell_candle(stream, open_us, true);
                open_us += interval.period_us;
            }
        }
        self.second_us = until_us;
    }

    fn on_trade(&mut self, trade: &'static Trade) {
        let second_us = trade.trade_time_ms * 1000 / SECOND_US * SECOND_US;
        if self.trades.is_empty() {
            self.second_us = second_us;
        }
        self.close_until(second_us);
        self.trades.push((self.second_us, trade));
    }

    fn on_tick(&mut self, tick_us: i64) {
        self.move_clock(tick_us);
        if self.apart_us.is_none() {
            return;
        }
        self.close_until(self.clock_us - LATE_US);
        if tick_us % (2 * SECOND_US) == 0 {
            if self.trades.len() > self.at_two_seconds {
                for stream in [1, 2] {
                    let open_us = INTERVALS[stream].open_us(self.second_us);
                    if !self.of(open_us, open_us + INTERVALS[stream].period_us).is_empty() {
                        self.tell_candle(stream, open_us, false);
                    }
                }
            }
            self.at_two_seconds = self.trades.len();
        }
        if tick_us % SECOND_US == 0 {
            self.on_second();
            self.at_second = self.trades.len();
        }
    }

    fn on_second(&mut self) {
        let at_ms = self.clock_us / 1000;
        let has_traded = self.trades.len() > self.at_second;
        let trades = self.of(i64::MIN, i64::MAX);
        if let (true, Some(first), Some(last)) = (has_traded, trades.first(), trades.last()) {
            let text = format!(
                r#"{{"e":"24hrMiniTicker","E":{at_ms},"s":"BTCUSDT","c":"{}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}"}}"#,
                decimal(last.level.0),
                decimal(first.level.0),
                decimal(highest(&trades)),
                decimal(lowest(&trades)),
                decimal(volume(&trades)),
                quote_decimal(quote(&trades)),
            );
            self.tell(3, text);
        }
        let best_changed = self.best != self.told_best;
        if has_traded || best_changed {
            self.told_best = self.best;
            let text = self.ticker(&trades);
            self.tell(4, text);
        }
        self.on_average(has_traded);
        if let Some(id) = self.book_id {
            let [bids, asks] = &recorded().state(id).top;
            let best = asks.iter().take(10).chain(bids.iter().take(10));
            let digits: String = best.map(|(price, qty)| format!("{price}{qty}")).collect();
            let sum = crc32(digits.as_bytes());
            self.tell(
                6,
                format!(r#"{{"e":"bookChecksum","E":{at_ms},"s":"BTCUSDT","u":{id},"n":10,"c":{sum}}}"#),
            );
        }
    }

    fn ticker(&self, trades: &[&Trade]) -> String {
        let begin_us = (self.clock_us - DAY_US + MINUTE_US - 1).div_euclid(MINUTE_US) * MINUTE_US;
        let [(bid, bid_qty), (ask, ask_qty)] = self.best.unwrap_or_default();
        let best = format!(
            r#""b":"{}","B":"{}","a":"{}","A":"{}""#,
            decimal(bid),
            decimal(bid_qty),
            decimal(ask),
            decimal(ask_qty)
        );
        let (first, last) = (trades.first(), trades.last());
        let price = |trade: Option<&&Trade>| trade.map_or(0, |trade| trade.level.0);
        let (open, close) = (price(first), price(last));
        let change = close - open;
        let (mut high, mut low, mut weighted, mut percent) = (0, 0, 0, 0);
        if !trades.is_empty() {
            (high, low) = (highest(trades), lowest(trades));
            weighted = rounded(quote(trades), volume(trades).into());
            percent = change.signum() * rounded(i128::from(change.abs()) * 100_000, open.into());
        }
        let sign = if percent < 0 { "-" } else { "" };
        let percent = format!("{sign}{}.{:03}", percent.abs() / 1000, percent.abs() % 1000);
        format!(
            r#"{{"e":"24hrTicker","E":{},"s":"BTCUSDT","p":"{}","P":"{percent}","w":"{}","x":"0.00000000","c":"{}","Q":"{}",{best},"o":"{}","h":"{}","l":"{}","v":"{}","q":"{}","O":{},"C":{},"F":{},"L":{},"n":{}}}"#,
            self.clock_us / 1000,
            signed(change),
            decimal(weighted),
            decimal(close),
            decimal(last.map_or(0, |trade| trade.level.1)),
            decimal(open),
            decimal(high),
            decimal(low),
            decimal(volume(trades)),
            quote_decimal(quote(trades)),
            begin_us / 1000,
            self.clock_us / 1000,
            first.map_or(-1, |trade| trade.id),
            last.map_or(-1, |trade| trade.id),
            trades.len(),
        )
    }

    fn on_average(&mut self, has_traded: bool) {
        let begin_us = (self.clock_us - 5 * MINUTE_US + SECOND_US - 1).div_euclid(SECOND_US) * SECOND_US;
        let has_gone = !self.of(self.average_begin_us, begin_us).is_empty();
        self.average_begin_us = begin_us;
        let Some(&(_, last)) = self.trades.last().filter(|_| has_traded || has_gone) else {
            return;
        };
        let trades = self.of(begin_us, i64::MAX);
        let price = match volume(&trades) {
            0 => last.level.0,
            volume => rounded(quote(&trades), volume.into()),
        };
        let text = format!(
            r#"{{"e":"avgPrice","E":{},"s":"BTCUSDT","i":"5m","w":"{}","T":{}}}"#,
            self.clock_us / 1000,
            decimal(price),
            last.trade_time_ms
        );
        self.tell(5, text);
    }
}

/// What each stream has to give of the whole recording.
fn expected() -> [Vec<String>; STREAMS.len()] {
    let recorded = recorded();
    let mut market = Market::new();
    let (mut trades, mut tickers) = (expected::trades().iter(), expected::tickers().iter());
    let mut now_us = None;
    let tick_to = |market: &mut Market, now_us: &mut Option<i64>, to_us: i64| {
        let from_us = now_us.replace(to_us).unwrap_or(to_us);
        let first = from_us.div_euclid(TICK_US) + 1;
        (first..=to_us.div_euclid(TICK_US)).for_each(|tick| market.on_tick(tick * TICK_US));
    };
    for (place, line) in recorded.lines.iter().enumerate() {
        let at_us = (line.at_ns / 1000).cast_signed();
        // Lines that were received out of order count as received when the one before them was.
        let at_us = now_us.map_or(at_us, |now_us: i64| now_us.max(at_us));
        tick_to(&mut market, &mut now_us, at_us);
        match line.kind {
            Kind::Trade => {
                let trade = trades.next().expect("a trade");
                market.learn(at_us, trade.event_time_ms);
                market.on_trade(trade);
            }
            Kind::BookTicker => market.best = Some(tickers.next().expect("a best bid and ask").best),
            Kind::Depth => {
                let event: serde_json::Value = serde_json::from_str(line.payload()).expect("a depth event");
                market.learn(at_us, event["E"].as_i64().expect("a time"));
                let last_id = event["u"].as_u64().expect("an id");
                if place > recorded.snapshot_line && last_id > recorded.snapshot_id {
                    market.book_id = Some(last_id);
                }
            }
            Kind::Snapshot => {
                let mut early = recorded.updates.iter().filter(|update| update.line < place);
                let last = early
                    .next_back()
                    .map_or(recorded.snapshot_id, |update| update.last_id);
                market.book_id = Some(last);
            }
        }
    }
    let end_us = now_us.expect("lines");
    for step in 1..=AFTERWARDS_US / TICK_US {
        tick_to(&mut market, &mut now_us, end_us + step * TICK_US);
    }
    market.told
}

#[test]
fn every_event_that_is_derived_from_the_recorded_market_is_right() {
    let expected = expected();
    let counts = expected.each_ref().map(Vec::len);
    println!("{STREAMS:?}: {counts:?}");
    assert!(counts.iter().all(|&count| count > 4), "{counts:?}");
    let engine = start(settings(
        &capture(),
        &format!("speed=max&start={}&end=hold", STREAMS.len()),
    ));
    let streams: Vec<usize> = (0..STREAMS.len()).collect();
    to_the_end(engine, &streams, |address, &stream, done| {
        let name = STREAMS[stream];
        let mut subscriber = Subscriber::open(address, &format!("/ws/btcusdt@{name}"));
        for (place, expected) in expected[stream].iter().enumerate() {
            assert_eq!(subscriber.message().text(), expected, "{name}, number {place}");
        }
        done.and_goodbye(&mut subscriber, |message| {
            panic!("{name}: {message:?} is one too many")
        });
    });
}
