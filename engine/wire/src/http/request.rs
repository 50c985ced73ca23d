//! The server's side: the head of a request, and whether it asks for a WebSocket as RFC 6455 section 4.2.1 requires.

use super::{HEAD_BYTES_MAX, Headers, HttpError, WEBSOCKET_VERSION, accept_key};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// The length of a `Sec-WebSocket-Key` when decoded (RFC 6455 section 4.2.1).
const KEY_BYTES: usize = 16;

/// The length of a `Sec-WebSocket-Key` in base64, with its padding.
const KEY_BASE64_LEN: usize = 24;

/// Standard base64 that takes any value of the four bits that 16 bytes leave unused: the RFC asks only that a key
/// decode to 16 bytes, and some clients make up 22 random characters.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The head of a request: its first line and its header fields.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    /// The method as it was written, such as `GET`.
    pub method: &'b str,
    /// Path and query as they were sent, percent-encoding and all.
    pub target: &'b str,
    /// The digit after `HTTP/1.`: 0 or 1.
    pub version_minor: u8,
    /// The header fields.
    pub headers: Headers<'b>,
    /// The length of the head in bytes, empty line included: what follows it in the buffer is the body, or the first
    /// frames of a client that did not wait for the answer.
    pub head_len: usize,
}

/// Whether a request asks for a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeRequest {
    /// It does not: plain HTTP.
    Absent,
    /// It does, and rightly.
    Valid {
        /// The value for `Sec-WebSocket-Accept`.
        accept_key: String,
    },
    /// It does, but not as RFC 6455 requires.
    Invalid(HttpError),
}

/// Reads the head of a request from the start of `buf`; `None` when its end has not arrived.
///
/// Give it all bytes that have arrived so far each time: what can be no head is refused before its end. A `buf` of
/// [`HEAD_BYTES_MAX`] or more never gives `None`.
pub fn parse_request(buf: &[u8]) -> Result<Option<RequestHead<'_>>, HttpError> {
    let head = &buf[..buf.len().min(HEAD_BYTES_MAX)];
    let mut headers = Headers::empty();
    let parsed = headers.fill(|fields| {
        let mut request = httparse::Request::new(fields);
        let status = request.parse(head);
        (
            request.headers.len(),
            (status, request.method, request.path, request.version),
        )
    });
    match parsed {
        (Ok(httparse::Status::Complete(head_len)), Some(method), Some(target), Some(version_minor)) => {
            Ok(Some(RequestHead {
                method,
                target,
                version_minor,
                headers,
                head_len,
            }))
        }
        (Ok(_), ..) if buf.len() >= HEAD_BYTES_MAX => Err(HttpError::HeadTooLarge),
        (Ok(_), ..) => Ok(None),
        (Err(httparse::Error::TooManyHeaders), ..) => Err(HttpError::TooManyHeaders),
        (Err(httparse::Error::Version), ..) => Err(HttpError::Version),
        (Err(error), ..) => Err(HttpError::Malformed(error)),
    }
}

impl RequestHead<'_> {
    /// Whether this asks for a WebSocket. An `Upgrade` to something else counts as plain HTTP: RFC 9110 section 7.8
    /// lets a server ignore what it does not know.
    pub fn upgrade(&self) -> UpgradeRequest {
        if !self.headers.has_token("Upgrade", "websocket") {
            return UpgradeRequest::Absent;
        }
        match self.check_upgrade() {
            Ok(accept_key) => UpgradeRequest::Valid { accept_key },
            Err(error) => UpgradeRequest::Invalid(error),
        }
    }

    /// Requirement by requirement in the order of RFC 6455 section 4.2.1; gives the accept key.
    fn check_upgrade(&self) -> Result<String, HttpError> {
        if self.method != "GET" {
            return Err(HttpError::Method);
        }
        if self.version_minor < 1 {
            return Err(HttpError::Version);
        }
        self.headers.only("Host").ok_or(HttpError::Host)?;
        if !self.headers.has_token("Connection", "Upgrade") {
            return Err(HttpError::Connection);
        }
        if self.announces_body() {
            return Err(HttpError::Body);
        }
        if self.headers.only("Sec-WebSocket-Version") != Some(WEBSOCKET_VERSION.as_bytes()) {
            return Err(HttpError::WebSocketVersion);
        }
        let key = self.headers.only("Sec-WebSocket-Key").filter(|key| is_key(key));
        Ok(accept_key(key.ok_or(HttpError::WebSocketKey)?))
    }

    fn announces_body(&self) -> bool {
        self.headers.first("Transfer-Encoding").is_some()
            || self.headers.all("Content-Length").any(|length| length != b"0")
    }
}

fn is_key(key: &[u8]) -> bool {
    // The decoder wants room for the length that it estimates, which is over the exact one.
    let mut decoded = [0; KEY_BASE64_LEN];
    key.len() == KEY_BASE64_LEN && KEY_BASE64.decode_slice(key, &mut decoded) == Ok(KEY_BYTES)
}
