//! The limits of a connection's life: past each the connection is ended or refused with a reason that names the limit,
//! and nobody else notices.

use std::time::{Duration, Instant};

use crate::common::capture_file::CaptureText;
use crate::common::raw::opcode::{PING, PONG, TEXT};
use crate::common::raw::{
    Raw, fragments, frame, http, http_get, settings, start, status_and_body, upgrade_request,
};
use crate::common::scratch::Scratch;
use crate::witness::TradedMarket;
use depthcast::config::Settings;
use depthcast::session::EndCause;

const LIST: &[u8] = br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;
const NOTHING: &str = r#"{"result":[],"id":1}"#;

fn market(change: impl FnOnce(&mut Settings)) -> TradedMarket {
    TradedMarket::start_with(|mut settings| {
        change(&mut settings);
        settings
    })
}

#[test]
fn a_life_ends_in_good_order_and_may_begin_again_at_once() {
    const REASON: &str = "this connection's life of 1 s is over: reconnect";
    let mut capture = CaptureText::new();
    for _ in 0..5000 {
        capture.wait_ms(2).trade("BTCUSDT");
    }
    let scratch = Scratch::new();
    // No witness: its life would end as well.
    let mut settings = settings(&scratch.write("trades", capture.as_str()), "start=1");
    settings.life_s = Some(1);
    let engine = start(settings);
    for _ in 0..2 {
        let opened_at = Instant::now();
        let mut early = Raw::open(engine.address(), "/ws/btcusdt@trade");
        std::thread::sleep(Duration::from_millis(500));
        let late_opened_at = Instant::now();
        let mut late = Raw::open(engine.address(), "/ws");
        let frames = early.frames_to_end();
        assert!(opened_at.elapsed() > Duration::from_millis(800));
        let (close, events) = frames.split_last().expect("a close");
        assert_eq!(close.close(), Some((1001, REASON)));
        assert!(events.len() > 20 && events.iter().all(|event| event.text().contains("trade")));
        // Everybody has a life of its own.
        assert_eq!(late.closed(), (1001, REASON.to_string()));
        assert!(late_opened_at.elapsed() > Duration::from_millis(800));
    }
    assert_eq!(engine.counters().ended(EndCause::Life), 4);
}

#[test]
fn whoever_sends_more_messages_than_a_second_allows_is_closed_behind_the_answers() {
    let market = market(|_| {});
    let list = frame(TEXT, LIST);
    // Pings, pongs and requests count alike, and a message in fragments once.
    let mix = [
        frame(PING, b"1"),
        fragments(TEXT, LIST, 5),
        frame(PONG, b""),
        list.clone(),
        frame(PING, b"2"),
    ];
    let mut client = Raw::open(market.address(), "/ws");
    client.send(&[&mix.concat()[..], &list].concat());
    let frames = client.frames_to_end();
    let payloads: Vec<&[u8]> = frames.iter().map(|frame| &frame.payload[..]).collect();
    let nothing = NOTHING.as_bytes();
    assert_eq!(payloads[..4], [b"1", nothing, nothing, b"2"]);
    let reason = "more than 5 messages in a second";
    assert_eq!((frames.len(), frames[4].close()), (5, Some((1008, reason))));

    // One who keeps to the limit stays.
    let mut client = Raw::open(market.address(), "/ws");
    for _ in 0..3 {
        client.send(&mix.concat());
        for _ in 0..4 {
            client.frame().expect("an answer");
        }
        std::thread::sleep(Duration::from_millis(1200));
    }
    market.assert_unharmed();
    assert_eq!(market.engine.counters().ended(EndCause::MessageRate), 1);
}

#[test]
fn the_limit_of_messages_may_be_another_or_none() {
    let burst = frame(TEXT, LIST).repeat(300);
    let strict = market(|settings| settings.messages_per_second = Some(1));
    let mut client = Raw::open(strict.address(), "/ws");
    client.send(&burst);
    assert_eq!(client.frame().expect("an answer").text(), NOTHING);
    let closed = client.closed();
    assert_eq!(closed, (1008, "more than 1 messages in a second".to_string()));
    strict.assert_unharmed();

    let lenient = market(|settings| settings.messages_per_second = Some(0));
    let mut client = Raw::open(lenient.address(), "/ws");
    client.send(&burst);
    for _ in 0..300 {
        assert_eq!(client.frame().expect("an answer").text(), NOTHING);
    }
}

/// Ten pings a second, and one message allowed: answering them is no offence.
#[test]
fn answers_to_the_engines_own_pings_are_never_too_many() {
    let scratch = Scratch::new();
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    let mut settings = settings(&scratch.write("trade", capture.as_str()), "");
    settings.ping_ms = Some(100);
    settings.messages_per_second = Some(1);
    let engine = start(settings);
    let mut client = Raw::open(engine.address(), "/ws");
    for _ in 0..15 {
        let ping = client.any_frame().expect("a ping");
        assert_eq!(ping.opcode, PING, "{ping:?}");
        client.send(&frame(PONG, &ping.payload));
    }
    client.send(&frame(TEXT, LIST));
    assert_eq!(client.frame().expect("an answer").text(), NOTHING);
}

#[test]
fn an_address_that_connects_too_often_is_told_when_to_come_back() {
    const WINDOW: Duration = Duration::from_secs(3);
    let market = market(|settings| {
        settings.attempts_loopback = Some(true);
        settings.attempts_per_ip = Some(6);
        settings.attempts_window_s = Some(WINDOW.as_secs() as u32);
        settings.workers = Some(3);
    });
    // The witness was the first, whichever worker has it.
    let first_at = Instant::now();
    let mut subscribers: Vec<Raw> = (0..5)
        .map(|_| Raw::open(market.address(), "/ws/btcusdt@trade"))
        .collect();
    let mut refused = 0;
    for request in [
        upgrade_request("/ws/btcusdt@trade", ""),
        // Whatever the request, read to its end before it is answered.
        upgrade_request("/ws/btcusdt@trade", &format!("X: {}\r\n", "x".repeat(50_000))),
        "GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n".to_string(),
    ] {
        let mut client = Raw::connect(market.address());
        client.send(request.as_bytes());
        let answer = client.text_to_end();
        let (status, body) = status_and_body(&answer);
        assert_eq!(status, 429, "{answer}");
        let retry_after: u64 = answer
            .lines()
            .find_map(|line| line.strip_prefix("Retry-After: "))
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or_else(|| panic!("{answer}"));
        assert!((1..=3).contains(&retry_after), "{answer}");
        assert_eq!(
            body,
            format!("more than 6 connections from one address in 3 s: try again in {retry_after} s\n")
        );
        refused += 1;
    }
    // One that says nothing is told as well, and sooner than others who say nothing.
    let mut silent = Raw::connect(market.address());
    let asked_at = Instant::now();
    let answer = silent.text_to_end();
    assert_eq!(status_and_body(&answer).0, 429, "{answer}");
    assert!(asked_at.elapsed() < Duration::from_secs(5));
    refused += 1;
    assert_eq!(market.engine.counters().ended(EndCause::Attempts), refused);

    for subscriber in &mut subscribers {
        assert!(subscriber.frame().expect("the market").text().contains("trade"));
    }
    market.assert_unharmed();
    std::thread::sleep((WINDOW + Duration::from_millis(300)).saturating_sub(first_at.elapsed()));
    let mut back = Raw::open(market.address(), "/ws/btcusdt@trade");
    assert!(back.frame().expect("the market").text().contains("trade"));
}

#[test]
fn loopback_may_connect_as_often_as_it_likes_unless_it_is_counted() {
    let market = market(|settings| settings.attempts_per_ip = Some(1));
    for _ in 0..20 {
        assert_eq!(http_get(market.address(), "/api/v3/ping").0, 200);
    }
    let unlimited = self::market(|settings| {
        settings.attempts_loopback = Some(true);
        settings.attempts_per_ip = Some(0);
    });
    for _ in 0..20 {
        let request = "GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(http(unlimited.address(), request).0, 200);
    }
}
