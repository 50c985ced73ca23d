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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The masking key of the examples in RFC 6455 section 5.7.
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn writes_the_examples_of_the_rfc() {
        // Section 5.7.
        let mut out = Vec::new();
        write_frame(&mut out, Opcode::Text, b"Hello", None);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(out, server_frame(Opcode::Text, b"Hello"));

        out.clear();
        write_frame(&mut out, Opcode::Text, b"Hello", Some(KEY));
        assert_eq!(
            out,
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );

        out.clear();
        write_frame(&mut out, Opcode::Ping, b"Hello", None);
        assert_eq!(out, [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);

        out.clear();
        write_frame(&mut out, Opcode::Pong, b"Hello", Some(KEY));
        assert_eq!(
            out,
            [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );

        assert_eq!(
            frame_header(Opcode::Text, false, 3, None).as_slice(),
            [0x01, 0x03]
        );
        assert_eq!(
            frame_header(Opcode::Continuation, true, 2, None).as_slice(),
            [0x80, 0x02]
        );
        assert_eq!(
            frame_header(Opcode::Binary, true, 256, None).as_slice(),
            [0x82, 0x7e, 0x01, 0x00]
        );
        assert_eq!(
            frame_header(Opcode::Binary, true, 65536, None).as_slice(),
            [0x82, 0x7f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00]
        );
    }

    #[test]
    fn lengths_use_their_shortest_encoding() {
        for (payload_len, header_len) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65535, 4),
            (65536, 10),
            (usize::MAX / 2, 10),
        ] {
            for mask in [None, Some(KEY)] {
                let header = frame_header(Opcode::Binary, true, payload_len, mask);
                let header_len = header_len + mask.map_or(0, |key| key.len());
                assert_eq!(header.as_slice().len(), header_len);
                let role = if mask.is_some() {
                    Role::Server
                } else {
                    Role::Client
                };
                let expected = Header {
                    opcode: Opcode::Binary,
                    fin: true,
                    key: mask.unwrap_or_default(),
                    payload_len: payload_len as u64,
                };
                assert_eq!(
                    parse_header(header.as_slice(), role),
                    Ok(Some((expected, header_len)))
                );
            }
        }
    }

    #[test]
    fn every_opcode_is_known_or_refused() {
        for bits in 0..=0xf_u8 {
            let known = matches!(bits, 0..=2 | 8..=0xa);
            match parse_header(&[FIN | bits, 0], Role::Client) {
                Ok(Some((header, 2))) if known => assert_eq!(header.opcode as u8, bits),
                other => {
                    assert!(!known);
                    assert_eq!(other, Err(WsError::UnknownOpcode(bits)));
                }
            }
        }
    }

    #[test]
    fn faults_show_in_the_byte_that_holds_them() {
        use Role::{Client, Server};
        use WsError::{
            ControlFragmented, ControlTooLong, LengthNotMinimal, LengthTopBit, MaskMissing, MaskUnexpected,
            ReservedBits,
        };
        for (role, bytes, fault) in [
            (Client, &b"\xc1"[..], ReservedBits),
            (Client, b"\xa1", ReservedBits),
            (Client, b"\x91", ReservedBits),
            (Client, b"\x09", ControlFragmented),
            (Client, b"\x0a", ControlFragmented),
            (Client, b"\x08", ControlFragmented),
            (Client, b"\x81\x80", MaskUnexpected),
            (Server, b"\x81\x00", MaskMissing),
            (Client, b"\x89\x7e", ControlTooLong),
            (Client, b"\x88\x7f", ControlTooLong),
            (Server, b"\x8a\xfe", ControlTooLong),
            (Client, b"\x82\x7e\x00\x7d", LengthNotMinimal),
            (Client, b"\x82\x7e\x00\x00", LengthNotMinimal),
            (
                Client,
                b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
                LengthNotMinimal,
            ),
            (Client, b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", LengthTopBit),
            (Server, b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", LengthTopBit),
        ] {
            assert_eq!(parse_header(bytes, role), Err(fault), "{bytes:x?}");
            let before = &bytes[..bytes.len() - 1];
            assert_eq!(parse_header(before, role), Ok(None), "{before:x?}");
        }
    }

    #[test]
    fn the_vector_of_a_server_frame_has_exactly_its_size() {
        for payload_len in [0, 1, 125, 126, 65536] {
            let frame = server_frame(Opcode::Binary, &vec![7; payload_len]);
            assert_eq!(frame.len(), frame.capacity());
        }
    }

    #[test]
    fn control_payloads_are_cut() {
        let frame = server_frame(Opcode::Ping, &[7; 200]);
        assert_eq!(frame[..2], [0x89, 125]);
        assert_eq!(frame.len(), 2 + CONTROL_PAYLOAD_MAX);
        assert_eq!(server_frame(Opcode::Text, &[b'x'; 200]).len(), 4 + 200);
    }

    proptest! {
        #[test]
        fn masking_is_the_formula_of_the_rfc(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            key: [u8; 4],
            offset in 0_usize..1000,
        ) {
            // Section 5.3: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
            let expected: Vec<u8> =
                payload.iter().enumerate().map(|(i, byte)| byte ^ key[(offset + i) % 4]).collect();
            let mut masked = payload.clone();
            mask_in_place(&mut masked, key, offset);
            prop_assert_eq!(masked, expected);
        }

        #[test]
        fn headers_are_read_back_and_only_when_whole(
            opcode in prop::sample::select(&[Opcode::Continuation, Opcode::Text, Opcode::Binary]),
            fin: bool,
            payload_len in prop_oneof![0_usize..300, 65_000_usize..66_000, 0..=usize::MAX / 2],
            mask: Option<[u8; 4]>,
        ) {
            let bytes = frame_header(opcode, fin, payload_len, mask);
            let bytes = bytes.as_slice();
            let role = if mask.is_some() { Role::Server } else { Role::Client };
            let expected = Header {
                opcode,
                fin,
                key: mask.unwrap_or_default(),
                payload_len: payload_len as u64,
            };
            prop_assert_eq!(parse_header(bytes, role), Ok(Some((expected, bytes.len()))));
            for len in 0..bytes.len() {
                prop_assert_eq!(parse_header(&bytes[..len], role), Ok(None));
            }
        }

        #[test]
        fn any_longest_header_is_read_or_refused(bytes: [u8; FRAME_HEADER_MAX], server: bool) {
            let role = if server { Role::Server } else { Role::Client };
            prop_assert!(!matches!(parse_header(&bytes, role), Ok(None)));
        }
    }
}
