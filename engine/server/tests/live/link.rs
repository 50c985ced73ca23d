//! The feed link and everything that can happen to it, with an exchange that does as the test says.

use std::time::{Duration, Instant};

use depthcast::config::Settings;
use depthcast::engine::{Engine, StartError};
use depthcast::reactor::feed::FeedNews;
use depthcast_wire::feed_link::LinkMessage;
use serde_json::Value;

use super::book::{Book, event, get};
use super::common::raw::{PATIENCE, Raw};
use super::fake::{FakeExchange, FakeLink};
use super::start;

/// An engine that is fed by an exchange, with the link between them: BTCUSDT with a bid of 2 at 100, at id 10.
fn linked(exchange: &FakeExchange) -> (Engine, FakeLink) {
    let feed = format!("tcp://{}", exchange.address());
    let engine = std::thread::spawn(move || start(&feed));
    let mut link = exchange.accept();
    link.announce(7, 0);
    link.books(0, 10, &[(100, 2)]);
    let engine = engine.join().expect("the engine starts");
    assert_eq!(engine.symbols().len(), 2);
    wait_for_depth(&engine, 200);
    (engine, link)
}

/// Waits until REST depth answers with a status, and gives the answer.
fn wait_for_depth(engine: &Engine, status: u16) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let (now, answer) = get(engine.address(), "/api/v3/depth?symbol=BTCUSDT&limit=5000");
        if now == status {
            return answer;
        }
        assert!(Instant::now() < until, "status {now} is not {status}: {answer}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for news that `pick` picks.
fn wait_for_news<R>(engine: &Engine, pick: impl Fn(FeedNews) -> Option<R>) -> R {
    let until = Instant::now() + PATIENCE;
    loop {
        let news = engine.feed_news().recv_deadline(until).expect("news in time");
        if let Some(picked) = pick(news) {
            return picked;
        }
    }
}

fn away(engine: &Engine) -> String {
    wait_for_news(engine, |news| match news {
        FeedNews::Away { reason, .. } => Some(reason),
        _ => None,
    })
}

#[test]
fn what_the_exchange_says_reaches_subscribers_and_its_time_goes_on() {
    let exchange = FakeExchange::start();
    let (engine, mut link) = linked(&exchange);
    let mut raw = Raw::open(engine.address(), "/ws/btcusdt@depth@100ms?snapshot=1");
    let mut book = Book::of_snapshot(&event(&mut raw));
    assert_eq!(book.id, 10);
    link.depth(1, 11..=13, &[(100, 0), (99, 4)]);
    // No further word of the exchange: its time goes on by the clock until the next tick.
    let update = event(&mut raw);
    book.apply(&update);
    assert_eq!((book.id, book.levels()), (13, 2), "{update}");
    assert_eq!(update["E"], 1_700_000_001_000_i64);
    let rest = wait_for_depth(&engine, 200);
    assert_eq!(book, Book::of_snapshot(&rest));
}

#[test]
fn a_lost_link_leaves_books_stale_and_its_return_heals_them_by_one_difference() {
    let exchange = FakeExchange::start();
    let (engine, mut link) = linked(&exchange);
    let mut raw = Raw::open(engine.address(), "/ws/btcusdt@depth@0ms?snapshot=1");
    let mut slow = Raw::open(engine.address(), "/ws/btcusdt@depth@1000ms?snapshot=1");
    let mut books = [&mut raw, &mut slow].map(|raw| Book::of_snapshot(&event(raw)));
    link.depth(1, 11..=11, &[(98, 1)]);
    books[0].apply(&event(&mut raw));
    drop(link);
    let stale = wait_for_depth(&engine, 503);
    assert!(stale["msg"].is_string(), "{stale}");
    assert!(away(&engine).contains("the exchange closed the link"));
    let mut link = exchange.accept();
    link.announce(7, 60);
    link.books(60, 20, &[(101, 5), (98, 1)]);
    let healing = event(&mut raw);
    assert_eq!(
        (&healing["U"], &healing["u"]),
        (&12.into(), &20.into()),
        "one contiguous event"
    );
    books[0].apply(&healing);
    assert_eq!(books[0], Book::of_snapshot(&wait_for_depth(&engine, 200)));
    link.depth(61, 21..=21, &[(101, 6)]);
    books[0].apply(&event(&mut raw));
    while books[1].id < 21 {
        books[1].apply(&event(&mut slow));
    }
    assert_eq!(books[0], books[1], "the slow cadence misses nothing either");
    wait_for_news(&engine, |news| (news == FeedNews::Back).then_some(()));
}

#[test]
fn a_restarted_exchange_is_a_new_epoch_and_its_subscribers_are_told() {
    let exchange = FakeExchange::start();
    let (engine, link) = linked(&exchange);
    let mut raw = Raw::open(engine.address(), "/ws/btcusdt@depth@0ms?snapshot=1");
    event(&mut raw);
    drop(link);
    let mut link = exchange.accept();
    link.announce(8, 0);
    link.books(0, 3, &[(50, 1)]);
    let (code, reason) = raw.closed();
    assert_eq!(code, 1012, "{reason}");
    let rest = Book::of_snapshot(&wait_for_depth(&engine, 200));
    assert_eq!(rest.id, 3);
    let mut again = Raw::connect(engine.address());
    again.send(super::common::raw::upgrade_request("/ws/btcusdt@depth@0ms?snapshot=1", "").as_bytes());
    let head = again.http_head();
    assert!(head.contains("\r\nDepthcast-Epoch: 8\r\n"), "{head}");
    let snapshot = event(&mut again);
    assert_eq!((&snapshot["ep"], Book::of_snapshot(&snapshot)), (&8.into(), rest));
}

#[test]
fn what_breaks_the_links_rules_breaks_the_link_and_is_named() {
    let faults: [(Part, &str); 5] = [
        (
            |link| {
                link.skip(2);
                link.depth(1, 14..=14, &[]);
            },
            "the feed link gave event 7003 where 7001 was due",
        ),
        (
            |link| {
                link.say(&LinkMessage::Heartbeat {
                    sequence: 7009,
                    time_us: 1,
                });
            },
            "the feed link gave event 7009 where 7000 was due",
        ),
        (
            |link| link.bytes(b"GET / HTTP/1.1\r\n\r\n"),
            "a feed-link message of schema 20564 instead of 9700",
        ),
        (
            |link| link.announce(7, 1),
            "hello where an event or a heartbeat was due",
        ),
        (
            |link| {
                link.say(&LinkMessage::End {
                    reason: "too slow".into(),
                });
            },
            "ended the link: too slow",
        ),
    ];
    for (fault, reason) in faults {
        let exchange = FakeExchange::start();
        let (engine, mut link) = linked(&exchange);
        fault(&mut link);
        let said = away(&engine);
        assert!(said.contains(reason), "{said:?} does not say {reason:?}");
        assert!(
            said.contains(&exchange.address().to_string()),
            "{said:?} names no place"
        );
        wait_for_depth(&engine, 503);
        let mut link = exchange.accept();
        link.announce(7, 2);
        link.books(2, 15, &[(100, 2)]);
        assert_eq!(Book::of_snapshot(&wait_for_depth(&engine, 200)).id, 15);
    }
}

#[test]
fn an_event_that_does_not_fit_its_book_brings_another_book() {
    let exchange = FakeExchange::start();
    let (engine, mut link) = linked(&exchange);
    let mut raw = Raw::open(engine.address(), "/ws/btcusdt@depth@0ms?snapshot=1");
    let mut book = Book::of_snapshot(&event(&mut raw));
    link.depth(1, 15..=15, &[(99, 1)]);
    assert!(away(&engine).contains("a book does not fit its feed"));
    let mut link = exchange.accept();
    link.announce(7, 2);
    link.books(2, 16, &[(100, 2), (99, 1)]);
    book.apply(&event(&mut raw));
    assert_eq!(book, Book::of_snapshot(&wait_for_depth(&engine, 200)));
    assert_eq!(book.id, 16);
}

#[test]
fn a_drip_of_bytes_is_no_sign_of_life() {
    let exchange = FakeExchange::start();
    let (engine, mut link) = linked(&exchange);
    let dripping = std::thread::spawn(move || {
        // The beginning of a message of a megabyte, for longer than a silence lasts.
        link.bytes(&[0, 0, 16, 0, 44, 0, 5, 0, 0xe4, 0x25, 1, 0]);
        for _ in 0..40 {
            link.bytes(&[0]);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let said = away(&engine);
    assert!(
        said.contains("nothing came for ") || said.contains("schema 0"),
        "{said}"
    );
    wait_for_depth(&engine, 503);
    dripping.join().expect("no panic");
}

#[test]
fn an_exchange_that_falls_silent_is_away() {
    let exchange = FakeExchange::start();
    let (engine, _link) = linked(&exchange);
    let said = away(&engine);
    assert!(said.contains("nothing came for "), "{said}");
    wait_for_depth(&engine, 503);
}

#[test]
fn an_exchange_that_accepts_and_says_nothing_does_not_hold_up_the_end() {
    let exchange = FakeExchange::start();
    let (engine, link) = linked(&exchange);
    drop(link);
    let _silent = exchange.accept();
    let begun = Instant::now();
    engine.stop(true);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn an_exchange_that_comes_later_is_found() {
    let exchange = FakeExchange::start();
    let address = exchange.address();
    drop(exchange);
    let engine = start(&format!("tcp://{address}"));
    assert!(engine.symbols().is_empty());
    let mut raw = Raw::open(engine.address(), "/ws/btcusdt@depth@0ms");
    assert!(away(&engine).contains("refused"));
    let exchange = FakeExchange::at(address);
    let mut link = exchange.accept();
    link.announce(1, 0);
    link.books(0, 10, &[(100, 2)]);
    wait_for_depth(&engine, 200);
    link.depth(1, 11..=11, &[(99, 1)]);
    assert_eq!(event(&mut raw)["u"], 11, "who was there before is served");
}

/// What an exchange says to an engine.
type Part = fn(&mut FakeLink);

/// Why an engine with these feeds does not start, when each exchange does its part.
fn refusal(parts: &[(FakeExchange, Part)]) -> String {
    let settings = Settings {
        feed: parts
            .iter()
            .map(|(exchange, _)| format!("tcp://{}", exchange.address()))
            .collect(),
        listen: Some("127.0.0.1:0".into()),
        workers: Some(1),
        ..Settings::default()
    };
    let engine = std::thread::spawn(move || Engine::start(&settings.check(1).expect("right settings")));
    let mut links = Vec::new();
    for (exchange, part) in parts {
        let mut link = exchange.accept();
        part(&mut link);
        links.push(link);
    }
    match engine.join().expect("no panic") {
        Err(error @ StartError::Link(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the engine started"),
    }
}

#[test]
fn at_the_start_what_is_no_feed_link_is_refused_by_name() {
    let parts: [(Part, &str); 4] = [
        (
            |link| link.bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            "the peer does not speak the feed link: it began with \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            |link| link.bytes(&[8, 0, 0, 0, 0, 0, 2, 0, 0xe4, 0x25, 2, 0]),
            "the peer speaks version 2 of the feed link, and this program version 1",
        ),
        (
            |link| {
                link.say(&LinkMessage::End {
                    reason: "64 engines are enough".into(),
                });
            },
            "the exchange refuses: 64 engines are enough",
        ),
        (
            |link| {
                link.say(&LinkMessage::Heartbeat {
                    sequence: 1,
                    time_us: 1,
                });
            },
            "the feed link gave a heartbeat where the exchange's hello was due",
        ),
    ];
    for (part, reason) in parts {
        let exchange = FakeExchange::start();
        let place = format!("--feed tcp://{}: ", exchange.address());
        let said = refusal(&[(exchange, part)]);
        assert!(said.starts_with(&place), "{said:?} does not name {place:?}");
        assert!(said.contains(reason), "{said:?} does not say {reason:?}");
    }
}

#[test]
fn feeds_of_two_histories_are_refused_by_both_names() {
    let parts: Vec<(FakeExchange, Part)> = vec![
        (FakeExchange::start(), |link| link.announce(7, 0)),
        (FakeExchange::start(), |link| link.announce(8, 0)),
    ];
    let addresses: Vec<String> = parts
        .iter()
        .map(|(exchange, _)| exchange.address().to_string())
        .collect();
    assert_eq!(
        refusal(&parts),
        format!(
            "--feed tcp://{} is in epoch 7 and --feed tcp://{} in epoch 8: feeds of one engine must lead to the same \
             exchange",
            addresses[0], addresses[1]
        )
    );
}

#[test]
fn of_two_ways_to_an_exchange_the_other_is_taken_when_one_fails() {
    let ways = [FakeExchange::start(), FakeExchange::start()];
    let settings = Settings {
        feed: ways
            .iter()
            .map(|way| format!("tcp://{}", way.address()))
            .collect(),
        listen: Some("127.0.0.1:0".into()),
        workers: Some(1),
        ..Settings::default()
    };
    let engine = std::thread::spawn(move || Engine::start(&settings.check(1).expect("right settings")));
    let mut link = ways[0].accept();
    link.announce(7, 0);
    link.books(0, 10, &[(100, 2)]);
    let mut looked_at = ways[1].accept();
    looked_at.announce(7, 0);
    let engine = engine
        .join()
        .expect("no panic")
        .unwrap_or_else(|error| panic!("{error}"));
    wait_for_depth(&engine, 200);
    let [first, second] = ways;
    drop((first, link));
    let mut link = second.accept();
    link.announce(7, 9);
    link.books(9, 12, &[(100, 3)]);
    let until = Instant::now() + PATIENCE;
    while Book::of_snapshot(&wait_for_depth(&engine, 200)).id != 12 {
        assert!(Instant::now() < until, "the second way is not used");
    }
}
