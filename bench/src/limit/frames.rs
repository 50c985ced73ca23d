//! The bytes that the bare loop sends: one buffer whose times and numbers are written anew for each round, or the events of
//! a recorded market, encoded beforehand.
//!
//! The payload of a made frame, integers little-endian:
//!
//! ```text
//! 0..8    when its round was due, CLOCK_MONOTONIC, ns, u64: a round that begins late is late for all it sends
//! 8..16   its number, u64, from 0
//! 16..20  its stream, u32: 0; where the payload has room for it
//! ..      filler
//! ```

use depthcast_feed_sim::capture::{CaptureError, CaptureReader};
use depthcast_market::event::{DepthUpdate, MarketEvent};
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::{Symbol, encode as json};
use depthcast_wire::sbe::{EncodeError, encode as sbe};
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, server_frame, write_frame};
use std::path::Path;

use crate::fleet::order::Format;

/// The least payload: a time and a number.
pub(super) const SIZE_MIN: u32 = 16;

/// The most bytes of one send: more than a socket's buffer ever takes at once (`net.ipv4.tcp_wmem`, 4 MiB by default).
pub(super) const SEND_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The most bytes of a recording's frames, all in memory: an hour of a busy symbol is some 100 MB.
pub(super) const RECORDED_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What fills a payload behind its numbers.
const FILLER: u8 = b'.';

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum FramesError {
    /// The order asks for a frame that cannot be.
    #[error(
        "frames of {size} bytes, {burst} in a send: a frame has {SIZE_MIN} bytes or more, a send one frame or more and at most {SEND_BYTES_MAX} bytes"
    )]
    Size {
        /// Payload bytes of a frame.
        size: u32,
        /// Frames in one send.
        burst: u32,
    },
    /// The recording cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It has no depth events of the stream behind a snapshot.
    #[error("the recording has no depth events of {stream} that continue a snapshot")]
    NoEvents {
        /// The stream.
        stream: String,
    },
    /// It is more than is kept in memory.
    #[error("the recording's events of {stream} are more than {RECORDED_BYTES_MAX} bytes")]
    TooLong {
        /// The stream.
        stream: String,
    },
    /// A recording has depth events, and the frames of the bench are made.
    #[error("a recording is sent as JSON or SBE")]
    NoFormat,
    /// An event is more than an SBE message holds.
    #[error("an event of the recording does not fit SBE: {0}")]
    Sbe(#[from] EncodeError),
}

/// `burst` frames in one buffer.
#[derive(Debug)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    /// Where each frame's payload begins.
    payloads: Vec<usize>,
    /// The number of the next frame.
    next_number: u64,
}

impl Burst {
    pub(super) fn new(size: u32, burst: u32) -> Result<Burst, FramesError> {
        let fault = FramesError::Size { size, burst };
        if size < SIZE_MIN || burst == 0 || u64::from(size) * u64::from(burst) > SEND_BYTES_MAX {
            return Err(fault);
        }
        let mut payload = vec![FILLER; usize::try_from(size).map_err(|_| fault)?];
        if let Some(stream) = payload.get_mut(16..20) {
            stream.copy_from_slice(&0_u32.to_le_bytes());
        }
        let mut bytes = Vec::new();
        let mut payloads = Vec::new();
        for _ in 0..burst {
            write_frame(&mut bytes, Opcode::Binary, &payload, None);
            payloads.push(bytes.len() - payload.len());
        }
        Ok(Burst {
            bytes,
            payloads,
            next_number: 0,
        })
    }

    /// The bytes of the next round, which is due at `due_ns`.
    pub(super) fn next(&mut self, due_ns: u64) -> &[u8] {
        for &at in &self.payloads {
            // A payload has 16 bytes at least.
            self.bytes[at..at + 8].copy_from_slice(&due_ns.to_le_bytes());
            self.bytes[at + 8..at + 16].copy_from_slice(&self.next_number.to_le_bytes());
            self.next_number += 1;
        }
        &self.bytes
    }
}

/// One event of a recording as it is sent.
#[derive(Debug)]
pub(super) struct RecordedFrame {
    /// When, ns after the first.
    pub(super) at_ns: u64,
    /// The frame, header included.
    pub(super) bytes: Vec<u8>,
}

/// Reads the depth events of `stream` that continue the recording's snapshot, as the engine publishes them: those before
/// it that are newer come with it. Further snapshots change nothing, for the events go on by themselves.
pub(super) fn recorded(
    capture: &Path,
    stream: &str,
    format: Format,
) -> Result<Vec<RecordedFrame>, FramesError> {
    let no_events = || FramesError::NoEvents {
        stream: stream.into(),
    };
    let mut reader = CaptureReader::open(capture)?;
    let symbol = Symbol::of_stream(stream).ok_or_else(no_events)?;
    let instrument = reader
        .head()
        .symbols
        .iter()
        .find(|known| known.instrument.name() == symbol.as_str())
        .map(|known| known.instrument.clone())
        .ok_or_else(no_events)?;
    let mut frames = Frames {
        instrument,
        format,
        sent: Vec::new(),
        bytes: 0,
        first_ns: None,
    };
    let mut early = Vec::new();
    let mut has_snapshot = false;
    while let Some(record) = reader.next_record()? {
        if record.symbol != symbol {
            continue;
        }
        match record.event {
            MarketEvent::Snapshot(whole) if !has_snapshot => {
                has_snapshot = true;
                early.retain(|update: &DepthUpdate| update.last_id > whole.last_id);
                for update in &early {
                    frames.push(record.at_ns, update)?;
                }
            }
            MarketEvent::Depth(update) if record.stream.as_deref().is_none_or(|name| name == stream) => {
                if has_snapshot {
                    frames.push(record.at_ns, &update)?;
                } else {
                    early.push(update);
                }
            }
            _ => {}
        }
        if frames.bytes > RECORDED_BYTES_MAX {
            return Err(FramesError::TooLong {
                stream: stream.into(),
            });
        }
    }
    if frames.sent.is_empty() {
        return Err(no_events());
    }
    Ok(frames.sent)
}

/// Frames of a recording while it is read.
struct Frames {
    instrument: Instrument,
    format: Format,
    sent: Vec<RecordedFrame>,
    /// Of all frames.
    bytes: usize,
    first_ns: Option<u64>,
}

impl Frames {
    fn push(&mut self, at_ns: u64, update: &DepthUpdate) -> Result<(), FramesError> {
        let mut payload = Vec::new();
        let opcode = match self.format {
            Format::Json => {
                json::depth_update(&mut payload, &self.instrument, TimeUnit::Millisecond, update);
                Opcode::Text
            }
            Format::Sbe => {
                sbe::depth_diff(&mut payload, &self.instrument, update)?;
                Opcode::Binary
            }
            Format::Bench => return Err(FramesError::NoFormat),
        };
        let bytes = server_frame(opcode, &payload);
        self.bytes += bytes.len();
        // The receive times of a recording never go back.
        let at_ns = at_ns - *self.first_ns.get_or_insert(at_ns);
        self.sent.push(RecordedFrame { at_ns, bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use depthcast_wire::ws::{Incoming, MessageReader, Role};

    use super::*;

    fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = MessageReader::new(Role::Client, 1 << 20);
        let mut found = Vec::new();
        while let Some(message) = reader.next(&mut bytes).unwrap() {
            match message {
                Incoming::Binary(payload) => found.push(payload.to_vec()),
                Incoming::Text(text) => found.push(text.as_bytes().to_vec()),
                other => panic!("{other:?}"),
            }
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn each_round_has_its_time_and_goes_on_counting() {
        let mut burst = Burst::new(130, 3).unwrap();
        for round in 0..2_u64 {
            let due_ns = 1_000 + round;
            let found = payloads(burst.next(due_ns));
            assert_eq!(found.len(), 3);
            for (number, payload) in (3 * round..).zip(found) {
                assert_eq!(payload.len(), 130);
                assert_eq!(payload[..8], due_ns.to_le_bytes());
                assert_eq!(payload[8..16], number.to_le_bytes());
                assert_eq!(payload[16..20], [0; 4]);
                assert!(payload[20..].iter().all(|&byte| byte == FILLER));
            }
        }
        let mut least = Burst::new(16, 1).unwrap();
        assert_eq!(payloads(least.next(7))[0].len(), 16);
    }

    #[test]
    fn what_is_no_frame_or_too_much_is_refused() {
        for (size, burst) in [(15, 1), (16, 0), (1 << 20, 5), (u32::MAX, u32::MAX)] {
            assert!(
                matches!(Burst::new(size, burst), Err(FramesError::Size { .. })),
                "{size} {burst}"
            );
        }
        Burst::new(1 << 20, 4).unwrap();
    }

    /// A capture of three events around a snapshot of id 10; the first is older than it.
    const CAPTURE: &str = r#"1000 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":8,"u":9,"b":[["1.00","2.0"]],"a":[]}}
1500 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":10,"u":11,"b":[["1.00","2.0"]],"a":[]}}
1700 {"stream":"btcusdt@trade","data":{"e":"trade","E":5,"s":"BTCUSDT","t":3,"p":"1.00","q":"2.0","T":5,"m":true,"M":true}}
2000 {"lastUpdateId":10,"bids":[["1.00","1.0"]],"asks":[["2.00","1.0"]]}
2500 {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":6,"s":"BTCUSDT","U":12,"u":12,"b":[],"a":[["2.00","0.5"]]}}
"#;

    fn with_capture<T>(name: &str, take: impl FnOnce(&Path) -> T) -> T {
        let path = std::env::temp_dir().join(format!("depthcast-bench-{name}-{}", std::process::id()));
        std::fs::write(&path, CAPTURE).unwrap();
        let taken = take(&path);
        std::fs::remove_file(&path).unwrap();
        taken
    }

    #[test]
    fn a_recording_is_sent_as_the_engine_would() {
        let stream = "btcusdt@depth@100ms";
        let (json, sbe) = with_capture("recorded", |path| {
            let json = recorded(path, stream, Format::Json).unwrap();
            (json, recorded(path, stream, Format::Sbe).unwrap())
        });
        let at: Vec<u64> = json.iter().map(|frame| frame.at_ns).collect();
        assert_eq!(at, [0, 500], "from the snapshot on");
        assert_eq!(
            payloads(&json[0].bytes),
            [br#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":10,"u":11,"b":[["1.00","2.0"]],"a":[]}"#]
        );
        assert_eq!(json[0].bytes[0], 0x81, "text");
        assert_eq!(sbe.len(), 2);
        assert_eq!(sbe[0].bytes[0], 0x82, "binary");
    }

    #[test]
    fn a_recording_without_the_stream_is_refused() {
        with_capture("refused", |path| {
            for stream in ["btcusdt@depth", "ethusdt@depth@100ms", "btcusdt"] {
                let error = recorded(path, stream, Format::Json).unwrap_err();
                assert!(matches!(error, FramesError::NoEvents { .. }), "{stream}: {error}");
            }
            let error = recorded(path, "btcusdt@depth@100ms", Format::Bench).unwrap_err();
            assert!(matches!(error, FramesError::NoFormat), "{error}");
        });
    }
}
