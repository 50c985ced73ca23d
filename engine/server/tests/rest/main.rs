//! REST over real sockets: headers, connections that are kept, compression, browsers, and who asks too much.

#[path = "../common/mod.rs"]
pub mod common;

mod answers;
mod client;
mod connections;
mod weights;

use common::raw::start;
use depthcast::config::Settings;
use depthcast::engine::Engine;

/// An engine with a simulated market of three symbols that changes once a second each.
fn calm_market(change: impl FnOnce(&mut Settings)) -> Engine {
    let mut settings = Settings {
        feed: vec!["sim:?symbols=3&rate=1&seed=7".into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..Settings::default()
    };
    change(&mut settings);
    let engine = start(settings);
    // The market's first moment is there when its first book is.
    let mut client = client::Client::connect(engine.address());
    while client.get("/api/v3/depth?symbol=BTCUSDT&limit=1").status != 200 {
        std::thread::yield_now();
    }
    engine
}
