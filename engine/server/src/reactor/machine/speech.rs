//! What peers say: requests for an upgrade, good and bad, and the messages behind them, each as bytes and as what it
//! means from which byte on.

use std::sync::LazyLock;

use bytes::Bytes;
use depthcast_wire::stream::StreamName;
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, WsError, frame_header, mask_in_place, write_close, write_frame};

use crate::session::encoding::Encoding;

/// The streams that there are. Those of depth may begin with a snapshot.
pub(super) static STREAMS: LazyLock<[StreamName; 5]> = LazyLock::new(|| {
    [
        "btcusdt@depth",
        "btcusdt@trade",
        "ethusdt@depth@100ms",
        "ethusdt@bookTicker",
        "btcusdt@aggTrade",
    ]
    .map(|name| StreamName::parse(name).expect("a stream's name"))
});

/// The streams of which a mask has the bit.
pub(super) fn streams_of(mask: u8) -> Vec<StreamName> {
    let all = STREAMS.iter().enumerate();
    all.filter(|(n, _)| mask >> n & 1 == 1)
        .map(|(_, &name)| name)
        .collect()
}

/// The first bytes of a connection.
#[derive(Clone, Debug)]
pub(super) enum Hello {
    /// An upgrade.
    Upgrade {
        sbe: bool,
        combined: bool,
        snapshots: bool,
        micros: bool,
        streams: u8,
    },
    /// The beginning of one, and nothing more.
    Unfinished,
    /// A request that is refused.
    Bad(u8),
    /// A request for the HTTP server.
    Elsewhere,
}

/// What a peer says to an open WebSocket.
#[derive(Clone, Debug)]
pub(super) enum Say {
    Subscribe(u8),
    Unsubscribe(u8),
    List,
    SetCombined(bool),
    GetCombined,
    Malformed(u8),
    /// Two messages that are no JSON, of so many bytes each: together they may be more than is read at a time.
    Long(usize),
    Ping(u8),
    Pong,
    /// So many pings at once.
    Pings(usize),
    Binary,
    Bad(u8),
    Close(Option<u16>),
}

/// What the worker comes to know.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Upgrade {
        streams: Vec<StreamName>,
        encoding: Encoding,
        snapshots: bool,
    },
    /// A request that is answered with this status.
    Bad(u16),
    Elsewhere,
    Text(String),
    Ping(Bytes),
    Pong,
    Binary,
    Fault(WsError),
    Close(Option<u16>),
}

/// A message, and behind which byte of the connection it takes effect.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: u64,
    pub(super) message: Message,
    /// It is a ping between two fragments of another message.
    pub(super) is_between_fragments: bool,
}

impl Said {
    fn whole(at: u64, message: Message) -> Said {
        Said {
            at,
            message,
            is_between_fragments: false,
        }
    }
}

/// The peer's side of the conversation, as bytes.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Bytes that were said so far.
    len: u64,
    requests: u32,
}

const KEY: [u8; 4] = [0x9c, 0x01, 0xf3, 0x5a];

/// Requests that are refused: what follows the target, the target, and the status of the answer.
const BAD_REQUESTS: [(&str, &str, u16); 5] = [
    (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n",
        "/ws",
        426,
    ),
    ("", "/ws/btcusdt@trade", 426),
    (
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "/stream",
        400,
    ),
    ("Upgrade: websocket\r\n", "/ws?snapshot=maybe", 400),
    ("Upgrade: websocket\r\n", "/ws/%4", 400),
];

const MALFORMED: [&str; 6] = [
    "{\"method\":\"SUBSCRIBE\",",
    "[]",
    r#"{"method":"SUBSCRIBE","params":["btcusdt@nothing"],"id":"x-1"}"#,
    r#"{"method":"BUY","params":[],"id":5}"#,
    r#"{"method":"SET_PROPERTY","params":["combined",1],"id":null}"#,
    r#"{"id":[1]}"#,
];

impl Speech {
    /// The bytes of a connection's beginning.
    pub(super) fn hello(&mut self, hello: &Hello) -> (Vec<u8>, Vec<Said>) {
        let mut bytes = Vec::new();
        let message = match *hello {
            Hello::Upgrade {
                sbe,
                combined,
                snapshots,
                micros,
                streams,
            } => {
                let names: Vec<StreamName> = streams_of(streams);
                bytes.extend(upgrade(sbe, combined, snapshots, micros, &names));
                Some(Message::Upgrade {
                    streams: names,
                    encoding: encoding(sbe, combined, micros),
                    snapshots,
                })
            }
            Hello::Unfinished => {
                bytes.extend_from_slice(b"GET /ws HTTP/1.1\r\nHost: x\r\n");
                None
            }
            Hello::Bad(which) if usize::from(which) < BAD_REQUESTS.len() => {
                let (fields, target, status) = BAD_REQUESTS[usize::from(which)];
                bytes.extend(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").bytes());
                Some(Message::Bad(status))
            }
            Hello::Bad(_) => {
                // The hello of TLS, which is wrong from its first byte on.
                bytes.extend_from_slice(b"\x16\x03\x01\x02\x00\x01");
                self.len = bytes.len() as u64;
                return (bytes, vec![Said::whole(1, Message::Bad(400))]);
            }
            Hello::Elsewhere => {
                bytes.extend_from_slice(b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n");
                Some(Message::Elsewhere)
            }
        };
        self.len = bytes.len() as u64;
        let at = self.len;
        (
            bytes,
            message
                .map(|message| Said::whole(at, message))
                .into_iter()
                .collect(),
        )
    }

    /// The bytes of a message. Where `cut` says so it is cut there into two fragments, with a ping between them.
    pub(super) fn say(&mut self, say: &Say, cut: Option<usize>) -> (Vec<u8>, Vec<Said>) {
        let mut out = Turn {
            before: self.len,
            bytes: Vec::new(),
            said: Vec::new(),
        };
        match *say {
            Say::Subscribe(mask) => out.text(self.request("SUBSCRIBE", Some(&names(mask))), cut),
            Say::Unsubscribe(mask) => out.text(self.request("UNSUBSCRIBE", Some(&names(mask))), cut),
            Say::List => out.text(self.request("LIST_SUBSCRIPTIONS", None), cut),
            Say::SetCombined(on) => {
                out.text(
                    self.request("SET_PROPERTY", Some(&format!("\"combined\",{on}"))),
                    cut,
                );
            }
            Say::GetCombined => out.text(self.request("GET_PROPERTY", Some("\"combined\"")), cut),
            Say::Malformed(which) => {
                out.text(MALFORMED[usize::from(which) % MALFORMED.len()].to_string(), cut);
            }
            Say::Long(len) => {
                out.text("[".repeat(len), cut);
                out.text("]".repeat(len), None);
            }
            Say::Ping(len) => out.ping(&vec![b'p'; usize::from(len).min(125)]),
            Say::Pings(count) => (0..count).for_each(|n| out.ping(&[n as u8][..n % 2])),
            Say::Pong => {
                write_frame(&mut out.bytes, Opcode::Pong, b"", Some(KEY));
                out.take_effect(Message::Pong);
            }
            Say::Binary => {
                write_frame(&mut out.bytes, Opcode::Binary, b"\0", Some(KEY));
                out.take_effect(Message::Binary);
            }
            Say::Bad(which) => out.fault(which),
            Say::Close(code) => {
                write_close(&mut out.bytes, code.unwrap_or(1005), "bye", Some(KEY));
                out.take_effect(Message::Close(code));
            }
        }
        self.len += out.bytes.len() as u64;
        (out.bytes, out.said)
    }

    fn request(&mut self, method: &str, params: Option<&str>) -> String {
        self.requests += 1;
        let params = params.map_or(String::new(), |params| format!(",\"params\":[{params}]"));
        format!("{{\"method\":\"{method}\"{params},\"id\":{}}}", self.requests)
    }
}

/// The bytes of one saying.
struct Turn {
    before: u64,
    bytes: Vec<u8>,
    said: Vec<Said>,
}

impl Turn {
    /// What was written so far is this.
    fn take_effect(&mut self, message: Message) {
        let at = self.before + self.bytes.len() as u64;
        self.said.push(Said::whole(at, message));
    }

    fn text(&mut self, text: String, cut: Option<usize>) {
        match cut {
            None => write_frame(&mut self.bytes, Opcode::Text, text.as_bytes(), Some(KEY)),
            Some(cut) => {
                let (first, rest) = text.as_bytes().split_at(cut % (text.len() + 1));
                self.fragment(Opcode::Text, false, first);
                self.ping(b"between");
                if let Some(ping) = self.said.last_mut() {
                    ping.is_between_fragments = true;
                }
                self.fragment(Opcode::Continuation, true, rest);
            }
        }
        self.take_effect(Message::Text(text));
    }

    fn fragment(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        let header = frame_header(opcode, fin, payload.len(), Some(KEY));
        self.bytes.extend_from_slice(header.as_slice());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        mask_in_place(&mut self.bytes[start..], KEY, 0);
    }

    fn ping(&mut self, payload: &[u8]) {
        write_frame(&mut self.bytes, Opcode::Ping, payload, Some(KEY));
        self.take_effect(Message::Ping(Bytes::copy_from_slice(payload)));
    }

    /// Bytes that break the protocol, each at a byte of its own.
    fn fault(&mut self, which: u8) {
        let (bytes, effective, fault): (&[u8], usize, WsError) = match which % 4 {
            0 => (b"\xc1\x80\x01\x02\x03\x04", 1, WsError::ReservedBits),
            1 => (b"\x81\x02{}", 2, WsError::MaskMissing),
            2 => (b"\x83\x80\x01\x02\x03\x04", 1, WsError::UnknownOpcode(3)),
            _ => (b"\x80\x80\x01\x02\x03\x04", 6, WsError::ContinuationUnexpected),
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..effective]);
        self.take_effect(Message::Fault(fault));
        self.bytes.extend_from_slice(&bytes[effective..]);
        debug_assert_eq!(self.bytes.len(), start + bytes.len());
    }
}

fn names(mask: u8) -> String {
    let names: Vec<String> = streams_of(mask)
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    names.join(",")
}

fn upgrade(sbe: bool, combined: bool, snapshots: bool, micros: bool, names: &[StreamName]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let names = names.join("/");
    let format = if sbe { "/sbe" } else { "" };
    let path = if combined {
        format!("/stream?streams={names}&snapshot={}", u8::from(snapshots))
    } else {
        format!("/ws/{names}?snapshot={}", u8::from(snapshots))
    };
    let unit = if micros { "&timeUnit=MICROSECOND" } else { "" };
    format!(
        "GET {format}{path}{unit} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

fn encoding(sbe: bool, combined: bool, micros: bool) -> Encoding {
    if sbe {
        return Encoding::Sbe { combined };
    }
    let time_unit = if micros {
        TimeUnit::Microsecond
    } else {
        TimeUnit::Millisecond
    };
    Encoding::Json { combined, time_unit }
}
