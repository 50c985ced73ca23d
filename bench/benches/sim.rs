//! The simulated exchange: its steps, with the events that come of them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use depthcast_feed_sim::sim::{Exchange, SimOptions};

/// One symbol stays in the processor's caches; a thousand, at some 60 KB each, do not.
const SYMBOLS: [u32; 2] = [1, 1_000];

/// The rate decides when steps are due, not what they cost.
const RATE: u32 = 50;

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(1));
    for symbols in SYMBOLS {
        let mut exchange = Exchange::new(&SimOptions {
            symbols,
            rate: RATE..=RATE,
            seed: 1,
        });
        let mut events = Vec::new();
        group.bench_function(format!("{symbols}_symbols"), |bencher| {
            bencher.iter(|| {
                events.clear();
                exchange.step(&mut events);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
