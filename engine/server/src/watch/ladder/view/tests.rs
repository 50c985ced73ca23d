//! What is drawn at which size, on a terminal of cells in memory.

use depthcast_client::latency::{Basis, LatencyReport, NoLatency};
use depthcast_client::{BookOrigin, Counters};
use depthcast_market::decimal::Decimal;
use depthcast_market::event::{Level, Trade};
use depthcast_wire::stream::SymbolName;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::*;
use crate::watch::ladder::controls::{Overlay, Search, Symbols};
use crate::watch::ladder::picture::{Direction, Rejoined, Row, Sequence, Stale, Steps};

fn symbol(text: &str) -> SymbolName {
    SymbolName::new(text).unwrap()
}

/// Asks from 100.01 and bids from 99.99 on, of 1, 2, 3 … lots of 0.01; the second bid is fresh.
fn picture() -> Picture {
    let step = |exponent| Decimal {
        mantissa: 1,
        exponent,
    };
    let rows = |sign: i64, best: i64| -> Vec<Row> {
        let row = |n: i64| Row {
            price: best + sign * n,
            qty: 100 * (n + 1),
            total: 50 * (n + 1) * (n + 2),
            is_fresh: sign < 0 && n == 1,
        };
        (0..40).map(row).collect()
    };
    let trade = |n: i64| Trade {
        event_time_us: 0,
        trade_time_us: 1_723_161_255_208_000 - n * 61_000_000,
        id: n,
        price: 10_000 + n,
        qty: 1_234,
        is_buyer_maker: n % 2 == 1,
        is_best_match: true,
        aggregate: None,
    };
    Picture {
        symbol: symbol("BTCUSDT"),
        sequence: Sequence::InStep,
        stale: None,
        steps: Some(Steps {
            tick: step(-2),
            lot: step(-4),
        }),
        group: 1,
        asks: rows(1, 10_001),
        bids: rows(-1, 9_999),
        best_ask: Some(Level {
            price: 10_001,
            qty: 100,
        }),
        best_bid: Some(Level {
            price: 9_999,
            qty: 100,
        }),
        last: Some((10_001, Direction::Up)),
        trades: (0..80).map(trade).collect(),
        update_rate: 98,
        trade_rate: 123,
        latency: Ok(LatencyReport {
            events: 0,
            p50_us: 410,
            p99_us: 1_250,
            max_us: 9_000,
            basis: Basis::EventTime,
        }),
        last_id: Some(50_093_239_202),
        counters: Counters::default(),
        rejoined: None,
        shutdown_announced: false,
    }
}

fn setup(has_colour: bool) -> Setup {
    Setup {
        url: "ws://127.0.0.1:9443".into(),
        format: "sbe 20 ms".into(),
        recorded_lines: None,
        theme: Theme::new(has_colour),
    }
}

fn controls() -> Controls {
    Controls::new(symbol("BTCUSDT"), false)
}

fn drawn(width: u16, height: u16, picture: &Picture, controls: &Controls, setup: &Setup) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            draw(frame, picture, controls, setup);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let row = |cells: &[ratatui::buffer::Cell]| -> String {
        let text: String = cells.iter().map(|cell| cell.symbol()).collect();
        text.trim_end().to_owned()
    };
    buffer.content.chunks(width).map(row).collect()
}

fn text(width: u16, height: u16, picture: &Picture) -> Vec<String> {
    lines(&drawn(width, height, picture, &controls(), &setup(true)))
}

/// The line with this text, and its place.
fn find<'a>(lines: &'a [String], part: &str) -> (usize, &'a str) {
    let found = lines.iter().enumerate().find(|(_, line)| line.contains(part));
    let (place, line) = found.unwrap_or_else(|| panic!("no {part:?} in\n{}", lines.join("\n")));
    (place, line)
}

fn has(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

/// Eighths of a bar.
fn bar_length(line: &str) -> usize {
    const EIGHTHS: &str = " ▏▎▍▌▋▊▉█";
    line.chars()
        .map(|c| EIGHTHS.chars().position(|e| e == c).unwrap_or(0))
        .sum()
}

#[test]
fn a_wide_terminal_shows_everything() {
    let lines = text(110, 30, &picture());
    assert_eq!(
        lines[0],
        " BTCUSDT   in step  id 50093239202  gaps 0  resyncs 0  reconnects 0  sbe 20 ms  ws://127.0.0.1:9443"
    );
    assert_eq!(
        lines[1],
        "   9.8 updates/s    12.3 trades/s  latency p50 410 us  p99 1.25 ms  since E"
    );
    let (middle, spread) = find(&lines, "spread");
    assert!(
        spread.starts_with(" 100.01 ▲ spread 0.02  2 ticks  2.00 bps"),
        "{spread}"
    );
    let (best_ask, best_bid) = (&lines[middle - 1], &lines[middle + 1]);
    assert!(best_ask.starts_with(" 100.01    0.0100  "), "{best_ask}");
    assert!(best_bid.starts_with("  99.99    0.0100  "), "{best_bid}");
    // Newest on top; a buyer took the even ones.
    let (top, name) = find(&lines, "trades, UTC");
    assert!(name.contains("price") && name.contains("size") && name.contains("total"));
    assert!(
        lines[top + 1].ends_with("│ 23:54:15.208  100.00 ▲    0.1234"),
        "{}",
        lines[top + 1]
    );
    assert!(
        lines[top + 2].ends_with("│ 23:53:14.208  100.01 ▼    0.1234"),
        "{}",
        lines[top + 2]
    );
    assert!(
        lines[29].starts_with(" q quit  ↑↓ depth 13 (auto)  a auto"),
        "{}",
        lines[29]
    );
}

#[test]
fn a_lost_connection_leaves_its_traces() {
    let mut picture = picture();
    picture.counters.reconnects = 2;
    picture.counters.resumed = 1;
    picture.counters.conflated = 3;
    picture.counters.evicted = 1;
    for (origin, says) in [
        (BookOrigin::Resumed { after_id: 17 }, "  resumed at id 17"),
        (BookOrigin::Streamed, "  new snapshot at id 30"),
    ] {
        picture.rejoined = Some(Rejoined { origin, last_id: 30 });
        let lines = text(160, 30, &picture);
        assert!(
            lines[0].contains(&format!(
                "  reconnects 2  resumed 1  conflated 3  evicted 1{says}  "
            )),
            "{}",
            lines[0]
        );
    }
}

#[test]
fn bars_grow_with_their_quantities() {
    let lines = text(110, 30, &picture());
    let (middle, _) = find(&lines, "spread");
    let bars: Vec<usize> = (1..=13).map(|n| bar_length(&lines[middle + n])).collect();
    assert!(bars.is_sorted_by(|a, b| a < b), "{bars:?}");
    // Thirteen times the quantity, thirteen times the length, to an eighth.
    assert!(bars[12].abs_diff(13 * bars[0]) <= 13, "{bars:?}");
    assert_eq!(book::bar(1, 1_000_000, 10), "▏", "what is there is seen");
    assert_eq!(book::bar(1_000_000, 1_000_000, 3), "███");
    assert_eq!(book::bar(i64::MAX, 5, 3), "███");
    assert_eq!(book::bar(0, 5, 3), "");
    assert_eq!(book::bar(5, 10, 3), "█▌");
}

#[test]
fn sides_have_their_colours_and_what_is_fresh_is_brighter() {
    let buffer = drawn(110, 30, &picture(), &controls(), &setup(true));
    let (middle, _) = find(&lines(&buffer), "spread");
    let price_cell = |row: usize| buffer[(5, u16::try_from(row).unwrap())].clone();
    assert_eq!(price_cell(middle - 1).fg, Color::Red);
    assert_eq!(price_cell(middle + 1).fg, Color::Green);
    let fresh = price_cell(middle + 2);
    assert_eq!((fresh.fg, fresh.modifier), (Color::LightGreen, Modifier::BOLD));

    let plain = drawn(110, 30, &picture(), &controls(), &setup(false));
    assert!(
        plain
            .content
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    let fresh = plain[(5, u16::try_from(middle + 2).unwrap())].clone();
    assert_eq!(
        fresh.modifier,
        Modifier::BOLD,
        "without colour it still stands out"
    );
    assert_eq!(lines(&plain), lines(&buffer));
}

#[test]
fn with_less_width_trades_go_first_then_bars_then_totals() {
    let at = |width| text(width, 24, &picture());
    let (all, no_trades, no_bars, no_totals) = (at(80), at(60), at(30), at(20));
    assert!(has(&all, "trades") && has(&all, "█") && has(&all, "total"));
    assert!(!has(&no_trades, "trades  ") && has(&no_trades, "█") && has(&no_trades, "total"));
    assert!(!has(&no_trades, "│"));
    assert!(!has(&no_bars, "█") && has(&no_bars, "total"));
    assert!(!has(&no_totals, "total") && has(&no_totals, " 100.01  0.0100"));
    for width in 1..=200 {
        let lines = text(width, 24, &picture());
        let shown = [has(&lines, "│"), has(&lines, "█"), has(&lines, "total")];
        assert!(shown.is_sorted(), "{shown:?} at width {width}");
    }
}

#[test]
fn with_less_height_the_book_is_what_stays() {
    let lines = text(40, 10, &picture());
    assert!(lines[0].starts_with(" BTCUSDT   in step"), "{}", lines[0]);
    assert!(lines[9].starts_with(" q quit"), "{}", lines[9]);
    let (middle, _) = find(&lines, "spread");
    assert!(lines[middle - 1].contains("100.01") && lines[middle + 1].contains("99.99"));

    assert_eq!(
        text(20, 5, &picture()),
        [
            " BTCUSDT   in step",
            " 100.01  0.0100",
            " 100.01 ▲",
            "  99.99  0.0100",
            "  99.98  0.0200"
        ]
    );
    assert_eq!(text(20, 2, &picture()), [" 100.01 ▲", "  99.99  0.0100"]);
    assert_eq!(text(20, 1, &picture()), [" 100.01 ▲"]);
}

#[test]
fn staleness_cannot_be_overlooked() {
    let mut stale = picture();
    stale.stale = Some(Stale::Silent { tenths: 34 });
    for (width, height) in [(110, 30), (40, 10)] {
        let buffer = drawn(width, height, &stale, &controls(), &setup(true));
        let lines = lines(&buffer);
        let place = lines[0].find("STALE no update for 3.4 s").expect("the flag");
        let cell = &buffer[(u16::try_from(place).unwrap(), 0)];
        assert!(
            cell.modifier.contains(Modifier::REVERSED | Modifier::BOLD),
            "{cell:?}"
        );
        let (middle, _) = find(&lines, "spread");
        let price = &buffer[(5, u16::try_from(middle + 2).unwrap())];
        assert!(price.modifier.contains(Modifier::DIM), "the book fades");
    }
    stale.stale = Some(Stale::OutOfStep { tenths: 123 });
    stale.sequence = Sequence::Broken {
        reason: "gap: update 17 to 17 does not continue the book".into(),
    };
    stale.counters.gaps = 1;
    let lines = text(120, 30, &stale);
    assert!(
        lines[0].starts_with(" BTCUSDT    STALE out of step for 12.3 s   gap:"),
        "{}",
        lines[0]
    );
    assert!(has(&lines, "update 17 to 17 does not continue the book"));
    assert!(has(&lines, "gaps 1"));
}

#[test]
fn every_state_is_told() {
    let told = |sequence| {
        let mut picture = picture();
        picture.sequence = sequence;
        text(100, 24, &picture)[..3].join(" ")
    };
    assert!(told(Sequence::Connecting).contains("connecting"));
    assert!(told(Sequence::Synchronising).contains("synchronising"));
    let lost = told(Sequence::Reconnecting {
        reason: "the server closed the connection: 1012".into(),
        in_tenths: Some(8),
    });
    assert!(lost.contains("reconnecting in 0.8 s:"), "{lost}");
    assert!(lost.contains("the server closed the connection: 1012"), "{lost}");
    let ended = told(Sequence::Ended {
        reason: "the server does not know the symbol X".into(),
    });
    assert!(
        ended.contains("stopped:") && ended.contains("the symbol X"),
        "{ended}"
    );

    let mut fast = picture();
    fast.latency = Err(NoLatency::OtherPace { pace: 10.0 });
    fast.shutdown_announced = true;
    let mut setup = setup(true);
    setup.recorded_lines = Some(4_711);
    let lines = lines(&drawn(120, 24, &fast, &controls(), &setup));
    for part in [
        "no latency: a replay at 10.0x",
        "the server is ending",
        "recording: 4711 lines",
    ] {
        assert!(has(&lines, part), "{part:?} is not in\n{}", lines.join("\n"));
    }
}

#[test]
fn pause_depth_groups_and_messages_are_shown() {
    let press = |controls: &mut Controls, c| {
        controls.on_key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    };
    let mut controls = controls();
    controls.fit = 8;
    press(&mut controls, 'p');
    press(&mut controls, '-');
    press(&mut controls, 'g');
    let mut grouped = picture();
    grouped.group = controls.group();
    let shown = lines(&drawn(110, 24, &grouped, &controls, &setup(true)));
    assert!(shown[0].contains(" PAUSED "), "{}", shown[0]);
    assert!(has(&shown, "depth 7") && has(&shown, "group 2 ticks") && has(&shown, "rows of 0.02"));
    let rows = shown.iter().filter(|line| bar_length(line) > 0).count();
    assert_eq!(rows, 14);
    controls.message = Some("press the key again".into());
    let shown = lines(&drawn(110, 24, &grouped, &controls, &setup(true)));
    assert_eq!(shown[23], " press the key again");
}

#[test]
fn help_and_search_stand_in_front() {
    let mut controls = controls();
    controls.overlay = Overlay::Help;
    let shown = lines(&drawn(80, 24, &picture(), &controls, &setup(true)));
    for part in [
        "┌ keys ",
        "quit, and print the summary",
        "latency (receive time against the event time E)",
    ] {
        assert!(has(&shown, part), "{part:?} is not in\n{}", shown.join("\n"));
    }
    let names: Vec<SymbolName> = (0..40).map(|n| symbol(&format!("S{n:04}USDT"))).collect();
    controls.symbols = Symbols::Known(names);
    controls.overlay = Overlay::Search(Search {
        query: "S00".into(),
        chosen: 12,
    });
    let shown = lines(&drawn(80, 24, &picture(), &controls, &setup(true)));
    assert!(has(&shown, "/ S00"));
    assert!(
        has(&shown, "S0012USDT") && !has(&shown, "S0002USDT "),
        "the chosen one is in sight"
    );
    assert!(has(&shown, "and 27 more"));
}

#[test]
fn no_size_panics_in_any_state() {
    let mut empty = picture();
    empty.steps = None;
    empty.asks.clear();
    empty.bids.clear();
    let mut wide = picture();
    for row in wide.asks.iter_mut().chain(&mut wide.bids) {
        (row.price, row.qty, row.total) = (i64::MAX, i64::MAX, i64::MAX);
    }
    wide.best_ask = Some(Level {
        price: i64::MAX,
        qty: 0,
    });
    wide.best_bid = Some(Level {
        price: i64::MIN,
        qty: 0,
    });
    wide.sequence = Sequence::Broken {
        reason: "é".repeat(500),
    };
    wide.stale = Some(Stale::OutOfStep { tenths: u64::MAX });
    wide.trades
        .iter_mut()
        .for_each(|trade| trade.trade_time_us = i64::MIN);
    let mut help = controls();
    help.overlay = Overlay::Help;
    let mut search = controls();
    search.overlay = Overlay::Search(Search::default());
    search.symbols = Symbols::Known((0..50).map(|n| symbol(&format!("X{n}"))).collect());
    search.message = Some("m".repeat(300));
    for (is_usual, picture) in [(true, &picture()), (false, &empty), (false, &wide)] {
        for controls in [&controls(), &help, &search] {
            for width in (1..=30).chain((31..=200).step_by(7)) {
                for height in (1..=16).chain((17..=60).step_by(9)) {
                    let buffer = drawn(width, height, picture, controls, &setup(true));
                    assert_eq!((buffer.area.width, buffer.area.height), (width, height));
                    let is_blank = buffer.content.iter().all(|cell| cell.symbol() == " ");
                    assert!(!is_blank || width < 4 || !is_usual, "{width}x{height}");
                }
            }
        }
    }
}
