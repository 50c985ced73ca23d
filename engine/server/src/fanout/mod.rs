//! The fan-out: frames made once, appended to the logs of the groups that want them, and written to each member by
//! moving a cursor. Does no I/O and reads no clock: sockets are reached through [`Wire`], time is an argument.
//!
//! - a *topic* is one stream in one encoding: what a frame belongs to;
//! - a *group* is a set of topics: all its members receive the same bytes, so they share one *log*;
//! - a *member* is a connection: a group, a cursor into its log, and, only while it needs one, a *prefix*.

pub mod conflate;
pub mod flush;
pub mod footprint;
mod group;
#[cfg(test)]
mod held;
mod log;
mod members;
mod prefix;
mod roster;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::io::IoSlice;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::mem::chunks::Chunks;
use crate::mem::slab::Slab;
use flush::Run;
use group::Group;
use log::SpareRows;
use members::Member;
use prefix::SparePrefixes;

/// A connection, by the key its owner gave it.
pub type MemberId = u32;
/// A stream in one encoding, by the key [`Fanout::create_topic`] gave it.
pub type TopicId = u32;
/// A set of topics that connections share.
pub type GroupId = u32;

/// The update ids that a frame covers. Zero where its stream has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Of its first change.
    pub first: u64,
    /// Of its last one.
    pub last: u64,
}

/// What a frame is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin {
    topic: TopicId,
    /// Which topic under that id: ids come again.
    serial: u32,
    /// The id of its first change; zero for what has no ids, or is the whole of its stream's state.
    first_id: u64,
}

/// The group of those who have subscribed to nothing. It always exists.
pub const EMPTY_GROUP: GroupId = 0;

/// Topics and groups one fan-out holds at most. Each takes well under a kilobyte, so the table at its limit is
/// smaller than the sockets of the connections that would be needed to fill it.
pub const TOPICS_MAX: u32 = 1 << 20;
/// See [`TOPICS_MAX`].
pub const GROUPS_MAX: u32 = 1 << 20;

/// The bounds of the fan-out.
#[derive(Clone, Copy, Debug)]
pub struct FanoutLimits {
    /// Bytes a group's log keeps for members that cannot keep up.
    pub retention_bytes: usize,
    /// Bytes a connection's own prefix holds: replies and what its former group still owed it.
    pub prefix_bytes_max: usize,
    /// Never give up a member for being behind by bytes: the owner instead stops taking frames while
    /// [`Fanout::is_over_retention`]. For replays at full speed, whose pace is the subscribers'.
    pub lossless: bool,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// So many bytes were taken; fewer than offered means that the socket is full until it says otherwise.
    Wrote(usize),
    /// The connection is gone.
    Failed,
}

/// How the fan-out reaches sockets.
pub trait Wire {
    /// Writes the slices, in order, to the member's socket.
    fn write(&mut self, member: MemberId, slices: &[IoSlice<'_>]) -> WriteOutcome;

    /// Writes the same bytes to the sockets of several members in turn, until one does not take all of them. Gives how many
    /// took all, and what became of the next one, if there is one.
    fn write_to_each(&mut self, members: &[MemberId], bytes: &[u8]) -> (usize, Option<WriteOutcome>) {
        for (place, &member) in members.iter().enumerate() {
            let outcome = self.write(member, &[IoSlice::new(bytes)]);
            if outcome != WriteOutcome::Wrote(bytes.len()) {
                return (place, Some(outcome));
            }
        }
        (members.len(), None)
    }
}

/// What the owner of the connections has to know or do after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanoutEvent {
    /// The member's socket took less than was owed; its lag age counts from now.
    Blocked(MemberId),
    /// A member that was blocked owes nothing any more.
    CaughtUp(MemberId),
    /// A member that lags took some of what it is owed, of a lossless fan-out, whose pace it sets: its lag age begins
    /// anew.
    Progressed(MemberId),
    /// Everything owed to the member was written, as [`Fanout::watch_drained`] asked to be told.
    Drained(MemberId),
    /// A write failed: the connection is gone.
    Failed(MemberId),
    /// The member is further behind than the log keeps: so many bytes.
    Overrun(MemberId, usize),
    /// No group wanted the topic any more. It is kept, since one may have come to want it again by now: give it back
    /// with [`Fanout::drop_unused_topic`].
    TopicIdle(TopicId),
}

/// A bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FanoutError {
    /// [`TOPICS_MAX`] or [`GROUPS_MAX`].
    #[error("the engine's table of distinct subscriptions is full")]
    TableFull,
    /// [`FanoutLimits::prefix_bytes_max`].
    #[error("the connection has too many bytes of replies waiting")]
    PrefixFull,
}

/// A group that wants a topic, and where the group's own list of topics has that.
type Wanting = (GroupId, u32);

/// Which groups want a topic.
#[derive(Debug, Default)]
struct Topic {
    groups: Vec<Wanting>,
    serial: u32,
    /// The last update id that its members were given or are owed; zero before the first of the history that the feed is in.
    last_id: u64,
}

impl Topic {
    /// A frame reaches up to this id; zero where its stream has none.
    fn note_last(&mut self, id: u64) {
        if id > 0 {
            self.last_id = id;
        }
    }
}

/// All the groups, topics and members of one worker.
#[derive(Debug)]
pub struct Fanout {
    limits: FanoutLimits,
    topics: Slab<Topic>,
    groups: Slab<Group>,
    /// Every group by its topics, which it has itself: four bytes a group.
    group_by_topics: HashTable<GroupId>,
    hash: RandomState,
    members: Chunks<Member>,
    /// Groups with a member to visit. Each is here once ([`Group::make_ready`]); one that was given up meanwhile stays until
    /// its turn comes.
    ready: VecDeque<GroupId>,
    /// Groups whose log was over the retention when last looked at, each once ([`Group::is_over`]).
    over_retention: Vec<GroupId>,
    run: Run,
    spare_rows: SpareRows,
    spare_prefixes: SparePrefixes,
    events: Vec<FanoutEvent>,
    sent: Sent,
    /// Members that have been blocked and have not caught up since.
    lagging: u32,
    /// How many topics there ever were.
    topics_ever: u32,
}

/// What sockets took since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Whole frames; what is queued for one member alone counts as it was queued.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Fanout {
    /// An empty fan-out: no topics, and only the empty group.
    pub fn new(limits: FanoutLimits) -> Fanout {
        let mut fanout = Fanout {
            limits,
            topics: Slab::new(TOPICS_MAX),
            groups: Slab::new(GROUPS_MAX),
            group_by_topics: HashTable::new(),
            hash: RandomState::default(),
            members: Chunks::default(),
            ready: VecDeque::new(),
            over_retention: Vec::new(),
            run: Run::default(),
            spare_rows: SpareRows::default(),
            spare_prefixes: SparePrefixes::default(),
            events: Vec::new(),
            sent: Sent::default(),
            lagging: 0,
            topics_ever: 0,
        };
        let empty = fanout.intern(&[]);
        assert_eq!(
            empty,
            Ok(EMPTY_GROUP),
            "a new slab has room, and begins with this"
        );
        fanout
    }

    /// A new topic that no group wants yet. It must be joined, or given back with [`Fanout::drop_unused_topic`].
    pub fn create_topic(&mut self) -> Result<TopicId, FanoutError> {
        self.topics_ever = self.topics_ever.wrapping_add(1);
        let topic = Topic {
            serial: self.topics_ever,
            ..Topic::default()
        };
        self.topics.insert(topic).map_err(|_| FanoutError::TableFull)
    }

    /// Gives back a topic if no group wants it; its id may then be given to another topic. False when one does, or when
    /// there is no such topic any more.
    pub fn drop_unused_topic(&mut self, topic: TopicId) -> bool {
        let is_unused = self
            .topics
            .get(topic)
            .is_some_and(|topic| topic.groups.is_empty());
        is_unused && self.topics.remove(topic).is_some()
    }

    /// Appends a frame to the log of each group that wants `topic`. Nothing is written yet: see [`Fanout::flush`].
    pub fn publish(&mut self, id: TopicId, frame: &Bytes, ids: Ids) {
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        topic.note_last(ids.last);
        let origin = Origin {
            topic: id,
            serial: topic.serial,
            first_id: ids.first,
        };
        for &(id, _) in &topic.groups {
            let group = &mut self.groups[id];
            group.append(frame.clone(), origin, &mut self.spare_rows);
            if group.make_ready() {
                self.ready.push_back(id);
            }
            if group.log().bytes() > self.limits.retention_bytes && !group.is_over {
                group.is_over = true;
                self.over_retention.push(id);
            }
        }
    }

    /// Whether it waits for members that are behind.
    pub fn is_lossless(&self) -> bool {
        self.limits.lossless
    }

    /// Whether some group's log holds more than the retention: frames wait for members that were not visited yet or,
    /// when lossless, for members whose sockets are full. The owner should flush before it publishes more.
    pub fn is_over_retention(&mut self) -> bool {
        let (groups, retention) = (&mut self.groups, self.limits.retention_bytes);
        self.over_retention.retain(|&id| {
            let Some(group) = groups.get_mut(id) else {
                return false;
            };
            group.is_over = group.log().bytes() > retention;
            group.is_over
        });
        !self.over_retention.is_empty()
    }

    /// What sockets took since the start.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Members that have been blocked and have not caught up since.
    pub fn lagging(&self) -> u32 {
        self.lagging
    }

    /// Whether [`Fanout::flush`] has members to visit.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What happened since the last call, in order.
    pub fn take_events(&mut self, into: &mut Vec<FanoutEvent>) {
        into.append(&mut self.events);
    }

    /// Finds those who are further behind than the retention keeps, as [`FanoutEvent::Overrun`]. Call after publishing.
    pub fn enforce_retention(&mut self) {
        if self.limits.lossless || !self.is_over_retention() {
            return;
        }
        for &id in &self.over_retention {
            self.groups[id].overrun(self.limits.retention_bytes, &self.members, &mut self.events);
        }
    }

    /// All members that receive `topic`.
    pub fn members_of(&self, topic: TopicId) -> Vec<MemberId> {
        let groups = self.topics.get(topic).into_iter().flat_map(|topic| &topic.groups);
        groups.flat_map(|&(id, _)| self.groups[id].roster.all()).collect()
    }

    /// The topics a member receives, in ascending order.
    pub fn topics_of(&self, member: MemberId) -> impl Iterator<Item = TopicId> {
        self.groups[self.members[member].group].topics()
    }

    /// Whether a member receives anything.
    pub fn has_topics(&self, member: MemberId) -> bool {
        self.members[member].group != EMPTY_GROUP
    }
}

fn hash_of(hash: &RandomState, topics: impl Iterator<Item = TopicId>) -> u64 {
    let mut hasher = hash.build_hasher();
    topics.for_each(|topic| hasher.write_u32(topic));
    hasher.finish()
}
