//! Peers that are not fed, or not any longer: strangers, other versions, the silent, the slow and those too many. Engines
//! beside them are fed on.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use depthcast_feed_sim::link::{LinkNews, LinkServer, LinkServerOptions};

use crate::engine::{Engine, connect, hello, news, only_end, options, refusal, to_end};

/// Says `bytes`, and gives the answer up to the close.
fn answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    to_end(stream)
}

#[test]
fn strangers_are_refused_by_what_they_said() {
    let server = LinkServer::start(LinkServerOptions {
        hello_max: Duration::from_millis(300),
        ..options(2, 100)
    })
    .unwrap();
    let address = server.address();
    let mut engine = Engine::connect(address, "good").follow();

    let garbage = answer(address, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(garbage, b"", "what does not speak the link is told nothing");
    let reason = refusal(&server);
    assert!(
        reason.starts_with("the peer does not speak the feed link: it began with \"GET / HTTP/1.1"),
        "{reason}"
    );

    assert_eq!(answer(address, b""), b"");
    assert_eq!(refusal(&server), "it said no hello within 300ms");

    assert_eq!(answer(address, b"\x0c\0"), b"");
    let reason = refusal(&server);
    assert!(
        reason.ends_with("300ms, after 2 bytes that begin with \"\\x0c\\x00\""),
        "{reason}"
    );

    let gone = connect(address);
    gone.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_end(gone), b"");
    assert_eq!(refusal(&server), "it closed before its hello");

    let sequence = engine.sequence();
    engine.follow_to(sequence.max(1) + 100);
    let counters = server.counters();
    assert_eq!((counters.engines, counters.refused), (1, 4));
}

#[test]
fn peers_that_speak_the_link_wrongly_are_told() {
    let server = LinkServer::start(options(2, 100)).unwrap();
    let address = server.address();
    let mut engine = Engine::connect(address, "good").follow();

    let mut other = hello("other");
    // The version stands in bytes 10 and 11.
    other[10] = 9;
    let reason = only_end(&answer(address, &other));
    assert_eq!(
        reason,
        "the peer speaks version 9 of the feed link, and this program version 1"
    );
    assert_eq!(refusal(&server), reason);

    let end = {
        let mut bytes = Vec::new();
        let end = depthcast_wire::feed_link::LinkMessage::End { reason: "x".into() };
        depthcast_wire::feed_link::encode(&end, &mut bytes).unwrap();
        bytes
    };
    let reason = only_end(&answer(address, &end));
    assert_eq!(reason, "its first message is no engine's hello");
    assert_eq!(refusal(&server), reason);

    // A hello that never is whole, though its length allows for it.
    let mut long = hello("long");
    long[..4].copy_from_slice(&1_000_000_u32.to_le_bytes());
    long.resize(10_000, b'x');
    assert_eq!(answer(address, &long), b"");
    assert_eq!(refusal(&server), "its hello is longer than 4096 bytes");

    // One that goes on after its hello is fed until that is seen.
    let mut talker = connect(address);
    talker.write_all(&hello("talker")).unwrap();
    news(
        &server,
        |news| matches!(news, LinkNews::Came { name, .. } if name == "talker"),
    );
    talker.write_all(b"and another thing").unwrap();
    let went = news(&server, |news| matches!(news, LinkNews::Went { .. }));
    assert!(
        matches!(&went, LinkNews::Went { reason, .. } if reason.starts_with("it went on after its hello")),
        "{went:?}"
    );

    let sequence = engine.sequence();
    engine.follow_to(sequence.max(1) + 100);
    assert_eq!(server.counters().refused, 3);
}

#[test]
fn one_engine_too_many_is_told_and_has_its_turn_later() {
    let server = LinkServer::start(LinkServerOptions {
        engines_max: 2,
        ..options(2, 100)
    })
    .unwrap();
    let address = server.address();
    let first = Engine::connect(address, "first").follow();
    let mut second = Engine::connect(address, "second").follow();
    let reason = only_end(&answer(address, &hello("third")));
    assert_eq!(reason, "this exchange feeds 2 engines already and takes no more");
    assert_eq!(refusal(&server), reason);

    drop(first);
    news(
        &server,
        |news| matches!(news, LinkNews::Went { name, .. } if name == "first"),
    );
    let mut third = Engine::connect(address, "third").follow();
    third.next_event();
    let sequence = third.sequence() + 50;
    third.follow_to(sequence);
    second.follow_to(sequence);
    assert_eq!(second.snapshots(), third.snapshots());
}

#[test]
fn an_engine_that_does_not_read_is_ended_and_the_other_goes_on() {
    // Sockets' buffers are full within seconds; one that reads has as long to catch up.
    let server = LinkServer::start(LinkServerOptions {
        queue_bytes_max: 1 << 20,
        ..options(20, 1000)
    })
    .unwrap();
    let address = server.address();
    let mut slow = connect(address);
    slow.write_all(&hello("slow")).unwrap();
    let mut engine = Engine::connect(address, "good").follow();
    let went = loop {
        engine.next_event();
        engine.events.clear();
        match server.news().try_recv() {
            Ok(LinkNews::Went { name, reason, .. }) => break (name, reason),
            Ok(LinkNews::Refused { peer, reason }) => panic!("{peer}: {reason}"),
            Ok(LinkNews::Came { .. }) | Err(_) => {}
        }
        assert!(
            engine.engine.received < 1 << 30,
            "a gigabyte, and the slow one is still there"
        );
    };
    assert_eq!(
        went,
        (
            "slow".to_string(),
            "too slow: more than 1048576 bytes of events wait to be read".to_string()
        )
    );
    engine.next_event();
    let sequence = engine.sequence();
    engine.follow_to(sequence + 1000);
    drop(slow);
}
