//! The well-behaved subscriber that must not notice what others do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::capture_file::CaptureText;
use crate::common::raw::{PATIENCE, Raw, settings, start};
use crate::common::scratch::Scratch;
use depthcast::config::Settings;
use depthcast::engine::Engine;

/// Trades in the market of [`TradedMarket`], 2 ms apart: longer than any test takes.
const TRADES: usize = 30_000;

/// Frames that a witness must get after a fault to be called unharmed.
const FRAMES_AFTER: u64 = 20;

/// How often a witness that gets nothing looks whether its test is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An engine with a market that trades on and on, and one who watches it.
pub(crate) struct TradedMarket {
    // Before the engine, so that it does not see its end.
    witness: Witness,
    pub(crate) engine: Engine,
    _scratch: Scratch,
}

impl TradedMarket {
    pub(crate) fn start() -> TradedMarket {
        TradedMarket::start_with(|settings| settings)
    }

    /// With other settings than the usual.
    pub(crate) fn start_with(change: impl FnOnce(Settings) -> Settings) -> TradedMarket {
        let mut capture = CaptureText::new();
        for _ in 0..TRADES {
            capture.trade("BTCUSDT");
            capture.wait_ms(2);
        }
        let scratch = Scratch::new();
        let path = scratch.write("trades", capture.as_str());
        let engine = start(change(settings(&path, "speed=1&start=1")));
        let witness = Witness::of_trades(engine.address());
        TradedMarket {
            witness,
            engine,
            _scratch: scratch,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.engine.address()
    }

    /// Panics when the one who watches has missed a frame, or gets no more.
    pub(crate) fn assert_unharmed(&self) {
        self.witness.assert_unharmed();
    }
}

/// A connection, on a thread of its own, that reads what it subscribed to and checks that nothing is missing.
pub(crate) struct Witness {
    frames: Arc<AtomicU64>,
    is_to_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Watches the trades of a written capture, whose ids count from 1.
    pub(crate) fn of_trades(address: SocketAddr) -> Witness {
        Witness::start(address, "/ws/btcusdt@trade", |event| {
            let id = number(event, "\"t\":");
            (id, id)
        })
    }

    /// Watches depth events of one stream.
    pub(crate) fn of_depth(address: SocketAddr) -> Witness {
        Witness::start(address, "/ws/btcusdt@depth@100ms", depth_ids)
    }

    /// Watches a stream whose events each go on from the id where the one before ended.
    fn start(address: SocketAddr, target: &str, ids: fn(&str) -> (u64, u64)) -> Witness {
        let mut client = Raw::open(address, target);
        let frames = Arc::new(AtomicU64::new(0));
        let is_to_end = Arc::new(AtomicBool::new(false));
        let (counted, told) = (frames.clone(), is_to_end.clone());
        let thread = std::thread::spawn(move || {
            let mut last_id = None;
            while !told.load(Ordering::Relaxed) {
                if !client.has_more_within(LOOK_EVERY) {
                    continue;
                }
                let frame = client.frame().expect("the engine ended a good connection");
                let (first, last) = ids(frame.text());
                if let Some(before) = last_id.replace(last) {
                    assert_eq!(first, before + 1, "a good connection misses frames");
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let witness = Witness {
            frames,
            is_to_end,
            thread: Some(thread),
        };
        witness.assert_unharmed();
        witness
    }

    /// Panics when frames were missed, or come no more.
    pub(crate) fn assert_unharmed(&self) {
        let enough = self.frames.load(Ordering::Relaxed) + FRAMES_AFTER;
        let until = Instant::now() + PATIENCE;
        while self.frames.load(Ordering::Relaxed) < enough {
            let thread = self.thread.as_ref().expect("taken only on drop");
            assert!(!thread.is_finished(), "the witness has panicked: see above");
            assert!(Instant::now() < until, "a good connection gets nothing any more");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.is_to_end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the witness has panicked: see above");
        }
    }
}

/// U and u of a depth event.
pub(crate) fn depth_ids(event: &str) -> (u64, u64) {
    (number(event, "\"U\":"), number(event, "\"u\":"))
}

/// The number behind a key.
fn number(event: &str, key: &str) -> u64 {
    let (_, rest) = event
        .split_once(key)
        .unwrap_or_else(|| panic!("no {key} in {event}"));
    let digits = rest
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {key} in {event}"))
}
