//! Sockets on their way from one descriptor table to another, each with the bytes that were read from it already. A way
//! leads back, too: what the taker gives is taken by whichever giver comes first.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::unix::AsyncFd;

/// Bytes that go along with a socket at most.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// The giving end; copies of it may be in several tables.
#[derive(Debug)]
pub struct Giver(OwnedFd);

/// The taking end.
#[derive(Debug)]
pub struct Taker(OwnedFd);

/// Why a socket was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// As many are on their way as the kernel holds.
    #[error("too many sockets are on their way")]
    Full,
    /// The taker is gone.
    #[error("nobody takes sockets any more")]
    Ended,
    /// The head is over [`HEAD_BYTES_MAX`].
    #[error("the bytes that would go with the socket are over {HEAD_BYTES_MAX}")]
    HeadTooLarge,
    /// The host refused.
    #[error("the host refused to pass a socket on: {0}")]
    Host(#[from] Errno),
}

/// What arrived.
#[derive(Debug)]
pub enum Taken {
    /// A socket and how many bytes of its head were written to the buffer.
    Socket(OwnedFd, usize),
    /// A head whose socket was lost: this table had no room for it.
    Lost,
    /// All givers are gone.
    Ended,
}

/// A way for sockets, in order; the kernel bounds what is on its way by bytes.
pub fn pair() -> io::Result<(Giver, Taker)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // With message boundaries, an order and an end.
    let (giver, taker) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((Giver(giver), Taker(taker)))
}

impl Giver {
    /// Gives a copy of `socket` with `head`, which must not be empty (an empty message would be an end).
    pub fn give(&self, socket: BorrowedFd<'_>, head: &[u8]) -> Result<(), NotGiven> {
        send(&self.0, socket, head)
    }

    /// Takes what came back, as [`Taker::take`] does; [`Taken::Ended`] when the taker is gone.
    pub fn take_back(&self, buffer: &mut [u8]) -> io::Result<Taken> {
        receive(&self.0, buffer)
    }

    /// Lets what comes back wake the poll of `registry`, edge-triggered; of several givers, each poll is woken.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.0.as_raw_fd()), token, Interest::READABLE)
    }
}

/// A copy of a giver that a thread apart was passed.
impl From<OwnedFd> for Giver {
    fn from(copy: OwnedFd) -> Giver {
        Giver(copy)
    }
}

impl AsFd for Giver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Taker {
    /// Takes what is there; `WouldBlock` when nothing is. `buffer` should have room for [`HEAD_BYTES_MAX`].
    pub fn take(&self, buffer: &mut [u8]) -> io::Result<Taken> {
        receive(&self.0, buffer)
    }

    /// Gives a socket back, as [`Giver::give`] does.
    pub fn give_back(&self, socket: BorrowedFd<'_>, head: &[u8]) -> Result<(), NotGiven> {
        send(&self.0, socket, head)
    }
}

fn send(way: &OwnedFd, socket: BorrowedFd<'_>, head: &[u8]) -> Result<(), NotGiven> {
    debug_assert!(!head.is_empty());
    if head.len() > HEAD_BYTES_MAX {
        return Err(NotGiven::HeadTooLarge);
    }
    let sockets = [socket];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    if !along.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(NotGiven::Host(Errno::NOBUFS));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match retry_on_intr(|| sendmsg(way, &[IoSlice::new(head)], &mut along, flags)) {
        Ok(_) => Ok(()),
        // The last is how the kernel says that too many sockets of this user are on their way.
        Err(Errno::AGAIN | Errno::TOOMANYREFS) => Err(NotGiven::Full),
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(NotGiven::Ended),
        Err(error) => Err(NotGiven::Host(error)),
    }
}

fn receive(way: &OwnedFd, buffer: &mut [u8]) -> io::Result<Taken> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = retry_on_intr(|| recvmsg(way, &mut [IoSliceMut::new(buffer)], &mut along, flags))?;
    let mut sockets = along.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok(match (sockets.next(), message.bytes) {
        (None, 0) => Taken::Ended,
        (Some(socket), bytes) if !message.flags.contains(ReturnFlags::TRUNC) => Taken::Socket(socket, bytes),
        _ => Taken::Lost,
    })
}

impl Taker {
    /// To be waited for in a runtime of tokio, which must be the calling one.
    pub fn watched(self) -> io::Result<AsyncFd<Taker>> {
        // SAFETY: a taker owns its one descriptor for as long as it lives, and never gives another.
        let watched = unsafe { AsyncFd::register_with_interest(self, tokio::io::Interest::READABLE) };
        Ok(watched?)
    }

    /// Whether all givers are gone, though something they gave may wait still.
    pub fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
    }
}

impl AsRawFd for Taker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{read, write};

    #[test]
    fn sockets_arrive_with_their_heads_until_nobody_gives() {
        let (giver, taker) = pair().unwrap();
        let mut buffer = vec![0; HEAD_BYTES_MAX];
        assert_eq!(
            taker.take(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let long = vec![7; HEAD_BYTES_MAX];
        giver.give(theirs.as_fd(), &long).unwrap();
        assert_eq!(
            giver.give(theirs.as_fd(), &[0; HEAD_BYTES_MAX + 1]),
            Err(NotGiven::HeadTooLarge)
        );
        assert!(!taker.is_over());
        drop((giver, theirs));
        assert!(taker.is_over());
        let Taken::Socket(socket, bytes) = taker.take(&mut buffer).unwrap() else {
            panic!("no socket arrived");
        };
        assert_eq!(buffer[..bytes], long);
        write(&socket, b"through").unwrap();
        let mut heard = [0; 7];
        read(&ours, &mut heard).unwrap();
        assert_eq!(&heard, b"through");
        assert!(matches!(taker.take(&mut buffer).unwrap(), Taken::Ended));
    }

    #[test]
    fn a_socket_that_is_given_back_wakes_a_giver_with_its_head() {
        let (giver, taker) = pair().unwrap();
        let mut poll = mio::Poll::new().unwrap();
        giver.register(poll.registry(), Token(7)).unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        taker.give_back(theirs.as_fd(), b"GET /ws/0").unwrap();
        drop(theirs);
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(std::time::Duration::from_secs(10)))
            .unwrap();
        assert!(
            events
                .iter()
                .any(|event| event.token() == Token(7) && event.is_readable())
        );
        let mut buffer = vec![0; HEAD_BYTES_MAX];
        let Taken::Socket(socket, bytes) = giver.take_back(&mut buffer).unwrap() else {
            panic!("no socket came back");
        };
        assert_eq!(&buffer[..bytes], b"GET /ws/0");
        write(&socket, b"through").unwrap();
        let mut heard = [0; 7];
        read(&ours, &mut heard).unwrap();
        assert_eq!(&heard, b"through");
        assert_eq!(
            giver.take_back(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(taker);
        assert!(matches!(giver.take_back(&mut buffer).unwrap(), Taken::Ended));
    }

    #[test]
    fn a_way_that_is_full_or_ended_says_so() {
        let (giver, taker) = pair().unwrap();
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let given = (0..100_000).find_map(|_| giver.give(ours.as_fd(), b"GET / HTTP/1.1").err());
        assert_eq!(given, Some(NotGiven::Full));
        drop(taker);
        assert_eq!(giver.give(ours.as_fd(), b"GET / HTTP/1.1"), Err(NotGiven::Ended));
    }
}
