//! Books that go on over a lost connection: only in their own history, only where the server tells what was missed, and
//! never on somebody's word alone.

use std::time::Duration;

use depthcast_client::tap::Received;
use depthcast_client::{BookOrigin, ClientError, Event, Subscriber};
use depthcast_market::event::Side;
use depthcast_wire::target::Format;

use crate::server::{Depth, Peer, Script, Server, in_epoch, script};
use crate::{until, until_error, until_synced};

const BOTH: [Format; 2] = [Format::Json, Format::Sbe];

/// A history's beginning: the book comes into step at 20, and the connection is cut.
fn first(peer: &mut Peer) {
    peer.update(10, 19, 101, 109);
    peer.await_depths(1);
    peer.update(20, 20, 102, 108);
}

/// A subscriber that has lost the first connection of these; the second one is another's script.
fn after_the_first(format: Format, depths: &[Depth], second: Script) -> (Server, Subscriber) {
    after(in_epoch(7, first), format, depths, vec![second])
}

fn after(first: Script, format: Format, depths: &[Depth], mut then: Vec<Script>) -> (Server, Subscriber) {
    then.insert(0, first);
    let server = Server::start(depths, then);
    let mut options = server.options(format);
    options.reconnect = true;
    let mut subscriber = Subscriber::connect(options).unwrap();
    until(&mut subscriber, |_, event| {
        matches!(event, Event::Reconnecting { .. }).then_some(())
    })
    .unwrap();
    assert_eq!(subscriber.book().last_id(), 20);
    (server, subscriber)
}

/// Where the next book in step comes from, and the id that it stands at.
fn until_origin(subscriber: &mut Subscriber) -> (u64, BookOrigin) {
    until(subscriber, |_, event| match event {
        Event::Synced { last_id, origin } => Some((last_id, origin)),
        _ => None,
    })
    .unwrap()
}

fn resume_of(target: &str) -> Option<&str> {
    target.split(['?', '&']).find(|part| part.starts_with("resume="))
}

#[test]
fn an_update_that_continues_the_book_needs_no_snapshot() {
    for format in BOTH {
        let second = in_epoch(7, |peer| {
            peer.quote_and_trades(21);
            peer.update(21, 60, 103, 107);
            peer.update(61, 61, 104, 106);
            peer.next_from_subscriber();
        });
        let (server, mut subscriber) = after_the_first(format, &[Depth::Book(12)], second);
        let mut updates = Vec::new();
        let synced = until(&mut subscriber, |subscriber, event| match event {
            Event::Update(update) => {
                updates.push((update.first_id, update.last_id));
                None
            }
            Event::Synced { last_id, origin } => Some((last_id, origin)),
            _ => {
                assert!(!subscriber.is_synced(), "nothing has said so yet");
                None
            }
        });
        assert_eq!(synced.unwrap(), (60, BookOrigin::Resumed { after_id: 20 }));
        assert_eq!(updates, [(21, 60)], "{format:?}");
        until(&mut subscriber, |subscriber, _| {
            (subscriber.book().last_id() == 61).then_some(())
        })
        .unwrap();
        // What the book held before the loss is in it, and so is what came after.
        assert_eq!(subscriber.book().level_count(Side::Bid), 5);
        assert_eq!(subscriber.book().best(Side::Bid).unwrap().price, 104_000_000);
        let counters = subscriber.counters();
        assert_eq!((counters.resumed, counters.resyncs, counters.gaps), (1, 0, 0));
        assert_eq!(server.depths_asked(), 1, "for the first connection");
        let targets = server.targets();
        assert_eq!(resume_of(&targets[0]), None);
        assert_eq!(resume_of(&targets[1]), Some("resume=btcusdt:20"));
        assert!(targets[1].contains("epoch=7"), "{}", targets[1]);
    }
}

#[test]
fn a_book_that_the_server_sends_instead_takes_its_place() {
    for (format, epoch) in BOTH.into_iter().flat_map(|format| [(format, 7), (format, 8)]) {
        let second = in_epoch(epoch, move |peer| {
            // Ids of this history: lower ones than before.
            peer.whole_book(epoch, 5, 90, 120);
            peer.update(6, 6, 91, 119);
            peer.next_from_subscriber();
        });
        let (server, mut subscriber) = after_the_first(format, &[Depth::Book(12)], second);
        assert_eq!(until_origin(&mut subscriber), (5, BookOrigin::Streamed));
        until(&mut subscriber, |subscriber, _| {
            (subscriber.book().last_id() == 6).then_some(())
        })
        .unwrap();
        assert_eq!(
            subscriber.book().level_count(Side::Bid),
            2,
            "of the old book nothing"
        );
        let counters = subscriber.counters();
        assert_eq!((counters.resumed, counters.resyncs, counters.gaps), (0, 1, 0));
        assert_eq!(server.depths_asked(), 1, "{format:?}");
    }
}

/// Ids of another history may continue ours by chance: they are not taken for it.
#[test]
fn another_history_never_continues_the_book() {
    for epoch in [Some(8), None] {
        let steps = |peer: &mut Peer| {
            peer.update(21, 25, 90, 120);
            peer.next_from_subscriber();
        };
        let second = match epoch {
            Some(epoch) => in_epoch(epoch, steps),
            None => script(steps),
        };
        let (server, mut subscriber) =
            after_the_first(Format::Sbe, &[Depth::Book(12), Depth::Book(23)], second);
        assert_eq!(until_synced(&mut subscriber).unwrap(), (25, 1));
        assert_eq!(
            subscriber.book().level_count(Side::Bid),
            2,
            "the snapshot's and the update's"
        );
        assert_eq!(subscriber.counters().resumed, 0);
        assert_eq!(server.depths_asked(), 2);
    }
}

#[test]
fn a_server_that_does_not_resume_is_asked_over_rest_and_blamed_for_nothing() {
    // It says nothing at all, tells only what is known already, or leaves a hole.
    let cases: [fn(&mut Peer); 3] = [
        |_| {},
        |peer| peer.update(15, 20, 1, 200),
        |peer| {
            peer.update(15, 20, 1, 200);
            peer.update(25, 30, 103, 107);
        },
    ];
    for steps in cases {
        let second = in_epoch(7, move |peer| {
            steps(peer);
            peer.await_depths(2);
            peer.update(31, 31, 104, 106);
            peer.next_from_subscriber();
        });
        let (_server, mut subscriber) =
            after_the_first(Format::Json, &[Depth::Book(12), Depth::Book(30)], second);
        let synced = until_synced(&mut subscriber).unwrap();
        assert_eq!(synced, (30, 1));
        until(&mut subscriber, |subscriber, _| {
            (subscriber.book().last_id() == 31).then_some(())
        })
        .unwrap();
        let counters = subscriber.counters();
        assert_eq!((counters.resumed, counters.resyncs, counters.gaps), (0, 1, 0));
    }
}

#[test]
fn a_server_without_a_numbered_history_is_never_asked_to_resume() {
    let second = script(|peer| {
        peer.update(21, 25, 103, 107);
        peer.next_from_subscriber();
    });
    let depths = [Depth::Book(12), Depth::Book(23)];
    let (server, mut subscriber) = after(script(first), Format::Sbe, &depths, vec![second]);
    assert_eq!(until_synced(&mut subscriber).unwrap(), (25, 1));
    let targets = server.targets();
    assert!(
        targets.iter().all(|target| resume_of(target).is_none()),
        "{targets:?}"
    );
    assert_eq!((server.depths_asked(), subscriber.counters().resumed), (2, 0));
}

#[test]
fn a_book_with_a_gap_is_not_gone_on_with() {
    let gap = in_epoch(7, |peer| {
        peer.update(10, 19, 101, 109);
        peer.await_depths(1);
        peer.update(21, 29, 102, 108);
    });
    let second = in_epoch(7, |peer| {
        peer.update(30, 30, 102, 108);
        peer.next_from_subscriber();
    });
    let server = Server::start(&[Depth::Book(12)], vec![gap, second]);
    let mut options = server.options(Format::Json);
    options.reconnect = true;
    let mut subscriber = Subscriber::connect(options).unwrap();
    assert!(matches!(until_error(&mut subscriber), ClientError::Gap(_)));
    let mut tries = 0;
    while server.targets().len() < 2 {
        tries += 1;
        assert!(tries < 1000, "no second connection");
        // That the book finds no snapshot is an error now and then.
        let _ = subscriber.next(Duration::from_millis(10));
    }
    assert_eq!(resume_of(&server.targets()[1]), None);
}

/// What was lost is still lost after a try that came to nothing; a server that refuses is not asked the same again.
#[test]
fn a_try_that_came_to_nothing_is_made_again_and_a_refusal_is_not() {
    for is_refusal in [false, true] {
        let second = in_epoch(7, move |peer| {
            if is_refusal {
                peer.close(1013, "more has changed since than an event of its format holds");
                peer.next_from_subscriber();
            }
        });
        let third = in_epoch(7, |peer| {
            peer.update(21, 25, 103, 107);
            peer.next_from_subscriber();
        });
        let depths = [Depth::Book(12), Depth::Book(23)];
        let (server, mut subscriber) = after(in_epoch(7, first), Format::Sbe, &depths, vec![second, third]);
        let (last_id, origin) = until_origin(&mut subscriber);
        let asked = resume_of(&server.targets()[2]).is_some();
        assert_eq!((last_id, asked), (25, !is_refusal));
        let expected = match is_refusal {
            true => BookOrigin::Fetched { snapshots: 1 },
            false => BookOrigin::Resumed { after_id: 20 },
        };
        assert_eq!(origin, expected);
    }
}

#[test]
fn a_book_that_nobody_asked_for_is_refused() {
    for format in BOTH {
        let server = Server::start(
            &[Depth::Book(12)],
            vec![in_epoch(7, |peer| {
                peer.whole_book(7, 20, 101, 109);
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        let error = until_error(&mut subscriber);
        assert!(matches!(error, ClientError::Unasked(_)), "{error}");
    }
}

#[test]
fn a_book_that_was_sent_is_shown_with_its_history() {
    let second = in_epoch(8, |peer| {
        peer.whole_book(8, 5, 90, 120);
        peer.next_from_subscriber();
    });
    let (_server, mut subscriber) = after_the_first(Format::Sbe, &[Depth::Book(12)], second);
    let (shown, shows) = std::sync::mpsc::channel();
    subscriber.set_tap(Box::new(move |received_us, _, received| {
        if let Received::Snapshot { snapshot, epoch } = received {
            assert!(received_us > 0);
            // The test may have seen enough.
            let _ = shown.send((snapshot.last_id, epoch));
        }
    }));
    assert_eq!(until_origin(&mut subscriber), (5, BookOrigin::Streamed));
    assert_eq!(shows.try_recv(), Ok((5, Some(8))));
}
