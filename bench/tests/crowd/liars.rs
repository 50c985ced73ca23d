//! Crowds against servers that leave something out, or tell one something else than another.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use depthcast_bench::crowd::Crowd;
use depthcast_bench::crowd::crowds::CrowdTotals;
use depthcast_bench::crowd::order::{CrowdOrder, Role};
use depthcast_bench::fleet::order::Format;
use depthcast_wire::ws::{Opcode, server_frame};

use super::server::{SWITCHING, Server, read_to_end, send};
use super::{BENCH, PATIENCE};

pub(super) fn order(server: SocketAddr, connections: u32, role: Role) -> CrowdOrder {
    CrowdOrder {
        server,
        first: 0,
        connections,
        streams: vec!["btcusdt@depth@100ms".into()],
        zipf: 0.0,
        is_quiet: false,
        connects_per_s: 0,
        at_once: 64,
        format: Format::Json,
        role,
        books: 0,
        over_us: 10_000,
        floor_ns: None,
        pause_us: 500,
        core: None,
        lifetime_s: 120,
    }
}

pub(super) fn text(json: &str) -> Vec<u8> {
    server_frame(Opcode::Text, json.as_bytes())
}

pub(super) fn snapshot(last_id: u64, qty: u32) -> Vec<u8> {
    text(&format!(
        r#"{{"e":"depthSnapshot","E":5,"s":"BTCUSDT","ep":7,"lastUpdateId":{last_id},"bids":[["10.0","{qty}"]],"asks":[["11.0","1"]]}}"#
    ))
}

pub(super) fn depth(first_id: u64, last_id: u64) -> Vec<u8> {
    text(&format!(
        r#"{{"e":"depthUpdate","E":100000,"s":"BTCUSDT","U":{first_id},"u":{last_id},"b":[["9.0","2"]],"a":[]}}"#
    ))
}

/// A server that answers each connection with these bytes, and then reads until its end.
fn server(connections: usize, bytes: impl Fn(usize) -> Vec<u8> + Send + 'static) -> Server {
    let number = std::sync::atomic::AtomicUsize::new(0);
    Server::start(connections, move |mut stream: TcpStream, _| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        send(
            &mut stream,
            &[SWITCHING.as_bytes().to_vec(), bytes(number)].concat(),
        );
        std::thread::spawn(move || read_to_end(stream));
    })
}

pub(super) fn start(order: &CrowdOrder) -> Crowd {
    let mut crowd = Crowd::start(Path::new(BENCH), std::slice::from_ref(order)).unwrap();
    assert!(crowd.wait(PATIENCE, &mut |_| {}).unwrap().is_whole);
    crowd
}

pub(super) fn totals_when(crowd: &mut Crowd, wanted: impl Fn(&CrowdTotals) -> bool) -> CrowdTotals {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let totals = crowd.report().unwrap();
        if wanted(&totals) {
            return totals;
        }
        assert!(std::time::Instant::now() < until, "{:?}", totals.report);
    }
}

/// What of a joiner comes that the server tells this before it is asked or behind it: nothing here listens to requests.
fn joined(told: Vec<u8>) -> CrowdTotals {
    let server = Server::start(1, move |mut stream: TcpStream, _| {
        send(&mut stream, SWITCHING.as_bytes());
        // The request.
        let mut byte = [0];
        let _ = std::io::Read::read(&mut stream, &mut byte);
        send(&mut stream, &told);
        std::thread::spawn(move || read_to_end(stream));
    });
    let with_snapshot = Role::Subscribe { with_snapshot: true };
    let mut crowd = start(&order(server.address, 1, with_snapshot));
    crowd.go().unwrap();
    let totals = totals_when(&mut crowd, |totals| {
        totals.report.events > 0 || totals.report.refused > 0
    });
    crowd.end();
    server.join();
    totals
}

#[test]
fn an_event_that_does_not_continue_the_snapshot_is_a_gap() {
    let whole = joined([text(r#"{"result":null,"id":1}"#), snapshot(5, 1), depth(6, 9)].concat());
    let joins = &whole.report.joins;
    assert_eq!(
        (joins.answered, joins.joined, joins.continued, whole.report.gaps),
        (1, 1, 1, 0)
    );
    let gap = joined([snapshot(5, 1), depth(7, 9)].concat());
    assert_eq!((gap.report.joins.joined, gap.report.gaps), (1, 1));
    let fault = gap.report.fleet.first_fault.unwrap();
    assert_eq!(fault, "connection 0: update 7 to 9 came where 6 was expected");
    let early = joined(depth(6, 9));
    assert_eq!((early.report.joins.joined, early.report.gaps), (0, 1));
    let refused = joined(text(r#"{"code":2,"msg":"no","id":1}"#));
    assert_eq!((refused.report.joins.answered, refused.report.refused), (0, 1));
}

#[test]
fn books_that_say_something_else_at_the_same_id_are_seen() {
    let keepers = |qty: fn(usize) -> u32| {
        let server = server(2, move |number| [snapshot(5, qty(number)), depth(6, 9)].concat());
        let two = CrowdOrder {
            books: 2,
            ..order(server.address, 2, Role::Stay)
        };
        let mut crowd = start(&two);
        let totals = totals_when(&mut crowd, |totals| totals.report.events == 2);
        crowd.end();
        server.join();
        totals
    };
    let alike = keepers(|_| 1).report;
    assert_eq!((alike.fleet.book_gaps, alike.gaps, alike.compared), (0, 0, 2));
    let different = keepers(|number| number as u32 + 1).report;
    assert_eq!((different.fleet.book_gaps, different.gaps), (2, 0));
    let fault = different.fleet.first_fault.unwrap();
    assert!(
        fault.ends_with("at 5 the book differs from what another connection's said there"),
        "{fault}"
    );
}

#[test]
fn those_who_go_are_gone_and_not_lost() {
    let server = server(3, |_| depth(6, 9));
    let mut crowd = start(&order(server.address, 3, Role::Leave));
    totals_when(&mut crowd, |totals| totals.report.events == 3);
    crowd.go().unwrap();
    let report = crowd.report().unwrap().report;
    assert_eq!((report.fleet.open, report.fleet.closed.len()), (0, 0));
    assert_eq!(report.fleet.first_fault, None);
    assert!(crowd.end());
    server.join();
}
