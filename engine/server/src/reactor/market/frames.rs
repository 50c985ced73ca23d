//! Frames: an event is encoded at most once per format, wrapped at most once per stream name, and then shared.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode::combined;
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, frame_header};

use super::channel::Channel;
use super::payload::{Format, Payload, Published};
use super::{Frame, Mailbox, WorkerMessage};
use crate::reactor::mailbox::Refused;
use crate::reactor::messages::{TopicEnd, TopicToken};
use crate::session::encoding::Encoding;

/// How many formats there are: JSON in two units, and SBE.
const FORMATS: usize = 3;

pub(super) fn format_of(encoding: Encoding) -> Format {
    match encoding {
        Encoding::Json { time_unit, .. } => Format::Json(time_unit),
        Encoding::Sbe { .. } => Format::Sbe,
    }
}

/// The format of what is JSON for everybody.
pub(super) fn text_format_of(encoding: Encoding) -> Format {
    match format_of(encoding) {
        Format::Sbe => Format::Json(TimeUnit::Microsecond),
        format => format,
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

/// Whether a worker is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has enough to do with what it took, or something waits for it.
    pub(super) is_behind: bool,
    /// Something waits for it because its mailbox is full.
    pub(super) waits: bool,
    /// How often it has been through with what it took.
    pub(super) pauses: u64,
}

impl Standing {
    /// Whether it may be told now what has waited since it had paused `pauses` times. One that is always behind is so for each of its
    /// passes once: whatever it is told first in a pause makes it behind again, and what ticks more slowly, or comes by another
    /// stream, would else wait for a pause that falls on its own tick, for ever if need be.
    pub(super) fn is_ready(self, pauses: u64) -> bool {
        !self.is_behind || (!self.waits && self.pauses != pauses)
    }
}

/// What is to be handed to each worker, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    workers: Vec<Mailbox<WorkerMessage>>,
    waiting: Vec<VecDeque<WorkerMessage>>,
    /// Frames that wait for each.
    frames: Vec<usize>,
    /// Which workers are behind, and so are told in this turn only what cannot be told later in fewer events.
    standings: Vec<Standing>,
    /// Events that a worker was not told in this turn because it is behind.
    deferred: u64,
}

impl Outbox {
    pub(super) fn new(workers: Vec<Mailbox<WorkerMessage>>) -> Outbox {
        Outbox {
            waiting: workers.iter().map(|_| VecDeque::new()).collect(),
            frames: vec![0; workers.len()],
            standings: vec![Standing::default(); workers.len()],
            workers,
            deferred: 0,
        }
    }

    /// How many frames wait to be handed on.
    pub(super) fn frames(&self) -> usize {
        self.frames.iter().sum()
    }

    /// Looks which workers are behind: those that take no messages because they have enough to do, and those for which
    /// something waits.
    pub(super) fn look_who_is_behind(&mut self) {
        let waiting = self.waiting.iter().map(|waiting| !waiting.is_empty());
        for ((standing, worker), waits) in self.standings.iter_mut().zip(&self.workers).zip(waiting) {
            let (is_busy, pauses) = worker.busy_and_pauses();
            *standing = Standing {
                is_behind: waits || is_busy,
                waits,
                pauses,
            };
        }
    }

    /// From here on everybody is told everything.
    pub(super) fn let_nobody_wait(&mut self) {
        self.standings.fill(Standing::default());
    }

    /// How the workers stand, by their numbers.
    pub(super) fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// How one worker stands.
    pub(super) fn standing(&self, worker: usize) -> Standing {
        self.standings.get(worker).copied().unwrap_or_default()
    }

    /// Whether anything waits for a worker.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// Events that a worker was not told because it is behind, since this was last asked.
    pub(super) fn take_deferred(&mut self) -> u64 {
        std::mem::take(&mut self.deferred)
    }

    /// Publishes an event to a channel, whose book, where it is of one, stood at the id `before`. Workers that are behind are
    /// told of it later, if that can be.
    pub(super) fn publish(&mut self, channel: &mut Channel, frames: &mut EventFrames<'_>, before: u64) {
        self.publish_to_others(channel, frames, before, &[]);
    }

    /// The same to all workers but those that have been `told` just now.
    pub(super) fn publish_to_others(
        &mut self,
        channel: &mut Channel,
        frames: &mut EventFrames<'_>,
        before: u64,
        told: &[usize],
    ) {
        self.deferred += channel.defer(&self.standings, before, told) as u64;
        self.tell_topics(channel, frames, |worker| {
            !channel.owes(worker) && !told.contains(&worker)
        });
    }

    /// Publishes to one worker what it was not told of a channel before.
    pub(super) fn make_up(&mut self, channel: &Channel, worker: usize, frames: &mut EventFrames<'_>) {
        self.tell_topics(channel, frames, |outlet| outlet == worker);
    }

    /// Makes the frames of an event for the workers that `wants` names. Topics in whose format it does not fit are ended: they
    /// would have a gap.
    fn tell_topics(
        &mut self,
        channel: &Channel,
        frames: &mut EventFrames<'_>,
        wants: impl Fn(usize) -> bool,
    ) {
        let ids = frames.event.ids();
        for topic in &channel.topics {
            let outlets = || topic.outlets.iter().filter(|outlet| wants(outlet.worker));
            if outlets().next().is_none() {
                continue;
            }
            let format = frames.event.format(format_of(topic.encoding));
            let Some(raw) = frames.raw(format) else {
                outlets().for_each(|outlet| self.end(outlet.worker, outlet.token, TopicEnd::TooMuchAtOnce));
                continue;
            };
            let bytes = if topic.encoding.wraps_json() && format != Format::Sbe {
                let mut wrapped = Vec::with_capacity(raw.len() + 64);
                combined(&mut wrapped, &topic.text, payload(raw));
                frame(Opcode::Text, &wrapped)
            } else {
                raw.clone()
            };
            for outlet in outlets() {
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
        self.frames[worker] += 1;
        match waiting.back_mut() {
            Some(WorkerMessage::Batch(batch)) => batch.push(frame),
            _ => waiting.push_back(WorkerMessage::Batch(vec![frame])),
        }
    }

    /// Ends the topics of channels that cannot go on without a gap, behind what was published before.
    pub(super) fn end_all<'a>(&mut self, channels: impl Iterator<Item = &'a Channel>) {
        let outlets = channels
            .flat_map(|channel| &channel.topics)
            .flat_map(|topic| &topic.outlets);
        for outlet in outlets {
            self.end(outlet.worker, outlet.token, TopicEnd::TooMuchAtOnce);
        }
    }

    /// Ends a worker's topic, likewise.
    pub(super) fn end(&mut self, worker: usize, token: TopicToken, why: TopicEnd) {
        let Some(waiting) = self.waiting.get_mut(worker) else {
            return;
        };
        match waiting.back_mut() {
            Some(WorkerMessage::EndTopics(tokens, of)) if *of == why => tokens.push(token),
            _ => waiting.push_back(WorkerMessage::EndTopics(vec![token], why)),
        }
    }

    /// The workers for which more than `bound` frames wait.
    pub(super) fn overloaded(&self, bound: usize) -> Vec<usize> {
        let workers = self.frames.iter().enumerate();
        workers
            .filter(|(_, frames)| **frames > bound)
            .map(|(worker, _)| worker)
            .collect()
    }

    /// Forgets the frames of these topics that wait for a worker, and ends the topics in their place.
    pub(super) fn shed(&mut self, worker: usize, tokens: &HashSet<TopicToken>) {
        for message in &mut self.waiting[worker] {
            if let WorkerMessage::Batch(batch) = message {
                let before = batch.len();
                batch.retain(|frame| !tokens.contains(&frame.token));
                self.frames[worker] -= before - batch.len();
            }
        }
        for &token in tokens {
            self.end(worker, token, TopicEnd::EngineBehind);
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
        let waiting = self.waiting.iter_mut().zip(&mut self.frames);
        for (mailbox, (waiting, waiting_frames)) in self.workers.iter().zip(waiting) {
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
                    Ok(()) | Err(Refused::Ended) => *waiting_frames -= frames,
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
