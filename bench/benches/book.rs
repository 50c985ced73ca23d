//! The versioned book over the recorded market: applying its updates, and asking for differences.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use depthcast_bench::recorded::{RecordedMarket, recorded_market};
use depthcast_market::book::{Book, BookLimits};
use depthcast_market::event::{BookSnapshot, DepthUpdate};

/// How many updates a difference merges: 100 ms, 1 s and 10 s of the recorded market.
const MERGED: [usize; 3] = [1, 10, 100];

fn loaded(snapshot: &BookSnapshot) -> Book {
    let mut book = Book::new(BookLimits::default());
    book.load(snapshot).expect("the recorded snapshot");
    book
}

fn recorded() -> (BookSnapshot, Vec<DepthUpdate>) {
    let RecordedMarket {
        snapshot, updates, ..
    } = recorded_market().unwrap_or_else(|error| panic!("{error}"));
    (snapshot, updates)
}

fn apply(criterion: &mut Criterion) {
    let (snapshot, updates) = recorded();
    let start = loaded(&snapshot);
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(updates.len() as u64));
    group.bench_function("whole_capture", |bencher| {
        bencher.iter_batched(
            || start.clone(),
            |mut book| {
                for update in &updates {
                    book.apply(update).expect("a recorded update");
                }
                book
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn diff_since(criterion: &mut Criterion) {
    let (snapshot, updates) = recorded();
    let mut book = loaded(&snapshot);
    for update in &updates {
        book.apply(update).expect("a recorded update");
    }
    let mut group = criterion.benchmark_group("diff_since");
    let mut diff = DepthUpdate::default();
    for merged in MERGED {
        let since = updates[updates.len() - 1 - merged].last_id;
        book.diff_since(since, &mut diff).expect("recent enough");
        group.throughput(Throughput::Elements((diff.bids.len() + diff.asks.len()) as u64));
        group.bench_function(format!("{merged}_updates"), |bencher| {
            bencher.iter(|| book.diff_since(black_box(since), &mut diff));
        });
    }
    group.finish();
}

criterion_group!(benches, apply, diff_since);
criterion_main!(benches);
