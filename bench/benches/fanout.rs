//! The fan-out alone, with sockets that cost nothing: what the engine itself does for a frame, a member and a change of
//! subscription.

use std::hint::black_box;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use depthcast::fanout::{Fanout, FanoutEvent, FanoutLimits, Ids, MemberId, TopicId, Wire, WriteOutcome};

/// A payload of 128 bytes with its header of 4.
const FRAME_BYTES: usize = 132;

/// Frames that wait where many do.
const WAITING: usize = 64;

/// Members of one group where they are many.
const MEMBERS: u32 = 10_000;

/// Members that a worker visits in one slice.
const VISITS: usize = 1024;

/// Bounds that no bench comes near.
const LIMITS: FanoutLimits = FanoutLimits {
    retention_bytes: 64 << 20,
    prefix_bytes_max: 64 << 20,
    lossless: false,
};

/// Sockets that take everything, or a half of everything.
struct Sockets {
    are_full: bool,
}

const READY: Sockets = Sockets { are_full: false };

impl Wire for Sockets {
    fn write(&mut self, member: MemberId, slices: &[IoSlice<'_>]) -> WriteOutcome {
        black_box((member, slices));
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        WriteOutcome::Wrote(if self.are_full { offered / 2 } else { offered })
    }
}

/// A frame in memory that is shared and counted, as the engine makes them.
fn frame() -> Bytes {
    Bytes::from(vec![0x2a; FRAME_BYTES])
}

fn flush_all(fanout: &mut Fanout, mut sockets: Sockets) {
    while fanout.has_work() {
        fanout.flush(&mut sockets, VISITS);
    }
}

fn topics(fanout: &mut Fanout, count: usize) -> Vec<TopicId> {
    let created = (0..count).map(|_| fanout.create_topic().expect("room for a topic"));
    created.collect()
}

fn join(fanout: &mut Fanout, member: MemberId, topics: &[TopicId]) {
    fanout.add(member);
    fanout.set_topics(member, topics).expect("room for a group");
}

/// A topic that so many groups want, of so many members each.
fn wanted(groups: u32, members: u32) -> (Fanout, TopicId) {
    let mut fanout = Fanout::new(LIMITS);
    let topic = topics(&mut fanout, 1)[0];
    let others = topics(&mut fanout, groups as usize);
    for member in 0..groups * members {
        join(&mut fanout, member, &[topic, others[(member % groups) as usize]]);
    }
    (fanout, topic)
}

/// Appending to the logs of groups, for each group. Every now and then they are flushed, untimed, so that they stay as
/// short as they are in an engine.
fn append(criterion: &mut Criterion) {
    let frame = frame();
    let mut group = criterion.benchmark_group("append");
    for (groups, members) in [(1, 1), (1, 10), (100, 1), (100, 10)] {
        let (mut fanout, topic) = wanted(groups, members);
        group.throughput(Throughput::Elements(groups.into()));
        group.bench_function(format!("{groups}_groups_of_{members}"), |bencher| {
            bencher.iter_custom(|iterations| {
                let (mut left, mut elapsed) = (iterations, Duration::ZERO);
                while left > 0 {
                    let publishes = left.min(WAITING as u64);
                    let start = Instant::now();
                    for _ in 0..publishes {
                        fanout.publish(black_box(topic), &frame, Ids::default());
                    }
                    elapsed += start.elapsed();
                    left -= publishes;
                    flush_all(&mut fanout, READY);
                }
                elapsed
            });
        });
    }
    group.finish();
}

/// A pass over one group with so many frames waiting, for each member.
fn pass(criterion: &mut Criterion) {
    let frame = frame();
    let mut group = criterion.benchmark_group("pass");
    group.throughput(Throughput::Elements(MEMBERS.into()));
    for frames in [1, WAITING] {
        let (mut fanout, topic) = wanted(1, MEMBERS);
        group.bench_function(BenchmarkId::new("frames", frames), |bencher| {
            bencher.iter(|| {
                (0..frames).for_each(|_| fanout.publish(topic, &frame, Ids::default()));
                flush_all(&mut fanout, READY);
            });
        });
        group.bench_function(BenchmarkId::new("frames_in_halves", frames), |bencher| {
            bencher.iter(|| {
                (0..frames).for_each(|_| fanout.publish(topic, &frame, Ids::default()));
                half_and_half(&mut fanout);
            });
        });
    }
    group.finish();
}

/// Every socket takes half of what it is offered, and the rest once it is writable again.
fn half_and_half(fanout: &mut Fanout) {
    let mut events = Vec::new();
    flush_all(fanout, Sockets { are_full: true });
    fanout.take_events(&mut events);
    assert_eq!(events.len(), MEMBERS as usize);
    for event in events.drain(..) {
        if let FanoutEvent::Blocked(member) = event {
            fanout.on_writable(member);
        }
    }
    flush_all(fanout, READY);
    fanout.take_events(&mut events);
    assert_eq!(events.len(), MEMBERS as usize);
}

/// Streams of a connection in the benches of changes and of many groups.
const STREAMS: usize = 10;

/// A change of subscription: one stream more, and one less again, by each member in turn.
fn set_topics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("set_topics");
    group.throughput(Throughput::Elements(2 * u64::from(MEMBERS)));
    let mut fanout = Fanout::new(LIMITS);
    let all = topics(&mut fanout, STREAMS + 1);
    let (many, few) = (all.as_slice(), &all[..STREAMS]);
    // Those who keep both groups.
    join(&mut fanout, MEMBERS, many);
    join(&mut fanout, MEMBERS + 1, few);
    for member in 0..MEMBERS {
        join(&mut fanout, member, few);
    }
    group.bench_function("groups_of_many", |bencher| {
        back_and_forth(bencher, &mut fanout, |_| (few, many));
    });

    // The same, but each has a stream that nobody else has, so that each change makes a group and gives one up.
    let own = topics(&mut fanout, MEMBERS as usize);
    let sets: Vec<(Vec<TopicId>, Vec<TopicId>)> = own
        .iter()
        .map(|&own| ([few, &[own]].concat(), [many, &[own]].concat()))
        .collect();
    for member in 0..MEMBERS {
        fanout
            .set_topics(member, &sets[member as usize].0)
            .expect("room for a group");
    }
    group.bench_function("groups_of_one", |bencher| {
        back_and_forth(bencher, &mut fanout, |member| {
            let (few, many) = &sets[member as usize];
            (few, many)
        });
    });
    group.finish();
}

fn back_and_forth<'t>(
    bencher: &mut Bencher<'_>,
    fanout: &mut Fanout,
    sets: impl Fn(MemberId) -> (&'t [TopicId], &'t [TopicId]),
) {
    let mut events = Vec::new();
    bencher.iter(|| {
        for member in 0..MEMBERS {
            let (few, many) = sets(member);
            fanout.set_topics(member, many).expect("room for a group");
            fanout.set_topics(member, few).expect("room for a group");
        }
        events.clear();
        fanout.take_events(&mut events);
    });
}

/// Topics that the groups of one choose from.
const TOPICS: usize = 1000;

/// Everybody in a group alone: a frame for each of many topics, to all who want it. For each frame delivered.
fn groups_of_one(criterion: &mut Criterion) {
    let mut fanout = Fanout::new(LIMITS);
    let topics = topics(&mut fanout, TOPICS);
    for member in 0..MEMBERS {
        join(&mut fanout, member, &chosen(&topics, member as usize));
    }
    let frame = frame();
    let delivered = STREAMS * MEMBERS as usize;
    let mut publish_and_flush = || {
        topics
            .iter()
            .for_each(|&topic| fanout.publish(topic, &frame, Ids::default()));
        flush_all(&mut fanout, READY);
        fanout.sent().frames
    };
    assert_eq!(publish_and_flush(), delivered as u64);
    let mut group = criterion.benchmark_group("groups_of_one");
    group.throughput(Throughput::Elements(delivered as u64));
    group.bench_function(format!("{STREAMS}_of_{TOPICS}_topics"), |bencher| {
        bencher.iter(&mut publish_and_flush);
    });
    group.finish();
}

/// The topics of a member: no two have the same ten, and each topic has as many members as the others.
fn chosen(topics: &[TopicId], member: usize) -> Vec<TopicId> {
    /// Steps from one topic to the next, for each thousand of members another.
    const STRIDES: [usize; STREAMS] = [1, 3, 7, 11, 13, 17, 19, 23, 29, 31];
    let stride = STRIDES[member / TOPICS];
    let mut chosen: Vec<TopicId> = (0..STREAMS)
        .map(|i| topics[(member + i * stride) % TOPICS])
        .collect();
    chosen.sort_unstable();
    chosen
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = append, pass, set_topics, groups_of_one
}
criterion_main!(benches);
