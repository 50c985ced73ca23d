//! A client that sends exact bytes and reads frames, and an engine in this process to send them to. Frames are made and
//! read here anew, from RFC 6455 section 5.2, so that a fault of the engine's own codec cannot hide itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use depthcast::config::Settings;
use depthcast::engine::Engine;

/// Longer than anything in these tests takes: past it the engine has fallen silent.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The opcodes of RFC 6455 section 11.8.
pub mod opcode {
    /// A further fragment.
    pub const CONTINUATION: u8 = 0;
    /// Text, or its first fragment.
    pub const TEXT: u8 = 1;
    /// Binary, or its first fragment.
    pub const BINARY: u8 = 2;
    /// The sender sends no more.
    pub const CLOSE: u8 = 8;
    /// To be answered with a pong.
    pub const PING: u8 = 9;
    /// Answer to a ping.
    pub const PONG: u8 = 10;
}

/// Settings for an engine in this process: any free port, two workers, and the capture at `path` played as
/// `how` says (`speed=1&start=0&end=hold`).
pub fn settings(path: &Path, how: &str) -> Settings {
    Settings {
        feed: vec![format!("capture:{}?{how}", path.display())],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..Settings::default()
    }
}

/// Starts an engine.
pub fn start(settings: Settings) -> Engine {
    let config = settings.check(2).unwrap_or_else(|error| panic!("{error}"));
    Engine::start(&config).unwrap_or_else(|error| panic!("{error}"))
}

/// A client's frame: masked, its length in the shortest form.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    header_and_payload(0x80 | opcode, payload)
}

/// A client's frame that its message goes on after.
pub fn fragment(opcode: u8, payload: &[u8]) -> Vec<u8> {
    header_and_payload(opcode, payload)
}

/// A client's frame whose first byte (FIN, reserved bits, opcode) is given.
pub fn header_and_payload(first: u8, payload: &[u8]) -> Vec<u8> {
    masked_with([0x37, 0xfa, 0x21, 0x3d], first, payload)
}

/// The same under a masking key of its own.
pub fn masked_with(key: [u8; 4], first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ ..126 => out.push(0x80 | len as u8),
        len @ ..65_536 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(key);
    out.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    out
}

/// A message cut into fragments of `size` bytes.
pub fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let mut out = Vec::new();
    for (index, piece) in payload.chunks(size).enumerate() {
        let opcode = if index == 0 { opcode } else { opcode::CONTINUATION };
        out.extend(if index + 1 == count {
            frame(opcode, piece)
        } else {
            fragment(opcode, piece)
        });
    }
    out
}

/// A client's Close with a code.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(opcode::CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// The upgrade request of a client, with further header lines (each with its end of line).
pub fn upgrade_request(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// A server's frame. Reading it has checked that it is unmasked, unfragmented, of the shortest length, without reserved
/// bits.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerFrame {
    /// One of [`opcode`].
    pub opcode: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl ServerFrame {
    /// The payload of a text frame.
    pub fn text(&self) -> &str {
        assert_eq!(self.opcode, opcode::TEXT, "{self:?} is no text");
        std::str::from_utf8(&self.payload).expect("a server's text is UTF-8")
    }

    /// Code and reason of a Close; None for one without.
    pub fn close(&self) -> Option<(u16, &str)> {
        assert_eq!(self.opcode, opcode::CLOSE, "{self:?} is no close");
        let (code, reason) = self.payload.split_first_chunk()?;
        Some((
            u16::from_be_bytes(*code),
            std::str::from_utf8(reason).expect("a reason is UTF-8"),
        ))
    }
}

impl std::fmt::Debug for ServerFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.payload[..self.payload.len().min(100)];
        write!(
            f,
            "(opcode {}, {} bytes: {:?})",
            self.opcode,
            self.payload.len(),
            String::from_utf8_lossy(start)
        )
    }
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// What was received and not read yet starts at `taken`.
    received: Vec<u8>,
    taken: usize,
}

impl Raw {
    /// Connects, and says nothing.
    pub fn connect(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect(address).expect("the engine takes connections"))
    }

    /// A connection over a socket of the caller's making.
    pub fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Raw {
            stream,
            received: Vec::new(),
            taken: 0,
        }
    }

    /// Connects and upgrades.
    pub fn open(address: SocketAddr, target: &str) -> Raw {
        Raw::connect(address).upgrade(target)
    }

    /// Upgrades.
    #[must_use]
    pub fn upgrade(mut self, target: &str) -> Raw {
        self.send(upgrade_request(target, "").as_bytes());
        let head = self.http_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{head}"
        );
        self
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends everything. An error is the caller's to judge: the engine may have ended the connection rightly.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends everything, to an engine that has to take it.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the engine takes what is sent");
    }

    /// Sends pieces of `size` bytes, each in a segment of its own.
    pub fn try_send_chopped(&mut self, bytes: &[u8], size: usize) -> std::io::Result<()> {
        bytes.chunks(size).try_for_each(|piece| self.try_send(piece))
    }

    /// Tells the engine that nothing more will be sent, and stays to read.
    pub fn end_sending(&self) {
        // An engine that has reset the connection knows already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Whether there is something to read, or an end, before so much time is over.
    pub fn has_more_within(&mut self, time: Duration) -> bool {
        if self.taken < self.received.len() {
            return true;
        }
        self.stream.set_read_timeout(Some(time)).expect("a socket option");
        let looked = self.stream.peek(&mut [0]);
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        !matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// The next frame, but for the engine's pings, which may come at any moment; None at the end of the stream. A reset panics.
    pub fn frame(&mut self) -> Option<ServerFrame> {
        loop {
            let frame = self.any_frame()?;
            if frame.opcode != opcode::PING {
                return Some(frame);
            }
            assert!(frame.payload.is_empty(), "the engine's pings say nothing");
        }
    }

    /// The next frame, also where that is a ping.
    pub fn any_frame(&mut self) -> Option<ServerFrame> {
        let Some(first) = self.bytes(2) else {
            assert_eq!(self.received.len(), self.taken, "the stream ends inside a frame");
            return None;
        };
        let (bits, length) = (first[0], first[1]);
        assert_eq!(bits & 0x70, 0, "no extension was asked for");
        assert_eq!(bits & 0x80, 0x80, "this engine fragments nothing");
        assert_eq!(length & 0x80, 0, "a server masks nothing");
        let len = match length {
            126 => {
                let bytes = self.bytes(2).expect("the rest of a header");
                let len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                assert!(len > 125, "a length of {len} takes no further bytes");
                len
            }
            127 => {
                let bytes = self.bytes(8).expect("the rest of a header");
                let len = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                assert!(len > 65_535, "a length of {len} takes two further bytes");
                usize::try_from(len).expect("a length that fits")
            }
            len => usize::from(len),
        };
        let opcode = bits & 0x0f;
        assert!(opcode < 8 || len < 126, "a control frame of {len} bytes");
        let payload = self.bytes(len).expect("the rest of a frame");
        Some(ServerFrame { opcode, payload })
    }

    /// All frames to the end of the stream.
    pub fn frames_to_end(&mut self) -> Vec<ServerFrame> {
        std::iter::from_fn(|| self.frame()).collect()
    }

    /// A Close, and behind it nothing but the end of the stream: its code and reason.
    pub fn closed(&mut self) -> (u16, String) {
        let frame = self.frame().expect("a close before the end of the stream");
        let (code, reason) = frame.close().expect("a close with a code");
        let closed = (code, reason.to_string());
        assert_eq!(self.frame(), None, "nothing follows a close");
        closed
    }

    /// The head of an HTTP answer, with its empty line.
    pub fn http_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self
                .bytes(1)
                .unwrap_or_else(|| panic!("the end came inside {:?}", String::from_utf8_lossy(&head)));
            head.extend(byte);
        }
        String::from_utf8(head).expect("an answer's head is text")
    }

    /// Everything to the end of the stream, as text.
    pub fn text_to_end(&mut self) -> String {
        while self.receive() {}
        let text = String::from_utf8_lossy(&self.received[self.taken..]).into_owned();
        self.taken = self.received.len();
        text
    }

    /// The next `len` bytes; None when the stream ends before them.
    pub fn bytes(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.received.len() - self.taken < len {
            if !self.receive() {
                return None;
            }
        }
        let bytes = self.received[self.taken..self.taken + len].to_vec();
        self.taken += len;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        Some(bytes)
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => {
                    self.received.extend(&buffer[..read]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no bytes and no end of the stream: {error}"),
            }
        }
    }
}

/// Asks the engine for a path by HTTP and gives status and body.
pub fn http_get(address: SocketAddr, target: &str) -> (u16, String) {
    http(
        address,
        &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
}

/// Sends a request and gives status and body of what comes back, up to the end of the stream.
pub fn http(address: SocketAddr, request: &str) -> (u16, String) {
    let mut connection = Raw::connect(address);
    connection.send(request.as_bytes());
    status_and_body(&connection.text_to_end())
}

/// Takes an HTTP answer apart.
pub fn status_and_body(answer: &str) -> (u16, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?} is no whole answer"));
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("{answer:?} has no status"));
    (status, body.to_string())
}
