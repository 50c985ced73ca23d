//! A socket without a kernel: two queues of bytes, the room that the peer leaves, and the edges that a poll would report.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use crate::reactor::socket::Socket;

/// Room that never ends.
pub(super) const ENDLESS: usize = usize::MAX / 2;

/// One write by the worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) offered: usize,
    pub(super) taken: usize,
}

/// What the worker's end and the peer's end share.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// What has arrived from the peer and was not read yet.
    pub(super) arrived: VecDeque<u8>,
    /// Bytes that the worker has read.
    pub(super) read: u64,
    /// The peer's end of stream stands behind what has arrived.
    pub(super) is_ended: bool,
    /// The peer has reset the connection: nothing can be read or written any more.
    pub(super) is_reset: bool,
    /// Bytes that the socket takes until somebody makes room.
    pub(super) room: usize,
    /// What the worker has written since the peer last looked.
    pub(super) written: Vec<u8>,
    /// How it has written that.
    pub(super) writes: Vec<Write>,
    /// A write was cut short: making room is worth an edge.
    wants_room: bool,
    is_readable: bool,
    is_writable: bool,
    /// The worker has read the peer's end of stream.
    pub(super) has_read_end: bool,
    /// A read or a write of the worker's has failed.
    pub(super) has_failed: bool,
    /// The worker has ended its side.
    pub(super) is_shut: bool,
    /// The close is to be a reset.
    pub(super) will_reset: bool,
    /// The worker has closed it.
    pub(super) is_closed: bool,
    /// The worker has written behind its own end of stream.
    pub(super) was_misused: bool,
}

/// What a poll reports of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edges {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) ending: bool,
}

impl Pipe {
    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.is_reset && !self.is_ended {
            self.arrived.extend(bytes);
            self.is_readable = true;
        }
    }

    pub(super) fn end(&mut self) {
        self.is_ended = true;
        self.is_readable = true;
    }

    /// As by a peer that has gone: what was not read yet is lost.
    pub(super) fn reset(&mut self) {
        self.is_reset = true;
        self.arrived.clear();
        self.is_readable = true;
        self.is_writable = true;
    }

    pub(super) fn make_room(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes).min(ENDLESS);
        self.is_writable |= self.wants_room && bytes > 0;
    }

    /// The edges since the last call. As of a real poll, one that something was to be read comes with whether there is
    /// room, too.
    pub(super) fn take_edges(&mut self) -> Edges {
        let readable = std::mem::take(&mut self.is_readable);
        let writable = std::mem::take(&mut self.is_writable) || (readable && self.room > 0);
        if writable {
            self.wants_room = false;
        }
        Edges {
            readable,
            writable,
            ending: self.is_ended || self.is_reset,
        }
    }
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct VirtualSocket(pub(super) Rc<RefCell<Pipe>>);

impl Socket for VirtualSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.is_reset {
            pipe.has_failed = true;
            return Err(ErrorKind::ConnectionReset.into());
        }
        let len = pipe.arrived.len().min(buffer.len());
        if len == 0 {
            if !pipe.is_ended {
                return Err(ErrorKind::WouldBlock.into());
            }
            pipe.has_read_end = true;
        }
        for (place, byte) in buffer.iter_mut().zip(pipe.arrived.drain(..len)) {
            *place = byte;
        }
        pipe.read += len as u64;
        Ok(len)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        pipe.was_misused |= pipe.is_shut;
        if pipe.is_reset {
            pipe.has_failed = true;
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = offered.min(pipe.room);
        let mut left = taken;
        for slice in slices {
            let len = slice.len().min(left);
            pipe.written.extend_from_slice(&slice[..len]);
            left -= len;
        }
        pipe.room -= taken;
        pipe.wants_room |= taken < offered;
        pipe.writes.push(Write { offered, taken });
        Ok(taken)
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        let mut pipe = self.0.borrow_mut();
        if pipe.is_reset {
            pipe.has_failed = true;
            return Err(ErrorKind::NotConnected.into());
        }
        pipe.was_misused |= pipe.is_shut;
        pipe.is_shut = true;
        Ok(())
    }

    fn reset_on_close(&self) {
        self.0.borrow_mut().will_reset = true;
    }
}

impl Drop for VirtualSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}
