//! The bare loop as a process: its connections, its frames, its counts and its end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use depthcast_bench::clock::monotonic_ns;
use depthcast_bench::fleet::order::Format;
use depthcast_bench::limit::order::{LimitOrder, Traffic};
use depthcast_bench::limit::{ACCEPT_ANSWER, Limit, REQUEST_KEY, ROLE};
use depthcast_bench::probe::sends::{SendCounter, SendCounterError};
use depthcast_wire::http::{parse_response, write_request};
use depthcast_wire::ws::{Incoming, MessageReader, Role};

const CONNECTIONS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_depthcast-bench"))
}

fn order(traffic: Traffic) -> LimitOrder {
    LimitOrder {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections: CONNECTIONS,
        traffic,
        send_buffer: None,
        core: None,
        lifetime_s: 60,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    write_request(&mut request, "localhost", "/ws", REQUEST_KEY, &[]);
    stream.write_all(&request).unwrap();
    stream
}

/// Twenty connections, shaken hands with.
fn connected(limit: &mut Limit) -> Vec<TcpStream> {
    let before_ns = monotonic_ns();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(limit.address())).collect();
    for stream in &mut streams {
        let mut answer = [0; 129];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, ACCEPT_ANSWER);
        let head = parse_response(&answer, REQUEST_KEY).unwrap().unwrap();
        assert_eq!(head.head_len, answer.len());
    }
    let mut told = Vec::new();
    let ready = limit.wait_ready(PATIENCE, |count| told.push(count)).unwrap();
    assert!(before_ns < ready.begun_ns && ready.begun_ns < ready.done_ns && ready.done_ns < monotonic_ns());
    assert_eq!(told.last(), Some(&CONNECTIONS), "{told:?}");
    streams
}

/// What came on a connection until the loop had ended: times and numbers of whole frames, and how many bytes in all.
fn drain(stream: &mut TcpStream) -> (Vec<(u64, u64)>, u64) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut reader = MessageReader::new(Role::Client, 1 << 16);
    let mut rest = bytes.as_slice();
    let mut frames = Vec::new();
    while let Some(message) = reader.next(&mut rest).unwrap() {
        let Incoming::Binary(payload) = message else {
            panic!("{message:?}");
        };
        assert_eq!(payload.len(), 130);
        let number = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
        frames.push((number(0), number(8)));
    }
    (frames, bytes.len() as u64)
}

#[test]
fn frames_come_in_order_and_the_report_counts_them() {
    let traffic = Traffic::Fixed {
        size: 130,
        burst: 3,
        hz: 200,
    };
    let mut limit = Limit::start(program(), &order(traffic)).unwrap();
    let mut streams = connected(&mut limit);
    let idle = limit.report().unwrap();
    assert_eq!((idle.passes, idle.sends, idle.open), (0, 0, CONNECTIONS));

    let go_ns = monotonic_ns();
    limit.go().unwrap();
    let report = loop {
        let report = limit.report().unwrap();
        if report.passes >= 10 {
            break report;
        }
        std::thread::yield_now();
    };
    assert_eq!(report.sends, u64::from(CONNECTIONS) * report.passes);
    assert_eq!(report.bytes, report.sends * 3 * (4 + 130));
    assert_eq!((report.refused, report.gone, report.open), (0, 0, CONNECTIONS));
    assert!(report.pass.is_some());

    limit.begin().unwrap();
    let after = limit.report().unwrap();
    assert!(after.passes < report.passes, "counted anew");
    limit.end();
    let (first, first_bytes) = drain(&mut streams[0]);
    assert!(first_bytes >= report.bytes / u64::from(CONNECTIONS));
    for (at, &(due_ns, number)) in first.iter().enumerate() {
        assert_eq!(number, at as u64);
        // Due times are multiples of 5 ms from when it began.
        assert_eq!(due_ns, first[0].0 + 5_000_000 * (number / 3));
    }
    assert!(go_ns + 5_000_000 <= first[0].0 && first[0].0 < monotonic_ns());
    for stream in &mut streams[1..] {
        let (frames, bytes) = drain(stream);
        // The loop looks for its end between rounds only, so all were sent the same.
        assert_eq!((&frames, bytes), (&first, first_bytes));
    }
}

#[test]
fn without_a_pause_the_counts_are_what_was_read() {
    let traffic = Traffic::Fixed {
        size: 130,
        burst: 1,
        hz: 0,
    };
    let mut limit = Limit::start(program(), &order(traffic)).unwrap();
    let mut streams = connected(&mut limit);
    // Where the host lets us, the kernel counts the calls, too; where not, it is said what would help.
    let mut counter = match SendCounter::attach(limit.id()) {
        Ok(counter) => Some(counter),
        Err(error) => {
            assert!(!matches!(error, SendCounterError::Process(_)), "{error}");
            eprintln!("not compared with the kernel's count: {error}");
            None
        }
    };
    limit.go().unwrap();
    // Nobody reads: sooner or later all are given up, and then the counts stand still.
    let report = loop {
        let report = limit.report().unwrap();
        if report.open == 0 {
            break report;
        }
        std::thread::yield_now();
    };
    assert_eq!(report.refused, u64::from(CONNECTIONS));
    if let Some(counter) = &mut counter {
        let calls = counter.read().unwrap();
        assert_eq!(calls.to_sockets(), report.sends);
        assert_eq!(calls.sendto, report.sends);
        assert!(calls.write >= 2, "answers, to standard output");
    }
    limit.end();
    let mut bytes = 0;
    for stream in &mut streams {
        let (frames, its_bytes) = drain(stream);
        assert!(frames.iter().enumerate().all(|(at, frame)| frame.1 == at as u64));
        assert!(frames.is_sorted());
        bytes += its_bytes;
    }
    assert_eq!(bytes, report.bytes);
}

#[test]
fn a_recording_is_sent_as_it_was_received() {
    let folder = std::env::var_os("DEPTHCAST_CAPTURES")
        .expect("set DEPTHCAST_CAPTURES to the folder that holds spot_btcusdt_20240808.gz");
    let mut order = order(Traffic::Recorded {
        capture: Path::new(&folder).join("spot_btcusdt_20240808.gz"),
        stream: "btcusdt@depth@100ms".into(),
        format: Format::Json,
    });
    order.connections = 1;
    let mut limit = Limit::start(program(), &order).unwrap();
    let mut stream = connect(limit.address());
    stream.read_exact(&mut [0; 129]).unwrap();
    limit.wait_ready(PATIENCE, |_| {}).unwrap();
    limit.go().unwrap();
    let mut reader = MessageReader::new(Role::Client, 1 << 20);
    let mut ids = Vec::new();
    let mut bytes = [0; 4096];
    while ids.len() < 5 {
        let len = stream.read(&mut bytes).unwrap();
        let mut rest = &bytes[..len];
        while let Some(message) = reader.next(&mut rest).unwrap() {
            let Incoming::Text(text) = message else {
                panic!("{message:?}");
            };
            let event: serde_json::Value = serde_json::from_str(text).unwrap();
            ids.push((event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap()));
        }
    }
    // The recording's snapshot has the id 50093239218, in the midst of the first event that continues it.
    assert_eq!(ids[0], (50_093_239_208, 50_093_239_224));
    assert!(ids.windows(2).all(|pair| pair[1].0 == pair[0].1 + 1));
    let report = limit.report().unwrap();
    assert!(report.passes >= 5 && report.sends == report.passes, "{report:?}");
}

#[test]
fn what_it_cannot_do_is_said() {
    let mut wrong = order(Traffic::Fixed {
        size: 4,
        burst: 1,
        hz: 1,
    });
    let error = Limit::start(program(), &wrong).unwrap_err().to_string();
    assert!(error.starts_with("the bare loop: frames of 4 bytes"), "{error}");
    wrong = order(Traffic::Recorded {
        capture: "/nonexistent".into(),
        stream: "btcusdt@depth@100ms".into(),
        format: Format::Json,
    });
    let error = Limit::start(program(), &wrong).unwrap_err().to_string();
    assert!(error.ends_with("there is no such file"), "{error}");
    wrong = order(Traffic::Fixed {
        size: 16,
        burst: 1,
        hz: 1,
    });
    wrong.core = Some(1000);
    let error = Limit::start(program(), &wrong).unwrap_err().to_string();
    assert!(error.contains("core 1000 is not to be had"), "{error}");
}

#[test]
fn it_ends_when_its_input_does_in_every_state() {
    let order = order(Traffic::Fixed {
        size: 16,
        burst: 1,
        hz: 1,
    });
    let order = serde_json::to_string(&order).unwrap() + "\n";
    for given in ["", "{\"listen\":", &order] {
        let mut child = std::process::Command::new(program())
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(given.as_bytes()).unwrap();
        drop(input);
        let mut said = String::new();
        // Ends when the process does.
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
        assert!(!said.contains("Failed"), "{said}");
    }

    // And while it sends; and when its time is up.
    let mut limit = Limit::start(program(), &serde_json::from_str(&order).unwrap()).unwrap();
    let mut streams = connected(&mut limit);
    limit.go().unwrap();
    drop(limit);
    assert_eq!(streams[0].read_to_end(&mut Vec::new()).unwrap() % 18, 0);

    let mut brief: LimitOrder = serde_json::from_str(&order).unwrap();
    brief.lifetime_s = 0;
    let mut limit = Limit::start(program(), &brief).unwrap();
    let error = limit.wait_ready(PATIENCE, |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("ended before it was told to (exit status: 0)"),
        "{error}"
    );
}
