//! The client's side: the request that asks for a WebSocket, and what RFC 6455 section 4.1 requires of the answer.

use super::response::{push_header, push_headers};
use super::{HEAD_BYTES_MAX, HEADERS_MAX, Headers, WEBSOCKET_VERSION, accept_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The most that is kept of the text of a refusal, in bytes: enough for the sentence that a server writes.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 256;

/// What may not stand in the first line of a request; everything else of a target is sent as given.
const NOT_IN_TARGET: &AsciiSet = &CONTROLS.add(b' ');

/// Why the server's answer opens no WebSocket. The fault is the server's, or that of a proxy in between, except for
/// [`HandshakeError::Refused`], whose text says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The bytes are no HTTP/1 answer.
    #[error("the answer is not HTTP/1.1 ({0})")]
    Malformed(httparse::Error),
    /// The head has no end within [`HEAD_BYTES_MAX`].
    #[error("the head of the answer is over {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// The head has more than [`HEADERS_MAX`] fields.
    #[error("the answer has more than {HEADERS_MAX} header fields")]
    TooManyHeaders,
    /// Another status than 101.
    #[error("the server refused the WebSocket: {status} {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The reason phrase, then as much of the body as came along; at most [`REFUSAL_TEXT_BYTES_MAX`] bytes.
        text: String,
    },
    /// 101 without `Upgrade: websocket`.
    #[error("the answer lacks \"Upgrade: websocket\"")]
    UpgradeMissing,
    /// 101 without `Connection: Upgrade`.
    #[error("the answer lacks \"Connection: Upgrade\"")]
    ConnectionMissing,
    /// `Sec-WebSocket-Accept` is missing, repeated, or not made from the key that was sent.
    #[error("the answer's Sec-WebSocket-Accept does not belong to this request's key")]
    AcceptWrong,
    /// The server chose an extension, and this client offers none.
    #[error("the server chose an extension that was not offered")]
    ExtensionNotOffered,
    /// The server chose a subprotocol, and this client offers none.
    #[error("the server chose a subprotocol that was not offered")]
    SubprotocolNotOffered,
}

/// The head of the answer that opened a WebSocket.
#[derive(Clone, Debug)]
pub struct ResponseHead<'b> {
    /// The header fields.
    pub headers: Headers<'b>,
    /// The length in bytes of all that precedes the first frame.
    pub head_len: usize,
}

/// The value for `Sec-WebSocket-Key` made of 16 bytes, which must be random for each connection.
pub fn client_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Appends the request for a WebSocket at `host` (with the port where it is not the scheme's own) and `target` (path
/// and query). `key` comes from [`client_key`].
///
/// It offers no extensions and no subprotocols, and `extra_headers` must not either: an answer that chooses one is
/// refused. Blanks and control characters in `target` are percent-encoded, control characters elsewhere become blanks,
/// so that no text can end its line.
pub fn write_request(out: &mut Vec<u8>, host: &str, target: &str, key: &str, extra_headers: &[(&str, &str)]) {
    out.extend_from_slice(b"GET ");
    if !target.starts_with('/') {
        out.push(b'/');
    }
    for part in utf8_percent_encode(target, NOT_IN_TARGET) {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_header(out, "Host", host);
    push_header(out, "Upgrade", "websocket");
    push_header(out, "Connection", "Upgrade");
    push_header(out, "Sec-WebSocket-Key", key);
    push_header(out, "Sec-WebSocket-Version", WEBSOCKET_VERSION);
    push_headers(out, extra_headers);
    out.extend_from_slice(b"\r\n");
}

/// Reads the answer to a request that carried `key` from the start of `buf`; `None` when its end has not arrived.
/// Interim answers (100, 102 to 199) are passed over.
///
/// Give it all bytes that have arrived so far each time. A `buf` of [`HEAD_BYTES_MAX`] or more never gives `None`.
pub fn parse_response<'b>(buf: &'b [u8], key: &str) -> Result<Option<ResponseHead<'b>>, HandshakeError> {
    let head = &buf[..buf.len().min(HEAD_BYTES_MAX)];
    let mut start = 0;
    loop {
        let Some((status, reason, headers, len)) = parse_head(&head[start..])? else {
            let too_large = buf.len() >= HEAD_BYTES_MAX;
            return if too_large {
                Err(HandshakeError::HeadTooLarge)
            } else {
                Ok(None)
            };
        };
        start += len;
        match status {
            101 => {
                check_switch(&headers, key)?;
                return Ok(Some(ResponseHead {
                    headers,
                    head_len: start,
                }));
            }
            100..=199 => {}
            _ => return Err(refused(status, reason, &buf[start..])),
        }
    }
}

type Head<'b> = (u16, &'b str, Headers<'b>, usize);

/// The next head: status, reason phrase, fields, length.
fn parse_head(buf: &[u8]) -> Result<Option<Head<'_>>, HandshakeError> {
    let mut headers = Headers::empty();
    let parsed = headers.fill(|fields| {
        let mut response = httparse::Response::new(fields);
        let status = response.parse(buf);
        (response.headers.len(), (status, response.code, response.reason))
    });
    match parsed {
        (Ok(httparse::Status::Complete(len)), Some(status), reason) => {
            Ok(Some((status, reason.unwrap_or_default(), headers, len)))
        }
        (Ok(_), ..) => Ok(None),
        (Err(httparse::Error::TooManyHeaders), ..) => Err(HandshakeError::TooManyHeaders),
        (Err(error), ..) => Err(HandshakeError::Malformed(error)),
    }
}

fn check_switch(headers: &Headers<'_>, key: &str) -> Result<(), HandshakeError> {
    if !headers.has_token("Upgrade", "websocket") {
        return Err(HandshakeError::UpgradeMissing);
    }
    if !headers.has_token("Connection", "Upgrade") {
        return Err(HandshakeError::ConnectionMissing);
    }
    if headers.only("Sec-WebSocket-Accept") != Some(accept_key(key.as_bytes()).as_bytes()) {
        return Err(HandshakeError::AcceptWrong);
    }
    if headers
        .all("Sec-WebSocket-Extensions")
        .any(|value| !value.is_empty())
    {
        return Err(HandshakeError::ExtensionNotOffered);
    }
    if headers
        .all("Sec-WebSocket-Protocol")
        .any(|value| !value.is_empty())
    {
        return Err(HandshakeError::SubprotocolNotOffered);
    }
    Ok(())
}

/// The error for an answer of another status: what the server says, on one line, without what a terminal would obey.
fn refused(status: u16, reason: &str, body: &[u8]) -> HandshakeError {
    let body = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_TEXT_BYTES_MAX)]);
    let separator = if body.trim().is_empty() { "" } else { ": " };
    let mut text = format!("{}{separator}{}", reason.trim(), body.trim());
    text.truncate(text.floor_char_boundary(REFUSAL_TEXT_BYTES_MAX));
    let text = text.replace(char::is_control, " ");
    HandshakeError::Refused { status, text }
}
