//! What is kept of trades: a trade of the recorded market, and a second of a thousand symbols.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use depthcast_bench::recorded::recorded_market;
use depthcast_market::event::Trade;
use depthcast_market::interval::SECOND_US;
use depthcast_market::limits::RecordLimits;
use depthcast_market::record::TradeRecord;
use depthcast_market::series::Wanted;

/// More than fit the processor's caches, at some 7 KB each before their rings fill.
const SYMBOLS: usize = 1_000;

/// A trade in each second.
fn trade(at_us: i64) -> Trade {
    Trade {
        event_time_us: at_us,
        trade_time_us: at_us,
        id: at_us / SECOND_US,
        price: 100_000 + at_us / SECOND_US % 100,
        qty: 10,
        is_buyer_maker: false,
        is_best_match: true,
        aggregate: None,
    }
}

fn on_trade(criterion: &mut Criterion) {
    let trades = recorded_market().unwrap_or_else(|error| panic!("{error}")).trades;
    let first = trades[0];
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(trades.len() as u64));
    group.bench_function("recorded_trades", |bencher| {
        bencher.iter_batched(
            || TradeRecord::new(RecordLimits::default(), &first, first.event_time_us),
            |mut record| {
                for trade in &trades {
                    record.on_trade(trade, trade.event_time_us, Wanted::default(), &mut |_, _| {});
                }
                record
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn second(criterion: &mut Criterion) {
    let limits = RecordLimits::of_symbols(SYMBOLS);
    let mut now_us = 1_723_075_200 * SECOND_US;
    let mut records: Vec<TradeRecord> = (0..SYMBOLS)
        .map(|_| TradeRecord::new(limits, &trade(now_us), now_us))
        .collect();
    let mut group = criterion.benchmark_group("second");
    group.throughput(Throughput::Elements(SYMBOLS as u64));
    group.bench_function(format!("{SYMBOLS}_symbols"), |bencher| {
        bencher.iter(|| {
            now_us += SECOND_US;
            for record in &mut records {
                record.on_time(now_us, Wanted::default(), &mut |_, _| {});
                record.on_trade(&trade(now_us), now_us, Wanted::default(), &mut |_, _| {});
                black_box(record.due_us());
            }
        });
    });
    group.bench_function(format!("{SYMBOLS}_days"), |bencher| {
        bencher.iter(|| records.iter().map(|record| record.day().volume).sum::<i128>());
    });
    group.finish();
}

criterion_group!(benches, on_trade, second);
criterion_main!(benches);
