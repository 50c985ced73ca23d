//! Writes market events as JSON: every function appends one payload to `out`, byte for byte as the exchange prints it.
//!
//! An event is encoded once for all subscribers of its group. Room is reserved once and nothing else is allocated.

use depthcast_market::event::{AggTrade, BestBidAsk, BookSnapshot, DepthUpdate, Level, Trade};
use depthcast_market::instrument::{Instrument, SYMBOL_LEN_MAX};

use crate::time_unit::TimeUnit;

/// An upper bound of a printed decimal: sign, up to 19 digits, point.
pub(super) const DECIMAL_BYTES_MAX: usize = 21;

/// An upper bound of a printed level with its brackets, quotes and commas.
const LEVEL_BYTES_MAX: usize = 2 * DECIMAL_BYTES_MAX + r#"["",""],"#.len();

/// An upper bound of everything in a payload but its levels: the longest is an aggregate trade, five integers of at most
/// 20 digits and two decimals.
const HEAD_BYTES_MAX: usize =
    r#"{"e":"aggTrade","E":,"s":"","a":,"p":"","q":"","f":,"l":,"T":,"m":false,"M":false}"#.len()
        + SYMBOL_LEN_MAX
        + 5 * 20
        + 2 * DECIMAL_BYTES_MAX;

/// A `depthUpdate`.
pub fn depth_update(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, update: &DepthUpdate) {
    reserve(out, update.bids.len() + update.asks.len());
    event_head(
        out,
        "depthUpdate",
        instrument,
        time_unit.from_micros(update.event_time_us),
    );
    out.extend_from_slice(b",\"U\":");
    integer(out, update.first_id);
    out.extend_from_slice(b",\"u\":");
    integer(out, update.last_id);
    out.extend_from_slice(b",\"b\":");
    levels(out, instrument, &update.bids);
    out.extend_from_slice(b",\"a\":");
    levels(out, instrument, &update.asks);
    out.push(b'}');
}

/// A partial depth, which is also the body of REST depth.
pub fn partial_depth(out: &mut Vec<u8>, instrument: &Instrument, snapshot: &BookSnapshot) {
    reserve(out, snapshot.bids.len() + snapshot.asks.len());
    out.push(b'{');
    book(out, instrument, snapshot);
    out.push(b'}');
}

/// A `bookTicker`. It has no place for a time.
pub fn book_ticker(out: &mut Vec<u8>, instrument: &Instrument, best: &BestBidAsk) {
    reserve(out, 2);
    out.extend_from_slice(b"{\"u\":");
    integer(out, best.update_id);
    out.extend_from_slice(b",\"s\":\"");
    out.extend_from_slice(instrument.name().as_bytes());
    out.extend_from_slice(b"\",\"b\":\"");
    instrument.write_price(out, best.bid.price);
    out.extend_from_slice(b"\",\"B\":\"");
    instrument.write_qty(out, best.bid.qty);
    out.extend_from_slice(b"\",\"a\":\"");
    instrument.write_price(out, best.ask.price);
    out.extend_from_slice(b"\",\"A\":\"");
    instrument.write_qty(out, best.ask.qty);
    out.extend_from_slice(b"\"}");
}

/// A `depthSnapshot`, this engine's own: the whole book at an event time, in the history numbered `epoch`.
pub fn depth_snapshot(
    out: &mut Vec<u8>,
    instrument: &Instrument,
    time_unit: TimeUnit,
    event_time_us: i64,
    epoch: u64,
    snapshot: &BookSnapshot,
) {
    reserve(out, snapshot.bids.len() + snapshot.asks.len());
    event_head(
        out,
        "depthSnapshot",
        instrument,
        time_unit.from_micros(event_time_us),
    );
    out.extend_from_slice(b",\"ep\":");
    integer(out, epoch);
    out.push(b',');
    book(out, instrument, snapshot);
    out.push(b'}');
}

/// A `trade`.
pub fn trade(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, trade: &Trade) {
    reserve(out, 0);
    event_head(
        out,
        "trade",
        instrument,
        time_unit.from_micros(trade.event_time_us),
    );
    out.extend_from_slice(b",\"t\":");
    integer(out, trade.id);
    out.extend_from_slice(b",\"p\":\"");
    instrument.write_price(out, trade.price);
    out.extend_from_slice(b"\",\"q\":\"");
    instrument.write_qty(out, trade.qty);
    out.extend_from_slice(b"\",\"T\":");
    integer(out, time_unit.from_micros(trade.trade_time_us));
    out.extend_from_slice(b",\"m\":");
    boolean(out, trade.is_buyer_maker);
    out.extend_from_slice(b",\"M\":");
    boolean(out, trade.is_best_match);
    out.push(b'}');
}

/// An `aggTrade`.
pub fn agg_trade(out: &mut Vec<u8>, instrument: &Instrument, time_unit: TimeUnit, trade: &AggTrade) {
    reserve(out, 0);
    event_head(
        out,
        "aggTrade",
        instrument,
        time_unit.from_micros(trade.event_time_us),
    );
    out.extend_from_slice(b",\"a\":");
    integer(out, trade.id);
    out.extend_from_slice(b",\"p\":\"");
    instrument.write_price(out, trade.price);
    out.extend_from_slice(b"\",\"q\":\"");
    instrument.write_qty(out, trade.qty);
    out.extend_from_slice(b"\",\"f\":");
    integer(out, trade.first_trade_id);
    out.extend_from_slice(b",\"l\":");
    integer(out, trade.last_trade_id);
    out.extend_from_slice(b",\"T\":");
    integer(out, time_unit.from_micros(trade.trade_time_us));
    out.extend_from_slice(b",\"m\":");
    boolean(out, trade.is_buyer_maker);
    out.extend_from_slice(b",\"M\":");
    boolean(out, trade.is_best_match);
    out.push(b'}');
}

/// A `heartbeat`, this engine's own event: the feed's newest time (microseconds), the id of its epoch, and which heartbeat
/// of the epoch it is.
pub fn heartbeat(out: &mut Vec<u8>, time_unit: TimeUnit, feed_time_us: i64, epoch: u64, count: u64) {
    reserve(out, 0);
    out.extend_from_slice(b"{\"e\":\"heartbeat\",\"E\":");
    integer(out, time_unit.from_micros(feed_time_us));
    out.extend_from_slice(b",\"ep\":");
    integer(out, epoch);
    out.extend_from_slice(b",\"n\":");
    integer(out, count);
    out.push(b'}');
}

/// `payload`, already JSON, in the wrapper of a combined stream.
pub fn combined(out: &mut Vec<u8>, stream_name: &str, payload: &[u8]) {
    out.reserve(r#"{"stream":"","data":}"#.len() + stream_name.len() + payload.len());
    out.extend_from_slice(b"{\"stream\":\"");
    string_body(out, stream_name);
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(payload);
    out.push(b'}');
}

fn reserve(out: &mut Vec<u8>, levels: usize) {
    out.reserve(HEAD_BYTES_MAX + levels * LEVEL_BYTES_MAX);
}

/// The start that all events with a name have in common.
pub(super) fn event_head(out: &mut Vec<u8>, name: &str, instrument: &Instrument, event_time: i64) {
    out.extend_from_slice(b"{\"e\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"E\":");
    integer(out, event_time);
    out.extend_from_slice(b",\"s\":\"");
    out.extend_from_slice(instrument.name().as_bytes());
    out.push(b'"');
}

/// What every form of a whole book has in common.
fn book(out: &mut Vec<u8>, instrument: &Instrument, snapshot: &BookSnapshot) {
    out.extend_from_slice(b"\"lastUpdateId\":");
    integer(out, snapshot.last_id);
    out.extend_from_slice(b",\"bids\":");
    levels(out, instrument, &snapshot.bids);
    out.extend_from_slice(b",\"asks\":");
    levels(out, instrument, &snapshot.asks);
}

fn levels(out: &mut Vec<u8>, instrument: &Instrument, levels: &[Level]) {
    out.push(b'[');
    for (place, level) in levels.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"[\"" } else { b",[\"" });
        instrument.write_price(out, level.price);
        out.extend_from_slice(b"\",\"");
        instrument.write_qty(out, level.qty);
        out.extend_from_slice(b"\"]");
    }
    out.push(b']');
}

pub(super) fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(super) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// The inside of a JSON string. Stream names of this engine need no escape; one that a peer chose might.
pub(super) fn string_body(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::instrument::Exponents;

    #[test]
    fn aggregate_trades_and_heartbeats_are_written_as_documented() {
        let instrument =
            Instrument::new("BNBBTC", Exponents { price: -3, qty: -8 }, 1, 1).expect("a valid instrument");
        let trade = AggTrade {
            event_time_us: 1_672_515_782_136_789,
            id: 12_345,
            price: 1,
            qty: 10_000_000_000,
            first_trade_id: 100,
            last_trade_id: 105,
            trade_time_us: 1_672_515_782_135_999,
            is_buyer_maker: true,
            is_best_match: false,
        };
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        for (unit, event_time, trade_time, feed_time) in [
            (TimeUnit::Millisecond, "1672515782136", "1672515782135", "7"),
            (
                TimeUnit::Microsecond,
                "1672515782136789",
                "1672515782135999",
                "7001",
            ),
        ] {
            assert_eq!(
                text(&|out| agg_trade(out, &instrument, unit, &trade)),
                format!(
                    r#"{{"e":"aggTrade","E":{event_time},"s":"BNBBTC","a":12345,"p":"0.001","q":"100.00000000","f":100,"l":105,"T":{trade_time},"m":true,"M":false}}"#
                )
            );
            assert_eq!(
                text(&|out| heartbeat(out, unit, 7_001, u64::MAX, 3)),
                format!(r#"{{"e":"heartbeat","E":{feed_time},"ep":18446744073709551615,"n":3}}"#)
            );
        }
    }

    #[test]
    fn the_longest_events_fit_into_what_is_reserved() {
        let exponents = Exponents { price: -18, qty: -18 };
        let instrument =
            Instrument::new("ABCDEFGHIJKLMNOPQRST", exponents, 1, 1).expect("a valid instrument");
        let level = Level {
            price: i64::MIN,
            qty: i64::MIN,
        };
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            out.len()
        };
        let longest_trade = Trade {
            event_time_us: i64::MIN,
            trade_time_us: i64::MIN,
            id: i64::MIN,
            price: level.price,
            qty: level.qty,
            is_buyer_maker: false,
            is_best_match: false,
            aggregate: None,
        };
        let trade = written(&|out| trade(out, &instrument, TimeUnit::Microsecond, &longest_trade));
        assert!(trade <= HEAD_BYTES_MAX, "{trade}");
        let longest_agg_trade = AggTrade {
            event_time_us: i64::MIN,
            id: i64::MIN,
            price: level.price,
            qty: level.qty,
            first_trade_id: i64::MIN,
            last_trade_id: i64::MIN,
            trade_time_us: i64::MIN,
            is_buyer_maker: false,
            is_best_match: false,
        };
        let agg_trade =
            written(&|out| agg_trade(out, &instrument, TimeUnit::Microsecond, &longest_agg_trade));
        assert!(agg_trade <= HEAD_BYTES_MAX, "{agg_trade}");
        let heartbeat = written(&|out| heartbeat(out, TimeUnit::Microsecond, i64::MIN, u64::MAX, u64::MAX));
        assert!(heartbeat <= HEAD_BYTES_MAX, "{heartbeat}");
        let update = DepthUpdate {
            event_time_us: i64::MIN,
            first_id: u64::MAX,
            last_id: u64::MAX,
            bids: vec![level; 3],
            asks: vec![level; 2],
        };
        let update = written(&|out| depth_update(out, &instrument, TimeUnit::Microsecond, &update));
        assert!(update <= HEAD_BYTES_MAX + 5 * LEVEL_BYTES_MAX, "{update}");
        let snapshot = BookSnapshot {
            last_id: u64::MAX,
            bids: vec![level; 3],
            asks: vec![level; 2],
        };
        let snapshot = written(&|out| partial_depth(out, &instrument, &snapshot));
        assert!(snapshot <= HEAD_BYTES_MAX + 5 * LEVEL_BYTES_MAX, "{snapshot}");
        let whole = BookSnapshot {
            last_id: u64::MAX,
            bids: vec![level; 3],
            asks: vec![level; 2],
        };
        let unit = TimeUnit::Microsecond;
        let whole = written(&|out| depth_snapshot(out, &instrument, unit, i64::MIN, u64::MAX, &whole));
        assert!(whole <= HEAD_BYTES_MAX + 5 * LEVEL_BYTES_MAX, "{whole}");
        let best = BestBidAsk {
            event_time_us: None,
            update_id: u64::MAX,
            bid: level,
            ask: level,
        };
        let best = written(&|out| book_ticker(out, &instrument, &best));
        assert!(best <= HEAD_BYTES_MAX + 2 * LEVEL_BYTES_MAX, "{best}");
    }
}
