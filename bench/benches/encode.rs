//! The codecs over the recorded market: events of each kind as JSON and as SBE, and the depth events of a feed parsed.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use depthcast_bench::recorded::{RecordedMarket, recorded_market};
use depthcast_market::event::{DepthUpdate, MarketEvent};
use depthcast_wire::json::Decoder;
use depthcast_wire::json::encode as json;
use depthcast_wire::sbe::encode as sbe;
use depthcast_wire::time_unit::TimeUnit;

/// What a recorded depth event's frame is wrapped with.
const STREAM: &str = "btcusdt@depth@100ms";

fn recorded() -> RecordedMarket {
    recorded_market().unwrap_or_else(|error| panic!("{error}"))
}

fn levels(updates: &[DepthUpdate]) -> usize {
    let of_one = |update: &DepthUpdate| update.bids.len() + update.asks.len();
    updates.iter().map(of_one).sum()
}

/// Measures writing each of `events`, one at a time, into memory that is there.
fn each<E>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    elements: usize,
    events: &[E],
    encode: impl Fn(&mut Vec<u8>, &E),
) {
    let mut out = Vec::new();
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for event in events {
                out.clear();
                encode(&mut out, event);
                black_box(&out);
            }
        });
    });
}

fn encode(criterion: &mut Criterion) {
    let market = recorded();
    let RecordedMarket {
        updates,
        bests,
        trades,
        ..
    } = &market;
    let instrument = &market.instrument;
    let as_json = |out: &mut Vec<u8>, update: &DepthUpdate| {
        json::depth_update(out, instrument, TimeUnit::Millisecond, update);
    };
    let as_sbe = |out: &mut Vec<u8>, update: &DepthUpdate| {
        sbe::depth_diff(out, instrument, update).expect("a recorded update");
    };
    let mut group = criterion.benchmark_group("encode");
    for (unit, elements) in [("event", updates.len()), ("level", levels(updates))] {
        each(
            &mut group,
            &format!("depth_json/{unit}"),
            elements,
            updates,
            as_json,
        );
        each(
            &mut group,
            &format!("depth_sbe/{unit}"),
            elements,
            updates,
            as_sbe,
        );
    }
    each(&mut group, "book_ticker_json", bests.len(), bests, |out, best| {
        json::book_ticker(out, instrument, best);
    });
    each(&mut group, "book_ticker_sbe", bests.len(), bests, |out, best| {
        sbe::best_bid_ask(out, instrument, 0, best).expect("a recorded best bid and ask");
    });
    each(&mut group, "trade_json", trades.len(), trades, |out, trade| {
        json::trade(out, instrument, TimeUnit::Millisecond, trade);
    });
    each(&mut group, "trade_sbe", trades.len(), trades, |out, trade| {
        sbe::trades(out, instrument, std::slice::from_ref(trade)).expect("a recorded trade");
    });
    group.finish();
}

/// Parsing as a feed does it: the frame is in a buffer of the feed's own, in which the parser may write, and the spent
/// event's memory is used again.
fn decode(criterion: &mut Criterion) {
    let market = recorded();
    let frames: Vec<Vec<u8>> = market
        .updates
        .iter()
        .map(|update| {
            let (mut event, mut frame) = (Vec::new(), Vec::new());
            json::depth_update(&mut event, &market.instrument, TimeUnit::Millisecond, update);
            json::combined(&mut frame, STREAM, &event);
            frame
        })
        .collect();
    let exponents = market.instrument.exponents();
    let mut decoder = Decoder::default();
    let mut buffer = Vec::new();
    let mut parse = |frame: &[u8]| {
        buffer.clear();
        buffer.extend_from_slice(frame);
        decoder
            .decode(&mut buffer, &mut |_| exponents)
            .expect("a recorded event")
            .event
    };
    // The encoder and the parser agree, and so the frames are those that were recorded.
    assert_eq!(parse(&frames[0]), MarketEvent::Depth(market.updates[0].clone()));

    let mut group = criterion.benchmark_group("decode");
    for (unit, elements) in [("event", frames.len()), ("level", levels(&market.updates))] {
        group.throughput(Throughput::Elements(elements as u64));
        group.bench_function(format!("depth_json/{unit}"), |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    buffer.clear();
                    buffer.extend_from_slice(frame);
                    let decoded = decoder.decode(&mut buffer, &mut |_| exponents);
                    let event = black_box(decoded.expect("a recorded event").event);
                    decoder.recycle(event);
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30);
    targets = encode, decode
}
criterion_main!(benches);
