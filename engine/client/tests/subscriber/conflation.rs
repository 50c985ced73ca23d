//! Subscribers that were told what they missed in fewer events: known by the server's heartbeats, and by nothing else.

use std::time::Duration;

use depthcast_client::{Event, Subscriber};
use depthcast_wire::target::Format;
use depthcast_wire::ws::Opcode;

use crate::server::{Depth, Peer, Server, in_epoch, script};
use crate::until;

fn beat(peer: &mut Peer, number: u64) {
    let text = format!(r#"{{"e":"heartbeat","E":1770000000000000,"ep":7,"n":{number}}}"#);
    peer.frame(Opcode::Text, text.as_bytes());
}

/// The missing heartbeats that are told until the book stands at `last_id`.
fn told_until(subscriber: &mut Subscriber, last_id: u64) -> Vec<u64> {
    let mut told = Vec::new();
    until(subscriber, |subscriber, event| {
        if let Event::Conflated { heartbeats } = event {
            told.push(heartbeats);
        }
        (subscriber.is_synced() && subscriber.book().last_id() == last_id).then_some(())
    })
    .unwrap();
    told
}

#[test]
fn heartbeats_that_are_missing_tell_it() {
    for format in [Format::Json, Format::Sbe] {
        let first = in_epoch(7, |peer| {
            peer.update(10, 19, 101, 109);
            peer.await_depths(1);
            beat(peer, 5);
            // A quiet market, and then much at once: nothing is missing.
            std::thread::sleep(Duration::from_millis(300));
            peer.update(20, 90, 101, 109);
            beat(peer, 6);
            peer.update(91, 99, 101, 109);
            beat(peer, 9);
            peer.update(100, 100, 101, 109);
        });
        // Another connection begins to count where the server is.
        let second = in_epoch(7, |peer| {
            beat(peer, 40);
            peer.update(101, 110, 101, 109);
            beat(peer, 41);
            peer.update(111, 111, 101, 109);
            assert_eq!(peer.next_from_subscriber(), "gone");
        });
        let server = Server::start(&[Depth::Book(12)], vec![first, second]);
        let mut options = server.options(format);
        options.reconnect = true;
        let mut subscriber = Subscriber::connect(options).unwrap();
        assert_eq!(told_until(&mut subscriber, 99), [0; 0]);
        assert_eq!(told_until(&mut subscriber, 100), [2]);
        assert_eq!(told_until(&mut subscriber, 111), [0; 0]);
        assert_eq!(subscriber.counters().conflated, 1);
        drop(subscriber);
    }
}

#[test]
fn heartbeats_are_asked_for_only_where_there_are_some() {
    let (asked, asks) = std::sync::mpsc::channel();
    let steps = |peer: &mut Peer| {
        peer.update(10, 19, 101, 109);
        peer.await_depths(1);
        // A reply to the request comes before this one's pong.
        peer.frame(Opcode::Ping, b"there?");
        peer.next_from_subscriber()
    };
    let other = asked.clone();
    let server = Server::start(
        &[Depth::Book(12)],
        vec![
            in_epoch(7, move |peer| {
                steps(peer);
                asked.send(peer.requests()).unwrap();
            }),
            script(move |peer| {
                steps(peer);
                other.send(peer.requests()).unwrap();
            }),
        ],
    );
    for expected in [1, 0] {
        let mut subscriber = Subscriber::connect(server.options(Format::Sbe)).unwrap();
        until(&mut subscriber, |_, event| {
            matches!(event, Event::Synced { .. }).then_some(())
        })
        .unwrap();
        while subscriber.next(Duration::from_millis(10)).is_ok() {}
        assert_eq!(asks.recv_timeout(Duration::from_secs(2)), Ok(expected));
    }
}
