//! Sockets: listeners that share a port, the options of an accepted connection, gathered writes, and a hard close.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections the kernel holds for a listener before they are accepted. The kernel cuts it to
/// `net.core.somaxconn` (4,096 by default), so a larger number than that only follows the host's own setting.
const BACKLOG: i32 = 16_384;

/// How often a request that nobody hears is read from, 4 KiB each: requests are shorter.
const REQUEST_READS_MAX: usize = 16;

/// What the kernel keeps for each connection.
#[derive(Clone, Copy, Debug)]
pub struct SocketBuffers {
    /// The send buffer, bytes; the kernel's own sizing where none is given.
    pub send: Option<usize>,
    /// Unsent bytes past which the socket takes no more (`TCP_NOTSENT_LOWAT`).
    pub notsent_lowat: usize,
}

/// Listens on `address` with `count` listeners (`SO_REUSEPORT`): the kernel spreads connections over them. Port 0 is any free
/// one, the same for all.
///
/// The port must be free of *other* processes. An error is the configuration's or the host's.
pub fn listen_together(
    address: SocketAddr,
    count: usize,
    buffers: SocketBuffers,
) -> io::Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::with_capacity(count);
    let mut address = address;
    for index in 0..count {
        let listener = listen(address, index == 0, buffers)?;
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Binds one of several listeners on `address`.
///
/// What every subscriber's socket has is set here, once, since accepted sockets take it over from their listener: no Nagle
/// delay, and `buffers`.
///
/// With `exclusive` the port must be free of *other* processes: a bind without `SO_REUSEPORT` is tried first, since
/// with it a second engine of the same user would silently share the port and take half the connections.
fn listen(address: SocketAddr, exclusive: bool, buffers: SocketBuffers) -> io::Result<std::net::TcpListener> {
    if exclusive && address.port() != 0 {
        let probe = socket(address)?;
        probe.set_reuse_address(true)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let socket = socket(address)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = buffers.send {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.set_tcp_notsent_lowat(u32::try_from(buffers.notsent_lowat).unwrap_or(u32::MAX))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
}

/// What came of accepting.
#[derive(Debug)]
pub enum Accepted {
    /// A connection, of this peer.
    Connection(TcpStream, IpAddr),
    /// A connection that was gone before it was accepted; there may be others.
    Gone,
    /// None waits.
    Nothing,
    /// The host refused, and the connection waits still: it has no descriptor left, or no memory.
    Refused(io::Error),
}

/// Accepts one connection.
pub fn accept(listener: &TcpListener) -> Accepted {
    match listener.accept() {
        Ok((socket, peer)) => Accepted::Connection(socket, peer.ip()),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Accepted::Nothing,
            // accept(2): errors of the network that wait for the connection are told here, and are its own.
            ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::PermissionDenied => Accepted::Gone,
            _ => Accepted::Refused(error),
        },
    }
}

/// Answers a connection that has no place to be heard in, with what its socket takes at once; it is closed on return. A peer
/// whose request is not here yet may see a reset instead of the answer.
pub fn answer_and_close(mut socket: TcpStream, answer: &[u8]) {
    // What is unread when the socket is closed becomes a reset, so what there is of the request is taken first.
    let mut request = [0; 4096];
    for _ in 0..REQUEST_READS_MAX {
        match socket.read(&mut request) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    // Best effort: a peer that does not get it sees the connection end.
    let _ = socket
        .write_all(answer)
        .and_then(|()| socket.shutdown(Shutdown::Write));
}

/// Writes the slices in one call. `Ok(0)` means that the socket takes nothing now.
///
/// The call is made without the C library, whose `send` is a point of cancellation and costs more than the loop around it.
pub fn send(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let result = match slices {
            [one] => rustix::net::send(&*stream, one, SendFlags::NOSIGNAL),
            many => rustix::io::writev(&*stream, many),
        };
        match result {
            Ok(written) => return Ok(written),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes the coming close a reset, so that the kernel gives up unsent bytes at once instead of keeping them for a
/// peer that does not read.
pub fn reset_on_close(stream: &TcpStream) {
    // A socket that refuses has already failed, and then nothing of it is left to give up.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_sockets_take_over_what_their_listener_has() {
        let buffers = SocketBuffers {
            send: Some(20_000),
            notsent_lowat: 5_000,
        };
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), true, buffers).unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // Connecting has returned, so the connection waits to be accepted.
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        // The kernel doubles what is asked for, for its own needs.
        assert_eq!(accepted.send_buffer_size().unwrap(), 40_000);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), 5_000);
    }
}
