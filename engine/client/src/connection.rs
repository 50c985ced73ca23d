//! One WebSocket connection over a blocking TCP socket: connect, upgrade, messages, pings, close.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use depthcast_wire::http::{HEAD_BYTES_MAX, client_key, parse_response, write_request};
use depthcast_wire::ws::{CloseCode, Incoming, MessageReader, Opcode, Role, write_close, write_frame};

use crate::error::ClientError;
use crate::url::Url;

/// The longest message taken: an SBE update of two full sides is 2 * 65,534 levels of 16 bytes, and JSON is refused
/// from half of that on.
pub const MESSAGE_BYTES_MAX: usize = 2 * 65_534 * 16 + 4096;

/// Bytes read at once: some hundred updates, or a fifth of what a kernel buffers for a reader that is busy elsewhere.
const INPUT_BYTES: usize = 64 * 1024;

/// The longest that a pong or a Close may take to be sent. They are smaller than any socket buffer, so a server that
/// lets one wait has not read for long.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// The longest that a server may take to answer a Close: a round trip, and the messages that were on their way.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// The shortest wait that is asked of a socket: zero would mean forever.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// A message that has arrived.
#[derive(Debug)]
pub struct Message<'c> {
    /// Text or binary.
    pub kind: MessageKind,
    /// Its bytes; a decoder may work in them. They stand until the next call.
    pub payload: &'c mut [u8],
    /// When the last of it was read from the socket, microseconds since the Unix epoch in this host's clock.
    pub received_us: i64,
    /// False where it may have waited in the socket because nobody was reading, so that its time says nothing.
    pub prompt: bool,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: MessageReader,
    /// Bytes `input_start..input_end` have been read from the socket and not been given to the reader.
    input: Box<[u8]>,
    input_start: usize,
    input_end: usize,
    /// The payload of the last message.
    message: Vec<u8>,
    received_us: i64,
    /// What was read last may have waited in the socket.
    input_waited: bool,
    /// Nobody has read for a while, and the socket has not been seen empty since.
    absent: bool,
    /// The number of the server's history when the connection was made, where it says so.
    epoch: Option<u64>,
}

/// The header that numbers the server's history.
const EPOCH_HEADER: &str = "Depthcast-Epoch";

// The parser gives up on a head that fills the input, so there is always room to read more of one.
const _: () = assert!(INPUT_BYTES >= HEAD_BYTES_MAX);

impl Connection {
    /// Connects to `url` and opens a WebSocket at `target`. Each address of the host, and then the answer, may take
    /// `patience`.
    pub fn open(url: &Url, target: &str, patience: Duration) -> Result<Connection, ClientError> {
        let stream = connect(url, patience).map_err(|source| ClientError::Connect {
            address: url.authority(),
            source,
        })?;
        // A pong must not wait for more to send.
        stream.set_nodelay(true).map_err(ClientError::Broken)?;
        stream
            .set_write_timeout(Some(WRITE_MAX))
            .map_err(ClientError::Broken)?;
        let mut connection = Connection {
            stream,
            reader: MessageReader::new(Role::Client, MESSAGE_BYTES_MAX),
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            input_start: 0,
            input_end: 0,
            message: Vec::new(),
            received_us: 0,
            input_waited: false,
            absent: false,
            epoch: None,
        };
        connection.upgrade(url, target, patience)?;
        Ok(connection)
    }

    fn upgrade(&mut self, url: &Url, target: &str, patience: Duration) -> Result<(), ClientError> {
        let key = client_key(rand::random());
        let mut request = Vec::new();
        write_request(&mut request, &url.authority(), target, &key, &[]);
        self.stream.write_all(&request).map_err(ClientError::Broken)?;

        let deadline = Instant::now() + patience;
        loop {
            let answer = parse_response(&self.input[..self.input_end], &key);
            let answer = answer.map_err(|source| ClientError::Handshake {
                address: url.authority(),
                source,
            })?;
            if let Some(head) = answer {
                let epoch = head
                    .headers
                    .all(EPOCH_HEADER)
                    .next()
                    .and_then(|value| std::str::from_utf8(value).ok());
                self.epoch = epoch.and_then(|text| text.trim().parse().ok());
                self.input_start = head.head_len;
                return Ok(());
            }
            if Instant::now() >= deadline || !self.read(deadline)? {
                return Err(ClientError::HandshakeTimeout {
                    address: url.authority(),
                    waited: patience,
                });
            }
        }
    }

    /// The number of the server's history when the connection was made, where it says so (`Depthcast-Epoch`).
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The next message; `None` when none is complete at `deadline`. Pings are answered on the way.
    ///
    /// After an error the connection is of no more use; a Close of the server has been answered by then.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Message<'_>>, ClientError> {
        let mut has_read = false;
        loop {
            if let Some(kind) = self.next_message()? {
                return Ok(Some(Message {
                    kind,
                    payload: &mut self.message,
                    received_us: self.received_us,
                    prompt: !self.input_waited,
                }));
            }
            // A message that trickles in must not hold the caller.
            if has_read && Instant::now() >= deadline || !self.read(deadline)? {
                return Ok(None);
            }
            has_read = true;
        }
    }

    /// Sends a text message, as control requests are.
    pub(crate) fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        send(&mut self.stream, Opcode::Text, text.as_bytes()).map_err(ClientError::Broken)
    }

    /// Says that nobody has read for a while: what waits in the socket now is late through no fault of the server.
    pub fn note_absence(&mut self) {
        self.absent = true;
    }

    /// Closes from this side, and waits shortly for the server to do the same: a socket that is dropped with unread
    /// data in it is reset, and a reset may overtake the Close. Errors no longer matter.
    pub fn close(mut self, code: u16, reason: &str) {
        let mut frame = Vec::new();
        write_close(&mut frame, code, reason, Some(rand::random()));
        if self.stream.write_all(&frame).is_err() {
            return;
        }
        let deadline = Instant::now() + CLOSE_MAX;
        while Instant::now() < deadline && self.receive(deadline).is_ok() {}
    }

    /// Moves the next message of the input into `self.message`; handles control frames.
    fn next_message(&mut self) -> Result<Option<MessageKind>, ClientError> {
        let mut rest = &self.input[self.input_start..self.input_end];
        loop {
            let incoming = self.reader.next(&mut rest)?;
            self.input_start = self.input_end - rest.len();
            let (kind, payload) = match incoming {
                None => return Ok(None),
                Some(Incoming::Text(text)) => (MessageKind::Text, text.as_bytes()),
                Some(Incoming::Binary(bytes)) => (MessageKind::Binary, bytes),
                Some(Incoming::Ping(payload)) => {
                    send(&mut self.stream, Opcode::Pong, payload).map_err(ClientError::Broken)?;
                    continue;
                }
                Some(Incoming::Pong(_)) => continue,
                Some(Incoming::Close(close)) => {
                    let (code, reason) = match close {
                        None => (None, ""),
                        Some(close) => (Some(close.code), close.reason),
                    };
                    let error = ClientError::of_close(code, reason);
                    answer_close(&mut self.stream, code);
                    return Err(error);
                }
            };
            self.message.clear();
            self.message.extend_from_slice(payload);
            return Ok(Some(kind));
        }
    }

    /// Reads more input; false when none came until `deadline`. The input before is spent, or a head that is not
    /// complete.
    fn read(&mut self, deadline: Instant) -> Result<bool, ClientError> {
        if self.input_start == self.input_end {
            self.input_start = 0;
            self.input_end = 0;
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.stream
                .set_read_timeout(Some(left.max(WAIT_MIN)))
                .map_err(ClientError::Broken)?;
            match self.stream.read(&mut self.input[self.input_end..]) {
                Ok(0) => return Err(ClientError::Dropped),
                Ok(read_len) => {
                    self.received_us = unix_time_us();
                    self.input_waited = self.absent;
                    self.input_end += read_len;
                    // A read that filled the input may have left something in the socket.
                    self.absent &= self.input_end == self.input.len();
                    return Ok(true);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        self.absent = false;
                        return Ok(false);
                    }
                    ErrorKind::Interrupted => {}
                    _ => return Err(ClientError::Broken(error)),
                },
            }
        }
    }
}

/// Tries each address of the host; the error is that of the last.
fn connect(url: &Url, patience: Duration) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(ErrorKind::NotFound, "the host name has no address");
    for address in (url.host(), url.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience.max(WAIT_MIN)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

fn send(stream: &mut TcpStream, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::new();
    write_frame(&mut frame, opcode, payload, Some(rand::random()));
    stream.write_all(&frame)
}

/// Answers a Close with its own code (RFC 6455 section 5.5.1). The server may be gone by now; that is no news.
fn answer_close(stream: &mut TcpStream, code: Option<u16>) {
    let mut frame = Vec::new();
    write_close(
        &mut frame,
        code.unwrap_or(CloseCode::NORMAL),
        "",
        Some(rand::random()),
    );
    let _ = stream.write_all(&frame);
}

/// This host's wall clock; 0 before 1970.
pub(crate) fn unix_time_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}
