//! REST bodies, held against what the exchange's documents print.

use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BestBidAsk, Level, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_market::statistics::{AveragePrice, DayStatistics};

use super::rest::*;
use crate::time_unit::TimeUnit::{self, Microsecond, Millisecond};

fn bnbbtc() -> Instrument {
    Instrument::new("BNBBTC", Exponents::default(), 1, 1).expect("a valid instrument")
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn mantissa(text: &str) -> i64 {
    depthcast_market::decimal::parse_mantissa(text.as_bytes(), -8).expect("a number")
}

#[test]
fn errors_and_times() {
    assert_eq!(
        text(|out| error(out, -1121, "Invalid symbol.")),
        r#"{"code":-1121,"msg":"Invalid symbol."}"#
    );
    assert_eq!(
        text(|out| error(out, -1100, r#"legal range is '^[\w\-._&&[^a-z]]{1,50}$' or "a"."#)),
        r#"{"code":-1100,"msg":"legal range is '^[\\w\\-._&&[^a-z]]{1,50}$' or \"a\"."}"#
    );
    let now = 1_499_827_319_559_123;
    assert_eq!(
        text(|out| server_time(out, Millisecond, now)),
        r#"{"serverTime":1499827319559}"#
    );
    assert_eq!(
        text(|out| server_time(out, Microsecond, now)),
        r#"{"serverTime":1499827319559123}"#
    );
}

#[test]
fn trades_and_aggregate_trades_in_either_unit() {
    let trade = Trade {
        event_time_us: 1,
        trade_time_us: 1_499_865_549_590_123,
        id: 28_457,
        price: mantissa("4.00000100"),
        qty: mantissa("12.00000000"),
        is_buyer_maker: true,
        is_best_match: true,
        aggregate: None,
    };
    let one = |time: &str| {
        format!(
            r#"{{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.00001200","time":{time},"isBuyerMaker":true,"isBestMatch":true}}"#
        )
    };
    let written = |unit: TimeUnit, all: &[Trade]| text(|out| trades(out, &bnbbtc(), unit, all));
    assert_eq!(written(Millisecond, &[]), "[]");
    assert_eq!(
        written(Millisecond, &[trade]),
        format!("[{}]", one("1499865549590"))
    );
    let twice = format!("[{0},{0}]", one("1499865549590123"));
    assert_eq!(written(Microsecond, &[trade, trade]), twice);

    let aggregate = AggTrade {
        event_time_us: 1,
        id: 26_129,
        price: mantissa("0.01633102"),
        qty: mantissa("4.70443515"),
        first_trade_id: 27_781,
        last_trade_id: 27_782,
        trade_time_us: 1_498_793_709_153_001,
        is_buyer_maker: true,
        is_best_match: false,
    };
    assert_eq!(
        text(|out| agg_trades(out, &bnbbtc(), Millisecond, &[aggregate])),
        r#"[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27782,"T":1498793709153,"m":true,"M":false}]"#
    );
}

#[test]
fn a_quote_amount_with_more_places_than_a_price_is_rounded() {
    let trade = |price: i64, qty: i64| Trade {
        event_time_us: 0,
        trade_time_us: 0,
        id: 0,
        price,
        qty,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    };
    // 0.00000001 * 0.5 is half of the last place, 0.49999999 a little less.
    let all = [trade(1, 50_000_000), trade(1, 49_999_999)];
    let written = text(|out| trades(out, &bnbbtc(), Millisecond, &all));
    assert!(written.contains(r#""quoteQty":"0.00000001""#), "{written}");
    assert!(written.contains(r#""quoteQty":"0.00000000""#), "{written}");
}

#[test]
fn a_candle_closes_one_unit_before_the_next_opens() {
    let candle = Candle {
        open_us: 1_499_040_000_000_000,
        end_us: 1_499_644_800_000_000,
        open: mantissa("0.01634790"),
        high: mantissa("0.80000000"),
        low: mantissa("0.01575800"),
        close: mantissa("0.01577100"),
        volume: 14_897_611_427_815,
        quote_volume: 243_419_055_334 * 100_000_000 + 4,
        taker_buy_volume: 175_687_402_397,
        taker_buy_quote_volume: 2_846_694_368 * 100_000_000,
        first_trade_id: 100,
        last_trade_id: 407,
        trades: 308,
    };
    let line = |open: &str, close: &str| {
        format!(
            r#"[[{open},"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",{close},"2434.19055334",308,"1756.87402397","28.46694368","0"]]"#
        )
    };
    let written = |unit| text(|out| klines(out, &bnbbtc(), unit, &[candle]));
    assert_eq!(written(Millisecond), line("1499040000000", "1499644799999"));
    assert_eq!(written(Microsecond), line("1499040000000000", "1499644799999999"));
}

#[test]
fn the_average_price() {
    let average = AveragePrice {
        price: mantissa("9.35751834"),
        last_trade_us: 1_694_061_154_503_999,
    };
    assert_eq!(
        text(|out| average_price(out, &bnbbtc(), Millisecond, &average)),
        r#"{"mins":5,"price":"9.35751834","closeTime":1694061154503}"#
    );
}

fn day() -> DayStatistics {
    DayStatistics {
        open_us: 1_499_783_499_040_000,
        close_us: 1_499_869_899_040_000,
        before: Some(mantissa("0.10002000")),
        open: mantissa("99.00000000"),
        high: mantissa("100.00000000"),
        low: mantissa("0.10000000"),
        last: mantissa("4.00000200"),
        last_qty: mantissa("200.00000000"),
        volume: 891_330_000_000,
        quote_volume: 1_530_000_000 * 100_000_000,
        first_trade_id: 28_385,
        last_trade_id: 28_460,
        trades: 76,
    }
}

#[test]
fn tickers_of_every_form_alone_and_in_lists() {
    let instrument = bnbbtc();
    let day = day();
    let level = |price: &str, qty: &str| Level {
        price: mantissa(price),
        qty: mantissa(qty),
    };
    let best = BestBidAsk {
        event_time_us: None,
        update_id: 1,
        bid: level("4.00000000", "100.00000000"),
        ask: level("4.00000200", "9.00000000"),
    };
    let parts = |best| TickerParts {
        instrument: &instrument,
        statistics: &day,
        best,
    };
    let one = |form, unit| text(|out| ticker(out, form, unit, &parts(Some(&best))));
    let full = |open: &str, close: &str| {
        format!(
            r#"{{"symbol":"BNBBTC","priceChange":"-94.99999800","priceChangePercent":"-95.960","weightedAvgPrice":"0.00171654","prevClosePrice":"0.10002000","lastPrice":"4.00000200","lastQty":"200.00000000","bidPrice":"4.00000000","bidQty":"100.00000000","askPrice":"4.00000200","askQty":"9.00000000","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":{open},"closeTime":{close},"firstId":28385,"lastId":28460,"count":76}}"#
        )
    };
    assert_eq!(
        one(TickerForm::Full, Millisecond),
        full("1499783499040", "1499869899040")
    );
    assert_eq!(
        one(TickerForm::Full, Microsecond),
        full("1499783499040000", "1499869899040000")
    );
    assert_eq!(
        one(TickerForm::Mini, Millisecond),
        r#"{"symbol":"BNBBTC","openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","lastPrice":"4.00000200","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1499783499040,"closeTime":1499869899040,"firstId":28385,"lastId":28460,"count":76}"#
    );
    let price = r#"{"symbol":"BNBBTC","price":"4.00000200"}"#;
    assert_eq!(one(TickerForm::Price, Millisecond), price);
    let book = r#"{"symbol":"BNBBTC","bidPrice":"4.00000000","bidQty":"100.00000000","askPrice":"4.00000200","askQty":"9.00000000"}"#;
    assert_eq!(one(TickerForm::Book, Millisecond), book);
    let list = |count: usize| {
        let all = (0..count).map(|_| parts(Some(&best)));
        text(|out| tickers(out, TickerForm::Price, Millisecond, all))
    };
    assert_eq!(
        [0, 1, 2].map(list),
        ["[]".into(), format!("[{price}]"), format!("[{price},{price}]")]
    );
    let none = text(|out| ticker(out, TickerForm::Book, Millisecond, &parts(None)));
    assert_eq!(
        none,
        r#"{"symbol":"BNBBTC","bidPrice":"0.00000000","bidQty":"0.00000000","askPrice":"0.00000000","askQty":"0.00000000"}"#
    );
}

#[test]
fn a_day_without_a_trade_has_not_changed() {
    let quiet = DayStatistics {
        before: None,
        open: 0,
        high: 0,
        low: 0,
        volume: 0,
        quote_volume: 0,
        first_trade_id: -1,
        last_trade_id: -1,
        trades: 0,
        ..day()
    };
    let instrument = bnbbtc();
    let parts = TickerParts {
        instrument: &instrument,
        statistics: &quiet,
        best: None,
    };
    let written = text(|out| ticker(out, TickerForm::Full, Millisecond, &parts));
    assert!(
        written.starts_with(
            r#"{"symbol":"BNBBTC","priceChange":"0.00000000","priceChangePercent":"0.000","weightedAvgPrice":"0.00000000","prevClosePrice":"0.00000000","lastPrice":"4.00000200""#
        ),
        "{written}"
    );
    assert!(
        written.ends_with(r#""firstId":-1,"lastId":-1,"count":0}"#),
        "{written}"
    );
}
