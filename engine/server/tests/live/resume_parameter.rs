//! `resume=` with its epoch: a subscriber whose connection was lost goes on where its book stands.

use std::time::Duration;

use super::book::{Book, event, get};
use super::common::raw::{Raw, http_get};
use super::start;

/// A busy market of two symbols.
const FEED: &str = "sim:?symbols=2&rate=100&seed=7";

/// What is missed while nobody listens.
const AWAY: Duration = Duration::from_millis(300);

/// A book that was kept for a while, its epoch, and the symbol's name in streams.
fn lost(engine: &depthcast::engine::Engine, cadence: &str) -> (Book, u64, String) {
    let symbol = engine.symbols()[0].instrument.name().to_lowercase();
    let target = format!("/ws/{symbol}@depth{cadence}?snapshot=1");
    let mut raw = Raw::open(engine.address(), &target);
    let snapshot = event(&mut raw);
    let mut book = Book::of_snapshot(&snapshot);
    for _ in 0..2 {
        book.apply(&event(&mut raw));
    }
    (book, snapshot["ep"].as_u64().expect("an epoch"), symbol)
}

/// Follows until the book of REST is reached, and compares.
fn assert_is_of_rest(engine: &depthcast::engine::Engine, raw: &mut Raw, mut book: Book, symbol: &str) {
    let target = format!("/api/v3/depth?symbol={}&limit=5000", symbol.to_uppercase());
    // An event of a slow cadence rarely ends where a snapshot was taken.
    for _ in 0..200 {
        let (status, rest) = get(engine.address(), &target);
        assert_eq!(status, 200);
        let rest = Book::of_snapshot(&rest);
        while book.id < rest.id {
            book.apply(&event(raw));
        }
        if book.id == rest.id {
            assert_eq!(book, rest);
            return;
        }
    }
    panic!("never at the id of a snapshot");
}

#[test]
fn the_first_event_is_all_that_was_missed_and_the_next_continue_it() {
    let engine = start(FEED);
    for cadence in ["@0ms", "@10ms", "@20ms", "@100ms", "@250ms"] {
        let (mut book, epoch, symbol) = lost(&engine, cadence);
        std::thread::sleep(AWAY);
        let id = book.id;
        let target = format!("/ws/{symbol}@depth{cadence}?resume={symbol}:{id}&epoch={epoch}");
        let mut raw = Raw::open(engine.address(), &target);
        let first = event(&mut raw);
        assert_eq!(first["e"], "depthUpdate", "{target}: {first}");
        assert_eq!(first["U"], id + 1, "{target}");
        let missed = first["u"].as_u64().expect("u") - id;
        assert!(
            missed > 20,
            "{target}: 30 events of some changes, and it has {missed}"
        );
        book.apply(&first);
        for _ in 0..3 {
            book.apply(&event(&mut raw));
        }
        if cadence == "@0ms" {
            assert_is_of_rest(&engine, &mut raw, book, &symbol);
        }
    }
}

#[test]
fn who_missed_nothing_is_told_nothing_twice() {
    let engine = start("sim:?symbols=1&rate=2&seed=7");
    let (mut book, epoch, symbol) = lost(&engine, "@0ms");
    let id = book.id;
    let target = format!("/ws/{symbol}@depth@0ms?resume={symbol}:{id}&epoch={epoch}");
    let mut raw = Raw::open(engine.address(), &target);
    book.apply(&event(&mut raw));
}

#[test]
fn ids_that_this_history_cannot_continue_are_answered_with_the_whole_book() {
    let engine = start(FEED);
    let (book, epoch, symbol) = lost(&engine, "@100ms");
    let future = book.id + 1_000_000_000;
    for (id, epoch) in [(book.id, epoch + 1), (book.id, 0), (future, epoch), (1, epoch)] {
        for cadence in ["@0ms", "@100ms"] {
            let target = format!("/ws/{symbol}@depth{cadence}?resume={symbol}:{id}&epoch={epoch}");
            let mut raw = Raw::open(engine.address(), &target);
            let first = event(&mut raw);
            assert_eq!(first["e"], "depthSnapshot", "{target}: {first}");
            let mut book = Book::of_snapshot(&first);
            for _ in 0..2 {
                book.apply(&event(&mut raw));
            }
        }
    }
}

#[test]
fn symbols_that_are_unknown_or_not_subscribed_to_change_nothing_for_others() {
    let engine = start(FEED);
    let (mut book, epoch, symbol) = lost(&engine, "@0ms");
    let id = book.id;
    let target = format!(
        "/ws/{symbol}@depth@0ms/nosuchusdt@depth?resume=nosuchusdt:5,{symbol}:{id},ethusdt:3&epoch={epoch}"
    );
    let mut raw = Raw::open(engine.address(), &target);
    for _ in 0..5 {
        let event = event(&mut raw);
        assert_eq!(event["s"], symbol.to_uppercase());
        book.apply(&event);
    }
}

#[test]
fn nonsense_is_refused_with_the_name_of_the_parameter() {
    let engine = start(FEED);
    for (query, named) in [
        ("lag=sometimes", "lag"),
        ("lag=", "lag"),
        ("resume=btcusdt&epoch=1", "resume"),
        ("resume=btcusdt:-1&epoch=1", "resume"),
        ("resume=:5&epoch=1", "resume"),
        ("resume=btcusdt:99999999999999999999999&epoch=1", "resume"),
        ("resume=btcusdt:5", "epoch"),
        ("resume=btcusdt:5&epoch=now", "epoch"),
    ] {
        let target = format!("/ws/btcusdt@depth?{query}");
        let request = super::common::raw::upgrade_request(&target, "");
        let (status, body) = super::common::raw::http(engine.address(), &request);
        assert!(status == 400 && body.contains(named), "{query}: {status} {body}");
    }
    // The engine goes on.
    let (status, _) = http_get(engine.address(), "/api/v3/ping");
    assert_eq!(status, 200);
}
