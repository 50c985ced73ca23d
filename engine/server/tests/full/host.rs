//! The host's limit of descriptors, met by an engine of its own.

use std::net::TcpStream;
use std::time::Duration;

use crate::common::program::{Program, depthcast};
use crate::crowd::{read_to_end, storm, visit, visit_until_served};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Descriptors that a table of the engine may hold.
const LIMIT: u64 = 80;

/// What three workers make of them.
const PLACES: usize = 3 * 58;

/// `depthcast serve` with that limit.
fn serve() -> Program {
    let program = depthcast();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" serve \"$@\"")])
        .arg(program.get_program())
        .args(["--listen", "127.0.0.1:0", "--workers", "3", "--stats", "100ms"])
        .args(["--feed", "sim:?symbols=1&rate=10"])
        .env("DEPTHCAST_LOG", "info")
        .env("RUST_BACKTRACE", "1");
    Program::spawn(&mut shell)
}

/// Lets the engine's tables hold so many descriptors from now on.
fn limit(engine: &Program, descriptors: u64) {
    let limit = Rlimit {
        current: Some(descriptors),
        maximum: Some(LIMIT),
    };
    let pid = Pid::from_raw(engine.id() as i32).expect("a process");
    prlimit(Some(pid), Resource::Nofile, limit).expect("a limit of our own child's");
}

fn stats_line(engine: &Program, part: &str) {
    engine.stdout_line(|line| line.starts_with("stats: ") && line.contains(part));
}

/// Ends it, and checks that everybody is told goodbye.
fn end(engine: Program, served: &[TcpStream]) -> String {
    engine.interrupt();
    for socket in served {
        let last = read_to_end(socket);
        assert!(
            String::from_utf8_lossy(&last).contains("serverShutdown"),
            "{last:?}"
        );
    }
    let ended = engine.ended(Duration::from_secs(20));
    ended.assert_no_panic();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stderr
}

#[test]
fn the_tables_are_as_large_as_the_host_allows() {
    let engine = serve();
    let address = engine.address();
    engine.stdout_line(|line| line == "  carries  3 workers, up to 174 connections");
    let seen = storm(address, 400);
    assert_eq!((seen.served.len(), seen.told), (PLACES, 400 - PLACES));
    stats_line(&engine, "stats: 174 connections ");
    stats_line(&engine, " 226 refused, 3 of 3 workers full (3 times)");
    let said = end(engine, &seen.served);
    assert_eq!(said.matches("a worker is full").count(), 3, "{said}");
    assert_eq!(said.matches("all workers are full").count(), 1, "{said}");
    assert!(!said.contains("the host refuses"), "{said}");
}

#[test]
fn a_host_without_descriptors_has_the_engine_tell_newcomers_until_it_has_some_again() {
    let engine = serve();
    let address = engine.address();
    let seen = storm(address, 90);
    assert_eq!((seen.served.len(), seen.told), (90, 0));
    // About what each worker has for itself: not one connection more, though the engine has room for 84.
    limit(&engine, 16);
    let starved = storm(address, 60);
    assert_eq!((starved.served.len(), starved.told), (0, 60));
    stats_line(&engine, "stats: 90 connections ");
    stats_line(&engine, ", no descriptor left ");
    limit(&engine, LIMIT);
    let mut served = seen.served;
    served.push(visit_until_served(address));
    while served.len() < PLACES {
        served.push(visit_until_served(address));
    }
    assert!(visit(address).is_none());
    let said = end(engine, &served);
    // Once for each worker, however often it was so.
    let told = said.matches("the host refuses another connection").count();
    assert!((1..=3).contains(&told), "{said}");
}

#[test]
fn a_limit_without_room_for_a_connection_is_named() {
    let mut shell = std::process::Command::new("sh");
    shell
        .args([
            "-c",
            "ulimit -n 12; exec \"$0\" serve --workers 1 --listen 127.0.0.1:0",
        ])
        .arg(depthcast().get_program());
    let ended = Program::spawn(&mut shell).ended(Duration::from_secs(20));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("12 descriptors leave a worker no room for a connection"),
        "{ended:?}"
    );
}
