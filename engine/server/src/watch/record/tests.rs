//! Lines, order of time, disks that are full, and files that are in the way.

use depthcast_feed_sim::capture::CaptureReader;
use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::Exponents;

use super::*;

fn instrument() -> Instrument {
    Instrument::new("ETHUSDT", Exponents { price: -2, qty: -3 }, 1, 1).unwrap()
}

const LEVEL: Level = Level {
    price: 250_012,
    qty: 1_500,
};

fn update(first_id: u64, last_id: u64) -> DepthUpdate {
    DepthUpdate {
        event_time_us: 1_700_000_000_123_999,
        first_id,
        last_id,
        bids: vec![LEVEL],
        asks: Vec::new(),
    }
}

fn depth(update: &DepthUpdate, is_first_of_connection: bool) -> Received<'_> {
    Received::Depth {
        update,
        is_first_of_connection,
        epoch: None,
    }
}

fn snapshot() -> BookSnapshot {
    BookSnapshot {
        last_id: 12,
        bids: vec![LEVEL],
        asks: Vec::new(),
    }
}

fn whole(snapshot: &BookSnapshot, epoch: Option<u64>) -> Received<'_> {
    Received::Snapshot { snapshot, epoch }
}

#[test]
fn a_capture_reader_takes_every_cadence_and_kind() {
    let folder = folder();
    for cadence in Cadence::ALL {
        for suffix in ["capture", "gz"] {
            let path = folder.0.join(format!("{}.{suffix}", cadence.suffix()));
            let recorder = Recorder::create(&path, cadence).unwrap();
            let mut tap = recorder.tap();
            let trade = Trade {
                event_time_us: 1_700_000_000_500_500,
                trade_time_us: 1_700_000_000_499_999,
                id: 7,
                price: LEVEL.price,
                qty: LEVEL.qty,
                is_buyer_maker: true,
                is_best_match: true,
                aggregate: None,
            };
            let best = BestBidAsk {
                event_time_us: Some(5),
                update_id: 14,
                bid: LEVEL,
                ask: LEVEL,
            };
            tap(2_000, &instrument(), depth(&update(10, 13), true));
            tap(3_000, &instrument(), whole(&snapshot(), None));
            // Read off the socket before the snapshot was asked for.
            tap(2_500, &instrument(), Received::BestBidAsk(&best));
            tap(4_000, &instrument(), Received::Trade(&trade));
            let recorded = recorder.finish().unwrap();
            assert_eq!((recorded.lines, recorded.ended_at_epoch), (4, false));

            let mut reader = CaptureReader::open(&path).unwrap();
            let [symbol] = &reader.head().symbols[..] else {
                panic!("one symbol");
            };
            assert_eq!(symbol.instrument.name(), "ETHUSDT");
            assert_eq!(symbol.depth_cadence_ms, Some(cadence.millis()));
            let mut events = Vec::new();
            while let Some(record) = reader.next_record().unwrap() {
                events.push((record.at_ns, record.event));
            }
            let cut = DepthUpdate {
                event_time_us: 1_700_000_000_123_000,
                ..update(10, 13)
            };
            assert_eq!(events[0], (2_000_000, MarketEvent::Depth(cut)));
            assert_eq!(events[1], (3_000_000, MarketEvent::Snapshot(snapshot())));
            let best = BestBidAsk {
                event_time_us: None,
                ..best
            };
            assert_eq!(events[2], (3_000_000, MarketEvent::BestBidAsk(best)));
            let MarketEvent::Trade(trade) = &events[3].1 else {
                panic!("{:?}", events[3]);
            };
            let times = (trade.event_time_us, trade.trade_time_us);
            assert_eq!(times, (1_700_000_000_500_000, 1_700_000_000_499_000));
        }
    }
}

#[test]
fn lines_are_on_the_disk_within_a_second() {
    let folder = folder();
    let path = folder.0.join("x.capture");
    let recorder = Recorder::create(&path, Cadence::Ms20).unwrap();
    recorder.tap()(1, &instrument(), depth(&update(1, 2), true));
    let expected = concat!(
        r#"1000 {"stream":"ethusdt@depth@20ms","data":{"e":"depthUpdate","E":1700000000123,"s":"ETHUSDT","#,
        r#""U":1,"u":2,"b":[["2500.12","1.500"]],"a":[]}}"#,
        "\n"
    );
    let start = std::time::Instant::now();
    while std::fs::read_to_string(&path).unwrap() != expected {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was written");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(recorder);
}

#[test]
fn a_full_disk_is_told_with_the_files_name() {
    let full = Path::new("/dev/full");
    let file = OpenOptions::new().write(true).open(full).unwrap();
    let mut recording = Recording::new(full, Sink::new(file, false), Cadence::Ms20);
    recording.note(1, &instrument(), depth(&update(1, 2), true));
    assert!(recording.state().is_ok(), "it is in the buffer");
    recording.flush();
    let error = recording.state().unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write /dev/full: "),
        "{error}"
    );
    assert_eq!(error.exit_code(), EXIT_HOST);
    recording.note(2, &instrument(), depth(&update(3, 4), false));
    assert_eq!(recording.recorded.lines, 1, "nothing more is taken");
}

#[test]
fn what_no_reader_takes_is_refused() {
    let folder = folder();
    let recorder = Recorder::create(&folder.0.join("x"), Cadence::Ms20).unwrap();
    let mut large = update(1, 2);
    large.bids = vec![LEVEL; LEVELS_PER_SIDE_MAX + 1];
    recorder.tap()(1, &instrument(), depth(&large, true));
    let error = recorder.state().unwrap_err();
    assert!(
        error.to_string().contains("cannot hold an event of 10001 levels"),
        "{error}"
    );
}

#[test]
fn ids_that_go_back_end_it_only_on_a_new_connection() {
    let folder = folder();
    let path = folder.0.join("x");
    let recorder = Recorder::create(&path, Cadence::Ms20).unwrap();
    let mut tap = recorder.tap();
    tap(1, &instrument(), depth(&update(10, 20), true));
    // An overlap is a fault of the server: kept, so that its replay shows it.
    tap(2, &instrument(), depth(&update(15, 18), false));
    tap(3, &instrument(), depth(&update(21, 22), true));
    assert!(!recorder.state().unwrap().ended_at_epoch);
    tap(4, &instrument(), depth(&update(1, 2), true));
    tap(5, &instrument(), depth(&update(3, 4), false));
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.lines, recorded.ended_at_epoch), (3, true));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
}

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder() -> Folder {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "depthcast-record-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}

#[test]
fn another_history_ends_it_also_where_its_ids_are_higher() {
    let folder = folder();
    let path = folder.0.join("epochs");
    let recorder = Recorder::create(&path, Cadence::Ms20).unwrap();
    let mut tap = recorder.tap();
    for (update, epoch) in [(update(13, 14), 7), (update(900, 901), 8)] {
        let received = Received::Depth {
            update: &update,
            is_first_of_connection: true,
            epoch: Some(epoch),
        };
        tap(1, &instrument(), received);
    }
    drop(tap);
    let recorded = recorder.finish().unwrap();
    assert!(recorded.ended_at_epoch);
    assert_eq!(recorded.lines, 1);
}

/// A server that cannot resume sends its book before any update.
#[test]
fn the_book_of_another_history_ends_it_too() {
    let folder = folder();
    let path = folder.0.join("book");
    let recorder = Recorder::create(&path, Cadence::Ms20).unwrap();
    let mut tap = recorder.tap();
    let update = update(13, 14);
    let received = Received::Depth {
        update: &update,
        is_first_of_connection: true,
        epoch: Some(7),
    };
    tap(1, &instrument(), received);
    tap(2, &instrument(), whole(&snapshot(), Some(7)));
    assert!(!recorder.state().unwrap().ended_at_epoch);
    tap(3, &instrument(), whole(&snapshot(), Some(8)));
    drop(tap);
    let recorded = recorder.finish().unwrap();
    assert_eq!((recorded.lines, recorded.ended_at_epoch), (2, true));
}
