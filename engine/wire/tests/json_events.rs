//! JSON events against vectors written by hand from the exchange's documents, and against faults of every kind.

mod json_payload;

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::json::decode::{DEPTH_MAX, FRAME_BYTES_MAX, LEVELS_PER_SIDE_MAX};
use depthcast_wire::json::{Decoded, Decoder, JsonError, Precision, Symbol, encode};
use depthcast_wire::time_unit::TimeUnit;
use json_payload::encode_event;

fn instrument(exponents: Exponents) -> Instrument {
    Instrument::new("BNBBTC", exponents, 1, 1).expect("a valid instrument")
}

fn level(price: i64, qty: i64) -> Level {
    Level { price, qty }
}

/// Decodes with eight decimals.
fn decode(frame: &str) -> Result<MarketEvent, JsonError> {
    let mut bytes = frame.as_bytes().to_vec();
    Decoder::default()
        .decode(&mut bytes, &mut |_| Exponents::default())
        .map(|decoded| decoded.event)
}

/// Each kind of event with its text, in milliseconds and three and eight decimals.
fn vectors() -> Vec<(MarketEvent, &'static str)> {
    let update = DepthUpdate {
        event_time_us: 1_672_515_782_136_000,
        first_id: 157,
        last_id: u64::MAX,
        bids: vec![level(24, 1_000_000_000), level(-1, 0)],
        asks: vec![],
    };
    let snapshot = BookSnapshot {
        last_id: 160,
        bids: vec![level(24, 1_000_000_000)],
        asks: vec![level(26, 10_050_000_000), level(1_026, 1)],
    };
    let best = BestBidAsk {
        event_time_us: None,
        update_id: 400_900_217,
        bid: level(25_351, 3_121_000_000),
        ask: level(25_365, 4_066_000_000),
    };
    let trade = Trade {
        event_time_us: 1_672_515_782_136_000,
        trade_time_us: 1_672_515_782_135_000,
        id: -12_345,
        price: 1,
        qty: 10_000_000_000,
        is_buyer_maker: true,
        is_best_match: false,
        aggregate: None,
    };
    vec![
        (
            MarketEvent::Depth(update),
            r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":18446744073709551615,"b":[["0.024","10.00000000"],["-0.001","0.00000000"]],"a":[]}"#,
        ),
        (
            MarketEvent::Snapshot(snapshot),
            r#"{"lastUpdateId":160,"bids":[["0.024","10.00000000"]],"asks":[["0.026","100.50000000"],["1.026","0.00000001"]]}"#,
        ),
        (
            MarketEvent::BestBidAsk(best),
            r#"{"u":400900217,"s":"BNBBTC","b":"25.351","B":"31.21000000","a":"25.365","A":"40.66000000"}"#,
        ),
        (
            MarketEvent::Trade(trade),
            r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":-12345,"p":"0.001","q":"100.00000000","T":1672515782135,"m":true,"M":false}"#,
        ),
    ]
}

#[test]
fn every_kind_is_written_and_read_as_documented() {
    let exponents = Exponents { price: -3, qty: -8 };
    let instrument = instrument(exponents);
    for (event, text) in vectors() {
        let written = encode_event(&event, &instrument, TimeUnit::Millisecond);
        assert_eq!(std::str::from_utf8(&written), Ok(text));
        let mut bytes = text.as_bytes().to_vec();
        let mut asked = Vec::new();
        let decoded = Decoder::default()
            .decode(&mut bytes, &mut |symbol| {
                asked.push(symbol.to_owned());
                exponents
            })
            .unwrap();
        let bare = matches!(event, MarketEvent::Snapshot(_));
        assert_eq!(asked, [if bare { "" } else { "BNBBTC" }], "{text}");
        let symbol = if bare {
            Symbol::NONE
        } else {
            Symbol::new("BNBBTC").unwrap()
        };
        assert_eq!(
            decoded,
            Decoded {
                stream: None,
                symbol,
                event
            }
        );
    }
}

#[test]
fn microseconds_are_written_and_read_as_they_are() {
    let (mut event, _) = vectors().remove(3);
    if let MarketEvent::Trade(trade) = &mut event {
        trade.event_time_us += 999;
        trade.trade_time_us += 1;
    }
    let instrument = instrument(Exponents { price: -3, qty: -8 });
    let mut written = encode_event(&event, &instrument, TimeUnit::Microsecond);
    let text = r#"{"e":"trade","E":1672515782136999,"s":"BNBBTC","t":-12345,"p":"0.001","q":"100.00000000","T":1672515782135001,"m":true,"M":false}"#;
    assert_eq!(std::str::from_utf8(&written), Ok(text));
    let decoded = Decoder::new(TimeUnit::Microsecond)
        .decode(&mut written, &mut |_| instrument.exponents())
        .unwrap();
    assert_eq!(decoded.event, event);
}

#[test]
fn a_whole_book_of_this_engine_names_its_symbol() {
    let MarketEvent::Snapshot(snapshot) = vectors().remove(1).0 else {
        panic!("a snapshot");
    };
    let instrument = instrument(Exponents { price: -3, qty: -8 });
    let mut written = Vec::new();
    encode::depth_snapshot(
        &mut written,
        &instrument,
        TimeUnit::Millisecond,
        5_000,
        7,
        &snapshot,
    );
    let decoded = Decoder::default()
        .decode(&mut written, &mut |symbol| {
            assert_eq!(symbol, "BNBBTC");
            instrument.exponents()
        })
        .unwrap();
    assert_eq!(decoded.symbol.as_str(), "BNBBTC");
    assert_eq!(decoded.event, MarketEvent::Snapshot(snapshot));
    // Without a name it is nobody's.
    let mut nameless = br#"{"e":"depthSnapshot","E":5,"lastUpdateId":1,"bids":[],"asks":[]}"#.to_vec();
    let error = Decoder::default().decode(&mut nameless, &mut |_| instrument.exponents());
    assert!(
        matches!(error, Err(JsonError::Missing { key: "s", .. })),
        "{error:?}"
    );
}

#[test]
fn a_combined_frame_names_its_stream() {
    let payload = br#"{"lastUpdateId":160,"bids":[["0.024","10.0"]],"asks":[]}"#;
    let mut frame = Vec::new();
    encode::combined(&mut frame, "bnbbtc@depth5@100ms", payload);
    assert_eq!(
        std::str::from_utf8(&frame),
        Ok(
            r#"{"stream":"bnbbtc@depth5@100ms","data":{"lastUpdateId":160,"bids":[["0.024","10.0"]],"asks":[]}}"#
        )
    );
    let mut decoder = Decoder::default();
    let symbol = Symbol::new("BNBBTC").unwrap();
    assert_eq!(
        decoder.precision(&mut frame.clone()),
        Ok(Precision {
            stream: Some("bnbbtc@depth5@100ms"),
            symbol,
            exponents: Some(Exponents { price: -3, qty: -1 }),
        })
    );
    let decoded = decoder
        .decode(&mut frame, &mut |symbol| {
            assert_eq!(symbol, "BNBBTC");
            Exponents::default()
        })
        .unwrap();
    assert_eq!(decoded.stream, Some("bnbbtc@depth5@100ms"));
    assert_eq!(decoded.symbol, symbol);
}

#[test]
fn a_stream_name_is_escaped() {
    let mut frame = Vec::new();
    encode::combined(&mut frame, "a\"b\\c\n@é", b"1");
    assert_eq!(
        std::str::from_utf8(&frame),
        Ok(r#"{"stream":"a\"b\\c\u000a@é","data":1}"#)
    );
}

#[test]
fn keys_may_come_in_any_order_with_others_between_and_escapes_inside() {
    let event = decode(
        r#" {"data" : {"a":[["2","0"]], "x":{"b":[1,[2,{"u":7}]]}, "u":9,"U":8, "s":"BNB\u0042TC",
            "y":null, "E":1, "b":[ ["1.50" , "3.000000000000"] ], "e":"depth\u0055pdate"}, "z":[[]], "stream":"x@depth"}"#,
    );
    assert_eq!(
        event,
        Ok(MarketEvent::Depth(DepthUpdate {
            event_time_us: 1_000,
            first_id: 8,
            last_id: 9,
            bids: vec![level(150_000_000, 300_000_000)],
            asks: vec![level(200_000_000, 0)],
        }))
    );
}

#[test]
fn every_missing_key_is_named() {
    for (event, text) in vectors() {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        for key in value.as_object().unwrap().keys() {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(key);
            let error = decode(&without.to_string()).unwrap_err();
            if key == "e" {
                // Without its kind a depth update looks like a bookTicker, and a trade like nothing.
                let message = match event {
                    MarketEvent::Depth(_) => r#"a bookTicker whose "b" is not a decimal in a string"#,
                    _ => "JSON that is no market event: none of its keys belongs to one",
                };
                assert_eq!(error.to_string(), format!("the feed sent {message}"));
                continue;
            }
            assert!(
                matches!(&error, JsonError::Missing { key: named, .. } if named == key),
                "{key}: {error}"
            );
        }
    }
    assert_eq!(
        decode(r#"{"stream":"a@trade"}"#).unwrap_err().to_string(),
        r#"the feed sent a frame without "data""#
    );
}

#[test]
fn faults_are_named_with_their_key() {
    let depth = |b: &str| format!(r#"{{"e":"depthUpdate","E":1,"s":"A","U":1,"u":1,"b":{b},"a":[]}}"#);
    let trade = |p: &str, time: &str| {
        format!(r#"{{"e":"trade","E":1,"s":"A","t":1,"p":{p},"q":"1","T":{time},"m":true,"M":true}}"#)
    };
    let cases: Vec<(String, &str)> = vec![
        (
            depth(r#"[["1","-1"]]"#),
            r#"a depthUpdate whose "b", place 0, is a negative quantity"#,
        ),
        (
            depth(r#"[["1","1"],["1e5","1"]]"#),
            r#"a depthUpdate whose "b", place 1, is not a plain decimal number"#,
        ),
        (
            depth(r#"[["1",1]]"#),
            r#"a depthUpdate whose "b", place 0, is not a pair of decimals in strings"#,
        ),
        (
            depth(r#"[["1","1","1"]]"#),
            r#"a depthUpdate whose "b", place 0, is not a pair of decimals in strings"#,
        ),
        (
            depth(r#"["1","1"]"#),
            r#"a depthUpdate whose "b", place 0, is not a pair of decimals in strings"#,
        ),
        (
            depth(r#"[["1"],["1","1"]]"#),
            r#"a depthUpdate whose "b", place 0, is not a pair of decimals in strings"#,
        ),
        (
            depth(r#"{"1":"1"}"#),
            r#"a depthUpdate whose "b" is not a list of levels"#,
        ),
        (
            depth(r#""1""#),
            r#"a depthUpdate whose "b" is not a list of levels"#,
        ),
        (
            trade(r#""1.000000001""#, "1"),
            r#"a trade whose "p" is a number with more decimal places than the precision holds"#,
        ),
        (
            trade(r#""99999999999999""#, "1"),
            r#"a trade whose "p" is too large for a 64-bit mantissa"#,
        ),
        (
            trade(r#""""#, "1"),
            r#"a trade whose "p" is not a plain decimal number"#,
        ),
        (
            trade("1.5", "1"),
            r#"a trade whose "p" is not a decimal in a string"#,
        ),
        (
            trade(r#""1""#, "9223372036854775807"),
            r#"a trade whose "T" is a number out of range"#,
        ),
        (
            trade(r#""1""#, "18446744073709551615"),
            r#"a trade whose "T" is a number out of range"#,
        ),
        (trade(r#""1""#, "1.5"), r#"a trade whose "T" is not an integer"#),
        (
            trade(r#""1""#, r#""1""#),
            r#"a trade whose "T" is not an integer"#,
        ),
        (
            r#"{"e":"depthUpdate","E":1,"s":"A","U":2,"u":1,"b":[],"a":[]}"#.into(),
            r#"a depthUpdate whose "U" 2 is above its "u" 1"#,
        ),
        (
            r#"{"e":"depthUpdate","E":1,"s":"A","U":-2,"u":1,"b":[],"a":[]}"#.into(),
            r#"a depthUpdate whose "U" is a number out of range"#,
        ),
        (
            r#"{"e":"trade","E":1,"s":"A","t":1,"p":"1","q":"1","T":1,"m":1,"M":true}"#.into(),
            r#"a trade whose "m" is not a boolean"#,
        ),
        (
            r#"{"u":1,"s":"A","b":"1","B":"-1","a":"1","A":"1"}"#.into(),
            r#"a bookTicker whose "B" is a negative quantity"#,
        ),
        (
            r#"{"u":1,"s":"a","b":"1","B":"1","a":"1","A":"1"}"#.into(),
            r#"a bookTicker whose "s" is no symbol name in upper case"#,
        ),
        (
            r#"{"u":1,"s":7,"b":"1","B":"1","a":"1","A":"1"}"#.into(),
            r#"a bookTicker whose "s" is not a string"#,
        ),
        (
            r#"{"lastUpdateId":1,"bids":[["1","0.0"]],"asks":[]}"#.into(),
            r#"a depth snapshot whose "bids", place 0, is a quantity of zero in a snapshot"#,
        ),
        (
            r#"{"stream":"depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#.into(),
            r#"a depth snapshot whose "stream" is no stream name that starts with a symbol"#,
        ),
        (
            r#"{"stream":7,"data":{"u":1}}"#.into(),
            r#"a frame whose "stream" is not a string"#,
        ),
        (
            r#"{"stream":"!miniTicker@arr","data":[]}"#.into(),
            r#"a frame whose "data" is not an object"#,
        ),
        (
            r#"{"e":"kline"}"#.into(),
            r#"an event of the unknown kind "kline""#,
        ),
        (
            r#"{"result":null,"id":1}"#.into(),
            "JSON that is no market event: none of its keys belongs to one",
        ),
        ("[1,2]".into(), "JSON that is no market event: it is no object"),
        ("7".into(), "JSON that is no market event: it is no object"),
        ("".into(), "text that is not JSON: it ends too early"),
        (r#"{"u":1"#.into(), "text that is not JSON: it ends too early"),
        (r#"{"u":01x}"#.into(), "text that is not JSON: a malformed number"),
        (
            r#"{"u":1} 2"#.into(),
            "text that is not JSON: an unexpected character at byte 6",
        ),
    ];
    for (frame, message) in cases {
        let error = decode(&frame).expect_err(&frame).to_string();
        assert!(
            error.starts_with(&format!("the feed sent {message}")),
            "{frame}\n  {error}"
        );
    }
}

#[test]
fn unknown_kinds_are_quoted_briefly() {
    let error = decode(&format!(r#"{{"e":"{}"}}"#, "ä".repeat(5_000))).unwrap_err();
    assert_eq!(error, JsonError::UnknownKind("ä".repeat(40).into()));
}

#[test]
fn size_depth_and_number_of_levels_are_bounded() {
    let long = " ".repeat(FRAME_BYTES_MAX + 1);
    assert_eq!(
        decode(&long),
        Err(JsonError::FrameTooLong {
            length: FRAME_BYTES_MAX + 1
        })
    );
    let nested = |depth: usize| {
        let around = depth - 1;
        format!(
            r#"{{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1","x":{}{}}}"#,
            "[".repeat(around),
            "]".repeat(around)
        )
    };
    assert!(decode(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(decode(&nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep));
    for bracket in ["[", "{\"a\":", "[{\"data\":["] {
        let hostile = bracket.repeat(FRAME_BYTES_MAX / bracket.len());
        assert_eq!(decode(&hostile), Err(JsonError::TooDeep), "{bracket}");
    }
    let sides = |levels: usize| {
        let side = vec![r#"["61737.63000000","12345.00000000"]"#; levels].join(",");
        format!(r#"{{"lastUpdateId":1,"bids":[{side}],"asks":[{side}]}}"#)
    };
    match decode(&sides(LEVELS_PER_SIDE_MAX)) {
        Ok(MarketEvent::Snapshot(snapshot)) => assert_eq!(snapshot.asks.len(), LEVELS_PER_SIDE_MAX),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        decode(&sides(LEVELS_PER_SIDE_MAX + 1)).unwrap_err().to_string(),
        r#"the feed sent a depth snapshot whose "bids" is a list of 10001 levels; at most 10000 are taken"#
    );
}

#[test]
fn a_decoder_goes_on_after_an_error_and_reuses_what_it_gets_back() {
    let mut decoder = Decoder::default();
    for _ in 0..3 {
        for (event, text) in vectors() {
            for broken in ["", "{", &text[..text.len() / 2]] {
                let mut bytes = broken.as_bytes().to_vec();
                assert!(decoder.decode(&mut bytes, &mut |_| Exponents::default()).is_err());
            }
            let mut bytes = text.as_bytes().to_vec();
            let decoded = decoder
                .decode(&mut bytes, &mut |_| Exponents { price: -3, qty: -8 })
                .unwrap();
            assert_eq!(decoded.event, event);
            decoder.recycle(decoded.event);
        }
    }
}

#[test]
fn a_decoder_may_move_to_another_thread() {
    fn assert_send<T: Send>(_: &T) {}
    assert_send(&Decoder::default());
}

#[test]
fn precision_is_the_longest_printed_and_at_most_eighteen() {
    let mut decoder = Decoder::default();
    let mut precision = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        decoder.precision(&mut bytes).map(|precision| precision.exponents)
    };
    let side = |b: &str| format!(r#"{{"e":"depthUpdate","s":"A","b":{b},"a":[["7","0.25"]]}}"#);
    assert_eq!(
        precision(&side(r#"[["1.5","2"],["1.255","2.0"]]"#)),
        Ok(Some(Exponents { price: -3, qty: -2 }))
    );
    assert_eq!(
        precision(r#"{"e":"depthUpdate","s":"A","b":[],"a":[]}"#),
        Ok(None)
    );
    assert_eq!(
        precision(r#"{"e":"trade","s":"A","p":"0.000000000000000001","q":"1"}"#),
        Ok(Some(Exponents { price: -18, qty: 0 }))
    );
    let error = precision(r#"{"e":"trade","s":"A","p":"0.0000000000000000001","q":"1"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the feed sent a trade whose "p" is a number with more decimal places than the precision holds"#
    );
}
