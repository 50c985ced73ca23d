//! Any cut of a byte stream gives the same, faults are found, and nothing panics.

use depthcast_wire::ws::{Incoming, MessageReader, Role, frame_header, server_frame};
use proptest::prelude::*;

use super::*;

/// Writes down what it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Notes {
    told: Vec<Told>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Data(Vec<u8>),
    Continuation,
    Control(Opcode, Vec<u8>),
    Close(u16),
}

impl Sink for Notes {
    const HEAD_BYTES: usize = HEAD_BYTES_MAX;

    fn data(&mut self, head: &[u8]) {
        self.told.push(Told::Data(head.to_vec()));
    }

    fn continuation(&mut self) {
        self.told.push(Told::Continuation);
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.told.push(Told::Control(opcode, payload.to_vec()));
    }

    fn close(&mut self, code: u16) {
        self.told.push(Told::Close(code));
    }
}

/// What is told of `bytes` in these pieces, and how it ended.
fn scan(pieces: &[&[u8]]) -> (Vec<Told>, Result<(), WsError>) {
    let mut scanner = Scanner::default();
    let mut notes = Notes::default();
    for piece in pieces {
        if let Err(fault) = scanner.scan(piece, &mut notes) {
            return (notes.told, Err(fault));
        }
    }
    (notes.told, Ok(()))
}

/// `bytes` cut at these places, in turn and modulo what is left.
fn cut<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(cut % (rest.len() + 1));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame_header(opcode, fin, payload.len(), None).as_slice().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn frames_of_every_length_are_passed_over_exactly() {
    for payload_len in [0, 1, 19, 20, 21, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..payload_len).map(|n| n as u8).collect();
        let mut bytes = server_frame(Opcode::Binary, &payload);
        bytes.extend(server_frame(Opcode::Text, b"next"));
        let (told, outcome) = scan(&[&bytes]);
        assert_eq!(outcome, Ok(()));
        let head = payload[..payload.len().min(HEAD_BYTES_MAX)].to_vec();
        assert_eq!(told, [Told::Data(head), Told::Data(b"next".to_vec())]);
    }
}

#[test]
fn messages_in_fragments_have_control_frames_between_them() {
    let bytes = [
        frame(Opcode::Text, false, b"a"),
        frame(Opcode::Ping, true, b"are you there"),
        frame(Opcode::Continuation, false, b"b"),
        frame(Opcode::Continuation, true, b""),
        frame(Opcode::Close, true, &[0x03, 0xf0, b'x']),
        b"what follows has no meaning".to_vec(),
    ]
    .concat();
    let (told, outcome) = scan(&[&bytes]);
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        told,
        [
            Told::Data(b"a".to_vec()),
            Told::Control(Opcode::Ping, b"are you there".to_vec()),
            Told::Continuation,
            Told::Continuation,
            Told::Close(1008),
        ]
    );
    let (told, outcome) = scan(&[&[0x88, 0]]);
    assert_eq!((told.as_slice(), outcome), (&[Told::Close(1005)][..], Ok(())));
}

#[test]
fn faults_are_named() {
    use WsError::*;
    for (bytes, fault) in [
        (&b"\xc1"[..], ReservedBits),
        (b"\x83", UnknownOpcode(3)),
        (b"\x8b", UnknownOpcode(0xb)),
        (b"\x09", ControlFragmented),
        (b"\x81\x80", MaskUnexpected),
        (b"\x89\x7e", ControlTooLong),
        (b"\x82\x7e\x00\x7d", LengthNotMinimal),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", LengthNotMinimal),
        (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", LengthTopBit),
        (b"\x80\x00", ContinuationUnexpected),
        (b"\x01\x00\x81\x00", MessageInterrupted),
        (b"\x01\x00\x02\x00", MessageInterrupted),
        (b"\x88\x01\x03", ClosePayload),
        (b"\x88\x02\x03\xed", CloseCodeInvalid(1005)),
    ] {
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(scan(&[bytes]).1, Err(fault), "{bytes:x?}");
        assert_eq!(scan(&bytewise).1, Err(fault), "{bytes:x?}");
    }
}

/// Frames that a server may send, in an order that it may send them in.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        2 => prop::collection::vec(any::<u8>(), 120..300),
        1 => (65_530_usize..65_540).prop_map(|len| vec![7; len]),
    ];
    let control = (
        prop::sample::select(&[Opcode::Ping, Opcode::Pong]),
        prop::collection::vec(any::<u8>(), 0..=125),
    );
    let message = (
        prop::sample::select(&[Opcode::Text, Opcode::Binary]),
        prop::collection::vec(payload, 1..3),
        prop::option::weighted(0.3, control),
    );
    prop::collection::vec(message, 0..12).prop_map(|messages| {
        let mut bytes = Vec::new();
        for (opcode, fragments, control) in messages {
            let last = fragments.len() - 1;
            for (place, payload) in fragments.iter().enumerate() {
                let opcode = if place == 0 { opcode } else { Opcode::Continuation };
                bytes.extend(frame(opcode, place == last, payload));
                if let Some((opcode, payload)) = &control {
                    bytes.extend(frame(*opcode, true, payload));
                }
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(bytes in frames(), cuts in prop::collection::vec(any::<usize>(), 0..30)) {
        let whole = scan(&[&bytes]);
        prop_assert_eq!(&whole.1, &Ok(()));
        prop_assert_eq!(&scan(&cut(&bytes, &cuts)), &whole);
        if bytes.len() < 1000 {
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&scan(&bytewise), &whole);
        }
    }

    #[test]
    fn anything_at_all_is_taken_or_refused_alike_in_any_cut(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&[0x81, 0x82, 0x88, 0x89, 0, 1, 2, 126, 127][..])], 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
    ) {
        prop_assert_eq!(scan(&cut(&bytes, &cuts)), scan(&[&bytes]));
    }

    /// The engine's own codec, which was written apart from this one, agrees about everything but the contents.
    #[test]
    fn another_reader_says_the_same(
        bytes in prop::collection::vec(prop::sample::select(&[0x81, 0x82, 0x01, 0x80, 0x89, 0x8a, 0x88, 0, 1, 2, 3, 126, b'a'][..]), 0..60),
    ) {
        let mut reader = MessageReader::new(Role::Client, 1 << 30);
        let mut rest = &bytes[..];
        let (mut messages, mut closed) = (0, false);
        let outcome = loop {
            match reader.next(&mut rest) {
                Ok(Some(Incoming::Close(_))) => {
                    closed = true;
                    break Ok(());
                }
                Ok(Some(_)) => messages += 1,
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        let (told, scanned) = scan(&[&bytes]);
        if outcome == Err(WsError::InvalidUtf8) {
            // Contents are not looked at here.
            return Ok(());
        }
        prop_assert_eq!(scanned, outcome);
        prop_assert_eq!(matches!(told.last(), Some(Told::Close(_))), closed);
        prop_assert!(told.len() >= messages);
    }
}
