//! The order of a feed link's messages: what each means, and every way to break it.

use depthcast_market::event::{BestBidAsk, BookSnapshot, Level, MarketEvent};
use depthcast_market::instrument::{Exponents, Instrument};
use proptest::prelude::*;

use super::*;

fn hello(symbols: u32) -> LinkMessage {
    LinkMessage::Hello {
        epoch: 77,
        sequence: 100,
        time_us: 5,
        heartbeat_ms: 500,
        symbols,
        exchange: "x".into(),
    }
}

fn symbol(index: u32) -> LinkMessage {
    let name = format!("S{index}");
    LinkMessage::Symbol {
        index,
        instrument: Instrument::new(&name, Exponents::default(), 1, 1).unwrap(),
        depth_cadence_ms: 0,
    }
}

fn book(symbol: u32) -> LinkMessage {
    LinkMessage::Book {
        symbol,
        time_us: 6,
        snapshot: BookSnapshot::default(),
    }
}

fn event(sequence: u64, symbol: u32) -> LinkMessage {
    LinkMessage::Event {
        sequence,
        time_us: 7,
        symbol,
        event: MarketEvent::BestBidAsk(BestBidAsk {
            event_time_us: None,
            update_id: 1,
            bid: Level::default(),
            ask: Level::default(),
        }),
    }
}

fn heartbeat(sequence: u64) -> LinkMessage {
    LinkMessage::Heartbeat { sequence, time_us: 8 }
}

/// What all messages but the last mean, in a word each, and what is wrong with the last.
fn play(messages: Vec<LinkMessage>) -> (Vec<&'static str>, Option<String>) {
    let mut session = LinkSession::new();
    let mut words = Vec::new();
    for message in messages {
        match session.on_message(message) {
            Ok(step) => words.extend(
                step.into_iter()
                    .chain(session.next_step())
                    .map(|step| match step {
                        LinkStep::Announced { symbols, .. } => {
                            assert!(
                                symbols
                                    .iter()
                                    .enumerate()
                                    .all(|(i, (s, _))| s.name() == format!("S{i}"))
                            );
                            "announced"
                        }
                        LinkStep::Book { .. } => "book",
                        LinkStep::Ready => "ready",
                        LinkStep::Event { .. } => "event",
                        LinkStep::Heartbeat { .. } => "heartbeat",
                        LinkStep::Ended { .. } => "ended",
                    }),
            ),
            Err(error) => return (words, Some(error.to_string())),
        }
    }
    (words, None)
}

#[test]
fn a_link_goes_from_the_hello_to_the_events() {
    let end = LinkMessage::End { reason: "bye".into() };
    let (words, error) = play(vec![
        hello(2),
        symbol(0),
        symbol(1),
        book(0),
        book(1),
        heartbeat(100),
        event(101, 1),
        event(102, 0),
        heartbeat(102),
        end,
    ]);
    assert_eq!(error, None);
    let whole = [
        "announced",
        "book",
        "book",
        "ready",
        "heartbeat",
        "event",
        "event",
        "heartbeat",
        "ended",
    ];
    assert_eq!(words, whole);
}

#[test]
fn each_break_of_the_order_is_named() {
    let begun = || vec![hello(2), symbol(0), symbol(1), book(0), book(1), event(101, 0)];
    let with = |mut messages: Vec<LinkMessage>, last: LinkMessage| {
        messages.push(last);
        play(messages).1.expect("a fault")
    };
    assert_eq!(
        with(vec![], book(0)),
        "the feed link gave a book where the exchange's hello was due"
    );
    assert_eq!(
        with(vec![], hello(0)),
        "the feed link announces 0 symbols; it may have 1 to 65536"
    );
    assert_eq!(
        with(vec![], hello(65_537)),
        "the feed link announces 65537 symbols; it may have 1 to 65536"
    );
    assert_eq!(
        with(vec![hello(2)], book(0)),
        "the feed link gave a book where a symbol was due"
    );
    assert_eq!(
        with(vec![hello(2)], symbol(1)),
        "the feed link gave symbol 1 where symbol 0 was due"
    );
    assert_eq!(
        with(vec![hello(1), symbol(0)], event(101, 0)),
        "the feed link gave an event where a book was due"
    );
    assert_eq!(
        with(vec![hello(2), symbol(0), symbol(1)], book(1)),
        "the feed link gave symbol 1 where symbol 0 was due"
    );
    assert_eq!(
        with(begun(), event(103, 0)),
        "the feed link gave event 103 where 102 was due: one was lost"
    );
    assert_eq!(
        with(begun(), event(101, 0)),
        "the feed link gave event 101 where 102 was due: it came before"
    );
    assert_eq!(
        with(begun(), heartbeat(102)),
        "the feed link gave event 102 where 101 was due: one was lost"
    );
    assert_eq!(
        with(begun(), event(102, 2)),
        "event 102 of the feed link is of symbol 2, and there are 2"
    );
    assert_eq!(
        with(begun(), hello(2)),
        "the feed link gave the exchange's hello where an event or a heartbeat was due"
    );
    let LinkMessage::Symbol { instrument, .. } = symbol(0) else {
        panic!("a symbol");
    };
    let again = LinkMessage::Symbol {
        index: 1,
        instrument,
        depth_cadence_ms: 0,
    };
    assert_eq!(
        with(vec![hello(2), symbol(0)], again),
        "the feed link announces the symbol S0 twice"
    );
    for time_us in [-1, i64::MAX] {
        let beat = LinkMessage::Heartbeat {
            sequence: 101,
            time_us,
        };
        assert_eq!(
            with(begun(), beat),
            format!("the feed link tells the time {time_us} us, which is not within the years 1970 to 9999")
        );
    }
    let end = LinkMessage::End {
        reason: String::new(),
    };
    assert_eq!(
        with(vec![hello(2), end], symbol(0)),
        "the feed link gave a symbol where nothing was due"
    );
}

proptest! {
    #[test]
    fn only_an_unbroken_sequence_gives_events(
        sequences in proptest::collection::vec(99..110u64, 0..12),
    ) {
        let messages = [hello(1), symbol(0), book(0)].into_iter();
        let messages = messages.chain(sequences.iter().map(|&sequence| event(sequence, 0))).collect();
        let unbroken = (101..).zip(&sequences).take_while(|(due, given)| due == *given).count();
        let (words, error) = play(messages);
        prop_assert_eq!(words.iter().filter(|word| **word == "event").count(), unbroken);
        prop_assert_eq!(error.is_some(), unbroken < sequences.len());
    }
}
