//! Connections taken by the bare loop: accept, register, read the request's head, write a constant answer. No less can be
//! done for a handshake, so this is its floor, too.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{monotonic_ns, timespec};

/// The key that all clients of the bare loop offer (that of RFC 6455 section 1.3), so that the answer is constant.
pub const REQUEST_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The key that answers it.
pub const ACCEPT_KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The whole answer: the shortest that RFC 6455 section 4.2.2 allows.
pub const ACCEPT_ANSWER: &[u8; 129] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n";

// The answer is the one to the key.
const _: () = {
    let (key, place) = (ACCEPT_KEY.as_bytes(), 34 + 20 + 21 + 22);
    let mut i = 0;
    while i < key.len() {
        assert!(ACCEPT_ANSWER[place + i] == key[i]);
        i += 1;
    }
};

/// Connections the kernel holds before they are accepted, as many as for the engine.
const BACKLOG: i32 = 16_384;

/// Connections accepted before requests have their turn, as many as in the engine.
const ACCEPTS_PER_SLICE: usize = 64;

/// Events taken at a time, as many as in the engine.
const EVENTS_MAX: usize = 1024;

/// What a request's head is read into: more than any of a browser's.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a request's head ends with.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The listener among the connections' numbers.
const LISTENER: u64 = u64::MAX;

/// A connection's events: what mio asks for where the engine registers one for reading and writing.
const CONNECTION_EVENTS: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// What the host refused.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub(super) struct AcceptError {
    what: &'static str,
    #[source]
    error: io::Error,
}

impl AcceptError {
    fn of(what: &'static str) -> impl FnOnce(Errno) -> AcceptError {
        move |error| AcceptError {
            what,
            error: error.into(),
        }
    }
}

/// Sockets that were answered, in the order in which they were accepted, and the epoll in which they are registered.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) sockets: Vec<OwnedFd>,
    /// Nothing is asked of it any more; closing it would take the registrations away.
    pub(super) _epoll: OwnedFd,
    /// When the first was accepted, CLOCK_MONOTONIC.
    pub(super) begun_ns: u64,
    /// When the last was answered, CLOCK_MONOTONIC.
    pub(super) done_ns: u64,
}

/// A connection.
#[derive(Debug)]
struct Place {
    /// None once it left, or said no request, before it was answered.
    socket: Option<OwnedFd>,
    /// Nothing is read of it from then on.
    is_answered: bool,
}

/// A listener and what it has taken so far.
pub(super) struct Acceptor {
    listener: Socket,
    epoll: OwnedFd,
    wanted: usize,
    /// By number.
    places: Vec<Place>,
    /// The starts of requests that came in several pieces, by number.
    partial: HashMap<usize, Vec<u8>>,
    /// Of `places`, those with a socket.
    open: usize,
    /// Of those, the answered.
    answered: usize,
    may_accept: bool,
    begun_ns: u64,
    done_ns: u64,
    head: Vec<u8>,
    events: Vec<epoll::Event>,
}

impl Acceptor {
    /// Listens at `address` for `wanted` connections.
    pub(super) fn new(
        address: SocketAddr,
        wanted: usize,
        send_buffer: Option<usize>,
    ) -> Result<Acceptor, AcceptError> {
        let listener = listen(address, send_buffer).map_err(|error| AcceptError {
            what: "cannot listen",
            error,
        })?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(AcceptError::of("cannot make an epoll"))?;
        let events = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), events)
            .map_err(AcceptError::of("cannot register the listener"))?;
        Ok(Acceptor {
            listener,
            epoll,
            wanted,
            places: Vec::with_capacity(wanted),
            partial: HashMap::new(),
            open: 0,
            answered: 0,
            may_accept: false,
            begun_ns: 0,
            done_ns: 0,
            head: vec![0; HEAD_BYTES_MAX],
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, AcceptError> {
        let address = self.listener.local_addr().map_err(|error| AcceptError {
            what: "the listener has no address",
            error,
        })?;
        // It was made for an internet address.
        address.as_socket().ok_or_else(|| AcceptError {
            what: "the listener has no internet address",
            error: io::ErrorKind::AddrNotAvailable.into(),
        })
    }

    /// How many were answered.
    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    pub(super) fn is_done(&self) -> bool {
        self.answered == self.wanted
    }

    /// Takes connections and answers until all are there, or until `until_ns` (CLOCK_MONOTONIC).
    pub(super) fn serve(&mut self, until_ns: u64) -> Result<(), AcceptError> {
        while !self.is_done() {
            let now_ns = monotonic_ns();
            if now_ns >= until_ns {
                break;
            }
            if self.may_accept {
                self.accept_slice()?;
            }
            let wait = if self.may_accept && self.open < self.wanted {
                0
            } else {
                until_ns - now_ns
            };
            self.take_events(wait)?;
        }
        Ok(())
    }

    fn accept_slice(&mut self) -> Result<(), AcceptError> {
        for _ in 0..ACCEPTS_PER_SLICE {
            if self.open == self.wanted {
                break;
            }
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    if self.begun_ns == 0 {
                        self.begun_ns = monotonic_ns();
                    }
                    let number = EventData::new_u64(self.places.len() as u64);
                    epoll::add(&self.epoll, &socket, number, CONNECTION_EVENTS)
                        .map_err(AcceptError::of("cannot register a connection"))?;
                    self.places.push(Place {
                        socket: Some(socket),
                        is_answered: false,
                    });
                    self.open += 1;
                }
                Err(Errno::AGAIN) => {
                    self.may_accept = false;
                    break;
                }
                // It was gone before it was taken.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(AcceptError::of("cannot accept a connection")(error)),
            }
        }
        Ok(())
    }

    fn take_events(&mut self, wait_ns: u64) -> Result<(), AcceptError> {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&timespec(wait_ns)),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(AcceptError::of("cannot wait for requests")(error)),
        }
        for event in &events {
            // Copied, since the kernel's structure is packed.
            let (data, flags) = (event.data, event.flags);
            match usize::try_from(data.u64()) {
                _ if data.u64() == LISTENER => self.may_accept = true,
                // The first event of most is that they can be written, ahead of the request.
                Ok(number) if flags.intersects(EventFlags::IN) => self.read(number),
                _ => {}
            }
        }
        self.events = events;
        Ok(())
    }

    fn read(&mut self, number: usize) {
        let Some(Place {
            socket: Some(socket),
            is_answered: false,
        }) = self.places.get(number)
        else {
            return;
        };
        let len = match recv(socket, &mut self.head[..], RecvFlags::empty()) {
            Ok((len, _)) if len > 0 => len,
            Err(Errno::AGAIN | Errno::INTR) => return,
            _ => return self.forget(number),
        };
        let head = &self.head[..len];
        let is_whole = if head.ends_with(HEAD_END) && self.partial.is_empty() {
            true
        } else {
            let begun = self.partial.entry(number).or_default();
            begun.extend_from_slice(head);
            if begun.len() > HEAD_BYTES_MAX {
                return self.forget(number);
            }
            begun.ends_with(HEAD_END)
        };
        if is_whole {
            self.answer(number);
        }
    }

    fn answer(&mut self, number: usize) {
        self.partial.remove(&number);
        let Some(place) = self.places.get_mut(number) else {
            return;
        };
        let Some(socket) = &place.socket else {
            return;
        };
        if send(socket, ACCEPT_ANSWER, SendFlags::NOSIGNAL) != Ok(ACCEPT_ANSWER.len()) {
            return self.forget(number);
        }
        place.is_answered = true;
        self.answered += 1;
        if self.is_done() {
            self.done_ns = monotonic_ns();
        }
    }

    /// Closes one that will not be answered, so that another can take its place.
    fn forget(&mut self, number: usize) {
        self.partial.remove(&number);
        if let Some(place) = self.places.get_mut(number) {
            place.socket = None;
            self.open -= 1;
        }
    }

    /// All that were taken. The listener is closed.
    pub(super) fn into_accepted(self) -> Accepted {
        Accepted {
            sockets: self.places.into_iter().filter_map(|place| place.socket).collect(),
            _epoll: self.epoll,
            begun_ns: self.begun_ns,
            done_ns: self.done_ns,
        }
    }
}

/// A listener whose options its connections inherit: Linux copies a socket for each.
fn listen(address: SocketAddr, send_buffer: Option<usize>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use depthcast_wire::http::parse_response;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn acceptor(wanted: usize, send_buffer: Option<usize>) -> (Acceptor, SocketAddr) {
        let acceptor = Acceptor::new("127.0.0.1:0".parse().unwrap(), wanted, send_buffer).unwrap();
        let address = acceptor.address().unwrap();
        (acceptor, address)
    }

    fn serve(acceptor: &mut Acceptor, until: impl Fn(&Acceptor) -> bool) {
        let patience_ns = monotonic_ns() + 20_000_000_000;
        while !until(acceptor) {
            assert!(monotonic_ns() < patience_ns);
            acceptor.serve(monotonic_ns() + 1_000_000).unwrap();
        }
    }

    #[test]
    fn the_answer_is_the_one_to_the_key() {
        let head = parse_response(ACCEPT_ANSWER, REQUEST_KEY).unwrap().unwrap();
        assert_eq!(head.head_len, ACCEPT_ANSWER.len());
    }

    #[test]
    fn connections_inherit_the_options_of_the_listener() {
        for send_buffer in [None, Some(50_000)] {
            let (mut acceptor, address) = acceptor(1, send_buffer);
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(REQUEST).unwrap();
            serve(&mut acceptor, Acceptor::is_done);
            let accepted = acceptor.into_accepted();
            let socket = socket2::SockRef::from(&accepted.sockets[0]);
            assert!(socket.tcp_nodelay().unwrap());
            assert!(socket.nonblocking().unwrap());
            let own = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            if let Some(bytes) = send_buffer {
                own.set_send_buffer_size(bytes).unwrap();
                assert_eq!(
                    socket.send_buffer_size().unwrap(),
                    own.send_buffer_size().unwrap()
                );
            }
        }
    }

    #[test]
    fn requests_come_in_pieces_and_some_never() {
        let (mut acceptor, address) = acceptor(3, None);
        let mut clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        serve(&mut acceptor, |acceptor| acceptor.open == 3);
        for client in &mut clients[..2] {
            client.write_all(&REQUEST[..REQUEST.len() - 2]).unwrap();
        }
        serve(&mut acceptor, |acceptor| acceptor.partial.len() == 2);
        // The first completes its own, the third says a whole one meanwhile, the second leaves and another comes.
        clients[2].write_all(REQUEST).unwrap();
        clients[0].write_all(&REQUEST[REQUEST.len() - 2..]).unwrap();
        drop(clients.remove(1));
        serve(&mut acceptor, |acceptor| {
            acceptor.answered == 2 && acceptor.open == 2
        });
        clients[0].write_all(b"more\r\n\r\n").unwrap();
        clients.push(TcpStream::connect(address).unwrap());
        clients[2].write_all(REQUEST).unwrap();
        serve(&mut acceptor, Acceptor::is_done);
        let accepted = acceptor.into_accepted();
        assert_eq!(accepted.sockets.len(), 3);
        assert!(accepted.begun_ns < accepted.done_ns);
        let mut answer = [0; ACCEPT_ANSWER.len()];
        for client in &mut clients {
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, ACCEPT_ANSWER);
        }
        drop(accepted);
        let mut rest = Vec::new();
        let ended = clients[1].read_to_end(&mut rest);
        assert!(rest.is_empty() && ended.is_ok(), "one answer each");
    }
}
