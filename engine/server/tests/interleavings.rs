//! What the engine's threads share, in every interleaving of small models: loom runs each schedule of the threads, and
//! each value that the memory model lets a load see.
//!
//! The engine's own source file is compiled here over loom's atomics, and over weakened ones, to show that these models
//! find what weaker orderings would break. A channel is modelled by a slot for each message, which orders nothing but that
//! message: whatever else has to be seen, must be seen because of the pieces under test.

use std::collections::BTreeSet;
// What the models only count with, and hold together by: a failing model has to be able to drop it.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Plain, Ordering::Relaxed};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

/// [`engine::WakeFlag`] with any orderings.
trait Flag: Default + Send + Sync + 'static {
    fn raise(&self) -> bool;
    fn acknowledge(&self);
}

/// [`engine::SubscriberCount`] with any orderings.
trait Subscribers: Default + Send + Sync + 'static {
    fn join(&self);
    fn leave(&self);
    fn get(&self) -> usize;
}

/// The engine's shared pieces over loom's atomics, with orderings of one's choice in place of its own.
macro_rules! pieces {
    ($name:ident, acquire: $acquire:ident, release: $release:ident, both: $both:ident) => {
        #[path = "."]
        mod $name {
            mod sync {
                pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

                /// Stands in place of the standard library's.
                #[expect(non_snake_case, reason = "it is used as an enum is")]
                pub(super) mod Ordering {
                    #![allow(non_upper_case_globals, reason = "they are used as variants are")]
                    use loom::sync::atomic::Ordering;

                    pub(in super::super) const Relaxed: Ordering = Ordering::Relaxed;
                    pub(in super::super) const Acquire: Ordering = Ordering::$acquire;
                    pub(in super::super) const Release: Ordering = Ordering::$release;
                    pub(in super::super) const AcqRel: Ordering = Ordering::$both;
                }
            }

            #[path = "../src/reactor/shared.rs"]
            #[allow(dead_code, reason = "not every model needs every piece")]
            #[allow(
                clippy::duplicate_mod,
                reason = "compiled once for each choice of orderings"
            )]
            pub(super) mod shared;

            #[allow(unused_imports, reason = "not every model needs every piece")]
            pub(super) use shared::{Revision, SubscriberCount, WakeFlag};

            impl super::Flag for WakeFlag {
                fn raise(&self) -> bool {
                    WakeFlag::raise(self)
                }
                fn acknowledge(&self) {
                    WakeFlag::acknowledge(self);
                }
            }

            impl super::Subscribers for SubscriberCount {
                fn join(&self) {
                    SubscriberCount::join(self);
                }
                fn leave(&self) {
                    SubscriberCount::leave(self);
                }
                fn get(&self) -> usize {
                    SubscriberCount::get(self)
                }
            }
        }
    };
}

pieces!(engine, acquire: Acquire, release: Release, both: AcqRel);
pieces!(without_acquire, acquire: Relaxed, release: Release, both: Release);
pieces!(without_release, acquire: Acquire, release: Relaxed, both: Acquire);

/// One message's place in a channel. Who finds it sees what its sender did before, and nothing else is promised: a
/// receiver may find it late.
#[derive(Default)]
struct Slot(AtomicBool);

impl Slot {
    fn put(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_filled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Messages that the senders of a mailbox put in: two by one thread, one by another.
const SENDERS: [&[usize]; 2] = [&[0, 1], &[2]];
const MESSAGES: usize = 3;

/// Looks of the receiver while the senders are at it; more come after them. A third would take half a minute and find
/// nothing new: with the third wake-up everything is there.
const LOOKS: usize = 2;

/// A mailbox, and what its receiver sleeps on.
#[derive(Default)]
struct Mailbox<F> {
    slots: [Slot; MESSAGES],
    flag: F,
    /// Wake-ups that the receiver has not noticed, as an eventfd counts them; they order nothing.
    bell: AtomicUsize,
}

impl<F: Flag> Mailbox<F> {
    /// Puts messages in; tells how often the receiver was woken for them.
    fn send(&self, messages: &[usize]) -> usize {
        let mut wakes = 0;
        for &message in messages {
            self.slots[message].put();
            if self.flag.raise() {
                self.bell.fetch_add(1, Ordering::Relaxed);
                wakes += 1;
            }
        }
        wakes
    }

    /// Looks for messages, which only a receiver does that was woken. Whether it was.
    fn look(&self, missing: &mut BTreeSet<usize>, order: Order) -> bool {
        let is_awake = self.bell.swap(0, Ordering::Relaxed) > 0;
        if is_awake {
            if order == Order::AcknowledgeFirst {
                self.flag.acknowledge();
            }
            missing.retain(|&message| !self.slots[message].is_filled());
            if order == Order::TakeFirst {
                self.flag.acknowledge();
            }
        }
        is_awake
    }
}

/// What a woken receiver does first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As workers do.
    AcknowledgeFirst,
    /// As they must not.
    TakeFirst,
}

/// Runs senders and their receiver in every interleaving, which fails when the receiver sleeps while a message waits.
/// The fewest wake-ups that did.
fn deliver<F: Flag>(order: Order) -> usize {
    let fewest = Arc::new(Plain::new(usize::MAX));
    let least = fewest.clone();
    loom::model(move || {
        let mailbox = Arc::new(Mailbox::<F>::default());
        let senders = SENDERS.map(|messages| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.send(messages))
        });
        let mut missing: BTreeSet<usize> = (0..MESSAGES).collect();
        let mut looks = (0..LOOKS).filter(|_| mailbox.look(&mut missing, order)).count();
        let wakes: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        while mailbox.look(&mut missing, order) {
            looks += 1;
        }
        assert!(missing.is_empty(), "the receiver sleeps while messages wait");
        assert_eq!(wakes, looks, "a wake-up before the last was acknowledged");
        least.fetch_min(wakes, Relaxed);
    });
    fewest.load(Relaxed)
}

#[test]
fn no_wake_up_is_lost_and_one_may_serve_all_messages() {
    assert_eq!(deliver::<engine::WakeFlag>(Order::AcknowledgeFirst), 1);
}

#[test]
#[should_panic(expected = "the receiver sleeps while messages wait")]
fn a_raise_that_releases_nothing_would_lose_messages() {
    deliver::<without_release::WakeFlag>(Order::AcknowledgeFirst);
}

#[test]
#[should_panic(expected = "the receiver sleeps while messages wait")]
fn an_acknowledgement_that_acquires_nothing_would_lose_messages() {
    deliver::<without_acquire::WakeFlag>(Order::AcknowledgeFirst);
}

#[test]
#[should_panic(expected = "the receiver sleeps while messages wait")]
fn an_acknowledgement_after_the_messages_were_taken_would_lose_some() {
    deliver::<engine::WakeFlag>(Order::TakeFirst);
}

/// What is between workers, feed and market thread when a feed waits for two subscribers.
#[derive(Default)]
struct Start<S> {
    subscribers: S,
    request: Slot,
    record: Slot,
}

impl<S: Subscribers> Start<S> {
    /// A worker's first subscriber makes it ask the market thread for a topic; the second wants the same.
    fn ask_and_join(&self) {
        self.request.put();
        self.subscribers.join();
        self.subscribers.join();
    }

    /// Counts as workers must not.
    fn join_before_asking(&self) {
        self.subscribers.join();
        self.subscribers.join();
        self.request.put();
    }

    /// Another worker's subscriber wants what is there already, and goes again.
    fn join_and_leave(&self) {
        self.subscribers.join();
        self.subscribers.leave();
    }

    /// The feed's look at the count.
    fn play(&self) {
        if self.subscribers.get() >= 2 {
            self.record.put();
        }
    }
}

/// Runs them in every interleaving, with a market thread that fails when it can have the first record before it can have
/// the request. In how many it had the record.
fn start<S: Subscribers>(first_worker: fn(&Start<S>)) -> usize {
    let played = Arc::new(Plain::new(0));
    let plays = played.clone();
    loom::model(move || {
        let start = Arc::new(Start::<S>::default());
        for run in [first_worker, Start::join_and_leave, Start::play] {
            let start = start.clone();
            thread::spawn(move || run(&start));
        }
        if start.record.is_filled() {
            assert!(start.request.is_filled(), "a record overtook a request");
            plays.fetch_add(1, Relaxed);
        }
    });
    played.load(Relaxed)
}

#[test]
fn what_subscribers_asked_for_comes_before_the_feed_that_waited_for_them() {
    assert!(start(Start::<engine::SubscriberCount>::ask_and_join) > 0);
}

#[test]
#[should_panic(expected = "a record overtook a request")]
fn a_join_that_releases_nothing_would_let_the_feed_overtake() {
    start(Start::<without_release::SubscriberCount>::ask_and_join);
}

#[test]
#[should_panic(expected = "a record overtook a request")]
fn a_count_read_without_acquire_would_let_the_feed_overtake() {
    start(Start::<without_acquire::SubscriberCount>::ask_and_join);
}

#[test]
#[should_panic(expected = "a record overtook a request")]
fn a_subscriber_counted_before_its_request_would_let_the_feed_overtake() {
    start(Start::<engine::SubscriberCount>::join_before_asking);
}

/// Counts of two workers that one thread writes each: both halves of a word change together.
const BYTES: [u64; 2] = [0x1_0000_0001, 0x2_0000_0002];

#[derive(Default)]
struct Worker {
    ended: engine::shared::OwnCount,
    bytes: engine::shared::OwnCount,
}

#[test]
fn readers_see_counts_whole_and_never_falling() {
    loom::model(|| {
        let workers = Arc::new([Worker::default(), Worker::default()]);
        let threads = [0, 1].map(|index| {
            let workers = workers.clone();
            thread::spawn(move || {
                for bytes in BYTES {
                    workers[index].ended.add_one();
                    workers[index].bytes.set(bytes);
                }
            })
        });
        let read = || {
            let ended: u64 = workers.iter().map(|worker| worker.ended.get()).sum();
            (ended, workers[0].bytes.get())
        };
        let (first, second) = (read(), read());
        assert!(
            first.0 <= second.0 && first.1 <= second.1,
            "{first:?}, then {second:?}"
        );
        for (ended, bytes) in [first, second] {
            assert!(
                ended <= 4 && (bytes == 0 || BYTES.contains(&bytes)),
                "{ended}, {bytes:x}"
            );
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(read(), (4, BYTES[1]));
    });
}

#[test]
#[should_panic(expected = "a count was lost")]
fn a_count_with_two_writers_would_lose_some() {
    loom::model(|| {
        let count = Arc::new(engine::shared::OwnCount::default());
        let other = count.clone();
        let thread = thread::spawn(move || other.add_one());
        count.add_one();
        thread.join().unwrap();
        assert_eq!(count.get(), 2, "a count was lost");
    });
}

/// How something behind a lock is changed, and how it is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looking {
    /// As workers do: changes are told under the lock; who looks asks for the last change first.
    AsWorkersDo,
    /// A change is told before it is made.
    ToldTooEarly,
    /// Who looks asks for the last change when it has looked.
    AskedTooLate,
}

/// Two threads change something, a third looks only where a change was told: it must come to know the last state.
fn look_where_told(how: Looking) {
    const CHANGES: usize = 2;
    loom::model(move || {
        let shared = Arc::new((engine::Revision::default(), loom::sync::Mutex::new(0)));
        let changers: Vec<_> = (0..CHANGES)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let (revision, state) = &*shared;
                    if how == Looking::ToldTooEarly {
                        revision.advance();
                    }
                    let mut state = state.lock().unwrap();
                    *state += 1;
                    if how != Looking::ToldTooEarly {
                        revision.advance();
                    }
                })
            })
            .collect();
        let (revision, state) = &*shared;
        let (mut seen, mut known) = (0, 0);
        let mut look = || {
            let told = revision.get();
            if told != seen {
                known = *state.lock().unwrap();
                seen = if how == Looking::AskedTooLate {
                    revision.get()
                } else {
                    told
                };
            }
            known
        };
        look();
        changers.into_iter().for_each(|changer| changer.join().unwrap());
        assert_eq!(look(), CHANGES, "a change was told and not seen");
    });
}

#[test]
fn who_looks_where_a_change_was_told_comes_to_know_the_last() {
    look_where_told(Looking::AsWorkersDo);
}

#[test]
#[should_panic(expected = "a change was told and not seen")]
fn a_change_told_before_it_is_made_would_be_missed() {
    look_where_told(Looking::ToldTooEarly);
}

#[test]
#[should_panic(expected = "a change was told and not seen")]
fn a_change_asked_for_behind_the_look_would_be_missed() {
    look_where_told(Looking::AskedTooLate);
}
