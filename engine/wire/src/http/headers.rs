//! The header fields of a head, and the three ways in which a handshake looks at them.

use super::HEADERS_MAX;

/// Header fields in the order in which they came, borrowed from the bytes of the head.
#[derive(Clone, Debug)]
pub struct Headers<'b> {
    /// The first `len` are fields, the rest is empty.
    fields: [httparse::Header<'b>; HEADERS_MAX],
    len: usize,
}

impl<'b> Headers<'b> {
    pub(super) fn empty() -> Headers<'b> {
        Headers {
            fields: [httparse::EMPTY_HEADER; HEADERS_MAX],
            len: 0,
        }
    }

    /// Has `parse` fill the fields; what it gives back comes with how many fields it filled.
    pub(super) fn fill<T>(&mut self, parse: impl FnOnce(&mut [httparse::Header<'b>]) -> (usize, T)) -> T {
        let (len, result) = parse(&mut self.fields);
        self.len = len;
        result
    }

    /// Each field as name (as it was written) and value (no surrounding blanks, not always UTF-8).
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        self.fields[..self.len]
            .iter()
            .map(|field| (field.name, field.value))
    }

    /// The values of all fields named `name`; upper and lower case are the same.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.iter()
            .filter(move |(field_name, _)| field_name.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the first field named `name`.
    pub fn first(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The value of the field named `name` when there is exactly one of it.
    pub fn only(&self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether `token` is in the comma-separated lists of the fields named `name` (RFC 9110 section 5.6.1); upper and
    /// lower case are the same.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> Headers<'static> {
        let mut headers = Headers::empty();
        headers.fill(|fields| {
            for (field, &(name, value)) in fields.iter_mut().zip(pairs) {
                *field = httparse::Header { name, value };
            }
            (pairs.len(), ())
        });
        headers
    }

    #[test]
    fn names_are_looked_up_in_any_case() {
        let headers = headers(&[("Host", b"a"), ("X", b"1"), ("x", b"\xff")]);
        assert_eq!(headers.first("hOST"), Some(&b"a"[..]));
        assert_eq!(headers.only("host"), Some(&b"a"[..]));
        assert_eq!(headers.first("X"), Some(&b"1"[..]));
        assert_eq!(headers.only("X"), None);
        assert_eq!(headers.all("X").count(), 2);
        assert_eq!(headers.first("Y"), None);
        // The unused places have empty names.
        assert_eq!(headers.first(""), None);
    }

    #[test]
    fn tokens_are_whole_items_of_lists() {
        let headers = headers(&[("Connection", b"keep-alive,\tUpgrade ,"), ("Connection", b"TE")]);
        for (token, there) in [
            ("upgrade", true),
            ("keep-alive", true),
            ("te", true),
            ("keep", false),
            ("close", false),
        ] {
            assert_eq!(headers.has_token("connection", token), there, "{token}");
        }
        assert!(!headers.has_token("Upgrade", "websocket"));
    }
}
