//! The session against a host that only takes notes, on virtual time.

use depthcast_wire::ws::{Close, write_frame};

use super::ending::Goodbye;
use super::*;

const LIMITS: SessionLimits = SessionLimits {
    handshake_ticks: 100,
    ping_ticks: 200,
    pong_ticks: 600,
    lag_ticks: 100,
    close_ticks: 10,
    life_ticks: 100_000,
    messages_per_second: 0,
    streams_max: 3,
    attempts_per_ip: 300,
    attempts_window_s: 60,
    echo: true,
};

const GOODBYE: Goodbye = Goodbye {
    code: 1001,
    reason: "end",
    at_once: false,
    shutdown_us: None,
};

#[derive(Default)]
struct Notes {
    sent: Vec<u8>,
    streams: Vec<StreamName>,
    encoding: Option<Encoding>,
    abandoned: bool,
    full: Option<FanoutError>,
}

impl Notes {
    fn at(&mut self, now: u32) -> Turn<'_, Notes> {
        Turn {
            now,
            limits: &LIMITS,
            host: self,
        }
    }

    /// With other limits.
    fn under<'a>(&'a mut self, limits: &'a SessionLimits, now: u32) -> Turn<'a, Notes> {
        Turn {
            now,
            limits,
            host: self,
        }
    }
}

impl Host for Notes {
    fn answer(&mut self, head: Bytes) {
        assert!(self.sent.is_empty(), "the answer comes first");
        self.sent.extend_from_slice(&head);
    }

    fn send(&mut self, frame: Bytes) -> Result<(), FanoutError> {
        match self.full {
            Some(error) => Err(error),
            None => {
                self.sent.extend_from_slice(&frame);
                Ok(())
            }
        }
    }

    fn set_streams(&mut self, names: &[StreamName], encoding: Encoding) -> Result<(), FanoutError> {
        self.streams = names.to_vec();
        self.encoding = Some(encoding);
        Ok(())
    }

    fn streams(&self) -> Vec<StreamName> {
        self.streams.clone()
    }

    fn abandon(&mut self, last: Bytes) {
        self.abandoned = true;
        self.streams.clear();
        self.sent.extend_from_slice(&last);
    }
}

/// What a client would read out of the bytes sent: messages, with control frames in brackets.
fn read(sent: &[u8]) -> Vec<String> {
    let mut reader = MessageReader::new(Role::Client, 1 << 20);
    let mut input = sent;
    let mut messages = Vec::new();
    while let Some(message) = reader.next(&mut input).unwrap() {
        let is_close = matches!(message, Incoming::Close(_));
        messages.push(match message {
            Incoming::Text(text) => text.to_string(),
            Incoming::Binary(bytes) => format!("{bytes:?}"),
            Incoming::Ping(payload) => format!("[ping {}]", payload.len()),
            Incoming::Pong(payload) => format!("[pong {}]", String::from_utf8_lossy(payload)),
            Incoming::Close(None) => "[close]".to_string(),
            Incoming::Close(Some(Close { code, reason })) => format!("[close {code} {reason}]"),
        });
        if is_close {
            assert!(input.is_empty(), "nothing follows a close");
            break;
        }
    }
    messages
}

fn request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, opcode, payload, Some([1, 2, 3, 4]));
    out
}

fn open(target: &str) -> (Session, Notes) {
    let (mut session, mut notes) = (Session::new(0, &LIMITS), Notes::default());
    assert_eq!(
        session.on_bytes(request(target).as_bytes(), &mut notes.at(0)),
        Next::Continue
    );
    assert!(session.is_open());
    assert!(notes.sent.starts_with(b"HTTP/1.1 101 "));
    notes.sent.clear();
    (session, notes)
}

fn ask(session: &mut Session, notes: &mut Notes, text: &str) -> String {
    notes.sent.clear();
    let next = session.on_bytes(&frame(Opcode::Text, text.as_bytes()), &mut notes.at(0));
    assert_eq!(next, Next::Continue);
    read(&notes.sent).concat()
}

#[test]
fn a_url_subscribes_and_the_bytes_behind_the_head_count() {
    let (mut session, mut notes) = (Session::new(0, &LIMITS), Notes::default());
    let mut bytes =
        request("/stream?streams=btcusdt@trade/btcusdt@depth@100ms&timeUnit=microsecond").into_bytes();
    bytes.extend(frame(Opcode::Ping, b"early"));
    for byte in bytes {
        assert_eq!(session.on_bytes(&[byte], &mut notes.at(0)), Next::Continue);
    }
    let head_len = notes.sent.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(read(&notes.sent[head_len..]), ["[pong early]"]);
    assert_eq!(notes.streams.len(), 2);
    let micros = depthcast_wire::time_unit::TimeUnit::Microsecond;
    assert_eq!(
        notes.encoding,
        Some(Encoding::Json {
            combined: true,
            time_unit: micros
        })
    );
    assert!(session.reader.is_none(), "an idle connection owns no buffer");
}

#[test]
fn requests_change_the_streams_and_are_answered() {
    let (mut session, mut notes) = open("/ws");
    let mut ask = |text| ask(&mut session, &mut notes, text);
    assert_eq!(
        ask(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@trade"],"id":1}"#),
        r#"{"result":null,"id":1}"#
    );
    assert_eq!(
        ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":"a-1"}"#),
        r#"{"result":["btcusdt@trade"],"id":"a-1"}"#
    );
    assert_eq!(
        ask(r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#),
        r#"{"result":false,"id":2}"#
    );
    assert_eq!(
        ask(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":2}"#),
        r#"{"result":null,"id":2}"#
    );
    assert_eq!(
        ask(r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#),
        r#"{"result":true,"id":2}"#
    );
    let malformed = ask(r#"{"method":"SUBSCRIBE","params":["btcusdt@dept"],"id":3}"#);
    assert!(
        malformed.starts_with(r#"{"code":2,"#) && malformed.contains("dept"),
        "{malformed}"
    );
    assert!(ask("{").starts_with(r#"{"code":3,"#));
    let many = ask(r#"{"method":"SUBSCRIBE","params":["a@trade","b@trade","c@trade"],"id":4}"#);
    assert!(
        many.contains("more than 3 streams") && many.ends_with(r#""id":4}"#),
        "{many}"
    );
    assert_eq!(
        ask(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade","x@trade"],"id":5}"#),
        r#"{"result":null,"id":5}"#
    );
    assert_eq!(
        ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":6}"#),
        r#"{"result":[],"id":6}"#
    );
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let (mut session, mut notes) = open("/ws");
    let mut now = 0;
    let mut pings = 0;
    let next = loop {
        now = session.deadline(&LIMITS).max(now + 1);
        let next = session.on_timer(&mut notes.at(now));
        if next != Next::Continue {
            break next;
        }
        pings += 1;
        assert!(pings < 10);
    };
    assert_eq!((next, now, pings), (Next::Finish, 800, 3));
    assert_eq!(
        read(&notes.sent).last().unwrap(),
        "[close 1008 no pong in 60.0 s]"
    );
    assert_eq!(session.on_timer(&mut notes.at(809)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(810)), Next::Drop);
}

#[test]
fn a_pong_resets_the_deadline() {
    let (mut session, mut notes) = open("/ws");
    for n in 1..20 {
        assert_eq!(session.deadline(&LIMITS), n * 200);
        assert_eq!(session.on_timer(&mut notes.at(n * 200)), Next::Continue);
        session.on_bytes(&frame(Opcode::Pong, b""), &mut notes.at(n * 200 + 5));
    }
    assert_eq!(read(&notes.sent).len(), 19);
}

#[test]
fn lag_counts_from_the_first_block_until_caught_up() {
    let (mut session, mut notes) = open("/ws");
    session.on_blocked(50);
    session.on_caught_up();
    session.on_blocked(100);
    session.on_blocked(150);
    assert_eq!(session.deadline(&LIMITS), 200);
    assert_eq!(session.on_timer(&mut notes.at(199)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(205)), Next::Finish);
    assert!(notes.abandoned);
    assert!(read(&notes.sent).contains(&"[close 1008 slow consumer: 10.5 s behind]".to_string()));
    assert_eq!(session.end_cause(), Some(EndCause::SlowConsumer));
}

#[test]
fn faults_end_the_connection_with_their_code_after_what_was_said_before() {
    let unmasked = ws::server_frame(Opcode::Text, b"{}");
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("/echo", unmasked, "[close 1002 "),
        ("/echo", frame(Opcode::Text, b"\xff"), "[close 1007 "),
        (
            "/ws",
            frame(Opcode::Text, &vec![b' '; MESSAGE_BYTES_MAX + 1]),
            "[close 1009 ",
        ),
        ("/ws", frame(Opcode::Binary, b"x"), "[close 1003 "),
    ];
    for (target, bytes, expected) in cases {
        let (mut session, mut notes) = open(target);
        session.on_bytes(&frame(Opcode::Ping, b"1"), &mut notes.at(0));
        assert_eq!(session.on_bytes(&bytes, &mut notes.at(0)), Next::Finish);
        let messages = read(&notes.sent);
        assert_eq!(messages[0], "[pong 1]");
        assert!(messages[1].starts_with(expected), "{messages:?}");
        assert_eq!(session.on_bytes(b"anything", &mut notes.at(0)), Next::Continue);
        assert_eq!(read(&notes.sent).len(), 2);
    }
}

#[test]
fn a_close_is_answered_with_its_own_code() {
    for (payload, answer) in [
        (&b""[..], "[close]"),
        (b"\x03\xe8bye", "[close 1000 ]"),
        (b"\x0f\xa0", "[close 4000 ]"),
    ] {
        let (mut session, mut notes) = open("/ws/btcusdt@trade");
        assert_eq!(
            session.on_bytes(&frame(Opcode::Close, payload), &mut notes.at(7)),
            Next::Finish
        );
        assert_eq!(read(&notes.sent), [answer]);
        assert!(notes.streams.is_empty(), "no market data after a close");
        assert_eq!(
            session.deadline(&LIMITS),
            107,
            "time to take what was owed before"
        );
        session.on_all_said(9, &LIMITS);
        assert_eq!(session.deadline(&LIMITS), 19, "and then for the peer's end");
    }
}

#[test]
fn other_requests_are_handed_on_or_refused() {
    let rest = "GET /api/v3/ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (mut session, mut notes) = (Session::new(0, &LIMITS), Notes::default());
    assert_eq!(session.on_bytes(rest.as_bytes(), &mut notes.at(0)), Next::HandOff);
    assert_eq!(session.take_head(), rest.as_bytes());

    for (bytes, status) in [
        ("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(), "426"),
        (request("/ws").replace("13", "8"), "426"),
        (request("/ws").replace("GET", "POST"), "405"),
        (request("/ws").replace("dGhl", ""), "400"),
        (request("/ws?timeUnit=DAYS"), "400"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01".to_string(), "400"),
    ] {
        let (mut session, mut notes) = (Session::new(0, &LIMITS), Notes::default());
        assert_eq!(
            session.on_bytes(bytes.as_bytes(), &mut notes.at(0)),
            Next::Finish,
            "{bytes:?}"
        );
        let answer = String::from_utf8(notes.sent).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(session.end_cause(), Some(EndCause::HandshakeRefused));
    }
}

#[test]
fn a_handshake_that_stays_unfinished_is_timed_out() {
    let (mut session, mut notes) = (Session::new(5, &LIMITS), Notes::default());
    session.on_bytes(b"GET / HT", &mut notes.at(5));
    assert_eq!(session.deadline(&LIMITS), 105);
    assert_eq!(session.on_timer(&mut notes.at(105)), Next::Finish);
    assert!(notes.sent.starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_full_engine_says_so() {
    let (mut session, mut notes) = open("/ws");
    notes.full = Some(FanoutError::PrefixFull);
    assert_eq!(
        session.on_bytes(&frame(Opcode::Ping, b""), &mut notes.at(0)),
        Next::Finish
    );
    assert!(notes.abandoned);
    assert_eq!(
        read(&notes.sent),
        ["[close 1008 the connection has too many bytes of replies waiting]"]
    );
}

#[test]
fn a_url_of_too_many_streams_is_closed_behind_the_answer_to_its_upgrade() {
    let (mut session, mut notes) = (Session::new(0, &LIMITS), Notes::default());
    let asked = request("/ws/a@trade/b@trade/c@trade/d@trade");
    assert_eq!(session.on_bytes(asked.as_bytes(), &mut notes.at(0)), Next::Finish);
    assert!(
        !notes.abandoned,
        "the answer that is not sent yet would be forgotten"
    );
    let head_len = notes.sent.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(
        read(&notes.sent[head_len..]),
        ["[close 1008 more than 3 streams on one connection]"]
    );
}

#[test]
fn one_for_whom_the_market_waits_has_its_time_anew_with_all_that_it_takes() {
    let (mut session, mut notes) = open("/ws/btcusdt@trade");
    session.on_blocked(10);
    session.on_progress(60, &LIMITS);
    assert_eq!(session.on_timer(&mut notes.at(110)), Next::Continue);
    assert_eq!(session.deadline(&LIMITS), 160);
    assert_eq!(session.say_goodbye(&GOODBYE, &mut notes.at(120)), Next::Finish);
    session.on_progress(200, &LIMITS);
    assert_eq!(session.on_timer(&mut notes.at(299)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(300)), Next::Drop);

    let (mut session, mut notes) = open("/ws/btcusdt@trade");
    session.on_blocked(10);
    let next = session.give_up(1008, "slow", EndCause::SlowConsumer, &mut notes.at(20));
    assert_eq!(next, Next::Finish);
    session.on_progress(25, &LIMITS);
    assert_eq!(
        session.deadline(&LIMITS),
        30,
        "its time was up: only the close is awaited"
    );
}

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
    for due in [207, 407] {
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
    let told = |notes: &Notes| {
        let text = String::from_utf8(notes.sent.clone()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 42\r\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\r\n\r\nmore than 300 connections from one address in 60 s: try again in 42 s\n"),
            "{text}"
        );
    };
    let (mut session, mut notes) = (Session::turned_away(5, 42, &LIMITS), Notes::default());
    let asked = request("/ws/btcusdt@trade");
    let (last, before) = asked.as_bytes().split_last().unwrap();
    for byte in before {
        assert_eq!(session.on_bytes(&[*byte], &mut notes.at(6)), Next::Continue);
    }
    assert!(notes.sent.is_empty() && notes.streams.is_empty());
    assert_eq!(session.on_bytes(&[*last], &mut notes.at(7)), Next::Finish);
    told(&notes);
    assert_eq!(session.on_bytes(b"more", &mut notes.at(8)), Next::Continue);

    let (mut session, mut notes) = (Session::turned_away(5, 42, &LIMITS), Notes::default());
    session.on_bytes(b"GET / HTTP/1.1\r\nX: \n", &mut notes.at(6));
    assert_eq!(session.deadline(&LIMITS), 25);
    assert_eq!(session.on_timer(&mut notes.at(24)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(25)), Next::Finish);
    told(&notes);
    assert_eq!(session.end_cause(), Some(EndCause::Attempts));
    assert_eq!(
        session.give_up(1001, "end", EndCause::Engine, &mut notes.at(26)),
        Next::Continue
    );
}
