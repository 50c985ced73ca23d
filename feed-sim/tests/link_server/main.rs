//! The exchange's side of the feed link, over real sockets.

mod engine;
mod refusals;

use depthcast_feed_sim::link::{LinkNews, LinkServer, LinkServerError, LinkServerOptions};
use depthcast_wire::feed_link::LinkStep;

use crate::engine::{Engine, news, options};

#[test]
fn engines_get_the_same_events_and_books() {
    let server = LinkServer::start(options(5, 200)).unwrap();
    let mut first = Engine::connect(server.address(), "first").follow();
    let names: Vec<&str> = server
        .symbols()
        .iter()
        .map(|instrument| instrument.name())
        .collect();
    assert_eq!(first.names, names);
    assert_eq!(first.epoch, 42);
    first.next_event();
    let began = first.sequence();
    first.follow_to(began + 200);
    // The second one comes while events are under way.
    let mut second = Engine::connect(server.address(), "second").follow();
    second.next_event();
    let joined = second.sequence();
    assert!(joined > began);
    let end = joined.max(first.sequence()) + 2_000;
    first.follow_to(end);
    second.follow_to(end);

    let since = first.events.iter().position(|event| event.0 == joined).unwrap();
    assert_eq!(first.events[since..], second.events);
    assert!(
        first
            .events
            .windows(2)
            .all(|pair| pair[1].0 == pair[0].0 + 1 && pair[1].1 >= pair[0].1),
        "sequences go up by one, and times never back"
    );
    assert_eq!(first.snapshots(), second.snapshots());
    assert!(first.snapshots().iter().all(|book| !book.bids.is_empty()));
    let counters = server.counters();
    assert_eq!((counters.engines, counters.refused), (2, 0));
    assert!(counters.events >= end);
}

#[test]
fn an_engine_that_leaves_and_comes_back_is_in_the_same_history() {
    let server = LinkServer::start(options(2, 100)).unwrap();
    let mut follower = Engine::connect(server.address(), "one").follow();
    follower.next_event();
    let sequence = follower.sequence();
    drop(follower);
    let went = news(&server, |news| matches!(news, LinkNews::Went { .. }));
    let LinkNews::Went { name, reason, .. } = went else {
        unreachable!("{went:?}")
    };
    assert_eq!(name, "one");
    assert!(
        reason.contains("closed the link") || reason.contains("link broke"),
        "{reason}"
    );
    let mut back = Engine::connect(server.address(), "one").follow();
    back.next_event();
    assert!(back.sequence() > sequence);
    assert_eq!(back.epoch, 42);
}

#[test]
fn an_engine_that_leaves_a_quiet_exchange_is_missed() {
    let server = LinkServer::start(options(1, 1)).unwrap();
    drop(Engine::connect(server.address(), "\u{1b}[31mred").follow());
    let went = news(&server, |news| matches!(news, LinkNews::Went { .. }));
    // Names are written to terminals.
    assert!(
        matches!(&went, LinkNews::Went { name, .. } if name == "\\u{1b}[31mred"),
        "{went:?}"
    );
    assert_eq!(server.counters().engines, 0);
}

#[test]
fn a_quiet_exchange_has_heartbeats() {
    let server = LinkServer::start(options(1, 1)).unwrap();
    let mut engine = Engine::connect(server.address(), "patient");
    let mut times = Vec::new();
    while times.len() < 4 {
        match engine.step() {
            LinkStep::Announced { heartbeat_ms, .. } => assert_eq!(heartbeat_ms, 500),
            // The session has checked that its sequence is that of the last event.
            LinkStep::Heartbeat { time_us } => times.push(time_us),
            _ => {}
        }
    }
    // The exchange's time goes on, though nothing happens.
    assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
}

#[test]
fn a_stop_is_told_to_all() {
    let server = LinkServer::start(options(3, 50)).unwrap();
    let followers = ["a", "b"].map(|name| Engine::connect(server.address(), name).follow());
    let address = server.address();
    let ends = followers.map(|follower| std::thread::spawn(move || follower.follow_to_end()));
    server.stop();
    for end in ends {
        assert_eq!(end.join().unwrap(), "the exchange ends");
    }
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn a_port_in_use_is_named_with_advice() {
    let server = LinkServer::start(options(1, 1)).unwrap();
    let taken = LinkServerOptions {
        listen: server.address(),
        ..options(1, 1)
    };
    let error = LinkServer::start(taken).unwrap_err();
    assert!(matches!(error, LinkServerError::Listen { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&server.address().to_string()) && text.contains("--listen"),
        "{text}"
    );
}
