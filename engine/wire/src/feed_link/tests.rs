//! Messages there and back, in pieces of any size; bytes by hand; and what must be refused.

use depthcast_market::event::{
    AggregatePart, BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade,
};
use depthcast_market::instrument::{Exponents, Instrument};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn bytes_of(message: &LinkMessage) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, &mut out).unwrap();
    out
}

fn read(bytes: &[u8]) -> Result<Option<LinkMessage>, LinkError> {
    let mut reader = LinkReader::new();
    reader.push(bytes);
    reader.next_message()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn level() -> impl Strategy<Value = Level> {
    (any::<i64>(), any::<i64>()).prop_map(|(price, qty)| Level { price, qty })
}

fn event() -> impl Strategy<Value = MarketEvent> {
    let depth = (
        any::<i64>(),
        any::<[u64; 2]>(),
        vec(level(), 0..9),
        vec(level(), 0..9),
    );
    let depth = depth.prop_map(|(event_time_us, mut ids, bids, asks)| {
        ids.sort_unstable();
        MarketEvent::Depth(DepthUpdate {
            event_time_us,
            first_id: ids[0],
            last_id: ids[1],
            bids,
            asks,
        })
    });
    // The least number of all stands for no time.
    let best = (
        proptest::option::of(i64::MIN + 1..),
        any::<u64>(),
        level(),
        level(),
    );
    let best = best.prop_map(|(event_time_us, update_id, bid, ask)| {
        MarketEvent::BestBidAsk(BestBidAsk {
            event_time_us,
            update_id,
            bid,
            ask,
        })
    });
    let trade = (
        any::<[i64; 5]>(),
        any::<[bool; 2]>(),
        proptest::option::of(any::<(i64, bool)>()),
    );
    let trade = trade.prop_map(
        |([event_time_us, trade_time_us, id, price, qty], [maker, best], part)| {
            MarketEvent::Trade(Trade {
                event_time_us,
                trade_time_us,
                id,
                price,
                qty,
                is_buyer_maker: maker,
                is_best_match: best,
                aggregate: part.map(|(id, is_last)| AggregatePart { id, is_last }),
            })
        },
    );
    prop_oneof![depth, best, trade]
}

fn message() -> impl Strategy<Value = LinkMessage> {
    let text = || "[ -~äß…]{0,40}";
    let hello = (any::<[u64; 2]>(), any::<i64>(), any::<[u32; 2]>(), text());
    let symbol = (
        any::<[u32; 2]>(),
        1..i64::MAX,
        1..i64::MAX,
        (-18..=0i8, -18..=0i8),
        "[A-Z0-9]{1,20}",
    );
    let book = (
        any::<u32>(),
        any::<i64>(),
        any::<u64>(),
        vec(level(), 0..30),
        vec(level(), 0..30),
    );
    prop_oneof![
        text().prop_map(|name| LinkMessage::EngineHello { name }),
        hello.prop_map(
            |([epoch, sequence], time_us, [heartbeat_ms, symbols], exchange)| LinkMessage::Hello {
                epoch,
                sequence,
                time_us,
                heartbeat_ms,
                symbols,
                exchange
            }
        ),
        symbol.prop_map(
            |([index, depth_cadence_ms], tick, lot, (price, qty), name)| LinkMessage::Symbol {
                index,
                instrument: Instrument::new(&name, Exponents { price, qty }, tick, lot).unwrap(),
                depth_cadence_ms,
            }
        ),
        book.prop_map(|(symbol, time_us, last_id, bids, asks)| LinkMessage::Book {
            symbol,
            time_us,
            snapshot: BookSnapshot { last_id, bids, asks },
        }),
        (any::<u64>(), any::<i64>(), any::<u32>(), event()).prop_map(|(sequence, time_us, symbol, event)| {
            LinkMessage::Event {
                sequence,
                time_us,
                symbol,
                event,
            }
        }),
        (any::<u64>(), any::<i64>())
            .prop_map(|(sequence, time_us)| LinkMessage::Heartbeat { sequence, time_us }),
        text().prop_map(|reason| LinkMessage::End { reason }),
    ]
}

proptest! {
    #[test]
    fn every_message_comes_back_whatever_the_pieces(
        messages in vec(message(), 1..12),
        cuts in vec(1..80usize, 1..200),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(bytes_of).collect();
        let (mut reader, mut got, mut rest) = (LinkReader::new(), Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            reader.push(piece);
            while let Some(message) = reader.next_message().unwrap() {
                got.push(message);
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn any_bytes_give_messages_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let mut reader = LinkReader::new();
        reader.push(&bytes);
        let mut count = 0;
        while let Ok(Some(_)) = reader.next_message() {
            count += 1;
        }
        // A message is at least its length and its header.
        prop_assert!(count <= bytes.len() / 12);
    }

    #[test]
    fn a_damaged_message_gives_a_message_or_an_error(message in message(), at in any::<usize>(), with in any::<u8>()) {
        let mut bytes = bytes_of(&message);
        let at = at % bytes.len();
        bytes[at] = with;
        match read(&bytes) {
            Ok(Some(read)) => prop_assert!(bytes_of(&read).len() <= bytes.len()),
            Ok(None) => prop_assert!(at < 4, "only a longer length waits for more"),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn bytes_are_laid_out_as_documented() {
    let header = |block: &str, template: &str| format!("{block} {template} e425 0100");
    let instrument = Instrument::new("ABC", Exponents { price: -2, qty: -3 }, 5, 7).unwrap();
    let level = |price, qty| Level { price, qty };
    let event = |event| LinkMessage::Event {
        sequence: 0x0102,
        time_us: 3,
        symbol: 4,
        event,
    };
    let number = |n: u8| format!("{n:02x}00000000000000");
    let head = format!("0201000000000000 {} 04000000", number(3));
    let vectors = [
        (
            LinkMessage::EngineHello { name: "me".into() },
            format!("0c000000 {} 0200 6d65", header("0000", "0100")),
        ),
        (
            LinkMessage::Hello {
                epoch: 1,
                sequence: 2,
                time_us: -1,
                heartbeat_ms: 500,
                symbols: 3,
                exchange: "x".into(),
            },
            format!(
                "2b000000 {} {} {} ffffffffffffffff f4010000 03000000 0100 78",
                header("2000", "0200"),
                number(1),
                number(2)
            ),
        ),
        (
            LinkMessage::Symbol {
                index: 1,
                instrument,
                depth_cadence_ms: 100,
            },
            format!(
                "27000000 {} 01000000 64000000 {} {} fe fd 0300 414243",
                header("1a00", "0300"),
                number(5),
                number(7)
            ),
        ),
        (
            LinkMessage::Book {
                symbol: 2,
                time_us: 3,
                snapshot: BookSnapshot {
                    last_id: 9,
                    bids: vec![level(8, 1)],
                    asks: vec![],
                },
            },
            format!(
                "38000000 {} 02000000 {} {} 1000 01000000 {} {} 1000 00000000",
                header("1400", "0400"),
                number(3),
                number(9),
                number(8),
                number(1)
            ),
        ),
        (
            event(MarketEvent::Depth(DepthUpdate {
                event_time_us: 5,
                first_id: 6,
                last_id: 7,
                bids: vec![],
                asks: vec![level(8, 0)],
            })),
            format!(
                "50000000 {} {head} {} {} {} 1000 00000000 1000 01000000 {} {}",
                header("2c00", "0500"),
                number(5),
                number(6),
                number(7),
                number(8),
                number(0)
            ),
        ),
        (
            event(MarketEvent::BestBidAsk(BestBidAsk {
                event_time_us: None,
                update_id: 6,
                bid: level(1, 2),
                ask: level(3, 4),
            })),
            format!(
                "4c000000 {} {head} 0000000000000080 {} {} {} {} {}",
                header("4400", "0600"),
                number(6),
                number(1),
                number(2),
                number(3),
                number(4)
            ),
        ),
        (
            event(MarketEvent::Trade(Trade {
                event_time_us: 5,
                trade_time_us: 6,
                id: 7,
                price: 8,
                qty: 9,
                is_buyer_maker: true,
                is_best_match: false,
                aggregate: Some(AggregatePart {
                    id: 10,
                    is_last: true,
                }),
            })),
            format!(
                "4d000000 {} {head} {} {} {} {} {} {} 0d",
                header("4500", "0700"),
                number(5),
                number(6),
                number(7),
                number(8),
                number(9),
                number(10)
            ),
        ),
        (
            LinkMessage::Heartbeat {
                sequence: 1,
                time_us: 2,
            },
            format!("18000000 {} {} {}", header("1000", "0800"), number(1), number(2)),
        ),
        (
            LinkMessage::End { reason: "bye".into() },
            format!("0d000000 {} 0300 627965", header("0000", "0900")),
        ),
    ];
    for (message, text) in vectors {
        let bytes = hex(&text);
        assert_eq!(bytes_of(&message), bytes, "{message:?}");
        assert_eq!(read(&bytes), Ok(Some(message)));
    }
}

#[test]
fn strangers_are_told_from_broken_links() {
    let refusal = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(
        refusal(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "the peer does not speak the feed link: it began with \"GET / HTTP/1.1\""
    );
    assert!(refusal(&[0; 64]).starts_with("the peer does not speak the feed link"));
    assert!(refusal(&hex("10000000 1600 1027 0100 0000")).starts_with("the peer does not speak"));
    let mut other = bytes_of(&LinkMessage::End {
        reason: String::new(),
    });
    other[10] = 7;
    assert_eq!(
        refusal(&other),
        "the peer speaks version 7 of the feed link, and this program version 1"
    );
    // Another version is told before anything else of its message, which may be laid out otherwise.
    other[6] = 99;
    assert!(refusal(&other).contains("version 7"));
    other[..4].copy_from_slice(&[0; 4]);
    assert!(refusal(&other).contains("version 7"));
    other[..4].copy_from_slice(&[0xff; 4]);
    assert!(refusal(&other).contains("version 7"));

    let mut link = bytes_of(&LinkMessage::Heartbeat {
        sequence: 1,
        time_us: 1,
    });
    let good = link.len();
    link.extend_from_slice(&[0xff; 16]);
    let mut reader = LinkReader::new();
    reader.push(&link);
    assert!(reader.next_message().unwrap().is_some());
    assert_eq!(reader.next_message(), Err(LinkError::Schema(0xffff)));
    let mut reader = LinkReader::new();
    link.truncate(good + 4);
    reader.push(&link);
    assert!(reader.next_message().unwrap().is_some());
    assert_eq!(reader.next_message(), Err(LinkError::Length(u32::MAX)));
    link.truncate(good);
    link.extend_from_slice(&hex("08000000 0000 0100 0100 0000"));
    let mut reader = LinkReader::new();
    reader.push(&link);
    assert!(reader.next_message().unwrap().is_some());
    assert_eq!(reader.next_message(), Err(LinkError::Schema(1)));
}

#[test]
fn malformed_messages_name_what_is_wrong() {
    let refusal = |text: &str| read(&hex(text)).unwrap_err().to_string();
    for (bytes, reason) in [
        ("08000000 0000 6300 e425 0100", "of the unknown template 99"),
        (
            "08000000 0f00 0800 e425 0100",
            "template 8: its root block is too short",
        ),
        (
            "08000000 1000 0800 e425 0100",
            "template 8: its root block is cut short",
        ),
        (
            "0a000000 0000 0900 e425 0100 0500",
            "template 9: its text is cut short",
        ),
        (
            "0a000000 0000 0900 e425 0100 ffff",
            "template 9: its text is too long",
        ),
        (
            "0b000000 0000 0900 e425 0100 0100 ff",
            "template 9: its text is not UTF-8",
        ),
        (
            "0b000000 0000 0900 e425 0100 0000 00",
            "template 9: bytes follow its end",
        ),
        (
            "22000000 1400 0400 e425 0100 00000000 0000000000000000 0000000000000000 1000 ffffffff",
            "template 4: its levels are cut short",
        ),
        (
            "22000000 1400 0400 e425 0100 00000000 0000000000000000 0000000000000000 0f00 00000000",
            "template 4: its levels are too short",
        ),
        (
            "24000000 1a00 0300 e425 0100 00000000 00000000 0100000000000000 0100000000000000 0000 0000",
            "names a symbol that cannot be: symbol name \"\"",
        ),
    ] {
        let error = refusal(bytes);
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
    let backwards = LinkMessage::Event {
        sequence: 1,
        time_us: 1,
        symbol: 0,
        event: MarketEvent::Depth(DepthUpdate {
            first_id: 2,
            last_id: 1,
            ..DepthUpdate::default()
        }),
    };
    let error = read(&bytes_of(&backwards)).unwrap_err().to_string();
    assert!(error.contains("its first id is above its last"), "{error}");
}

#[test]
fn a_longer_block_is_read_as_far_as_it_is_known() {
    let bytes = hex("1a000000 1200 0800 e425 0100 0100000000000000 0200000000000000 aabb");
    assert_eq!(
        read(&bytes),
        Ok(Some(LinkMessage::Heartbeat {
            sequence: 1,
            time_us: 2
        }))
    );
}

#[test]
fn what_the_link_cannot_carry_is_refused_and_leaves_nothing() {
    let mut out = vec![1];
    let snapshot = MarketEvent::Snapshot(BookSnapshot::default());
    assert_eq!(
        encode_event(1, 1, 0, &snapshot, &mut out),
        Err(LinkEncodeError::Snapshot)
    );
    let deep = BookSnapshot {
        last_id: 1,
        bids: vec![Level::default(); MESSAGE_BYTES_MAX / 16],
        asks: Vec::new(),
    };
    let error = encode_book(0, 1, &deep, &mut out).unwrap_err();
    assert_eq!(
        error,
        LinkEncodeError::TooManyLevels {
            levels: deep.bids.len()
        }
    );
    assert_eq!(out, [1]);
    let long = LinkMessage::End {
        reason: "ä".repeat(TEXT_BYTES_MAX),
    };
    let Ok(Some(LinkMessage::End { reason })) = read(&bytes_of(&long)) else {
        panic!("a long text is cut, not refused");
    };
    assert_eq!(reason.len(), TEXT_BYTES_MAX);
}
