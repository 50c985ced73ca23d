//! The ground floor's containers, small enough for the processor's caches and too large for them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use depthcast::mem::slab::Slab;
use depthcast::mem::wheel::Wheel;

/// Entries: of a busy worker, and of the largest that there may be.
const SIZES: [u32; 2] = [10_000, 1_000_000];

/// About what a worker keeps for a connection.
type Entry = [u64; 8];

/// A step through a table that comes by each of its places once, far from the one before. It has no divisor in common
/// with the sizes.
const STRIDE: u64 = 618_033;

/// When pings are due, ticks from now: deadlines spread over that.
const PING_TICKS: u32 = 200;

/// The keys below `size`, as if drawn.
fn scattered(size: u32) -> impl Iterator<Item = u32> {
    (0..u64::from(size)).map(move |i| (i * STRIDE % u64::from(size)) as u32)
}

/// A full slab, filled in the order of its keys.
fn filled(size: u32) -> Slab<Entry> {
    let mut slab = Slab::new(size);
    for i in 0..size {
        slab.insert([i.into(); 8]).expect("room for all");
    }
    slab
}

/// A full slab and its keys in the order of arrival, after every entry has gone and another has come, in no order.
fn churned(size: u32) -> (Slab<Entry>, Vec<u32>) {
    let mut slab = filled(size);
    for key in scattered(size) {
        slab.remove(key).expect("it is there");
    }
    let keys = (0..size).map(|i| slab.insert([i.into(); 8]).expect("room for all"));
    let keys = keys.collect();
    (slab, keys)
}

fn slab(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slab");
    for size in SIZES {
        group.throughput(Throughput::Elements(size.into()));
        group.bench_function(BenchmarkId::new("insert_from_empty", size), |bencher| {
            bencher.iter_batched(|| (), |()| filled(size), BatchSize::PerIteration);
        });
        let dense = (filled(size), (0..size).collect());
        for (state, (mut slab, keys)) in [("dense", dense), ("churned", churned(size))] {
            group.bench_function(BenchmarkId::new(format!("get_{state}"), size), |bencher| {
                bencher.iter(|| {
                    for &key in &keys {
                        black_box(slab.get(key));
                    }
                });
            });
            group.bench_function(
                BenchmarkId::new(format!("remove_and_insert_{state}"), size),
                |bencher| {
                    bencher.iter(|| {
                        for &key in &keys {
                            let entry = slab.remove(key).expect("it is there");
                            black_box(slab.insert(entry)).expect("room again");
                        }
                    });
                },
            );
        }
    }
    group.finish();
}

/// Gives every entry a deadline, in no order.
fn arm_all(wheel: &mut Wheel, size: u32, now: u32) {
    for id in scattered(size) {
        wheel.arm(id, now + 1 + id % PING_TICKS);
    }
}

fn pop_all(wheel: &mut Wheel, now: u32) -> usize {
    std::iter::from_fn(|| wheel.pop_expired(now)).count()
}

fn wheel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    for size in SIZES {
        group.throughput(Throughput::Elements(size.into()));
        let mut wheel = Wheel::new(0);
        let mut now = 0;
        // Made before, so that arming is measured without the growth of the table.
        arm_all(&mut wheel, size, now);
        group.bench_function(BenchmarkId::new("arm_again", size), |bencher| {
            bencher.iter(|| arm_all(&mut wheel, size, now));
        });
        group.bench_function(BenchmarkId::new("cancel", size), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    arm_all(&mut wheel, size, now);
                    let start = Instant::now();
                    scattered(size).for_each(|id| wheel.cancel(id));
                    start.elapsed()
                })
            });
        });
        assert_eq!(wheel.armed(), 0);
        group.bench_function(BenchmarkId::new("arm", size), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    let start = Instant::now();
                    arm_all(&mut wheel, size, now);
                    let elapsed = start.elapsed();
                    scattered(size).for_each(|id| wheel.cancel(id));
                    elapsed
                })
            });
        });
        group.bench_function(BenchmarkId::new("pop", size), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(iterations, || {
                    arm_all(&mut wheel, size, now);
                    now += PING_TICKS;
                    let start = Instant::now();
                    let popped = pop_all(&mut wheel, now);
                    let elapsed = start.elapsed();
                    assert_eq!(popped, size as usize);
                    elapsed
                })
            });
        });
    }
    group.finish();
}

/// The time that `once` says it took, over so many times.
fn timed(iterations: u64, mut once: impl FnMut() -> Duration) -> Duration {
    (0..iterations).map(|_| once()).sum()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10);
    targets = slab, wheel
}
criterion_main!(benches);
