//! The server's answers to an upgrade: 101, or an error with one sentence as plain text.

/// Appends the answer that opens the WebSocket; `accept_key` is that of [`super::UpgradeRequest::Valid`]. Extensions
/// and subprotocols that the client offered are declined by not being named.
///
/// Control characters in `extra_headers` become blanks, so that no value can end its line.
pub fn write_switching_protocols(out: &mut Vec<u8>, accept_key: &str, extra_headers: &[(&str, &str)]) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    push_header(out, "Upgrade", "websocket");
    push_header(out, "Connection", "Upgrade");
    push_header(out, "Sec-WebSocket-Accept", accept_key);
    push_headers(out, extra_headers);
    out.extend_from_slice(b"\r\n");
}

/// Appends an answer that refuses a request: `status` (three digits), the `reason` phrase that belongs to it, further
/// headers, and `body` as plain text. The connection is to be closed after it.
///
/// Control characters in `reason` and `extra_headers` become blanks, so that none can end its line.
pub fn write_error(out: &mut Vec<u8>, status: u16, reason: &str, extra_headers: &[(&str, &str)], body: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, usize::from(status));
    out.push(b' ');
    push_text(out, reason);
    out.extend_from_slice(b"\r\n");
    push_headers(out, extra_headers);
    push_header(out, "Content-Type", "text/plain; charset=utf-8");
    out.extend_from_slice(b"Content-Length: ");
    push_number(out, body.len());
    out.extend_from_slice(b"\r\n");
    push_header(out, "Connection", "close");
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
}

pub(super) fn push_headers(out: &mut Vec<u8>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        push_header(out, name, value);
    }
}

pub(super) fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    push_text(out, name);
    out.extend_from_slice(b": ");
    push_text(out, value);
    out.extend_from_slice(b"\r\n");
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend(
        text.bytes()
            .map(|byte| if byte.is_ascii_control() { b' ' } else { byte }),
    );
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_answer_of_the_rfc() {
        // RFC 6455 section 1.3, and a field of this server.
        let mut out = Vec::new();
        write_switching_protocols(
            &mut out,
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            &[("Depthcast-Epoch", "7")],
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Depthcast-Epoch: 7\r\n\
             \r\n"
        );
    }

    #[test]
    fn no_value_ends_its_line() {
        let mut out = Vec::new();
        write_error(
            &mut out,
            503,
            "Busy\r\n",
            &[("Retry-After", "1\r\nX: y\0")],
            "come back\n",
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 503 Busy  \r\n\
             Retry-After: 1  X: y \r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 10\r\n\
             Connection: close\r\n\
             \r\n\
             come back\n"
        );
    }
}
