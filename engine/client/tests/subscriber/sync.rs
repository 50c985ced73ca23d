//! Coming into step: snapshots in the middle, too old, not ready, or without any update.

use std::time::Duration;

use depthcast_client::{BookOrigin, ClientError, Event, Staleness, Subscriber};
use depthcast_market::event::Side;
use depthcast_wire::target::Format;
use depthcast_wire::ws::Opcode;

use crate::server::{Depth, Server, script};
use crate::{until, until_error, until_synced};

const BOTH: [Format; 2] = [Format::Json, Format::Sbe];

#[test]
fn a_snapshot_in_the_middle_of_the_stream() {
    for format in BOTH {
        let server = Server::start(
            &[Depth::Book(24)],
            vec![script(|peer| {
                peer.update(10, 19, 90, 120);
                peer.update(20, 29, 101, 110);
                peer.update(30, 39, 102, 109);
                peer.await_depths(1);
                peer.update(40, 40, 103, 108);
                peer.quote_and_trades(40);
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        let mut ids = Vec::new();
        let synced = until(&mut subscriber, |_, event| match event {
            Event::Update(update) => {
                assert_eq!(update.received_us, None, "it waited");
                ids.push((update.first_id, update.last_id));
                None
            }
            Event::Synced { last_id, origin } => Some((last_id, origin)),
            other => panic!("{other:?}"),
        });
        // How many updates had come before the snapshot was answered is a matter of time; none may be missing.
        let (last_id, origin) = synced.unwrap();
        assert_eq!(origin, BookOrigin::Fetched { snapshots: 1 });
        until(&mut subscriber, |_, event| match event {
            Event::Update(update) => {
                ids.push((update.first_id, update.last_id));
                (update.last_id == 40).then_some(())
            }
            other => panic!("{other:?} after {last_id}"),
        })
        .unwrap();
        assert_eq!(ids, [(20, 29), (30, 39), (40, 40)], "{format:?}");
        assert!(subscriber.is_synced());
        assert_eq!(subscriber.last_update().first_id, 40);
        assert_eq!(subscriber.book().best(Side::Bid).unwrap().price, 103_000_000);
        assert_eq!(subscriber.book().best(Side::Ask).unwrap().price, 108_000_000);
        let instrument = subscriber.instrument().unwrap();
        assert_eq!(instrument.tick_size().to_string(), "0.01000000");

        let mut trades = Vec::new();
        let best = until(&mut subscriber, |_, event| match event {
            Event::Trade(trade) => {
                trades.push((trade.id, trade.price));
                None
            }
            Event::BestBidAsk(best) => Some(best),
            other => panic!("{other:?}"),
        });
        assert_eq!(trades, [(1, 101_000_000), (2, 101_000_000)]);
        assert_eq!(best.unwrap().ask.price, 102_000_000);

        let counters = *subscriber.counters();
        assert_eq!((counters.trades, counters.best_bid_asks), (2, 1));
        assert_eq!(
            (counters.depth_updates, counters.gaps, counters.resyncs),
            (4, 0, 0)
        );
        subscriber.close();
        let target = match format {
            Format::Json => "/ws/btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade?timeUnit=MICROSECOND",
            Format::Sbe => "/sbe/ws/btcusdt@depth/btcusdt@bestBidAsk/btcusdt@trade",
        };
        assert_eq!(server.targets(), [target]);
    }
}

#[test]
fn a_snapshot_that_is_too_old_is_fetched_again() {
    for format in BOTH {
        let server = Server::start(
            &[Depth::Book(5), Depth::Book(8), Depth::Book(14)],
            vec![script(|peer| {
                peer.update(10, 19, 101, 109);
                peer.await_depths(3);
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        assert_eq!(until_synced(&mut subscriber).unwrap(), (19, 3));
        assert_eq!(server.depths_asked(), 3);
        assert_eq!(subscriber.counters().resyncs, 0);
    }
}

#[test]
fn snapshots_that_stay_too_old_are_stale() {
    let server = Server::start(
        &[Depth::Book(5)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    let error = until_error(&mut subscriber);
    assert!(
        matches!(
            error,
            ClientError::Stale(Staleness::SnapshotTooOld { snapshot_id: 5, .. })
        ),
        "{error}"
    );
    assert!(server.depths_asked() > 2);
}

#[test]
fn a_quiet_market_gives_its_snapshot() {
    let server = Server::start(
        &[Depth::Book(5), Depth::Book(12)],
        vec![script(|peer| {
            peer.await_depths(1);
            // The snapshot was before the stream: by the rules it is too old, and nothing is lost.
            std::thread::sleep(Duration::from_millis(20));
            peer.update(10, 19, 101, 109);
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Sbe)).unwrap();
    assert_eq!(until_synced(&mut subscriber).unwrap(), (5, 1));
    assert_eq!(until_synced(&mut subscriber).unwrap(), (19, 1));
    assert_eq!(subscriber.counters().gaps, 0);
}

#[test]
fn a_server_without_a_live_book_is_waited_for() {
    let not_ready = Depth::Status(503, r#"{"code":-1,"msg":"stale"}"#);
    let server = Server::start(
        &[not_ready.clone(), not_ready.clone(), Depth::Book(12)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    assert_eq!(until_synced(&mut subscriber).unwrap(), (19, 1));

    let server = Server::start(
        &[not_ready],
        vec![script(|peer| {
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    let error = until_error(&mut subscriber);
    assert!(
        matches!(error, ClientError::Stale(Staleness::NotReady { .. })),
        "{error}"
    );
    assert!(server.depths_asked() > 2);
}

#[test]
fn pings_are_answered() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.frame(Opcode::Ping, b"20 s");
            peer.update(10, 19, 101, 109);
            assert_eq!(peer.next_from_subscriber(), "pong 20 s");
            peer.update(20, 20, 101, 109);
            assert_eq!(peer.next_from_subscriber(), "close 1000");
            peer.close(1000, "");
            peer.update(21, 21, 101, 109);
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    until(&mut subscriber, |_, event| {
        matches!(event, Event::Update(update) if update.last_id == 20).then_some(())
    })
    .unwrap();
    subscriber.close();
}

#[test]
fn latency_is_measured_once_the_socket_was_empty() {
    let server = Server::start(
        &[Depth::Book(12)],
        vec![script(|peer| {
            peer.update(10, 19, 101, 109);
            peer.await_depths(1);
            for id in 20..40 {
                std::thread::sleep(Duration::from_millis(10));
                peer.update(id, id, 101, 109);
            }
            peer.next_from_subscriber();
        })],
    );
    let mut subscriber = Subscriber::connect(server.options(Format::Sbe)).unwrap();
    until(&mut subscriber, |_, event| {
        matches!(event, Event::Update(update) if update.last_id == 39).then_some(())
    })
    .unwrap();
    let report = subscriber.latency().report().unwrap();
    assert!((10..=20).contains(&report.events), "{report:?}");
    assert_eq!(report.basis, depthcast_client::latency::Basis::EventTime);
    assert!(report.p50_us < 1_000_000, "{report:?}");
}
