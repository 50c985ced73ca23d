//! Frames: an event is encoded at most once per format, wrapped at most once per stream name, and then shared.

use std::collections::VecDeque;

use bytes::Bytes;
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode::combined;
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, frame_header};

use super::channel::{Channel, Topic};
use super::payload::{Format, Payload, Published};
use super::{Frame, Mailbox, WorkerMessage};
use crate::reactor::mailbox::Refused;
use crate::session::encoding::Encoding;

/// How many formats there are: JSON in two units, and SBE.
const FORMATS: usize = 3;

pub(super) fn format_of(encoding: Encoding) -> Format {
    match encoding {
        Encoding::Json { time_unit, .. } => Format::Json(time_unit),
        Encoding::Sbe { .. } => Format::Sbe,
    }
}

fn index_of(format: Format) -> usize {
    match format {
        Format::Json(TimeUnit::Millisecond) => 0,
        Format::Json(TimeUnit::Microsecond) => 1,
        Format::Sbe => 2,
    }
}

pub(super) fn opcode_of(format: Format) -> Opcode {
    match format {
        Format::Json(_) => Opcode::Text,
        Format::Sbe => Opcode::Binary,
    }
}

/// One event in the formats that somebody wanted so far. Made for an event and dropped with it.
#[derive(Debug)]
pub(super) struct EventFrames<'e> {
    event: Published<'e>,
    /// Raw frames by format, header included; an inner None where the event does not fit the format.
    raw: [Option<Option<Bytes>>; FORMATS],
}

impl<'e> EventFrames<'e> {
    pub(super) fn new(instrument: &'e Instrument, payload: Payload<'e>) -> EventFrames<'e> {
        EventFrames::of(Published::Symbol(instrument, payload))
    }

    pub(super) fn of(event: Published<'e>) -> EventFrames<'e> {
        EventFrames {
            event,
            raw: [const { None }; FORMATS],
        }
    }

    /// The event as a frame for raw subscribers, encoded the first time a format is asked for. None where it does not
    /// fit.
    fn raw(&mut self, format: Format) -> Option<&Bytes> {
        let event = self.event;
        let made = self.raw[index_of(format)].get_or_insert_with(|| {
            let mut payload = Vec::new();
            match event.encode(format, &mut payload) {
                Ok(()) => Some(frame(opcode_of(format), &payload)),
                Err(error) => {
                    tracing::error!(symbol = event.symbol(), %error, "subscribers of an event are closed");
                    None
                }
            }
        });
        made.as_ref()
    }
}

/// A whole server frame in memory of exactly its size.
pub(super) fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
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

/// What is to be handed to each worker, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    workers: Vec<Mailbox<WorkerMessage>>,
    waiting: Vec<VecDeque<WorkerMessage>>,
    /// Frames that wait, over all workers.
    frames: usize,
}

impl Outbox {
    pub(super) fn new(workers: Vec<Mailbox<WorkerMessage>>) -> Outbox {
        let waiting = workers.iter().map(|_| VecDeque::new()).collect();
        Outbox {
            workers,
            waiting,
            frames: 0,
        }
    }

    /// How many frames wait to be handed on.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Publishes an event to a channel. Topics in whose format it does not fit are ended: they would have a gap.
    pub(super) fn publish(&mut self, channel: &Channel, frames: &mut EventFrames<'_>) {
        let ids = frames.event.ids();
        for topic in &channel.topics {
            let format = frames.event.format(format_of(topic.encoding));
            let Some(raw) = frames.raw(format) else {
                self.end_topic(topic);
                continue;
            };
            let bytes = if topic.encoding.wraps_json() && format != Format::Sbe {
                let mut wrapped = Vec::with_capacity(raw.len() + 64);
                combined(&mut wrapped, &topic.text, payload(raw));
                frame(Opcode::Text, &wrapped)
            } else {
                raw.clone()
            };
            for outlet in &topic.outlets {
                self.push(
                    outlet.worker,
                    Frame {
                        token: outlet.token,
                        bytes: bytes.clone(),
                        ids,
                    },
                );
            }
        }
    }

    /// Tells one worker something, behind what was published before.
    pub(super) fn tell(&mut self, worker: usize, message: WorkerMessage) {
        if let Some(waiting) = self.waiting.get_mut(worker) {
            waiting.push_back(message);
        }
    }

    fn push(&mut self, worker: usize, frame: Frame) {
        let Some(waiting) = self.waiting.get_mut(worker) else {
            return;
        };
        self.frames += 1;
        match waiting.back_mut() {
            Some(WorkerMessage::Batch(batch)) => batch.push(frame),
            _ => waiting.push_back(WorkerMessage::Batch(vec![frame])),
        }
    }

    /// Ends the topics of channels that cannot go on without a gap, behind what was published before.
    pub(super) fn end<'a>(&mut self, channels: impl Iterator<Item = &'a Channel>) {
        channels
            .flat_map(|channel| &channel.topics)
            .for_each(|topic| self.end_topic(topic));
    }

    fn end_topic(&mut self, topic: &Topic) {
        for outlet in &topic.outlets {
            let Some(waiting) = self.waiting.get_mut(outlet.worker) else {
                continue;
            };
            match waiting.back_mut() {
                Some(WorkerMessage::EndTopics(tokens)) => tokens.push(outlet.token),
                _ => waiting.push_back(WorkerMessage::EndTopics(vec![outlet.token])),
            }
        }
    }

    /// Tells every worker something, behind what was published before.
    pub(super) fn tell_all(&mut self, message: impl Fn() -> WorkerMessage) {
        self.waiting
            .iter_mut()
            .for_each(|waiting| waiting.push_back(message()));
    }

    /// Hands each worker what waits for it, as far as its mailbox has room. True when nothing waits any more.
    pub(super) fn try_hand_on(&mut self) -> bool {
        let mut all = true;
        for (mailbox, waiting) in self.workers.iter().zip(&mut self.waiting) {
            while let Some(message) = waiting.pop_front() {
                let frames = match &message {
                    WorkerMessage::Batch(batch) => batch.len(),
                    _ => 0,
                };
                match mailbox.try_send(message) {
                    Err(Refused::Full(message)) => {
                        waiting.push_front(message);
                        all = false;
                        break;
                    }
                    // A worker that has ended needs no frames: the engine is stopping.
                    Ok(()) | Err(Refused::Ended) => self.frames -= frames,
                }
            }
        }
        all
    }
}

#[cfg(test)]
impl Outbox {
    /// What was not handed on yet, and for which worker.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, &WorkerMessage)> {
        let workers = self.waiting.iter().enumerate();
        workers.flat_map(|(worker, waiting)| waiting.iter().map(move |message| (worker, message)))
    }
}
