//! The sending: one call for each socket in turn, and when each round is due.

use std::os::fd::OwnedFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::order::LimitReport;
use crate::clock::monotonic_ns;

/// The longest round that is told apart; longer ones count as this.
const ROUND_NS_MAX: u64 = 60_000_000_000;

/// Digits that are kept of a round's time.
const ROUND_DIGITS: u8 = 3;

const NS_PER_S: u64 = 1_000_000_000;

/// The sockets, and what was sent since the counting began.
#[derive(Debug)]
pub(super) struct Rounds {
    /// In the order in which they were accepted.
    sockets: Vec<OwnedFd>,
    /// Those that are sent no more: a peer must not find them closed for it.
    given_up: Vec<OwnedFd>,
    /// What went wrong in the round under way: the place in `sockets`, and the bytes taken or the error. Kept for its memory.
    failures: Vec<(usize, Result<usize, Errno>)>,
    counts: LimitReport,
    durations_ns: Histogram<u64>,
    /// When the last round ended, CLOCK_MONOTONIC.
    done_ns: u64,
}

impl Rounds {
    pub(super) fn new(sockets: Vec<OwnedFd>) -> Result<Rounds, hdrhistogram::errors::CreationError> {
        Ok(Rounds {
            sockets,
            given_up: Vec::new(),
            failures: Vec::new(),
            counts: LimitReport::default(),
            durations_ns: Histogram::new_with_max(ROUND_NS_MAX, ROUND_DIGITS)?,
            done_ns: 0,
        })
    }

    /// Sends `bytes` to each socket. `due_ns` is when it should have begun (CLOCK_MONOTONIC).
    pub(super) fn round(&mut self, due_ns: u64, bytes: &[u8]) {
        if self.done_ns > due_ns {
            self.counts.late += 1;
        }
        let begun_ns = monotonic_ns();
        for (place, socket) in self.sockets.iter().enumerate() {
            let taken = send(socket, bytes, SendFlags::NOSIGNAL);
            if taken != Ok(bytes.len()) {
                self.failures.push((place, taken));
            }
        }
        self.done_ns = monotonic_ns();
        self.durations_ns.saturating_record(self.done_ns - begun_ns);
        self.counts.passes += 1;
        self.counts.sends += self.sockets.len() as u64;
        self.counts.bytes += (self.sockets.len() - self.failures.len()) as u64 * bytes.len() as u64;
        if !self.failures.is_empty() {
            self.settle_failures();
        }
    }

    /// Takes the sockets that failed out of the rounds, and leaves the others in their order.
    fn settle_failures(&mut self) {
        let mut failures = self.failures.drain(..).peekable();
        let mut kept = Vec::with_capacity(self.sockets.len());
        for (place, socket) in self.sockets.drain(..).enumerate() {
            match failures.next_if(|failure| failure.0 == place) {
                None => kept.push(socket),
                Some((_, Ok(taken))) => {
                    self.counts.refused += 1;
                    self.counts.bytes += taken as u64;
                    self.given_up.push(socket);
                }
                Some((_, Err(Errno::AGAIN))) => {
                    self.counts.refused += 1;
                    self.given_up.push(socket);
                }
                // Reset or closed by the peer, most likely; it is of no use in any case.
                Some((_, Err(_))) => self.counts.gone += 1,
            }
        }
        drop(failures);
        self.sockets = kept;
    }

    /// How many sockets are sent to.
    pub(super) fn open(&self) -> usize {
        self.sockets.len()
    }

    /// Counts from zero, but for the connections that were given up: those are not sent to ever again.
    pub(super) fn begin(&mut self) {
        self.counts = LimitReport {
            refused: self.counts.refused,
            gone: self.counts.gone,
            ..LimitReport::default()
        };
        self.durations_ns.reset();
    }

    /// What was counted.
    pub(super) fn report(&self) -> LimitReport {
        let mut encoded = Vec::new();
        let pass = V2DeflateSerializer::new()
            .serialize(&self.durations_ns, &mut encoded)
            .ok()
            .map(|_| STANDARD.encode(&encoded));
        LimitReport {
            open: u32::try_from(self.sockets.len()).unwrap_or(u32::MAX),
            pass,
            ..self.counts.clone()
        }
    }
}

/// When rounds are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// When the sending began, CLOCK_MONOTONIC.
    pub(super) origin_ns: u64,
    /// Rounds a second, not 0.
    pub(super) hz: u32,
}

impl Pace {
    /// When round `number` is due, from 1 on: there is no drift, whatever `hz` is.
    pub(super) fn due_ns(self, number: u64) -> u64 {
        let since_ns = u128::from(number) * u128::from(NS_PER_S) / u128::from(self.hz.max(1));
        self.origin_ns
            .saturating_add(u64::try_from(since_ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pairs(count: usize) -> (Rounds, Vec<UnixStream>) {
        let (sockets, peers) = (0..count)
            .map(|_| {
                let (socket, peer) = UnixStream::pair().unwrap();
                socket.set_nonblocking(true).unwrap();
                (OwnedFd::from(socket), peer)
            })
            .unzip();
        (Rounds::new(sockets).unwrap(), peers)
    }

    fn read(peer: &mut UnixStream, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        peer.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn each_socket_is_sent_each_round() {
        let (mut rounds, mut peers) = pairs(3);
        rounds.round(u64::MAX, b"one");
        rounds.round(0, b"two!");
        for peer in &mut peers {
            assert_eq!(read(peer, 7), b"onetwo!");
        }
        let report = rounds.report();
        assert_eq!((report.passes, report.sends, report.bytes), (2, 6, 21));
        assert_eq!((report.refused, report.gone, report.open), (0, 0, 3));
        assert_eq!(report.late, 1, "the second was due before the first had ended");
        let encoded = STANDARD.decode(report.pass.unwrap()).unwrap();
        let durations: Histogram<u64> = hdrhistogram::serialization::Deserializer::new()
            .deserialize(&mut encoded.as_slice())
            .unwrap();
        assert_eq!(durations.len(), 2);
        rounds.begin();
        let report = rounds.report();
        assert_eq!((report.passes, report.sends, report.late), (0, 0, 0));
    }

    #[test]
    fn who_takes_no_more_and_who_left_are_sent_no_more() {
        let (mut rounds, mut peers) = pairs(4);
        drop(peers.remove(1));
        let large = vec![7; 50_000];
        let mut rounds_sent = 0;
        // Two of the three that are left read, one does not.
        while rounds.report().refused == 0 {
            rounds.round(u64::MAX, &large);
            rounds_sent += 1;
            for peer in [0, 2] {
                assert_eq!(read(&mut peers[peer], large.len()), large);
            }
            assert!(rounds_sent < 1000);
        }
        let report = rounds.report();
        assert_eq!((report.refused, report.gone, report.open), (1, 1, 2));
        assert_eq!(report.sends, 4 + 3 * (rounds_sent - 1));
        rounds.round(u64::MAX, b"end");
        for peer in [0, 2] {
            assert_eq!(read(&mut peers[peer], 3), b"end");
        }
        drop(rounds);
        let mut taken = Vec::new();
        peers[1].read_to_end(&mut taken).unwrap();
        let whole = 2 * rounds_sent * 50_000 + taken.len() as u64;
        assert_eq!(report.bytes, whole, "what was taken is counted");
    }

    #[test]
    fn the_pace_does_not_drift() {
        let pace = Pace { origin_ns: 5, hz: 3 };
        let due: Vec<u64> = (1..=6).map(|number| pace.due_ns(number)).collect();
        assert_eq!(due[..3], [333_333_338, 666_666_671, 1_000_000_005]);
        assert_eq!(pace.due_ns(3_000_000_000), 5 + 1_000_000_000_000_000_000);
        assert_eq!(pace.due_ns(u64::MAX), u64::MAX);
    }
}
