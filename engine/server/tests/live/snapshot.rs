//! `snapshot=1`: each depth stream starts with the whole book, and its next event continues that exactly.

use std::collections::HashMap;

use super::book::{Book, event, get};
use super::common::raw::{Raw, frame, opcode};
use super::start;

/// A busy market of three symbols.
const FEED: &str = "sim:?symbols=3&rate=100&seed=5";

#[test]
fn every_cadence_starts_with_a_snapshot_that_its_next_event_continues() {
    let engine = start(FEED);
    let symbol = engine.symbols()[0].instrument.name().to_lowercase();
    for cadence in [
        "", "@0ms", "@10ms", "@20ms", "@50ms", "@100ms", "@250ms", "@500ms", "@1000ms",
    ] {
        let target = format!("/ws/{symbol}@depth{cadence}?snapshot=1");
        let mut raw = Raw::open(engine.address(), &target);
        let snapshot = event(&mut raw);
        assert_eq!(snapshot["e"], "depthSnapshot", "{target}: {snapshot}");
        assert_eq!(snapshot["s"], symbol.to_uppercase());
        let keys: Vec<&String> = snapshot.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 7, "{keys:?}");
        let mut book = Book::of_snapshot(&snapshot);
        assert!(book.levels() > 1);
        for _ in 0..3 {
            book.apply(&event(&mut raw));
        }
    }
}

#[test]
fn a_book_that_began_with_a_snapshot_is_the_one_of_rest() {
    let engine = start(FEED);
    let symbol = engine.symbols()[1].instrument.name().to_string();
    let target = format!("/ws/{}@depth@0ms?snapshot=1", symbol.to_lowercase());
    let mut raw = Raw::open(engine.address(), &target);
    let mut book = Book::of_snapshot(&event(&mut raw));
    for _ in 0..20 {
        book.apply(&event(&mut raw));
    }
    let (status, rest) = get(
        engine.address(),
        &format!("/api/v3/depth?symbol={symbol}&limit=5000"),
    );
    assert_eq!(status, 200);
    let rest = Book::of_snapshot(&rest);
    assert!(rest.id >= book.id);
    while book.id < rest.id {
        book.apply(&event(&mut raw));
    }
    assert_eq!(book, rest);
}

#[test]
fn streams_added_later_and_streams_together_start_with_theirs() {
    let engine = start(FEED);
    let names: Vec<String> = engine
        .symbols()
        .iter()
        .map(|s| s.instrument.name().to_lowercase())
        .collect();
    let streams = format!(
        "{0}@depth@100ms/{1}@depth@250ms/{0}@bookTicker",
        names[0], names[1]
    );
    let mut raw = Raw::open(engine.address(), &format!("/stream?streams={streams}&snapshot=1"));
    let mut books: HashMap<String, Book> = HashMap::new();
    let mut events: HashMap<String, usize> = HashMap::new();
    let mut asked = false;
    let mut answers = 0;
    while events.len() < 4 || events.values().any(|&count| count < 4) {
        let message = event(&mut raw);
        if message.get("result").is_some() {
            answers += 1;
            continue;
        }
        let (name, data) = (message["stream"].as_str().unwrap().to_string(), &message["data"]);
        *events.entry(name.clone()).or_default() += 1;
        if !name.contains("@depth") {
            continue;
        }
        match books.get_mut(&name) {
            Some(book) => book.apply(data),
            None => {
                assert_eq!(data["e"], "depthSnapshot", "{name}: {data}");
                books.insert(name, Book::of_snapshot(data));
            }
        }
        if !std::mem::replace(&mut asked, true) {
            // What is there already goes on without another snapshot: a second one would fail `apply`.
            let params = format!(r#"["{}@depth@50ms","{}@depth@100ms"]"#, names[2], names[0]);
            let request = format!(r#"{{"method":"SUBSCRIBE","params":{params},"id":1}}"#);
            raw.send(&frame(opcode::TEXT, request.as_bytes()));
        }
    }
    assert_eq!(answers, 1);
    assert_eq!(books.len(), 3);
}

#[test]
fn streams_that_wait_for_their_snapshot_are_listed_and_can_be_left() {
    let engine = start(FEED);
    let name = engine.symbols()[0].instrument.name().to_lowercase();
    let mut raw = Raw::open(engine.address(), "/ws?snapshot=1");
    let requests = [
        format!(r#"{{"method":"SUBSCRIBE","params":["{name}@depth@1000ms","{name}@depth@500ms"],"id":1}}"#),
        r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#.into(),
        format!(r#"{{"method":"UNSUBSCRIBE","params":["{name}@depth@1000ms"],"id":3}}"#),
        r#"{"method":"LIST_SUBSCRIPTIONS","id":4}"#.into(),
    ];
    let bytes: Vec<u8> = requests
        .iter()
        .flat_map(|text| frame(opcode::TEXT, text.as_bytes()))
        .collect();
    raw.send(&bytes);
    let mut lists = Vec::new();
    while lists.len() < 2 {
        let message = event(&mut raw);
        if let Some(list) = message["result"].as_array() {
            lists.push(list.len());
        }
    }
    assert_eq!(lists, [2, 1]);
    let mut snapshots = 0;
    let mut updates = 0;
    while updates < 2 {
        let message = event(&mut raw);
        match message["e"].as_str() {
            Some("depthSnapshot") => snapshots += 1,
            _ => updates += 1,
        }
    }
    assert_eq!(snapshots, 1, "one stream is left");
}

#[test]
fn another_encoding_loses_no_event() {
    let engine = start(FEED);
    let name = engine.symbols()[0].instrument.name().to_lowercase();
    let mut raw = Raw::open(engine.address(), &format!("/ws/{name}@depth@0ms?snapshot=1"));
    let mut book = Book::of_snapshot(&event(&mut raw));
    for (id, combined) in [(1, true), (2, false), (3, true)] {
        let request = format!(r#"{{"method":"SET_PROPERTY","params":["combined",{combined}],"id":{id}}}"#);
        raw.send(&frame(opcode::TEXT, request.as_bytes()));
        loop {
            let message = event(&mut raw);
            if message["id"] == id {
                break;
            }
            // As before, up to the answer.
            assert_eq!(message.get("data").is_some(), !combined, "{message}");
            book.apply(message.get("data").unwrap_or(&message));
        }
        for _ in 0..10 {
            let message = event(&mut raw);
            assert_eq!(message.get("data").is_some(), combined, "{message}");
            book.apply(message.get("data").unwrap_or(&message));
        }
    }
}

#[test]
fn requests_behind_a_change_of_encoding_are_answered_behind_it() {
    let engine = start(FEED);
    let names: Vec<String> = engine
        .symbols()
        .iter()
        .map(|s| s.instrument.name().to_lowercase())
        .collect();
    for round in 0..20 {
        let mut raw = Raw::open(
            engine.address(),
            &format!("/ws/{}@depth@0ms?snapshot=1", names[0]),
        );
        event(&mut raw);
        let requests = [
            r#"{"method":"SET_PROPERTY","params":["combined",true],"id":1}"#.into(),
            r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#.into(),
            format!(
                r#"{{"method":"SUBSCRIBE","params":["{}@depth@1000ms"],"id":3}}"#,
                names[1]
            ),
            r#"{"method":"LIST_SUBSCRIPTIONS","id":4}"#.into(),
        ];
        let bytes: Vec<u8> = requests
            .iter()
            .flat_map(|text: &String| frame(opcode::TEXT, text.as_bytes()))
            .collect();
        raw.send(&bytes);
        let mut replies = Vec::new();
        while replies.len() < 4 {
            let message = event(&mut raw);
            match message["id"].as_u64() {
                Some(id) => replies.push(id),
                None => assert_eq!(
                    message.get("data").is_some(),
                    !replies.is_empty(),
                    "{round}: {message}"
                ),
            }
            if message["id"] == 4 {
                assert_eq!(message["result"].as_array().map(Vec::len), Some(2));
            }
        }
        assert_eq!(replies, [1, 2, 3, 4], "{round}");
        // The stream that was added has its snapshot, too.
        while event(&mut raw)["data"]["e"] != "depthSnapshot" {}
    }
}

#[test]
fn as_many_snapshots_as_a_connection_may_have_streams() {
    let engine = start("sim:?symbols=400&rate=10&seed=5");
    let names: Vec<String> = engine
        .symbols()
        .iter()
        .map(|s| format!("\"{}@depth@100ms\"", s.instrument.name().to_lowercase()))
        .collect();
    let mut raw = Raw::open(engine.address(), "/stream?snapshot=1");
    let request = format!(
        r#"{{"method":"SUBSCRIBE","params":[{}],"id":1}}"#,
        names.join(",")
    );
    raw.send(&frame(opcode::TEXT, request.as_bytes()));
    let mut books = HashMap::new();
    let mut bytes = 0;
    while books.len() < names.len() {
        let frame = raw.frame().expect("no close");
        bytes += frame.payload.len();
        let message: serde_json::Value = serde_json::from_str(frame.text()).expect("JSON");
        if message["data"]["e"] == "depthSnapshot" {
            let book = Book::of_snapshot(&message["data"]);
            books.insert(message["stream"].to_string(), book);
        }
    }
    assert!(bytes > 4 << 20, "{bytes} bytes are less than this test is about");
}

#[test]
fn nonsense_is_refused_by_name() {
    let engine = start(FEED);
    let mut raw = Raw::connect(engine.address());
    raw.send(super::common::raw::upgrade_request("/ws/btcusdt@depth?snapshot=yes", "").as_bytes());
    let head = raw.http_head();
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(
        raw.text_to_end(),
        "parameter snapshot must be 1 or 0, not \"yes\"\n"
    );
}
