//! Joins against a market whose time is told by the test: each begins between two events of all its streams.

use super::tests::{Rig, payload};
use super::*;
use crate::reactor::messages::{Begin, Since};
use depthcast_wire::sbe::decode::{Message, decode};
use depthcast_wire::time_unit::TimeUnit;

const RAW: Encoding = Encoding::Json {
    combined: false,
    time_unit: TimeUnit::Millisecond,
};

fn snapshot_of(name: &str) -> Begin {
    Begin {
        name: StreamName::parse(name).unwrap(),
        since: Since::Snapshot,
    }
}

fn since_id(epoch: u64, id: u64) -> Since {
    Since::Id {
        epoch,
        id,
        or_snapshot: true,
    }
}

/// A connection joins with snapshots of these streams, which it wants.
fn join(rig: &mut Rig, number: u32, names: &[&str], encoding: Encoding) {
    join_since(rig, number, names, encoding, Since::Snapshot);
}

/// A connection joins these streams, which it wants.
fn join_since(rig: &mut Rig, number: u32, names: &[&str], encoding: Encoding, since: Since) {
    let begin = |name: &&str| Begin {
        name: StreamName::parse(name).unwrap(),
        since,
    };
    let begins = names.iter().map(begin).collect();
    for name in names {
        rig.want(name, encoding);
    }
    rig.market.on_request(MarketRequest::Join {
        worker: 0,
        connection: 5,
        number,
        begins,
        encoding,
    });
}

/// What the worker was told, in words: ids of depth events, texts of snapshots.
fn told(rig: &mut Rig) -> Vec<String> {
    let mut told = Vec::new();
    for message in rig.messages() {
        match message {
            WorkerMessage::Batch(frames) => told.extend(frames.iter().map(|frame| {
                let event: serde_json::Value = serde_json::from_slice(&payload(&frame.bytes)).unwrap();
                format!("{}..{}", event["U"], event["u"])
            })),
            WorkerMessage::Joined {
                connection: 5,
                number,
                bodies: Ok(bodies),
            } => {
                let texts = bodies
                    .iter()
                    .filter(|body| !body.bytes.is_empty())
                    .map(|body| String::from_utf8(payload(&body.bytes)).unwrap());
                told.push(format!("join {number}: {}", texts.collect::<Vec<_>>().join(" ")));
            }
            WorkerMessage::Epoch { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

/// A book of id 10 since 1,000 ms, changed at 1,120 ms.
fn changed() -> Rig {
    let mut rig = Rig::begun();
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1120, 11..=12, &[(99, 4)], &[]);
    rig
}

#[test]
fn a_stream_that_ticks_begins_behind_its_next_tick() {
    let mut rig = changed();
    join(&mut rig, 1, &["btcusdt@depth@250ms"], RAW);
    rig.depth(1180, 13..=13, &[(100, 0)], &[]);
    assert!(
        told(&mut rig).is_empty(),
        "its window has changes that were not sent"
    );
    rig.time(1249);
    assert!(told(&mut rig).is_empty());
    rig.depth(1251, 14..=15, &[(98, 1)], &[]);
    assert_eq!(
        told(&mut rig),
        [
            "11..13",
            r#"join 1: {"e":"depthSnapshot","E":1180,"s":"BTCUSDT","ep":1,"lastUpdateId":13,"bids":[["9.9","4"]],"asks":[["11.0","1"]]}"#
        ]
    );
    rig.time(1500);
    assert_eq!(told(&mut rig), ["14..15"], "the snapshot is continued");
}

#[test]
fn one_that_emits_on_arrival_begins_at_once_and_so_does_a_quiet_one() {
    let mut rig = changed();
    join(&mut rig, 1, &["btcusdt@depth@100ms"], RAW);
    let at_once = told(&mut rig);
    assert!(at_once[0].contains(r#""lastUpdateId":12,"#), "{at_once:?}");
    join(&mut rig, 2, &["btcusdt@depth@1000ms"], RAW);
    assert!(told(&mut rig).is_empty());
    rig.time(2000);
    assert_eq!(told(&mut rig).len(), 2);
    // Nothing has changed since its last tick.
    rig.time(2300);
    join(&mut rig, 3, &["btcusdt@depth@1000ms", "btcusdt@depth@500ms"], RAW);
    assert!(told(&mut rig)[0].starts_with("join 3: "));
}

#[test]
fn one_that_waits_for_its_books_only_begins_once_they_are_healed() {
    let mut rig = Rig::begun();
    join(&mut rig, 1, &["btcusdt@depth@0ms"], RAW);
    rig.time(500);
    rig.snapshot(1010, 5, &[(100, 1)], &[]);
    assert!(told(&mut rig).is_empty());
    rig.time(1100);
    assert_eq!(told(&mut rig).len(), 1);
}

#[test]
fn streams_of_several_cadences_begin_together_where_all_have_ticked() {
    let mut rig = changed();
    join(&mut rig, 1, &["btcusdt@depth@250ms", "btcusdt@depth@500ms"], RAW);
    for at_ms in (1210..2000).step_by(10) {
        rig.depth(
            at_ms,
            at_ms as u64 - 1197..=at_ms as u64 - 1188,
            &[(99, at_ms)],
            &[],
        );
    }
    let told = told(&mut rig);
    let place = told.iter().position(|text| text.starts_with("join 1: ")).unwrap();
    assert_eq!(
        told[..place],
        ["11..52", "53..302", "11..302"],
        "250 ms, then both at 1,500 ms"
    );
    assert_eq!(
        told[place].matches(r#""lastUpdateId":302,"#).count(),
        2,
        "{}",
        told[place]
    );
    assert_eq!(told[place + 1], "303..552");
}

#[test]
fn a_stale_book_lets_nobody_begin_until_it_is_healed() {
    let mut rig = Rig::begun();
    join(&mut rig, 1, &["btcusdt@depth@100ms"], RAW);
    rig.depth(1000, 1..=2, &[(100, 1)], &[]);
    rig.time(3000);
    assert!(told(&mut rig).is_empty(), "no book is known");
    rig.snapshot(3001, 2, &[(100, 1)], &[]);
    rig.market.on_feed(FeedMessage::Break {
        reason: "test".into(),
    });
    rig.time(3200);
    assert_eq!(told(&mut rig).len(), 0);
    rig.snapshot(3300, 7, &[(101, 1)], &[]);
    rig.time(3400);
    let told = told(&mut rig);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains(r#""lastUpdateId":7,"#), "{told:?}");
}

#[test]
fn the_top_of_a_stale_book_is_told_anew_once_it_is_healed() {
    let mut rig = changed();
    rig.market.on_feed(FeedMessage::Break {
        reason: "test".into(),
    });
    join_since(&mut rig, 1, &["btcusdt@depth5@100ms"], RAW, Since::Newest);
    rig.time(2000);
    assert!(told(&mut rig).is_empty(), "its top is not known now");
    rig.snapshot(2050, 20, &[(102, 7)], &[(110, 1)]);
    rig.time(2200);
    let told = told(&mut rig);
    let joined = told.iter().find(|told| told.starts_with("join 1: "));
    assert!(
        joined.is_some_and(|joined| joined.contains(r#""lastUpdateId":20,"#)),
        "{told:?}"
    );
}

#[test]
fn an_unknown_symbol_begins_without_a_snapshot() {
    let mut rig = changed();
    join(&mut rig, 1, &["nosuch@depth@100ms", "btcusdt@depth@100ms"], RAW);
    let told = told(&mut rig);
    assert_eq!(told[0].matches("depthSnapshot").count(), 1, "{told:?}");
}

#[test]
fn formats_and_wrapping_are_the_connections() {
    let mut rig = changed();
    let combined = Encoding::Json {
        combined: true,
        time_unit: TimeUnit::Microsecond,
    };
    join(&mut rig, 1, &["btcusdt@depth@100ms"], combined);
    let told = told(&mut rig);
    assert!(
        told[0].starts_with(
            r#"join 1: {"stream":"btcusdt@depth@100ms","data":{"e":"depthSnapshot","E":1120000,"#
        ),
        "{told:?}"
    );
    join(
        &mut rig,
        2,
        &["btcusdt@depth@100ms"],
        Encoding::Sbe { combined: true },
    );
    let Some(WorkerMessage::Joined {
        bodies: Ok(bodies), ..
    }) = rig.messages().pop()
    else {
        panic!("it begins at once");
    };
    let bytes = payload(&bodies[0].bytes);
    let Ok(Message::DepthSnapshot(snapshot)) = decode(&bytes) else {
        panic!("{bytes:?}");
    };
    assert_eq!(snapshot.last_id(), 12);
}

#[test]
fn one_that_left_off_gets_what_changed_since_as_one_event() {
    let mut rig = changed();
    rig.depth(1180, 13..=14, &[(100, 0)], &[(110, 7)]);
    let epoch = rig.market.epoch.unwrap();
    let mut since = |epoch, id| {
        join_since(&mut rig, 1, &["btcusdt@depth@100ms"], RAW, since_id(epoch, id));
        told(&mut rig).concat()
    };
    let all = r#"join 1: {"e":"depthUpdate","E":1180,"s":"BTCUSDT","U":11,"u":14,"b":[["10.0","0"],["9.9","4"]],"a":[["11.0","7"]]}"#;
    assert_eq!(since(epoch, 10), all);
    assert_eq!(
        since(epoch, 12),
        r#"join 1: {"e":"depthUpdate","E":1180,"s":"BTCUSDT","U":13,"u":14,"b":[["10.0","0"]],"a":[["11.0","7"]]}"#
    );
    assert_eq!(since(epoch, 14), "join 1: ", "it has missed nothing");
    let snapshot =
        |told: &str| told.contains(r#""e":"depthSnapshot""#) && told.contains(r#""lastUpdateId":14,"#);
    for (what, told) in [
        ("older than what the book remembers", since(epoch, 9)),
        ("not reached yet", since(epoch, 15)),
        ("never to be reached", since(epoch, u64::MAX)),
        ("of another history", since(epoch + 1, 12)),
    ] {
        assert!(snapshot(&told), "{what}: {told}");
    }
    rig.depth(1220, 15..=15, &[(98, 1)], &[]);
    let next = told(&mut rig);
    assert!(
        !next.is_empty() && next.iter().all(|ids| ids == "15..15"),
        "what it was given is continued: {next:?}"
    );
}

#[test]
fn one_that_left_off_waits_for_the_tick_of_its_cadence_and_for_a_healed_book() {
    let mut rig = changed();
    let epoch = rig.market.epoch.unwrap();
    let since = since_id(epoch, 10);
    join_since(&mut rig, 1, &["btcusdt@depth@250ms"], RAW, since);
    assert!(told(&mut rig).is_empty());
    rig.depth(1260, 13..=13, &[(98, 1)], &[]);
    let begun = told(&mut rig);
    assert!(begun[1].contains(r#""U":11,"u":12,"#), "{begun:?}");
    rig.market.on_feed(FeedMessage::Break {
        reason: "as the test wants it".into(),
    });
    join_since(&mut rig, 2, &["btcusdt@depth@0ms"], RAW, since);
    rig.time(1500);
    assert!(!told(&mut rig).iter().any(|told| told.starts_with("join")));
    rig.snapshot(1510, 20, &[(97, 1)], &[]);
    rig.time(1800);
    let healed = told(&mut rig);
    let joined = healed.iter().find(|told| told.starts_with("join 2")).unwrap();
    assert!(joined.contains(r#""U":11,"u":20,"#), "{joined}");
    assert!(
        joined.contains(r#"["10.0","0"]"#) && joined.contains(r#"["11.0","0"]"#),
        "{joined}"
    );
}

#[test]
fn one_of_an_unknown_symbol_begins_with_nothing() {
    let mut rig = changed();
    let epoch = rig.market.epoch.unwrap();
    join_since(&mut rig, 1, &["nousdt@depth@0ms"], RAW, since_id(epoch, 10));
    assert_eq!(told(&mut rig), ["join 1: "]);
}

#[test]
fn too_many_that_wait_are_refused_and_those_that_leave_make_room() {
    let mut rig = Rig::begun();
    let begins = vec![snapshot_of("btcusdt@depth"); 1024];
    let ask = |rig: &mut Rig, connection| {
        rig.market.on_request(MarketRequest::Join {
            worker: 0,
            connection,
            number: 1,
            begins: begins.clone(),
            encoding: RAW,
        });
        rig.messages()
            .iter()
            .filter(|message| matches!(message, WorkerMessage::Joined { bodies: Err(_), .. }))
            .count()
    };
    let fit = (joins::STREAMS_WAITING_MAX / 1024) as u32;
    for connection in 0..fit {
        assert_eq!(ask(&mut rig, connection), 0);
    }
    assert_eq!(ask(&mut rig, 7), 0, "who asks again only waits once");
    assert_eq!(ask(&mut rig, fit), 1);
    rig.market.on_request(MarketRequest::Leave {
        worker: 0,
        connection: 3,
    });
    assert_eq!(ask(&mut rig, fit), 0);
    assert_eq!(ask(&mut rig, fit + 1), 1);
}

#[test]
fn what_one_turn_has_no_room_for_begins_in_the_next_also_where_no_tick_comes() {
    let mut rig = Rig::begun();
    let levels: Vec<(i64, i64)> = (0..100_000).map(|n| (200_000 - n, 1)).collect();
    rig.snapshot(1000, 10, &levels, &[(200_001, 1)]);
    // A change of the unit makes another snapshot of the same 2 MB book.
    let encodings = [TimeUnit::Millisecond, TimeUnit::Microsecond]
        .map(|time_unit| [false, true].map(|combined| Encoding::Json { combined, time_unit }));
    for (connection, encoding) in (0..).zip(encodings.into_iter().flatten()) {
        rig.market.on_request(MarketRequest::Join {
            worker: 0,
            connection,
            number: 1,
            begins: vec![snapshot_of("btcusdt@depth@0ms")],
            encoding,
        });
    }
    let begun = |rig: &mut Rig| {
        let messages = rig.messages();
        let joined = messages
            .iter()
            .filter(|message| matches!(message, WorkerMessage::Joined { .. }));
        joined.count()
    };
    let at_once = begun(&mut rig);
    assert!((1..4).contains(&at_once), "{at_once} of 4");
    rig.market.joins.begin_turn();
    rig.market.on_second(true);
    assert!(begun(&mut rig) > 0);
    while rig.market.joins.waiting() > 0 {
        rig.market.joins.begin_turn();
        rig.market.on_second(true);
    }
}

#[test]
fn a_book_that_is_older_than_ours_leaves_ours_as_it_is() {
    let mut rig = changed();
    let stream = rig.want("btcusdt@depth@0ms", RAW).topic;
    rig.market.on_feed(FeedMessage::Break {
        reason: "test".into(),
    });
    rig.snapshot(1200, 11, &[(100, 1), (99, 3)], &[(110, 1)]);
    rig.depth(1210, 12..=12, &[(99, 4)], &[]);
    rig.depth(1220, 13..=14, &[(98, 1)], &[]);
    let frames = rig.frames();
    assert_eq!(frames.len(), 1, "what is known already is not told again");
    let event: serde_json::Value = serde_json::from_slice(&frames[0].1).unwrap();
    assert_eq!(
        (frames[0].0, &event["U"], &event["u"]),
        (stream, &13.into(), &14.into())
    );
}

#[test]
fn an_event_that_is_late_goes_out_with_the_window_that_is_open() {
    let mut rig = changed();
    rig.want("btcusdt@depth@250ms", RAW);
    rig.time(1300);
    rig.depth(1240, 13..=13, &[(98, 2)], &[]);
    rig.time(1500);
    assert_eq!(told(&mut rig), ["11..12", "13..13"]);
}
