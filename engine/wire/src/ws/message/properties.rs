//! Properties of reading messages: what was sent arrives, however it is cut; and no bytes do harm.

use super::tests::{Event, read};
use super::*;
use crate::ws::frame_header;
use proptest::prelude::*;

const BYTES_MAX: usize = 100_000;

/// A text or binary message, where it is cut into fragments, and what is sent after each fragment.
#[derive(Clone, Debug)]
struct Sent {
    message: Event,
    cuts: Vec<prop::sample::Index>,
    controls: Vec<Vec<Event>>,
    key: [u8; 4],
}

fn sent() -> impl Strategy<Value = Sent> {
    let payload = || {
        let size = prop_oneof![8 => 0..200_usize, 2 => 200..2000_usize, 1 => 65_000..66_000_usize];
        size.prop_flat_map(|size| prop::collection::vec(any::<u8>(), size))
    };
    let message = prop_oneof![
        any::<String>().prop_map(Event::Text),
        "[a-zé€😀]{0,300}".prop_map(Event::Text),
        payload().prop_map(Event::Binary),
    ];
    let control_payload = || prop::collection::vec(any::<u8>(), 0..=CONTROL_PAYLOAD_MAX);
    let control = prop_oneof![
        control_payload().prop_map(Event::Ping),
        control_payload().prop_map(Event::Pong)
    ];
    (
        message,
        prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        prop::collection::vec(prop::collection::vec(control, 0..3), 0..6),
        any::<[u8; 4]>(),
    )
        .prop_map(|(message, cuts, controls, key)| Sent {
            message,
            cuts,
            controls,
            key,
        })
}

/// Appends a frame as the peer of `role` sends it, masked by the formula of RFC 6455 section 5.3.
fn push_frame(out: &mut Vec<u8>, role: Role, opcode: Opcode, fin: bool, payload: &[u8], key: [u8; 4]) {
    let mask = (role == Role::Server).then_some(key);
    out.extend_from_slice(frame_header(opcode, fin, payload.len(), mask).as_slice());
    let key = mask.unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
}

/// The bytes of `all`, and what a reader must make of them.
fn encode(role: Role, all: &[Sent]) -> (Vec<u8>, Vec<Event>) {
    let mut out = Vec::new();
    let mut events = Vec::new();
    for sent in all {
        let (first, payload) = match &sent.message {
            Event::Text(text) => (Opcode::Text, text.as_bytes()),
            Event::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            other => unreachable!("{other:?} is no message"),
        };
        let mut ends: Vec<usize> = sent.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let mut controls = sent.controls.iter();
        let mut start = 0;
        for (index, &end) in ends.iter().enumerate() {
            let opcode = if index == 0 { first } else { Opcode::Continuation };
            let fin = index + 1 == ends.len();
            push_frame(&mut out, role, opcode, fin, &payload[start..end], sent.key);
            start = end;
            if fin {
                events.push(sent.message.clone());
            }
            for control in controls.next().into_iter().flatten() {
                let (opcode, payload) = match control {
                    Event::Ping(payload) => (Opcode::Ping, payload),
                    Event::Pong(payload) => (Opcode::Pong, payload),
                    other => unreachable!("{other:?} is not generated"),
                };
                push_frame(&mut out, role, opcode, true, payload, sent.key);
                events.push(control.clone());
            }
        }
    }
    (out, events)
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(&[Role::Server, Role::Client])
}

/// Lengths of the pieces in which bytes arrive, used in turn.
fn piece_lens() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![Just(1), 1..20_usize, 1..5000_usize], 1..20)
}

/// Reads `bytes` piece by piece, holding the reader's memory against its bound after each.
fn read_in_pieces(
    role: Role,
    bytes_max: usize,
    mut bytes: &[u8],
    piece_lens: &[usize],
) -> (Vec<Event>, Result<(), WsError>) {
    let mut reader = MessageReader::new(role, bytes_max);
    let mut events = Vec::new();
    for &piece_len in piece_lens.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(piece_len.min(bytes.len()));
        bytes = rest;
        let result = read(&mut reader, piece, &mut events);
        assert!(reader.buffer.capacity() <= bytes_max + CONTROL_PAYLOAD_MAX);
        if result.is_err() {
            assert_eq!(read(&mut reader, rest, &mut events), result, "a fault stays");
            return (events, result);
        }
    }
    (events, Ok(()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_sent_arrives(
        role in role(),
        all in prop::collection::vec(sent(), 0..6),
        piece_lens in piece_lens(),
    ) {
        let (bytes, expected) = encode(role, &all);
        let (events, result) = read_in_pieces(role, BYTES_MAX, &bytes, &piece_lens);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(&events, &expected);
    }

    /// Between any two messages the reader may be dropped and made anew.
    #[test]
    fn an_idle_reader_can_be_replaced(role in role(), all in prop::collection::vec(sent(), 1..4)) {
        let (bytes, expected) = encode(role, &all);
        let mut reader = MessageReader::new(role, BYTES_MAX);
        let mut events = Vec::new();
        for piece in bytes.chunks(7) {
            prop_assert_eq!(read(&mut reader, piece, &mut events), Ok(()));
            if reader.is_idle() {
                reader = MessageReader::new(role, BYTES_MAX);
            }
        }
        prop_assert!(reader.is_idle());
        prop_assert_eq!(events, expected);
    }

    /// Behind any byte another reader may go on, in memory that was used before, and the first begin anew.
    #[test]
    fn another_reader_can_take_over(
        role in role(),
        all in prop::collection::vec(sent(), 1..4),
        piece_len in 1..40_usize,
    ) {
        let (bytes, expected) = encode(role, &all);
        let used = || MessageReader::with_buffer(role, 0, b"what another peer said".to_vec());
        let mut readers = [MessageReader::new(role, BYTES_MAX), used()];
        let mut events = Vec::new();
        for piece in bytes.chunks(piece_len) {
            let [reader, other] = &mut readers;
            prop_assert_eq!(read(reader, piece, &mut events), Ok(()));
            other.take_over(reader);
            prop_assert_eq!(other.held_len(), reader.held_len());
            reader.reset(0);
            prop_assert!(reader.is_idle() && reader.held_len() == 0);
            readers.swap(0, 1);
        }
        prop_assert!(readers[0].is_idle());
        prop_assert_eq!(events, expected);
    }

    /// Whole, byte by byte, or in pieces: valid streams with some bytes spoilt give the same events and the same fault.
    #[test]
    fn cuts_make_no_difference(
        role in role(),
        all in prop::collection::vec(sent(), 1..4),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        bytes_max in prop_oneof![0..300_usize, Just(BYTES_MAX)],
        piece_lens in piece_lens(),
    ) {
        let (mut bytes, _) = encode(role, &all);
        for (index, byte) in spoilt {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let whole = read_in_pieces(role, bytes_max, &bytes, &[bytes.len()]);
        prop_assert_eq!(&read_in_pieces(role, bytes_max, &bytes, &[1]), &whole);
        prop_assert_eq!(&read_in_pieces(role, bytes_max, &bytes, &piece_lens), &whole);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        role in role(),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        bytes_max in 0..1000_usize,
        piece_lens in piece_lens(),
    ) {
        let whole = read_in_pieces(role, bytes_max, &bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&read_in_pieces(role, bytes_max, &bytes, &piece_lens), &whole);
        for event in &whole.0 {
            if let Event::Binary(bytes) = event {
                prop_assert!(bytes.len() <= bytes_max);
            }
        }
    }

    /// Text is refused exactly when the standard library refuses it, however it is cut.
    #[test]
    fn text_is_utf8_or_refused(
        role in role(),
        mut payload in "[a-é€😀\u{10ffff}]{0,40}".prop_map(String::into_bytes),
        spoilt in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        piece_lens in piece_lens(),
    ) {
        if let (Some((index, byte)), false) = (spoilt, payload.is_empty()) {
            let index = index.index(payload.len());
            payload[index] = byte;
        }
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let mut bytes = Vec::new();
        let mut start = 0;
        for (index, &end) in ends.iter().enumerate() {
            let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
            push_frame(&mut bytes, role, opcode, index + 1 == ends.len(), &payload[start..end], [5, 6, 7, 8]);
            start = end;
        }
        let expected = match String::from_utf8(payload) {
            Ok(text) => (vec![Event::Text(text)], Ok(())),
            Err(_) => (vec![], Err(WsError::InvalidUtf8)),
        };
        prop_assert_eq!(read_in_pieces(role, BYTES_MAX, &bytes, &piece_lens), expected);
    }
}
