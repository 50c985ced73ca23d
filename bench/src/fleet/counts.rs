//! What a fleet process counts, how a connection's frames come into it, and the report of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use depthcast_wire::ws::{Opcode, write_frame};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::order::{FleetReport, Format};
use super::plan::Duty;
use super::scan::Sink;
use super::sequence::{BENCH_HEAD_BYTES, BENCH_HEAD_BYTES_MIN, Sequence};
use super::slow::SlowReport;
use crate::clock::monotonic_ns;

/// The longest latency that is told apart, 100 s: a frame that waited longer counts as this. An engine gives up who is
/// 10 s behind.
pub const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// Significant digits of latencies: 0.1 %, in 230 KB.
const LATENCY_DIGITS: u8 = 3;

/// The masking key of what a fleet sends. A proxy that could be misled by a known one (RFC 6455 section 10.3) is not there
/// on loopback.
pub const MASKING_KEY: [u8; 4] = [0x5a, 0xc3, 0x96, 0x0f];

/// Why a latency cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("a histogram of latencies cannot be {0}")]
pub struct LatencyError(&'static str);

/// An empty histogram of latencies, nanoseconds.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX_NS, LATENCY_DIGITS)
        .expect("the bounds are constants that are within its range")
}

/// A histogram as a report has it: compressed V2, base64.
pub fn encode_histogram(histogram: &Histogram<u64>) -> Result<String, LatencyError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|_| LatencyError("written"))?;
    Ok(STANDARD.encode(bytes))
}

/// A histogram from a report.
pub fn decode_histogram(text: &str) -> Result<Histogram<u64>, LatencyError> {
    let unreadable = || LatencyError("read");
    let bytes = STANDARD.decode(text).map_err(|_| unreadable())?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|_| unreadable())
}

/// Adds a histogram from a report to a sum, which is none before the first.
pub fn add_histogram(sum: &mut Option<Histogram<u64>>, part: Option<&str>) -> Result<(), LatencyError> {
    let Some(part) = part else {
        return Ok(());
    };
    let part = decode_histogram(part)?;
    match sum {
        // All have the same bounds.
        Some(sum) => sum.add(part).map_err(|_| LatencyError("added to another")),
        None => {
            *sum = Some(part);
            Ok(())
        }
    }
}

/// The counts of all connections of a process.
#[derive(Debug)]
pub struct Counts {
    /// See [`FleetReport`] for these; since Begin.
    pub frames: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Reads that gave bytes.
    pub reads: u64,
    /// Writes.
    pub sends: u64,
    /// Pings answered.
    pub pings: u64,
    /// Frames of the bench format that were not the next of their stream.
    pub out_of_order: u64,
    /// Depth events that kept a book.
    pub book_events: u64,
    /// Depth events that did not continue their book, ever.
    pub book_gaps: u64,
    /// Connections the server closed, ever, by code.
    pub closed: BTreeMap<u16, u32>,
    /// Those that were to be closed, since they never caught up.
    pub closed_stalled: u32,
    /// What the slow readers came to, ever.
    pub slow: SlowReport,
    /// Broken frames, ever.
    pub malformed: u64,
    /// When the newest frame was published, ever.
    pub published_ns: u64,
    /// What went wrong first.
    pub first_fault: Option<String>,
    latency: Histogram<u64>,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            frames: 0,
            bytes: 0,
            reads: 0,
            sends: 0,
            pings: 0,
            out_of_order: 0,
            book_events: 0,
            book_gaps: 0,
            closed: BTreeMap::new(),
            closed_stalled: 0,
            slow: SlowReport::default(),
            malformed: 0,
            published_ns: 0,
            first_fault: None,
            latency: latencies(),
        }
    }
}

impl Counts {
    /// Begins anew with all that is counted since Begin.
    pub fn begin(&mut self) {
        *self = Counts {
            closed: std::mem::take(&mut self.closed),
            closed_stalled: self.closed_stalled,
            slow: std::mem::take(&mut self.slow),
            malformed: self.malformed,
            book_gaps: self.book_gaps,
            published_ns: self.published_ns,
            first_fault: self.first_fault.take(),
            ..Counts::default()
        };
    }

    /// Counts a connection of this duty that the server closed, with this code.
    pub fn close(&mut self, code: u16, duty: Duty) {
        *self.closed.entry(code).or_default() += 1;
        self.closed_stalled += u32::from(duty.is_doomed());
        self.slow.gone(duty, monotonic_ns());
    }

    /// Notes what went wrong with connection `number`, if it is the first.
    #[cold]
    pub fn fault(&mut self, number: u32, what: &dyn std::fmt::Display) {
        if self.first_fault.is_none() {
            self.first_fault = Some(format!("connection {number}: {what}"));
        }
    }

    /// The report; what is not counted here is left at zero. `format` decides whether there are latencies.
    pub fn report(&self, format: Format) -> Result<FleetReport, LatencyError> {
        let latency = match format {
            Format::Bench => Some(encode_histogram(&self.latency)?),
            Format::Json | Format::Sbe => None,
        };
        Ok(FleetReport {
            frames: self.frames,
            bytes: self.bytes,
            reads: self.reads,
            sends: self.sends,
            pings: self.pings,
            closed: self.closed.clone(),
            closed_stalled: self.closed_stalled,
            slow: self.slow.clone(),
            malformed: self.malformed,
            out_of_order: self.out_of_order,
            book_events: self.book_events,
            book_gaps: self.book_gaps,
            published_ns: self.published_ns,
            first_fault: self.first_fault.clone(),
            latency,
            ..FleetReport::default()
        })
    }
}

/// What the control frames of one read ask for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Pongs to send: at most three times the bytes of the read, for empty pings.
    pub replies: Vec<u8>,
    /// Pings that they answer.
    pub pings: u64,
    /// The code of the server's Close.
    pub close: Option<u16>,
}

impl Asked {
    /// A Ping is answered with what it says.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        if opcode == Opcode::Ping {
            write_frame(&mut self.replies, Opcode::Pong, payload, Some(MASKING_KEY));
            self.pings += 1;
        }
    }
}

/// Takes frames of any payload.
#[derive(Debug)]
pub struct Plain<'c> {
    /// Data frames.
    pub frames: u64,
    /// What control frames ask for.
    pub asked: &'c mut Asked,
}

impl Sink for Plain<'_> {
    const HEAD_BYTES: usize = 0;

    #[inline]
    fn data(&mut self, _head: &[u8]) {
        self.frames += 1;
    }

    fn continuation(&mut self) {
        self.frames += 1;
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.asked.control(opcode, payload);
    }

    fn close(&mut self, code: u16) {
        self.asked.close = Some(code);
    }
}

/// Takes frames of the bench format that came with one read.
#[derive(Debug)]
pub struct Timed<'c> {
    /// Where they are counted.
    pub counts: &'c mut Counts,
    /// What control frames ask for.
    pub asked: &'c mut Asked,
    /// The connection's streams.
    pub sequence: &'c mut Sequence,
    /// The connection's number.
    pub number: u32,
    /// When they came, CLOCK_MONOTONIC.
    pub received_ns: u64,
    /// The frames published at this time that are not in the histogram yet: those of one tick come together.
    run: (u64, u64),
}

impl<'c> Timed<'c> {
    /// For one read.
    pub fn new(
        counts: &'c mut Counts,
        asked: &'c mut Asked,
        sequence: &'c mut Sequence,
        number: u32,
        received_ns: u64,
    ) -> Timed<'c> {
        Timed {
            counts,
            asked,
            sequence,
            number,
            received_ns,
            run: (0, 0),
        }
    }

    fn end_run(&mut self) {
        let (published_ns, frames) = self.run;
        if frames > 0 {
            let latency_ns = self.received_ns.saturating_sub(published_ns).min(LATENCY_MAX_NS);
            self.counts.latency.saturating_record_n(latency_ns, frames);
            self.counts.published_ns = self.counts.published_ns.max(published_ns);
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.end_run();
    }
}

impl Sink for Timed<'_> {
    const HEAD_BYTES: usize = BENCH_HEAD_BYTES;

    #[inline]
    fn data(&mut self, head: &[u8]) {
        self.counts.frames += 1;
        if let Err(fault) = self.sequence.check(head) {
            self.counts.out_of_order += 1;
            self.counts.fault(self.number, &fault);
        }
        if let (Some(&published), BENCH_HEAD_BYTES_MIN..) = (head.first_chunk(), head.len()) {
            let published_ns = u64::from_le_bytes(published);
            if published_ns != self.run.0 {
                self.end_run();
                self.run = (published_ns, 0);
            }
            self.run.1 += 1;
        }
    }

    fn continuation(&mut self) {
        self.counts.frames += 1;
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.asked.control(opcode, payload);
    }

    fn close(&mut self, code: u16) {
        self.asked.close = Some(code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::scan::Scanner;
    use depthcast_wire::ws::server_frame;

    fn bench_frame(published_ns: u64, number: u64) -> Vec<u8> {
        let payload = [&published_ns.to_le_bytes()[..], &number.to_le_bytes(), &[0; 112]].concat();
        server_frame(Opcode::Binary, &payload)
    }

    #[test]
    fn the_latency_of_every_frame_is_in_the_report() {
        let mut counts = Counts::default();
        let mut asked = Asked::default();
        let mut sequence = Sequence::new(1);
        let mut scanner = Scanner::default();
        let bytes = [
            bench_frame(1000, 5),
            bench_frame(1000, 6),
            bench_frame(3000, 7),
            bench_frame(0, 9),
        ]
        .concat();
        for (piece, received_ns) in bytes.chunks(200).zip((1..).map(|n| n * 10_000)) {
            let mut sink = Timed::new(&mut counts, &mut asked, &mut sequence, 3, received_ns);
            scanner.scan(piece, &mut sink).unwrap();
        }
        let report = counts.report(Format::Bench).unwrap();
        assert_eq!((report.frames, report.out_of_order), (4, 1));
        assert_eq!(
            report.first_fault.as_deref(),
            Some("connection 3: frame 9 of a stream came where 8 was expected")
        );
        let latency = decode_histogram(report.latency.as_deref().unwrap()).unwrap();
        // Each counts with the read that brought its last byte.
        let expected = [10_000 - 1000, 20_000 - 1000, 20_000 - 3000, 30_000];
        assert_eq!(latency.len(), 4);
        for value in expected {
            assert_eq!(latency.count_at(value), 1, "{value}");
        }

        counts.begin();
        let report = counts.report(Format::Bench).unwrap();
        assert_eq!((report.frames, report.out_of_order), (0, 0));
        assert!(report.first_fault.is_some());
        assert_eq!(
            decode_histogram(report.latency.as_deref().unwrap())
                .unwrap()
                .len(),
            0
        );
        assert!(counts.report(Format::Json).unwrap().latency.is_none());
    }

    #[test]
    fn pings_are_answered_with_their_payload_masked() {
        let mut asked = Asked::default();
        let mut sink = Plain {
            frames: 0,
            asked: &mut asked,
        };
        let bytes = [
            server_frame(Opcode::Ping, b"now"),
            server_frame(Opcode::Close, &[3, 232]),
        ]
        .concat();
        Scanner::default().scan(&bytes, &mut sink).unwrap();
        assert_eq!((asked.pings, asked.close), (1, Some(1000)));
        let key = MASKING_KEY;
        let masked: Vec<u8> = b"now".iter().zip(key).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(asked.replies, [&[0x8a, 0x83][..], &key, &masked].concat());
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(decode_histogram("?").is_err());
        assert!(decode_histogram("aGVsbG8=").is_err());
    }
}
