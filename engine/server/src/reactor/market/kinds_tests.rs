//! Kinds of streams beside the plain ones: aggregate trades, heartbeats, and depth at every cadence.

use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{bounded, unbounded};
use depthcast_market::event::{AggregatePart, MarketEvent, Trade};
use depthcast_wire::sbe::decode::{Message, decode};
use depthcast_wire::stream::Cadence;
use depthcast_wire::time_unit::TimeUnit;

use super::tests::{Rig, payload};
use super::*;
use crate::reactor::questions::{Ask, Question};

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};
const COMBINED: Encoding = Encoding::Json {
    combined: true,
    time_unit: TimeUnit::Microsecond,
};
const SBE: Encoding = Encoding::Sbe { combined: false };
const SBE_COMBINED: Encoding = Encoding::Sbe { combined: true };

const BTC: usize = 0;

/// First byte of an unfragmented text frame.
const TEXT: u8 = 0x81;

fn trade(id: i64, price: i64, aggregate: Option<AggregatePart>) -> MarketEvent {
    MarketEvent::Trade(Trade {
        event_time_us: 1_000_000 + id,
        trade_time_us: 999_999,
        id,
        price,
        qty: 2,
        is_buyer_maker: true,
        is_best_match: true,
        aggregate,
    })
}

/// `a`, `f` and `l` of each aggregate trade since the last call.
fn aggregates(rig: &mut Rig) -> Vec<(i64, i64, i64)> {
    let numbers = |(_, text): (u32, String)| {
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        let number = |key: &str| event[key].as_i64().unwrap();
        (number("a"), number("f"), number("l"))
    };
    rig.texts().into_iter().map(numbers).collect()
}

/// The frames handed on since the last call, headers included, each with the number of its topic.
fn whole_frames(rig: &mut Rig) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    for message in rig.messages() {
        if let WorkerMessage::Batch(batch) = message {
            frames.extend(
                batch
                    .iter()
                    .map(|frame| (frame.token.topic, frame.bytes.to_vec())),
            );
        }
    }
    frames
}

/// Asserts that a topic got one frame, of text, that says this.
fn assert_text(frames: &[(u32, Vec<u8>)], topic: TopicToken, expected: &str) {
    let mut of_topic = frames.iter().filter(|(number, _)| *number == topic.topic);
    let (_, frame) = of_topic.next().expect("a frame");
    assert!(of_topic.next().is_none(), "one frame");
    assert_eq!(frame[0], TEXT);
    assert_eq!(String::from_utf8(payload(frame)).unwrap(), expected);
}

#[test]
fn aggregate_trades_are_json_for_everybody() {
    let mut rig = Rig::begun();
    let [raw, combined, sbe, sbe_combined] =
        [RAW, COMBINED, SBE, SBE_COMBINED].map(|encoding| rig.want("btcusdt@aggTrade", encoding));
    rig.event(BTC, 1000, trade(7, 105, None));
    rig.event(BTC, 1001, trade(8, 105, None));
    assert!(rig.frames().is_empty(), "it may go on");
    rig.event(BTC, 1001, trade(9, 106, None));
    let frames = whole_frames(&mut rig);
    assert_eq!(frames.len(), 4);
    let event = |event_time: &str, trade_time: &str| {
        format!(
            r#"{{"e":"aggTrade","E":{event_time},"s":"BTCUSDT","a":1,"p":"10.5","q":"4","f":7,"l":8,"T":{trade_time},"m":true,"M":true}}"#
        )
    };
    let micros = event("1000008", "999999");
    let wrapped = format!(r#"{{"stream":"btcusdt@aggTrade","data":{micros}}}"#);
    assert_text(&frames, raw, &event("1000", "999"));
    assert_text(&frames, combined, &wrapped);
    assert_text(&frames, sbe, &micros);
    assert_text(&frames, sbe_combined, &wrapped);
}

#[test]
fn sbe_that_is_combined_wraps_json_only() {
    let mut rig = Rig::begun();
    let plain = rig.want("btcusdt@trade", SBE).topic;
    let combined = rig.want("btcusdt@trade", SBE_COMBINED).topic;
    rig.event(BTC, 1000, trade(7, 105, None));
    let mut frames = rig.frames();
    frames.sort();
    let numbers: Vec<u32> = frames.iter().map(|(topic, _)| *topic).collect();
    assert_eq!(numbers, [plain, combined]);
    for (_, bytes) in frames {
        assert!(matches!(decode(&bytes), Ok(Message::Trades(_))));
    }
}

#[test]
fn a_quiet_symbol_gives_its_aggregate_with_the_first_tick_after_a_whole_one() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@aggTrade", RAW);
    rig.event(BTC, 1009, trade(1, 105, None));
    // The tick of 1010 falls between two trades of one burst.
    rig.event(BTC, 1011, trade(2, 105, None));
    rig.time(1020);
    assert_eq!(aggregates(&mut rig), []);
    rig.time(1029);
    assert_eq!(aggregates(&mut rig), []);
    rig.time(1030);
    assert_eq!(aggregates(&mut rig), [(1, 1, 2)]);
    rig.time(5000);
    assert_eq!(aggregates(&mut rig), []);
}

#[test]
fn an_aggregate_that_its_feed_names_is_given_with_its_last_trade() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@aggTrade", RAW);
    let part = |is_last| Some(AggregatePart { id: 70, is_last });
    rig.event(BTC, 1000, trade(1, 105, part(false)));
    rig.time(3000);
    assert_eq!(aggregates(&mut rig), []);
    rig.event(BTC, 3000, trade(2, 105, part(true)));
    assert_eq!(aggregates(&mut rig), [(70, 1, 2)]);
}

#[test]
fn ids_of_aggregates_count_from_1_in_each_epoch_whoever_listens() {
    let mut rig = Rig::begun();
    for epoch in 0..2 {
        rig.event(BTC, 1000, trade(1, 105, None));
        rig.event(BTC, 1000, trade(2, 106, None));
        let token = rig.want("btcusdt@aggTrade", RAW);
        rig.event(BTC, 1000, trade(3, 107, None));
        assert_eq!(aggregates(&mut rig), [(2, 2, 2)], "epoch {epoch}");
        rig.begin();
        assert_eq!(
            aggregates(&mut rig),
            [(3, 3, 3)],
            "before the end of epoch {epoch}"
        );
        rig.market.on_request(MarketRequest::Unwant { worker: 0, token });
    }
}

#[test]
fn heartbeats_tell_how_far_the_feed_has_come() {
    let mut rig = Rig::new();
    let [raw, combined, sbe, sbe_combined] =
        [RAW, COMBINED, SBE, SBE_COMBINED].map(|encoding| rig.want("!heartbeat", encoding));
    rig.market.on_second(true);
    assert!(rig.frames().is_empty(), "no history has begun");
    rig.begin();
    assert_eq!(
        rig.market
            .counters
            .unknown_symbols
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    let event = |time: &str, count: u32| format!(r#"{{"e":"heartbeat","E":{time},"ep":1,"n":{count}}}"#);
    rig.market.on_second(true);
    assert_text(&whole_frames(&mut rig), raw, &event("0", 1));
    rig.event(BTC, 1234, trade(1, 105, None));
    rig.time(2345);
    // It stands still when the feed does, also when it has broken.
    rig.market.on_feed(FeedMessage::Break {
        reason: "the line is dead".into(),
    });
    for count in [2, 3] {
        rig.market.on_second(true);
        let frames = whole_frames(&mut rig);
        assert_eq!(frames.len(), 4);
        let micros = event("2345000", count);
        let wrapped = format!(r#"{{"stream":"!heartbeat","data":{micros}}}"#);
        assert_text(&frames, raw, &event("2345", count));
        assert_text(&frames, combined, &wrapped);
        assert_text(&frames, sbe, &micros);
        assert_text(&frames, sbe_combined, &wrapped);
    }
    for token in [combined, sbe, sbe_combined] {
        rig.market.on_request(MarketRequest::Unwant { worker: 0, token });
    }
    rig.begin();
    rig.market.on_second(true);
    let frames = whole_frames(&mut rig);
    assert_eq!(frames.len(), 1);
    assert_text(&frames, raw, &event("0", 1));
}

/// A moment, to be sent where seconds are counted.
fn moment() -> Instant {
    crossbeam_channel::after(Duration::ZERO).recv().unwrap()
}

#[test]
fn heartbeats_come_between_bursts_and_after_the_end_of_the_feed() {
    for feed_goes_on in [true, false] {
        let mut rig = Rig::begun();
        rig.want("!heartbeat", RAW);
        let (feed, messages) = unbounded();
        let (second, seconds) = bounded(1);
        let (requests, requested) = bounded(1);
        rig.market.feed = messages;
        rig.market.seconds = seconds;
        rig.market.requests = requested;
        for at_us in 0..3 * BURST as i64 {
            feed.send(FeedMessage::Time(at_us)).unwrap();
        }
        let feed = feed_goes_on.then_some(feed);
        let inbox = rig.inbox;
        let market = std::thread::spawn({
            let market = rig.market;
            move || market.run()
        });
        for count in 1..=3 {
            second.send(moment()).unwrap();
            let frame = loop {
                match inbox.take() {
                    Ok(WorkerMessage::Batch(mut batch)) => break batch.remove(0),
                    Ok(_) => {}
                    Err(_) => std::thread::yield_now(),
                }
            };
            let text = String::from_utf8(payload(&frame.bytes)).unwrap();
            assert!(text.ends_with(&format!(r#","n":{count}}}"#)), "{text}");
        }
        // Nobody counts seconds any more, which is no reason to spin or to end.
        drop(second);
        requests.send(MarketRequest::Stop { at_once: true }).unwrap();
        market.join().unwrap();
        drop(feed);
    }
}

#[test]
fn heartbeats_that_a_full_worker_does_not_take_are_bounded() {
    let mut rig = Rig::begun();
    rig.want("!heartbeat", RAW);
    while rig.market.outbox.try_hand_on() {
        rig.market.on_second(true);
    }
    while rig.market.outbox.frames() < WAITING_FRAMES_MAX - 1 {
        rig.market.on_second(true);
    }
    let (requests, requested) = bounded(3);
    let (second, seconds) = bounded(2);
    for _ in 0..2 {
        second.send(moment()).unwrap();
        let reply = tokio::sync::oneshot::channel().0;
        let ask = Ask {
            question: Question::Instruments,
            known: None,
            reply,
        };
        requests.send(MarketRequest::Ask(ask)).unwrap();
    }
    requests.send(MarketRequest::Stop { at_once: true }).unwrap();
    rig.market.requests = requested;
    rig.market.seconds = seconds;
    rig.market.hand_on();
    assert_eq!(rig.market.outbox.frames(), WAITING_FRAMES_MAX);
    assert_eq!(rig.market.seconds.len(), 1, "the second one waits");
}

#[test]
fn every_depth_kind_emits_at_every_cadence() {
    const FROM_MS: i64 = 10_000;
    const TO_MS: i64 = 12_000;
    let mut rig = Rig::new();
    rig.depth_cadence_ms = 0;
    rig.begin();
    let mut wanted = Vec::new();
    for kind in ["depth", "depth5", "depth10", "depth20"] {
        for cadence in Cadence::ALL {
            let name = format!("btcusdt@{kind}@{}", cadence.suffix());
            for encoding in [RAW, COMBINED, SBE] {
                wanted.push((rig.want(&name, encoding).topic, name.clone(), cadence, encoding));
            }
        }
    }
    let bids: Vec<(i64, i64)> = (0..30).map(|n| (100 - n, 1)).collect();
    rig.snapshot(FROM_MS, 10, &bids, &[(110, 1)]);
    // One change in each 5 ms, which no cadence misses.
    let mut id = 10;
    for at_ms in (FROM_MS + 2..TO_MS).step_by(5) {
        id += 1;
        rig.depth(at_ms, id..=id, &[(100, at_ms)], &[]);
    }
    rig.time(TO_MS);
    let frames = rig.frames();
    for (topic, name, cadence, encoding) in wanted {
        let of_topic: Vec<&[u8]> = frames
            .iter()
            .filter(|(number, _)| *number == topic)
            .map(|(_, bytes)| &bytes[..])
            .collect();
        let interval_ms = i64::from(cadence.millis()).max(5);
        assert_eq!(
            of_topic.len() as i64,
            (TO_MS - FROM_MS) / interval_ms,
            "{name} in {encoding:?}"
        );
        let mut before = 10;
        for bytes in of_topic {
            let (first, last, bids) = read_depth(bytes, encoding);
            match name.contains("@depth@") {
                true => assert_eq!(first, Some(before + 1), "{name} in {encoding:?}"),
                false => {
                    let levels = name["btcusdt@depth".len()..].split('@').next().unwrap();
                    assert_eq!(bids.to_string(), levels, "{name} in {encoding:?}");
                }
            }
            assert!(last > before, "{name} in {encoding:?}");
            before = last;
        }
        assert_eq!(before, id, "{name} in {encoding:?}");
    }
}

/// First id where there is one, last id, and the number of bids.
fn read_depth(bytes: &[u8], encoding: Encoding) -> (Option<u64>, u64, usize) {
    match decode(bytes) {
        Ok(Message::DepthDiff(diff)) => (Some(diff.first_id()), diff.last_id(), diff.bids().count()),
        Ok(Message::DepthSnapshot(top)) => (None, top.last_id(), top.bids().count()),
        _ => {
            let mut event: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            if encoding.wraps_json() {
                event = event["data"].take();
            }
            let last = event["u"].as_u64().or(event["lastUpdateId"].as_u64());
            let bids = event["b"].as_array().or(event["bids"].as_array());
            (event["U"].as_u64(), last.unwrap(), bids.unwrap().len())
        }
    }
}

#[test]
fn frames_for_measuring_are_the_same_bytes_for_everybody() {
    let mut rig = Rig::begun();
    let topics = [RAW, COMBINED, SBE, SBE_COMBINED].map(|encoding| rig.want("btcusdt@fixed", encoding));
    rig.want("ethusdt@fixed", RAW);
    let frames = [b"first payload...", b"second payload.."].map(|bytes| (BTC, Bytes::from_static(bytes)));
    rig.market.on_feed(FeedMessage::Fixed {
        at_us: 5,
        frames: frames.to_vec(),
    });
    let frames = whole_frames(&mut rig);
    assert_eq!(frames.len(), 8, "the other symbol has none");
    for topic in topics {
        let of_topic: Vec<_> = frames
            .iter()
            .filter(|(number, _)| *number == topic.topic)
            .collect();
        for ((_, frame), expected) in of_topic.iter().zip(["first payload...", "second payload.."]) {
            assert_eq!(frame[..2], [0x82, 16], "an unfragmented binary frame");
            assert_eq!(&frame[2..], expected.as_bytes());
        }
    }
}
