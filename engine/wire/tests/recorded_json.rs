//! Every frame of the recorded market, decoded and encoded again, must come out byte for byte.

mod json_payload;

use std::io::{BufRead, BufReader};

use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::json::{Decoder, Symbol, encode};
use depthcast_wire::time_unit::TimeUnit;
use json_payload::encode_event;

/// The environment variable that names the folder of recorded markets.
const FOLDER_VARIABLE: &str = "DEPTHCAST_CAPTURES";
const CAPTURE: &str = "spot_btcusdt_20240808.gz";

/// The frames of the capture, without their receive times.
fn recorded_frames() -> Vec<Vec<u8>> {
    let folder = std::env::var_os(FOLDER_VARIABLE).unwrap_or_else(|| {
        panic!(
            "set {FOLDER_VARIABLE} to the folder that holds {CAPTURE}: this test reads the recorded market"
        )
    });
    let path = std::path::Path::new(&folder).join(CAPTURE);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = BufReader::new(flate2::read::MultiGzDecoder::new(file));
    reader
        .split(b'\n')
        .map(|line| {
            let line = line.expect("the capture is whole");
            let space = line.iter().position(|&b| b == b' ').expect("a receive time");
            line[space + 1..].to_vec()
        })
        .collect()
}

fn bitcoin() -> Instrument {
    Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).expect("a valid instrument")
}

#[test]
fn every_recorded_frame_survives_decoding_and_encoding() {
    let instrument = bitcoin();
    let mut decoder = Decoder::default();
    let (mut depth, mut best, mut trades, mut snapshots) = (0, 0, 0, 0);
    let mut frame = Vec::new();
    for (place, recorded) in recorded_frames().iter().enumerate() {
        let mut bytes = recorded.clone();
        let decoded = decoder
            .decode(&mut bytes, &mut |_| instrument.exponents())
            .unwrap_or_else(|error| panic!("line {}: {error}", place + 1));
        let payload = encode_event(&decoded.event, &instrument, TimeUnit::Millisecond);
        match decoded.event {
            MarketEvent::Depth(_) => depth += 1,
            MarketEvent::BestBidAsk(_) => best += 1,
            MarketEvent::Trade(_) => trades += 1,
            MarketEvent::Snapshot(_) => snapshots += 1,
        }
        frame.clear();
        match decoded.stream {
            Some(stream) => {
                assert_eq!(decoded.symbol, Symbol::new("BTCUSDT").unwrap());
                encode::combined(&mut frame, stream, &payload);
                let data = recorded.len() - 1 - payload.len();
                assert_eq!(&recorded[data..recorded.len() - 1], payload, "line {}", place + 1);
            }
            None => {
                assert_eq!(decoded.symbol, Symbol::NONE);
                frame.extend_from_slice(&payload);
            }
        }
        assert!(frame == *recorded, "line {}: not the recorded bytes", place + 1);
        decoder.recycle(decoded.event);
    }
    assert_eq!((depth, best, trades, snapshots), (3_451, 28_040, 9_757, 1));
}

#[test]
fn every_recorded_event_shows_its_precision() {
    let mut decoder = Decoder::default();
    let mut without_levels = 0;
    for recorded in recorded_frames() {
        let mut bytes = recorded;
        let precision = decoder.precision(&mut bytes).expect("an event");
        match precision.exponents {
            Some(exponents) => assert_eq!(exponents, Exponents { price: -8, qty: -8 }),
            None => without_levels += 1,
        }
    }
    assert_eq!(without_levels, 0, "every recorded event has a level");
}
