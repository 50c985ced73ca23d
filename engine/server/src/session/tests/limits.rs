//! The limits of a connection's life, and the engine's own end.

use depthcast_wire::ws::write_frame;

use super::*;

#[test]
fn the_engines_end_is_told_in_the_terms_of_the_connection() {
    let raw = r#"{"e":"serverShutdown","E":1700000000123}"#;
    let raw_micros = r#"{"e":"serverShutdown","E":1700000000123456}"#;
    for (target, event) in [
        ("/ws/btcusdt@trade", raw.to_string()),
        ("/ws?timeUnit=MICROSECOND", raw_micros.to_string()),
        (
            "/stream?streams=btcusdt@trade",
            format!(r#"{{"stream":"!serverShutdown","data":{raw}}}"#),
        ),
        (
            "/stream?timeUnit=microsecond",
            format!(r#"{{"stream":"!serverShutdown","data":{raw_micros}}}"#),
        ),
        ("/sbe/ws/btcusdt@trade", raw_micros.to_string()),
        ("/echo", String::new()),
    ] {
        for at_once in [false, true] {
            let (mut session, mut notes) = open(target);
            let goodbye = Goodbye {
                at_once,
                shutdown_us: Some(1_700_000_000_123_456),
                ..GOODBYE
            };
            assert_eq!(session.say_goodbye(&goodbye, &mut notes.at(5)), Next::Finish);
            let mut expected = vec![event.clone(), "[close 1001 end]".to_string()];
            expected.retain(|message| !message.is_empty());
            assert_eq!(read(&notes.sent), expected, "{target}");
            assert_eq!(notes.abandoned, at_once);
            assert_eq!(session.end_cause(), Some(EndCause::Engine));
            // Told once.
            assert_eq!(session.say_goodbye(&goodbye, &mut notes.at(6)), Next::Continue);
            assert_eq!(read(&notes.sent), expected);
        }
    }
    let (mut session, mut notes) = open("/ws");
    session.say_goodbye(&GOODBYE, &mut notes.at(5));
    assert_eq!(read(&notes.sent), ["[close 1001 end]"], "a new epoch is no end");
}

#[test]
fn a_life_ends_in_good_order_whatever_else_goes_on() {
    const SHORT: SessionLimits = SessionLimits {
        life_ticks: 500,
        ..LIMITS
    };
    let (mut session, mut notes) = (Session::new(0, &SHORT), Notes::default());
    session.on_bytes(
        request("/ws/btcusdt@trade").as_bytes(),
        &mut notes.under(&SHORT, 7),
    );
    notes.sent.clear();
    for due in [200, 400] {
        assert_eq!(session.deadline(&SHORT), due);
        assert_eq!(session.on_timer(&mut notes.under(&SHORT, due)), Next::Continue);
        session.on_bytes(&frame(Opcode::Pong, b""), &mut notes.under(&SHORT, due));
    }
    assert_eq!(session.deadline(&SHORT), 507, "its life counts from the upgrade");
    assert_eq!(session.on_timer(&mut notes.under(&SHORT, 507)), Next::Finish);
    assert!(!notes.abandoned, "what it is owed still comes");
    assert_eq!(
        read(&notes.sent).last().unwrap(),
        "[close 1001 this connection's life of 50 s is over: reconnect]"
    );
    assert_eq!(session.end_cause(), Some(EndCause::Life));
    assert_eq!(
        session.deadline(&SHORT),
        607,
        "as long as a slow consumer is given"
    );
}

/// A session that may be sent 5 messages in a second, and what it is sent.
fn rated(target: &str) -> (Session, Notes, SessionLimits) {
    let (session, notes) = open(target);
    let limits = SessionLimits {
        messages_per_second: 5,
        ..LIMITS
    };
    (session, notes, limits)
}

#[test]
fn messages_past_the_limit_of_a_second_end_the_connection_behind_the_answers() {
    let list = frame(Opcode::Text, br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    let mut whole = Vec::new();
    write_frame(
        &mut whole,
        Opcode::Text,
        br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#,
        Some([0; 4]),
    );
    // One message in three fragments, with a ping in between.
    let mut fragmented = vec![0x01, whole[1] & 0x80 | 3];
    fragmented.extend([&[0; 4][..], &whole[6..9]].concat());
    fragmented.extend(frame(Opcode::Ping, b"2"));
    fragmented.extend([0x80, 0x80 | (whole.len() - 9) as u8, 0, 0, 0, 0]);
    fragmented.extend(&whole[9..]);

    let (mut session, mut notes, limits) = rated("/ws");
    let bytes = [&list[..], &fragmented, &frame(Opcode::Pong, b""), &list].concat();
    assert_eq!(
        session.on_bytes(&bytes, &mut notes.under(&limits, 10)),
        Next::Continue
    );
    assert_eq!(
        session.on_bytes(&list, &mut notes.under(&limits, 19)),
        Next::Finish
    );
    let empty = r#"{"result":[],"id":1}"#;
    let close = "[close 1008 more than 5 messages in a second]";
    assert_eq!(read(&notes.sent), [empty, "[pong 2]", empty, empty, close]);
    assert!(!notes.abandoned);
    assert_eq!(session.end_cause(), Some(EndCause::MessageRate));

    // The same a little later is within it, and so is anything without a limit or on /echo.
    let (mut session, mut notes, limits) = rated("/ws");
    session.on_bytes(&bytes, &mut notes.under(&limits, 10));
    assert_eq!(
        session.on_bytes(&bytes, &mut notes.under(&limits, 20)),
        Next::Continue
    );
    let (mut session, mut notes, limits) = rated("/echo");
    assert_eq!(
        session.on_bytes(&bytes.repeat(9), &mut notes.under(&limits, 10)),
        Next::Continue
    );
    let (mut session, mut notes) = open("/ws");
    assert_eq!(
        session.on_bytes(&bytes.repeat(9), &mut notes.at(10)),
        Next::Continue
    );
}

#[test]
fn the_pongs_of_a_peer_that_was_cut_off_end_nothing() {
    let (mut session, mut notes, limits) = rated("/ws");
    let quick = SessionLimits {
        ping_ticks: 1,
        ..limits
    };
    for now in 200..500 {
        assert_eq!(session.on_timer(&mut notes.under(&quick, now)), Next::Continue);
    }
    let pings = read(&notes.sent).len();
    assert_eq!(pings, 300);
    let pongs = frame(Opcode::Pong, b"").repeat(pings);
    assert_eq!(
        session.on_bytes(&pongs, &mut notes.under(&quick, 500)),
        Next::Continue
    );
    let list = frame(Opcode::Text, br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    assert_eq!(
        session.on_bytes(&list, &mut notes.under(&quick, 500)),
        Next::Continue
    );
}

#[test]
fn one_that_is_turned_away_is_told_behind_its_request_or_in_the_end_without_it() {
    let told = |notes: &Notes, status: &str, body: &str| {
        let text = String::from_utf8(notes.sent.clone()).unwrap();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}\r\nRetry-After: ")),
            "{text}"
        );
        assert!(text.ends_with(&format!("\r\n\r\n{body}\n")), "{text}");
    };
    let too_many = TurnedAway::for_ticks(42 * 10);
    let (mut session, mut notes) = (Session::turned_away(5, too_many, &LIMITS), Notes::default());
    let asked = request("/ws/btcusdt@trade");
    let (last, before) = asked.as_bytes().split_last().unwrap();
    for byte in before {
        assert_eq!(session.on_bytes(&[*byte], &mut notes.at(6)), Next::Continue);
    }
    assert!(notes.sent.is_empty() && notes.streams.is_empty());
    assert_eq!(session.on_bytes(&[*last], &mut notes.at(7)), Next::Finish);
    told(
        &notes,
        "429 Too Many Requests",
        "more than 300 connections from one address in 60 s: try again in 42 s",
    );
    assert_eq!(session.on_bytes(b"more", &mut notes.at(8)), Next::Continue);

    let (mut session, mut notes) = (
        Session::turned_away(5, TurnedAway::NoRoom, &LIMITS),
        Notes::default(),
    );
    session.on_bytes(b"GET / HTTP/1.1\r\nX: \n", &mut notes.at(6));
    assert_eq!(session.deadline(&LIMITS), 25);
    assert_eq!(session.on_timer(&mut notes.at(24)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(25)), Next::Finish);
    told(
        &notes,
        "503 Service Unavailable",
        "this engine has as many connections as it may: try again in 5 s",
    );
    assert_eq!(session.end_cause(), Some(EndCause::NoRoom));
    assert_eq!(
        session.give_up(1001, "end", EndCause::Engine, &mut notes.at(26)),
        Next::Continue
    );
}

#[test]
fn a_message_that_is_not_ended_ends_the_connection_though_pings_are_answered() {
    // In two fragments: pongs are let in between.
    let fragment = |first_byte: u8, payload: &[u8]| {
        let mut frame = frame(Opcode::Text, payload);
        frame[0] = first_byte;
        frame
    };
    let (head, tail) = br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.split_at(20);
    let (head, tail) = (&fragment(0x01, head)[..], &fragment(0x80, tail)[..]);
    let answer_pings = |messages_end: bool| {
        let (mut session, mut notes) = open("/ws");
        session.on_bytes(head, &mut notes.at(1));
        for now in 2..=LIMITS.pong_ticks + 2 * LIMITS.ping_ticks {
            if messages_end && now % LIMITS.ping_ticks == 0 {
                // The end of one and the beginning of the next.
                session.on_bytes(&[tail, head].concat(), &mut notes.at(now));
            }
            if session.on_timer(&mut notes.at(now)) == Next::Finish {
                return (now, session.end_cause(), notes);
            }
            session.on_bytes(&frame(Opcode::Pong, b""), &mut notes.at(now));
        }
        (u32::MAX, session.end_cause(), notes)
    };
    let (at, cause, notes) = answer_pings(false);
    assert!(at > LIMITS.pong_ticks && at <= LIMITS.pong_ticks + LIMITS.ping_ticks);
    assert_eq!(cause, Some(EndCause::Protocol));
    assert!(
        read(&notes.sent)
            .last()
            .unwrap()
            .contains("a message was not whole in")
    );
    let (at, cause, _) = answer_pings(true);
    assert_eq!((at, cause), (u32::MAX, None));
}
