//! Autobahn section 7: the closing handshake, and everything else that ends or begins a connection.

use std::time::{Duration, Instant};

use crate::common::raw::opcode::{BINARY, CLOSE, PING, TEXT};
use crate::common::raw::{Raw, close, fragment, frame, upgrade_request};
use crate::echo::Got::{Binary, Close};
use crate::echo::{
    Echo, INVALID_PAYLOAD, PROTOCOL_ERROR, case, long_text, pong, read_to_end, some_bytes, text,
};

/// Autobahn section 7.
#[test]
fn closing() {
    let echo = Echo::start();
    let mut cases = vec![
        case(
            "a message, then a close",
            vec![frame(TEXT, b"m"), close(1000, b"bye")],
            vec![text(b"m"), Close(Some(1000))],
        ),
        case(
            "two closes",
            vec![close(1000, b""), close(1001, b"")],
            vec![Close(Some(1000))],
        ),
        case(
            "close, then ping",
            vec![close(1000, b""), frame(PING, b"")],
            vec![Close(Some(1000))],
        ),
        case(
            "close, then text",
            vec![close(1000, b""), frame(TEXT, b"late")],
            vec![Close(Some(1000))],
        ),
        case(
            "close, then nonsense",
            vec![close(1000, b""), vec![0xff; 64]],
            vec![Close(Some(1000))],
        ),
        case(
            "256 KiB, a close, a ping",
            vec![
                frame(TEXT, &long_text(262_144)),
                close(1000, b""),
                frame(PING, b""),
            ],
            vec![text(&long_text(262_144)), Close(Some(1000))],
        ),
        case("an empty close", vec![frame(CLOSE, b"")], vec![Close(None)]),
        case(
            "a close of one byte",
            vec![frame(CLOSE, b"a")],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a close without reason",
            vec![close(1000, b"")],
            vec![Close(Some(1000))],
        ),
        case(
            "a close with a reason",
            vec![close(1000, "schöne Grüße".as_bytes())],
            vec![Close(Some(1000))],
        ),
        case(
            "a reason of 123 bytes",
            vec![close(1000, &[b'*'; 123])],
            vec![Close(Some(1000))],
        ),
        case(
            "a reason of 124 bytes",
            vec![close(1000, &[b'*'; 124])],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a reason that is no text",
            vec![close(1000, b"\xce\xba\xed\xa0\x80")],
            vec![INVALID_PAYLOAD],
        ),
        case(
            "a reason that is cut off",
            vec![close(1000, b"\xce")],
            vec![INVALID_PAYLOAD],
        ),
        case(
            "a close in fragments",
            vec![fragment(CLOSE, b"\x03\xe8")],
            vec![PROTOCOL_ERROR],
        ),
    ];
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
        let expect = vec![Close(Some(code))];
        cases.push(case(format!("code {code}"), vec![close(code, b"reason")], expect));
    }
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        cases.push(case(
            format!("code {code}"),
            vec![close(code, b"")],
            vec![PROTOCOL_ERROR],
        ));
        cases.push(case(
            format!("code {code} with reason"),
            vec![close(code, b"reason")],
            vec![PROTOCOL_ERROR],
        ));
    }
    echo.check(cases);
}

/// RFC 6455 section 7.1.1: the server ends the TCP connection, first its own direction, and in the end the whole even
/// of a peer that never ends its own.
#[test]
fn the_connection_ends_after_the_close() {
    let echo = Echo::start();
    let mut client = echo.open();
    let closed_at = Instant::now();
    client.send(&close(1000, b""));
    assert_eq!(read_to_end(&mut client), [Close(Some(1000))]);
    assert!(
        closed_at.elapsed() < Duration::from_secs(1),
        "its end of stream comes at once"
    );
    while client.try_send(b"x").is_ok() {
        assert!(
            closed_at.elapsed() < Duration::from_secs(4),
            "the socket is let go"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was said before a fault still counts, however much of it there is.
#[test]
fn replies_before_a_fault_are_delivered() {
    let long = some_bytes(3 << 20);
    let echo = Echo::start();
    let got = echo.outcome(|client| {
        client.try_send(
            &[
                frame(PING, b"1"),
                frame(BINARY, &long),
                frame(PING, b"2"),
                frame(3, b""),
            ]
            .concat(),
        )
    });
    assert!(got == [pong(b"1"), Binary(long), pong(b"2"), PROTOCOL_ERROR]);
}

/// A client that ends its direction behind its last frame gets the answers, and then the end of the stream.
#[test]
fn a_client_that_ends_its_direction_gets_its_answers() {
    let echo = Echo::start();
    let long = some_bytes(3 << 20);

    let mut client = echo.open();
    client.send(&[frame(PING, b"a"), frame(TEXT, b"b"), close(1000, b"")].concat());
    client.end_sending();
    assert_eq!(
        read_to_end(&mut client),
        [pong(b"a"), text(b"b"), Close(Some(1000))]
    );

    let mut client = echo.open();
    client.send(&[frame(BINARY, &long), close(1000, b"")].concat());
    client.end_sending();
    assert!(read_to_end(&mut client) == [Binary(long), Close(Some(1000))]);

    // Without a close there is nobody to say goodbye to.
    let mut client = echo.open();
    client.send(&[frame(PING, b"a"), frame(TEXT, b"b")].concat());
    client.end_sending();
    assert_eq!(read_to_end(&mut client), [pong(b"a"), text(b"b")]);
}

/// A client need not wait for the answer to its request before it sends frames.
#[test]
fn frames_right_behind_the_request_count() {
    let echo = Echo::start();
    let mut client = Raw::connect(echo.address());
    let request = upgrade_request("/echo", "");
    client.send(&[request.as_bytes(), &frame(TEXT, b"early"), &close(1000, b"")].concat());
    assert!(client.http_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(read_to_end(&mut client), [text(b"early"), Close(Some(1000))]);
}
