//! Stream names: what parses, what is refused and how it is said.

use super::*;
use depthcast_market::interval::{KlineClock, KlineInterval};
use proptest::prelude::*;

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

fn refusal(text: &str) -> String {
    StreamName::parse(text).unwrap_err().to_string()
}

#[test]
fn names_say_symbol_kind_and_cadence() {
    let depth = name("btcusdt@depth@100ms");
    assert_eq!(depth.symbol.as_str(), "btcusdt");
    assert_eq!(depth.symbol.to_upper().as_str(), "BTCUSDT");
    assert_eq!(
        (depth.kind, depth.cadence),
        (StreamKind::Depth, Some(Cadence::Ms100))
    );
    let partial = name("BTCUSDT@depth20");
    assert_eq!(partial.kind, StreamKind::PartialDepth(DepthLevels::Twenty));
    assert_eq!((partial.cadence, partial.symbol.as_str()), (None, "BTCUSDT"));
    assert_ne!(name("btcusdt@depth"), name("btcusdt@depth@1000ms"));
    assert_ne!(name("btcusdt@bookTicker"), name("btcusdt@bestBidAsk"));
}

#[test]
fn a_name_without_cadence_has_its_formats_default() {
    for (text, json, sbe) in [
        ("a@depth", Some(1000), Some(20)),
        ("a@depth5", Some(1000), Some(50)),
        ("a@depth10", Some(1000), Some(50)),
        ("a@depth20", Some(1000), Some(50)),
        ("a@depth@0ms", Some(0), Some(0)),
        ("a@depth20@1000ms", Some(1000), Some(1000)),
        ("a@bookTicker", None, None),
        ("a@bestBidAsk", None, None),
        ("a@trade", None, None),
        ("a@aggTrade", None, None),
        ("!heartbeat", None, None),
        ("a@kline_1m@+08:00", None, None),
        ("a@ticker", None, None),
        ("a@checksum", None, None),
        ("!miniTicker@arr", None, None),
    ] {
        assert_eq!(
            name(text).cadence(false).map(Cadence::millis),
            json,
            "{text} JSON"
        );
        assert_eq!(name(text).cadence(true).map(Cadence::millis), sbe, "{text} SBE");
    }
}

#[test]
fn cadences_are_in_order_and_named_by_their_interval() {
    assert!(Cadence::ALL.is_sorted());
    for cadence in Cadence::ALL {
        assert_eq!(cadence.suffix(), format!("{}ms", cadence.millis()));
    }
}

#[test]
fn refusals_name_the_bad_part_and_what_would_be_right() {
    assert_eq!(
        refusal("btcusdt"),
        "no '@' in \"btcusdt\": expected <symbol>@<stream>, as btcusdt@depth"
    );
    assert_eq!(
        refusal("btc/usdt@depth"),
        "symbol \"btc/usdt\" must be 1 to 20 letters, digits, '-', '_' or '.'"
    );
    assert!(refusal("@depth").starts_with("symbol \"\" must be"));
    assert!(refusal("ABCDEFGHIJKLMNOPQRSTU@depth").starts_with("symbol \"ABCDEFGHIJKLMNOPQRSTU\""));
    assert_eq!(
        refusal("btcusdt@depth@33ms"),
        "unknown cadence \"33ms\": expected 0ms, 10ms, 20ms, 50ms, 100ms, 250ms, 500ms or 1000ms"
    );
    assert_eq!(
        refusal("btcusdt@trade@100ms"),
        "trade streams take no cadence, but the name ends in \"100ms\""
    );
    assert_eq!(
        refusal("btcusdt@avgPrice@1000ms"),
        "avgPrice streams take no cadence, but the name ends in \"1000ms\""
    );
    for (text, suffix) in [
        ("a@kline_1m@", ""),
        ("a@kline_1m@100ms", "100ms"),
        ("a@kline_1m@+09:00", "+09:00"),
        ("a@kline_1m@+08:00@", "+08:00@"),
    ] {
        assert_eq!(
            refusal(text),
            format!(
                "kline streams end in their interval or in @+08:00 behind it, but the name ends in {suffix:?}"
            )
        );
    }
    for (text, interval) in [
        ("a@kline_", ""),
        ("a@kline_2m", "2m"),
        ("a@kline_1D", "1D"),
        ("a@kline_1mo@+08:00", "1mo"),
    ] {
        assert!(
            refusal(text).starts_with(&format!("unknown kline interval {interval:?}: expected 1s, ")),
            "{text}"
        );
    }
    assert_eq!(
        refusal("btcusdt@depth@100ms@x"),
        "unexpected \"@x\" after the cadence"
    );
    // Texts that would be a second spelling of a name.
    for text in ["a@depth@", "a@depth@0100ms", "a@depth@100MS", "a@depth@100"] {
        assert!(refusal(text).starts_with("unknown cadence"), "{text}");
    }
    for text in [
        "a@",
        "a@Depth",
        "a@depth15",
        "a@ depth",
        "a@bookticker",
        "a@aggtrade",
        "a@heartbeat",
        "a@!heartbeat",
        "a@kline",
        "a@Ticker",
        "a@Kline_1m",
    ] {
        assert!(refusal(text).starts_with("unknown stream type"), "{text}");
    }
    for text in [
        "!",
        "!Heartbeat",
        "!heartbeat@1000ms",
        "!heartbeat@",
        "!depth",
        "!btcusdt@depth",
        "!miniTicker",
        "!miniTicker@arr@1000ms",
        "!kline_1m",
        "!ticker",
    ] {
        assert_eq!(
            refusal(text),
            format!("unknown stream of the whole market {text:?}: expected !miniTicker@arr or !heartbeat")
        );
    }
}

#[test]
fn streams_of_the_whole_market_have_no_symbol() {
    let heartbeat = name("!heartbeat");
    assert_eq!((heartbeat.kind, heartbeat.cadence), (StreamKind::Heartbeat, None));
    assert_eq!(
        (heartbeat.symbol, heartbeat.symbol.as_str()),
        (SymbolName::MARKET, "")
    );
    assert_eq!(heartbeat.to_string(), "!heartbeat");
    assert_eq!(SymbolName::new(""), None, "no text names it");
}

#[test]
fn what_is_not_served_is_told_from_what_is_misspelt() {
    assert_eq!(
        refusal("!ticker@arr"),
        "this engine does not serve !ticker@arr streams"
    );
    assert_eq!(
        refusal("a@miniTicker@arr"),
        "miniTicker streams take no cadence, but the name ends in \"arr\""
    );
    assert!(refusal("@ticker").starts_with("symbol"));
}

#[test]
fn candlesticks_are_named_by_interval_and_clock() {
    let of = |text: &str| match name(text) {
        StreamName {
            kind: StreamKind::Kline(interval, clock),
            cadence: None,
            ..
        } => (interval, clock),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("a@kline_1m"), (KlineInterval::M1, KlineClock::Utc));
    assert_eq!(of("a@kline_1M"), (KlineInterval::Month1, KlineClock::Utc));
    assert_eq!(of("a@kline_1d@+08:00"), (KlineInterval::D1, KlineClock::Ahead8h));
    assert_eq!(StreamKind::klines().count(), 32);
    assert_eq!(name("!miniTicker@arr").to_string(), "!miniTicker@arr");
    assert_eq!(name("!miniTicker@arr").symbol, SymbolName::MARKET);
}

#[test]
fn every_depth_kind_takes_every_cadence() {
    for kind in ["depth", "depth5", "depth10", "depth20"] {
        for millis in [0, 10, 20, 50, 100, 250, 500, 1000] {
            let parsed = name(&format!("btcusdt@{kind}@{millis}ms"));
            assert_eq!(parsed.kind.to_string(), kind);
            for sbe in [false, true] {
                assert_eq!(parsed.cadence(sbe).map(Cadence::millis), Some(millis));
            }
        }
    }
}

#[test]
fn lists_in_refusals_are_whole() {
    for cadence in Cadence::ALL {
        assert!(refusal("a@depth@x").contains(cadence.suffix()), "{cadence:?}");
    }
    // One that carries no market is of no use to somebody who misspelt a name.
    for kind in StreamKind::OTHERS
        .into_iter()
        .filter(|kind| *kind != StreamKind::Fixed)
    {
        let text = if kind.is_of_market() { "!x" } else { "a@x" };
        assert!(refusal(text).contains(&kind.to_string()), "{kind:?}");
    }
    for interval in KlineInterval::ALL {
        assert!(
            refusal("a@kline_x").contains(&format!(" {interval}")),
            "{interval}"
        );
    }
}

#[test]
fn a_long_text_is_cut_where_it_is_repeated() {
    let long = "é".repeat(10 * EXCERPT_CHARS_MAX);
    assert_eq!(excerpt(&long).chars().count(), EXCERPT_CHARS_MAX + 1);
    assert!(refusal(&long).len() < 200);
    assert_eq!(&*excerpt("short"), "short");
}

fn any_name() -> impl Strategy<Value = StreamName> {
    let kind = prop::sample::select(StreamKind::all().collect::<Vec<_>>());
    let cadence = prop::option::of(prop::sample::select(&Cadence::ALL[..]));
    ("[a-zA-Z0-9._-]{1,20}", kind, cadence).prop_map(|(symbol, kind, cadence)| StreamName {
        symbol: if kind.is_of_market() {
            SymbolName::MARKET
        } else {
            SymbolName::new(&symbol).unwrap()
        },
        kind,
        cadence: cadence.filter(|_| kind.takes_cadence()),
    })
}

proptest! {
    #[test]
    fn a_name_and_its_text_are_one_to_one(name in any_name()) {
        let text = name.to_string();
        prop_assert_eq!(StreamName::parse(&text), Ok(name));
        let mut out = Vec::new();
        name.write(&mut out);
        prop_assert_eq!(out, text.as_bytes());
        prop_assert!(text.len() <= STREAM_NAME_LEN_MAX);
    }

    #[test]
    fn what_parses_writes_itself(text in "[a-c.@]{0,6}[@!](depth(5|10|20)?|trade|bookTicker|heartbeat|miniTicker(@arr)?|kline_[1358][smhM](@[+]08:00)?)?(@[0-9]{1,4}ms)?[@x]?") {
        if let Ok(name) = StreamName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn any_text_never_panics(text in any::<String>()) {
        let _ = StreamName::parse(&text);
    }
}
