//! Clients that ask without reading: the engine stops to read from them, and forgets nothing of what it took.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::common::capture_file::CaptureText;
use crate::common::program::Program;
use crate::common::raw::opcode::{PING, PONG};
use crate::common::raw::{Raw, close, frame, upgrade_request};
use crate::common::scratch::Scratch;
use crate::echo::{Echo, pong, read_to_end};

/// What a flood would send if it were let: more than all buffers on the way together.
const FLOOD_BYTES: usize = 200_000_000;

/// How long a socket must refuse more before the engine counts as having stopped to read.
const REFUSED_FOR: Duration = Duration::from_millis(500);

/// Connections that flood at a time.
const FLOODS: usize = 4;

/// Memory that the engine may take for each flood: the replies that may wait (256 KiB), what one turn of reading adds
/// to them (the pongs to 64 KiB of empty pings are the most, 900 KiB), and room.
const MEMORY_PER_FLOOD: usize = 2 << 20;

#[test]
fn pings_are_all_answered_though_nobody_reads_at_first() {
    let echo = Echo::start();
    let mut client = echo.open();
    let count = 64 * 1024 / frame(PING, &[0; 8]).len();
    let payload = |n: usize| (n as u64).to_be_bytes();
    let pings: Vec<u8> = (0..count).flat_map(|n| frame(PING, &payload(n))).collect();
    client.send(&pings);
    std::thread::sleep(Duration::from_millis(200));
    client.send(&close(1000, b""));
    let got = read_to_end(&mut client);
    assert_eq!(got.len(), count + 1);
    for (n, got) in got[..count].iter().enumerate() {
        assert_eq!(*got, pong(&payload(n)));
    }
}

/// A connection whose socket never waits.
struct Flood {
    socket: TcpStream,
    ping: Vec<u8>,
    pong: Vec<u8>,
    sent: usize,
    received: usize,
}

impl Flood {
    fn open(address: SocketAddr, payload: &[u8]) -> Flood {
        let mut client = Raw::connect(address);
        client.send(upgrade_request("/echo", "").as_bytes());
        assert!(client.http_head().starts_with("HTTP/1.1 101 "));
        let socket = client.socket().try_clone().expect("a socket");
        socket.set_nonblocking(true).expect("a socket option");
        Flood {
            socket,
            ping: frame(PING, payload),
            pong: [&[0x80 | PONG, payload.len() as u8], payload].concat(),
            sent: 0,
            received: 0,
        }
    }

    /// Writes what the socket takes; true when that was anything.
    fn write_some(&mut self, up_to: usize) -> bool {
        let before = self.sent;
        let pings = self.ping.repeat(65_536 / self.ping.len() + 2);
        while self.sent < up_to {
            let from = self.sent % self.ping.len();
            let len = (pings.len() - from).min(up_to - self.sent);
            match self.socket.write(&pings[from..from + len]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the engine ended a flood: {error}"),
            }
        }
        self.sent > before
    }

    /// Reads what is there and holds it against the pongs that are due.
    fn read_some(&mut self) {
        let mut buffer = [0; 65_536];
        let pongs = self.pong.repeat(buffer.len() / self.pong.len() + 2);
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("the engine ended a flood"),
                Ok(read) => {
                    let from = self.received % self.pong.len();
                    assert!(
                        buffer[..read] == pongs[from..from + read],
                        "not the pongs that are due"
                    );
                    self.received += read;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the engine ended a flood: {error}"),
            }
        }
    }

    /// Reads all that is due, and completes the last ping first.
    fn drain(&mut self, until: Instant) {
        let whole = self.sent.next_multiple_of(self.ping.len());
        let due = whole / self.ping.len() * self.pong.len();
        while self.received < due {
            self.write_some(whole);
            self.read_some();
            assert!(
                Instant::now() < until,
                "{} of {due} bytes came back",
                self.received
            );
            std::thread::sleep(Duration::from_micros(100));
        }
        assert_eq!(self.received, due);
    }
}

/// The engine runs in a process of its own, so that its memory is nobody else's.
#[test]
fn a_flood_is_neither_read_on_nor_forgotten() {
    let scratch = Scratch::new();
    let mut capture = CaptureText::new();
    capture.trade("BTCUSDT");
    let path = scratch.write("one_trade", capture.as_str());
    for payload in [&b""[..], b"12345678", &[b'x'; 125]] {
        let feed = format!("capture:{}", path.display());
        // The engine's own pings would stand between the pongs.
        let program = Program::serve(&[
            "--echo",
            "--workers",
            "2",
            "--ping-ms",
            "3600000",
            "--feed",
            &feed,
        ]);
        let address = program.address();
        let resident_before = program.resident_bytes();
        let mut floods: Vec<Flood> = (0..FLOODS).map(|_| Flood::open(address, payload)).collect();

        let mut refused_since = Instant::now();
        while refused_since.elapsed() < REFUSED_FOR {
            let mut took_some = false;
            for flood in &mut floods {
                took_some |= flood.write_some(FLOOD_BYTES / FLOODS);
            }
            if took_some {
                refused_since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let sent: usize = floods.iter().map(|flood| flood.sent).sum();
        assert!(sent < FLOOD_BYTES, "the engine reads on and on");
        // What is in the sockets' buffers is the kernel's.
        let grown = program.resident_bytes().saturating_sub(resident_before);
        assert!(
            grown < FLOODS * MEMORY_PER_FLOOD,
            "{sent} bytes of pings, each of {}, made the engine grow by {grown} bytes",
            payload.len()
        );

        let until = Instant::now() + Duration::from_secs(20);
        floods.iter_mut().for_each(|flood| flood.drain(until));
    }
}
