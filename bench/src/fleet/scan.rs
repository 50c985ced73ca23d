//! Frames out of a server's bytes in whatever pieces they come, without keeping payloads: headers are checked, the first
//! bytes of a payload are given where somebody wants them, and the rest is passed over.
//!
//! RFC 6455 section 5 is read here anew, not by the engine's codec, so that a fault of that codec cannot hide itself; only
//! the names of the faults are shared.

use depthcast_wire::ws::{CONTROL_PAYLOAD_MAX, CloseCode, Opcode, WsError};

/// The most of a data frame's payload that a sink can ask for.
pub const HEAD_BYTES_MAX: usize = 20;

/// The longest header of a frame that is not masked: two bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;

/// The place for a header, and then for the head of its payload.
const HELD_BYTES: usize = HEAD_BYTES_MAX;

const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Who is told of frames, each when its last byte has come.
pub trait Sink {
    /// How many of the first payload bytes [`Sink::data`] wants, up to what its scanner has room for.
    const HEAD_BYTES: usize;

    /// A text or binary frame, which begins a message; `head` is the start of its payload, shorter than
    /// [`Sink::HEAD_BYTES`] only where the payload is.
    fn data(&mut self, head: &[u8]);

    /// A frame that continues a message.
    fn continuation(&mut self);

    /// A Ping or Pong with its whole payload.
    fn control(&mut self, opcode: Opcode, payload: &[u8]);

    /// The Close, by its code; [`CLOSE_WITHOUT_CODE`] where it has none. Nothing follows.
    fn close(&mut self, code: u16);
}

/// Stands for a Close without a code (RFC 6455 section 7.4.1: 1005 never travels).
pub const CLOSE_WITHOUT_CODE: u16 = 1005;

/// Where in its frames a connection is, where nobody wants more than [`HEAD_BYTES_MAX`] of a payload.
pub type Scanner = HeadScanner<HELD_BYTES>;

/// Where in its frames a connection is. Sinks can ask for as much of a payload as it has room for: `HELD` bytes.
#[derive(Clone, Debug)]
pub struct HeadScanner<const HELD: usize> {
    /// Bytes of the payload under way that have not come.
    left: u64,
    /// The payload of the control frame under way, where it did not come in one piece.
    control: Option<Box<Control>>,
    /// The header as far as it has come; once it is whole, the payload's head as far as that has come.
    held: [u8; HELD],
    /// At most HELD.
    held_len: u8,
    /// The first byte of the frame under way.
    first: u8,
    stage: Stage,
    /// A message has begun and not ended.
    in_message: bool,
}

// A fleet process holds 18,000, and visits each on every tick.
const _: () = assert!(size_of::<Scanner>() <= 40);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Between frames, or in a header.
    #[default]
    Header,
    /// In a payload.
    Payload,
    /// Behind the Close: what comes has no meaning.
    Closed,
}

#[derive(Clone, Debug)]
struct Control {
    payload: [u8; CONTROL_PAYLOAD_MAX],
    /// At most CONTROL_PAYLOAD_MAX.
    len: usize,
}

/// A whole header.
#[derive(Clone, Copy)]
struct Header {
    first: u8,
    /// 2, 4 or 10.
    header_len: usize,
    /// Top bit zero; at most CONTROL_PAYLOAD_MAX for a control frame.
    payload_len: u64,
}

impl Header {
    fn is_control(self) -> bool {
        self.first & OPCODE_BITS >= CLOSE
    }
}

impl<const HELD: usize> Default for HeadScanner<HELD> {
    fn default() -> HeadScanner<HELD> {
        HeadScanner {
            left: 0,
            control: None,
            held: [0; HELD],
            held_len: 0,
            first: 0,
            stage: Stage::default(),
            in_message: false,
        }
    }
}

impl<const HELD: usize> HeadScanner<HELD> {
    /// Reads the next bytes of the connection. After an error it has to be given up.
    pub fn scan<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<(), WsError> {
        const { assert!(S::HEAD_BYTES <= HELD && HEADER_BYTES_MAX <= HELD && HELD <= u8::MAX as usize) };
        let mut rest = input;
        if self.stage != Stage::Header || self.held_len > 0 {
            rest = self.resume(rest, sink)?;
        }
        // Whole frames, one after the other: nearly everything comes this way.
        while !rest.is_empty() && self.stage == Stage::Header {
            let Some(header) = parse(rest)? else {
                self.hold(rest);
                return Ok(());
            };
            self.enter(header)?;
            let payload = &rest[header.header_len..];
            match usize::try_from(header.payload_len) {
                Ok(payload_len) if payload_len <= payload.len() => {
                    let (payload, behind) = payload.split_at(payload_len);
                    self.complete(header.first, payload, sink)?;
                    rest = behind;
                }
                _ => {
                    self.begin_payload(header);
                    self.collect::<S>(payload);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Goes on in a header or payload that did not come in one piece; gives what of `input` is behind its frame.
    fn resume<'i, S: Sink>(&mut self, input: &'i [u8], sink: &mut S) -> Result<&'i [u8], WsError> {
        let mut rest = input;
        if self.stage == Stage::Header {
            let held = usize::from(self.held_len);
            let taken = rest.len().min(HEADER_BYTES_MAX - held);
            self.held[held..held + taken].copy_from_slice(&rest[..taken]);
            let Some(header) = parse(&self.held[..held + taken])? else {
                // Less than a longest header, so all of the input is in it.
                self.held_len += taken as u8;
                return Ok(&[]);
            };
            self.enter(header)?;
            self.begin_payload(header);
            rest = &rest[header.header_len - held..];
        }
        if self.stage == Stage::Closed {
            return Ok(&[]);
        }
        let rest = self.collect::<S>(rest);
        if self.left > 0 {
            return Ok(&[]);
        }
        match self.control.take() {
            Some(control) => self.complete(self.first, &control.payload[..control.len], sink)?,
            None => {
                let held = self.held;
                self.complete(self.first, &held[..usize::from(self.held_len)], sink)?;
            }
        }
        self.held_len = 0;
        Ok(rest)
    }

    /// Keeps the start of a header.
    fn hold(&mut self, bytes: &[u8]) {
        self.held[..bytes.len()].copy_from_slice(bytes);
        self.held_len = bytes.len() as u8;
    }

    /// Holds a header against the message under way (section 5.4).
    fn enter(&mut self, header: Header) -> Result<(), WsError> {
        match header.first {
            // A whole message.
            0x81 | 0x82 if !self.in_message => Ok(()),
            _ if header.is_control() => Ok(()),
            first => {
                match (first & OPCODE_BITS == CONTINUATION, self.in_message) {
                    (true, false) => return Err(WsError::ContinuationUnexpected),
                    (false, true) => return Err(WsError::MessageInterrupted),
                    (true, true) | (false, false) => {}
                }
                self.in_message = first & FIN == 0;
                Ok(())
            }
        }
    }

    fn begin_payload(&mut self, header: Header) {
        self.stage = Stage::Payload;
        self.first = header.first;
        self.left = header.payload_len;
        self.held_len = 0;
        self.control = header.is_control().then(|| {
            Box::new(Control {
                payload: [0; CONTROL_PAYLOAD_MAX],
                len: 0,
            })
        });
    }

    /// Takes what `input` has of the payload under way, keeps what is wanted of it, and gives what is behind it.
    fn collect<'i, S: Sink>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let taken = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let (piece, rest) = input.split_at(taken);
        self.left -= taken as u64;
        match &mut self.control {
            Some(control) => {
                control.payload[control.len..control.len + taken].copy_from_slice(piece);
                control.len += taken;
            }
            None => {
                let held = usize::from(self.held_len);
                let kept = taken.min(S::HEAD_BYTES.saturating_sub(held));
                self.held[held..held + kept].copy_from_slice(&piece[..kept]);
                self.held_len += kept as u8;
            }
        }
        rest
    }

    /// Ends a frame, of whose payload at least the head is given.
    fn complete<S: Sink>(&mut self, first: u8, payload: &[u8], sink: &mut S) -> Result<(), WsError> {
        self.stage = Stage::Header;
        match first & OPCODE_BITS {
            TEXT | BINARY => sink.data(&payload[..payload.len().min(S::HEAD_BYTES)]),
            CONTINUATION => sink.continuation(),
            PING => sink.control(Opcode::Ping, payload),
            PONG => sink.control(Opcode::Pong, payload),
            _ => {
                let code = close_code(payload)?;
                self.stage = Stage::Closed;
                sink.close(code);
            }
        }
        Ok(())
    }
}

/// The header at the start of `bytes`; None where more are needed. Faults are found in whatever has come.
#[inline(always)]
fn parse(bytes: &[u8]) -> Result<Option<Header>, WsError> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    // Whole messages of text and of bytes are by far the most.
    if first != FIN | TEXT && first != FIN | BINARY {
        check_first(first)?;
    }
    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    if second & MASK != 0 {
        return Err(WsError::MaskUnexpected);
    }
    let length = second & LENGTH_BITS;
    if usize::from(length) <= CONTROL_PAYLOAD_MAX {
        return Ok(Some(Header {
            first,
            header_len: 2,
            payload_len: u64::from(length),
        }));
    }
    if first & OPCODE_BITS >= CLOSE {
        return Err(WsError::ControlTooLong);
    }
    let (header_len, payload_len, payload_len_min) = if length == 126 {
        let Some(&[_, _, a, b]) = bytes.first_chunk() else {
            return Ok(None);
        };
        (4, u64::from(u16::from_be_bytes([a, b])), 126)
    } else {
        let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        (HEADER_BYTES_MAX, u64::from_be_bytes(long), 1 << 16)
    };
    if payload_len < payload_len_min {
        return Err(WsError::LengthNotMinimal);
    }
    if payload_len >> 63 != 0 {
        return Err(WsError::LengthTopBit);
    }
    Ok(Some(Header {
        first,
        header_len,
        payload_len,
    }))
}

/// Checks a frame's first byte.
#[cold]
fn check_first(first: u8) -> Result<(), WsError> {
    if first & RESERVED_BITS != 0 {
        return Err(WsError::ReservedBits);
    }
    match first & OPCODE_BITS {
        CONTINUATION..=BINARY => Ok(()),
        CLOSE..=PONG if first & FIN == 0 => Err(WsError::ControlFragmented),
        CLOSE..=PONG => Ok(()),
        opcode => Err(WsError::UnknownOpcode(opcode)),
    }
}

/// The code of a Close's payload (section 5.5.1).
fn close_code(payload: &[u8]) -> Result<u16, WsError> {
    if payload.is_empty() {
        return Ok(CLOSE_WITHOUT_CODE);
    }
    let code = payload.first_chunk().ok_or(WsError::ClosePayload)?;
    let code = u16::from_be_bytes(*code);
    if CloseCode::may_travel(code) {
        Ok(code)
    } else {
        Err(WsError::CloseCodeInvalid(code))
    }
}

#[cfg(test)]
mod tests;
