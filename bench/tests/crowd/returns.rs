//! Crowds whose connections leave and come back, at servers that refuse them, tell them the wrong thing, or note how they left.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use depthcast_bench::crowd::order::{CrowdOrder, Role};
use depthcast_bench::crowd::returns::Backoff;

use super::PATIENCE;
use super::liars::{depth, order, snapshot, start, totals_when};
use super::server::{SWITCHING, Server, read_to_end, send};

/// The answer of a server that has no room.
const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// An upgrade that names the server's history.
fn switching() -> Vec<u8> {
    let (head, end) = SWITCHING.split_at(SWITCHING.len() - 2);
    format!("{head}Depthcast-Epoch: 7\r\n{end}").into_bytes()
}

fn backoff() -> Backoff {
    Backoff {
        base_us: 5_000,
        cap_us: 20_000,
    }
}

fn coming_back(server: SocketAddr, connections: u32) -> CrowdOrder {
    order(server, connections, Role::Return { backoff: backoff() })
}

#[test]
fn who_is_refused_tries_again_and_goes_on_from_its_last_id() {
    let (told, heads) = channel();
    let number = AtomicUsize::new(0);
    // Three that are there, then two refusals, one that is closed before it had anything, and three who come back.
    let server = Server::start(9, move |mut stream: TcpStream, head: &str| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let answer = match number {
            0..3 => [switching(), depth(6, 9)].concat(),
            3 | 4 => REFUSAL.into(),
            5 => switching(),
            _ => [switching(), depth(10, 12)].concat(),
        };
        told.send(head.to_string()).unwrap();
        send(&mut stream, &answer);
        if !(3..6).contains(&number) {
            std::thread::spawn(move || read_to_end(stream));
        }
    });
    let mut crowd = start(&coming_back(server.address, 3));
    totals_when(&mut crowd, |totals| totals.report.events == 3);
    crowd.go().unwrap();
    assert!(crowd.wait(PATIENCE, &mut |_| {}).unwrap().is_whole);
    let report = crowd.report().unwrap().report;
    let returns = &report.returns;
    assert_eq!((returns.left_with_close, returns.left_without), (0, 3));
    assert_eq!((returns.tries, returns.back), (6, 4), "{returns:?}");
    assert_eq!(returns.failures.values().sum::<u64>(), 3, "{returns:?}");
    assert!(
        returns.failures.keys().any(|reason| reason.contains("503")),
        "{returns:?}"
    );
    assert_eq!((report.joins.asked, report.joins.joined), (3, 3));
    assert_eq!((report.fleet.open, report.gaps), (3, 0));
    crowd.end();
    server.join();
    let heads: Vec<String> = heads.iter().collect();
    assert!(
        heads[..3].iter().all(|head| !head.contains("resume=")),
        "{heads:?}"
    );
    assert!(
        heads[3..]
            .iter()
            .all(|head| head.contains("resume=btcusdt:9&epoch=7 HTTP/1.1")),
        "each try goes on from the last id, also those behind a refusal: {heads:?}"
    );
}

#[test]
fn what_does_not_go_on_from_the_last_id_is_a_gap() {
    let number = AtomicUsize::new(0);
    let server = Server::start(2, move |mut stream: TcpStream, _| {
        let is_first = number.fetch_add(1, Ordering::Relaxed) == 0;
        let event = if is_first { depth(6, 9) } else { depth(11, 12) };
        send(&mut stream, &[switching(), event].concat());
        std::thread::spawn(move || read_to_end(stream));
    });
    let mut crowd = start(&coming_back(server.address, 1));
    totals_when(&mut crowd, |totals| totals.report.events == 1);
    crowd.go().unwrap();
    let report = totals_when(&mut crowd, |totals| totals.report.events == 2).report;
    assert_eq!(report.gaps, 1);
    let fault = report.fleet.first_fault.unwrap();
    assert_eq!(fault, "connection 0: update 11 to 12 came where 10 was expected");
    crowd.end();
    server.join();
}

#[test]
fn half_of_those_who_leave_in_turn_say_so() {
    const CONNECTIONS: u32 = 4;
    let (told, ends) = channel();
    // Each leaves once in a second, and comes back to a market that stands still.
    let server = Server::start(
        2 * CONNECTIONS as usize,
        move |mut stream: TcpStream, head: &str| {
            let has_come_back = head.contains("snapshot=1");
            let market = if has_come_back { snapshot(5, 1) } else { Vec::new() };
            send(&mut stream, &[switching(), market].concat());
            let told = told.clone();
            std::thread::spawn(move || told.send((has_come_back, read_to_end(stream))));
        },
    );
    let role = Role::Churn {
        per_million: 1_000_000,
        for_us: 1_000_000,
        backoff: backoff(),
    };
    let churn = CrowdOrder {
        is_quiet: true,
        ..order(server.address, CONNECTIONS, role)
    };
    let mut crowd = start(&churn);
    crowd.go().unwrap();
    assert!(crowd.wait(PATIENCE, &mut |_| {}).unwrap().is_whole);
    let report = crowd.report().unwrap().report;
    assert_eq!(
        (report.returns.left_with_close, report.returns.left_without),
        (2, 2)
    );
    assert_eq!((report.returns.tries, report.returns.tries_max), (4, 1));
    assert_eq!((report.joins.joined, report.fleet.open, report.gaps), (4, 4, 0));
    assert_eq!(report.fleet.closed.len(), 0, "nobody was lost");
    crowd.end();
    server.join();
    let ends: Vec<(bool, Vec<u8>)> = ends.iter().collect();
    let left: Vec<&Vec<u8>> = ends
        .iter()
        .filter(|(back, _)| !back)
        .map(|(_, said)| said)
        .collect();
    // A masked Close of a code.
    let closes = left.iter().filter(|said| said.first() == Some(&0x88)).count();
    assert_eq!((left.len(), closes), (4, 2));
    assert!(
        left.iter()
            .all(|said| said.first() == Some(&0x88) || said.is_empty()),
        "{left:?}"
    );
}
