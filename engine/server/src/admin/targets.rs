//! Request targets as clients write them: a list of symbols is JSON, and many send its quotes as they are, which the grammar of
//! URLs does not have and the library that speaks HTTP refuses. They are percent-encoded on their way to it.
//!
//! Only request lines are looked at. Behind a request that has a body, whose end only the library knows, or that asks for another
//! protocol, nothing is any more.

/// What is encoded: characters that no target may have, and that are sent all the same.
const ENCODED: [u8; 3] = *b"\"<>";

/// As much of a header line as tells whether a body follows.
const FIELD_START: usize = 32;

/// Where in a stream of requests the next byte is.
#[derive(Debug, Default)]
enum Place {
    /// Before a request line or in it.
    #[default]
    Line,
    /// In the header lines.
    Fields,
    /// Behind a head with a body, or with an upgrade.
    Unknown,
}

/// Goes along with the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Targets {
    place: Place,
    /// The first bytes of the line: of a request line only whether there are any.
    line: Vec<u8>,
    announces_body: bool,
}

impl Targets {
    /// The next bytes of the connection with their targets encoded; None where nothing is to be changed.
    pub(super) fn encoded(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        for (at, &byte) in bytes.iter().enumerate() {
            if matches!(self.place, Place::Line) && ENCODED.contains(&byte) {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble)];
                out.get_or_insert_with(|| bytes[..at].to_vec()).extend([
                    b'%',
                    digit(byte >> 4),
                    digit(byte & 15),
                ]);
            } else if let Some(out) = &mut out {
                out.push(byte);
            }
            self.pass(byte);
        }
        out
    }

    fn pass(&mut self, byte: u8) {
        match (&self.place, byte) {
            (Place::Unknown, _) => {}
            (Place::Line, b'\n') => {
                // Empty lines may stand before a request.
                if !self.line.is_empty() {
                    self.place = Place::Fields;
                }
                self.line.clear();
            }
            (Place::Fields, b'\n') => self.end_field(),
            (_, b'\r') => {}
            _ if self.line.len() < FIELD_START => self.line.push(byte.to_ascii_lowercase()),
            _ => {}
        }
    }

    fn end_field(&mut self) {
        if !self.line.is_empty() {
            let (name, value) = match self.line.iter().position(|&byte| byte == b':') {
                Some(colon) => (&self.line[..colon], self.line[colon + 1..].trim_ascii()),
                None => (&self.line[..], &[][..]),
            };
            // Behind an upgrade comes another protocol.
            self.announces_body |= name == b"transfer-encoding"
                || name == b"upgrade"
                || (name == b"content-length" && value != b"0");
            self.line.clear();
        } else if self.announces_body {
            self.place = Place::Unknown;
        } else {
            self.place = Place::Line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        Targets::default()
            .encoded(bytes)
            .unwrap_or_else(|| bytes.to_vec())
    }

    #[test]
    fn quotes_in_request_lines_are_encoded_and_nothing_else() {
        let sent = b"\r\nGET /a?s=[\"A\",\"B\"] HTTP/1.1\r\nHost: \"x\"\r\n\r\nGET /\"<> HTTP/1.1\r\nContent-Length: 0\r\n\r\nHEAD /\" HTTP/1.1\n\n";
        let given = b"\r\nGET /a?s=[%22A%22,%22B%22] HTTP/1.1\r\nHost: \"x\"\r\n\r\nGET /%22%3C%3E HTTP/1.1\r\nContent-Length: 0\r\n\r\nHEAD /%22 HTTP/1.1\n\n";
        assert_eq!(encoded(sent), given);
        assert_eq!(
            Targets::default().encoded(b"GET / HTTP/1.1\r\nA: \"\r\n\r\n"),
            None
        );
        for body in [
            "GET / HTTP/1.1\r\ncontent-LENGTH : 0\r\nContent-Length: 3\r\n\r\n\"\n\"",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\"\n\"",
        ] {
            assert_eq!(Targets::default().encoded(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_how_the_bytes_come(
            pieces in proptest::collection::vec("(GET|\"|<|/|:|content-length|[ 0-9]|\r\n|\n|\r\n\r\n){0,6}", 0..20),
        ) {
            let whole = pieces.concat().into_bytes();
            let mut targets = Targets::default();
            let mut given = Vec::new();
            for piece in &pieces {
                let bytes = piece.as_bytes();
                match targets.encoded(bytes) {
                    Some(changed) => {
                        prop_assert!(changed.len() > bytes.len());
                        given.extend(changed);
                    }
                    None => given.extend(bytes),
                }
            }
            prop_assert_eq!(&given, &encoded(&whole));
            // What was encoded once stays as it is.
            prop_assert_eq!(encoded(&given), given);
        }
    }
}
