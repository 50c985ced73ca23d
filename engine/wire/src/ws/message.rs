//! Messages out of a peer's bytes: frames in whatever pieces they arrive, fragments joined, control frames between them.

use super::Role;
use super::close::Close;
use super::error::WsError;
use super::frame::{CONTROL_PAYLOAD_MAX, FRAME_HEADER_MAX, Header, Opcode, mask_in_place, parse_header};
use super::utf8::whole_characters_len;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// A message or a control frame that has fully arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered with a Pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// An answer to a Ping, or a one-way sign of life; at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer sends no more; `None` when it gave no code.
    Close(Option<Close<'a>>),
}

impl<'a> Incoming<'a> {
    fn decode(kind: Kind, payload: &'a [u8]) -> Result<Incoming<'a>, WsError> {
        Ok(match kind {
            Kind::Text => Incoming::Text(std::str::from_utf8(payload).map_err(|_| WsError::InvalidUtf8)?),
            Kind::Binary => Incoming::Binary(payload),
            Kind::Ping => Incoming::Ping(payload),
            Kind::Pong => Incoming::Pong(payload),
            Kind::Close => Incoming::Close(Close::parse(payload)?),
        })
    }
}

/// Reads the byte stream of one peer.
///
/// A frame that is unmasked, not fragmented and whole in the input is borrowed from the input. Everything else is
/// collected in a buffer that grows with the bytes that arrive, never with the length that a header announces, up to
/// the message limit and the payload of one control frame.
#[derive(Debug)]
pub struct MessageReader {
    /// The fragments of the message under way, then the payload of the frame under way. After a frame has been
    /// returned from here it stays until the next frame begins.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are complete fragments; at most `message_bytes_max` and `buffer.len()`.
    fragments_len: usize,
    /// Bytes of a text message that are known to be whole characters; at most `buffer.len()`.
    text_checked_len: usize,
    message_bytes_max: usize,
    frame: Option<Frame>,
    /// Text or Binary, while a message of theirs is under way.
    message: Option<Kind>,
    /// The part of the next header that has arrived, `header_len` bytes.
    header: [u8; FRAME_HEADER_MAX],
    header_len: u8,
    role: Role,
    /// Once set, the answer to every call.
    fault: Option<WsError>,
}

// A server holds one for each connection from which part of a message has arrived.
const _: () = assert!(size_of::<MessageReader>() <= 120);

/// What a frame's payload belongs to: its opcode, with a continuation resolved to the message that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn is_control(self) -> bool {
        !matches!(self, Kind::Text | Kind::Binary)
    }
}

/// A frame whose header was read and whose payload is being collected.
#[derive(Clone, Copy, Debug)]
struct Frame {
    payload_len: usize,
    /// Bytes of the payload that are in the buffer; at most `payload_len`.
    arrived_len: usize,
    key: [u8; 4],
    kind: Kind,
    fin: bool,
}

/// A complete message or control frame, and where its payload lies.
struct Complete<'i> {
    kind: Kind,
    payload: Payload<'i>,
}

enum Payload<'i> {
    Input(&'i [u8]),
    /// The buffer from this index to its end.
    Buffer(usize),
}

impl MessageReader {
    /// A reader for the end that is `role`, which accepts messages of up to `message_bytes_max` bytes.
    pub fn new(role: Role, message_bytes_max: usize) -> MessageReader {
        MessageReader::with_buffer(role, message_bytes_max, Vec::new())
    }

    /// The same, with the memory of `buffer` to collect in; what it holds is forgotten.
    pub fn with_buffer(role: Role, message_bytes_max: usize, mut buffer: Vec<u8>) -> MessageReader {
        buffer.clear();
        MessageReader {
            buffer,
            fragments_len: 0,
            text_checked_len: 0,
            message_bytes_max,
            frame: None,
            message: None,
            header: [0; FRAME_HEADER_MAX],
            header_len: 0,
            role,
            fault: None,
        }
    }

    /// Takes bytes from the front of `input` up to the end of the next message or control frame and returns that;
    /// `None` when all of `input` was taken and more is needed. Call it until it gives `None`.
    ///
    /// The first fault of the peer is returned from then on; after a Close, [`WsError::Closed`] is. What is left in
    /// `input` by then has no meaning.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Incoming<'a>>, WsError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let complete = match self.advance(input) {
            Ok(Some(complete)) => complete,
            Ok(None) => return Ok(None),
            Err(fault) => {
                self.fault = Some(fault);
                self.buffer = Vec::new();
                return Err(fault);
            }
        };
        let payload = match complete.payload {
            Payload::Input(payload) => payload,
            Payload::Buffer(start) => &self.buffer[start..],
        };
        let incoming = Incoming::decode(complete.kind, payload);
        match incoming {
            Ok(Incoming::Close(_)) => self.fault = Some(WsError::Closed),
            Ok(_) => {}
            Err(fault) => self.fault = Some(fault),
        }
        incoming.map(Some)
    }

    /// Whether nothing of a frame or message is held, and nothing has ended the connection: the reader can be dropped
    /// now and a new one made when the next bytes arrive.
    pub fn is_idle(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none() && self.fault.is_none()
    }

    /// Whether a message is under way of which whole fragments have arrived: what was returned last was a control frame.
    pub fn is_within_message(&self) -> bool {
        self.message.is_some()
    }

    /// The memory that it collects in, to be used again; what it holds is forgotten.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.clear();
        self.buffer
    }

    /// Begins anew with the bytes of another peer, and keeps the memory that it collects in.
    pub fn reset(&mut self, message_bytes_max: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        *self = MessageReader::with_buffer(self.role, message_bytes_max, buffer);
    }

    /// Bytes that it holds: of fragments, and of the payload of a frame that is under way.
    pub fn held_len(&self) -> usize {
        // Without a frame under way what stands behind the fragments was returned already.
        self.frame.map_or(self.fragments_len, |_| self.buffer.len())
    }

    /// Bytes of memory that it collects in.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Goes on where `other` stands, in memory of its own: what it held itself is forgotten, and `other` is to be
    /// [`reset`](MessageReader::reset) before it reads again. Allocates when it has less memory than `other` holds.
    pub fn take_over(&mut self, other: &MessageReader) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let held = &other.buffer[..other.held_len()];
        buffer.reserve_exact(held.len());
        buffer.extend_from_slice(held);
        *self = MessageReader { buffer, ..*other };
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Complete<'i>>, WsError> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.begin_frame(input)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            if let Some(payload) = self.borrow_payload(&frame, input) {
                return Ok(Some(Complete {
                    kind: frame.kind,
                    payload: Payload::Input(payload),
                }));
            }
            self.collect_payload(&mut frame, input)?;
            if frame.arrived_len < frame.payload_len {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(complete) = self.end_frame(&frame) {
                return Ok(Some(complete));
            }
        }
    }

    /// Reads a header, perhaps across several calls, and holds it against what is under way.
    fn begin_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, WsError> {
        let Some(header) = self.read_header(input)? else {
            return Ok(None);
        };
        let kind = match header.opcode {
            Opcode::Close => Kind::Close,
            Opcode::Ping => Kind::Ping,
            Opcode::Pong => Kind::Pong,
            Opcode::Continuation => self.message.ok_or(WsError::ContinuationUnexpected)?,
            Opcode::Text => self.begin_message(Kind::Text)?,
            Opcode::Binary => self.begin_message(Kind::Binary)?,
        };
        let payload_len_max = if kind.is_control() {
            CONTROL_PAYLOAD_MAX
        } else {
            self.message_bytes_max - self.fragments_len
        };
        let payload_len = usize::try_from(header.payload_len)
            .ok()
            .filter(|&payload_len| payload_len <= payload_len_max)
            .ok_or(WsError::MessageTooBig {
                bytes_max: self.message_bytes_max,
            })?;
        self.buffer.truncate(self.fragments_len);
        Ok(Some(Frame {
            payload_len,
            arrived_len: 0,
            key: header.key,
            kind,
            fin: header.fin,
        }))
    }

    fn begin_message(&mut self, kind: Kind) -> Result<Kind, WsError> {
        if self.message.is_some() {
            return Err(WsError::MessageInterrupted);
        }
        self.message = Some(kind);
        self.text_checked_len = 0;
        Ok(kind)
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, WsError> {
        let held_len = usize::from(self.header_len);
        let parsed = if held_len == 0 {
            parse_header(input, self.role)?
        } else {
            let taken_len = input.len().min(FRAME_HEADER_MAX - held_len);
            self.header[held_len..held_len + taken_len].copy_from_slice(&input[..taken_len]);
            parse_header(&self.header[..held_len + taken_len], self.role)?
        };
        match parsed {
            Some((header, header_len)) => {
                *input = &input[header_len - held_len..];
                self.header_len = 0;
                Ok(Some(header))
            }
            None => {
                // Less than a longest header has arrived, so all of it fits.
                let arrived_len = held_len + input.len();
                self.header[held_len..arrived_len].copy_from_slice(input);
                self.header_len = arrived_len as u8;
                *input = &[];
                Ok(None)
            }
        }
    }

    /// The payload of a frame that is a message or control frame by itself and lies unmasked and whole in `input`.
    fn borrow_payload<'i>(&mut self, frame: &Frame, input: &mut &'i [u8]) -> Option<&'i [u8]> {
        let stands_alone = frame.kind.is_control() || (frame.fin && self.fragments_len == 0);
        if self.role == Role::Server || !stands_alone || frame.arrived_len > 0 {
            return None;
        }
        let (payload, rest) = input.split_at_checked(frame.payload_len)?;
        *input = rest;
        if !frame.kind.is_control() {
            self.message = None;
        }
        Some(payload)
    }

    /// Moves what `input` has of the frame's payload into the buffer, unmasked, and checks text as far as it came.
    fn collect_payload(&mut self, frame: &mut Frame, input: &mut &[u8]) -> Result<(), WsError> {
        let piece_len = input.len().min(frame.payload_len - frame.arrived_len);
        let (piece, rest) = input.split_at(piece_len);
        *input = rest;
        self.reserve(piece_len);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(piece);
        if self.role == Role::Server {
            mask_in_place(&mut self.buffer[start..], frame.key, frame.arrived_len);
        }
        frame.arrived_len += piece_len;

        // A message that is complete is checked as a whole when it is returned.
        let message_ends = frame.fin && frame.arrived_len == frame.payload_len;
        if frame.kind == Kind::Text && !message_ends {
            self.text_checked_len += whole_characters_len(&self.buffer[self.text_checked_len..])?;
        }
        Ok(())
    }

    /// Makes room for `more` bytes: doubling, so that bytes are moved a bounded number of times, but not past what a
    /// message and one control frame can need.
    fn reserve(&mut self, more: usize) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() {
            let bytes_max = self.message_bytes_max.saturating_add(CONTROL_PAYLOAD_MAX);
            let capacity = needed.max(self.buffer.capacity().saturating_mul(2).min(bytes_max));
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
    }

    /// Ends a frame whose payload is at the end of the buffer; `None` when more fragments follow.
    fn end_frame(&mut self, frame: &Frame) -> Option<Complete<'static>> {
        let start = if frame.kind.is_control() {
            self.fragments_len
        } else if frame.fin {
            self.message = None;
            self.fragments_len = 0;
            0
        } else {
            self.fragments_len = self.buffer.len();
            return None;
        };
        Some(Complete {
            kind: frame.kind,
            payload: Payload::Buffer(start),
        })
    }
}
