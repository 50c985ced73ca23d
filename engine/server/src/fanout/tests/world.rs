//! The fan-out with virtual sockets, and a plain model of what each member should get.

use std::collections::{BTreeMap, BTreeSet};

use super::super::conflate::Missed;
use super::super::*;
use super::{MEMBERS, ROOMY, Step, TOPICS};

/// A socket that takes `room` more bytes and keeps what it took.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) room: usize,
    pub(super) got: Vec<u8>,
    pub(super) writes: usize,
}

#[derive(Default)]
pub(super) struct Sockets(pub(super) BTreeMap<u32, Socket>);

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
pub(super) struct Expected {
    pub(super) topics: BTreeSet<usize>,
    pub(super) frames: Vec<Bytes>,
    /// Of each of them the topic, by its number of all there ever were, and its first id; None for the member's own.
    pub(super) origins: Vec<Option<(u32, u64)>>,
    /// The first frame comes in any case.
    pub(super) is_answered: bool,
    pub(super) abandoned: bool,
}

impl Expected {
    pub(super) fn push(&mut self, frame: Bytes, origin: Option<(u32, u64)>) {
        self.frames.push(frame);
        self.origins.push(origin);
    }

    /// How many of the frames have been begun when so many bytes were sent, or must be sent in any case.
    pub(super) fn begun(&self, mut sent: usize) -> usize {
        let begun = self.frames.iter().take_while(|frame| {
            let is_begun = sent > 0;
            sent = sent.saturating_sub(frame.len());
            is_begun
        });
        begun.count().max(usize::from(self.is_answered))
    }

    /// How many of the frames are whole in the first `bytes`.
    pub(super) fn whole_frames(&self, mut bytes: usize) -> u64 {
        let whole = self.frames.iter().take_while(|frame| {
            let is_whole = frame.len() <= bytes;
            bytes = bytes.saturating_sub(frame.len());
            is_whole
        });
        whole.count() as u64
    }
}

pub(super) struct World {
    pub(super) fanout: Fanout,
    pub(super) topics: BTreeMap<usize, TopicId>,
    /// For each of them its number of all there ever were, and the last id of its frames.
    pub(super) published: BTreeMap<usize, (u32, u64)>,
    pub(super) topics_ever: u32,
    pub(super) id: u64,
    pub(super) sockets: Sockets,
    pub(super) expected: BTreeMap<u32, Expected>,
    /// What members that are gone took.
    pub(super) sent_before: Sent,
    pub(super) serial: u8,
    pub(super) events: Vec<FanoutEvent>,
}

impl World {
    pub(super) fn new(limits: FanoutLimits) -> World {
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
    pub(super) fn of_one_group() -> World {
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
    pub(super) fn connect(&mut self, member: u32) {
        if let (Some(gone), Some(socket)) = (self.expected.get(&member), self.sockets.0.get(&member)) {
            self.sent_before.frames += gone.whole_frames(socket.got.len());
            self.sent_before.bytes += socket.got.len() as u64;
        }
        self.fanout.add(member);
        self.sockets.0.insert(member, Socket::default());
        self.expected.insert(member, Expected::default());
    }

    /// A frame that is like no other near it.
    pub(super) fn frame(&mut self, len: usize) -> Bytes {
        self.serial = self.serial.wrapping_add(1);
        vec![self.serial; len].into()
    }

    pub(super) fn set_topics(&mut self, member: u32, wanted: BTreeSet<usize>) {
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

    pub(super) fn drain_events(&mut self) {
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

    pub(super) fn step(&mut self, step: &Step) {
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
    pub(super) fn abandon(&mut self, member: u32) {
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
    pub(super) fn conflate(&mut self, member: u32) {
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
    pub(super) fn sent(&self) -> Sent {
        let mut sent = self.sent_before;
        for (member, expected) in &self.expected {
            let bytes = self.sockets.0[member].got.len();
            sent.bytes += bytes as u64;
            sent.frames += expected.whole_frames(bytes);
        }
        sent
    }

    pub(super) fn check_counts(&self) {
        assert_eq!(self.fanout.sent(), self.sent());
        let lagging = (0..MEMBERS).filter(|&member| self.fanout.members[member].is_lagging);
        assert_eq!(self.fanout.lagging() as usize, lagging.count());
    }

    pub(super) fn check(&self, member: u32, to_the_end: bool) {
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
    pub(super) fn finish(&mut self) {
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
