//! One connection as its worker keeps it.

use crate::mem::slab::Slab;
use crate::session::Session;

/// One connection. It takes one cache line, since a pass over a group's members looks up the socket of each.
#[derive(Debug)]
#[repr(align(64))]
pub(in crate::reactor) struct Connection<S> {
    pub(super) socket: S,
    pub(super) session: Session,
    /// Waits in the queue of connections to read.
    pub(super) is_queued: bool,
    /// The peer has sent its last byte, though we may not have read that far.
    pub(super) is_ending: bool,
    /// Not read from until it has taken its own bytes.
    pub(super) is_paused: bool,
    /// Nothing more is to be sent once everything owed is written.
    pub(super) is_finishing: bool,
    /// Our side of the socket was shut: only the peer's end of stream is awaited.
    pub(super) is_shut: bool,
    /// Everything that the peer sent was read, its end of stream too.
    pub(super) is_at_end: bool,
    /// Counted as a subscriber.
    pub(super) has_streams: bool,
    /// Which round over all connections was the last when it became a subscriber: one that is under way is not for it.
    ///
    /// A count of 256 is enough: each round closes all who became subscribers before it, or is given up for the next, which does;
    /// and only the engine's end, at most two rounds, is begun while another is under way.
    pub(super) opened_in: u8,
}

impl<S> Connection<S> {
    /// One that was just accepted.
    pub(super) fn new(socket: S, session: Session) -> Connection<S> {
        Connection {
            socket,
            session,
            is_queued: false,
            is_ending: false,
            is_paused: false,
            is_finishing: false,
            is_shut: false,
            is_at_end: false,
            has_streams: false,
            opened_in: 0,
        }
    }
}

/// Bytes that a connection with a socket of four bytes, a descriptor, takes in the table.
pub(in crate::reactor) const SLOT_BYTES: usize = Slab::<Connection<u32>>::SLOT_BYTES;

// One cache line, and its slot adds nothing. The real socket is a descriptor too, and has one field more where debug
// assertions are on.
const _: () = assert!(SLOT_BYTES == 64);
#[cfg(not(debug_assertions))]
const _: () = assert!(Slab::<Connection<mio::net::TcpStream>>::SLOT_BYTES == SLOT_BYTES);
