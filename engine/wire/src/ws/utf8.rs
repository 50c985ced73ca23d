//! UTF-8 checked as it arrives: text that can no longer become valid is refused at its first wrong byte, not at its end.

use super::error::WsError;

/// How many bytes at the start of `bytes` are whole characters. What follows them, three bytes at most, is the valid
/// beginning of one more, to be checked again when the rest of it has come.
///
/// `bytes` must start at a character's first byte. A byte that cannot stand where it stands (RFC 3629 section 4:
/// overlong forms, surrogates, beyond U+10FFFF) is [`WsError::InvalidUtf8`], even when its character is not complete.
pub(super) fn whole_characters_len(bytes: &[u8]) -> Result<usize, WsError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(WsError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_whole_characters() {
        for (bytes, len) in [
            (&b""[..], 0),
            (b"abc", 3),
            ("κόσμε".as_bytes(), "κόσμε".len()),
            (b"a\xce", 1),
            (b"\xe2\x82", 0),
            (b"ab\xf0\x9f\x98", 2),
            ("\u{10ffff}\u{d7ff}\u{e000}\0".as_bytes(), 11),
        ] {
            assert_eq!(whole_characters_len(bytes), Ok(len), "{bytes:x?}");
        }
    }

    #[test]
    fn refuses_at_the_first_wrong_byte() {
        // Each is wrong at its last byte, and none is a complete character.
        for bytes in [
            &b"\x80"[..],     // a continuation byte alone
            b"\xc0",          // overlong form of one byte
            b"\xc1",          //
            b"\xe0\x9f",      // overlong form of two bytes
            b"\xf0\x8f",      // overlong form of three bytes
            b"\xed\xa0",      // surrogate U+D800
            b"\xed\xbf",      // surrogate U+DFFF
            b"\xf4\x90",      // beyond U+10FFFF
            b"\xf5",          // beyond U+10FFFF
            b"\xff",          //
            b"\xce\x41",      // not continued
            b"\xe2\x82\x41",  // not continued
            b"\xf0\x9f\x98A", // not continued
        ] {
            assert_eq!(
                whole_characters_len(bytes),
                Err(WsError::InvalidUtf8),
                "{bytes:x?}"
            );
            let before = &bytes[..bytes.len() - 1];
            assert_eq!(whole_characters_len(before), Ok(0), "{before:x?}");
        }
    }
}
