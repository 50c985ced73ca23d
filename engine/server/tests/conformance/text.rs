//! Autobahn section 6: text is UTF-8, and what is not is refused as soon as it shows.

use std::time::Duration;

use crate::common::raw::opcode::{BINARY, CONTINUATION, PING, PONG, TEXT};
use crate::common::raw::{fragment, fragments, frame};
use crate::echo::Got::Binary;
use crate::echo::{Echo, INVALID_PAYLOAD, case, text};

/// Characters of every length, and the last and first of each range.
const VALID: [&str; 16] = [
    "",
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1fffe}",
    "\u{10ffff}",
    "日本語 𝄞 🦀",
];

/// Bytes of which the last cannot stand where it stands, though all before it could.
const WRONG_AT_THE_LAST: [&[u8]; 27] = [
    b"\x80",             // a continuation byte alone
    b"\xbf",             //
    b"\xce\xba\x80",     // one too many
    b"\xc0",             // overlong forms of one byte
    b"\xc1",             //
    b"\xe0\x80",         // of two bytes
    b"\xe0\x9f",         //
    b"\xf0\x80",         // of three bytes
    b"\xf0\x8f",         //
    b"\xed\xa0",         // surrogates: U+D800
    b"\xed\xad",         // U+DB7F
    b"\xed\xb0",         // U+DC00
    b"\xed\xbf",         // U+DFFF
    b"\xf4\x90",         // beyond U+10FFFF
    b"\xf5",             //
    b"\xf7",             // the largest of four bytes
    b"\xf8",             // forms of five bytes
    b"\xfb",             //
    b"\xfc",             // and of six
    b"\xfd",             //
    b"\xfe",             // never
    b"\xff",             //
    b"\xc3\x28",         // a lead byte that is not continued
    b"\xe2\x82\x28",     //
    b"\xf0\x9f\xa6\x28", //
    b"\xe2\x28",         //
    b"\xc3\xc3",         //
];

/// Beginnings of characters: valid while the message goes on, invalid as its end.
const CUT_OFF: [&[u8]; 6] = [
    b"\xc3",
    b"\xe2",
    b"\xe2\x82",
    b"\xf0",
    b"\xf0\x9f",
    b"\xf4\x8f\xbf",
];

/// Autobahn section 6.
#[test]
fn text_is_utf8() {
    let echo = Echo::start();
    for valid in VALID {
        let bytes = valid.as_bytes();
        let mut cases = vec![case(
            format!("{valid:?}"),
            vec![frame(TEXT, bytes)],
            vec![text(bytes)],
        )];
        for size in [1, 2, 3] {
            if !bytes.is_empty() {
                let send = vec![fragments(TEXT, bytes, size)];
                cases.push(case(
                    format!("{valid:?} in fragments of {size}"),
                    send,
                    vec![text(bytes)],
                ));
            }
        }
        echo.check(cases);
    }
    for wrong in WRONG_AT_THE_LAST {
        let message = [b"ab\xce\xba", wrong, b"cd"].concat();
        echo.check(vec![
            case(
                format!("{wrong:x?}"),
                vec![frame(TEXT, wrong)],
                vec![INVALID_PAYLOAD],
            ),
            case(
                format!("{wrong:x?} within"),
                vec![frame(TEXT, &message)],
                vec![INVALID_PAYLOAD],
            ),
            case(
                format!("{wrong:x?} in fragments"),
                vec![fragments(TEXT, &message, 1)],
                vec![INVALID_PAYLOAD],
            ),
            // Binary may be anything.
            case(
                format!("{wrong:x?} as binary"),
                vec![frame(BINARY, wrong)],
                vec![Binary(wrong.to_vec())],
            ),
        ]);
    }
    for start in CUT_OFF {
        echo.check(vec![
            case(
                format!("{start:x?} cut off"),
                vec![frame(TEXT, start)],
                vec![INVALID_PAYLOAD],
            ),
            case(
                format!("{start:x?} cut off in the last fragment"),
                vec![fragment(TEXT, start), frame(CONTINUATION, b"")],
                vec![INVALID_PAYLOAD],
            ),
        ]);
    }
}

/// Autobahn section 6.4: invalid text is refused when it becomes so, not when its message ends.
#[test]
fn invalid_text_fails_in_the_middle_of_its_message() {
    let echo = Echo::start();
    for wrong in WRONG_AT_THE_LAST {
        let (last, before) = wrong.split_last().unwrap();

        let mut client = echo.open();
        client.send(
            &[
                fragment(TEXT, b"valid "),
                fragment(CONTINUATION, before),
                frame(PING, b""),
            ]
            .concat(),
        );
        assert_eq!(client.frame().unwrap().opcode, PONG, "{wrong:x?}: valid so far");
        client.send(&fragment(CONTINUATION, &[*last]));
        assert_eq!(client.closed().0, 1007, "{wrong:x?} between fragments");

        // The same in the middle of a frame that promises more.
        let mut client = echo.open();
        let whole = frame(TEXT, &[b"valid ", wrong, &[b'x'; 100]].concat());
        client.send(&whole[..whole.len() - 101]);
        std::thread::sleep(Duration::from_millis(2));
        client.send(&whole[whole.len() - 101..whole.len() - 100]);
        assert_eq!(client.closed().0, 1007, "{wrong:x?} within a frame");
    }
}
