//! A market that goes on: the simulated exchange, inside the engine and over the feed link, with subscribers that keep
//! its books from what they are sent and compare.

#[path = "../common/mod.rs"]
pub mod common;

pub mod book;
pub mod fake;
mod kill;
mod link;
pub mod proxy;
mod resume;
mod resume_parameter;
mod snapshot;

use common::raw;
use depthcast::config::Settings;
use depthcast::engine::Engine;

/// An engine in this process on any free port, with two workers and this feed.
fn start(feed: &str) -> Engine {
    raw::start(Settings {
        feed: vec![feed.into()],
        listen: Some("127.0.0.1:0".into()),
        workers: Some(2),
        ..Settings::default()
    })
}
