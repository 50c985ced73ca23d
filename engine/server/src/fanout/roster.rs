//! A group's members in lists: caught up, pending, blocked, and unfinished.
//!
//! The caught up and the pending stand in one row, the caught up first: visiting the next pending one only moves the border
//! between them, and a new pass sets it back to the row's beginning. So a pass touches no list, goes through the members in
//! the order in which they came, and one that is taken out in the middle of it makes nobody be skipped.

use smallvec::SmallVec;

use super::MemberId;
use super::members::Member;
use crate::mem::chunks::Chunks;

/// Which list of its group a member stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// The row of the caught up and the pending.
    #[default]
    Open,
    /// The socket is full; the member waits for it.
    Blocked,
    /// Visited, and owed more than one write holds: it has turns of its own, so that it needs no pass of the others.
    Unfinished,
}

/// Members of the open list that stand in the group itself: a group of so few, and those who are alone in theirs are many, owns
/// no block of memory for them.
const OPEN_INLINE: usize = 4;

/// The members of one group. Each member knows its list and its place in it ([`Member::list`], [`Member::place`]), which
/// is kept true here.
#[derive(Debug, Default)]
pub(super) struct Roster {
    open: SmallVec<[MemberId; OPEN_INLINE]>,
    /// Present only while somebody is in one of them.
    others: Option<Box<Others>>,
    /// The open before this place are caught up, those from it on pending. At most the number of the open.
    border: u32,
    /// Whose turn is next of the unfinished; past their end it begins anew. When one leaves, the last takes its place, and may
    /// so be passed over until the next round; going back for it would let those who come keep the others from their turns.
    turn: u32,
}

/// The lists that few groups need at a time.
#[derive(Debug, Default)]
struct Others {
    blocked: Vec<MemberId>,
    unfinished: Vec<MemberId>,
}

impl Roster {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.others.is_none()
    }

    /// Everybody in it.
    pub(super) fn all(&self) -> impl Iterator<Item = MemberId> {
        let lists = [self.open(), self.blocked(), self.list(List::Unfinished)];
        lists.into_iter().flatten().copied()
    }

    pub(super) fn blocked(&self) -> &[MemberId] {
        self.list(List::Blocked)
    }

    fn list(&self, list: List) -> &[MemberId] {
        match (list, &self.others) {
            (List::Open, _) => &self.open,
            (_, None) => &[],
            (List::Blocked, Some(others)) => &others.blocked,
            (List::Unfinished, Some(others)) => &others.unfinished,
        }
    }

    /// How many are unfinished.
    pub(super) fn unfinished(&self) -> usize {
        let others = self.others.as_ref();
        others.map_or(0, |others| others.unfinished.len())
    }

    /// Whether somebody is pending.
    pub(super) fn has_pending(&self) -> bool {
        (self.border as usize) < self.open.len()
    }

    /// Makes all of the open pending.
    pub(super) fn begin_pass(&mut self) {
        self.border = 0;
    }

    /// The next pending member, which counts as caught up from here on.
    pub(super) fn next_pending(&mut self) -> Option<MemberId> {
        let id = *self.open.get(self.border as usize)?;
        self.border += 1;
        Some(id)
    }

    /// Those who are pending, in the order of their turns.
    pub(super) fn pending(&self) -> &[MemberId] {
        &self.open[self.border as usize..]
    }

    /// The first `count` of the pending count as caught up from here on.
    pub(super) fn pass_over(&mut self, count: usize) {
        debug_assert!(count <= self.pending().len());
        self.border += count as u32;
    }

    /// The next of the unfinished, in turn; it stays one.
    pub(super) fn next_unfinished(&mut self) -> Option<MemberId> {
        let unfinished = self.list(List::Unfinished);
        let turn = if (self.turn as usize) < unfinished.len() {
            self.turn
        } else {
            0
        };
        let id = unfinished.get(turn as usize).copied();
        self.turn = turn + u32::from(id.is_some());
        id
    }

    /// Puts a member that stands in no list into one; among the open, with the caught up.
    pub(super) fn insert(&mut self, id: MemberId, list: List, members: &mut Chunks<Member>) {
        members[id].list = list;
        let place = self.push(id, list, members);
        if list == List::Open {
            self.swap_open(place, self.border as usize, members);
            self.border += 1;
        }
    }

    /// Takes a member out of its list.
    pub(super) fn remove(&mut self, id: MemberId, members: &mut Chunks<Member>) {
        let (list, mut place) = (members[id].list, members[id].place as usize);
        if list == List::Open && place < self.border as usize {
            // The last of the caught up takes its place, and so the hole is at the border.
            self.border -= 1;
            self.swap_open(place, self.border as usize, members);
            place = self.border as usize;
        }
        debug_assert_eq!(self.list(list)[place], id);
        match (list, &mut self.others) {
            (List::Open, _) => drop(self.open.swap_remove(place)),
            (List::Blocked, Some(others)) => drop(others.blocked.swap_remove(place)),
            (List::Unfinished, Some(others)) => drop(others.unfinished.swap_remove(place)),
            (List::Blocked | List::Unfinished, None) => {}
        }
        if let Some(&moved) = self.list(list).get(place) {
            members[moved].place = place as u32;
        }
        if list != List::Open {
            self.others
                .take_if(|others| others.blocked.is_empty() && others.unfinished.is_empty());
        }
    }

    /// Makes a member pending, whichever list it stands in.
    pub(super) fn make_pending(&mut self, id: MemberId, members: &mut Chunks<Member>) {
        if members[id].list != List::Open {
            self.remove(id, members);
            members[id].list = List::Open;
            self.push(id, List::Open, members);
            return;
        }
        let place = members[id].place as usize;
        if place < self.border as usize {
            self.border -= 1;
            self.swap_open(place, self.border as usize, members);
        }
    }

    fn open(&self) -> &[MemberId] {
        &self.open
    }

    fn push(&mut self, id: MemberId, list: List, members: &mut Chunks<Member>) -> usize {
        match list {
            List::Open => self.open.push(id),
            List::Blocked => self.others.get_or_insert_default().blocked.push(id),
            List::Unfinished => self.others.get_or_insert_default().unfinished.push(id),
        }
        let place = self.list(list).len() - 1;
        members[id].place = place as u32;
        place
    }

    fn swap_open(&mut self, a: usize, b: usize, members: &mut Chunks<Member>) {
        if a != b {
            self.open.swap(a, b);
            members[self.open[a]].place = a as u32;
            members[self.open[b]].place = b as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const MEMBERS: u32 = 8;

    /// The lists as sets: what the order in them must not change.
    #[derive(Default)]
    struct Model {
        caught_up: BTreeSet<u32>,
        pending: BTreeSet<u32>,
        blocked: BTreeSet<u32>,
        unfinished: BTreeSet<u32>,
    }

    impl Model {
        fn take(&mut self, id: u32) -> bool {
            [
                &mut self.caught_up,
                &mut self.pending,
                &mut self.blocked,
                &mut self.unfinished,
            ]
            .into_iter()
            .any(|set| set.remove(&id))
        }
    }

    fn check(roster: &Roster, members: &Chunks<Member>, model: &Model) {
        let (caught_up, pending) = roster.open().split_at(roster.border as usize);
        let set = |row: &[u32]| row.iter().copied().collect::<BTreeSet<u32>>();
        assert_eq!(set(caught_up), model.caught_up);
        assert_eq!(set(pending), model.pending);
        assert_eq!(set(roster.blocked()), model.blocked);
        assert_eq!(set(roster.list(List::Unfinished)), model.unfinished);
        let others = !model.blocked.is_empty() || !model.unfinished.is_empty();
        assert_eq!(
            roster.others.is_some(),
            others,
            "lists that nobody is in take nothing"
        );
        for list in [List::Open, List::Blocked, List::Unfinished] {
            for (place, &id) in roster.list(list).iter().enumerate() {
                assert_eq!((members[id].list, members[id].place as usize), (list, place));
            }
        }
    }

    proptest! {
        #[test]
        fn behaves_as_four_sets(steps in proptest::collection::vec((0u8..8, 0..MEMBERS), 0..200)) {
            let mut members: Chunks<Member> = Chunks::default();
            members.reach(MEMBERS);
            let mut roster = Roster::default();
            let mut model = Model::default();
            for (kind, id) in steps {
                match kind {
                    0..=2 => {
                        if model.take(id) {
                            roster.remove(id, &mut members);
                        }
                        let (list, set) = match kind {
                            0 => (List::Open, &mut model.caught_up),
                            1 => (List::Blocked, &mut model.blocked),
                            _ => (List::Unfinished, &mut model.unfinished),
                        };
                        roster.insert(id, list, &mut members);
                        set.insert(id);
                    }
                    3 => if model.take(id) {
                        roster.remove(id, &mut members);
                    },
                    4 => if model.take(id) {
                        roster.make_pending(id, &mut members);
                        model.pending.insert(id);
                    },
                    5 => {
                        roster.begin_pass();
                        model.pending.append(&mut model.caught_up);
                    }
                    6 => match roster.next_pending() {
                        Some(id) => {
                            prop_assert!(model.pending.remove(&id));
                            model.caught_up.insert(id);
                        }
                        None => prop_assert!(model.pending.is_empty()),
                    },
                    _ => match roster.next_unfinished() {
                        Some(id) => prop_assert!(model.unfinished.contains(&id)),
                        None => prop_assert!(model.unfinished.is_empty()),
                    },
                }
                prop_assert_eq!(roster.has_pending(), !model.pending.is_empty());
                check(&roster, &members, &model);
            }
        }
    }

    #[test]
    fn each_of_the_unfinished_has_its_turn() {
        let mut members: Chunks<Member> = Chunks::default();
        members.reach(4);
        let mut roster = Roster::default();
        (0..4).for_each(|id| roster.insert(id, List::Unfinished, &mut members));
        let turns: Vec<u32> = (0..6).filter_map(|_| roster.next_unfinished()).collect();
        assert_eq!(turns, [0, 1, 2, 3, 0, 1]);
        roster.remove(1, &mut members);
        let turns: BTreeSet<u32> = (0..4).filter_map(|_| roster.next_unfinished()).collect();
        assert_eq!(turns, [0, 2, 3].into(), "within a round and a half");
    }

    #[test]
    fn those_who_come_and_finish_at_once_keep_nobody_from_a_turn() {
        let mut members: Chunks<Member> = Chunks::default();
        members.reach(200);
        let mut roster = Roster::default();
        (0..3).for_each(|id| roster.insert(id, List::Unfinished, &mut members));
        let mut turns = [0; 3];
        for newcomer in 3..103 {
            let id = roster.next_unfinished().expect("somebody");
            match turns.get_mut(id as usize) {
                Some(turns) => *turns += 1,
                None => roster.remove(id, &mut members),
            }
            roster.insert(newcomer, List::Unfinished, &mut members);
        }
        assert!(turns.iter().all(|turns| *turns > 0), "{turns:?}");
    }

    #[test]
    fn passes_go_through_the_members_in_the_order_in_which_they_came() {
        let mut members: Chunks<Member> = Chunks::default();
        members.reach(5);
        let mut roster = Roster::default();
        (0..5).for_each(|id| roster.insert(id, List::Open, &mut members));
        for _ in 0..2 {
            roster.begin_pass();
            let pass: Vec<u32> = std::iter::from_fn(|| roster.next_pending()).collect();
            assert_eq!(pass, [0, 1, 2, 3, 4]);
        }
    }
}
