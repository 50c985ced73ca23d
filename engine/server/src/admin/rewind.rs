//! A stream whose first bytes were read already: they are given again before what follows, and request targets that the library
//! would refuse are encoded on the way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::targets::Targets;

/// A socket with bytes that were read from it before.
#[derive(Debug)]
pub(super) struct Rewind {
    read: Vec<u8>,
    /// Bytes of `read` given so far; at most its length.
    given: usize,
    targets: Targets,
    stream: TcpStream,
}

impl Rewind {
    pub(super) fn new(head: Vec<u8>, stream: TcpStream) -> Rewind {
        let mut targets = Targets::default();
        Rewind {
            read: targets.encoded(&head).unwrap_or(head),
            given: 0,
            targets,
            stream,
        }
    }

    /// Gives what was read before; false where there is nothing.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let count = buffer.remaining().min(self.read.len() - self.given);
        buffer.put_slice(&self.read[self.given..self.given + count]);
        self.given += count;
        count > 0
    }

    /// The socket, and what was not given again yet.
    pub(super) fn into_parts(mut self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read.split_off(self.given))
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.give(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(encoded) = self.targets.encoded(&buffer.filled()[before..]) {
            // They may be more now than there is room for.
            buffer.set_filled(before);
            self.read = encoded;
            self.given = 0;
            self.give(buffer);
        }
        polled
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
