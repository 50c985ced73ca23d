//! The peer's check of every byte it gets, written from RFC 6455 and sharing nothing with the engine's own codec: one HTTP
//! answer, then valid frames of a server, and nothing behind a Close.

use super::{Checked, ensure};

/// What a peer has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// The answer that opens the WebSocket.
    Opened(Vec<u8>),
    /// Another answer, by its status.
    Refused(u16),
    /// A frame.
    Frame { opcode: u8, payload: Vec<u8> },
}

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

#[derive(Debug, PartialEq, Eq)]
enum Expects {
    Answer,
    Frames,
    Nothing,
}

#[derive(Debug)]
pub(super) struct Reader {
    /// What has come of something that is not whole yet.
    begun: Vec<u8>,
    expects: Expects,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            begun: Vec::new(),
            expects: Expects::Answer,
        }
    }

    /// Whether part of an answer or a frame has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Reads what has come, and gives what is whole.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Checked<Vec<Got>> {
        self.begun.extend_from_slice(bytes);
        let mut got = Vec::new();
        let mut at = 0;
        while at < self.begun.len() {
            let rest = &self.begun[at..];
            let next = match self.expects {
                Expects::Answer => answer(rest)?,
                Expects::Frames => frame(rest)?,
                Expects::Nothing => return Err(format!("{rest:?} behind the last byte")),
            };
            let Some((next, len)) = next else { break };
            at += len;
            self.expects = match next {
                Got::Refused(_) | Got::Frame { opcode: CLOSE, .. } => Expects::Nothing,
                _ => Expects::Frames,
            };
            got.push(next);
        }
        self.begun.drain(..at);
        Ok(got)
    }
}

fn answer(bytes: &[u8]) -> Checked<Option<(Got, usize)>> {
    let Some(head_len) = bytes
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .map(|at| at + 4)
    else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|error| error.to_string())?;
    let status: u16 = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| format!("no HTTP answer: {head:?}"))?;
    if status == 101 {
        return Ok(Some((Got::Opened(bytes[..head_len].to_vec()), head_len)));
    }
    let body_len: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
        .ok_or_else(|| format!("an answer without a length: {head:?}"))?;
    let len = head_len + body_len;
    Ok((bytes.len() >= len).then_some((Got::Refused(status), len)))
}

fn frame(bytes: &[u8]) -> Checked<Option<(Got, usize)>> {
    let [first, second, ..] = *bytes else {
        return Ok(None);
    };
    let opcode = first & 0x0f;
    ensure!(first & 0x70 == 0, "reserved bits in {first:#x}");
    ensure!(first & 0x80 != 0, "a fragment, of which this engine sends none");
    ensure!(
        matches!(opcode, TEXT | BINARY | CLOSE | PING | PONG),
        "opcode {opcode:#x}"
    );
    ensure!(second & 0x80 == 0, "a masked frame from a server");
    let (header_len, shortest) = match second {
        126 => (4, 126),
        127 => (10, 1 << 16),
        _ => (2, 0),
    };
    let Some(length) = bytes.get(2..header_len) else {
        return Ok(None);
    };
    let length = length
        .iter()
        .fold(0, |length, &byte| length << 8 | u64::from(byte));
    let payload_len = if header_len == 2 {
        u64::from(second)
    } else {
        length
    };
    ensure!(payload_len >= shortest, "a length that fits a shorter form");
    ensure!(
        opcode < CLOSE || header_len == 2,
        "a control frame of {payload_len} bytes"
    );
    let len = header_len + payload_len as usize;
    let Some(payload) = bytes.get(header_len..len) else {
        return Ok(None);
    };
    ensure!(
        opcode != TEXT || std::str::from_utf8(payload).is_ok(),
        "text that is not UTF-8"
    );
    let payload = payload.to_vec();
    Ok(Some((Got::Frame { opcode, payload }, len)))
}

/// The bytes that a frame of a server takes.
pub(super) fn frame_len(payload_len: usize) -> usize {
    let header_len = match payload_len {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    header_len + payload_len
}
