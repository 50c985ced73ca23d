//! The aggregate trades of the recorded market, worked out anew from the recorded text, as subscribers get them.

use crate::common::expected::{self, Trade};
use crate::common::market::{capture, decimal};
use crate::common::raw::{settings, start};
use crate::common::replay::to_the_end;
use crate::common::subscriber::Subscriber;

/// Trades of one price, side and time that come one after the other are one. That no tick cuts one in two is pinned by
/// the number of them.
const AGGREGATES: usize = 5_813;

/// The payload of an aggregate; times in units of `ms_units` a millisecond.
fn payload(id: usize, trades: &[Trade], ms_units: i64) -> String {
    let (first, last) = (&trades[0], &trades[trades.len() - 1]);
    let qty = decimal(trades.iter().map(|trade| trade.level.1).sum());
    format!(
        r#"{{"e":"aggTrade","E":{},"s":"BTCUSDT","a":{id},"p":"{}","q":"{qty}","f":{},"l":{},"T":{},"m":{},"M":true}}"#,
        last.event_time_ms * ms_units,
        decimal(first.level.0),
        first.id,
        last.id,
        last.trade_time_ms * ms_units,
        first.is_buyer_maker,
    )
}

#[test]
fn subscribers_get_every_aggregate_of_the_recorded_market() {
    let is_one = |a: &Trade, b: &Trade| {
        let key = |trade: &Trade| (trade.level.0, trade.is_buyer_maker, trade.trade_time_ms);
        key(a) == key(b)
    };
    let aggregates: Vec<&[Trade]> = expected::trades().chunk_by(is_one).collect();
    assert_eq!(aggregates.len(), AGGREGATES);
    let ways = [
        ("/ws/btcusdt@aggTrade", 1, false),
        (
            "/stream?streams=btcusdt@aggTrade&timeUnit=MICROSECOND",
            1_000,
            true,
        ),
        ("/sbe/ws/btcusdt@aggTrade", 1_000, false),
        ("/sbe/stream?streams=btcusdt@aggTrade", 1_000, true),
    ];
    let engine = start(settings(
        &capture(),
        &format!("speed=max&start={}&end=hold", ways.len()),
    ));
    to_the_end(engine, &ways, |address, (target, ms_units, is_combined), done| {
        let mut subscriber = Subscriber::open(address, target);
        for (place, trades) in aggregates.iter().enumerate() {
            let mut expected = payload(place + 1, trades, *ms_units);
            if *is_combined {
                expected = format!(r#"{{"stream":"btcusdt@aggTrade","data":{expected}}}"#);
            }
            assert_eq!(subscriber.message().text(), expected, "{target}");
        }
        done.and_goodbye(&mut subscriber, |message| panic!("{message:?} is one too many"));
    });
}
