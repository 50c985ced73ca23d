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
    /// Path and query as they were sent, percent-encoding and all; of an absolute URL only these.
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
                target: path_and_query(target),
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

/// Drops scheme and authority from a target in absolute form, which RFC 9112 section 3.2.2 has every server accept.
fn path_and_query(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            rest.find(['/', '?']).map_or("/", |start| &rest[start..])
        }
        _ => target,
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

#[cfg(test)]
mod tests {
    use super::super::HEADERS_MAX;
    use super::*;
    use proptest::prelude::*;

    /// The request of RFC 6455 section 1.3, less the subprotocols.
    const GOOD: &str = "GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\n\
        Sec-WebSocket-Version: 13\r\n\
        \r\n";

    fn parse(request: &str) -> RequestHead<'_> {
        parse_request(request.as_bytes()).unwrap().unwrap()
    }

    fn good() -> UpgradeRequest {
        UpgradeRequest::Valid {
            accept_key: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(),
        }
    }

    #[test]
    fn reads_the_example_of_the_rfc() {
        let with_frames = format!("{GOOD}\u{1}");
        let head = parse(&with_frames);
        assert_eq!(
            (head.method, head.target, head.version_minor),
            ("GET", "/chat", 1)
        );
        assert_eq!(head.head_len, GOOD.len());
        assert_eq!(head.headers.first("ORIGIN"), Some(&b"http://example.com"[..]));
        assert_eq!(head.headers.iter().count(), 6);
        assert_eq!(head.upgrade(), good());
    }

    #[test]
    fn needs_the_whole_head() {
        for len in 0..GOOD.len() {
            assert!(matches!(parse_request(&GOOD.as_bytes()[..len]), Ok(None)));
        }
    }

    #[test]
    fn what_clients_vary_is_no_fault() {
        for (from, to) in [
            ("Upgrade: websocket", "uPGRADE:WebSocket"),
            ("Upgrade: websocket", "Upgrade: h2c, websocket"),
            ("Connection: Upgrade", "connection: keep-alive , upgrade"),
            (
                "Connection: Upgrade",
                "Connection: keep-alive\r\nConnection: Upgrade",
            ),
            (
                "Origin",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin",
            ),
            ("Origin", "Sec-WebSocket-Protocol: chat, superchat\r\nOrigin"),
            ("Origin", "X-MBX-APIKEY: unasked\r\nOrigin"),
            ("Origin", "Content-Length: 0\r\nOrigin"),
        ] {
            let request = GOOD.replacen(from, to, 1);
            assert_ne!(request, GOOD);
            assert_eq!(parse(&request).upgrade(), good(), "{request}");
        }
        // 22 characters of which the last has bits beyond the 16 bytes.
        let request = GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR==");
        assert!(matches!(parse(&request).upgrade(), UpgradeRequest::Valid { .. }));
    }

    #[test]
    fn other_requests_are_plain_http() {
        for (from, to) in [
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("Upgrade: websocket", "Upgrade: websockets"),
        ] {
            assert_eq!(
                parse(&GOOD.replacen(from, to, 1)).upgrade(),
                UpgradeRequest::Absent
            );
        }
    }

    #[test]
    fn each_wrong_upgrade_has_its_own_answer() {
        use HttpError::{Body, Connection, Host, Method, Version, WebSocketKey, WebSocketVersion};
        let version = "Sec-WebSocket-Version: 13\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (from, to, error, status) in [
            ("GET", "POST", Method, 405),
            ("GET", "get", Method, 405),
            ("HTTP/1.1", "HTTP/1.0", Version, 505),
            ("Host: server.example.com\r\n", "", Host, 400),
            ("Host:", "Host: a\r\nHost:", Host, 400),
            ("Connection: Upgrade\r\n", "", Connection, 400),
            ("Connection: Upgrade", "Connection: close", Connection, 400),
            ("Connection: Upgrade", "Connection: Upgrades", Connection, 400),
            ("Origin", "Content-Length: 1\r\nOrigin", Body, 400),
            (
                "Origin",
                "Content-Length: 0\r\nContent-Length: 7\r\nOrigin",
                Body,
                400,
            ),
            ("Origin", "Transfer-Encoding: chunked\r\nOrigin", Body, 400),
            (version, "", WebSocketVersion, 426),
            ("Version: 13", "Version: 8", WebSocketVersion, 426),
            ("Version: 13", "Version: 13, 8", WebSocketVersion, 426),
            (version, &version.repeat(2), WebSocketVersion, 426),
            (key, "", WebSocketKey, 400),
            (key, &key.repeat(2), WebSocketKey, 400),
            ("ZQ==", "", WebSocketKey, 400),
            ("ZQ==", "ZQQ=", WebSocketKey, 400),
            ("ZQ==", "ZQQQ", WebSocketKey, 400),
            ("ZQ==", "ZQ", WebSocketKey, 400),
            ("ZQ==", "Z-==", WebSocketKey, 400),
            ("ZQ==", "ZQ==ZQ==", WebSocketKey, 400),
        ] {
            let request = GOOD.replacen(from, to, 1);
            assert_eq!(
                parse(&request).upgrade(),
                UpgradeRequest::Invalid(error),
                "{request}"
            );
            assert_eq!(error.status(), status);
        }
    }

    #[test]
    fn targets_are_reduced_to_path_and_query() {
        for (sent, target) in [
            ("/stream?streams=a%40b/c", "/stream?streams=a%40b/c"),
            ("http://host:9443/ws/a?x=1", "/ws/a?x=1"),
            ("ws://host", "/"),
            ("http://host?x=/", "?x=/"),
            ("/ws?u=http://host/x", "/ws?u=http://host/x"),
            ("*", "*"),
        ] {
            assert_eq!(parse(&GOOD.replacen("/chat", sent, 1)).target, target);
        }
    }

    #[test]
    fn a_long_url_fits_and_an_endless_head_does_not() {
        let streams: Vec<String> = (0..1024).map(|i| format!("s{i:04}usdt@depth20@100ms")).collect();
        let target = format!("/stream?streams={}", streams.join("/"));
        let request = GOOD.replacen("/chat", &target, 1);
        assert_eq!(parse(&request).target, target);

        let endless = format!("GET /{}", "a".repeat(HEAD_BYTES_MAX));
        assert!(matches!(
            parse_request(&endless.as_bytes()[..HEAD_BYTES_MAX - 1]),
            Ok(None)
        ));
        for len in [HEAD_BYTES_MAX, endless.len()] {
            assert_eq!(
                parse_request(&endless.as_bytes()[..len]).unwrap_err(),
                HttpError::HeadTooLarge
            );
        }

        let head = |padding: usize| GOOD.replacen("/chat", &format!("/{}", "a".repeat(padding)), 1);
        let fitting = head(HEAD_BYTES_MAX - head(0).len());
        assert_eq!(parse(&fitting).head_len, HEAD_BYTES_MAX);
        let over = head(HEAD_BYTES_MAX - head(0).len() + 1);
        assert_eq!(
            parse_request(over.as_bytes()).unwrap_err(),
            HttpError::HeadTooLarge
        );
    }

    #[test]
    fn header_fields_are_limited() {
        let request = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(parse(&request(HEADERS_MAX)).headers.iter().count(), HEADERS_MAX);
        let over = request(HEADERS_MAX + 1);
        assert_eq!(
            parse_request(over.as_bytes()).unwrap_err(),
            HttpError::TooManyHeaders
        );
    }

    #[test]
    fn what_can_be_no_request_is_refused_at_once() {
        // A TLS ClientHello; a broken header field; another protocol.
        for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/1.1\r\nna me: x"] {
            let error = parse_request(bytes).unwrap_err();
            assert!(matches!(error, HttpError::Malformed(_)), "{error}");
            assert_eq!(error.status(), 400);
        }
        for bytes in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"GET / FTP/1.1\r\n"] {
            assert_eq!(parse_request(bytes).unwrap_err(), HttpError::Version);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(Some(head)) = parse_request(&bytes) {
                prop_assert!(head.head_len <= bytes.len());
                head.upgrade();
            }
        }

        /// A spoilt request is refused or read, and no part of it that has arrived decides otherwise than the whole.
        #[test]
        fn spoilt_requests_are_read_or_refused(
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = GOOD.as_bytes().to_vec();
            for (index, byte) in spoilt {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            let read = |len: usize| {
                parse_request(&bytes[..len]).map(|head| head.map(|head| (head.head_len, head.upgrade())))
            };
            let whole = read(bytes.len());
            for len in 0..bytes.len() {
                let part = read(len);
                prop_assert!(part == Ok(None) || part == whole, "{:?} of {}, then {:?}", part, len, whole);
            }
        }
    }
}
