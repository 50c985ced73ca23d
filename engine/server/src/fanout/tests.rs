//! The fan-out against a plain model, on virtual sockets: whatever the order of publishing, blocking, subscribing,
//! replying, leaving and flushing, each member gets every frame of its topics, whole, in order and exactly once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::conflate::Missed;
use super::*;

const MEMBERS: u32 = 6;
const TOPICS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
        len: usize,
    },
    SetTopics {
        member: u32,
        mask: u8,
    },
    Reply {
        member: u32,
        len: usize,
    },
    /// The socket takes so many more bytes.
    Room {
        member: u32,
        bytes: usize,
    },
    Flush {
        visits: usize,
    },
    Abandon {
        member: u32,
    },
    Conflate {
        member: u32,
    },
    Reconnect {
        member: u32,
        is_answered: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    prop_oneof![
        6 => (0..TOPICS, 1usize..40).prop_map(|(topic, len)| Step::Publish { topic, len }),
        2 => (member.clone(), 0u8..16).prop_map(|(member, mask)| Step::SetTopics { member, mask }),
        2 => (member.clone(), 1usize..20).prop_map(|(member, len)| Step::Reply { member, len }),
        4 => (member.clone(), 0usize..100).prop_map(|(member, bytes)| Step::Room { member, bytes }),
        6 => (0usize..8).prop_map(|visits| Step::Flush { visits }),
        1 => member.clone().prop_map(|member| Step::Abandon { member }),
        1 => member.clone().prop_map(|member| Step::Conflate { member }),
        1 => (member, any::<bool>()).prop_map(|(member, is_answered)| Step::Reconnect { member, is_answered }),
    ]
}

/// A socket that takes `room` more bytes and keeps what it took.
#[derive(Debug, Default)]
struct Socket {
    room: usize,
    got: Vec<u8>,
    writes: usize,
}

#[derive(Default)]
struct Sockets(BTreeMap<u32, Socket>);

impl Wire for Sockets {
    fn write(&mut self, member: MemberId, slices: &[IoSlice<'_>]) -> WriteOutcome {
        let socket = self
            .0
            .get_mut(&member)
            .expect("only living members are written to");
        let before = socket.got.len();
        socket.writes += 1;
        for slice in slices {
            let take = slice.len().min(socket.room);
            socket.got.extend_from_slice(&slice[..take]);
            socket.room -= take;
        }
        WriteOutcome::Wrote(socket.got.len() - before)
    }
}

/// What a member should have been sent: whole frames in order.
#[derive(Debug, Default)]
struct Expected {
    topics: BTreeSet<usize>,
    frames: Vec<Bytes>,
    /// Of each of them the topic, by its number of all there ever were, and its first id; None for the member's own.
    origins: Vec<Option<(u32, u64)>>,
    /// The first frame comes in any case.
    is_answered: bool,
    abandoned: bool,
}

impl Expected {
    fn push(&mut self, frame: Bytes, origin: Option<(u32, u64)>) {
        self.frames.push(frame);
        self.origins.push(origin);
    }

    /// How many of the frames have been begun when so many bytes were sent, or must be sent in any case.
    fn begun(&self, mut sent: usize) -> usize {
        let begun = self.frames.iter().take_while(|frame| {
            let is_begun = sent > 0;
            sent = sent.saturating_sub(frame.len());
            is_begun
        });
        begun.count().max(usize::from(self.is_answered))
    }

    /// How many of the frames are whole in the first `bytes`.
    fn whole_frames(&self, mut bytes: usize) -> u64 {
        let whole = self.frames.iter().take_while(|frame| {
            let is_whole = frame.len() <= bytes;
            bytes = bytes.saturating_sub(frame.len());
            is_whole
        });
        whole.count() as u64
    }
}

struct World {
    fanout: Fanout,
    topics: BTreeMap<usize, TopicId>,
    /// For each of them its number of all there ever were, and the last id of its frames.
    published: BTreeMap<usize, (u32, u64)>,
    topics_ever: u32,
    id: u64,
    sockets: Sockets,
    expected: BTreeMap<u32, Expected>,
    /// What members that are gone took.
    sent_before: Sent,
    serial: u8,
    events: Vec<FanoutEvent>,
}

impl World {
    fn new(limits: FanoutLimits) -> World {
        let mut world = World {
            fanout: Fanout::new(limits),
            topics: BTreeMap::new(),
            published: BTreeMap::new(),
            topics_ever: 0,
            id: 0,
            sockets: Sockets::default(),
            expected: BTreeMap::new(),
            sent_before: Sent::default(),
            serial: 0,
            events: Vec::new(),
        };
        (0..MEMBERS).for_each(|member| world.connect(member));
        world
    }

    /// Everybody has the same topic, and room.
    fn of_one_group() -> World {
        let mut world = World::new(ROOMY);
        for member in 0..MEMBERS {
            world.set_topics(member, [0].into());
            world.step(&Step::Room {
                member,
                bytes: 1 << 20,
            });
        }
        world
    }

    /// A new connection, in place of the one there was.
    fn connect(&mut self, member: u32) {
        if let (Some(gone), Some(socket)) = (self.expected.get(&member), self.sockets.0.get(&member)) {
            self.sent_before.frames += gone.whole_frames(socket.got.len());
            self.sent_before.bytes += socket.got.len() as u64;
        }
        self.fanout.add(member);
        self.sockets.0.insert(member, Socket::default());
        self.expected.insert(member, Expected::default());
    }

    /// A frame that is like no other near it.
    fn frame(&mut self, len: usize) -> Bytes {
        self.serial = self.serial.wrapping_add(1);
        vec![self.serial; len].into()
    }

    fn set_topics(&mut self, member: u32, wanted: BTreeSet<usize>) {
        let ids: BTreeSet<TopicId> = wanted
            .iter()
            .map(|t| {
                *self.topics.entry(*t).or_insert_with(|| {
                    self.topics_ever += 1;
                    self.published.insert(*t, (self.topics_ever, 0));
                    self.fanout.create_topic().unwrap()
                })
            })
            .collect();
        let ids: Vec<_> = ids.into_iter().collect();
        self.fanout.set_topics(member, &ids).unwrap();
        self.expected.get_mut(&member).unwrap().topics = wanted;
    }

    fn drain_events(&mut self) {
        let mut events = Vec::new();
        self.fanout.take_events(&mut events);
        for event in &events {
            if let FanoutEvent::TopicIdle(idle) = event
                && self.fanout.drop_unused_topic(*idle)
            {
                self.topics.retain(|_, id| id != idle);
            }
        }
        self.events.extend(events);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Publish { topic, len } => {
                let frame = self.frame(len);
                let Some(&id) = self.topics.get(&topic) else {
                    return;
                };
                let ids = Ids {
                    first: self.id + 1,
                    last: self.id + len as u64,
                };
                self.id = ids.last;
                self.fanout.publish(id, &frame, ids);
                let (topic_ever, last) = self.published.get_mut(&topic).unwrap();
                *last = ids.last;
                for expected in self.expected.values_mut().filter(|e| e.topics.contains(&topic)) {
                    expected.push(frame.clone(), Some((*topic_ever, ids.first)));
                }
            }
            Step::SetTopics { member, mask } => {
                if !self.expected[&member].abandoned {
                    self.set_topics(member, (0..TOPICS).filter(|t| mask >> t & 1 == 1).collect());
                }
            }
            Step::Reply { member, len } => {
                if !self.expected[&member].abandoned {
                    let frame = self.frame(len);
                    self.fanout.queue(member, frame.clone()).unwrap();
                    self.expected.get_mut(&member).unwrap().push(frame, None);
                }
            }
            Step::Room { member, bytes } => {
                self.sockets.0.get_mut(&member).unwrap().room += bytes;
                self.fanout.on_writable(member);
            }
            Step::Flush { visits } => {
                let visited = self.fanout.flush(&mut self.sockets, visits);
                assert!(visited <= visits);
                // Only here, as in a worker's turn: several members change their topics before anybody looks.
                self.drain_events();
            }
            Step::Abandon { member } => self.abandon(member),
            Step::Conflate { member } => self.conflate(member),
            Step::Reconnect { member, is_answered } => {
                self.check(member, false);
                self.fanout.remove(member);
                self.connect(member);
                if is_answered {
                    let first = self.frame(9);
                    self.fanout.queue_first(member, first.clone());
                    let expected = self.expected.get_mut(&member).unwrap();
                    expected.push(first, None);
                    expected.is_answered = true;
                }
            }
        }
    }

    /// After this the member is owed its first bytes or the rest of a begun frame, the last one, and nothing else.
    fn abandon(&mut self, member: u32) {
        let last = self.frame(7);
        let expected = self.expected.get_mut(&member).unwrap();
        if std::mem::replace(&mut expected.abandoned, true) {
            return;
        }
        let begun = expected.begun(self.sockets.0[&member].got.len());
        expected.frames.truncate(begun);
        expected.origins.truncate(begun);
        expected.push(last.clone(), None);
        expected.topics.clear();
        self.fanout.abandon(member, last);
    }

    /// After this the member is owed what was begun and what is its own; the rest is named, by the last id before it.
    fn conflate(&mut self, member: u32) {
        let expected = self.expected.get_mut(&member).unwrap();
        if expected.abandoned {
            return;
        }
        let begun = expected.begun(self.sockets.0[&member].got.len());
        let (mut kept, mut forgotten) = (Expected::default(), Vec::new());
        let owed = std::mem::take(&mut expected.frames).into_iter();
        for (place, (frame, origin)) in owed.zip(std::mem::take(&mut expected.origins)).enumerate() {
            match origin {
                Some(origin) if place >= begun => forgotten.push(origin),
                _ => kept.push(frame, origin),
            }
        }
        (expected.frames, expected.origins) = (kept.frames, kept.origins);
        let missed = std::mem::take(&mut expected.topics).into_iter().map(|topic| {
            let (topic_ever, last) = self.published[&topic];
            let missed = match forgotten.iter().find(|(of, _)| *of == topic_ever) {
                Some((_, first)) => Missed::After(first - 1),
                None if last == 0 => Missed::Nothing,
                None => Missed::After(last),
            };
            (self.topics[&topic], missed)
        });
        let mut missed: Vec<(TopicId, Missed)> = missed.collect();
        missed.sort_unstable_by_key(|(topic, _)| *topic);
        assert_eq!(self.fanout.conflate(member), missed);
    }

    /// What all sockets took, counted there.
    fn sent(&self) -> Sent {
        let mut sent = self.sent_before;
        for (member, expected) in &self.expected {
            let bytes = self.sockets.0[member].got.len();
            sent.bytes += bytes as u64;
            sent.frames += expected.whole_frames(bytes);
        }
        sent
    }

    fn check_counts(&self) {
        assert_eq!(self.fanout.sent(), self.sent());
        let lagging = (0..MEMBERS).filter(|&member| self.fanout.members[member].is_lagging);
        assert_eq!(self.fanout.lagging() as usize, lagging.count());
    }

    fn check(&self, member: u32, to_the_end: bool) {
        let expected = self.expected[&member].frames.concat();
        let got = &self.sockets.0[&member].got;
        assert!(
            expected.starts_with(got),
            "member {member} got {got:?} where {expected:?} was due"
        );
        if to_the_end {
            assert_eq!(got.len(), expected.len(), "member {member} misses bytes");
            assert!(self.fanout.is_drained(member));
        }
    }

    /// Everybody reads to the end.
    fn finish(&mut self) {
        for member in 0..MEMBERS {
            self.step(&Step::Room {
                member,
                bytes: 1 << 20,
            });
            // One that was conflated has not caught up before somebody says that it is owed no more.
            self.fanout.watch_drained(member);
        }
        while self.fanout.flush(&mut self.sockets, 3) > 0 {}
        self.drain_events();
        (0..MEMBERS).for_each(|member| self.check(member, true));
        self.check_counts();
        assert_eq!(self.fanout.lagging(), 0);
        assert!(!self.fanout.has_work());
        for (_, group) in self.fanout.groups.iter() {
            assert_eq!(group.log().bytes(), 0, "a log that everybody has read is empty");
        }
    }
}

const ROOMY: FanoutLimits = FanoutLimits {
    retention_bytes: 1 << 20,
    prefix_bytes_max: 1 << 20,
    lossless: false,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_member_gets_its_frames_whole_in_order_and_once(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new(ROOMY);
        for step in &steps {
            world.step(step);
            (0..MEMBERS).for_each(|member| world.check(member, false));
            world.check_counts();
        }
        world.finish();
        for member in 0..MEMBERS {
            world.step(&Step::Abandon { member });
            world.fanout.remove(member);
        }
        world.drain_events();
        prop_assert_eq!(world.fanout.groups.len(), 1);
        prop_assert!(world.topics.is_empty(), "a topic that nobody wants is reported idle");
    }
}

#[test]
fn a_topic_that_is_wanted_again_before_its_idleness_is_seen_stays() {
    let mut world = World::new(ROOMY);
    world.set_topics(0, [0].into());
    world.set_topics(0, [].into());
    world.set_topics(1, [1].into());
    world.set_topics(2, [0].into());
    assert_ne!(world.topics[&0], world.topics[&1]);
    world.drain_events();
    assert_eq!(world.topics.len(), 2);
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.finish();
}

#[test]
fn a_pass_over_members_at_one_cursor_writes_each_once() {
    let mut world = World::of_one_group();
    for _ in 0..64 {
        world.step(&Step::Publish { topic: 0, len: 30 });
    }
    world.step(&Step::Flush { visits: 100 });
    (0..MEMBERS).for_each(|member| world.check(member, true));
    assert!(
        world.sockets.0.values().all(|socket| socket.writes == 1),
        "64 frames leave in one write each"
    );
    assert_eq!(world.fanout.groups.len(), 2);
}

#[test]
fn one_who_does_not_read_overruns_the_retention_alone() {
    let mut world = World::new(FanoutLimits {
        retention_bytes: 100,
        ..ROOMY
    });
    for member in [0, 1] {
        world.set_topics(member, [0].into());
    }
    for _ in 0..6 {
        world.step(&Step::Room { member: 0, bytes: 30 });
        world.step(&Step::Publish { topic: 0, len: 30 });
        world.step(&Step::Flush { visits: 10 });
    }
    assert!(world.fanout.is_over_retention());
    world.fanout.enforce_retention();
    world.drain_events();
    assert_eq!(
        world.events,
        [FanoutEvent::Blocked(1), FanoutEvent::Overrun(1, 180)]
    );
    world.step(&Step::Abandon { member: 1 });
    assert!(!world.fanout.is_over_retention());
    world.finish();
}

#[test]
fn a_prefix_at_its_bound_refuses() {
    let mut world = World::new(FanoutLimits {
        prefix_bytes_max: 50,
        ..ROOMY
    });
    world.set_topics(0, [0].into());
    world.step(&Step::Publish { topic: 0, len: 30 });
    assert_eq!(
        world.fanout.queue(0, Bytes::from(vec![1; 21])),
        Err(FanoutError::PrefixFull)
    );
    world.step(&Step::Publish { topic: 0, len: 30 });
    assert_eq!(world.fanout.set_topics(0, &[]), Err(FanoutError::PrefixFull));
    world.finish();
}

#[test]
fn the_run_of_a_group_that_is_gone_is_not_sent_to_its_successor() {
    let mut world = World::new(ROOMY);
    for member in 0..3 {
        world.set_topics(member, [0].into());
        world.step(&Step::Room {
            member,
            bytes: 1 << 20,
        });
    }
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Publish { topic: 0, len: 30 });
    world.step(&Step::Flush { visits: 1 });
    for member in 0..3 {
        world.fanout.remove(member);
        world.connect(member);
    }
    for member in 0..3 {
        world.set_topics(member, [1].into());
        world.step(&Step::Room {
            member,
            bytes: 1 << 20,
        });
    }
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.step(&Step::Publish { topic: 1, len: 30 });
    world.finish();
}

#[test]
fn progress_is_told_of_a_lossless_fan_out_only() {
    for lossless in [false, true] {
        let mut world = World::new(FanoutLimits { lossless, ..ROOMY });
        world.set_topics(0, [0].into());
        world.step(&Step::Publish { topic: 0, len: 30 });
        for bytes in [10, 10, 0, 10] {
            world.step(&Step::Room { member: 0, bytes });
            world.step(&Step::Flush { visits: 10 });
        }
        let mut told = vec![FanoutEvent::Blocked(0)];
        if lossless {
            told.push(FanoutEvent::Progressed(0));
        }
        told.push(FanoutEvent::CaughtUp(0));
        assert_eq!(world.events, told);
        world.finish();
    }
}

#[test]
fn one_that_is_owed_much_costs_the_others_no_visits() {
    let mut world = World::of_one_group();
    // Several writes' worth of replies for one member.
    for _ in 0..300 {
        world.step(&Step::Reply { member: 0, len: 1 });
    }
    let visits = world.fanout.flush(&mut world.sockets, 1000);
    assert_eq!(visits, 300usize.div_ceil(64));
    world.step(&Step::Publish { topic: 0, len: 10 });
    world.finish();
}

#[test]
fn members_that_catch_up_together_are_told_of_one_by_one() {
    let mut world = World::of_one_group();
    for socket in world.sockets.0.values_mut() {
        socket.room = 0;
    }
    world.step(&Step::Publish { topic: 0, len: 10 });
    world.step(&Step::Flush { visits: 10 });
    world.fanout.watch_drained(2);
    assert_eq!(world.fanout.lagging(), MEMBERS);
    world.events.clear();
    world.finish();
    let is_caught_up = |event: &&FanoutEvent| matches!(event, FanoutEvent::CaughtUp(_));
    assert_eq!(world.events.iter().filter(is_caught_up).count(), MEMBERS as usize);
    assert!(world.events.contains(&FanoutEvent::Drained(2)));
}

#[test]
fn an_owner_is_told_when_a_member_owes_nothing() {
    let mut world = World::new(ROOMY);
    world.fanout.watch_drained(1);
    world.step(&Step::Reply { member: 0, len: 10 });
    world.fanout.watch_drained(0);
    world.step(&Step::Room { member: 0, bytes: 4 });
    world.step(&Step::Flush { visits: 10 });
    assert_eq!(world.events, [FanoutEvent::Drained(1), FanoutEvent::Blocked(0)]);
    world.step(&Step::Room { member: 0, bytes: 6 });
    world.step(&Step::Flush { visits: 10 });
    assert_eq!(
        world.events[2..],
        [FanoutEvent::CaughtUp(0), FanoutEvent::Drained(0)]
    );
}
