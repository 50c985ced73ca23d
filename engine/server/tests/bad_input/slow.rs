//! Subscribers that read too slowly, or not at all: they are told so, or reset, and the others lose nothing.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::common::capture_file::{CaptureText, TextLevel};
use crate::common::raw::opcode::CLOSE;
use crate::common::raw::{Raw, settings, start};
use crate::common::scratch::Scratch;
use crate::witness::{Witness, depth_ids};
use depthcast::config::Settings;
use depthcast::engine::Engine;
use depthcast::session::EndCause;

/// Depth events in the market, 5 ms and about 8 KB apart: 1.6 MB/s for 4 s.
pub(crate) const EVENTS: u64 = 800;
const LEVELS: usize = 250;

/// What little the kernel keeps on either side of a slow connection.
const SEND_BUFFER: usize = 16 * 1024;
pub(crate) const RECEIVE_BUFFER: usize = 4 * 1024;

/// What the engine gives a connection that it ends for its goodbye.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// For timers that tick in 100 ms, and for this machine.
pub(crate) const ROOM: Duration = Duration::from_secs(1);

const LAG: Duration = Duration::from_millis(500);

/// A market of much data, one who takes it all, and one who reads as the test says.
pub(crate) struct BusyMarket {
    // Before the engine, so that it does not see its end.
    pub(crate) witness: Witness,
    pub(crate) engine: Engine,
    pub(crate) slow: Raw,
    begun_at: Instant,
    _scratch: Scratch,
}

impl BusyMarket {
    fn start(change: impl FnOnce(&mut Settings)) -> BusyMarket {
        BusyMarket::start_with("/ws/btcusdt@depth@100ms", RECEIVE_BUFFER, change)
    }

    /// With other streams for the slow one, and another receive buffer.
    pub(crate) fn start_with(
        target: &str,
        receive_buffer: usize,
        change: impl FnOnce(&mut Settings),
    ) -> BusyMarket {
        let prices: Vec<String> = (0..LEVELS).map(|n| format!("{}.50000000", 40_000 + n)).collect();
        let bids: Vec<TextLevel<'_>> = prices.iter().map(|price| (&**price, "1.00000000")).collect();
        let mut capture = CaptureText::new();
        capture.snapshot(10, &[], &[]);
        for n in 0..EVENTS {
            capture.depth("BTCUSDT", 11 + 2 * n, 12 + 2 * n, &bids, &[]);
            capture.wait_ms(5);
        }
        let scratch = Scratch::new();
        let path = scratch.write("busy", capture.as_str());
        let mut settings = settings(&path, "speed=1&start=2");
        settings.send_buffer = Some(SEND_BUFFER);
        change(&mut settings);
        let engine = start(settings);
        // The market waits for both.
        let slow = with_buffer(engine.address(), receive_buffer).upgrade(target);
        let begun_at = Instant::now();
        BusyMarket {
            witness: Witness::of_depth(engine.address()),
            engine,
            slow,
            begun_at,
            _scratch: scratch,
        }
    }

    pub(crate) fn slow_consumers(&self) -> u64 {
        let counters = self.engine.counters();
        EndCause::SLOW.map(|cause| counters.ended(cause)).iter().sum()
    }

    /// Waits until the engine has given up the slow one.
    pub(crate) fn wait_for_slow_consumer(&self, within: Duration) {
        while self.slow_consumers() == 0 {
            assert!(
                self.begun_at.elapsed() < within,
                "the engine lets a slow consumer be"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.slow_consumers(), 1, "the good one is not slow");
    }

    /// Reads what the slow one was sent: whole events that follow each other, and the reason why no more came.
    pub(crate) fn reason(&mut self) -> String {
        let mut last_id = 10;
        loop {
            let frame = self.slow.frame().expect("a close before the end");
            if frame.opcode == CLOSE {
                let (code, reason) = frame.close().expect("a close with a code");
                assert_eq!(code, 1008, "{reason}");
                assert_eq!(self.slow.frame(), None, "nothing follows a close");
                return reason.to_string();
            }
            let (first, last) = depth_ids(frame.text());
            assert_eq!(first, last_id + 1, "a frame is missing in the middle");
            last_id = last;
        }
    }
}

fn with_buffer(address: SocketAddr, receive_buffer: usize) -> Raw {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(receive_buffer)
        .expect("a socket option");
    socket
        .connect(&address.into())
        .expect("the engine takes connections");
    Raw::over(TcpStream::from(socket))
}

fn short_lag(settings: &mut Settings) {
    settings.lag_ms = Some(LAG.as_millis() as u32);
}

#[test]
fn one_that_reads_again_is_told_how_far_it_was_behind() {
    let mut market = BusyMarket::start(short_lag);
    market.wait_for_slow_consumer(LAG + ROOM);
    let reason = market.reason();
    let seconds: f64 = reason
        .strip_prefix("slow consumer: ")
        .and_then(|rest| rest.strip_suffix(" s behind"))
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{reason}"));
    assert!((0.5..1.0).contains(&seconds), "{reason}");
    market.witness.assert_unharmed();
}

#[test]
fn one_that_never_reads_is_reset() {
    let market = BusyMarket::start(short_lag);
    std::thread::sleep(LAG + GRACE + ROOM);
    assert_eq!(market.slow_consumers(), 1);
    // What the kernel had is still there; then comes no end of the stream, but the reset.
    let mut socket = market.slow.socket();
    let mut buffer = [0; 65_536];
    let error = loop {
        match socket.read(&mut buffer) {
            Ok(0) => panic!("an end of the stream, as if all had been sent"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    market.witness.assert_unharmed();
}

/// Little by little is not enough: the lag counts until a connection has caught up.
#[test]
fn one_that_reads_a_little_is_slow_all_the_same() {
    let market = BusyMarket::start(short_lag);
    let mut socket = market.slow.socket();
    while market.slow_consumers() == 0 {
        let waited = market.begun_at.elapsed();
        assert!(
            waited < LAG + ROOM,
            "a slow consumer gains time by reading a little"
        );
        socket.read_exact(&mut [0; 1000]).expect("some of the market");
        std::thread::sleep(Duration::from_millis(20));
    }
    market.witness.assert_unharmed();
}

#[test]
fn one_that_falls_behind_by_more_than_is_kept_is_told_by_how_much() {
    const RETENTION: usize = 100_000;
    let mut market = BusyMarket::start(|settings| {
        settings.retention_bytes = Some(RETENTION);
        settings.lag = Some("evict".to_string());
    });
    market.wait_for_slow_consumer(ROOM);
    let reason = market.reason();
    let bytes: usize = reason
        .strip_prefix("slow consumer: ")
        .and_then(|rest| rest.strip_suffix(" bytes behind"))
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{reason}"));
    assert!((RETENTION..2 * RETENTION).contains(&bytes), "{reason}");
    market.witness.assert_unharmed();
}

/// The half of a flood that the engine meets on `/ws`: requests without reading the answers. They wait in the sockets,
/// and the one who asked so much is given up when it has not caught up in time.
#[test]
fn one_that_asks_and_does_not_read_the_answers_is_slow_too() {
    let market = BusyMarket::start(|settings| {
        short_lag(settings);
        settings.messages_per_second = Some(0);
    });
    let mut asker = with_buffer(market.engine.address(), RECEIVE_BUFFER).upgrade("/ws");
    let request = crate::common::raw::frame(
        crate::common::raw::opcode::TEXT,
        br#"{"method":"LIST_SUBSCRIPTIONS","id":"a-long-name-that-comes-back-with-it"}"#,
    );
    let requests = request.repeat(1000);
    asker
        .socket()
        .set_write_timeout(Some(LAG))
        .expect("a socket option");
    let until = Instant::now() + LAG + GRACE + 2 * ROOM;
    let ended = loop {
        match asker.try_send(&requests) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => break error,
        }
        assert!(Instant::now() < until, "the engine waits on and on");
    };
    assert!(
        matches!(ended.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{ended}"
    );
    market.witness.assert_unharmed();
}
