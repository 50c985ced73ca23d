//! What has arrived in part has memory as long as it is awaited, and no longer, whatever ends it; and a bound.

use std::rc::Rc;

use depthcast_wire::ws::Opcode;

use super::{LIMITS, Rig, frame, upgrade};
use crate::session::ending::Goodbye;
use crate::session::{EndCause, SessionLimits};

/// Times that come.
const QUICK: SessionLimits = SessionLimits {
    handshake_ticks: 20,
    ping_ticks: 5,
    pong_ticks: 30,
    life_ticks: 1000,
    ..LIMITS
};

const GOODBYE: Goodbye = Goodbye {
    code: 1001,
    reason: "end",
    cause: EndCause::Engine,
    at_once: false,
    shutdown_us: Some(1),
};

fn part(bytes: &Rc<[u8]>, from: usize, to: usize) -> Rc<[u8]> {
    Rc::from(&bytes[from..to])
}

/// What ends the waiting for the rest of a head or of a message.
type End = fn(&mut Rig, u32);

fn reset(rig: &mut Rig, id: u32) {
    rig.peer(id).is_reset = true;
    rig.connections.on_readable(id, true);
    rig.turn();
}

fn end_of_stream(rig: &mut Rig, id: u32) {
    rig.peer(id).is_ended = true;
    rig.connections.on_readable(id, true);
    rig.turn();
}

fn time(rig: &mut Rig, _: u32) {
    (0..50).for_each(|_| rig.tick());
}

fn engines_end(rig: &mut Rig, _: u32) {
    rig.connections.begin_sweep(GOODBYE);
    rig.connections.sweep_some(100);
    rig.turn();
}

fn engines_end_at_once(rig: &mut Rig, _: u32) {
    rig.connections.begin_sweep(Goodbye {
        at_once: true,
        ..GOODBYE
    });
    rig.connections.sweep_some(100);
    rig.turn();
}

fn garbage(rig: &mut Rig, id: u32) {
    // No field of a head, and no frame either: it is masked in the wrong way.
    rig.say(id, &Rc::from([0u8, 0xff, 0xff, b'\n'].repeat(100)));
}

#[test]
fn buffers_go_back_whatever_ends_the_waiting() {
    let head = upgrade("btcusdt@depth");
    let elsewhere: Rc<[u8]> = Rc::from(&b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n"[..]);
    let whole_head: End = |rig, id| {
        let head = upgrade("btcusdt@depth");
        rig.say(id, &part(&head, 20, head.len()));
    };
    let hand_off: End = |rig, id| {
        rig.say(id, &Rc::from(&b"X: y\r\n\r\n"[..]));
        assert_eq!(rig.connections.take_handed_off().len(), 1);
    };
    let ends: [End; 6] = [
        reset,
        end_of_stream,
        time,
        engines_end,
        engines_end_at_once,
        garbage,
    ];
    let heads = ends.into_iter().map(|end| (part(&head, 0, 20), end));
    let heads = heads.chain([
        (part(&head, 0, 20), whole_head),
        (part(&elsewhere, 0, elsewhere.len() - 2), hand_off),
    ]);
    for (n, (said, end)) in heads.enumerate() {
        let mut rig = Rig::new(QUICK);
        let id = rig.connect();
        rig.say(id, &said);
        assert!(rig.connections.bytes_lent() > 0, "head {n}");
        end(&mut rig, id);
        assert_eq!(rig.connections.bytes_lent(), 0, "head {n}");
    }

    let ping = frame(Opcode::Ping, b"a ping of some length");
    let whole_message: End = |rig, id| {
        let ping = frame(Opcode::Ping, b"a ping of some length");
        rig.say(id, &part(&ping, 10, ping.len()));
        assert_eq!(rig.peer(id).last[..4], [0x8a, 21, b'a', b' ']);
    };
    let ends: [End; 6] = [
        reset,
        end_of_stream,
        time,
        engines_end,
        engines_end_at_once,
        whole_message,
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut rig = Rig::new(QUICK);
        let id = rig.open(&head);
        rig.say(id, &part(&ping, 0, 1));
        assert!(rig.connections.bytes_lent() > 0, "message {n}");
        rig.say(id, &part(&ping, 1, 10));
        assert!(rig.connections.bytes_lent() > 0, "message {n}");
        end(&mut rig, id);
        assert_eq!(rig.connections.bytes_lent(), 0, "message {n}");
    }
}

#[test]
fn past_the_bound_of_all_buffers_one_is_told_so_and_nobody_else_notices() {
    let mut rig = Rig::new(LIMITS);
    rig.connections.bound_buffers(2000);
    let (head, text) = (upgrade("btcusdt@depth"), frame(Opcode::Text, &[b' '; 1500]));
    let (idle, speaker) = (rig.open(&head), rig.open(&head));
    let waiting = rig.connect();
    rig.say(waiting, &part(&head, 0, 20));
    let lent = rig.connections.bytes_lent();

    rig.say(speaker, &part(&text, 0, 1480));
    assert_eq!(rig.peer(speaker).last[0], 0x88, "a Close");
    assert_eq!(rig.peer(speaker).last[2..4], 1013u16.to_be_bytes());
    let late = rig.connect();
    rig.say(late, &Rc::from([&b"GET /"[..], &[b'x'; 1500]].concat()));
    assert_eq!(&rig.peer(late).last, b"HTTP/1.1 503");
    assert_eq!(rig.counters.ended(EndCause::Overload), 2);

    assert_eq!(rig.connections.bytes_lent(), lent);
    rig.say(waiting, &part(&head, 20, head.len()));
    assert_eq!(&rig.peer(waiting).last, b"HTTP/1.1 101");
    rig.say(idle, &frame(Opcode::Ping, b""));
    assert_eq!(rig.peer(idle).last[..2], [0x8a, 0]);
    let open = |id: &u32| {
        rig.connections
            .session(*id)
            .is_some_and(|session| session.is_open())
    };
    assert!([idle, waiting].iter().all(open));
    assert_eq!(rig.connections.bytes_lent(), 0);
}
