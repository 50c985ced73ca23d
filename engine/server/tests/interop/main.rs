//! Trading clients that other people wrote, pointed here by their URLs alone: each of their books and trades is held
//! against what the engine gave at the same id. Their scripts are in `tests/clients`. What was measured is printed as a
//! table: `cargo test -p depthcast --test interop -- --nocapture`.

#[path = "../common/mod.rs"]
pub mod common;

mod clients;
mod report;
mod witness;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use common::market::{capture, recorded};
use common::raw::{PATIENCE, http_get, settings, start};
use depthcast::config::Settings;
use depthcast::engine::Engine;
use witness::{Record, Witness};

/// How long each client watches, from when it has begun.
const WATCHED: Duration = Duration::from_secs(12);

/// How often an engine that has no book yet is asked again.
const BOOK_POLL: Duration = Duration::from_millis(20);

/// Waits until REST has a book: a recorded market begins with its snapshot.
fn wait_for_books(address: SocketAddr, symbols: &[&str]) {
    let until = Instant::now() + PATIENCE;
    for symbol in symbols {
        while http_get(address, &format!("/api/v3/depth?symbol={symbol}&limit=5")).0 != 200 {
            assert!(Instant::now() < until, "{symbol} has no book");
            thread::sleep(BOOK_POLL);
        }
    }
}

/// Lets every client watch `engine` side by side, prints the table, panics where anything differs.
fn all_clients_agree(engine: &Engine, market: &str, symbols: &[&str]) -> Record {
    let address = engine.address();
    wait_for_books(address, symbols);
    let witness = Witness::begin(address, symbols);
    let said = clients::run_all(address, WATCHED, symbols);
    let record = witness.end();
    let rows: Vec<report::Row> = said
        .iter()
        .flat_map(|said| report::judge(said, symbols.len() as u64, &record))
        .collect();
    println!("{}", report::table(market, &rows));
    let faults: Vec<&String> = rows.iter().flat_map(|row| &row.faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    record
}

#[test]
fn clients_of_the_simulated_exchange_have_its_books_and_trades() {
    clients::install();
    let engine = start(Settings {
        feed: vec!["sim:?symbols=2&rate=30..60&seed=7".into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..Settings::default()
    });
    all_clients_agree(&engine, "simulated", &["BTCUSDT", "ETHUSDT"]);
}

#[test]
fn clients_of_the_recorded_market_have_its_books_and_trades() {
    clients::install();
    let engine = start(settings(&capture(), "speed=1&start=0&end=hold"));
    let record = all_clients_agree(&engine, "recorded", &["BTCUSDT"]);
    // What the clients were held against is the recording itself.
    assert!(record.books().count() > 100);
    for (symbol, state) in record.books() {
        assert_eq!(symbol, "BTCUSDT");
        assert_eq!(state, recorded().state(state.id), "at id {}", state.id);
    }
}
