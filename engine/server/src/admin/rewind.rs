//! A stream whose first bytes were read already: they are given again before what follows, and request targets that the library
//! would refuse are encoded on the way.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::targets::Targets;

/// How long a peer may take nothing of an answer: its body is in memory until then.
const STALL_MAX: Duration = Duration::from_secs(10);

/// A socket with bytes that were read from it before.
#[derive(Debug)]
pub(super) struct Rewind {
    read: Vec<u8>,
    /// Bytes of `read` given so far; at most its length.
    given: usize,
    targets: Targets,
    stream: TcpStream,
    /// When the peer is given up that takes nothing of what is written to it; None while it does.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Rewind {
    pub(super) fn new(head: Vec<u8>, stream: TcpStream) -> Rewind {
        let mut targets = Targets::default();
        Rewind {
            read: targets.encoded(&head).unwrap_or(head),
            given: 0,
            targets,
            stream,
            stalled: None,
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
