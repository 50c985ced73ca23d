//! Clients that come in storms, and what each of them saw.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::common::raw::{PATIENCE, status_and_body, upgrade_request};

/// Threads that a storm comes from.
const THREADS: usize = 6;

/// What the clients of a storm saw. Whoever waited in vain, was reset, or read anything else has panicked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those who are subscribers now.
    pub(crate) served: Vec<TcpStream>,
    /// How many were told to come again.
    pub(crate) told: usize,
}

/// So many clients connect at about once, each thread's all before the first of them asks for anything.
pub(crate) fn storm(address: SocketAddr, clients: usize) -> Seen {
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let own = clients / THREADS + usize::from(thread < clients % THREADS);
            std::thread::spawn(move || {
                let sockets: Vec<TcpStream> = (0..own).map(|_| connect(address)).collect();
                sockets.iter().for_each(ask);
                let mut seen = Seen::default();
                sockets.into_iter().for_each(|socket| seen.answer(socket));
                seen
            })
        })
        .collect();
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().expect("every client of the storm saw an answer");
        all.served.extend(seen.served);
        all.told += seen.told;
    }
    all
}

/// One client alone: whether it is served.
pub(crate) fn visit(address: SocketAddr) -> Option<TcpStream> {
    let mut seen = Seen::default();
    let socket = connect(address);
    ask(&socket);
    seen.answer(socket);
    seen.served.pop()
}

/// Comes again until it is served.
pub(crate) fn visit_until_served(address: SocketAddr) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match visit(address) {
            Some(socket) => return socket,
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            None => panic!("turned away for {PATIENCE:?}"),
        }
    }
}

/// Connects, and says nothing.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("the engine takes connections");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    socket
}

fn ask(mut socket: &TcpStream) {
    let request = upgrade_request("/ws", "");
    socket
        .write_all(request.as_bytes())
        .expect("a connection takes a request");
}

/// Everything to the end of the stream, which is in good order.
pub(crate) fn read_to_end(mut socket: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    socket
        .read_to_end(&mut all)
        .expect("an end of the stream, in time and without a reset");
    all
}

/// That this is how one is told that there is no room.
pub(crate) fn assert_told(answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    let (status, body) = status_and_body(&answer);
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    assert_eq!(
        body,
        "this engine has as many connections as it may: try again in 5 s\n"
    );
}

impl Seen {
    /// Reads what one client is answered.
    fn answer(&mut self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match socket.read(&mut byte) {
                Ok(1..) => head.push(byte[0]),
                other => panic!("{other:?} inside {:?}", String::from_utf8_lossy(&head)),
            }
        }
        if head.starts_with(b"HTTP/1.1 101 ") {
            self.served.push(socket);
        } else {
            head.extend(read_to_end(&socket));
            assert_told(&head);
            self.told += 1;
        }
    }
}
