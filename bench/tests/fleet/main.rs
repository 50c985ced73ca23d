//! Fleets of real processes against a real engine and against servers that misbehave.

mod engine;
mod server;
mod slow;
mod strangers;

use std::path::Path;
use std::time::Duration;

use depthcast_bench::fleet::order::{FleetOrder, Format, StreamPlan};
use depthcast_bench::fleet::slow::SlowPlan;
use depthcast_bench::fleet::{Fleet, FleetError, FleetTotals};

/// Longer than anything here takes, on a busy host too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The order of a fleet of `connections` that all take all the streams.
fn order(server: std::net::SocketAddr, connections: u32, names: &[&str], format: Format) -> FleetOrder {
    FleetOrder {
        server,
        first: 0,
        connections,
        streams: StreamPlan {
            names: names.iter().map(ToString::to_string).collect(),
            per_connection: names.len() as u32,
            seed: 1,
        },
        format,
        stalled_per_mille: 0,
        stalled_receive_buffer: 4096,
        slow: SlowPlan::default(),
        books: 0,
        core: None,
        pause_us: 0,
        lifetime_s: 120,
    }
}

fn start(orders: &[FleetOrder]) -> Fleet {
    Fleet::start(Path::new(env!("CARGO_BIN_EXE_depthcast-bench")), orders).unwrap()
}

fn open(orders: &[FleetOrder]) -> Result<Fleet, FleetError> {
    let mut fleet = start(orders);
    let mut told = 0;
    let opened = fleet.wait_open(PATIENCE, &mut |open| told = open)?;
    let connections = orders.iter().map(|order| order.connections).sum();
    assert_eq!((opened.count, told), (connections, connections));
    assert!(opened.seconds > 0.0 && opened.seconds < PATIENCE.as_secs_f64());
    Ok(fleet)
}

/// Asks until the totals are as wanted; panics with them when they are not in time.
fn totals_when(fleet: &mut Fleet, wanted: impl Fn(&FleetTotals) -> bool) -> FleetTotals {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let totals = fleet.report().unwrap();
        if wanted(&totals) {
            return totals;
        }
        assert!(std::time::Instant::now() < until, "{:?}", totals.report);
    }
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}
