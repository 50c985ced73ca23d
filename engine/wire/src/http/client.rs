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

#[cfg(test)]
mod tests {
    use super::super::{UpgradeRequest, parse_request, write_error, write_switching_protocols};
    use super::*;
    use proptest::prelude::*;

    /// The key and the answer of RFC 6455 section 1.3, less the subprotocol.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        \r\n";

    #[test]
    fn makes_the_key_of_the_rfc() {
        assert_eq!(client_key(*b"the sample nonce"), KEY);
    }

    #[test]
    fn writes_a_request_that_a_server_takes() {
        let mut out = Vec::new();
        write_request(
            &mut out,
            "localhost:9443",
            "/ws/btcusdt@depth",
            KEY,
            &[("X-MBX-APIKEY", "k")],
        );
        assert_eq!(
            str::from_utf8(&out).unwrap(),
            "GET /ws/btcusdt@depth HTTP/1.1\r\n\
             Host: localhost:9443\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\
             X-MBX-APIKEY: k\r\n\
             \r\n"
        );
        let head = parse_request(&out).unwrap().unwrap();
        assert!(matches!(head.upgrade(), UpgradeRequest::Valid { .. }));
    }

    #[test]
    fn reads_the_answer_of_the_rfc() {
        let with_frames = format!("{GOOD}\u{1}");
        let head = parse_response(with_frames.as_bytes(), KEY).unwrap().unwrap();
        assert_eq!(head.head_len, GOOD.len());
        assert_eq!(head.headers.first("upgrade"), Some(&b"websocket"[..]));
        for len in 0..GOOD.len() {
            assert!(matches!(parse_response(&GOOD.as_bytes()[..len], KEY), Ok(None)));
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let answers = format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{GOOD}");
        for len in 0..answers.len() {
            assert!(matches!(
                parse_response(&answers.as_bytes()[..len], KEY),
                Ok(None)
            ));
        }
        let head = parse_response(answers.as_bytes(), KEY).unwrap().unwrap();
        assert_eq!(head.head_len, answers.len());

        let endless = interim.repeat(HEAD_BYTES_MAX / interim.len() + 1);
        assert_eq!(
            parse_response(endless.as_bytes(), KEY).unwrap_err(),
            HandshakeError::HeadTooLarge
        );
    }

    #[test]
    fn each_wrong_answer_is_named() {
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let extension = format!("{accept}Sec-WebSocket-Extensions: permessage-deflate\r\n");
        let subprotocol = format!("{accept}Sec-WebSocket-Protocol: chat\r\n");
        for (from, to, error) in [
            ("Upgrade: websocket\r\n", "", HandshakeError::UpgradeMissing),
            (
                "Upgrade: websocket",
                "Upgrade: h2c",
                HandshakeError::UpgradeMissing,
            ),
            ("Connection: Upgrade\r\n", "", HandshakeError::ConnectionMissing),
            (
                "Connection: Upgrade",
                "Connection: close",
                HandshakeError::ConnectionMissing,
            ),
            (accept, "", HandshakeError::AcceptWrong),
            (accept, &accept.repeat(2), HandshakeError::AcceptWrong),
            ("s3pP", "S3pP", HandshakeError::AcceptWrong),
            (accept, &extension, HandshakeError::ExtensionNotOffered),
            (accept, &subprotocol, HandshakeError::SubprotocolNotOffered),
        ] {
            let answer = GOOD.replacen(from, to, 1);
            assert_eq!(
                parse_response(answer.as_bytes(), KEY).unwrap_err(),
                error,
                "{answer}"
            );
        }
        let error = parse_response(GOOD.as_bytes(), &client_key([7; 16])).unwrap_err();
        assert_eq!(error, HandshakeError::AcceptWrong);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let error = parse_response(b"SSH-2.0-OpenSSH_9.6\r\n", KEY).unwrap_err();
        assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
        let many = format!("HTTP/1.1 101 X\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(
            parse_response(many.as_bytes(), KEY).unwrap_err(),
            HandshakeError::TooManyHeaders
        );
        let endless = format!("HTTP/1.1 101 X\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            parse_response(endless.as_bytes(), KEY).unwrap_err(),
            HandshakeError::HeadTooLarge
        );
    }

    #[test]
    fn a_refusal_keeps_what_the_server_says() {
        let mut out = Vec::new();
        write_error(&mut out, 429, "Too Many Requests", &[], "wait a minute\n");
        let error = parse_response(&out, KEY).unwrap_err();
        let text = "the server refused the WebSocket: 429 Too Many Requests: wait a minute";
        assert_eq!(error.to_string(), text);

        // Bounded, on one line, and nothing that a terminal would obey.
        out.clear();
        write_error(&mut out, 503, "Busy", &[], &"\u{1b}[31mé\n".repeat(500));
        let HandshakeError::Refused { status, text } = parse_response(&out, KEY).unwrap_err() else {
            panic!("a refusal")
        };
        assert_eq!(status, 503);
        assert!(text.starts_with("Busy: "), "{text}");
        assert!(text.len() <= REFUSAL_TEXT_BYTES_MAX && !text.contains(char::is_control));
    }

    #[test]
    fn no_text_of_a_request_ends_its_line() {
        let mut out = Vec::new();
        write_request(&mut out, "h\r\nX: y", "ws/a b\r\n", KEY, &[("A", "b\nC: d")]);
        let head = parse_request(&out).unwrap().unwrap();
        assert_eq!(head.target, "/ws/a%20b%0D%0A");
        assert_eq!(head.headers.first("Host"), Some(&b"h  X: y"[..]));
        assert_eq!(head.headers.iter().count(), 6);
    }

    proptest! {
        #[test]
        fn server_and_client_agree(nonce: [u8; 16], target in "/[ -~é]{0,50}", epoch in "[0-9]{1,20}") {
            let key = client_key(nonce);
            let mut request = Vec::new();
            write_request(&mut request, "host", &target, &key, &[]);
            let head = parse_request(&request).unwrap().unwrap();
            prop_assert_eq!(head.head_len, request.len());
            let UpgradeRequest::Valid { accept_key } = head.upgrade() else {
                return Err(TestCaseError::fail("refused"));
            };
            let mut answer = Vec::new();
            write_switching_protocols(&mut answer, &accept_key, &[("Depthcast-Epoch", &epoch)]);
            let head = parse_response(&answer, &key).unwrap().unwrap();
            prop_assert_eq!(head.head_len, answer.len());
            prop_assert_eq!(head.headers.only("depthcast-epoch"), Some(epoch.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(Some(head)) = parse_response(&bytes, KEY) {
                prop_assert!(head.head_len <= bytes.len());
            }
        }

        #[test]
        fn spoilt_answers_are_read_or_refused(
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = GOOD.as_bytes().to_vec();
            for (index, byte) in spoilt {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            match parse_response(&bytes, KEY) {
                Ok(Some(head)) => prop_assert!(head.head_len <= bytes.len()),
                Ok(None) => {}
                Err(HandshakeError::Refused { status, text }) => {
                    prop_assert!(status != 101 && text.len() <= REFUSAL_TEXT_BYTES_MAX);
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
