//! Channels of one symbol: what is published of it, and for each the topics and workers that want it.

use depthcast_wire::stream::{Cadence, StreamKind, StreamName};

use super::TopicToken;
use crate::session::encoding::Encoding;

/// A worker's place for the frames of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outlet {
    pub(super) worker: usize,
    pub(super) token: TopicToken,
}

/// A stream in one encoding, and who wants it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: StreamName,
    /// The name as text, for wrapping.
    pub(super) text: String,
    pub(super) encoding: Encoding,
    pub(super) outlets: Vec<Outlet>,
}

/// What decides an event's content: several topics have the same (`@depth` and `@depth@1000ms`, raw and combined).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: StreamKind,
    /// The cadence at which it ticks; None when it is emitted on arrival.
    pub(super) ticks: Option<Cadence>,
}

/// One content and the topics that carry it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) content: Content,
    pub(super) topics: Vec<Topic>,
}

impl Channel {
    /// Whether its events are changes, each of which must continue the one before.
    pub(super) fn is_of_changes(&self) -> bool {
        self.content.kind == StreamKind::Depth
    }
}

/// The channels of one symbol that somebody wants.
#[derive(Debug, Default)]
pub(super) struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding, content: Content) {
        let channel = match self
            .channels
            .iter()
            .position(|channel| channel.content == content)
        {
            Some(at) => &mut self.channels[at],
            None => {
                self.channels.push(Channel {
                    content,
                    topics: Vec::new(),
                });
                self.channels.last_mut().expect("just pushed")
            }
        };
        match channel
            .topics
            .iter_mut()
            .find(|topic| topic.name == name && topic.encoding == encoding)
        {
            Some(topic) => topic.outlets.push(outlet),
            None => {
                let text = name.to_string();
                channel.topics.push(Topic {
                    name,
                    text,
                    encoding,
                    outlets: vec![outlet],
                });
            }
        }
    }

    pub(super) fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        for channel in &mut self.channels {
            for topic in &mut channel.topics {
                if topic.name == name && topic.encoding == encoding {
                    topic.outlets.retain(|there| *there != outlet);
                }
            }
            channel.topics.retain(|topic| !topic.outlets.is_empty());
        }
        self.channels.retain(|channel| !channel.topics.is_empty());
    }

    /// Those that are emitted when an event of this kind arrives.
    pub(super) fn on_arrival(&self) -> impl Iterator<Item = &Channel> {
        self.channels
            .iter()
            .filter(|channel| channel.content.ticks.is_none())
    }

    /// Those that tick at a cadence.
    pub(super) fn ticking(&self, cadence: Cadence) -> impl Iterator<Item = &Channel> {
        self.channels
            .iter()
            .filter(move |channel| channel.content.ticks == Some(cadence))
    }
}
