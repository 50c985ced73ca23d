//! The market thread's work, without its thread: feed messages in, the frames of one worker out.

use std::sync::atomic::Ordering;

use crossbeam_channel::bounded;
use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::sbe::decode::{Message, decode};
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Incoming, MessageReader, Role};

use super::*;
use crate::reactor::mailbox::{Inbox, mailbox};
use crate::reactor::messages::Position;
use crate::session::encoding::Encoding;

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};
const COMBINED: Encoding = Encoding::Json {
    combined: true,
    time_unit: TimeUnit::Microsecond,
};
const SBE: Encoding = Encoding::Sbe { combined: false };
const BTC: usize = 0;
const ETH: usize = 1;

pub(super) struct Rig {
    pub(super) market: Market,
    pub(super) inbox: Inbox<WorkerMessage>,
    next_topic: u32,
    /// How often the feed says that it has depth, from the next epoch on.
    pub(super) depth_cadence_ms: u32,
}

impl Rig {
    /// A market of BTCUSDT and ETHUSDT, fed every 100 ms, whose history has not begun.
    pub(super) fn new() -> Rig {
        let (mailbox, inbox) = mailbox().unwrap();
        let market = Market::new(
            bounded(1).1,
            bounded(1).1,
            crossbeam_channel::never(),
            vec![mailbox],
            WhenBehind::Merge,
            Arc::new(Counters::default()),
        );
        Rig {
            market,
            inbox,
            next_topic: 0,
            depth_cadence_ms: 100,
        }
    }

    pub(super) fn begun() -> Rig {
        let mut rig = Rig::new();
        rig.begin();
        rig
    }

    pub(super) fn begin(&mut self) {
        let symbols = ["BTCUSDT", "ETHUSDT"].map(|name| FeedSymbol {
            instrument: Arc::new(Instrument::new(name, Exponents { price: -1, qty: 0 }, 1, 1).unwrap()),
            depth_cadence_ms: self.depth_cadence_ms,
        });
        self.market.on_feed(FeedMessage::Epoch {
            id: 1,
            symbols: symbols.to_vec(),
        });
    }

    pub(super) fn want(&mut self, name: &str, encoding: Encoding) -> TopicToken {
        self.next_topic += 1;
        let token = TopicToken {
            topic: self.next_topic,
            generation: 7,
        };
        let name = StreamName::parse(name).unwrap();
        self.market.on_request(MarketRequest::Want {
            worker: 0,
            token,
            name,
            encoding,
        });
        token
    }

    pub(super) fn event(&mut self, symbol: usize, at_ms: i64, event: MarketEvent) {
        self.market.on_feed(FeedMessage::Event {
            symbol,
            at_us: at_ms * 1000,
            position: Position::Line(1),
            event,
        });
    }

    pub(super) fn depth(
        &mut self,
        at_ms: i64,
        ids: std::ops::RangeInclusive<u64>,
        bids: &[(i64, i64)],
        asks: &[(i64, i64)],
    ) {
        let update = DepthUpdate {
            event_time_us: at_ms * 1000,
            first_id: *ids.start(),
            last_id: *ids.end(),
            bids: levels(bids),
            asks: levels(asks),
        };
        self.event(BTC, at_ms, MarketEvent::Depth(update));
    }

    pub(super) fn snapshot(&mut self, at_ms: i64, last_id: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let snapshot = BookSnapshot {
            last_id,
            bids: levels(bids),
            asks: levels(asks),
        };
        self.event(BTC, at_ms, MarketEvent::Snapshot(snapshot));
    }

    pub(super) fn time(&mut self, at_ms: i64) {
        self.market.on_feed(FeedMessage::Time(at_ms * 1000));
    }

    /// The top of the book, as REST would be told.
    pub(super) fn top(&self) -> Option<BookSnapshot> {
        self.market.symbols[BTC].top(10)
    }

    /// The payloads handed on since the last call, each with the number of its topic.
    pub(super) fn frames(&mut self) -> Vec<(u32, Vec<u8>)> {
        self.inbox.acknowledge();
        let mut frames = Vec::new();
        for message in self.messages() {
            if let WorkerMessage::Batch(batch) = message {
                frames.extend(
                    batch
                        .iter()
                        .map(|frame| (frame.token.topic, payload(&frame.bytes))),
                );
            }
        }
        frames
    }

    /// What the worker was told since the last call.
    pub(super) fn messages(&mut self) -> Vec<WorkerMessage> {
        // What has no room in the mailbox comes once there is some.
        let mut messages = Vec::new();
        let mut all = false;
        while !all {
            all = self.market.outbox.try_hand_on();
            messages.extend(std::iter::from_fn(|| self.inbox.take().ok()));
        }
        messages
    }

    pub(super) fn texts(&mut self) -> Vec<(u32, String)> {
        self.frames()
            .into_iter()
            .map(|(topic, bytes)| (topic, String::from_utf8(bytes).unwrap()))
            .collect()
    }
}

/// The payload of a server's frame.
pub(super) fn payload(frame: &[u8]) -> Vec<u8> {
    let mut reader = MessageReader::new(Role::Client, 1 << 20);
    match reader.next(&mut &*frame).unwrap() {
        Some(Incoming::Text(text)) => text.as_bytes().to_vec(),
        Some(Incoming::Binary(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn levels(pairs: &[(i64, i64)]) -> Vec<Level> {
    pairs.iter().map(|&(price, qty)| Level { price, qty }).collect()
}

/// U and u of a depth event.
fn ids(text: &str) -> (u64, u64) {
    let event: serde_json::Value = serde_json::from_str(text).unwrap();
    (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap())
}

#[test]
fn events_before_the_snapshot_are_kept_when_newer_and_emitted_as_they_came() {
    let mut rig = Rig::begun();
    let stream = rig.want("btcusdt@depth@100ms", RAW).topic;
    rig.depth(10, 1..=5, &[(99, 1)], &[]);
    rig.depth(110, 6..=10, &[(98, 0)], &[(105, 3)]);
    assert!(
        rig.frames().is_empty(),
        "nothing comes of a book that is not known"
    );
    assert_eq!(rig.top(), None);
    rig.snapshot(120, 8, &[(100, 2)], &[(105, 1)]);
    assert_eq!(
        rig.texts(),
        [(
            stream,
            r#"{"e":"depthUpdate","E":110,"s":"BTCUSDT","U":6,"u":10,"b":[["9.8","0"]],"a":[["10.5","3"]]}"#
                .into()
        )]
    );
    let top = rig.top().expect("the book is known");
    assert_eq!(
        (top.last_id, top.bids, top.asks),
        (10, levels(&[(100, 2)]), levels(&[(105, 3)]))
    );
}

#[test]
fn slower_cadences_merge_and_go_on_at_exactly_u_plus_1_whoever_joined_when() {
    let mut rig = Rig::begun();
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    let early = rig.want("btcusdt@depth", RAW).topic;
    rig.depth(1100, 11..=20, &[(101, 5)], &[]);
    rig.depth(1500, 21..=30, &[(101, 0), (100, 7)], &[]);
    let late = rig.want("btcusdt@depth@1000ms", COMBINED).topic;
    assert!(rig.frames().is_empty());
    rig.time(2000);
    let expected = r#""U":11,"u":30,"b":[["10.1","0"],["10.0","7"]],"a":[]}"#;
    assert_eq!(
        rig.texts(),
        [
            (
                early,
                format!(r#"{{"e":"depthUpdate","E":1500,"s":"BTCUSDT",{expected}"#)
            ),
            (
                late,
                format!(
                    r#"{{"stream":"btcusdt@depth@1000ms","data":{{"e":"depthUpdate","E":1500000,"s":"BTCUSDT",{expected}}}"#
                )
            ),
        ]
    );
    rig.time(5000);
    assert!(rig.frames().is_empty(), "a tick without a change emits nothing");
    rig.depth(5100, 31..=31, &[], &[(110, 0)]);
    rig.time(6000);
    let texts = rig.texts();
    assert!(
        texts.len() == 2 && texts.iter().all(|(_, text)| text.contains(r#""U":31,"u":31,"#)),
        "{texts:?}"
    );
}

#[test]
fn all_kinds_and_formats_come_of_the_same_events() {
    let mut rig = Rig::begun();
    rig.snapshot(1000, 10, &[(100, 1), (99, 1)], &[(110, 1)]);
    let [best, best_sbe, trade_sbe, partial, diff_sbe] = [
        ("btcusdt@bookTicker", RAW),
        ("btcusdt@bestBidAsk", SBE),
        ("btcusdt@trade", SBE),
        ("btcusdt@depth5@100ms", RAW),
        ("btcusdt@depth", SBE),
    ]
    .map(|(name, encoding)| rig.want(name, encoding).topic);
    rig.want("ethusdt@trade", RAW);
    rig.depth(1050, 11..=12, &[(101, 4)], &[]);
    let ask = Level { price: 110, qty: 1 };
    let bid = Level { price: 101, qty: 4 };
    rig.event(
        BTC,
        1060,
        MarketEvent::BestBidAsk(BestBidAsk {
            event_time_us: None,
            update_id: 13,
            bid,
            ask,
        }),
    );
    let made = Trade {
        event_time_us: 1_070_000,
        trade_time_us: 1_069_000,
        id: 5,
        price: 110,
        qty: 1,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    };
    rig.event(BTC, 1070, MarketEvent::Trade(made));
    let mut frames = rig.frames();
    frames.sort();
    let by_topic = |topic: u32| -> &[u8] {
        let mut found = frames.iter().filter(|(t, _)| *t == topic);
        let frame = found.next().expect("a frame");
        assert!(found.next().is_none());
        &frame.1
    };
    assert_eq!(frames.len(), 5);
    assert_eq!(
        by_topic(best),
        br#"{"u":13,"s":"BTCUSDT","b":"10.1","B":"4","a":"11.0","A":"1"}"#
    );
    assert_eq!(
        by_topic(partial),
        br#"{"lastUpdateId":12,"bids":[["10.1","4"],["10.0","1"],["9.9","1"]],"asks":[["11.0","1"]]}"#
    );
    let Ok(Message::BestBidAsk(event)) = decode(by_topic(best_sbe)) else {
        panic!("a best bid/ask")
    };
    assert_eq!(
        (event.event_time_us(), event.update_id(), event.bid()),
        (1_050_000, 13, bid)
    );
    let Ok(Message::Trades(event)) = decode(by_topic(trade_sbe)) else {
        panic!("a trade")
    };
    assert_eq!(event.to_trades(), [made]);
    let Ok(Message::DepthDiff(event)) = decode(by_topic(diff_sbe)) else {
        panic!("a diff")
    };
    assert_eq!(
        (event.first_id(), event.last_id(), event.symbol()),
        (11, 12, "BTCUSDT")
    );
}

#[test]
fn a_gap_makes_the_book_stale_and_a_snapshot_heals_it_with_one_contiguous_diff() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@100ms", RAW);
    rig.want("btcusdt@depth@500ms", RAW);
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1100, 13..=14, &[(100, 9)], &[]);
    rig.time(1900);
    assert!(rig.frames().is_empty(), "nothing comes of a stale book");
    assert_eq!(rig.top(), None);
    assert_eq!(rig.market.counters.feed_gaps.load(Ordering::Relaxed), 1);
    rig.snapshot(2050, 12, &[(100, 3)], &[(111, 1)]);
    rig.time(2500);
    let texts: Vec<String> = rig.texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts[0].ends_with(r#""U":11,"u":12,"b":[["10.0","3"]],"a":[["11.0","0"],["11.1","1"]]}"#),
        "{}",
        texts[0]
    );
    assert!(
        texts[1].ends_with(r#""U":13,"u":14,"b":[["10.0","9"]],"a":[]}"#),
        "{}",
        texts[1]
    );
    assert!(
        texts[2].contains(r#""U":11,"u":14,"b":[["10.0","9"]],"#),
        "{}",
        texts[2]
    );
}

#[test]
fn what_a_window_held_when_its_book_went_stale_is_not_lost() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@1000ms", RAW);
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1100, 11..=12, &[(99, 5)], &[]);
    rig.depth(1200, 15..=16, &[(98, 5)], &[]);
    rig.time(4000);
    assert!(rig.frames().is_empty());
    rig.snapshot(4500, 20, &[(100, 1), (99, 5)], &[(110, 1)]);
    rig.time(5000);
    let texts = rig.texts();
    assert_eq!(texts.len(), 1);
    assert!(
        texts[0].1.ends_with(r#""U":11,"u":20,"b":[["9.9","5"]],"a":[]}"#),
        "{}",
        texts[0].1
    );
}

#[test]
fn a_change_that_is_too_large_to_remember_ends_its_subscribers_instead_of_leaving_a_gap() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@100ms", RAW);
    let slow = rig.want("btcusdt@depth@1000ms", RAW);
    rig.want("btcusdt@depth5@1000ms", RAW);
    rig.snapshot(1000, 10, &[(100_000, 1)], &[(110_000, 1)]);
    let absent: Vec<(i64, i64)> = (0..20_000).rev().map(|price| (price, 0)).collect();
    rig.depth(1100, 11..=11, &absent, &[]);
    rig.time(2000);
    assert!(rig.market.outbox.try_hand_on());
    let messages: Vec<_> = std::iter::from_fn(|| rig.inbox.take().ok()).collect();
    let frames = |message: &WorkerMessage| match message {
        WorkerMessage::Batch(frames) => frames.len(),
        _ => 0,
    };
    assert_eq!(
        messages.iter().map(frames).sum::<usize>(),
        2,
        "the change as it came, and the top of the book"
    );
    let ended: Vec<_> = messages
        .into_iter()
        .filter_map(|message| match message {
            WorkerMessage::EndTopics(tokens, _) => Some(tokens),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [vec![slow]]);
}

#[test]
fn an_update_that_the_healing_snapshot_covers_in_part_goes_on_where_the_snapshot_ended() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@100ms", RAW);
    rig.snapshot(1000, 10, &[(100, 1)], &[]);
    // The first update after the first snapshot is emitted as it came.
    rig.depth(1100, 9..=11, &[(100, 2)], &[]);
    // A gap; its first update is covered by the snapshot in part, and so is the one that comes after that.
    rig.depth(1200, 14..=18, &[(99, 5)], &[]);
    rig.snapshot(1250, 16, &[(100, 3)], &[]);
    rig.depth(1300, 30..=34, &[(98, 6)], &[]);
    rig.snapshot(1350, 40, &[(100, 4)], &[]);
    rig.depth(1400, 39..=42, &[(97, 7)], &[]);
    let ids: Vec<(u64, u64)> = rig.texts().iter().map(|(_, text)| ids(text)).collect();
    assert_eq!(ids, [(9, 11), (12, 16), (17, 18), (19, 40), (41, 42)]);
}

#[test]
fn waiting_long_for_a_snapshot_is_said_once() {
    let mut rig = Rig::begun();
    for n in 0..7_000 {
        rig.depth(1000, n..=n, &[], &[]);
    }
    assert_eq!(rig.market.counters.feed_gaps.load(Ordering::Relaxed), 1);
}

#[test]
fn a_broken_feed_makes_every_book_stale() {
    let mut rig = Rig::begun();
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    assert!(rig.top().is_some());
    rig.market.on_feed(FeedMessage::Break {
        reason: "the line is dead".into(),
    });
    assert_eq!(rig.top(), None);
}

#[test]
fn symbols_do_not_disturb_each_other() {
    let mut rig = Rig::begun();
    rig.want("btcusdt@depth@100ms", RAW);
    let update = DepthUpdate {
        first_id: 900,
        last_id: 905,
        ..DepthUpdate::default()
    };
    rig.event(ETH, 1000, MarketEvent::Depth(update));
    rig.event(99, 1000, MarketEvent::Depth(DepthUpdate::default()));
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1100, 11..=11, &[(100, 2)], &[]);
    assert_eq!(rig.frames().len(), 1);
}
