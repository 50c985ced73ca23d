//! What one peer must be sent, in order: a plain list of whole messages, where the engine has logs, cursors and prefixes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::reader::{self, Got};
use super::{Checked, Rules};

/// Something whole that the peer must get.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The answer that opens the WebSocket, byte by byte. It is sent whatever is forgotten.
    Opened(Bytes),
    /// Another answer, by its status.
    Refused(u16),
    /// A frame.
    Frame { opcode: u8, payload: Bytes },
    /// The event of the engine's end, which goes out with the Close that follows.
    Shutdown(String),
    /// A Close, whose reason begins so.
    Close { code: Option<u16>, reason: String },
}

/// Bytes that a Close or an answer takes at most, where the model does not say them one by one.
const UNKNOWN_LEN_MAX: usize = 512;

impl Item {
    pub(super) fn text(payload: impl Into<Bytes>) -> Item {
        Item::Frame {
            opcode: reader::TEXT,
            payload: payload.into(),
        }
    }

    /// The bytes that it takes: those at least and those at most.
    fn len(&self) -> (usize, usize) {
        match self {
            Item::Opened(bytes) => (bytes.len(), bytes.len()),
            Item::Refused(_) => (0, UNKNOWN_LEN_MAX),
            Item::Frame { payload, .. } => {
                let len = reader::frame_len(payload.len());
                (len, len)
            }
            Item::Shutdown(text) => {
                let len = reader::frame_len(text.len());
                (len, len)
            }
            Item::Close { .. } => (2, reader::frame_len(125)),
        }
    }

    fn is(&self, got: &Got) -> bool {
        match (self, got) {
            (Item::Opened(expected), Got::Opened(bytes)) => expected == bytes,
            (Item::Refused(expected), Got::Refused(status)) => expected == status,
            (
                Item::Frame { opcode, payload },
                Got::Frame {
                    opcode: o,
                    payload: p,
                },
            ) => opcode == o && payload == p,
            (Item::Shutdown(text), Got::Frame { opcode, payload }) => {
                *opcode == reader::TEXT && payload == text.as_bytes()
            }
            (
                Item::Close { code, reason },
                Got::Frame {
                    opcode: reader::CLOSE,
                    payload,
                },
            ) => match code {
                None => payload.is_empty(),
                Some(code) => payload
                    .strip_prefix(&code.to_be_bytes())
                    .and_then(|text| std::str::from_utf8(text).ok())
                    .is_some_and(|text| text.starts_with(reason)),
            },
            _ => false,
        }
    }
}

/// Whether something more than the bound was asked of the bytes that wait for one connection alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Excess {
    /// It may have been.
    pub(super) may: bool,
    /// It must have been.
    pub(super) must: bool,
}

/// All that one peer is owed.
#[derive(Debug, Default)]
pub(super) struct Owed {
    items: VecDeque<Item>,
    /// Where the end of the connection was too much for what may wait: it is this instead of `items`, or either.
    instead: Option<VecDeque<Item>>,
    /// Items at the front that wait for this connection alone.
    own: usize,
    bytes: usize,
    /// Bytes of snapshots since nothing was owed: they do not count for the bound while they wait, or longer.
    exempt: usize,
    pub(super) excess: Excess,
    /// Part of the front has been sent.
    has_begun: bool,
    /// Whole frames that the engine counts, of those that came.
    pub(super) frames: u64,
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of the group's frames before the peer, of those that are not its own yet.
    pub(super) fn shared_bytes(&self) -> usize {
        let own = self.own.max(usize::from(self.has_begun));
        self.items.iter().skip(own).map(|item| item.len().1).sum()
    }

    /// A frame of the market.
    pub(super) fn publish(&mut self, item: Item) {
        self.push(item);
    }

    /// Something of this connection alone.
    pub(super) fn queue(&mut self, item: Item, rules: &Rules) {
        self.note_excess(item.len(), rules);
        self.push(item);
        self.own = self.items.len();
    }

    /// A snapshot.
    pub(super) fn queue_shared(&mut self, item: Item) {
        self.exempt += item.len().1;
        self.push(item);
        self.own = self.items.len();
    }

    /// The first bytes of all.
    pub(super) fn open(&mut self, head: Bytes) {
        self.push(Item::Opened(head));
        self.own = self.items.len();
    }

    /// The set of streams changes here.
    pub(super) fn change(&mut self, rules: &Rules) {
        self.note_excess((0, 0), rules);
        self.own = self.items.len();
    }

    fn push(&mut self, item: Item) {
        self.bytes += item.len().1;
        self.items.push_back(item);
    }

    /// Something that takes `least` to `most` bytes is asked for beside what waits.
    fn note_excess(&mut self, (least, most): (usize, usize), rules: &Rules) {
        let bound = rules.fanout.prefix_bytes_max;
        self.excess.may |= self.bytes + most > bound;
        // Of the front some bytes may have been sent.
        let sent = match self.items.front() {
            Some(front) if self.has_begun => front.len().1,
            _ => 0,
        };
        self.excess.must |= (self.bytes + least).saturating_sub(self.exempt + sent) > bound;
    }

    /// Everything but what must be sent in any case is forgotten for the end.
    pub(super) fn abandon(&mut self, end: Vec<Item>) {
        self.items = self.cut(end);
        self.instead = None;
        self.own = self.items.len();
        self.bytes = self.items.iter().map(|item| item.len().1).sum();
    }

    /// The end stands behind all that is owed, unless that is too much: `waits` were held back until now.
    pub(super) fn finish(&mut self, waits: Vec<Item>, end: Vec<Item>, changes: bool, rules: &Rules) {
        let before = std::mem::take(&mut self.excess);
        let cut = self.cut(end.clone());
        if changes {
            self.change(rules);
        }
        for item in waits {
            self.queue(item, rules);
        }
        let len = end.iter().fold((0, 0), |(least, most), item| {
            (least + item.len().0, most + item.len().1)
        });
        self.note_excess(len, rules);
        end.into_iter().for_each(|item| self.push(item));
        self.own = self.items.len();
        if self.excess.must {
            self.items = cut;
        } else if self.excess.may {
            self.instead = Some(cut);
        }
        self.excess = before;
    }

    /// The front, if it must be sent in any case, and then the end.
    fn cut(&self, end: Vec<Item>) -> VecDeque<Item> {
        let due = self
            .items
            .front()
            .filter(|front| self.has_begun || matches!(front, Item::Opened(_)));
        due.cloned().into_iter().chain(end).collect()
    }

    /// The peer got this.
    pub(super) fn on_got(&mut self, got: &Got) -> Checked {
        let is = |items: &VecDeque<Item>| items.front().is_some_and(|front| front.is(got));
        if let Some(instead) = &mut self.instead {
            match (is(&self.items), is(instead)) {
                (true, true) => drop(instead.pop_front()),
                (true, false) => self.instead = None,
                (false, _) => {
                    self.items = self.instead.take().unwrap_or_default();
                    self.bytes = self.items.iter().map(|item| item.len().1).sum();
                }
            }
        }
        let Some(front) = self.items.front().filter(|front| front.is(got)) else {
            return Err(format!("got {got:?} where {:?} was due", self.items.front()));
        };
        self.bytes -= front.len().1;
        self.frames += u64::from(!matches!(front, Item::Shutdown(_)));
        self.items.pop_front();
        self.own = self.own.saturating_sub(1);
        if self.items.is_empty() {
            self.exempt = 0;
        }
        Ok(())
    }

    pub(super) fn set_begun(&mut self, has_begun: bool) {
        self.has_begun = has_begun;
    }
}
