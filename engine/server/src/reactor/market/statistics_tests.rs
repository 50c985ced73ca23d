//! When statistics are told, on virtual time: candlesticks, days, averages, checksums.

use depthcast_market::event::{BestBidAsk, Level, MarketEvent, Trade};
use depthcast_wire::time_unit::TimeUnit;

use super::answers_tests::{ask, one};
use super::tests::{Rig, payload};
use super::*;
use crate::reactor::messages::{Begin, Since};
use crate::reactor::questions::Content;
use crate::session::encoding::Encoding;

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};
const SBE: Encoding = Encoding::Sbe { combined: false };

const BTC: usize = 0;
const ETH: usize = 1;

/// 2024-02-28T23:59:00Z, ms: the year has a 29 February.
const LEAP_MS: i64 = 1_709_164_740_000;

/// A trade that is made and told at the same time.
pub(super) fn trade(rig: &mut Rig, symbol: usize, at_ms: i64, id: i64, price: i64) {
    late_trade(rig, symbol, (at_ms, at_ms), id, price);
}

/// A trade that is told at a moment and was made at another.
fn late_trade(rig: &mut Rig, symbol: usize, (at_ms, made_ms): (i64, i64), id: i64, price: i64) {
    let trade = Trade {
        event_time_us: at_ms * 1000,
        trade_time_us: made_ms * 1000,
        id,
        price,
        qty: 2,
        is_buyer_maker: id % 2 == 0,
        is_best_match: true,
        aggregate: None,
    };
    rig.event(symbol, at_ms, MarketEvent::Trade(trade));
}

/// Lets time pass as a feed tells it.
fn pass(rig: &mut Rig, from_ms: i64, to_ms: i64) {
    for at_ms in (from_ms..=to_ms).step_by(50) {
        rig.time(at_ms);
    }
}

type Event = serde_json::Value;

fn events(rig: &mut Rig) -> Vec<Event> {
    let texts = rig.texts().into_iter();
    texts
        .map(|(_, text)| serde_json::from_str(&text).unwrap())
        .collect()
}

/// Begin, close, trades and whether it is over, of each candlestick since the last call.
fn candles(rig: &mut Rig) -> Vec<(i64, String, u64, bool)> {
    events(rig)
        .iter()
        .map(|event| {
            let k = &event["k"];
            let close = k["c"].as_str().unwrap().to_string();
            (
                k["t"].as_i64().unwrap(),
                close,
                k["n"].as_u64().unwrap(),
                k["x"] == true,
            )
        })
        .collect()
}

fn candle(from_ms: i64, close: &str, trades: u64, is_closed: bool) -> (i64, String, u64, bool) {
    (from_ms, close.to_string(), trades, is_closed)
}

#[test]
fn seconds_are_told_once_they_are_over_and_go_on_in_a_quiet_market() {
    let mut rig = Rig::begun();
    let topic = rig.want("btcusdt@kline_1s", RAW).topic;
    pass(&mut rig, 100_000, 100_500);
    assert!(rig.frames().is_empty(), "there was no trade");
    trade(&mut rig, BTC, 100_600, 1, 105);
    trade(&mut rig, BTC, 100_700, 2, 107);
    rig.time(101_240);
    assert!(rig.frames().is_empty(), "another trade of it may come");
    // One that does, and one that is too late: it counts into the second that is open.
    late_trade(&mut rig, BTC, (101_245, 100_999), 3, 106);
    rig.time(101_250);
    let told = rig.texts();
    assert_eq!(
        told,
        [(
            topic,
            r#"{"e":"kline","E":101250,"s":"BTCUSDT","k":{"t":100000,"T":100999,"s":"BTCUSDT","i":"1s","f":1,"L":3,"o":"10.5","c":"10.6","h":"10.7","l":"10.5","v":"6","n":3,"x":true,"q":"63.6","V":"4","Q":"42.2","B":"0"}}"#
                .to_string()
        )]
    );
    late_trade(&mut rig, BTC, (101_260, 100_999), 4, 104);
    trade(&mut rig, BTC, 102_001, 5, 108);
    assert_eq!(
        candles(&mut rig),
        [candle(101_000, "10.4", 1, true)],
        "a later second has a trade"
    );
    pass(&mut rig, 102_050, 105_300);
    assert_eq!(
        candles(&mut rig),
        [
            candle(102_000, "10.8", 1, true),
            candle(103_000, "10.8", 0, true),
            candle(104_000, "10.8", 0, true)
        ]
    );
}

#[test]
fn longer_ones_are_told_every_two_seconds_while_they_change_and_once_when_they_are_over() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@kline_1m", RAW);
    trade(&mut rig, BTC, 118_500, 1, 105);
    pass(&mut rig, 118_550, 121_300);
    // 120 is a tick of theirs, and the minute waits for its last trades then.
    assert_eq!(
        candles(&mut rig),
        [candle(60_000, "10.5", 1, false), candle(60_000, "10.5", 1, true)]
    );
    trade(&mut rig, BTC, 121_500, 2, 106);
    trade(&mut rig, BTC, 121_600, 3, 107);
    pass(&mut rig, 121_650, 126_500);
    assert_eq!(
        candles(&mut rig),
        [candle(120_000, "10.7", 2, false)],
        "nothing new at the next ones"
    );
    pass(&mut rig, 126_550, 241_000);
    assert_eq!(
        candles(&mut rig),
        [candle(120_000, "10.7", 2, true), candle(180_000, "10.7", 0, true)]
    );
}

#[test]
fn months_weeks_and_other_clocks_close_where_the_calendar_says() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@kline_1d", RAW);
    trade(&mut rig, BTC, LEAP_MS, 1, 105);
    // A jump, as of a feed that was away: to the 29th, then to March.
    rig.time(LEAP_MS + 120_000);
    assert_eq!(candles(&mut rig), [candle(1_709_078_400_000, "10.5", 1, true)]);
    let days = rig.want("btcusdt@kline_1d@+08:00", RAW).topic;
    let months = rig.want("btcusdt@kline_1M", RAW).topic;
    let weeks = rig.want("btcusdt@kline_1w", RAW).topic;
    trade(&mut rig, BTC, LEAP_MS + 180_000, 2, 106);
    rig.time(LEAP_MS + 86_400_000);
    let told: Vec<(u32, Event)> = rig
        .texts()
        .iter()
        .map(|(topic, text)| (*topic, serde_json::from_str(text).unwrap()))
        .collect();
    let of = |topic: u32| -> Vec<(i64, i64)> {
        let of_topic = told
            .iter()
            .filter(|(of, event)| *of == topic && event["k"]["x"] == true);
        of_topic
            .map(|(_, event)| {
                (
                    event["k"]["t"].as_i64().unwrap(),
                    event["k"]["T"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    // 28 February 16:00 to the next, 1 February to 29 February; the week of 26 February is not over.
    assert_eq!(of(days), [(1_709_136_000_000, 1_709_222_399_999)]);
    assert_eq!(of(months), []);
    assert_eq!(of(weeks), []);
    rig.time(LEAP_MS + 86_400_000 + 61_000 + 250);
    let texts: Vec<Event> = events(&mut rig);
    let month = texts
        .iter()
        .find(|event| event["k"]["i"] == "1M")
        .expect("a month");
    assert_eq!(
        (
            month["k"]["t"].as_i64(),
            month["k"]["T"].as_i64(),
            month["k"]["n"].as_u64()
        ),
        (Some(1_706_745_600_000), Some(1_709_251_199_999), Some(2))
    );
}

#[test]
fn who_comes_later_is_told_what_closes_from_then_on() {
    let mut rig = Rig::begun();
    trade(&mut rig, BTC, 100_600, 1, 105);
    pass(&mut rig, 100_650, 160_300);
    rig.want("btcusdt@kline_1s", RAW);
    pass(&mut rig, 160_350, 161_300);
    assert_eq!(candles(&mut rig), [candle(160_000, "10.5", 0, true)]);
    // Two names of the same; by the other clock seconds are the same.
    rig.want("btcusdt@kline_1s@+08:00", RAW);
    pass(&mut rig, 161_350, 162_300);
    assert_eq!(rig.frames().len(), 2);
}

#[test]
fn a_jump_tells_a_bounded_number_of_what_had_no_trade() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@kline_1s", RAW);
    trade(&mut rig, BTC, LEAP_MS, 1, 105);
    let year_ms = 366 * 86_400_000;
    rig.time(LEAP_MS + year_ms);
    let told = candles(&mut rig);
    assert_eq!(told.len(), 1 + 1000);
    assert_eq!(told[0], candle(LEAP_MS, "10.5", 1, true), "what was open is told");
    let last = &told[1000];
    assert_eq!((last.0, last.2), (LEAP_MS + year_ms - 2000, 0));
}

#[test]
fn days_and_averages_are_told_each_second_in_which_they_change() {
    let mut rig = Rig::begun();
    let [mini, day, average, all, sbe] = [
        ("btcusdt@miniTicker", RAW),
        ("btcusdt@ticker", RAW),
        ("btcusdt@avgPrice", RAW),
        ("!miniTicker@arr", RAW),
        ("!miniTicker@arr", SBE),
    ]
    .map(|(name, encoding)| rig.want(name, encoding).topic);
    trade(&mut rig, BTC, 100_600, 1, 105);
    trade(&mut rig, BTC, 100_700, 2, 110);
    rig.time(101_000);
    let mini_text = |unit: &str| {
        format!(
            r#"{{"e":"24hrMiniTicker","E":101000{unit},"s":"BTCUSDT","c":"11.0","o":"10.5","h":"11.0","l":"10.5","v":"4","q":"43.0"}}"#
        )
    };
    let mut told = rig.texts();
    told.sort();
    let mut expected = vec![
        (mini, mini_text("")),
        (
            day,
            r#"{"e":"24hrTicker","E":101000,"s":"BTCUSDT","p":"0.5","P":"4.762","w":"10.8","x":"0.0","c":"11.0","Q":"2","b":"0.0","B":"0","a":"0.0","A":"0","o":"10.5","h":"11.0","l":"10.5","v":"4","q":"43.0","O":-86280000,"C":101000,"F":1,"L":2,"n":2}"#.to_string(),
        ),
        (
            average,
            r#"{"e":"avgPrice","E":101000,"s":"BTCUSDT","i":"5m","w":"10.8","T":100700}"#.to_string(),
        ),
        (all, format!("[{}]", mini_text(""))),
        (sbe, format!("[{}]", mini_text("000"))),
    ];
    expected.sort();
    assert_eq!(told, expected);
    pass(&mut rig, 101_050, 102_000);
    assert!(rig.frames().is_empty(), "nothing has changed");
    // The best bid and ask are of the ticker alone.
    let level = |price| Level { price, qty: 3 };
    let best = BestBidAsk {
        event_time_us: None,
        update_id: 5,
        bid: level(104),
        ask: level(111),
    };
    rig.event(BTC, 102_100, MarketEvent::BestBidAsk(best));
    trade(&mut rig, ETH, 102_200, 1, 55);
    pass(&mut rig, 102_250, 103_000);
    let told = rig.texts();
    let by = |topic: u32| {
        told.iter()
            .find(|(of, _)| *of == topic)
            .map(|(_, text)| text.as_str())
    };
    assert!(
        by(day)
            .unwrap()
            .contains(r#""b":"10.4","B":"3","a":"11.1","A":"3","#)
    );
    assert!(by(all).unwrap().contains("ETHUSDT") && !by(all).unwrap().contains("BTCUSDT"));
    assert_eq!((by(mini), by(average)), (None, None));
    // Five minutes later the average is the last price, whoever trades.
    pass(&mut rig, 103_050, 403_000);
    let averages: Vec<_> = rig
        .texts()
        .into_iter()
        .filter(|(topic, _)| *topic == average)
        .map(|(_, text)| text)
        .collect();
    assert_eq!(
        averages,
        [r#"{"e":"avgPrice","E":401000,"s":"BTCUSDT","i":"5m","w":"11.0","T":100700}"#]
    );
}

#[test]
fn a_day_later_a_trade_is_no_more_of_the_day() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@ticker", RAW);
    trade(&mut rig, BTC, LEAP_MS, 1, 105);
    trade(&mut rig, BTC, LEAP_MS + 60_000, 2, 95);
    rig.time(LEAP_MS + 86_400_000);
    rig.frames();
    pass(&mut rig, LEAP_MS + 86_400_050, LEAP_MS + 86_402_000);
    let told = events(&mut rig);
    assert_eq!(told.len(), 1, "the first minute goes");
    let event = &told[0];
    for (key, value) in [
        ("x", "10.5"),
        ("o", "9.5"),
        ("h", "9.5"),
        ("p", "0.0"),
        ("v", "2"),
    ] {
        assert_eq!(event[key], value, "{key}");
    }
    assert_eq!((event["F"].as_i64(), event["n"].as_i64()), (Some(2), Some(1)));
    assert_eq!(event["O"].as_i64(), Some(LEAP_MS + 60_000));
    rig.time(LEAP_MS + 2 * 86_400_000);
    rig.frames();
    trade(&mut rig, ETH, LEAP_MS + 2 * 86_400_000, 1, 1);
    pass(
        &mut rig,
        LEAP_MS + 2 * 86_400_000,
        LEAP_MS + 2 * 86_400_000 + 1000,
    );
    rig.frames();
    let Ok(Content::Tickers(tickers)) =
        ask(&mut rig, one("BTCUSDT"), None).map(|(_, content)| content.unwrap())
    else {
        panic!("a ticker")
    };
    let quiet = tickers[0].statistics;
    assert_eq!(
        (quiet.trades, quiet.open, quiet.last, quiet.before),
        (0, 0, 95, Some(95))
    );
}

#[test]
fn a_checksum_is_of_the_book_behind_the_events_of_its_tick() {
    let mut rig = Rig::begun();
    let sums = rig.want("btcusdt@checksum", RAW).topic;
    let depth = rig.want("btcusdt@depth", RAW).topic;
    rig.snapshot(1000, 10, &[(100, 1), (99, 7)], &[(110, 1)]);
    rig.depth(1500, 11..=12, &[(101, 40)], &[(112, 5)]);
    rig.time(2000);
    let told = rig.texts();
    let topics: Vec<u32> = told.iter().map(|(topic, _)| *topic).collect();
    assert_eq!(topics, [depth, sums]);
    // zlib.crc32(b"1101" b"1125" b"10140" b"1001" b"997")
    assert_eq!(
        told[1].1,
        r#"{"e":"bookChecksum","E":2000,"s":"BTCUSDT","u":12,"n":10,"c":CRC}"#.replace("CRC", "1833107536")
    );
    pass(&mut rig, 2050, 4000);
    assert_eq!(rig.texts().len(), 2, "each second, whatever changes");
    rig.depth(4100, 15..=15, &[], &[]);
    pass(&mut rig, 4150, 6000);
    assert!(rig.texts().is_empty(), "the book is stale");
}

/// A turn of the market thread begins, in which the worker is behind or not.
fn turn(rig: &mut Rig, is_behind: bool) {
    rig.market.outbox.try_hand_on();
    rig.inbox.set_busy(is_behind);
    rig.market.begin_turn();
}

#[test]
fn a_worker_that_is_behind_is_told_every_candlestick_and_of_the_rest_the_newest() {
    let mut rig = Rig::begun();
    rig.snapshot(100_000, 10, &[(100, 1)], &[(110, 1)]);
    let [seconds, mini, all, sums] = [
        "btcusdt@kline_1s",
        "btcusdt@miniTicker",
        "!miniTicker@arr",
        "btcusdt@checksum",
    ]
    .map(|name| rig.want(name, RAW).topic);
    let topics = |rig: &mut Rig| -> Vec<u32> { rig.frames().into_iter().map(|(topic, _)| topic).collect() };
    turn(&mut rig, true);
    trade(&mut rig, BTC, 100_600, 1, 105);
    trade(&mut rig, ETH, 101_600, 1, 55);
    trade(&mut rig, BTC, 102_600, 2, 107);
    pass(&mut rig, 102_650, 103_500);
    assert_eq!(topics(&mut rig), [seconds; 3], "100, 101 and 102");
    turn(&mut rig, false);
    rig.time(103_600);
    let told = rig.texts();
    assert_eq!(told.len(), 1, "what changes at no tick of its own comes at once");
    assert!(
        told[0].0 == mini && told[0].1.contains(r#""E":103510,"s":"BTCUSDT","c":"10.7""#),
        "{told:?}"
    );
    rig.time(104_000);
    let told = rig.texts();
    let of = |topic: u32| {
        told.iter()
            .filter(move |(of, _)| *of == topic)
            .collect::<Vec<_>>()
    };
    assert_eq!((told.len(), of(all).len(), of(sums).len()), (2, 1, 1));
    let list = &of(all)[0].1;
    assert!(
        list.contains("BTCUSDT") && list.contains("ETHUSDT"),
        "since it was behind: {list}"
    );
    rig.time(105_000);
    assert_eq!(topics(&mut rig), [seconds, sums], "nothing is told twice");
}

#[test]
fn the_newest_is_what_a_conflated_subscriber_begins_with() {
    let mut rig = Rig::begun();
    rig.snapshot(100_000, 10, &[(100, 1)], &[(110, 1)]);
    trade(&mut rig, BTC, 100_600, 1, 105);
    rig.time(100_700);
    let names = [
        "btcusdt@checksum",
        "btcusdt@ticker",
        "btcusdt@avgPrice",
        "!miniTicker@arr",
    ];
    let begin = |name: &str| Begin {
        name: StreamName::parse(name).unwrap(),
        since: Since::Newest,
    };
    for encoding in [RAW, SBE] {
        for name in names {
            rig.want(name, encoding);
        }
        rig.market.on_request(MarketRequest::Join {
            worker: 0,
            connection: 5,
            number: 1,
            begins: names.iter().map(|name| begin(name)).collect(),
            encoding,
        });
        let messages = rig.messages();
        let Some(WorkerMessage::Joined {
            bodies: Ok(bodies), ..
        }) = messages.last()
        else {
            panic!("{messages:?}")
        };
        let events: Vec<String> = bodies
            .iter()
            .map(|body| String::from_utf8(payload(&body.bytes)).unwrap())
            .collect();
        assert_eq!(events.len(), 3, "of the whole market comes what comes next");
        assert!(bodies.iter().all(|body| body.bytes[0] == 0x81), "text frames");
        let unit = if encoding == SBE { "000" } else { "" };
        for (event, kind) in events.iter().zip(["bookChecksum", "24hrTicker", "avgPrice"]) {
            let head = format!(r#"{{"e":"{kind}","E":100700{unit},"s":"BTCUSDT","#);
            assert!(event.starts_with(&head), "{event}");
        }
    }
}
