//! A subscriber that reads as fast as frames come: it borrows each from one buffer, and answers pings.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::market::BookJson;
use super::raw::{self, PATIENCE, opcode, upgrade_request};

/// The least that is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// One message of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame.
    Binary(&'a [u8]),
    /// The end, with its code and reason.
    Close(u16, &'a str),
}

impl<'a> Message<'a> {
    /// The text, of what has to be text.
    pub fn text(self) -> &'a str {
        match self {
            Message::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }
}

/// A WebSocket connection to the engine.
#[derive(Debug)]
pub struct Subscriber {
    stream: TcpStream,
    /// Bytes received are those at `taken..received`.
    buffer: Vec<u8>,
    taken: usize,
    received: usize,
}

impl Subscriber {
    /// Connects and upgrades.
    pub fn open(address: SocketAddr, target: &str) -> Subscriber {
        Subscriber::over(
            TcpStream::connect(address).expect("the engine takes connections"),
            target,
        )
    }

    /// Upgrades a socket of the caller's making.
    pub fn over(stream: TcpStream, target: &str) -> Subscriber {
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut subscriber = Subscriber {
            stream,
            buffer: vec![0; READ_BYTES],
            taken: 0,
            received: 0,
        };
        subscriber.send_bytes(upgrade_request(target, "").as_bytes());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(subscriber.need(1), "no whole answer: {head:?}");
            head.push(char::from(subscriber.buffer[subscriber.taken]));
            subscriber.taken += 1;
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        subscriber
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends control requests, all in one piece.
    pub fn request(&mut self, requests: &[&str]) {
        let frames: Vec<u8> = requests
            .iter()
            .flat_map(|request| raw::frame(opcode::TEXT, request.as_bytes()))
            .collect();
        self.send_bytes(&frames);
    }

    /// Subscribes by message and reads the reply, which has to be the next message.
    pub fn subscribe(&mut self, names: &[&str]) {
        self.request(&[&subscription("SUBSCRIBE", names, 1)]);
        assert_eq!(self.message(), Message::Text(r#"{"result":null,"id":1}"#));
    }

    /// The next message; panics when none comes for long.
    pub fn message(&mut self) -> Message<'_> {
        let (opcode, from, end) = self.frame().expect("a message before the end of the stream");
        self.show(opcode, from, end)
    }

    /// The next message, unless none begins within `patience`.
    pub fn message_within(&mut self, patience: Duration) -> Option<Message<'_>> {
        let until = Instant::now() + patience;
        while self.received == self.taken {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive_within(left) {
                return None;
            }
        }
        Some(self.message())
    }

    /// Reads about `bytes` bytes off the socket, whatever they are, to be taken as messages later.
    pub fn read_ahead(&mut self, bytes: usize) {
        let until = self.received - self.taken + bytes;
        assert!(self.need(until), "the stream ends");
    }

    fn show(&self, opcode: u8, from: usize, end: usize) -> Message<'_> {
        let payload = &self.buffer[from..end];
        let text = |bytes| std::str::from_utf8(bytes).expect("text is UTF-8");
        match opcode {
            opcode::TEXT => Message::Text(text(payload)),
            opcode::BINARY => Message::Binary(payload),
            opcode::CLOSE => match payload.split_first_chunk() {
                Some((code, reason)) => Message::Close(u16::from_be_bytes(*code), text(reason)),
                None => Message::Close(1005, ""),
            },
            other => panic!("a frame of opcode {other}"),
        }
    }

    /// The next frame that is no ping: opcode and place of its payload.
    fn frame(&mut self) -> Option<(u8, usize, usize)> {
        loop {
            if !self.need(2) {
                return None;
            }
            let opcode = self.buffer[self.taken] & 0x0f;
            let (header, len) = match self.buffer[self.taken + 1] {
                126 => (4, None),
                127 => (10, None),
                len => (2, Some(usize::from(len))),
            };
            assert!(self.need(header), "the stream ends inside a frame");
            let len = len.unwrap_or_else(|| {
                let length = &self.buffer[self.taken + 2..self.taken + header];
                length.iter().fold(0, |len, byte| len << 8 | usize::from(*byte))
            });
            assert!(self.need(header + len), "the stream ends inside a frame");
            let from = self.taken + header;
            self.taken = from + len;
            if opcode != opcode::PING {
                return Some((opcode, from, from + len));
            }
            let pong = raw::frame(opcode::PONG, &self.buffer[from..from + len]);
            self.send_bytes(&pong);
        }
    }

    /// Makes sure that `len` bytes are there; false when the stream ends before them.
    fn need(&mut self, len: usize) -> bool {
        while self.received - self.taken < len {
            if self.taken > 0 {
                self.buffer.copy_within(self.taken..self.received, 0);
                self.received -= self.taken;
                self.taken = 0;
            }
            if self.buffer.len() < len + READ_BYTES {
                self.buffer.resize(len + READ_BYTES, 0);
            }
            if !self.receive() {
                return false;
            }
        }
        true
    }

    /// Reads once; false at the end of the stream.
    fn receive(&mut self) -> bool {
        loop {
            match self.stream.read(&mut self.buffer[self.received..]) {
                Ok(read) => {
                    self.received += read;
                    return read > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no bytes and no end of the stream: {error}"),
            }
        }
    }

    /// Waits for something to read; false when nothing comes.
    fn receive_within(&mut self, patience: Duration) -> bool {
        self.stream
            .set_read_timeout(Some(patience))
            .expect("a socket option");
        let peeked = self.stream.peek(&mut [0]);
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        match peeked {
            Ok(_) => self.need(1),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                false
            }
            Err(error) => panic!("no bytes and no end of the stream: {error}"),
        }
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the engine takes what is sent");
    }
}

/// The text of a SUBSCRIBE or UNSUBSCRIBE.
pub fn subscription(method: &str, names: &[&str], id: u32) -> String {
    format!(r#"{{"method":"{method}","params":{names:?},"id":{id}}}"#)
}

/// Asks REST for the whole book and hands it to `look`; None while the engine has none yet.
pub fn rest_book<R>(address: SocketAddr, look: impl FnOnce(&BookJson<'_>) -> R) -> Option<R> {
    let (status, body) = raw::http_get(address, "/api/v3/depth?symbol=BTCUSDT&limit=5000");
    match status {
        503 => None,
        200 => Some(look(&serde_json::from_str(&body).expect("a book"))),
        other => panic!("status {other}: {body}"),
    }
}
