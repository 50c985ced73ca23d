//! One WebSocket frame (RFC 6455 section 5.2), integers big-endian:
//!
//! ```text
//! byte 0      FIN (1 bit), RSV1 to RSV3 (3 bits, zero), opcode (4 bits)
//! byte 1      MASK (1 bit), length (7 bits): 0 to 125 itself; 126: u16 follows; 127: u64 follows, top bit zero
//! 0, 2 or 8   the length, where byte 1 says so
//! 0 or 4      the masking key, where MASK is set
//! length      the payload, each byte i XORed with byte i % 4 of the masking key
//! ```

use super::Role;
use super::error::WsError;

/// The longest payload of a control frame (section 5.5).
pub const CONTROL_PAYLOAD_MAX: usize = 125;

/// The longest header: two bytes, a 64-bit length, a masking key.
pub const FRAME_HEADER_MAX: usize = 2 + 8 + 4;

const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const LENGTH_U16: u8 = 126;
const LENGTH_U64: u8 = 127;

/// What a frame is (section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The sender sends no more.
    Close = 0x8,
    /// The peer answers with a Pong of the same payload.
    Ping = 0x9,
    /// Answer to a Ping, or a one-way sign of life.
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Opcode, WsError> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return Err(WsError::UnknownOpcode(bits)),
        })
    }

    /// Whether frames of this kind may come between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// The masking key; zeros, which change nothing, where the frame is not masked.
    pub(super) key: [u8; 4],
    /// Top bit zero.
    pub(super) payload_len: u64,
}

/// Reads the header at the start of `bytes`, as sent to the end that is `role`: the header and its length, or `None`
/// when more bytes are needed, which can only be below [`FRAME_HEADER_MAX`]. Faults are found in whatever has arrived.
pub(super) fn parse_header(bytes: &[u8], role: Role) -> Result<Option<(Header, usize)>, WsError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if first & RESERVED_BITS != 0 {
        return Err(WsError::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & OPCODE_BITS)?;
    let fin = first & FIN != 0;
    if opcode.is_control() && !fin {
        return Err(WsError::ControlFragmented);
    }

    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let masked = second & MASK != 0;
    match (role, masked) {
        (Role::Server, false) => return Err(WsError::MaskMissing),
        (Role::Client, true) => return Err(WsError::MaskUnexpected),
        (Role::Server, true) | (Role::Client, false) => {}
    }
    let length = second & LENGTH_BITS;
    if opcode.is_control() && usize::from(length) > CONTROL_PAYLOAD_MAX {
        return Err(WsError::ControlTooLong);
    }
    let Some((payload_len, rest)) = parse_length(length, rest)? else {
        return Ok(None);
    };

    let (key, rest) = match rest.split_first_chunk() {
        _ if !masked => ([0; 4], rest),
        Some((&key, rest)) => (key, rest),
        None => return Ok(None),
    };
    let header = Header {
        opcode,
        fin,
        key,
        payload_len,
    };
    Ok(Some((header, bytes.len() - rest.len())))
}

/// The payload length that the seven bits `length` begin, and what of `rest` comes after it.
fn parse_length(length: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, WsError> {
    match length {
        LENGTH_U16 => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let payload_len = u16::from_be_bytes(bytes);
            if payload_len < u16::from(LENGTH_U16) {
                return Err(WsError::LengthNotMinimal);
            }
            Ok(Some((u64::from(payload_len), rest)))
        }
        LENGTH_U64 => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let payload_len = u64::from_be_bytes(bytes);
            if payload_len > i64::MAX as u64 {
                return Err(WsError::LengthTopBit);
            }
            if payload_len <= u64::from(u16::MAX) {
                return Err(WsError::LengthNotMinimal);
            }
            Ok(Some((payload_len, rest)))
        }
        _ => Ok(Some((u64::from(length), rest))),
    }
}

/// A frame's header as bytes, kept inline.
#[derive(Clone, Copy, Debug)]
pub struct FrameHeader {
    bytes: [u8; FRAME_HEADER_MAX],
    /// At most FRAME_HEADER_MAX.
    len: u8,
}

impl FrameHeader {
    /// The bytes to send before the payload, 2 to 14.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

/// The header of a frame of `payload_len` bytes. `fin` ends a message (always true for a control frame, whose payload
/// must not exceed [`CONTROL_PAYLOAD_MAX`]); `mask` is the masking key, which clients must give and servers must not.
pub fn frame_header(opcode: Opcode, fin: bool, payload_len: usize, mask: Option<[u8; 4]>) -> FrameHeader {
    let mut header = FrameHeader {
        bytes: [0; FRAME_HEADER_MAX],
        len: 0,
    };
    let fin = if fin { FIN } else { 0 };
    let mask_bit = if mask.is_some() { MASK } else { 0 };
    header.push(&[fin | opcode as u8]);
    if payload_len < usize::from(LENGTH_U16) {
        header.push(&[mask_bit | payload_len as u8]);
    } else if let Ok(payload_len) = u16::try_from(payload_len) {
        header.push(&[mask_bit | LENGTH_U16]);
        header.push(&payload_len.to_be_bytes());
    } else {
        header.push(&[mask_bit | LENGTH_U64]);
        header.push(&(payload_len as u64).to_be_bytes());
    }
    if let Some(key) = mask {
        header.push(&key);
    }
    header
}

/// Appends a whole message or control frame as one frame. A control frame's payload is cut at [`CONTROL_PAYLOAD_MAX`];
/// for a Close, [`super::write_close`] cuts between characters. `mask` is for clients.
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let payload = cut_control(opcode, payload);
    let header = frame_header(opcode, true, payload.len(), mask);
    out.reserve(header.as_slice().len() + payload.len());
    out.extend_from_slice(header.as_slice());
    let payload_start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask_in_place(&mut out[payload_start..], key, 0);
    }
}

/// A whole unmasked frame in a vector of exactly its size: the bytes that a server shares among subscribers. A control
/// frame's payload is cut as by [`write_frame`].
pub fn server_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let payload = cut_control(opcode, payload);
    let header = frame_header(opcode, true, payload.len(), None);
    let mut frame = Vec::with_capacity(header.as_slice().len() + payload.len());
    frame.extend_from_slice(header.as_slice());
    frame.extend_from_slice(payload);
    frame
}

fn cut_control(opcode: Opcode, payload: &[u8]) -> &[u8] {
    if opcode.is_control() {
        &payload[..payload.len().min(CONTROL_PAYLOAD_MAX)]
    } else {
        payload
    }
}

/// Masks or unmasks `payload` (section 5.3), which begins `offset` bytes into its frame's payload.
pub fn mask_in_place(payload: &mut [u8], mut key: [u8; 4], offset: usize) {
    key.rotate_left(offset % 4);
    // Eight bytes at a time: the compiler makes vector instructions of it.
    let [a, b, c, d] = key;
    let key_twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_twice).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key_byte;
    }
}
