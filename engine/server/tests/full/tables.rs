//! The tables of an engine's workers, in this process.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::capture_file::CaptureText;
use crate::common::raw::{PATIENCE, http_get, settings, start};
use crate::common::scratch::Scratch;
use crate::crowd::{assert_told, connect, read_to_end, storm, visit, visit_until_served};
use depthcast::config::Settings;
use depthcast::engine::Engine;
use depthcast::reactor::counters::Totals;
use depthcast::session::EndCause;

/// An engine of so many workers with so many places each, and a market that stands still.
fn engine(workers: usize, places: u32, change: impl FnOnce(&mut Settings)) -> (Engine, Scratch) {
    let scratch = Scratch::new();
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    let mut settings = settings(&scratch.write("trade", capture.as_str()), "");
    settings.workers = Some(workers);
    settings.connections_per_worker = Some(places);
    change(&mut settings);
    (start(settings), scratch)
}

/// Waits until the engine's counts satisfy `wanted`.
fn wait_for(engine: &Engine, wanted: impl Fn(&Totals) -> bool) -> Totals {
    let until = Instant::now() + PATIENCE;
    loop {
        let totals = engine.counters().totals();
        if wanted(&totals) {
            return totals;
        }
        assert!(Instant::now() < until, "never came: {totals:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn refused_in_all(totals: &Totals) -> usize {
    totals.refused as usize
}

fn say_goodbye(served: &[TcpStream], engine: Engine) {
    engine.stop(false);
    for socket in served {
        // The event and the Close, 1001.
        let last = read_to_end(socket);
        let close = last
            .windows(4)
            .any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xe9]);
        assert!(close, "{:?}", String::from_utf8_lossy(&last));
    }
}

#[test]
fn full_tables_are_filled_to_the_last_place_and_everybody_else_is_told() {
    let (engine, _scratch) = engine(3, 50, |_| {});
    assert_eq!(engine.connections_max(), 150);
    let mut seen = storm(engine.address(), 600);
    assert_eq!((seen.served.len(), seen.told), (150, 450));
    let totals = wait_for(&engine, |totals| totals.connections == 150);
    assert_eq!((totals.accepted, refused_in_all(&totals)), (150, 450));
    assert_eq!(
        (totals.workers, totals.workers_full, totals.became_full),
        (3, 3, 3)
    );
    assert_eq!(totals.starved, 0);
    for table in engine.counters().tables() {
        assert_eq!(
            (table.connections, table.connections_max, table.is_full),
            (50, 50, true)
        );
        assert!(table.refused > 0, "{table:?}");
    }
    // Whatever the request.
    assert_eq!(http_get(engine.address(), "/api/v3/ping").0, 503);

    // Those who go make room for as many.
    seen.served.drain(..60);
    wait_for(&engine, |totals| totals.connections == 90);
    let more = storm(engine.address(), 200);
    assert_eq!((more.served.len(), more.told), (60, 140));
    let totals = wait_for(&engine, |totals| totals.connections == 150);
    assert_eq!((totals.accepted, refused_in_all(&totals)), (210, 591));
    assert_eq!(totals.workers_full, 3);
    // All of them were told in good order, behind their requests.
    assert_eq!(totals.ended[EndCause::NoRoom.index()], 591);
    assert_eq!(totals.ended[EndCause::Peer.index()], 60);

    seen.served.extend(more.served);
    say_goodbye(&seen.served, engine);
}

/// Eight workers of four places: wherever the kernel takes a newcomer, it is one of those with room that serves it.
#[test]
fn nobody_is_turned_away_while_one_worker_has_room() {
    let (engine, _scratch) = engine(8, 4, |settings| settings.listen = Some("[::1]:0".into()));
    for round in 1..=6 {
        let served: Vec<TcpStream> = (0..31)
            .map(|n| {
                visit(engine.address()).unwrap_or_else(|| panic!("round {round}: client {n} turned away"))
            })
            .collect();
        let tables = engine.counters().tables();
        assert!(tables.iter().all(|table| table.connections <= 4), "{tables:?}");
        let rest = storm(engine.address(), 5);
        assert_eq!((rest.served.len(), rest.told), (1, 4));
        drop((served, rest));
        wait_for(&engine, |totals| totals.connections == 0);
    }
    let totals = wait_for(&engine, |totals| totals.workers_full == 0);
    assert_eq!((totals.accepted, refused_in_all(&totals)), (6 * 32, 6 * 4));
    assert_eq!(engine.counters().ended(EndCause::NoRoom), 6 * 4);
}

#[test]
fn a_storm_of_as_many_as_there_is_room_for_is_served_in_full() {
    let (engine, _scratch) = engine(5, 20, |_| {});
    for _ in 0..5 {
        let seen = storm(engine.address(), 100);
        assert_eq!((seen.served.len(), seen.told), (100, 0));
        drop(seen);
        wait_for(&engine, |totals| {
            totals.connections == 0 && totals.workers_full == 0
        });
    }
    assert_eq!(engine.counters().totals().refused, 0);
}

/// Those who connect and say nothing take the places in which others are told: they are told themselves, and hold up
/// nobody for long.
#[test]
fn the_silent_are_told_too_and_hold_up_nobody() {
    let (engine, _scratch) = engine(1, 1, |_| {});
    let one = visit_until_served(engine.address());
    let silent: Vec<TcpStream> = (0..600).map(|_| connect(engine.address())).collect();
    assert!(visit(engine.address()).is_none());
    silent.iter().for_each(|socket| assert_told(&read_to_end(socket)));
    assert_eq!(engine.counters().totals().refused, 601);
    drop((one, silent));
    let one = visit_until_served(engine.address());
    say_goodbye(&[one], engine);
}

#[test]
fn an_engine_ends_while_it_refuses() {
    let (engine, _scratch) = engine(2, 5, |_| {});
    let seen = storm(engine.address(), 40);
    assert_eq!((seen.served.len(), seen.told), (10, 30));
    let silent: Vec<TcpStream> = (0..20).map(|_| connect(engine.address())).collect();
    wait_for(&engine, |totals| totals.refused == 50);
    say_goodbye(&seen.served, engine);
    drop(silent);
}

/// Clients that come and go at an engine with hardly room for any: each is served or told, and in the end all places are free.
#[test]
fn with_all_tables_full_all_the_time_everybody_is_answered() {
    let (engine, _scratch) = engine(4, 3, |_| {});
    let address = engine.address();
    let visitors: Vec<_> = (0..6)
        .map(|_| {
            std::thread::spawn(move || {
                let mut mine = std::collections::VecDeque::new();
                let (mut served, mut told) = (0, 0);
                for _ in 0..300 {
                    match visit(address) {
                        Some(socket) => {
                            served += 1;
                            mine.push_back(socket);
                        }
                        None => told += 1,
                    }
                    if mine.len() > 2 {
                        mine.pop_front();
                    }
                }
                (served, told)
            })
        })
        .collect();
    let seen = visitors
        .into_iter()
        .map(|visitor| visitor.join().expect("all were answered"));
    let (served, told) = seen.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert_eq!(served + told, 1800);
    assert!(told > 0, "{served} served");
    let totals = wait_for(&engine, |totals| {
        totals.connections == 0 && totals.workers_full == 0
    });
    assert_eq!((totals.accepted, totals.refused), (served, told));
}
