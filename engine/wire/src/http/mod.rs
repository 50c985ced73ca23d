//! The HTTP/1.1 upgrade to WebSocket (RFC 6455 section 4), both roles.
//!
//! - server: [`parse_request`], [`RequestHead::upgrade`], then [`write_switching_protocols`], or
//!   [`HttpError::write_response`] for what is refused;
//! - client: [`client_key`], [`write_request`], then [`parse_response`].

mod client;
mod error;
mod headers;
mod request;
mod response;

pub use client::{
    HandshakeError, REFUSAL_TEXT_BYTES_MAX, ResponseHead, client_key, parse_response, write_request,
};
pub use error::HttpError;
pub use headers::Headers;
pub use request::{RequestHead, UpgradeRequest, parse_request};
pub use response::{write_error, write_switching_protocols};

/// The longest head of a request or an answer, in bytes: a URL with 1024 stream names is about 30 KB, and clients add
/// cookies and the headers of proxies.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most header fields of a head: browsers behind proxies send about 30.
pub const HEADERS_MAX: usize = 64;

/// The version of the WebSocket protocol that RFC 6455 defines.
const WEBSOCKET_VERSION: &str = "13";

/// The answer to a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2): base64 of the SHA-1 of the key and a fixed text.
fn accept_key(key: &[u8]) -> String {
    use base64::Engine;

    const PROTOCOL_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut digest = sha1_smol::Sha1::new();
    digest.update(key);
    digest.update(PROTOCOL_GUID);
    base64::engine::general_purpose::STANDARD.encode(digest.digest().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_key_of_the_rfc() {
        // RFC 6455 section 1.3.
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
