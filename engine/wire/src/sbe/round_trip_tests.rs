//! Whatever is encoded decodes to itself; whatever bytes come, decoding returns.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use proptest::collection::vec;
use proptest::prelude::*;

use super::decode::{Message, decode};
use super::{SbeError, encode};

/// Enough levels a side to cross the sizes real messages have, few enough to keep shrinking quick.
const LEVELS: usize = 60;

fn instrument() -> impl Strategy<Value = Instrument> {
    ("[A-Z0-9._-]{1,20}", -18i8..=0, -18i8..=0)
        .prop_map(|(name, price, qty)| Instrument::new(&name, Exponents { price, qty }, 1, 1).unwrap())
}

fn level() -> impl Strategy<Value = Level> {
    any::<(i64, i64)>().prop_map(|(price, qty)| Level { price, qty })
}

fn id() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

prop_compose! {
    fn update()(
        event_time_us in any::<i64>(), a in id(), b in id(),
        bids in vec(level(), 0..LEVELS), asks in vec(level(), 0..LEVELS),
    ) -> DepthUpdate {
        DepthUpdate { event_time_us, first_id: a.min(b), last_id: a.max(b), bids, asks }
    }
}

prop_compose! {
    fn trades()(
        event_time_us in any::<i64>(), trade_time_us in any::<i64>(),
        each in vec(any::<(i64, i64, i64, bool)>(), 1..LEVELS),
    ) -> Vec<Trade> {
        each.into_iter()
            .map(|(id, price, qty, is_buyer_maker)| Trade {
                event_time_us, trade_time_us, id, price, qty, is_buyer_maker, is_best_match: true, aggregate: None,
            })
            .collect()
    }
}

/// One message of any template.
fn message() -> impl Strategy<Value = Vec<u8>> {
    (0..4, instrument(), update(), trades()).prop_map(|(template, instrument, update, trades)| {
        let mut out = Vec::new();
        let best = BestBidAsk {
            event_time_us: None,
            update_id: update.last_id,
            bid: update.bids.first().copied().unwrap_or_default(),
            ask: update.asks.first().copied().unwrap_or_default(),
        };
        match template {
            0 => encode::trades(&mut out, &instrument, &trades),
            1 => encode::best_bid_ask(&mut out, &instrument, update.event_time_us, &best),
            2 => {
                let book = BookSnapshot {
                    last_id: update.last_id,
                    bids: update.bids,
                    asks: update.asks,
                };
                encode::depth_snapshot(&mut out, &instrument, update.event_time_us, &book)
            }
            _ => encode::depth_diff(&mut out, &instrument, &update),
        }
        .unwrap();
        out
    })
}

/// Reads everything a message gives; where it was decoded, as many entries come as were counted.
fn read_all(bytes: &[u8]) -> Result<(), SbeError> {
    match decode(bytes)? {
        Message::Trades(event) => {
            assert_eq!(event.to_trades().len(), event.trades().len());
        }
        Message::BestBidAsk(event) => {
            event.to_best_bid_ask();
        }
        Message::DepthSnapshot(event) => {
            let book = event.to_snapshot();
            assert_eq!(
                (book.bids.len(), book.asks.len()),
                (event.bids().len(), event.asks().len())
            );
        }
        Message::DepthDiff(event) => {
            let update = event.to_update();
            assert_eq!(
                (update.bids.len(), update.asks.len()),
                (event.bids().len(), event.asks().len())
            );
            assert!(update.first_id <= update.last_id);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn depth_diffs_come_back(instrument in instrument(), update in update()) {
        let mut out = Vec::new();
        encode::depth_diff(&mut out, &instrument, &update).unwrap();
        let message = decode(&out).unwrap();
        prop_assert_eq!(message.symbol(), instrument.name());
        prop_assert_eq!(message.exponents(), instrument.exponents());
        let Message::DepthDiff(event) = message else { panic!("another template") };
        prop_assert_eq!(event.to_update(), update);
    }

    #[test]
    fn depth_snapshots_come_back(instrument in instrument(), update in update()) {
        let book = BookSnapshot { last_id: update.last_id, bids: update.bids, asks: update.asks };
        let mut out = Vec::new();
        encode::depth_snapshot(&mut out, &instrument, update.event_time_us, &book).unwrap();
        let message = decode(&out).unwrap();
        prop_assert_eq!(message.symbol(), instrument.name());
        prop_assert_eq!(message.exponents(), instrument.exponents());
        let Message::DepthSnapshot(event) = message else { panic!("another template") };
        prop_assert_eq!(event.event_time_us(), update.event_time_us);
        prop_assert_eq!(event.to_snapshot(), book);
    }

    #[test]
    fn best_bid_asks_come_back(
        instrument in instrument(), time in any::<i64>(), update_id in id(), bid in level(), ask in level(),
    ) {
        let best = BestBidAsk { event_time_us: Some(time), update_id, bid, ask };
        let mut out = Vec::new();
        encode::best_bid_ask(&mut out, &instrument, time, &best).unwrap();
        let message = decode(&out).unwrap();
        prop_assert_eq!(message.symbol(), instrument.name());
        prop_assert_eq!(message.exponents(), instrument.exponents());
        let Message::BestBidAsk(event) = message else { panic!("another template") };
        prop_assert_eq!(event.to_best_bid_ask(), best);
    }

    #[test]
    fn trades_come_back(instrument in instrument(), trades in trades()) {
        let mut out = Vec::new();
        encode::trades(&mut out, &instrument, &trades).unwrap();
        let message = decode(&out).unwrap();
        prop_assert_eq!(message.symbol(), instrument.name());
        prop_assert_eq!(message.exponents(), instrument.exponents());
        let Message::Trades(event) = message else { panic!("another template") };
        prop_assert_eq!(event.to_trades(), trades);
    }

    #[test]
    fn a_message_cut_anywhere_is_truncated(message in message()) {
        for len in 0..message.len() {
            let cut = decode(&message[..len]);
            prop_assert!(matches!(cut, Err(SbeError::Truncated { .. })), "{} of {}: {:?}", len, message.len(), cut);
        }
    }

    #[test]
    fn a_message_with_more_behind_it_is_refused(message in message(), more in vec(any::<u8>(), 1..40)) {
        let both = [message, more.clone()].concat();
        prop_assert_eq!(decode(&both).unwrap_err(), SbeError::Trailing(more.len()));
    }

    #[test]
    fn damaged_messages_never_panic(mut message in message(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (at, byte) in damage {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let _ = read_all(&message);
    }

    #[test]
    fn any_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn any_body_under_a_true_header_never_panics(
        template in 10_000u16..10_004, block in 0u16..64, version in 0u16..2, body in vec(0u8..40, 0..400),
    ) {
        let mut bytes = Vec::new();
        for field in [block, template, super::SCHEMA_ID, version] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&body);
        let _ = read_all(&bytes);
    }
}
