//! The market thread's part: it reads the worker's requests when a step says so, publishes what is wanted, and answers joins
//! when a step says so.

use std::collections::VecDeque;

use bytes::Bytes;
use depthcast_wire::stream::{StreamKind, StreamName};
use depthcast_wire::ws::{Opcode, server_frame};

use super::owed::Item;
use super::speech::STREAMS;
use super::{Checked, ensure, reader};
use crate::fanout::Ids;
use crate::reactor::messages::{
    Begin, Body, Frame, JoinError, MarketRequest, TopicEnd, TopicToken, WorkerMessage,
};
use crate::session::encoding::Encoding;

/// Why joins fail and histories end.
pub(super) const REFUSAL: &str = "no snapshot of this book can be taken";
pub(super) const HISTORY: &str = "the feed began anew";

/// Something of one stream as it is written in one encoding: an event, or a snapshot after one.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: StreamName,
    pub(super) encoding: Encoding,
    /// Its number in the stream, or of the last event that it contains.
    pub(super) number: u64,
    pub(super) item: Item,
    /// As it is sent.
    pub(super) bytes: Bytes,
}

impl Event {
    /// One of `len` bytes, or more where its name alone is longer, that is like no other.
    fn new(what: &str, name: StreamName, encoding: Encoding, number: u64, len: usize) -> Event {
        let mut payload = format!("{what} {name} {encoding:?} {number} ").into_bytes();
        payload.resize(len.max(payload.len()), b'.');
        let is_binary = encoding.is_sbe() && name.kind.has_sbe();
        let (opcode, number_of_opcode) = if is_binary {
            (Opcode::Binary, reader::BINARY)
        } else {
            (Opcode::Text, reader::TEXT)
        };
        let bytes = server_frame(opcode, &payload).into();
        let payload = payload.into();
        let item = Item::Frame {
            opcode: number_of_opcode,
            payload,
        };
        Event {
            name,
            encoding,
            number,
            item,
            bytes,
        }
    }
}

impl Event {
    fn as_body(&self) -> Body {
        Body {
            name: self.name,
            bytes: self.bytes.clone(),
            ids: Ids {
                first: 0,
                last: self.number,
            },
        }
    }
}

/// A message to the worker, as the model has to know it.
#[derive(Debug)]
pub(super) enum Post {
    Batch(Vec<(TopicToken, Event)>),
    Joined {
        connection: u32,
        number: u32,
        snapshots: Result<Vec<Event>, &'static str>,
    },
    EndTopic(TopicToken),
    Epoch {
        id: u64,
        ends: Option<&'static str>,
    },
}

impl Post {
    pub(super) fn message(&self) -> WorkerMessage {
        match self {
            Post::Batch(events) => {
                let frame = |(token, event): &(TopicToken, Event)| Frame {
                    token: *token,
                    bytes: event.bytes.clone(),
                    ids: Ids {
                        first: event.number,
                        last: event.number,
                    },
                };
                WorkerMessage::Batch(events.iter().map(frame).collect())
            }
            Post::Joined {
                connection,
                number,
                snapshots,
            } => WorkerMessage::Joined {
                connection: *connection,
                number: *number,
                bodies: snapshots
                    .as_ref()
                    .map(|snapshots| snapshots.iter().map(Event::as_body).collect())
                    .map_err(|reason| JoinError::Bound(reason)),
            },
            Post::EndTopic(token) => WorkerMessage::EndTopics(vec![*token], why_ended(*token)),
            Post::Epoch { id, ends } => WorkerMessage::Epoch { id: *id, ends: *ends },
        }
    }
}

/// Why a topic ends: for either reason, by its name.
pub(super) fn why_ended(token: TopicToken) -> TopicEnd {
    if token.topic.is_multiple_of(2) {
        TopicEnd::TooMuchAtOnce
    } else {
        TopicEnd::EngineBehind
    }
}

struct Join {
    connection: u32,
    number: u32,
    begins: Vec<Begin>,
    encoding: Encoding,
}

#[derive(Default)]
pub(super) struct Market {
    /// Requests on their way.
    pub(super) inbox: VecDeque<MarketRequest>,
    /// Messages on their way to the worker.
    pub(super) outbox: VecDeque<Post>,
    wanted: Vec<(TopicToken, StreamName, Encoding)>,
    joins: Vec<Join>,
    /// The number of the last event of each stream.
    numbers: [u64; STREAMS_COUNT],
    epochs: u64,
}

const STREAMS_COUNT: usize = 5;

impl Market {
    /// Whether nothing is wanted, awaited or on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.outbox.is_empty() && self.wanted.is_empty() && self.joins.is_empty()
    }

    /// Reads so many requests.
    pub(super) fn read(&mut self, count: usize) -> Checked {
        for _ in 0..count.min(self.inbox.len()) {
            match self.inbox.pop_front() {
                Some(MarketRequest::Want {
                    token,
                    name,
                    encoding,
                    ..
                }) => {
                    let is_known = |wanted: &(TopicToken, StreamName, Encoding)| {
                        wanted.0 == token || (wanted.1, wanted.2) == (name, encoding)
                    };
                    ensure!(!self.wanted.iter().any(is_known), "{name} is wanted twice");
                    self.wanted.push((token, name, encoding));
                }
                Some(MarketRequest::Unwant { token, .. }) => {
                    let before = self.wanted.len();
                    self.wanted.retain(|wanted| wanted.0 != token);
                    ensure!(self.wanted.len() < before, "{token:?} is not wanted anyhow");
                }
                Some(MarketRequest::Join {
                    connection,
                    number,
                    begins,
                    encoding,
                    ..
                }) => {
                    self.joins.retain(|join| join.connection != connection);
                    for Begin { name, .. } in &begins {
                        let is_wanted = |wanted: &(TopicToken, StreamName, Encoding)| wanted.1 == *name;
                        ensure!(
                            self.wanted.iter().any(is_wanted),
                            "{name} is joined and not wanted"
                        );
                    }
                    self.joins.push(Join {
                        connection,
                        number,
                        begins,
                        encoding,
                    });
                }
                Some(MarketRequest::Leave { connection, .. }) => {
                    self.joins.retain(|join| join.connection != connection);
                }
                other => return Err(format!("asked for {other:?}")),
            }
        }
        Ok(())
    }

    /// So many events, in turns of the streams of which the mask has the bit.
    pub(super) fn publish(&mut self, mask: u8, count: usize, len: usize) {
        let of_mask: Vec<usize> = (0..STREAMS_COUNT).filter(|n| mask >> n & 1 == 1).collect();
        let mut batch = Vec::new();
        for &stream in of_mask
            .iter()
            .cycle()
            .take(if of_mask.is_empty() { 0 } else { count })
        {
            self.numbers[stream] += 1;
            let (name, number) = (STREAMS[stream], self.numbers[stream]);
            for &(token, _, encoding) in self.wanted.iter().filter(|wanted| wanted.1 == name) {
                batch.push((token, Event::new("event", name, encoding, number, len)));
            }
        }
        if !batch.is_empty() {
            self.outbox.push_back(Post::Batch(batch));
        }
    }

    /// Lets one of those that wait begin, or tells it that it cannot.
    pub(super) fn answer(&mut self, which: usize, is_good: bool) {
        if self.joins.is_empty() {
            return;
        }
        let join = self.joins.swap_remove(which % self.joins.len());
        let snapshot = |Begin { name, .. }: &Begin| {
            let number = STREAMS
                .iter()
                .position(|stream| stream == name)
                .map_or(0, |n| self.numbers[n]);
            debug_assert_eq!(name.kind, StreamKind::Depth);
            Event::new("snapshot", *name, join.encoding, number, 300)
        };
        let snapshots = if is_good {
            Ok(join.begins.iter().map(snapshot).collect())
        } else {
            Err(REFUSAL)
        };
        self.outbox.push_back(Post::Joined {
            connection: join.connection,
            number: join.number,
            snapshots,
        });
    }

    pub(super) fn waiting(&self) -> usize {
        self.joins.len()
    }

    /// One of the topics cannot go on.
    pub(super) fn end_topic(&mut self, which: usize) {
        if !self.wanted.is_empty() {
            let (token, ..) = self.wanted[which % self.wanted.len()];
            self.outbox.push_back(Post::EndTopic(token));
        }
    }

    /// A history begins.
    pub(super) fn begin_epoch(&mut self) {
        self.epochs += 1;
        self.outbox.push_back(Post::Epoch {
            id: self.epochs,
            ends: (self.epochs > 1).then_some(HISTORY),
        });
    }
}
