//! Each event as the protocol has it, key by key.

use super::*;
use depthcast_market::event::{BestBidAsk, Level};
use depthcast_market::instrument::Exponents;

fn instrument() -> Instrument {
    Instrument::new("BNBBTC", Exponents { price: -4, qty: -2 }, 1, 1).expect("a valid instrument")
}

fn text(write: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn candle() -> Candle {
    Candle {
        open_us: 1_672_515_780_000_000,
        end_us: 1_672_515_840_000_000,
        open: 10,
        high: 25,
        low: 5,
        close: 20,
        volume: 100_050,
        quote_volume: 1_234_567,
        taker_buy_volume: 50_000,
        taker_buy_quote_volume: 1_049,
        first_trade_id: 100,
        last_trade_id: 200,
        trades: 101,
    }
}

fn day() -> DayStatistics {
    DayStatistics {
        open_us: 1_672_429_440_000_000,
        close_us: 1_672_515_782_136_789,
        before: Some(9),
        open: 30,
        high: 40,
        low: 10,
        last: 25,
        last_qty: 1000,
        volume: 300,
        quote_volume: 7_650,
        first_trade_id: 0,
        last_trade_id: 18_150,
        trades: 18_151,
    }
}

const AT_US: i64 = 1_672_515_782_136_789;

#[test]
fn candlesticks() {
    let instrument = instrument();
    for (unit, times) in [
        (
            TimeUnit::Millisecond,
            ["1672515782136", "1672515780000", "1672515839999"],
        ),
        (
            TimeUnit::Microsecond,
            ["1672515782136789", "1672515780000000", "1672515839999999"],
        ),
    ] {
        let [at, open, close] = times;
        assert_eq!(
            text(|out| kline(
                out,
                &instrument,
                unit,
                AT_US,
                (KlineInterval::M1, &candle(), false)
            )),
            format!(
                r#"{{"e":"kline","E":{at},"s":"BNBBTC","k":{{"t":{open},"T":{close},"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0005","v":"1000.50","n":101,"x":false,"q":"1.2346","V":"500.00","Q":"0.0010","B":"0"}}}}"#
            )
        );
    }
    let empty = Candle::empty(0, 1_000_000, 20);
    assert_eq!(
        text(|out| kline(
            out,
            &instrument,
            TimeUnit::Millisecond,
            AT_US,
            (KlineInterval::S1, &empty, true)
        )),
        r#"{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":0,"T":999,"s":"BNBBTC","i":"1s","f":-1,"L":-1,"o":"0.0020","c":"0.0020","h":"0.0020","l":"0.0020","v":"0.00","n":0,"x":true,"q":"0.0000","V":"0.00","Q":"0.0000","B":"0"}}"#
    );
}

#[test]
fn days() {
    let instrument = instrument();
    let unit = TimeUnit::Millisecond;
    assert_eq!(
        text(|out| mini_ticker(out, &instrument, unit, AT_US, &day())),
        r#"{"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0030","h":"0.0040","l":"0.0010","v":"3.00","q":"0.0077"}"#
    );
    let best = BestBidAsk {
        event_time_us: None,
        update_id: 1,
        bid: Level { price: 24, qty: 1000 },
        ask: Level { price: 26, qty: 10 },
    };
    // -5 of 30 are -16.6667 percent; 7650 through 300 are 25.5.
    assert_eq!(
        text(|out| ticker(out, &instrument, unit, AT_US, (&day(), Some(&best)))),
        r#"{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"-0.0005","P":"-16.667","w":"0.0026","x":"0.0009","c":"0.0025","Q":"10.00","b":"0.0024","B":"10.00","a":"0.0026","A":"0.10","o":"0.0030","h":"0.0040","l":"0.0010","v":"3.00","q":"0.0077","O":1672429440000,"C":1672515782136,"F":0,"L":18150,"n":18151}"#
    );
    let none = DayStatistics::quiet((0, 86_400_000_000), None);
    assert_eq!(
        text(|out| ticker(out, &instrument, TimeUnit::Microsecond, 7, (&none, None))),
        r#"{"e":"24hrTicker","E":7,"s":"BNBBTC","p":"0.0000","P":"0.000","w":"0.0000","x":"0.0000","c":"0.0000","Q":"0.00","b":"0.0000","B":"0.00","a":"0.0000","A":"0.00","o":"0.0000","h":"0.0000","l":"0.0000","v":"0.00","q":"0.0000","O":0,"C":86400000000,"F":-1,"L":-1,"n":0}"#
    );
}

#[test]
fn averages_and_checksums() {
    let instrument = instrument();
    let average = AveragePrice {
        price: 257_768_600,
        last_trade_us: 1_693_907_032_213_000,
    };
    assert_eq!(
        text(|out| average_price(
            out,
            &instrument,
            TimeUnit::Millisecond,
            1_693_907_033_000_000,
            &average
        )),
        r#"{"e":"avgPrice","E":1693907033000,"s":"BNBBTC","i":"5m","w":"25776.8600","T":1693907032213}"#
    );
    assert_eq!(
        text(|out| book_checksum(out, &instrument, TimeUnit::Microsecond, 8, (u64::MAX, u32::MAX))),
        r#"{"e":"bookChecksum","E":8,"s":"BNBBTC","u":18446744073709551615,"n":10,"c":4294967295}"#
    );
}

#[test]
fn volumes_may_be_longer_than_a_mantissa() {
    let mut huge = candle();
    (huge.volume, huge.quote_volume) = (i128::MAX, i128::MIN);
    let event = text(|out| {
        kline(
            out,
            &instrument(),
            TimeUnit::Millisecond,
            AT_US,
            (KlineInterval::M1, &huge, true),
        );
    });
    assert!(
        event.contains(r#""v":"1701411834604692317316873037158841057.27""#),
        "{event}"
    );
    assert!(
        event.contains(r#""q":"-170141183460469231731687303715884.1057""#),
        "{event}"
    );
}
