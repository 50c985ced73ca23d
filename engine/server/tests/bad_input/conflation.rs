//! Subscribers that cannot keep up, and are told what they missed in fewer events: to a client it looks like a slower stream.

use std::time::{Duration, Instant};

use crate::common::raw::opcode::CLOSE;
use crate::slow::{BusyMarket, EVENTS, GRACE, RECEIVE_BUFFER, ROOM};
use crate::witness::depth_ids;
use depthcast::config::Settings;
use depthcast_client::{Event, Subscriber, SubscriberOptions};
use depthcast_wire::stream::SymbolName;

/// The id at which the market ends.
const LAST_ID: u64 = 10 + 2 * EVENTS;

/// Room for some events: those who read again do so quickly.
const BUFFER: usize = 64 * 1024;

const DEPTH: &str = "/ws/btcusdt@depth@100ms";

fn quick(settings: &mut Settings) {
    settings.retention_ms = Some(200);
}

fn conflations(market: &BusyMarket) -> u64 {
    let totals = market.engine.counters().totals();
    totals.conflated_for_age + totals.conflated_for_bytes
}

fn wait_for_conflation(market: &BusyMarket) {
    let until = Instant::now() + 2 * ROOM;
    while conflations(market) == 0 {
        assert!(Instant::now() < until, "nobody was conflated");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads to the market's end: whole events that continue each other. Gives how many changes the widest covers.
fn read_to_the_end(market: &mut BusyMarket) -> u64 {
    let (mut last_id, mut widest) = (10, 0);
    while last_id < LAST_ID {
        let frame = market.slow.frame().expect("an event");
        assert_ne!(frame.opcode, CLOSE, "{:?}", frame.close());
        let (first, last) = depth_ids(frame.text());
        assert_eq!(first, last_id + 1, "ids continue each other");
        last_id = last;
        widest = widest.max(last - first + 1);
    }
    assert_eq!(last_id, LAST_ID);
    widest
}

#[test]
fn one_that_reads_again_is_told_what_it_missed_as_one_event() {
    let mut market = BusyMarket::start_with(DEPTH, BUFFER, quick);
    wait_for_conflation(&market);
    // What it is told is of when it reads, not of when it was conflated.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(conflations(&market), 1, "once is enough while it does not read");
    market.witness.assert_unharmed();
    let widest = read_to_the_end(&mut market);
    assert!(
        widest > 2 * 80,
        "half a second is 100 events of two changes: {widest}"
    );
    assert_eq!(market.slow_consumers(), 0);
}

#[test]
fn one_that_is_too_many_bytes_behind_is_conflated_before_its_time() {
    let mut market = BusyMarket::start_with(DEPTH, BUFFER, |settings| {
        settings.retention_bytes = Some(100_000);
        settings.retention_ms = Some(60_000);
    });
    wait_for_conflation(&market);
    market.witness.assert_unharmed();
    assert!(read_to_the_end(&mut market) > 2);
}

#[test]
fn one_that_never_reads_is_closed_in_its_time_all_the_same() {
    let lag = Duration::from_millis(1500);
    let market = BusyMarket::start_with(DEPTH, BUFFER, |settings| {
        quick(settings);
        settings.lag_ms = Some(lag.as_millis() as u32);
    });
    wait_for_conflation(&market);
    assert_eq!(market.slow_consumers(), 0);
    market.wait_for_slow_consumer(lag + GRACE + ROOM);
    market.witness.assert_unharmed();
}

/// It is caught up with nothing while it only ever takes a little.
#[test]
fn one_that_reads_a_little_is_closed_in_its_time_all_the_same() {
    use std::io::Read;
    let lag = Duration::from_millis(1500);
    let market = BusyMarket::start_with(DEPTH, RECEIVE_BUFFER, |settings| {
        quick(settings);
        settings.lag_ms = Some(lag.as_millis() as u32);
    });
    let mut socket = market.slow.socket();
    let until = Instant::now() + lag + GRACE + 2 * ROOM;
    while market.slow_consumers() == 0 {
        assert!(
            Instant::now() < until,
            "a slow consumer gains time by reading a little"
        );
        // What is left of it may be a reset by then.
        if socket.read(&mut [0; 20]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    market.wait_for_slow_consumer(lag + GRACE + 2 * ROOM);
    market.witness.assert_unharmed();
}

#[test]
fn one_that_would_rather_be_closed_is() {
    let mut market = BusyMarket::start_with("/ws/btcusdt@depth@100ms?lag=evict", BUFFER, |settings| {
        settings.retention_bytes = Some(100_000);
    });
    market.wait_for_slow_consumer(ROOM);
    let reason = market.reason();
    assert!(reason.ends_with("bytes behind"), "{reason}");
    assert_eq!(conflations(&market), 0);
    market.witness.assert_unharmed();
}

#[test]
fn one_whose_streams_cannot_be_told_in_fewer_events_is_closed() {
    let mut market = BusyMarket::start_with("/ws/btcusdt@depth@100ms/btcusdt@trade", BUFFER, |settings| {
        quick(settings);
        settings.retention_bytes = Some(1_000_000);
    });
    market.wait_for_slow_consumer(2 * ROOM);
    let reason = market.reason();
    assert!(reason.ends_with("bytes behind"), "{reason}");
    assert_eq!(conflations(&market), 0);
    market.witness.assert_unharmed();
}

/// The client in Rust notices by the engine's heartbeats, and its book misses nothing.
#[test]
fn a_client_that_was_away_says_that_it_was_conflated() {
    let market = BusyMarket::start_with(DEPTH, BUFFER, quick);
    let url = format!("ws://{}", market.engine.address())
        .parse()
        .expect("a URL");
    let symbol = SymbolName::new("btcusdt").expect("a symbol");
    let mut subscriber = Subscriber::connect(SubscriberOptions::new(url, symbol)).expect("a connection");
    let mut conflated = Vec::new();
    let mut read_until = |done: &dyn Fn(&Subscriber, &[u64]) -> bool, patience: Duration| {
        let until = Instant::now() + patience;
        while !done(&subscriber, &conflated) {
            assert!(Instant::now() < until, "{:?}", subscriber.counters());
            let event = subscriber.next(Duration::from_millis(5)).expect("no gap");
            if let Some(Event::Conflated { heartbeats }) = event {
                conflated.push(heartbeats);
            }
        }
    };
    // Long enough for a heartbeat, and read in time.
    let begun_at = Instant::now();
    read_until(&|_, _| begun_at.elapsed() > Duration::from_millis(1200), 2 * ROOM);
    std::thread::sleep(Duration::from_millis(2100));
    read_until(&|_, conflated| !conflated.is_empty(), 4 * ROOM);
    let is_over = |subscriber: &Subscriber, _: &[u64]| subscriber.book().last_id() == LAST_ID;
    read_until(&is_over, 4 * ROOM);
    assert!(
        conflated.len() == 1 && (1..=3).contains(&conflated[0]),
        "{conflated:?}"
    );
    let counters = subscriber.counters();
    assert_eq!((counters.conflated, counters.gaps, counters.resyncs), (1, 0, 0));
}

/// The client knows the engine's word for it.
#[test]
fn a_client_that_was_evicted_says_so() {
    let market = BusyMarket::start_with(DEPTH, BUFFER, |settings| {
        settings.retention_bytes = Some(100_000);
    });
    let url = format!("ws://{}", market.engine.address())
        .parse()
        .expect("a URL");
    let mut options = SubscriberOptions::new(url, SymbolName::new("btcusdt").expect("a symbol"));
    // Trades cannot be told in fewer events.
    options.trades = true;
    let mut subscriber = Subscriber::connect(options).expect("a connection");
    let until = Instant::now() + 2 * ROOM;
    while !subscriber.is_synced() {
        assert!(Instant::now() < until, "not in step");
        subscriber.next(Duration::from_millis(5)).expect("no fault");
    }
    // Does not read at all, until it is closed; then its goodbye is there for a second.
    market.wait_for_slow_consumer(4 * ROOM);
    let mut evicted = None;
    while evicted.is_none() {
        assert!(Instant::now() < until + 8 * ROOM, "{:?}", subscriber.counters());
        let event = subscriber.next(Duration::from_millis(1)).expect("no fault");
        if let Some(Event::Reconnecting { reason, .. }) = event {
            evicted = Some(reason);
        }
    }
    let reason = evicted.expect("a reason").to_string();
    assert!(
        reason.starts_with("evicted as a slow consumer: ") && reason.ends_with(" bytes behind"),
        "{reason}"
    );
    assert_eq!(subscriber.counters().evicted, 1);
}
