//! What the connections of a worker need of a socket: a TCP stream in the engine, and one without a kernel where they are
//! tested.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;

use mio::net::TcpStream;

use crate::os::net;

/// A connected socket that never waits.
pub(super) trait Socket {
    /// Reads what is there. `Ok(0)` is the peer's end of stream, `WouldBlock` means that nothing is there now.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes the slices in one call. `Ok(0)` means that the socket takes nothing now.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Ends our side: the peer reads an end of stream behind our last byte.
    fn shut_down_writing(&mut self) -> io::Result<()>;
    /// Makes the coming close a reset, which gives up what was not sent yet.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        net::send(self, slices)
    }

    fn shut_down_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) {
        net::reset_on_close(self);
    }
}
