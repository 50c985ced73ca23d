use super::*;
use proptest::prelude::*;

fn subscriber(target: &str) -> SubscriberTarget {
    match SubscriberTarget::parse(target) {
        Ok(TargetKind::Subscriber(found)) => found,
        other => panic!("{target}: {other:?}"),
    }
}

fn refusal(target: &str) -> String {
    SubscriberTarget::parse(target).unwrap_err().to_string()
}

fn texts(target: &SubscriberTarget) -> Vec<String> {
    target.streams.iter().map(ToString::to_string).collect()
}

#[test]
fn names_come_from_path_and_query_in_order_and_once() {
    for (target, combined, names) in [
        ("/ws/btcusdt@depth", false, &["btcusdt@depth"][..]),
        ("/ws/a@depth/b@trade/", false, &["a@depth", "b@trade"]),
        ("/ws?streams=a@depth/b@trade", false, &["a@depth", "b@trade"]),
        (
            "/stream?streams=a@depth/b@trade/a@depth",
            true,
            &["a@depth", "b@trade"],
        ),
        ("/stream/a@depth/b@trade", true, &["a@depth", "b@trade"]),
        (
            "/stream/a@trade?streams=b@trade&streams=a@trade/c@trade",
            true,
            &["a@trade", "b@trade", "c@trade"],
        ),
        (
            "/stream?streams=b%40depth%40100ms%2Fa%40depth",
            true,
            &["b@depth@100ms", "a@depth"],
        ),
        ("/ws/btcusdt%40depth", false, &["btcusdt@depth"]),
        // One content, two names: both are kept.
        (
            "/ws/a@depth/a@depth@1000ms",
            false,
            &["a@depth", "a@depth@1000ms"],
        ),
    ] {
        let found = subscriber(target);
        assert_eq!(texts(&found), names, "{target}");
        assert_eq!((found.combined, found.ignored), (combined, 0), "{target}");
        let sbe = subscriber(&format!("/sbe{target}"));
        assert_eq!(sbe.format, Format::Sbe);
        assert_eq!(
            (texts(&sbe), sbe.combined),
            (texts(&found), found.combined),
            "{target}"
        );
    }
}

#[test]
fn targets_without_a_name_start_with_no_stream() {
    for target in [
        "/ws",
        "/ws/",
        "/stream",
        "/stream/",
        "/stream?",
        "/stream?streams=",
        "/stream?streams",
        "/sbe/ws",
    ] {
        let found = subscriber(target);
        assert_eq!((found.streams.len(), found.ignored), (0, 0), "{target}");
        assert!(!found.echo);
    }
}

#[test]
fn what_is_no_name_is_counted_and_the_first_kept() {
    let odd = subscriber("/ws/0");
    assert_eq!(
        (odd.streams.len(), odd.ignored, odd.first_ignored.as_deref()),
        (0, 1, Some("0"))
    );
    let mixed = subscriber("/stream?streams=a@depth/btc%20usdt@depth/x/b@trade");
    assert_eq!(texts(&mixed), ["a@depth", "b@trade"]);
    assert_eq!(
        (mixed.ignored, mixed.first_ignored.as_deref()),
        (2, Some("btc usdt@depth"))
    );
}

#[test]
fn other_paths_are_not_a_subscribers() {
    for target in [
        "/",
        "",
        "/wss",
        "/wsx/a@depth",
        "/streams",
        "/sbe",
        "/sbe/",
        "/sbews",
        "/sbe/sbe/ws",
        "ws",
        "*",
        "/echo/a",
        "/sbe/echo",
        "/api/v3/time?timeUnit=x&y=%zz",
        "/WS",
    ] {
        assert_eq!(SubscriberTarget::parse(target), Ok(TargetKind::Other), "{target}");
    }
}

#[test]
fn echo_carries_no_market_data() {
    let found = subscriber("/echo?streams=a@depth&timeUnit=microsecond");
    assert!(found.echo && found.streams.is_empty());
}

#[test]
fn time_unit_is_read_in_any_case_and_sbe_is_always_microseconds() {
    assert_eq!(subscriber("/ws").time_unit, TimeUnit::Millisecond);
    for value in ["MICROSECOND", "microsecond", "MicroSecond", "%4DICROSECOND"] {
        let target = format!("/stream?x=1&timeUnit={value}&streams=a@trade");
        assert_eq!(subscriber(&target).time_unit, TimeUnit::Microsecond, "{target}");
    }
    assert_eq!(
        subscriber("/ws?timeUnit=millisecond").time_unit,
        TimeUnit::Millisecond
    );
    assert_eq!(
        subscriber("/sbe/ws?timeUnit=MILLISECOND").time_unit,
        TimeUnit::Microsecond
    );
    assert_eq!(
        refusal("/ws?timeUnit=ns"),
        "parameter timeUnit must be MICROSECOND or MILLISECOND, not \"ns\""
    );
    assert!(refusal("/sbe/ws?timeUnit=").contains("timeUnit"));
}

#[test]
fn snapshots_are_asked_for_by_one() {
    for (target, asked) in [
        ("/ws/a@depth", false),
        ("/ws/a@depth?snapshot=0", false),
        ("/ws/a@depth?snapshot=1", true),
        ("/sbe/stream?snapshot=%31&streams=a@depth", true),
    ] {
        assert_eq!(subscriber(target).snapshot, asked, "{target}");
    }
    for value in ["", "yes", "2", "true", "11"] {
        assert_eq!(
            refusal(&format!("/ws/a@depth?snapshot={value}")),
            format!("parameter snapshot must be 1 or 0, not {value:?}")
        );
    }
}

#[test]
fn a_connection_says_what_becomes_of_it_when_it_lags() {
    assert_eq!(subscriber("/ws/a@depth").lag, None);
    assert_eq!(
        subscriber("/ws/a@depth?lag=conflate").lag,
        Some(LagPolicy::Conflate)
    );
    assert_eq!(subscriber("/sbe/ws?lag=%65vict").lag, Some(LagPolicy::Evict));
    for value in ["", "Evict", "drop", "conflate,evict"] {
        assert_eq!(
            refusal(&format!("/ws/a@depth?lag={value}")),
            format!("parameter lag must be conflate or evict, not {value:?}")
        );
    }
}

#[test]
fn a_client_goes_on_where_it_left_off() {
    let found = subscriber("/ws/a@depth?resume=a:17%2Cb:18446744073709551615&epoch=3");
    let symbol = |name| SymbolName::new(name).unwrap();
    assert_eq!(
        found.resume,
        Some(Resume {
            epoch: 3,
            ids: vec![(symbol("a"), 17), (symbol("b"), u64::MAX)]
        })
    );
    assert_eq!(subscriber("/ws/a@depth?epoch=3").resume, None);
    for value in [
        "",
        "a",
        "a:",
        "a:x",
        ":1",
        "a:1,",
        "a:1,a:2",
        "a:-1",
        "a:+1",
        "a:1:2",
        "a:18446744073709551616",
        "a b:1",
    ] {
        let refusal = refusal(&format!("/ws/a@depth?resume={value}&epoch=3"));
        assert!(
            refusal.starts_with("parameter resume must be"),
            "{value}: {refusal}"
        );
    }
    for value in ["", "x", "-1", "1.0"] {
        let refusal = refusal(&format!("/ws/a@depth?resume=a:1&epoch={value}"));
        assert!(
            refusal.starts_with("parameter epoch must be"),
            "{value}: {refusal}"
        );
    }
    assert!(refusal("/ws/a@depth?resume=a:1").contains("needs epoch="));
    let many = (0..=TARGET_STREAMS_MAX)
        .map(|n| format!("s{n}:1"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(refusal(&format!("/ws/a@depth?resume={many}&epoch=1")).starts_with("more than"));
}

#[test]
fn unknown_parameters_are_ignored() {
    let found = subscriber("/ws/a@depth?listenKey=1&&=&x&timeunit=ns&snapshot=1");
    assert_eq!(texts(&found), ["a@depth"]);
    assert_eq!(found.time_unit, TimeUnit::Millisecond);
}

#[test]
fn bad_encoding_is_refused_where_it_stands() {
    assert_eq!(
        refusal("/ws/btcusdt%4zepth"),
        "bad percent-encoding at \"%4zepth\": '%' must be followed by two hexadecimal digits"
    );
    for target in [
        "/ws/%",
        "/ws/a%4",
        "/ws/a%+1b",
        "/stream?streams=%é0",
        "/ws?other=100%",
    ] {
        assert!(refusal(target).starts_with("bad percent-encoding"), "{target}");
    }
    assert_eq!(refusal("/ws/%FF"), "\"/%FF\" does not decode to UTF-8");
}

#[test]
fn no_more_names_than_a_connection_may_have() {
    let names = |n: usize| {
        (0..n)
            .map(|i| format!("s{i}@trade"))
            .collect::<Vec<_>>()
            .join("/")
    };
    let full = subscriber(&format!("/stream?streams={}", names(TARGET_STREAMS_MAX)));
    assert_eq!(full.streams.len(), TARGET_STREAMS_MAX);
    assert_eq!(
        refusal(&format!("/stream?streams={}", names(TARGET_STREAMS_MAX + 1))),
        "more than 1024 streams in one URL"
    );
    // The bound holds over path and query together, and for what is repeated or ignored too.
    let both = format!("/ws/x?streams={}", names(TARGET_STREAMS_MAX));
    assert_eq!(SubscriberTarget::parse(&both), Err(TargetError::TooManyStreams));
    let same = "a@trade/".repeat(TARGET_STREAMS_MAX + 1);
    assert_eq!(
        SubscriberTarget::parse(&format!("/ws/{same}")),
        Err(TargetError::TooManyStreams)
    );
}

proptest! {
    #[test]
    fn any_text_never_panics(text in any::<String>()) {
        let _ = SubscriberTarget::parse(&text);
    }

    #[test]
    fn any_names_and_parameters_never_panic(text in "/(sbe/)?(ws|stream)[/?][a-c0-9@%/&=é]{0,40}") {
        if let Ok(TargetKind::Subscriber(found)) = SubscriberTarget::parse(&text) {
            prop_assert!(found.streams.len() + found.ignored <= TARGET_STREAMS_MAX);
            prop_assert_eq!(found.ignored > 0, found.first_ignored.is_some());
        }
    }
}
