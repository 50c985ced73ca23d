//! The memory of an idle subscribed connection, field by field. It owns no block of memory of its own: only slots in tables
//! that all connections of a worker share.
//!
//! | for each connection | bytes | in |
//! |---|---|---|
//! | socket 4, session 48, flags 8, rounded up to a cache line | 64 | the slab, chunks of 1,024 |
//! | deadline and the links of its slot | 12 | the timer wheel, chunks of 1,024 |
//! | group, place, cursor, flags, an empty prefix | 32 | the members of the fan-out, chunks of 1,024 |
//! | place in its group | 4 to 8 | the group's row, which doubles when it is full |
//! | its address | up to 10 | the table of addresses, of 65,536 at most: 2.2 MB for 240,000 connections |
//!
//! | for each group, of ten streams | bytes | in |
//! |---|---|---|
//! | its log, which is empty, the row of up to four members, flags | 112 | the slab, chunks of 1,024 |
//! | its topics and its places in their lists, 8 each | 96 | a block of its own: 80, and what malloc adds |
//! | itself in the list of each topic, 8 each | 80 to 160 | the topics' lists, which double when they are full |
//! | itself in the table by topics, 5 | 6 to 12 | a table between 7/16 and 7/8 full |
//! | its place in the queue of those with work | 4 to 8 | a queue that doubles when it is full |
//!
//! What may come on top does not depend on how many are idle: memory that is kept for reuse. For each worker at most 8 MiB of
//! logs, 0.6 MiB of prefixes, 0.3 MiB of buffers for what arrives in part, and what is read from one connection at a time.

use super::attempts;
use super::connections::connection::SLOT_BYTES;
use crate::fanout::footprint as fanout;
use crate::mem::wheel::LINK_BYTES;

/// Bytes that malloc adds to a block, and what it rounds blocks up to (glibc; 64 bit).
const MALLOC_HEADER: usize = 8;
const MALLOC_UNIT: usize = 16;

/// The connections of the budgets.
const CONNECTIONS: usize = 240_000;

/// The streams of a group in its budget.
const STREAMS: usize = 10;

/// What a connection takes beside its share of a group; lists that double at their worst.
const CONNECTION: usize = SLOT_BYTES + LINK_BYTES + fanout::MEMBER_BYTES + ADDRESS;

/// A connection's share of the table of addresses, where each has one of its own.
const ADDRESS: usize = attempts::BYTES_MAX.div_ceil(CONNECTIONS);

/// Its share of a group that it has with many.
const SHARED: usize = 2 * fanout::PLACE_BYTES;

/// A group of which it is alone a member, and which has its place itself.
const ALONE: usize = fanout::GROUP_BYTES
    + (STREAMS * fanout::WANTED_BYTES + MALLOC_HEADER).next_multiple_of(MALLOC_UNIT)
    + 2 * STREAMS * fanout::WANTING_BYTES
    + (fanout::INDEX_BYTES * 16).div_ceil(7)
    + 2 * fanout::READY_BYTES;

// The table above, and the budgets.
const _: () = assert!(SLOT_BYTES == 64 && LINK_BYTES == 12 && ADDRESS == 10);
const _: () = assert!(CONNECTION + SHARED <= 128);
const _: () = assert!(CONNECTION + ALONE <= 512);
