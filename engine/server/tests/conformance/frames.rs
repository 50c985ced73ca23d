//! Autobahn sections 1 to 5: lengths, control frames, reserved bits and opcodes, fragments.

use std::time::Duration;

use crate::common::raw::opcode::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use crate::common::raw::{close, fragment, frame, header_and_payload};
use crate::echo::Got::{Binary, Close, Pong};
use crate::echo::{Case, Echo, PROTOCOL_ERROR, case, message, payload_of, pong, some_bytes, text};

/// Autobahn section 1: every way to write a length.
#[test]
fn framing() {
    let echo = Echo::start();
    for opcode in [TEXT, BINARY] {
        for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
            let payload = payload_of(opcode, len);
            echo.check(vec![case(
                format!("opcode {opcode}, {len} bytes"),
                vec![frame(opcode, &payload)],
                vec![message(opcode, payload)],
            )]);
        }
        let payload = payload_of(opcode, 65_536);
        let chopped = echo.outcome(|client| {
            client.try_send_chopped(&frame(opcode, &payload), 997)?;
            client.try_send(&close(1000, b""))
        });
        assert_eq!(chopped, [message(opcode, payload), Close(Some(1000))]);
    }
}

/// Autobahn section 2.
#[test]
fn pings_and_pongs() {
    let echo = Echo::start();
    let ten: Vec<Vec<u8>> = (0..10).map(|n| format!("payload-{n}").into_bytes()).collect();
    let mut cases: Vec<Case> = [0, 1, 5, 124, 125]
        .map(|len| {
            let payload = some_bytes(len);
            case(
                format!("ping of {len}"),
                vec![frame(PING, &payload)],
                vec![Pong(payload)],
            )
        })
        .into();
    cases.extend([
        case(
            "ping of what is no text",
            vec![frame(PING, b"\x00\xff\xfe\xfd")],
            vec![pong(b"\x00\xff\xfe\xfd")],
        ),
        case(
            "ping of 126",
            vec![frame(PING, &[0; 126]), frame(PING, b"no")],
            vec![PROTOCOL_ERROR],
        ),
        case("pong of 126", vec![frame(PONG, &[0; 126])], vec![PROTOCOL_ERROR]),
        case("unsolicited pong", vec![frame(PONG, b"")], vec![]),
        case("unsolicited pong of 125", vec![frame(PONG, &[7; 125])], vec![]),
        case(
            "unsolicited pong, then ping",
            vec![frame(PONG, b"a"), frame(PING, b"b")],
            vec![pong(b"b")],
        ),
        case(
            "ten pings",
            ten.iter().map(|payload| frame(PING, payload)).collect(),
            ten.iter().map(|payload| pong(payload)).collect(),
        ),
        case(
            "fragmented ping",
            vec![fragment(PING, b"a"), frame(CONTINUATION, b"b")],
            vec![PROTOCOL_ERROR],
        ),
        case("fragmented pong", vec![fragment(PONG, b"")], vec![PROTOCOL_ERROR]),
    ]);
    echo.check(cases);
}

/// Autobahn section 3: RSV1 to RSV3 without an extension.
#[test]
fn reserved_bits() {
    let echo = Echo::start();
    for reserved in 1..=7u8 {
        let bits = reserved << 4;
        for opcode in [TEXT, BINARY, PING, PONG] {
            let bad = header_and_payload(0x80 | bits | opcode, b"bad");
            echo.check(vec![
                case(
                    format!("bits {reserved:03b}, opcode {opcode}, first"),
                    vec![bad.clone()],
                    vec![PROTOCOL_ERROR],
                ),
                case(
                    format!("bits {reserved:03b}, opcode {opcode}, after a message, before a ping"),
                    vec![frame(TEXT, b"good"), bad, frame(PING, b"")],
                    vec![text(b"good"), PROTOCOL_ERROR],
                ),
            ]);
        }
        echo.check(vec![
            case(
                format!("bits {reserved:03b} in a close"),
                vec![header_and_payload(0x80 | bits | CLOSE, b"\x03\xe8")],
                vec![PROTOCOL_ERROR],
            ),
            case(
                format!("bits {reserved:03b} in a continuation"),
                vec![fragment(TEXT, b"a"), header_and_payload(0x80 | bits, b"b")],
                vec![PROTOCOL_ERROR],
            ),
        ]);
    }
}

/// Autobahn section 4.
#[test]
fn reserved_opcodes() {
    let echo = Echo::start();
    for opcode in (3..=7).chain(11..=15) {
        for payload in [&b""[..], b"payload"] {
            let bad = frame(opcode, payload);
            echo.check(vec![
                case(
                    format!("opcode {opcode}, first"),
                    vec![bad.clone()],
                    vec![PROTOCOL_ERROR],
                ),
                case(
                    format!("opcode {opcode}, after a message, before a ping"),
                    vec![frame(TEXT, b"good"), bad.clone(), frame(PING, b"")],
                    vec![text(b"good"), PROTOCOL_ERROR],
                ),
                case(
                    format!("opcode {opcode}, in the middle of a message"),
                    vec![fragment(TEXT, b"a"), bad, frame(CONTINUATION, b"b")],
                    vec![PROTOCOL_ERROR],
                ),
            ]);
        }
    }
}

/// Autobahn section 5.
#[test]
fn fragmentation() {
    let a_and_b = || vec![fragment(TEXT, b"fragment1"), frame(CONTINUATION, b"fragment2")];
    let both = || text(b"fragment1fragment2");
    let cases = vec![
        case("two fragments", a_and_b(), vec![both()]),
        case(
            "a ping between",
            vec![
                fragment(TEXT, b"fragment1"),
                frame(PING, b"ping"),
                frame(CONTINUATION, b"fragment2"),
            ],
            vec![pong(b"ping"), both()],
        ),
        case(
            "a pong between",
            vec![
                fragment(TEXT, b"fragment1"),
                frame(PONG, b"pong"),
                frame(CONTINUATION, b"fragment2"),
            ],
            vec![both()],
        ),
        case(
            "pings between five fragments",
            vec![
                fragment(TEXT, b"f1"),
                fragment(CONTINUATION, b"f2"),
                frame(PING, b"p1"),
                fragment(CONTINUATION, b"f3"),
                fragment(CONTINUATION, b"f4"),
                frame(PING, b"p2"),
                frame(CONTINUATION, b"f5"),
            ],
            vec![pong(b"p1"), pong(b"p2"), text(b"f1f2f3f4f5")],
        ),
        case(
            "empty fragments",
            vec![
                fragment(TEXT, b""),
                fragment(CONTINUATION, b""),
                frame(CONTINUATION, b""),
            ],
            vec![text(b"")],
        ),
        case(
            "an empty fragment first and last",
            vec![
                fragment(TEXT, b""),
                fragment(CONTINUATION, b"middle"),
                frame(CONTINUATION, b""),
            ],
            vec![text(b"middle")],
        ),
        case(
            "a continuation of nothing, final",
            vec![frame(CONTINUATION, b"non-continuation"), frame(TEXT, b"after")],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a continuation of nothing, not final",
            vec![fragment(CONTINUATION, b"non-continuation"), frame(TEXT, b"after")],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a continuation after the message ended",
            [a_and_b(), vec![fragment(CONTINUATION, b"f3"), frame(TEXT, b"f4")]].concat(),
            vec![both(), PROTOCOL_ERROR],
        ),
        case(
            "a continuation after a message in one frame",
            vec![frame(TEXT, b"one"), frame(CONTINUATION, b"two")],
            vec![text(b"one"), PROTOCOL_ERROR],
        ),
        case(
            "a message within a message",
            vec![fragment(TEXT, b"fragment1"), frame(TEXT, b"fragment2")],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a binary message within a text",
            vec![
                fragment(TEXT, b"fragment1"),
                fragment(BINARY, b"fragment2"),
                frame(CONTINUATION, b""),
            ],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "two messages of two fragments",
            [
                a_and_b(),
                vec![fragment(BINARY, b"\xff"), frame(CONTINUATION, b"\x00")],
            ]
            .concat(),
            vec![both(), Binary(vec![0xff, 0])],
        ),
        case(
            "a close between",
            vec![
                fragment(TEXT, b"fragment1"),
                close(1000, b""),
                frame(CONTINUATION, b"fragment2"),
            ],
            vec![Close(Some(1000))],
        ),
    ];
    Echo::start().check(cases);
}

/// Autobahn sections 5.19 and 5.20: fragments and pings with time between them.
#[test]
fn fragments_may_take_their_time() {
    let echo = Echo::start();
    let mut client = echo.open();
    let pause = || std::thread::sleep(Duration::from_millis(50));
    client.send(&fragment(TEXT, b"f1"));
    pause();
    // The ping itself in three pieces.
    let ping = frame(PING, b"in the middle");
    client.send(&ping[..1]);
    pause();
    client.send(&ping[1..9]);
    pause();
    client.send(&ping[9..]);
    assert_eq!(client.frame().unwrap().payload, b"in the middle");
    client.send(&fragment(CONTINUATION, b"f2"));
    pause();
    client.send(&frame(CONTINUATION, b"f3"));
    assert_eq!(client.frame().unwrap().text(), "f1f2f3");
}

#[test]
fn lengths_have_their_shortest_form_and_frames_are_masked() {
    let echo = Echo::start();
    let mask = [0u8; 4];
    let long_form_of_5 = [&[0x81, 0x80 | 126, 0, 5][..], &mask, b"hello"].concat();
    let longest_form_of_5 = [&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 5][..], &mask, b"hello"].concat();
    echo.check(vec![
        case(
            "a length of 5 in two further bytes",
            vec![long_form_of_5],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "a length of 5 in eight further bytes",
            vec![longest_form_of_5],
            vec![PROTOCOL_ERROR],
        ),
        case(
            "an unmasked frame after a message",
            vec![frame(TEXT, b"good"), b"\x81\x05hello".to_vec()],
            vec![text(b"good"), PROTOCOL_ERROR],
        ),
        case(
            "an unmasked close",
            vec![b"\x88\x02\x03\xe8".to_vec()],
            vec![PROTOCOL_ERROR],
        ),
    ]);
}
