//! Servers that do not answer, answer something else, or send what they should not; and frames of the bench format.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use depthcast_bench::clock::monotonic_ns;
use depthcast_bench::fleet::order::{FleetOrder, Format};
use depthcast_wire::ws::{Opcode, server_frame};

use super::server::{SWITCHING, Server, read_to_end, send};
use super::{PATIENCE, is_there, open, order, start, totals_when};

const NAMES: [&str; 1] = ["bench0@fixed"];

/// Lets the first two connections take one stream each, and not the same.
fn one_stream_each(order: &mut FleetOrder) {
    order.streams.per_connection = 1;
    while order.streams.of_connection(0) == order.streams.of_connection(1) {
        order.streams.seed += 1;
    }
}

fn failure(order: FleetOrder) -> String {
    let mut fleet = start(&[order]);
    let error = fleet.wait_open(PATIENCE, &mut |_| {}).unwrap_err();
    error.to_string()
}

#[test]
fn a_server_that_does_not_take_connections_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(order(nobody, 3, &NAMES, Format::Bench));
    assert!(
        error.starts_with("fleet process 0: ") && error.contains("of 3 connections did not open"),
        "{error}"
    );
    assert!(error.contains("Connection refused (os error 111)"), "{error}");

    let full = Server::start(2, |mut stream, _| {
        send(
            &mut stream,
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nfull\n",
        );
    });
    let error = failure(order(full.address, 2, &NAMES, Format::Bench));
    assert!(
        error.contains("2 of 2 connections did not open (2 x the server refused the WebSocket: 503"),
        "{error}"
    );
    full.join();

    let rude = Server::start(1, |stream, _| drop(stream));
    let error = failure(order(rude.address, 1, &NAMES, Format::Bench));
    assert!(
        error.contains("1 x the server closed the connection instead of answering"),
        "{error}"
    );
    rude.join();

    let impossible = order(nobody, 20_000, &NAMES, Format::Bench);
    assert!(failure(impossible).contains("20000 connections are too many for one process"));
}

#[test]
fn a_server_that_keeps_silent_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut fleet = start(&[order(silent.local_addr().unwrap(), 2, &NAMES, Format::Bench)]);
    let error = fleet
        .wait_open(Duration::from_millis(300), &mut |_| {})
        .unwrap_err();
    assert_eq!(error.to_string(), "0 of 2 connections were open after 300ms");
    let processes = fleet.process_ids();
    drop(fleet);
    assert!(!processes.into_iter().any(is_there));
}

#[test]
fn frames_of_the_bench_format_are_timed_and_counted_each() {
    let server = Server::start(3, |mut stream, head| {
        assert!(
            head.starts_with("GET /stream?streams=bench0@fixed/bench1@fixed HTTP/1.1\r\n"),
            "{head}"
        );
        let mut bytes = SWITCHING.as_bytes().to_vec();
        for number in 100..200_u64 {
            for index in 0..2_u32 {
                // One is lost.
                if (number, index) == (150, 1) {
                    continue;
                }
                let published_ns = monotonic_ns();
                let mut payload = published_ns.to_le_bytes().to_vec();
                payload.extend(number.to_le_bytes());
                payload.extend(index.to_le_bytes());
                payload.resize(128, 0);
                bytes.extend(server_frame(Opcode::Binary, &payload));
            }
        }
        bytes.extend(server_frame(Opcode::Ping, b"still there?"));
        bytes.extend(server_frame(Opcode::Close, &[0x03, 0xe9]));
        for piece in bytes.chunks(777) {
            send(&mut stream, piece);
        }
        let answered = read_to_end(stream);
        assert_eq!(answered[..2], [0x88, 0x82], "a masked close");
    });
    let mut fleet = open(&[order(
        server.address,
        3,
        &["bench0@fixed", "bench1@fixed"],
        Format::Bench,
    )])
    .unwrap();
    let totals = totals_when(&mut fleet, |totals| totals.report.open == 0);
    let report = totals.report;
    assert_eq!(
        (report.frames, report.out_of_order, report.malformed),
        (3 * 199, 3, 0)
    );
    assert_eq!(report.closed, [(1001, 3)].into());
    assert_eq!(
        report.first_fault.as_deref(),
        Some("connection 0: frame 151 of a stream came where 150 was expected")
    );
    let latency = totals.latency.unwrap();
    assert_eq!(latency.len(), 3 * 199);
    assert!(latency.max() < PATIENCE.as_nanos() as u64, "{}", latency.max());
    assert!(fleet.end());
    server.join();
}

#[test]
fn what_is_no_frame_ends_its_connection_alone() {
    let server = Server::start(2, |mut stream, head| {
        send(&mut stream, SWITCHING.as_bytes());
        if head.contains("bench0") {
            send(&mut stream, b"\x83\x00");
            let answered = read_to_end(stream);
            assert_eq!(answered[..2], [0x88, 0x82]);
        } else {
            // Ended without a Close.
            drop(stream);
        }
    });
    let mut order = order(
        server.address,
        2,
        &["bench0@fixed", "bench1@fixed"],
        Format::Bench,
    );
    one_stream_each(&mut order);
    let mut fleet = open(&[order]).unwrap();
    let totals = totals_when(&mut fleet, |totals| totals.report.open == 0);
    assert_eq!(totals.report.malformed, 1);
    assert_eq!(totals.report.closed, [(0, 1)].into());
    assert!(fleet.end());
    server.join();
}

#[test]
fn the_end_of_a_connection_that_is_not_read_is_seen() {
    let server = Server::start(2, |mut stream, head| {
        send(&mut stream, SWITCHING.as_bytes());
        if head.contains("bench0") {
            // More than both ends hold, then a reset.
            stream.set_nonblocking(true).unwrap();
            let frame = server_frame(Opcode::Binary, &[0; 60_000]);
            while std::io::Write::write(&mut stream, &frame).is_ok_and(|sent| sent == frame.len()) {}
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        } else {
            send(&mut stream, &server_frame(Opcode::Binary, &[0; 700]));
            send(&mut stream, &server_frame(Opcode::Close, &[0x03, 0xf0]));
        }
    });
    let mut order = order(
        server.address,
        2,
        &["bench0@fixed", "bench1@fixed"],
        Format::Bench,
    );
    one_stream_each(&mut order);
    order.stalled_per_mille = 1000;
    let mut fleet = open(&[order]).unwrap();
    let totals = totals_when(&mut fleet, |totals| totals.report.open == 0);
    assert_eq!(totals.report.closed, [(0, 1), (1008, 1)].into());
    assert_eq!((totals.report.out_of_order, totals.report.first_fault), (0, None));
    assert!(fleet.end());
    server.join();
}

#[test]
fn a_process_ends_with_its_input_and_with_its_time() {
    let program = env!("CARGO_BIN_EXE_depthcast-bench");
    let mut child = Command::new(program)
        .arg("fleet-process")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut brief = order(silent.local_addr().unwrap(), 1, &NAMES, Format::Bench);
    brief.lifetime_s = 1;
    let error = failure(brief);
    assert!(error.contains("ended before it was told to"), "{error}");
}
