//! The recorded market, read and replayed.

use std::path::PathBuf;

use depthcast_feed_sim::capture::{
    AtEnd, CaptureOptions, CaptureReader, Finish, Next, Record, Replay, Speed,
};
use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::Exponents;

/// The environment variable that names the folder of recorded markets.
const FOLDER_VARIABLE: &str = "DEPTHCAST_CAPTURES";
const CAPTURE: &str = "spot_btcusdt_20240808.gz";

fn capture() -> PathBuf {
    let folder = std::env::var_os(FOLDER_VARIABLE).unwrap_or_else(|| {
        panic!(
            "set {FOLDER_VARIABLE} to the folder that holds {CAPTURE}: this test reads the recorded market"
        )
    });
    PathBuf::from(folder).join(CAPTURE)
}

/// Depth updates, best bid/asks, trades, snapshots.
#[derive(Debug, Default, PartialEq)]
struct Counts([u32; 4]);

impl Counts {
    const WHOLE: Counts = Counts([3_451, 28_040, 9_757, 1]);

    fn note(&mut self, record: &Record) {
        assert_eq!(record.symbol.as_str(), "BTCUSDT");
        let (kind, stream) = match &record.event {
            MarketEvent::Depth(_) => (0, Some("btcusdt@depth@100ms")),
            MarketEvent::BestBidAsk(_) => (1, Some("btcusdt@bookTicker")),
            MarketEvent::Trade(_) => (2, Some("btcusdt@trade")),
            MarketEvent::Snapshot(_) => (3, None),
        };
        assert_eq!(record.stream.as_deref(), stream);
        self.0[kind] += 1;
    }
}

#[test]
fn the_head_tells_the_symbol_and_its_cadence() {
    let reader = CaptureReader::open(&capture()).unwrap();
    let head = reader.head();
    assert_eq!(head.first_ns, 1_723_161_253_937_085_768);
    assert_eq!(head.symbols.len(), 1);
    let symbol = &head.symbols[0];
    assert_eq!(symbol.instrument.name(), "BTCUSDT");
    assert_eq!(symbol.instrument.exponents(), Exponents { price: -8, qty: -8 });
    assert_eq!(symbol.instrument.tick_size().to_string(), "0.01000000");
    assert_eq!(symbol.instrument.lot_size().to_string(), "0.00001000");
    assert_eq!(symbol.depth_cadence_ms, Some(100));
}

#[test]
fn every_record_is_read_in_order() {
    let mut reader = CaptureReader::open(&capture()).unwrap();
    let mut counts = Counts::default();
    let mut lines = 0;
    let mut previous_ns = reader.head().first_ns;
    while let Some(record) = reader.next_record().unwrap() {
        lines += 1;
        assert_eq!(record.line_number, lines);
        assert!(record.at_ns >= previous_ns);
        previous_ns = record.at_ns;
        counts.note(&record);
        if let MarketEvent::Snapshot(snapshot) = &record.event {
            assert_eq!((record.line_number, snapshot.last_id), (8, 50_093_239_218));
            assert_eq!((snapshot.bids.len(), snapshot.asks.len()), (1_000, 1_000));
        }
        reader.recycle(record.event);
    }
    assert_eq!(lines, 41_249);
    assert_eq!(counts, Counts::WHOLE);
    assert_eq!(reader.partial_depths_passed_over(), 0);
}

/// Plays to the end in virtual time; gives the counts and how long it took, ns.
fn play(speed: Speed) -> (Counts, u64) {
    let path = capture();
    let options = CaptureOptions {
        path: path.clone(),
        speed,
        start_subscribers: 0,
        at_end: AtEnd::Exit,
    };
    let mut replay = Replay::new(CaptureReader::open(&path).unwrap(), &options);
    let mut counts = Counts::default();
    let start_ns = 77;
    let mut now_ns = start_ns;
    loop {
        match replay.poll(now_ns).unwrap() {
            Next::Wait(until_ns) => {
                assert!(until_ns > now_ns);
                now_ns = until_ns;
            }
            Next::Record(record) => {
                assert_eq!(replay.recorded_now_ns(now_ns), Some(record.at_ns));
                counts.note(&record);
                replay.recycle(record.event);
            }
            Next::End(finish) => {
                assert_eq!(finish, Finish::Exit);
                return (counts, now_ns - start_ns);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_replay_keeps_the_recorded_pace() {
    let (counts, real_ns) = play(Speed::Times(1.0));
    assert_eq!(counts, Counts::WHOLE);
    assert_eq!(real_ns / 1_000_000_000, 346);
    let (counts, fast_ns) = play(Speed::Times(100.0));
    assert_eq!(counts, Counts::WHOLE);
    assert_eq!(fast_ns, real_ns.div_ceil(100));
    let (counts, none_ns) = play(Speed::Max);
    assert_eq!(counts, Counts::WHOLE);
    assert_eq!(none_ns, 0);
}
