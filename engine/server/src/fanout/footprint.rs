//! What the parts of the fan-out take for each member, group and topic of a group, for the table of the whole
//! (`reactor/footprint.rs`).

use super::group::{Group, Wanted};
use super::members::Member;
use super::{GroupId, MemberId, Wanting};
use crate::mem::slab::Slab;

/// A member, in chunks.
pub const MEMBER_BYTES: usize = size_of::<Member>();

/// A member's place in the row of its group, where that does not stand in the group itself.
pub const PLACE_BYTES: usize = size_of::<MemberId>();

/// A group, in chunks: with its log, its row of up to four members, and its flags.
pub const GROUP_BYTES: usize = Slab::<Group>::SLOT_BYTES;

/// A topic of a group, in the group's block of them.
pub const WANTED_BYTES: usize = size_of::<Wanted>();

/// A group of a topic, in the topic's list of them.
pub const WANTING_BYTES: usize = size_of::<Wanting>();

/// A group's entry in the table by topics: its id, and a byte that the table looks at first.
pub const INDEX_BYTES: usize = size_of::<GroupId>() + 1;

/// A group's place in the queue of those with work.
pub const READY_BYTES: usize = size_of::<GroupId>();

const _: () = assert!(MEMBER_BYTES == 32 && PLACE_BYTES == 4);
const _: () = assert!(GROUP_BYTES == 112 && WANTED_BYTES == 8 && WANTING_BYTES == 8);
