//! Why a request is refused, each cause with its status and with a sentence that says what to do about it.

use super::response::write_error;
use super::{HEAD_BYTES_MAX, HEADERS_MAX, WEBSOCKET_VERSION};

/// A request that this server refuses. The fault is the client's, or that of a proxy in between; the text of each says
/// what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The bytes are no HTTP/1 request.
    #[error("this is no HTTP/1.1 request ({0}); send one, without TLS unless the port has it")]
    Malformed(httparse::Error),
    /// The head has no end within [`HEAD_BYTES_MAX`].
    #[error(
        "keep the request's head under {HEAD_BYTES_MAX} bytes; subscribe to more streams after connecting"
    )]
    HeadTooLarge,
    /// The head has more than [`HEADERS_MAX`] fields.
    #[error("send at most {HEADERS_MAX} header fields")]
    TooManyHeaders,
    /// Neither HTTP/1.0 nor HTTP/1.1, or an upgrade in HTTP/1.0, which has none.
    #[error("use HTTP/1.1")]
    Version,
    /// An upgrade by another method than GET.
    #[error("use GET to open a WebSocket")]
    Method,
    /// An upgrade without a Host field, or with several.
    #[error("send exactly one Host header")]
    Host,
    /// An upgrade whose Connection fields lack the token `Upgrade`.
    #[error("send \"Connection: Upgrade\" beside \"Upgrade: websocket\"; a proxy may have removed it")]
    Connection,
    /// An upgrade of another WebSocket version, of none, or of several.
    #[error("send \"Sec-WebSocket-Version: {WEBSOCKET_VERSION}\"")]
    WebSocketVersion,
    /// An upgrade with no key, several, or one that is not base64 of 16 bytes.
    #[error("send exactly one Sec-WebSocket-Key, 16 random bytes in base64")]
    WebSocketKey,
    /// An upgrade that announces a body.
    #[error("send no body with a WebSocket upgrade")]
    Body,
    /// A plain request for a path at which only WebSocket is spoken.
    #[error(
        "this path speaks WebSocket only: connect with a WebSocket client, and have proxies pass the upgrade"
    )]
    UpgradeRequired,
}

impl HttpError {
    /// The status of the answer (RFC 9110 section 15, RFC 6585 section 5).
    pub fn status(&self) -> u16 {
        match self {
            HttpError::Malformed(_)
            | HttpError::Host
            | HttpError::Connection
            | HttpError::WebSocketKey
            | HttpError::Body => 400,
            HttpError::Method => 405,
            HttpError::WebSocketVersion | HttpError::UpgradeRequired => 426,
            HttpError::HeadTooLarge | HttpError::TooManyHeaders => 431,
            HttpError::Version => 505,
        }
    }

    /// The phrase that belongs to the status.
    pub fn reason(&self) -> &'static str {
        match self.status() {
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            505 => "HTTP Version Not Supported",
            _ => "Bad Request",
        }
    }

    /// The header fields that the answer must carry beside those of every answer. RFC 9110 has a 405 name what is
    /// allowed (section 15.5.6), a 426 what to upgrade to (15.5.22), and Connection name Upgrade where that is sent
    /// (7.8); RFC 6455 section 4.4 adds the version that is spoken.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            HttpError::Method => &[("Allow", "GET")],
            HttpError::WebSocketVersion => &[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", WEBSOCKET_VERSION),
            ],
            HttpError::UpgradeRequired => &[("Upgrade", "websocket"), ("Connection", "Upgrade")],
            _ => &[],
        }
    }

    /// Appends the whole answer, after which the connection is closed.
    pub fn write_response(&self, out: &mut Vec<u8>) {
        write_error(
            out,
            self.status(),
            self.reason(),
            self.headers(),
            &format!("{self}\n"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [HttpError; 11] = [
        HttpError::Malformed(httparse::Error::Token),
        HttpError::HeadTooLarge,
        HttpError::TooManyHeaders,
        HttpError::Version,
        HttpError::Method,
        HttpError::Host,
        HttpError::Connection,
        HttpError::WebSocketVersion,
        HttpError::WebSocketKey,
        HttpError::Body,
        HttpError::UpgradeRequired,
    ];

    #[test]
    fn every_answer_is_whole_and_says_what_to_do() {
        for error in ALL {
            let mut out = Vec::new();
            error.write_response(&mut out);
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut fields);
            let head_len = response.parse(&out).unwrap().unwrap();
            assert_eq!(response.code, Some(error.status()));
            assert_eq!(response.reason, Some(error.reason()));
            let value = |name: &str| {
                let field = response.headers.iter().find(|field| field.name == name);
                field.map(|field| std::str::from_utf8(field.value).unwrap())
            };
            let body = std::str::from_utf8(&out[head_len..]).unwrap();
            assert_eq!(body, format!("{error}\n"));
            assert_eq!(value("Content-Length"), Some(&*body.len().to_string()));
            let closes = |field: &httparse::Header<'_>| field.name == "Connection" && field.value == b"close";
            assert!(response.headers.iter().any(closes));
            assert_eq!(value("Allow").is_some(), error.status() == 405);
            assert_eq!(value("Upgrade").is_some(), error.status() == 426);
        }
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        let mut out = Vec::new();
        HttpError::WebSocketVersion.write_response(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 426 Upgrade Required\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 33\r\n\
             Connection: close\r\n\
             \r\n\
             send \"Sec-WebSocket-Version: 13\"\n"
        );
    }
}
