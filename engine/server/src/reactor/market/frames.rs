//! Frames: an event is encoded at most once per format, wrapped at most once per stream name, and then shared.

use bytes::Bytes;
use depthcast_wire::json::encode::combined;
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, frame_header};

use super::channel::Channel;
use super::{Frame, Mailbox, TopicToken, WorkerMessage};
use crate::session::encoding::Encoding;

/// The ways to write an event's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json(TimeUnit),
    Sbe,
}

impl Format {
    const COUNT: usize = 3;

    fn of(encoding: Encoding) -> Format {
        match encoding {
            Encoding::Json { time_unit, .. } => Format::Json(time_unit),
            Encoding::Sbe => Format::Sbe,
        }
    }

    fn index(self) -> usize {
        match self {
            Format::Json(TimeUnit::Millisecond) => 0,
            Format::Json(TimeUnit::Microsecond) => 1,
            Format::Sbe => 2,
        }
    }

    fn opcode(self) -> Opcode {
        match self {
            Format::Json(_) => Opcode::Text,
            Format::Sbe => Opcode::Binary,
        }
    }
}

/// One event in the formats that somebody wanted so far. Made for an event and dropped with it.
#[derive(Debug, Default)]
pub(super) struct EventFrames {
    /// Raw frames by format, header included.
    raw: [Option<Bytes>; Format::COUNT],
}

impl EventFrames {
    /// The event as a frame for raw subscribers; `encode` writes its payload the first time a format is asked for.
    fn raw(&mut self, format: Format, encode: &mut impl FnMut(Format, &mut Vec<u8>)) -> &Bytes {
        self.raw[format.index()].get_or_insert_with(|| {
            let mut payload = Vec::new();
            encode(format, &mut payload);
            frame(format.opcode(), &payload)
        })
    }
}

/// A whole server frame in memory of exactly its size.
fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = frame_header(opcode, true, payload.len(), None);
    let mut frame = Vec::with_capacity(header.as_slice().len() + payload.len());
    frame.extend_from_slice(header.as_slice());
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}

/// The payload of a server frame: what follows a header of 2, 4 or 10 bytes (RFC 6455 section 5.2).
fn payload(frame: &[u8]) -> &[u8] {
    let header_len = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(header_len..).unwrap_or_default()
}

/// The frames that are to be handed to each worker.
#[derive(Debug)]
pub(super) struct Outbox {
    workers: Vec<Mailbox<WorkerMessage>>,
    batches: Vec<Vec<Frame>>,
    batch_frames_max: usize,
}

impl Outbox {
    pub(super) fn new(workers: Vec<Mailbox<WorkerMessage>>, batch_frames_max: usize) -> Outbox {
        let batches = workers.iter().map(|_| Vec::new()).collect();
        Outbox {
            workers,
            batches,
            batch_frames_max,
        }
    }

    /// Publishes an event to a channel.
    pub(super) fn publish(
        &mut self,
        channel: &Channel,
        frames: &mut EventFrames,
        mut encode: impl FnMut(Format, &mut Vec<u8>),
    ) {
        for topic in &channel.topics {
            let raw = frames.raw(Format::of(topic.encoding), &mut encode);
            let bytes = if topic.encoding.is_combined() {
                let mut wrapped = Vec::with_capacity(raw.len() + 64);
                combined(&mut wrapped, &topic.text, payload(raw));
                frame(Opcode::Text, &wrapped)
            } else {
                raw.clone()
            };
            for outlet in &topic.outlets {
                if let Some(batch) = self.batches.get_mut(outlet.worker) {
                    batch.push(Frame {
                        token: outlet.token,
                        bytes: bytes.clone(),
                    });
                }
            }
        }
        if self
            .batches
            .iter()
            .any(|batch| batch.len() >= self.batch_frames_max)
        {
            self.hand_on();
        }
    }

    /// Ends the topics of channels that cannot go on without a gap, behind what was published before.
    pub(super) fn end<'a>(&mut self, channels: impl Iterator<Item = &'a Channel>) {
        let mut ended: Vec<Vec<TopicToken>> = self.workers.iter().map(|_| Vec::new()).collect();
        for outlet in channels
            .flat_map(|channel| &channel.topics)
            .flat_map(|topic| &topic.outlets)
        {
            if let Some(tokens) = ended.get_mut(outlet.worker) {
                tokens.push(outlet.token);
            }
        }
        self.hand_on();
        for (mailbox, tokens) in self.workers.iter().zip(ended) {
            if !tokens.is_empty() {
                let _ = mailbox.send(WorkerMessage::EndTopics(tokens));
            }
        }
    }

    /// Hands each worker what was published for it since the last time.
    pub(super) fn hand_on(&mut self) {
        for (mailbox, batch) in self.workers.iter().zip(&mut self.batches) {
            if !batch.is_empty() {
                // A worker that has ended needs no frames: the engine is stopping.
                let _ = mailbox.send(WorkerMessage::Batch(std::mem::take(batch)));
            }
        }
    }

    /// Sends every worker a message.
    pub(super) fn tell_all(&self, message: impl Fn() -> WorkerMessage) {
        for mailbox in &self.workers {
            let _ = mailbox.send(message());
        }
    }
}
