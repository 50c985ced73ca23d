//! Autobahn sections 9.1 to 9.6 and 10.1: messages of up to 16 MiB, whole and in pieces, and the limit.

use crate::common::raw::opcode::{BINARY, CONTINUATION, TEXT};
use crate::common::raw::{close, fragment, fragments, frame};
use crate::echo::Got::{Close, Text};
use crate::echo::{Echo, case, long_text, message, payload_of, some_bytes};
use depthcast::session::ECHO_MESSAGE_BYTES_MAX;

/// Autobahn sections 9.1 and 9.2.
#[test]
fn big_messages() {
    const KIB: usize = 1024;
    let echo = Echo::start();
    for opcode in [TEXT, BINARY] {
        for kib in [64, 256, 1024, 4096, 8192, 16_384] {
            let payload = payload_of(opcode, kib * KIB);
            let sent = [frame(opcode, &payload), close(1000, b"")].concat();
            let got = echo.outcome(|client| client.try_send(&sent));
            assert!(
                got == [message(opcode, payload), Close(Some(1000))],
                "opcode {opcode}, {kib} KiB"
            );
        }
    }
}

/// Autobahn sections 9.3 to 9.6: one message in fragments, and in segments, of all sizes.
#[test]
fn big_messages_in_pieces() {
    const MIB: usize = 1 << 20;
    let echo = Echo::start();
    for opcode in [TEXT, BINARY] {
        let payload = payload_of(opcode, 4 * MIB);
        for size in [64, 256, 1024, 4096, 65_536, MIB] {
            let sent = [fragments(opcode, &payload, size), close(1000, b"")].concat();
            let got = echo.outcome(|client| client.try_send(&sent));
            assert!(
                got == [message(opcode, payload.clone()), Close(Some(1000))],
                "opcode {opcode}, fragments of {size}"
            );
        }
        let payload = payload_of(opcode, MIB);
        let sent = [frame(opcode, &payload), close(1000, b"")].concat();
        for size in [64, 128, 256, 512, 1024, 2048] {
            let got = echo.outcome(|client| client.try_send_chopped(&sent, size));
            assert!(
                got == [message(opcode, payload.clone()), Close(Some(1000))],
                "opcode {opcode}, segments of {size}"
            );
        }
    }
}

/// Autobahn section 10.1.
#[test]
fn fragments_of_1300() {
    let payload = long_text(65_536);
    Echo::start().check(vec![case(
        "65536 bytes in fragments of 1300",
        vec![fragments(TEXT, &payload, 1300)],
        vec![Text(payload)],
    )]);
}

#[test]
fn a_message_over_the_limit_is_refused() {
    let too_long = ECHO_MESSAGE_BYTES_MAX + 1;
    let echo = Echo::start();

    // Known from the header alone: nothing of it needs to come.
    let mut client = echo.open();
    let mut header = vec![0x80 | BINARY, 0x80 | 127];
    header.extend((too_long as u64).to_be_bytes());
    header.extend([0; 4]);
    client.send(&header);
    let (code, reason) = client.closed();
    assert_eq!(code, 1009);
    assert!(reason.contains(&ECHO_MESSAGE_BYTES_MAX.to_string()), "{reason}");

    // The same for a message whose fragments come to too much together.
    let mut client = echo.open();
    client.send(&fragment(BINARY, &some_bytes(ECHO_MESSAGE_BYTES_MAX)));
    client.send(&frame(CONTINUATION, b"x"));
    assert_eq!(client.closed().0, 1009);

    // Lengths that no memory holds, and one that no length may be.
    for (len, code) in [(i64::MAX as u64, 1009), (1 << 63, 1002), (u64::MAX, 1002)] {
        let mut client = echo.open();
        let mut header = vec![0x80 | BINARY, 0x80 | 127];
        header.extend(len.to_be_bytes());
        header.extend([0; 4]);
        client.send(&header);
        assert_eq!(client.closed().0, code, "{len}");
    }
}
