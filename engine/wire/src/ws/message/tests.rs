//! The rules of RFC 6455 for messages, one by one, and the examples of its section 5.7.

use super::*;
use crate::ws::{CloseCode, frame_header, server_frame, write_close, write_frame};

const BYTES_MAX: usize = 1 << 20;

/// [`Incoming`] with its bytes owned, to be kept while reading on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Incoming<'_>> for Event {
    fn from(incoming: Incoming<'_>) -> Event {
        match incoming {
            Incoming::Text(text) => Event::Text(text.into()),
            Incoming::Binary(bytes) => Event::Binary(bytes.into()),
            Incoming::Ping(bytes) => Event::Ping(bytes.into()),
            Incoming::Pong(bytes) => Event::Pong(bytes.into()),
            Incoming::Close(close) => Event::Close(close.map(|close| (close.code, close.reason.into()))),
        }
    }
}

/// Reads `input` to its end or the first fault.
pub(super) fn read(
    reader: &mut MessageReader,
    mut input: &[u8],
    events: &mut Vec<Event>,
) -> Result<(), WsError> {
    while let Some(incoming) = reader.next(&mut input)? {
        events.push(incoming.into());
    }
    assert!(input.is_empty(), "what is not read yet must be taken");
    Ok(())
}

fn read_one(role: Role, input: &[u8]) -> Result<Vec<Event>, WsError> {
    let mut events = Vec::new();
    read(&mut MessageReader::new(role, BYTES_MAX), input, &mut events)?;
    Ok(events)
}

/// Feeds `input` byte by byte: the index of the byte at which the fault shows, and the fault.
fn fault_of(role: Role, input: &[u8]) -> Option<(usize, WsError)> {
    let mut reader = MessageReader::new(role, BYTES_MAX);
    let mut events = Vec::new();
    input.chunks(1).enumerate().find_map(|(index, byte)| {
        let fault = read(&mut reader, byte, &mut events).err()?;
        Some((index, fault))
    })
}

fn text(text: &str) -> Event {
    Event::Text(text.into())
}

/// A frame as a server sends it.
fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    [frame_header(opcode, fin, payload.len(), None).as_slice(), payload].concat()
}

#[test]
fn reads_the_examples_of_the_rfc() {
    // Section 5.7.
    assert_eq!(read_one(Role::Client, b"\x81\x05Hello"), Ok(vec![text("Hello")]));
    assert_eq!(
        read_one(Role::Server, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        Ok(vec![text("Hello")])
    );
    assert_eq!(
        read_one(Role::Client, b"\x01\x03Hel\x80\x02lo"),
        Ok(vec![text("Hello")])
    );
    assert_eq!(
        read_one(Role::Client, b"\x89\x05Hello"),
        Ok(vec![Event::Ping(b"Hello".into())])
    );
    assert_eq!(
        read_one(Role::Server, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        Ok(vec![Event::Pong(b"Hello".into())])
    );
    for (header, payload_len) in [
        (&b"\x82\x7e\x01\x00"[..], 256),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65536),
    ] {
        let payload = vec![0xa5; payload_len];
        let input = [header, &payload].concat();
        assert_eq!(read_one(Role::Client, &input), Ok(vec![Event::Binary(payload)]));
    }
}

#[test]
fn messages_follow_each_other_in_one_input() {
    let input = [
        server_frame(Opcode::Text, b"a"),
        server_frame(Opcode::Binary, b""),
        server_frame(Opcode::Ping, b""),
        frame(Opcode::Text, false, b""),
        server_frame(Opcode::Pong, b"pong"),
        frame(Opcode::Continuation, false, "é".as_bytes().split_at(1).0),
        server_frame(Opcode::Ping, b"ping"),
        frame(Opcode::Continuation, true, "é".as_bytes().split_at(1).1),
        frame(Opcode::Binary, false, b""),
        frame(Opcode::Continuation, true, b"whole"),
        server_frame(Opcode::Text, b""),
    ]
    .concat();
    let expected = vec![
        text("a"),
        Event::Binary(vec![]),
        Event::Ping(vec![]),
        Event::Pong(b"pong".into()),
        Event::Ping(b"ping".into()),
        text("é"),
        Event::Binary(b"whole".into()),
        text(""),
    ];
    assert_eq!(read_one(Role::Client, &input), Ok(expected));
}

#[test]
fn fragments_keep_their_order() {
    let continuation_alone = frame(Opcode::Continuation, true, b"x");
    assert_eq!(
        read_one(Role::Client, &continuation_alone),
        Err(WsError::ContinuationUnexpected)
    );

    let after_the_end = [
        frame(Opcode::Text, false, b"a"),
        frame(Opcode::Continuation, true, b"b"),
        continuation_alone,
    ]
    .concat();
    assert_eq!(
        read_one(Role::Client, &after_the_end),
        Err(WsError::ContinuationUnexpected)
    );

    for opcode in [Opcode::Text, Opcode::Binary] {
        for fin in [false, true] {
            let interrupted = [frame(Opcode::Text, false, b"a"), frame(opcode, fin, b"b")].concat();
            assert_eq!(
                read_one(Role::Client, &interrupted),
                Err(WsError::MessageInterrupted)
            );
        }
    }
}

#[test]
fn masks_are_for_clients_only() {
    let mut masked = Vec::new();
    write_frame(&mut masked, Opcode::Text, b"Hello", Some([1, 2, 3, 4]));
    let unmasked = server_frame(Opcode::Text, b"Hello");
    assert_eq!(read_one(Role::Server, &masked), Ok(vec![text("Hello")]));
    assert_eq!(read_one(Role::Client, &unmasked), Ok(vec![text("Hello")]));
    assert_eq!(read_one(Role::Server, &unmasked), Err(WsError::MaskMissing));
    assert_eq!(read_one(Role::Client, &masked), Err(WsError::MaskUnexpected));
}

#[test]
fn nothing_follows_a_close() {
    for (payload, close) in [
        (&b""[..], None),
        (b"\x03\xe8", Some((1000, ""))),
        (b"\x0f\xa0bye", Some((4000, "bye"))),
    ] {
        let mut reader = MessageReader::new(Role::Client, BYTES_MAX);
        let mut events = Vec::new();
        let input = [
            server_frame(Opcode::Close, payload),
            server_frame(Opcode::Text, b"late"),
        ]
        .concat();
        assert_eq!(read(&mut reader, &input, &mut events), Err(WsError::Closed));
        assert_eq!(
            events,
            [Event::Close(close.map(|(code, reason)| (code, reason.into())))]
        );
        assert!(!reader.is_idle());
        assert_eq!(reader.next(&mut &b""[..]), Err(WsError::Closed));
    }
}

#[test]
fn closes_are_checked() {
    for (payload, fault) in [
        (&b"\x03"[..], WsError::ClosePayload),
        (b"\x03\xe7", WsError::CloseCodeInvalid(999)),
        (b"\x03\xec", WsError::CloseCodeInvalid(1004)),
        (b"\x03\xed", WsError::CloseCodeInvalid(1005)),
        (b"\x03\xee", WsError::CloseCodeInvalid(1006)),
        (b"\x03\xf7", WsError::CloseCodeInvalid(1015)),
        (b"\x0b\xb7", WsError::CloseCodeInvalid(2999)),
        (b"\x13\x88", WsError::CloseCodeInvalid(5000)),
        (b"\x03\xe8\xff", WsError::InvalidUtf8),
        (b"\x03\xe8\xe2\x82", WsError::InvalidUtf8),
    ] {
        assert_eq!(
            read_one(Role::Client, &server_frame(Opcode::Close, payload)),
            Err(fault)
        );
    }
}

#[test]
fn a_close_is_read_back_masked() {
    let mut input = Vec::new();
    write_close(
        &mut input,
        CloseCode::TRY_AGAIN_LATER,
        "später",
        Some([9, 8, 7, 6]),
    );
    let close = Close {
        code: 1013,
        reason: "später",
    };
    let mut reader = MessageReader::new(Role::Server, BYTES_MAX);
    assert_eq!(
        reader.next(&mut &input[..]),
        Ok(Some(Incoming::Close(Some(close))))
    );
}

#[test]
fn a_fault_stays() {
    let mut reader = MessageReader::new(Role::Client, BYTES_MAX);
    assert_eq!(reader.next(&mut &b"\xff"[..]), Err(WsError::ReservedBits));
    assert_eq!(reader.next(&mut &b"\x81\x00"[..]), Err(WsError::ReservedBits));
    assert!(!reader.is_idle());
    // Found in decoding, after the frame was complete.
    let mut reader = MessageReader::new(Role::Client, BYTES_MAX);
    assert_eq!(reader.next(&mut &b"\x81\x01\xff"[..]), Err(WsError::InvalidUtf8));
    assert_eq!(reader.next(&mut &b"\x81\x00"[..]), Err(WsError::InvalidUtf8));
}

/// Cases as in the UTF-8 sections of the Autobahn test suite: a valid beginning, then the byte that spoils it.
#[test]
fn text_fails_at_its_first_wrong_byte() {
    let good = "κόσμε";
    let spoilers: [&[u8]; 9] = [
        b"\x80",
        b"\xc0",
        b"\xed\xa0",
        b"\xf4\x90",
        b"\xf5",
        b"\xfe",
        b"\xe0\x80",
        b"\xf0\x80",
        b"\xce\xce",
    ];
    for spoiler in spoilers {
        let payload = [good.as_bytes(), spoiler, b"edited"].concat();
        let spoilt_at = good.len() + spoiler.len() - 1;

        // In one frame that has not fully arrived.
        let input = frame(Opcode::Text, true, &payload);
        assert_eq!(
            fault_of(Role::Client, &input),
            Some((2 + spoilt_at, WsError::InvalidUtf8))
        );

        // The same, masked.
        let mut input = Vec::new();
        write_frame(&mut input, Opcode::Text, &payload, Some([0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(
            fault_of(Role::Server, &input),
            Some((6 + spoilt_at, WsError::InvalidUtf8))
        );

        // One byte a fragment, a ping after each.
        let mut input = Vec::new();
        for (index, byte) in payload.iter().enumerate() {
            let opcode = if index == 0 {
                Opcode::Text
            } else {
                Opcode::Continuation
            };
            input.extend(frame(opcode, false, &[*byte]));
            input.extend(server_frame(Opcode::Ping, &[]));
        }
        let fragment_len = 5;
        assert_eq!(
            fault_of(Role::Client, &input),
            Some((fragment_len * spoilt_at + 2, WsError::InvalidUtf8))
        );
    }
}

#[test]
fn text_must_end_with_a_whole_character() {
    for cut in ["é", "€", "😀"].map(|text| &text.as_bytes()[..text.len() - 1]) {
        let whole = server_frame(Opcode::Text, cut);
        assert_eq!(read_one(Role::Client, &whole), Err(WsError::InvalidUtf8));
        assert_eq!(
            fault_of(Role::Client, &whole),
            Some((whole.len() - 1, WsError::InvalidUtf8))
        );
        let fragmented = [
            frame(Opcode::Text, false, cut),
            frame(Opcode::Continuation, true, b""),
        ]
        .concat();
        assert_eq!(read_one(Role::Client, &fragmented), Err(WsError::InvalidUtf8));
    }
    // Binary data is never looked into.
    let binary = server_frame(Opcode::Binary, b"\xff\xc0");
    assert_eq!(
        read_one(Role::Client, &binary),
        Ok(vec![Event::Binary(b"\xff\xc0".into())])
    );
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let too_big = Err(WsError::MessageTooBig { bytes_max: 10 });
    let mut reader = MessageReader::new(Role::Client, 10);
    assert_eq!(reader.next(&mut &b"\x82\x0b"[..]), too_big);

    for header in [
        &b"\x82\x7e\xff\xff"[..],
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(
            MessageReader::new(Role::Client, 10).next(&mut &header[..]),
            too_big
        );
    }

    // Fragments count together, control frames do not count.
    let mut reader = MessageReader::new(Role::Client, 10);
    let mut events = Vec::new();
    let fitting = [
        frame(Opcode::Binary, false, b"12345"),
        server_frame(Opcode::Ping, &[0; 125]),
        frame(Opcode::Continuation, true, b"67890"),
    ]
    .concat();
    assert_eq!(read(&mut reader, &fitting, &mut events), Ok(()));
    assert_eq!(events[1], Event::Binary(b"1234567890".into()));
    assert_eq!(reader.next(&mut &b"\x02\x0512345\x80\x06"[..]), too_big);
}

#[test]
fn a_whole_frame_of_a_server_is_borrowed_from_the_input() {
    let input = [
        server_frame(Opcode::Text, b"one"),
        server_frame(Opcode::Binary, b"two"),
    ]
    .concat();
    let mut reader = MessageReader::new(Role::Client, BYTES_MAX);
    let mut rest = &input[..];
    let Ok(Some(Incoming::Text(one))) = reader.next(&mut rest) else {
        panic!("a text")
    };
    assert_eq!(one.as_ptr(), input[2..].as_ptr());
    let Ok(Some(Incoming::Binary(two))) = reader.next(&mut rest) else {
        panic!("binary data")
    };
    assert_eq!(two.as_ptr(), input[7..].as_ptr());
    assert_eq!(reader.buffer.capacity(), 0);

    // Between fragments too.
    assert_eq!(reader.next(&mut &b"\x01\x03Hel"[..]), Ok(None));
    let ping = b"\x89\x04ping";
    let Ok(Some(Incoming::Ping(payload))) = reader.next(&mut &ping[..]) else {
        panic!("a ping")
    };
    assert_eq!(payload.as_ptr(), ping[2..].as_ptr());
    assert_eq!(
        reader.next(&mut &b"\x80\x02lo"[..]),
        Ok(Some(Incoming::Text("Hello")))
    );
}

#[test]
fn an_announced_length_reserves_nothing() {
    let mut reader = MessageReader::new(Role::Client, usize::MAX);
    // 2^62 bytes announced, five sent.
    let mut input = &b"\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00Hello"[..];
    assert_eq!(reader.next(&mut input), Ok(None));
    assert!(reader.buffer.capacity() <= 16);
}

#[test]
fn idle_means_that_nothing_is_held() {
    let mut reader = MessageReader::new(Role::Client, BYTES_MAX);
    assert!(reader.is_idle());
    for (byte, idle) in b"\x01\x01a\x89\x01p\x80\x01b".iter().zip([
        false, false, false, // first fragment: a message is under way from its first byte
        false, false, false, // a ping inside it
        false, false, true, // its end
    ]) {
        let _ = reader.next(&mut &[*byte][..]).unwrap();
        assert_eq!(reader.is_idle(), idle);
    }
}
