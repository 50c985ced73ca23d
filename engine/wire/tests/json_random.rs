//! JSON events at random: what is written is read back, and no bytes do harm.

mod json_payload;

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::json::{Decoder, encode};
use depthcast_wire::time_unit::TimeUnit;
use json_payload::encode_event;
use proptest::prelude::*;

fn instrument(exponents: Exponents) -> Instrument {
    Instrument::new("BNBBTC", exponents, 1, 1).expect("a valid instrument")
}

fn level(price: i64, qty: i64) -> Level {
    Level { price, qty }
}

fn any_levels(qty_min: i64) -> impl Strategy<Value = Vec<Level>> {
    prop::collection::vec(
        (any::<i64>(), qty_min..=i64::MAX).prop_map(|(price, qty)| Level { price, qty }),
        0..20,
    )
}

/// Any event whose times are whole milliseconds.
fn any_event() -> impl Strategy<Value = MarketEvent> {
    let time_us = (i64::MIN / 1000..=i64::MAX / 1000).prop_map(|ms| ms * 1000);
    let best = (any::<u64>(), any::<[i64; 2]>(), [0..=i64::MAX, 0..=i64::MAX]);
    prop_oneof![
        (time_us.clone(), any::<[u64; 2]>(), any_levels(0), any_levels(0)).prop_map(
            |(event_time_us, ids, bids, asks)| MarketEvent::Depth(DepthUpdate {
                event_time_us,
                first_id: ids[0].min(ids[1]),
                last_id: ids[0].max(ids[1]),
                bids,
                asks,
            })
        ),
        (any::<u64>(), any_levels(1), any_levels(1))
            .prop_map(|(last_id, bids, asks)| MarketEvent::Snapshot(BookSnapshot { last_id, bids, asks })),
        best.prop_map(|(update_id, price, qty)| MarketEvent::BestBidAsk(BestBidAsk {
            event_time_us: None,
            update_id,
            bid: level(price[0], qty[0]),
            ask: level(price[1], qty[1]),
        })),
        (
            time_us.clone(),
            time_us,
            any::<[i64; 2]>(),
            0..=i64::MAX,
            any::<[bool; 2]>()
        )
            .prop_map(
                |(event_time_us, trade_time_us, [id, price], qty, [is_buyer_maker, is_best_match])| {
                    MarketEvent::Trade(Trade {
                        event_time_us,
                        trade_time_us,
                        id,
                        price,
                        qty,
                        is_buyer_maker,
                        is_best_match,
                        aggregate: None,
                    })
                }
            ),
    ]
}

/// Text that looks enough like an event to get far.
fn nearly_an_event() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"e\":",
        "\"depthUpdate\"",
        "\"trade\"",
        "\"u\":",
        "\"U\":",
        "\"s\":\"A\"",
        "\"b\":",
        "\"a\":",
        "\"B\":",
        "\"A\":",
        "\"bids\":",
        "\"stream\":\"a@b\"",
        "\"data\":",
        "1",
        "-1",
        "1e9",
        "1.5",
        "99999999999999999999",
        "\"1.5\"",
        "[\"1\",\"2\"]",
        "null",
        "true",
        "\\u00",
        "\u{e9}",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
        (any_event(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(event, place, byte)| {
            let mut text = encode_event(&event, &instrument(Exponents::default()), TimeUnit::Millisecond);
            let place = place.index(text.len());
            text[place] = byte;
            text
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in any_event(), price in -18i8..=0, qty in -18i8..=0, combined: bool) {
        let exponents = Exponents { price, qty };
        let payload = encode_event(&event, &instrument(exponents), TimeUnit::Millisecond);
        // Other people's parsers agree that it is JSON.
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
        let mut frame = Vec::new();
        if combined {
            encode::combined(&mut frame, "bnbbtc@any", &payload);
        } else {
            frame = payload;
        }
        let mut decoder = Decoder::default();
        let printed = decoder.precision(&mut frame.clone()).map(|precision| precision.exponents);
        let has_levels = !matches!(&event,
            MarketEvent::Depth(DepthUpdate { bids, asks, .. }) | MarketEvent::Snapshot(BookSnapshot { bids, asks, .. })
            if bids.is_empty() && asks.is_empty());
        prop_assert_eq!(printed, Ok(has_levels.then_some(exponents)));
        let decoded = decoder.decode(&mut frame, &mut |_| exponents).unwrap();
        prop_assert_eq!(decoded.stream, combined.then_some("bnbbtc@any"));
        prop_assert_eq!(decoded.event, event);
    }

    #[test]
    fn any_bytes_give_an_event_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Decoder::default().decode(&mut bytes.clone(), &mut |_| Exponents::default());
        let _ = Decoder::default().precision(&mut bytes.clone());
    }

    #[test]
    fn what_is_nearly_an_event_gives_an_event_or_an_error(frames in prop::collection::vec(nearly_an_event(), 1..4)) {
        let mut decoder = Decoder::default();
        for frame in frames {
            let _ = decoder.decode(&mut frame.clone(), &mut |_| Exponents::default()).map(|decoded| decoded.event);
            let _ = decoder.precision(&mut frame.clone());
        }
    }
}
