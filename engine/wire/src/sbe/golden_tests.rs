//! Messages as another implementation writes them, byte for byte, and what must be refused.
//!
//! The vectors were made from the schema's XML by the Python package `sbe` 0.4.3. It does not compute the root
//! blockLength (sums of the schema's fields: 18, 50, 18, 26), knows no variable-length text (the symbol was given to
//! it as a length and a fixed text) and no constant fields (isBestMatch was left out; a constant takes no bytes).
//! Here they stand split at each field, with its offset in the message.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::{Exponents, Instrument};

use super::decode::{Message, decode};
use super::{EncodeError, SbeError, encode};

const DIFF: &[&str] = &[
    "1a00",             //  0 blockLength 26
    "1327",             //  2 templateId 10003
    "0100",             //  4 schemaId 1
    "0000",             //  6 version 0
    "40a2d669271f0600", //  8 eventTime
    "b12bcaa90b000000", // 16 firstBookUpdateId
    "b42bcaa90b000000", // 24 lastBookUpdateId
    "f8",               // 32 priceExponent -8
    "f8",               // 33 qtyExponent -8
    "1000",             // 34 bids blockLength 16
    "0200",             // 36 bids numInGroup
    "c056f3709d050000", // 38 price
    "c013000900000000", // 46 qty
    "8014e4709d050000", // 54 price
    "0000000000000000", // 62 qty: removed
    "1000",             // 70 asks blockLength 16
    "0100",             // 72 asks numInGroup
    "009902719d050000", // 74 price
    "10a4000000000000", // 82 qty
    "07",               // 90 symbol length
    "42544355534454",   // 91 BTCUSDT
];

const SNAPSHOT: &[&str] = &[
    "1200",             //  0 blockLength 18
    "1227",             //  2 templateId 10002
    "0100",             //  4 schemaId 1
    "0000",             //  6 version 0
    "5083d569271f0600", //  8 eventTime
    "b42bcaa90b000000", // 16 bookUpdateId
    "fe",               // 24 priceExponent -2
    "fb",               // 25 qtyExponent -5
    "1000",             // 26 bids blockLength 16
    "0100",             // 28 bids numInGroup
    "43345e0000000000", // 30 price
    "d84d020000000000", // 38 qty
    "1000",             // 46 asks blockLength 16
    "0200",             // 48 asks numInGroup
    "44345e0000000000", // 50 price
    "2a00000000000000", // 58 qty
    "69345e0000000000", // 66 price
    "0100000000002000", // 74 qty 2^53 + 1
    "07",               // 82 symbol length
    "42544355534454",   // 83 BTCUSDT
];

const BEST: &[&str] = &[
    "3200",                   //  0 blockLength 50
    "1127",                   //  2 templateId 10001
    "0100",                   //  4 schemaId 1
    "0000",                   //  6 version 0
    "ffffffffffffffff",       //  8 eventTime -1
    "ffffffffffffff7f",       // 16 bookUpdateId 2^63 - 1
    "f8",                     // 24 priceExponent -8
    "fc",                     // 25 qtyExponent -4
    "c074b0a43e000000",       // 26 bidPrice
    "3930000000000000",       // 34 bidQty
    "00b7bfa43e000000",       // 42 askPrice
    "0100000000000000",       // 50 askQty
    "0b",                     // 58 symbol length
    "4554482d5553445f312e58", // 59 ETH-USD_1.X
];

const TRADES: &[&str] = &[
    "1200",             //  0 blockLength 18
    "1027",             //  2 templateId 10000
    "0100",             //  4 schemaId 1
    "0000",             //  6 version 0
    "41cdd769271f0600", //  8 eventTime
    "58c9d769271f0600", // 16 transactTime
    "f8",               // 24 priceExponent -8
    "f8",               // 25 qtyExponent -8
    "1900",             // 26 trades blockLength 25
    "02000000",         // 28 trades numInGroup, a u32
    "914853dd00000000", // 32 id
    "c056f3709d050000", // 40 price
    "a086010000000000", // 48 qty
    "01",               // 56 isBuyerMaker
    "924853dd00000000", // 57 id
    "009902719d050000", // 65 price
    "0100000000002000", // 73 qty 2^53 + 1
    "00",               // 81 isBuyerMaker
    "07",               // 82 symbol length
    "42544355534454",   // 83 BTCUSDT
];

fn bytes(fields: &[&str]) -> Vec<u8> {
    let text = fields.concat();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("vectors are hexadecimal"))
        .collect()
}

fn instrument(name: &str, price: i8, qty: i8) -> Instrument {
    Instrument::new(name, Exponents { price, qty }, 1, 1).unwrap()
}

fn level(price: i64, qty: i64) -> Level {
    Level { price, qty }
}

fn diff() -> DepthUpdate {
    DepthUpdate {
        event_time_us: 1_723_104_000_123_456,
        first_id: 50_093_239_217,
        last_id: 50_093_239_220,
        bids: vec![level(6_173_763_000_000, 151_000_000), level(6_173_762_000_000, 0)],
        asks: vec![level(6_173_764_000_000, 42_000)],
    }
}

#[test]
fn depth_diff_is_the_golden_one() {
    let mut out = b"kept".to_vec();
    encode::depth_diff(&mut out, &instrument("BTCUSDT", -8, -8), &diff()).unwrap();
    assert_eq!(out, [&b"kept"[..], &bytes(DIFF)].concat());

    let golden = bytes(DIFF);
    let Message::DepthDiff(event) = decode(&golden).unwrap() else {
        panic!("another template");
    };
    assert_eq!(event.to_update(), diff());
    assert_eq!(event.symbol(), "BTCUSDT");
    assert_eq!(event.exponents(), Exponents::default());
    assert_eq!((event.bids().len(), event.asks().len()), (2, 1));
}

#[test]
fn depth_snapshot_is_the_golden_one() {
    let book = BookSnapshot {
        last_id: 50_093_239_220,
        bids: vec![level(6_173_763, 151_000)],
        asks: vec![level(6_173_764, 42), level(6_173_801, (1 << 53) + 1)],
    };
    let mut out = Vec::new();
    let event_time_us = 1_723_104_000_050_000;
    encode::depth_snapshot(&mut out, &instrument("BTCUSDT", -2, -5), event_time_us, &book).unwrap();
    assert_eq!(out, bytes(SNAPSHOT));

    let Message::DepthSnapshot(event) = decode(&out).unwrap() else {
        panic!("another template");
    };
    assert_eq!(event.to_snapshot(), book);
    assert_eq!(event.event_time_us(), event_time_us);
    assert_eq!(event.exponents(), Exponents { price: -2, qty: -5 });
}

#[test]
fn best_bid_ask_is_the_golden_one() {
    let best = BestBidAsk {
        event_time_us: Some(-1),
        update_id: i64::MAX as u64,
        bid: level(269_051_000_000, 12_345),
        ask: level(269_052_000_000, 1),
    };
    let mut out = Vec::new();
    encode::best_bid_ask(&mut out, &instrument("ETH-USD_1.X", -8, -4), -1, &best).unwrap();
    assert_eq!(out, bytes(BEST));

    let message = decode(&out).unwrap();
    assert_eq!(message.symbol(), "ETH-USD_1.X");
    assert_eq!(message.exponents(), Exponents { price: -8, qty: -4 });
    let Message::BestBidAsk(event) = message else {
        panic!("another template");
    };
    assert_eq!(event.to_best_bid_ask(), best);
    assert_eq!((event.bid(), event.ask()), (best.bid, best.ask));
}

#[test]
fn trades_are_the_golden_ones() {
    let first = Trade {
        event_time_us: 1_723_104_000_200_001,
        trade_time_us: 1_723_104_000_199_000,
        id: 3_713_222_801,
        price: 6_173_763_000_000,
        qty: 100_000,
        is_buyer_maker: true,
        is_best_match: true,
        aggregate: None,
    };
    let second = Trade {
        id: 3_713_222_802,
        price: 6_173_764_000_000,
        qty: (1 << 53) + 1,
        is_buyer_maker: false,
        ..first
    };
    let mut out = Vec::new();
    encode::trades(&mut out, &instrument("BTCUSDT", -8, -8), &[first, second]).unwrap();
    assert_eq!(out, bytes(TRADES));

    let Message::Trades(event) = decode(&out).unwrap() else {
        panic!("another template");
    };
    assert_eq!(event.to_trades(), [first, second]);
    assert_eq!(event.event_time_us(), first.event_time_us);
    assert_eq!(event.transact_time_us(), first.trade_time_us);
}

#[test]
fn a_later_version_with_longer_blocks_and_more_fields_reads() {
    let mut later = DIFF.to_vec();
    later[0] = "1d00"; // root block of 26 + 3
    later[3] = "0700"; // version 7
    later[8] = "f8aabbcc"; // three bytes appended to the root block
    later[9] = "1200"; // bids of 16 + 2
    later[12] = "c013000900000000ffff";
    later[14] = "00000000000000001234";
    later.push("02beef"); // a field of variable length after the symbol
    let message = bytes(&later);
    let Message::DepthDiff(event) = decode(&message).unwrap() else {
        panic!("another template");
    };
    assert_eq!(event.to_update(), diff());
    assert_eq!(event.symbol(), "BTCUSDT");

    let mut later = TRADES.to_vec();
    later[3] = "0100";
    later[8] = "1a00"; // trades of 25 + 1
    later[13] = "01ff";
    later[17] = "0000";
    let message = bytes(&later);
    let Message::Trades(event) = decode(&message).unwrap() else {
        panic!("another template");
    };
    let sides: Vec<bool> = event.trades().map(|trade| trade.is_buyer_maker).collect();
    assert_eq!(sides, [true, false]);
}

/// What decoding says once field `n` of a golden message is replaced.
fn refusal(fields: &[&str], n: usize, value: &str) -> SbeError {
    let mut fields = fields.to_vec();
    fields[n] = value;
    decode(&bytes(&fields)).unwrap_err()
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(refusal(DIFF, 2, "0300"), SbeError::SchemaId(3));
    assert_eq!(refusal(DIFF, 1, "1427"), SbeError::Template(10_004));
    assert_eq!(refusal(DIFF, 1, "0000"), SbeError::Template(0));
    let short_root = refusal(DIFF, 0, "1900");
    assert_eq!(
        short_root.to_string(),
        "depth diff event has blocks of 25 bytes, fewer than its fields' 26"
    );
    let short_level = SbeError::BlockLength {
        what: "bids",
        length: 15,
        least: 16,
    };
    assert_eq!(refusal(DIFF, 9, "0f00"), short_level);
    let no_block = SbeError::BlockLength {
        what: "trades",
        length: 0,
        least: 25,
    };
    assert_eq!(refusal(TRADES, 8, "0000"), no_block);
    assert_eq!(refusal(DIFF, 5, "ffffffffffffffff"), SbeError::NegativeId(-1));
    assert_eq!(
        refusal(BEST, 5, "0000000000000080"),
        SbeError::NegativeId(i64::MIN)
    );
    let backwards = SbeError::IdOrder {
        first: 50_093_239_221,
        last: 50_093_239_220,
    };
    assert_eq!(refusal(DIFF, 5, "b52bcaa90b000000"), backwards);
    assert_eq!(refusal(TRADES, 13, "02"), SbeError::Bool(2));
    assert_eq!(
        refusal(BEST, 13, "ff48554f2d5553445f3158"),
        SbeError::SymbolNotUtf8
    );
    assert_eq!(refusal(BEST, 12, "0a"), SbeError::Trailing(1));
    assert_eq!(refusal(DIFF, 20, "4254435553445400"), SbeError::Trailing(1));
}

#[test]
fn a_count_that_promises_more_than_is_there_is_refused_before_anything_is_allocated() {
    let promised = SbeError::Truncated {
        what: "trades",
        needed: 25 * u64::from(u32::MAX),
        have: 58,
    };
    assert_eq!(refusal(TRADES, 9, "ffffffff"), promised);
    let promised = SbeError::Truncated {
        what: "bids",
        needed: 65_535 * 65_535,
        have: 60,
    };
    let mut fields = DIFF.to_vec();
    fields[9] = "ffff";
    fields[10] = "ffff";
    assert_eq!(decode(&bytes(&fields)).unwrap_err(), promised);
}

#[test]
fn what_has_no_sbe_form_is_refused_and_nothing_is_written() {
    let btc = instrument("BTCUSDT", -8, -8);
    let mut out = Vec::new();
    assert_eq!(encode::trades(&mut out, &btc, &[]), Err(EncodeError::NoTrades));

    let id = 1 << 63;
    let beyond = DepthUpdate {
        last_id: id,
        ..diff()
    };
    assert_eq!(
        encode::depth_diff(&mut out, &btc, &beyond),
        Err(EncodeError::IdRange { id })
    );

    let mut book = BookSnapshot {
        asks: vec![Level::default(); encode::LEVELS_MAX + 1],
        ..BookSnapshot::default()
    };
    let refused = encode::depth_snapshot(&mut out, &btc, 0, &book).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "65535 asks do not fit an SBE group of at most 65534"
    );
    assert!(out.is_empty());

    book.asks.pop();
    encode::depth_snapshot(&mut out, &btc, 0, &book).unwrap();
    let Message::DepthSnapshot(event) = decode(&out).unwrap() else {
        panic!("another template");
    };
    assert_eq!(event.asks().len(), encode::LEVELS_MAX);
}
