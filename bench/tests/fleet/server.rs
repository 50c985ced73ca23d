//! A server that answers upgrades and then sends what a test gives it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// The answer to the key that every fleet sends.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A server in a thread, which serves so many connections one after the other.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// `serve` is given each connection and its request's head.
    pub(crate) fn start(connections: usize, serve: impl Fn(TcpStream, &str) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for _ in 0..connections {
                let (mut stream, from) = listener.accept().unwrap();
                assert!(from.ip().is_loopback() && from.ip() != address.ip(), "{from}");
                let head = read_head(&mut stream);
                serve(stream, &head);
            }
        });
        Server { address, thread }
    }

    /// Waits until it has served all.
    pub(crate) fn join(self) {
        self.thread.join().unwrap();
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Writes all of it; that the other end is gone does not matter.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Reads until the other end closes.
pub(crate) fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends it, too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
