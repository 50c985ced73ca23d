//! Lost connections: reported with their reason, and made anew with backoff unless told not to.

use std::time::{Duration, Instant};

use depthcast_client::{ClientError, Event, Subscriber};
use depthcast_market::event::Side;
use depthcast_wire::target::Format;

use crate::server::{Depth, Script, Server, script};
use crate::{until, until_error, until_synced};

fn closing(code: u16, reason: &'static str) -> Script {
    script(move |peer| {
        peer.update(10, 19, 101, 109);
        peer.await_depths(1);
        peer.update(20, 20, 101, 109);
        peer.close(code, reason);
        assert_eq!(peer.next_from_subscriber(), format!("close {code}"));
    })
}

#[test]
fn a_close_is_told_with_code_and_reason() {
    let server = Server::start(&[Depth::Book(12)], vec![closing(1008, "lag of 10 s")]);
    let mut subscriber = Subscriber::connect(server.options(Format::Json)).unwrap();
    let error = until_error(&mut subscriber);
    assert_eq!(
        error.to_string(),
        "the server closed the connection: 1008 lag of 10 s"
    );
    assert!(matches!(error, ClientError::Closed { code: Some(1008), .. }));
    assert!(matches!(until_error(&mut subscriber), ClientError::Ended));
    assert_eq!(subscriber.counters().reconnects, 0);
    assert_eq!(subscriber.book().last_id(), 20, "the book stands");
}

#[test]
fn an_eviction_is_told_apart_and_counted() {
    let reason = "slow consumer: 70000 bytes behind";
    let server = Server::start(&[Depth::Book(12)], vec![closing(1008, reason)]);
    let mut options = server.options(Format::Sbe);
    options.reconnect = true;
    let mut subscriber = Subscriber::connect(options).unwrap();
    let error = until(&mut subscriber, |_, event| match event {
        Event::Reconnecting { reason, .. } => Some(reason),
        _ => None,
    })
    .unwrap();
    assert_eq!(
        error.to_string(),
        "evicted as a slow consumer: 70000 bytes behind"
    );
    assert!(matches!(error, ClientError::Evicted { reason: kept } if *kept == *reason));
    let counters = subscriber.counters();
    assert_eq!((counters.evicted, counters.reconnects), (1, 1));
}

#[test]
fn after_a_reconnect_the_book_is_built_anew() {
    for format in [Format::Json, Format::Sbe] {
        let again = script(|peer| {
            // Ids have gone back: another history.
            peer.update(3, 4, 104, 106);
            peer.next_from_subscriber();
        });
        let server = Server::start(
            &[Depth::Book(12), Depth::Book(3)],
            vec![closing(1012, "epoch"), again],
        );
        let mut options = server.options(format);
        options.reconnect = true;
        let mut subscriber = Subscriber::connect(options).unwrap();
        let (reason, delay) = until(&mut subscriber, |_, event| match event {
            Event::Reconnecting { reason, delay } => Some((reason, delay)),
            _ => None,
        })
        .unwrap();
        assert!(
            matches!(reason, ClientError::Closed { code: Some(1012), .. }),
            "{reason}"
        );
        assert!(delay <= Duration::from_millis(20));
        assert!(!subscriber.is_synced());
        assert_eq!(
            subscriber.book().last_id(),
            20,
            "the book stands until the next snapshot"
        );

        assert_eq!(until_synced(&mut subscriber).unwrap(), (4, 1));
        assert_eq!(subscriber.book().best(Side::Bid).unwrap().price, 104_000_000);
        let counters = subscriber.counters();
        assert_eq!((counters.reconnects, counters.resyncs, counters.gaps), (1, 1, 0));
    }
}

#[test]
fn tries_go_on_with_delays_that_end_at_the_cap() {
    let dropped = script(|peer| peer.update(10, 19, 101, 109));
    let server = Server::start(&[Depth::Book(12)], vec![dropped]);
    let mut options = server.options(Format::Json);
    options.reconnect = true;
    let mut subscriber = Subscriber::connect(options).unwrap();
    let mut reasons = Vec::new();
    let start = Instant::now();
    let mut delays = Duration::ZERO;
    while reasons.len() < 8 {
        let (reason, delay) = until(&mut subscriber, |_, event| match event {
            Event::Reconnecting { reason, delay } => Some((reason, delay)),
            _ => None,
        })
        .unwrap();
        assert!(delay <= Duration::from_millis(80), "{delay:?}");
        delays += delay;
        reasons.push(reason);
    }
    assert!(
        matches!(reasons[0], ClientError::Dropped | ClientError::Broken(_)),
        "{}",
        reasons[0]
    );
    for reason in &reasons[1..] {
        assert!(reason.to_string().contains("503 Service Unavailable"), "{reason}");
    }
    assert_eq!(subscriber.counters().reconnects, 1, "one connection was lost");
    assert!(server.targets().len() >= 8);
    assert!(
        start.elapsed() >= delays - Duration::from_millis(80),
        "the last delay is still to come"
    );
}

#[test]
fn a_wait_ends_in_time_while_the_connection_is_down() {
    let server = Server::start(&[Depth::Book(12)], vec![script(|_| {})]);
    let mut options = server.options(Format::Json);
    options.reconnect = true;
    options.timing.reconnect_delay_base = Duration::from_secs(3600);
    options.timing.reconnect_delay_cap = Duration::from_secs(3600);
    let mut subscriber = Subscriber::connect(options).unwrap();
    until(&mut subscriber, |_, event| {
        matches!(event, Event::Reconnecting { .. }).then_some(())
    })
    .unwrap();
    let start = Instant::now();
    assert!(subscriber.next(Duration::from_millis(30)).unwrap().is_none());
    assert!((30..1000).contains(&start.elapsed().as_millis()));
}

#[test]
fn a_shutdown_is_announced_in_either_format() {
    for format in [Format::Json, Format::Sbe] {
        let server = Server::start(
            &[Depth::Book(12)],
            vec![script(|peer| {
                let text = br#"{"e":"serverShutdown","E":1770000000000}"#;
                peer.frame(depthcast_wire::ws::Opcode::Text, text);
                peer.close(1001, "");
                peer.next_from_subscriber();
            })],
        );
        let mut subscriber = Subscriber::connect(server.options(format)).unwrap();
        until(&mut subscriber, |_, event| {
            matches!(event, Event::ServerShutdown).then_some(())
        })
        .unwrap();
        let error = until_error(&mut subscriber).to_string();
        assert_eq!(error, "the server closed the connection: 1001");
    }
}
