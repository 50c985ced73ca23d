//! A stream whose first bytes were read already: they are given again before what follows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket with the bytes that were read from it before.
#[derive(Debug)]
pub(super) struct Rewind {
    head: Vec<u8>,
    /// Bytes of `head` given so far; at most its length.
    given: usize,
    stream: TcpStream,
}

impl Rewind {
    pub(super) fn new(head: Vec<u8>, stream: TcpStream) -> Rewind {
        Rewind {
            head,
            given: 0,
            stream,
        }
    }
}

impl Rewind {
    /// The socket, and what was not given again yet.
    pub(super) fn into_parts(mut self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.head.split_off(self.given))
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given == self.head.len() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = buffer.remaining().min(self.head.len() - self.given);
        let end = self.given + count;
        buffer.put_slice(&self.head[self.given..end]);
        self.given = end;
        Poll::Ready(Ok(()))
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
