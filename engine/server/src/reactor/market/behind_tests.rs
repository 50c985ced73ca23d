//! A worker that is behind: it is told later, in fewer events, and nobody else is told anything else than before.

use proptest::prelude::*;

use super::tests::Rig;
use super::*;
use crate::reactor::messages::{Begin, Since, TopicEnd};
use depthcast_market::event::{BestBidAsk, Level, MarketEvent, Trade};
use depthcast_wire::time_unit::TimeUnit;

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};

/// A market that emits depth on arrival, whose book is of id 10 at 1,000 ms.
fn loaded() -> Rig {
    let mut rig = Rig::new();
    rig.depth_cadence_ms = 0;
    rig.begin();
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.messages();
    rig
}

/// A turn of the market thread begins, in which the worker is behind or not.
fn turn(rig: &mut Rig, is_behind: bool) {
    rig.market.outbox.try_hand_on();
    rig.inbox.set_busy(is_behind);
    rig.market.begin_turn();
}

fn tops(rig: &mut Rig, topic: u32) -> Vec<String> {
    let texts = rig.texts().into_iter().filter(|(of, _)| *of == topic);
    texts.map(|(_, text)| text).collect()
}

fn trade(rig: &mut Rig, id: i64) {
    let trade = Trade {
        event_time_us: 1_000_000,
        trade_time_us: 1_000_000,
        id,
        price: 100,
        qty: 1,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    };
    rig.event(0, 1000, MarketEvent::Trade(trade));
}

#[test]
fn changes_on_arrival_come_as_one_at_the_next_tick_at_which_the_worker_is_ready() {
    let mut rig = loaded();
    let stream = rig.want("btcusdt@depth@0ms", RAW).topic;
    rig.depth(1001, 11..=12, &[(101, 5)], &[]);
    turn(&mut rig, true);
    rig.depth(1002, 13..=14, &[(101, 0), (102, 1)], &[]);
    rig.depth(1003, 15..=15, &[(103, 2)], &[]);
    rig.time(1010);
    assert_eq!(rig.frames().len(), 1, "the one before");
    assert_eq!(rig.market.outbox.take_deferred(), 2);
    turn(&mut rig, false);
    rig.depth(1012, 16..=16, &[(104, 2)], &[]);
    assert!(rig.frames().is_empty(), "what it was not told comes first");
    rig.time(1020);
    let expected = r#"{"e":"depthUpdate","E":1012,"s":"BTCUSDT","U":13,"u":16,"b":[["10.4","2"],["10.3","2"],["10.2","1"],["10.1","0"]],"a":[]}"#;
    assert_eq!(rig.texts(), [(stream, expected.into())]);
    rig.depth(1022, 17..=17, &[(104, 3)], &[]);
    assert_eq!(rig.frames().len(), 1, "on arrival again");
}

#[test]
fn ticks_merge_to_a_later_tick_of_the_same_cadence() {
    let mut rig = loaded();
    let stream = rig.want("btcusdt@depth@100ms", RAW).topic;
    turn(&mut rig, true);
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.time(1100);
    turn(&mut rig, false);
    rig.time(1150);
    assert!(rig.frames().is_empty(), "no tick of its cadence");
    rig.depth(1160, 13..=13, &[(102, 5)], &[]);
    rig.time(1200);
    let texts = tops(&mut rig, stream);
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains(r#""U":11,"u":13,"#), "{texts:?}");
    rig.depth(1250, 14..=14, &[(102, 6)], &[]);
    rig.time(1300);
    assert!(tops(&mut rig, stream)[0].contains(r#""U":14,"u":14,"#));
}

#[test]
fn one_pause_is_enough_for_every_stream_also_where_it_falls_between_the_ticks() {
    let mut rig = loaded();
    let slow = rig.want("btcusdt@depth@1000ms", RAW).topic;
    turn(&mut rig, true);
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.time(2000);
    assert!(rig.frames().is_empty());
    // It has been through with all, and is behind again by the next tick of a second.
    turn(&mut rig, false);
    rig.time(2500);
    turn(&mut rig, true);
    rig.time(3000);
    let texts = tops(&mut rig, slow);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains(r#""U":11,"u":12,"#), "{texts:?}");
    // What came since waits for the next pause.
    rig.depth(3050, 13..=13, &[(102, 5)], &[]);
    rig.time(4000);
    rig.time(5000);
    assert!(rig.frames().is_empty());
    turn(&mut rig, false);
    turn(&mut rig, true);
    rig.time(6000);
    assert!(tops(&mut rig, slow)[0].contains(r#""U":13,"u":13,"#));
}

#[test]
fn what_was_missed_comes_also_when_nothing_changes_any_more() {
    let mut rig = loaded();
    let stream = rig.want("btcusdt@depth@100ms", RAW).topic;
    turn(&mut rig, true);
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.time(1100);
    turn(&mut rig, false);
    rig.time(5000);
    assert_eq!(tops(&mut rig, stream).len(), 1);
}

#[test]
fn of_tops_only_the_newest_comes() {
    let mut rig = loaded();
    let best = rig.want("btcusdt@bookTicker", RAW).topic;
    let partial = rig.want("btcusdt@depth5@0ms", RAW).topic;
    turn(&mut rig, true);
    for n in 1..=3 {
        let update = BestBidAsk {
            event_time_us: None,
            update_id: 10 + n,
            bid: Level {
                price: 100,
                qty: n as i64,
            },
            ask: Level { price: 110, qty: 1 },
        };
        rig.event(0, 1001, MarketEvent::BestBidAsk(update));
        rig.depth(1002, 10 + n..=10 + n, &[(100, n as i64)], &[]);
    }
    assert!(rig.frames().is_empty());
    turn(&mut rig, false);
    rig.time(1010);
    let told = rig.texts();
    assert_eq!(told.len(), 2, "{told:?}");
    let of = |topic| &told.iter().find(|(of, _)| *of == topic).expect("one").1;
    assert!(of(best).contains(r#""u":13,"#), "{told:?}");
    assert!(of(partial).contains(r#""lastUpdateId":13,"#), "{told:?}");
}

#[test]
fn trades_are_kept_whole_up_to_the_bound_and_closed_there() {
    let mut rig = loaded();
    let trades = rig.want("btcusdt@trade", RAW);
    let depth = rig.want("btcusdt@depth@0ms", RAW).topic;
    let mut id = 0;
    // Until the mailbox is full, and then as much again.
    for _ in 0..2 * crate::reactor::mailbox::MAILBOX_MAX {
        rig.market.begin_turn();
        id += 1;
        trade(&mut rig, id);
        rig.market.end_turn();
    }
    let told = rig.texts().iter().filter(|(of, _)| *of == trades.topic).count();
    assert_eq!(told as i64, id, "every one");
    while rig.market.outbox.frames() <= OVERLOAD_FRAMES_MAX {
        id += 1;
        trade(&mut rig, id);
        rig.market.outbox.try_hand_on();
    }
    rig.market.begin_turn();
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.market.end_turn();
    assert_eq!(rig.market.outbox.frames(), 0, "they are not kept");
    let ended: Vec<_> = rig
        .messages()
        .into_iter()
        .filter_map(|message| match message {
            WorkerMessage::EndTopics(tokens, why) => Some((tokens, why)),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [(vec![trades], TopicEnd::EngineBehind)]);
    rig.market.begin_turn();
    rig.time(1060);
    assert_eq!(tops(&mut rig, depth).len(), 1, "books go on");
}

#[test]
fn nobody_begins_at_a_worker_that_is_behind_or_has_not_been_told_all() {
    let mut rig = loaded();
    rig.want("btcusdt@depth@100ms", RAW);
    turn(&mut rig, true);
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.time(1100);
    let begin = Begin {
        name: StreamName::parse("btcusdt@depth@100ms").unwrap(),
        since: Since::Snapshot,
    };
    rig.market.on_request(MarketRequest::Join {
        worker: 0,
        connection: 5,
        number: 1,
        begins: vec![begin],
        encoding: RAW,
    });
    assert_eq!(rig.market.joins.waiting(), 1, "it is behind");
    turn(&mut rig, false);
    rig.market.on_second(true);
    assert_eq!(rig.market.joins.waiting(), 1, "the stream goes on at 11 there");
    rig.time(1200);
    assert_eq!(rig.market.joins.waiting(), 0);
    let messages = rig.messages();
    let order = messages.iter().map(|message| match message {
        WorkerMessage::Batch(_) => 'b',
        WorkerMessage::Joined { .. } => 'j',
        _ => '-',
    });
    assert!(order.collect::<String>().ends_with("bj"), "{messages:?}");
}

#[test]
fn a_history_is_told_whole_before_the_next_begins() {
    let mut rig = loaded();
    let stream = rig.want("btcusdt@depth@1000ms", RAW).topic;
    turn(&mut rig, true);
    rig.depth(1050, 11..=12, &[(101, 5)], &[]);
    rig.time(2000);
    rig.begin();
    assert_eq!(tops(&mut rig, stream).len(), 1);
}

/// What happens next in a market of two streams of one book.
#[derive(Clone, Debug)]
enum Step {
    Depth(Vec<(i64, i64)>),
    Time(i64),
    Behind(bool),
    Stale,
    Healed(Vec<(i64, i64)>),
    HandOn,
}

fn step() -> impl Strategy<Value = Step> {
    let levels = || prop::collection::btree_map(90i64..100, 0i64..4, 1..4).prop_map(Vec::from_iter);
    prop_oneof![
        8 => levels().prop_map(Step::Depth),
        6 => prop_oneof![Just(3i64), Just(10), Just(50), Just(400)].prop_map(Step::Time),
        3 => any::<bool>().prop_map(Step::Behind),
        1 => Just(Step::Stale),
        2 => levels().prop_map(Step::Healed),
        4 => Just(Step::HandOn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whenever the worker was behind: its events continue each other, and make the book.
    #[test]
    fn books_are_right_whenever_a_worker_was_behind(steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = loaded();
        let streams = ["btcusdt@depth@0ms", "btcusdt@depth@20ms", "btcusdt@depth@250ms", "btcusdt@depth@1000ms"]
            .map(|name| rig.want(name, RAW).topic);
        let (mut at_ms, mut id) = (1000, 10);
        let mut books = vec![(10, std::collections::BTreeMap::from([("10.0".to_string(), "1".to_string())])); streams.len()];
        let mut take = |rig: &mut Rig| {
            for (topic, text) in rig.texts() {
                let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                let (last, book) = &mut books[streams.iter().position(|&of| of == topic).unwrap()];
                assert_eq!(event["U"], *last + 1, "{}", text);
                *last = event["u"].as_u64().unwrap();
                for level in event["b"].as_array().unwrap() {
                    let [price, qty] = [0, 1].map(|n| level[n].as_str().unwrap().to_string());
                    if qty == "0" {
                        book.remove(&price);
                    } else {
                        book.insert(price, qty);
                    }
                }
            }
        };
        for step in steps.into_iter().chain([Step::Healed(vec![(95, 9)]), Step::HandOn, Step::Behind(false), Step::Time(2000), Step::HandOn]) {
            match step {
                Step::Depth(levels) => {
                    rig.depth(at_ms, id + 1..=id + 2, &levels, &[]);
                    id += 2;
                }
                Step::Time(ms) => {
                    at_ms += ms;
                    rig.time(at_ms);
                }
                Step::Behind(is_behind) => turn(&mut rig, is_behind),
                Step::Stale => rig.market.on_feed(FeedMessage::Break { reason: "test".into() }),
                Step::Healed(levels) => {
                    rig.market.on_feed(FeedMessage::Break { reason: "test".into() });
                    id += 3;
                    let bids: Vec<(i64, i64)> = levels.into_iter().filter(|(_, qty)| *qty > 0).collect();
                    rig.snapshot(at_ms, id, &bids, &[(110, 1)]);
                }
                Step::HandOn => take(&mut rig),
            }
        }
        let top = rig.market.symbols[0].top(100).expect("healed");
        for (last, book) in &books {
            prop_assert_eq!(*last, top.last_id);
            let bids = top.bids.iter().map(|level| (format!("{}.{}", level.price / 10, level.price % 10), level.qty.to_string()));
            prop_assert_eq!(book, &bids.collect());
        }
    }
}
