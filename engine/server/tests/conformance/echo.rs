//! The echo under test: what a case is, how it is sent, and what its client gets.

use std::net::SocketAddr;

use crate::common::capture_file::CaptureText;
use crate::common::raw::opcode::{BINARY, CLOSE, PONG, TEXT};
use crate::common::raw::{Raw, close, settings, start};
use crate::common::scratch::Scratch;
use depthcast::engine::Engine;

/// Cases up to this size are also sent byte by byte, each in a segment of its own.
const BYTEWISE_MAX: usize = 70_000;

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// A Close with this code, or without one, and then the end of the stream.
    Close(Option<u16>),
}

use Got::{Binary, Close, Pong, Text};

/// What one client sends, frame by frame, and what it must get. Where that does not end in a Close the client closes
/// with 1000 and gets that back.
pub(crate) struct Case {
    name: String,
    send: Vec<Vec<u8>>,
    expect: Vec<Got>,
}

pub(crate) fn case(name: impl Into<String>, send: Vec<Vec<u8>>, expect: Vec<Got>) -> Case {
    Case {
        name: name.into(),
        send,
        expect,
    }
}

pub(crate) fn text(payload: &[u8]) -> Got {
    Text(payload.to_vec())
}

pub(crate) fn pong(payload: &[u8]) -> Got {
    Pong(payload.to_vec())
}

pub(crate) const PROTOCOL_ERROR: Got = Close(Some(1002));
pub(crate) const INVALID_PAYLOAD: Got = Close(Some(1007));

/// An engine that echoes. Its feed is a market of one trade, which nobody here subscribes to.
pub(crate) struct Echo {
    engine: Engine,
    _scratch: Scratch,
}

impl Echo {
    pub(crate) fn start() -> Echo {
        let scratch = Scratch::new();
        let mut capture = CaptureText::new();
        capture.trade("BTCUSDT");
        let path = scratch.write("one_trade", capture.as_str());
        let mut settings = settings(&path, "end=hold");
        settings.echo = Some(true);
        Echo {
            engine: start(settings),
            _scratch: scratch,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.engine.address()
    }

    pub(crate) fn open(&self) -> Raw {
        Raw::open(self.address(), "/echo")
    }

    pub(crate) fn check(&self, cases: Vec<Case>) {
        for case in cases {
            self.check_one(case);
        }
    }

    /// Sends the case in one piece, frame by frame, and byte by byte: the outcome is the same.
    fn check_one(&self, case: Case) {
        let Case {
            name,
            mut send,
            mut expect,
        } = case;
        if !matches!(expect.last(), Some(Close(_))) {
            send.push(close(1000, b""));
            expect.push(Close(Some(1000)));
        }
        let whole = send.concat();
        assert_eq!(
            self.outcome(|client| client.try_send(&whole)),
            expect,
            "{name}, whole"
        );
        let by_frames = self.outcome(|client| send.iter().try_for_each(|frame| client.try_send(frame)));
        assert_eq!(by_frames, expect, "{name}, frame by frame");
        if whole.len() <= BYTEWISE_MAX {
            let bytewise = self.outcome(|client| client.try_send_chopped(&whole, 1));
            assert_eq!(bytewise, expect, "{name}, byte by byte");
        }
    }

    pub(crate) fn outcome(&self, send: impl FnOnce(&mut Raw) -> std::io::Result<()>) -> Vec<Got> {
        let mut client = self.open();
        // An engine that has closed may refuse the rest of what is sent.
        let _ = send(&mut client);
        read_to_end(&mut client)
    }
}

pub(crate) fn read_to_end(client: &mut Raw) -> Vec<Got> {
    client
        .frames_to_end()
        .into_iter()
        .map(|frame| match frame.opcode {
            TEXT => Text(frame.payload),
            BINARY => Binary(frame.payload),
            PONG => Pong(frame.payload),
            CLOSE => Close(frame.close().map(|(code, _)| code)),
            _ => panic!("an engine that is spoken to sends no {frame:?}"),
        })
        .collect()
}

pub(crate) fn message(opcode: u8, payload: Vec<u8>) -> Got {
    if opcode == TEXT {
        Text(payload)
    } else {
        Binary(payload)
    }
}

/// Text of exactly `len` bytes, with characters of one to four bytes.
pub(crate) fn long_text(len: usize) -> Vec<u8> {
    let mut text = "Hello-µ@ß水𝄞-".repeat(len / 18 + 1);
    text.truncate(text.floor_char_boundary(len));
    let missing = len - text.len();
    text.push_str(&"x".repeat(missing));
    text.into_bytes()
}

pub(crate) fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

pub(crate) fn payload_of(opcode: u8, len: usize) -> Vec<u8> {
    if opcode == TEXT {
        long_text(len)
    } else {
        some_bytes(len)
    }
}
