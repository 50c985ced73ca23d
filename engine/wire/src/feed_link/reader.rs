//! A stream of bytes to messages, in pieces of any size.

use super::decode::{check_schema, decode};
use super::{HEADER_LEN, LinkError, LinkMessage, MESSAGE_BYTES_MAX};

/// How much of a stranger's first bytes an error repeats.
const EXCERPT_BYTES_MAX: usize = 24;

/// Collects bytes and gives messages. It holds at most one message and what was pushed with its end.
#[derive(Debug, Default)]
pub struct LinkReader {
    bytes: Vec<u8>,
    /// Bytes at the front that were read.
    taken: usize,
    /// A message was read: whatever comes is of a feed link, though it may be broken.
    is_link: bool,
}

impl LinkReader {
    /// A reader that has got nothing yet.
    pub fn new() -> LinkReader {
        LinkReader::default()
    }

    /// Takes bytes as they come. Call [`LinkReader::next_message`] until it has no more before the next ones.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message; None when more bytes are needed. After an error nothing more can be read.
    pub fn next_message(&mut self) -> Result<Option<LinkMessage>, LinkError> {
        let rest = &self.bytes[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        // Before the whole message is there: it may never be. And before its length: another version may have others.
        if let Some(header) = rest.first_chunk::<HEADER_LEN>() {
            let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            check_schema(field(4), field(6)).map_err(|error| self.or_stranger(error))?;
        }
        let length = u32::from_le_bytes(*length);
        let len = usize::try_from(length)
            .ok()
            .filter(|len| (HEADER_LEN..=MESSAGE_BYTES_MAX).contains(len))
            .ok_or_else(|| self.or_stranger(LinkError::Length(length)))?;
        let Some(message) = rest.get(..len) else {
            return Ok(None);
        };
        let message = decode(message)?;
        self.taken += 4 + len;
        self.is_link = true;
        Ok(Some(message))
    }

    /// What an error means when nothing has been read yet: these are no bytes of a feed link.
    fn or_stranger(&self, error: LinkError) -> LinkError {
        if self.is_link || matches!(error, LinkError::Version { .. }) {
            return error;
        }
        let excerpt = &self.bytes[..self.bytes.len().min(EXCERPT_BYTES_MAX)];
        // Of text the first line says enough.
        let line = excerpt
            .split(|byte| *byte == b'\r' || *byte == b'\n')
            .next()
            .unwrap_or_default();
        let began = if line.is_empty() { excerpt } else { line }.escape_ascii();
        LinkError::NotALink {
            began: began.to_string(),
        }
    }
}
