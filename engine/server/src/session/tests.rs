//! The session against a host that only takes notes, on virtual time.

mod limits;

use depthcast_wire::ws::{self, Close, Incoming, MessageReader, Opcode, Role, write_frame};

use super::ending::Goodbye;
use super::*;

const LIMITS: SessionLimits = SessionLimits {
    handshake_ticks: 100,
    ping_ticks: 200,
    pong_ticks: 600,
    lag_ticks: 100,
    conflate_ticks: 10,
    lag_policy: LagPolicy::Evict,
    close_ticks: 10,
    life_ticks: 100_000,
    messages_per_second: 0,
    streams_max: 3,
    attempts_per_ip: 300,
    attempts_window_s: 60,
    echo: true,
};

/// Its pings are due at whole periods.
const KEY: u32 = LIMITS.ping_ticks - 1;

const GOODBYE: Goodbye = Goodbye {
    code: 1001,
    reason: "end",
    cause: EndCause::Engine,
    at_once: false,
    shutdown_us: None,
};

#[derive(Default)]
struct Notes {
    sent: Vec<u8>,
    streams: Vec<StreamName>,
    encoding: Option<Encoding>,
    with_snapshots: bool,
    resumed: Option<Resume>,
    abandoned: bool,
    full: Option<FanoutError>,
    buffers: Buffers,
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
    fn key(&self) -> u32 {
        KEY
    }

    fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

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

    fn set_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
    ) -> Result<(), FanoutError> {
        self.streams = names.to_vec();
        self.encoding = Some(encoding);
        self.with_snapshots = with_snapshots;
        Ok(())
    }

    fn resume_streams(
        &mut self,
        names: &[StreamName],
        encoding: Encoding,
        with_snapshots: bool,
        resume: &Resume,
    ) -> Result<(), FanoutError> {
        self.resumed = Some(resume.clone());
        self.set_streams(names, encoding, with_snapshots)
    }

    fn set_encoding(&mut self, encoding: Encoding, reply: Bytes) -> Result<(), FanoutError> {
        self.encoding = Some(encoding);
        self.send(reply)
    }

    fn streams(&self) -> Vec<StreamName> {
        self.streams.clone()
    }

    fn epoch(&self) -> Option<u64> {
        Some(1_700_000_000_000_123)
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
    let answer = String::from_utf8(std::mem::take(&mut notes.sent)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(
        answer.contains("\r\nDepthcast-Epoch: 1700000000000123\r\n"),
        "{answer}"
    );
    (session, notes)
}

#[test]
fn snapshots_are_for_those_whose_url_asks() {
    for (target, asked) in [
        ("/ws/btcusdt@depth", false),
        ("/ws/btcusdt@depth?snapshot=0", false),
        ("/ws/btcusdt@depth?snapshot=1", true),
    ] {
        let (mut session, mut notes) = open(target);
        assert_eq!(notes.with_snapshots, asked, "{target}");
        notes.with_snapshots = !asked;
        let request = r#"{"method":"SUBSCRIBE","params":["ethusdt@depth"],"id":1}"#;
        ask(&mut session, &mut notes, request);
        assert_eq!(
            notes.with_snapshots, asked,
            "{target}: also of what is subscribed to later"
        );
    }
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
    assert!(session.partial.is_none(), "an idle connection owns no buffer");
    assert_eq!(notes.buffers.bytes_lent(), 0, "and has given back what it had");
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
    session.on_blocked(50, &LIMITS);
    session.on_caught_up();
    session.on_blocked(100, &LIMITS);
    session.on_blocked(150, &LIMITS);
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
    assert_eq!(
        session.take_head(rest.as_bytes(), &mut notes.buffers),
        rest.as_bytes()
    );

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
    session.on_blocked(10, &LIMITS);
    session.on_progress(60, &LIMITS);
    assert_eq!(session.on_timer(&mut notes.at(110)), Next::Continue);
    assert_eq!(session.deadline(&LIMITS), 160);
    assert_eq!(session.say_goodbye(&GOODBYE, &mut notes.at(120)), Next::Finish);
    session.on_progress(200, &LIMITS);
    assert_eq!(session.on_timer(&mut notes.at(299)), Next::Continue);
    assert_eq!(session.on_timer(&mut notes.at(300)), Next::Drop);

    let (mut session, mut notes) = open("/ws/btcusdt@trade");
    session.on_blocked(10, &LIMITS);
    let next = session.give_up(1008, "slow", EndCause::SlowConsumer, &mut notes.at(20));
    assert_eq!(next, Next::Finish);
    session.on_progress(25, &LIMITS);
    assert_eq!(
        session.deadline(&LIMITS),
        30,
        "its time was up: only the close is awaited"
    );
}
