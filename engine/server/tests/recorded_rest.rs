//! REST depth while the recorded market is replayed: every snapshot is the recorded book, and with it a subscriber to any
//! cadence comes into step.

pub mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use common::follower::{Follower, Form};
use common::market::{BookJson, Level, capture, levels, recorded};
use common::mirror::Mirror;
use common::raw::{http_get, settings, start};
use common::subscriber::{Subscriber, rest_book};

/// Fast enough for seven seconds, slow enough for hundreds of snapshots.
const HOW: &str = "speed=50";

/// Levels a side of an answer that was not asked for a number.
const LEVELS_DEFAULT: usize = 100;

/// Events that a subscriber takes before it tries another connection.
const EVENTS_PER_CONNECTION: usize = 4;

/// Asks for the book with one limit after the other until it is the final one; gives the ids that were seen.
fn ask(address: SocketAddr) -> BTreeSet<u64> {
    let recorded = recorded();
    let mut ids = BTreeSet::new();
    for limit in ["&limit=5000", "", "&limit=5", "&limit=20", "&limit=1"]
        .iter()
        .cycle()
    {
        let (status, body) = http_get(address, &format!("/api/v3/depth?symbol=BTCUSDT{limit}"));
        if status == 503 {
            assert!(ids.is_empty(), "a book was there already");
            continue;
        }
        assert_eq!(status, 200, "{body}");
        let book: BookJson<'_> = serde_json::from_str(&body).expect("a book");
        let sides = [levels(&book.bids), levels(&book.asks)];
        let state = recorded.state(book.last_id);
        let limit: usize = limit
            .rsplit_once('=')
            .map_or(LEVELS_DEFAULT, |(_, n)| n.parse().expect("a limit"));
        for (side, (count, top)) in sides.iter().zip(state.counts.iter().zip(&state.top)) {
            assert_eq!(side.len(), limit.min(*count));
            let shared = side.len().min(top.len());
            assert_eq!(side[..shared], top[..shared]);
        }
        assert!(
            sides[0].is_sorted_by(|a: &Level, b| a.0 > b.0),
            "bids, best first"
        );
        assert!(
            sides[1].is_sorted_by(|a: &Level, b| a.0 < b.0),
            "asks, best first"
        );
        if limit > state.counts[0].max(state.counts[1]) {
            Mirror::new(book.last_id, &sides).assert_is(state);
        }
        assert!(ids.last().is_none_or(|id| *id <= book.last_id), "ids go on");
        ids.insert(book.last_id);
        if book.last_id == recorded.final_id() {
            break;
        }
    }
    ids
}

/// Connects, takes a snapshot, follows some events and begins again, until the market has ended; gives the number of
/// connections that got events.
fn join_again_and_again(address: SocketAddr, name: &str, form: Form) -> usize {
    let final_id = recorded().final_id();
    let path = if form.sbe { "/sbe/ws/" } else { "/ws/" };
    let mut joined = 0;
    loop {
        let mut subscriber = Subscriber::open(address, &format!("{path}{name}"));
        let Some(mirror) = rest_book(address, |book| {
            Mirror::new(book.last_id, &[levels(&book.bids), levels(&book.asks)])
        }) else {
            continue;
        };
        if mirror.id() == final_id {
            return joined;
        }
        let mut follower = Follower::new(&[name], form);
        follower.stream_mut(name).begin_anywhere(Some(mirror));
        // Whether the first event contains the snapshot's next id, or is older, and that the others continue it, is seen
        // to by the follower's book.
        while !follower.is_complete() && follower.stream_mut(name).count() < EVENTS_PER_CONNECTION {
            follower.check(subscriber.message());
        }
        joined += 1;
    }
}

#[test]
fn every_snapshot_is_the_recorded_book_and_brings_every_cadence_into_step() {
    let engine = start(settings(&capture(), HOW));
    let address = engine.address();
    let (ids, joined) = thread::scope(|scope| {
        let asking = scope.spawn(move || ask(address));
        let joining: Vec<_> = [0, 10, 20, 50, 100, 250, 500, 1000]
            .into_iter()
            .enumerate()
            .map(|(place, cadence)| {
                let form = Form {
                    sbe: place % 2 == 1,
                    ..Form::default()
                };
                scope
                    .spawn(move || join_again_and_again(address, &format!("btcusdt@depth@{cadence}ms"), form))
            })
            .collect();
        let joined: Vec<usize> = joining
            .into_iter()
            .map(|thread| thread.join().expect("a subscriber's thread"))
            .collect();
        (asking.join().expect("the asking thread"), joined)
    });
    println!("{} snapshots of {joined:?} subscribers", ids.len());
    assert!(ids.len() > 100, "only {} different snapshots", ids.len());
    assert!(
        joined.iter().all(|joined| *joined >= 10),
        "{joined:?} connections"
    );
}
