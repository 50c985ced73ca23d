//! A client: what it asks for, the streams it has by the answers, and each frame it gets held against them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use depthcast_wire::stream::{StreamKind, StreamName};
use depthcast_wire::ws::{Opcode, write_close, write_frame};
use serde_json::{Value, json};

use super::event::{self, Event, Told};
use super::exchange::SYMBOLS;
use super::flow::{Around, Begins, Flow};
use crate::reactor::machine::reader::{CLOSE, Got, PING, PONG, Reader, TEXT};
use crate::reactor::machine::socket::Pipe;
use crate::reactor::machine::{Checked, ensure};
use crate::session::EndCause;

const KEY: [u8; 4] = [0x21, 0xe0, 0x07, 0x99];

/// Kinds and cadences of streams, as names spell them.
const KINDS: [&str; 19] = [
    "@depth",
    "@depth@0ms",
    "@depth@10ms",
    "@depth@20ms",
    "@depth@50ms",
    "@depth@100ms",
    "@depth@250ms",
    "@depth@500ms",
    "@depth@1000ms",
    "@depth5@100ms",
    "@depth20",
    "@depth10@0ms",
    "@bookTicker",
    "@bestBidAsk",
    "@trade",
    "@aggTrade",
    "@kline_1s",
    "@checksum",
    "!heartbeat",
];

pub(super) const KINDS_LEN: usize = KINDS.len();

/// A stream, by the places of its symbol and its kind.
pub(super) fn stream((symbol, kind): (usize, usize)) -> StreamName {
    let name = match KINDS[kind] {
        market if market.starts_with('!') => market.to_string(),
        kind => format!("{}{kind}", SYMBOLS[symbol].to_lowercase()),
    };
    StreamName::parse(&name).expect("a stream's name")
}

fn symbol_of(name: &StreamName) -> usize {
    let upper = name.symbol.to_upper();
    let found = SYMBOLS.iter().position(|symbol| *symbol == upper.as_str());
    found.unwrap_or(SYMBOLS.len())
}

/// How a client connects.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) sbe: bool,
    pub(super) combined: bool,
    pub(super) micros: bool,
    pub(super) snapshots: bool,
    /// Its policy, if it names one: to be conflated.
    pub(super) lag: Option<bool>,
}

/// Where a client left off: the history, and ids by symbols' places.
#[derive(Clone, Debug)]
pub(super) struct LeftOff {
    pub(super) epoch: u64,
    pub(super) ids: Vec<(usize, u64)>,
}

/// What it has asked for and was not answered.
#[derive(Debug)]
enum Ask {
    Subscribe(Vec<StreamName>),
    Unsubscribe(Vec<StreamName>),
    Combined(bool),
    List(Value),
}

/// What it says on its own.
#[derive(Clone, Debug)]
pub(super) enum Say {
    Subscribe(Vec<(usize, usize)>),
    /// Some of those that it wants, a bit each.
    Unsubscribe(u8),
    Combined(bool),
    List,
    Ping,
    Close,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u32,
    pub(super) worker: usize,
    pub(super) pipe: Rc<RefCell<Pipe>>,
    pub(super) reader: Reader,
    manner: Manner,
    /// The streams that it connected for.
    pub(super) streams: Vec<(usize, usize)>,
    /// Whether its JSON is wrapped, as of the last answer, and in the end.
    wraps: bool,
    will_wrap: bool,
    /// The history that it is in, once it knows.
    pub(super) epoch: Option<u64>,
    is_open: bool,
    /// The streams in the end.
    wants: Vec<StreamName>,
    /// The streams as of the last answer.
    pub(super) flows: BTreeMap<StreamName, Flow>,
    asks: VecDeque<(u64, Ask)>,
    asked: u64,
    resume: Option<LeftOff>,
    /// The Close that it got.
    pub(super) close: Option<(u16, String)>,
    pub(super) is_told: bool,
    /// It has ended the connection, or reset it.
    pub(super) has_left: bool,
    pub(super) connected: u32,
    /// What its socket has come to.
    pub(super) socket: SocketState,
    /// A round over all connections is for it.
    pub(super) is_to_go: bool,
    /// Why the engine is closing it, and how long it had lagged then.
    pub(super) closing: Option<(EndCause, u32)>,
    pub(super) closing_since: u32,
}

/// What is known of the room in a client's socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketState {
    /// It has once taken less than was offered.
    pub(super) was_short: bool,
    /// It has, and no edge has come since.
    pub(super) is_blocked: bool,
    /// As of before the last flush.
    pub(super) was_blocked: bool,
    /// Since when it has not been given all that it is owed.
    pub(super) lag_since: Option<u32>,
    /// Since when it has taken nothing.
    pub(super) dry_since: Option<u32>,
}

impl Client {
    /// One that connects; gives the request with which it does.
    pub(super) fn new(
        (id, worker): (u32, usize),
        pipe: Rc<RefCell<Pipe>>,
        manner: &Manner,
        streams: &[(usize, usize)],
        resume: Option<LeftOff>,
        now: u32,
    ) -> Client {
        let mut client = Client {
            id,
            worker,
            pipe,
            reader: Reader::new(),
            manner: manner.clone(),
            streams: streams.to_vec(),
            wraps: manner.combined,
            will_wrap: manner.combined,
            epoch: None,
            is_open: false,
            wants: Vec::new(),
            flows: BTreeMap::new(),
            asks: VecDeque::new(),
            asked: 0,
            resume,
            close: None,
            is_told: false,
            has_left: false,
            connected: now,
            socket: SocketState::default(),
            is_to_go: false,
            closing: None,
            closing_since: 0,
        };
        client.wants = client.fitting(streams);
        client
    }

    /// The request for an upgrade.
    pub(super) fn hello(&self) -> Vec<u8> {
        let names: Vec<String> = self.wants.iter().map(ToString::to_string).collect();
        let names = names.join("/");
        let format = if self.manner.sbe { "/sbe" } else { "" };
        let mut target = if self.manner.combined {
            format!("{format}/stream?streams={names}")
        } else {
            format!("{format}/ws/{names}?")
        };
        if self.manner.micros {
            target += "&timeUnit=MICROSECOND";
        }
        if self.manner.snapshots {
            target += "&snapshot=1";
        }
        if let Some(conflates) = self.manner.lag {
            target += if conflates { "&lag=conflate" } else { "&lag=evict" };
        }
        if let Some(LeftOff { epoch, ids }) = &self.resume {
            let ids: Vec<String> = ids
                .iter()
                .map(|(symbol, id)| format!("{}:{id}", SYMBOLS[*symbol].to_lowercase()))
                .collect();
            target += &format!("&resume={}&epoch={epoch}", ids.join(","));
        }
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .into_bytes()
    }

    /// Those of the streams that can be told apart beside what it wants already.
    fn fitting(&self, streams: &[(usize, usize)]) -> Vec<StreamName> {
        let mut wants = self.wants.clone();
        for name in streams.iter().map(|&place| stream(place)) {
            if !wants.contains(&name)
                && wants
                    .iter()
                    .all(|other| self.can_tell(&name, other, self.will_wrap))
            {
                wants.push(name);
            }
        }
        wants.split_off(self.wants.len())
    }

    /// Whether the events of two streams can be told apart.
    fn can_tell(&self, one: &StreamName, other: &StreamName, wraps: bool) -> bool {
        use StreamKind::{BestBidAsk, BookTicker, Depth, PartialDepth};
        if !self.manner.sbe && wraps {
            return true;
        }
        let is_one_symbol = one.symbol == other.symbol;
        match (one.kind, other.kind) {
            // The top of a book names no symbol in JSON, and in SBE is written as a snapshot is.
            (PartialDepth(_), PartialDepth(_)) => self.manner.sbe && !is_one_symbol,
            (PartialDepth(_), Depth) | (Depth, PartialDepth(_)) => !(self.manner.sbe && is_one_symbol),
            (BookTicker | BestBidAsk, BookTicker | BestBidAsk) => !is_one_symbol,
            (kind, other) => !(kind == other && is_one_symbol),
        }
    }

    /// Says something, if it makes sense now.
    pub(super) fn say(&mut self, say: &Say) {
        if !self.is_open || self.has_left {
            return;
        }
        let (method, params, ask) = match say {
            Say::Subscribe(streams) => {
                let names = self.fitting(streams);
                self.wants.extend(&names);
                ("SUBSCRIBE", Some(texts(&names)), Ask::Subscribe(names))
            }
            Say::Unsubscribe(mask) => {
                let mut n = 0;
                let mut is_gone = |_: &StreamName| {
                    n += 1;
                    mask >> ((n - 1) % 8) & 1 == 1
                };
                let gone: Vec<StreamName> = self.wants.iter().copied().filter(|name| is_gone(name)).collect();
                self.wants.retain(|name| !gone.contains(name));
                ("UNSUBSCRIBE", Some(texts(&gone)), Ask::Unsubscribe(gone))
            }
            Say::Combined(wraps) => {
                let all = self.wants.iter().enumerate();
                let mut pairs =
                    all.flat_map(|(n, one)| self.wants[..n].iter().map(move |other| (one, other)));
                if !pairs.all(|(one, other)| self.can_tell(one, other, *wraps)) {
                    return;
                }
                self.will_wrap = *wraps;
                (
                    "SET_PROPERTY",
                    Some(json!(["combined", wraps])),
                    Ask::Combined(*wraps),
                )
            }
            Say::List => {
                let mut names = self.wants.clone();
                names.sort_unstable();
                ("LIST_SUBSCRIPTIONS", None, Ask::List(texts(&names)))
            }
            Say::Ping => return self.utter(Opcode::Ping, b"still there?"),
            Say::Close => {
                let mut bytes = Vec::new();
                write_close(&mut bytes, 1000, "", Some(KEY));
                self.pipe.borrow_mut().arrive(&bytes);
                self.has_left = true;
                return;
            }
        };
        if params.as_ref().is_some_and(|params| params == &json!([])) {
            return;
        }
        self.asked += 1;
        let mut request = json!({"method": method, "id": self.asked});
        if let Some(params) = params {
            request["params"] = params;
        }
        self.asks.push_back((self.asked, ask));
        self.utter(Opcode::Text, request.to_string().as_bytes());
    }

    fn utter(&self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, opcode, payload, Some(KEY));
        self.pipe.borrow_mut().arrive(&bytes);
    }

    /// The next of what it reads.
    pub(super) fn on_got(&mut self, got: &Got, around: &mut Around<'_>) -> Checked {
        match got {
            Got::Refused(status) => Err(format!("refused with {status}")),
            Got::Opened(head) => {
                self.is_open = true;
                let head = String::from_utf8_lossy(head);
                let header = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Depthcast-Epoch: "));
                if let Some(epoch) = header {
                    self.epoch = Some(epoch.parse().map_err(|_| "no number of a history")?);
                }
                for name in std::mem::take(&mut self.wants) {
                    let begins = self.begins(&name, true);
                    self.begin(name, begins);
                    self.wants.push(name);
                }
                Ok(())
            }
            Got::Frame {
                opcode: CLOSE,
                payload,
            } => {
                let (code, reason) = payload.split_first_chunk().ok_or("a Close without a code")?;
                let reason = String::from_utf8_lossy(reason).into_owned();
                self.close = Some((u16::from_be_bytes(*code), reason));
                Ok(())
            }
            Got::Frame {
                opcode: PING | PONG, ..
            } => Ok(()),
            Got::Frame { opcode, payload } => {
                let event = event::read(*opcode, payload)?;
                around.epoch = self.epoch;
                if let Told::Reply { id, result } = event.told {
                    return self.on_reply(id, &result);
                }
                let wraps = self.wraps && *opcode == TEXT;
                ensure!(event.wrapped.is_some() == wraps, "wrapped or not: {event:?}");
                let flow = self
                    .flow_of(&event)
                    .ok_or_else(|| format!("not subscribed to: {event:?}"))?;
                flow.on_told(&event.told, around)
                    .map_err(|what| format!("{}: {what}", flow.name))
            }
        }
    }

    fn begins(&self, name: &StreamName, is_of_url: bool) -> Begins {
        if name.kind != StreamKind::Depth {
            return Begins::Plain;
        }
        let symbol = symbol_of(name);
        if let Some(LeftOff { epoch, ids }) = self.resume.as_ref().filter(|_| is_of_url)
            && let Some(&(_, id)) = ids.iter().find(|(at, _)| *at == symbol)
        {
            return Begins::Resume { epoch: *epoch, id };
        }
        if self.manner.snapshots {
            Begins::Snapshot
        } else {
            Begins::Plain
        }
    }

    fn begin(&mut self, name: StreamName, begins: Begins) {
        let symbol = symbol_of(&name);
        self.flows
            .entry(name)
            .or_insert_with(|| Flow::new(name, symbol, begins));
    }

    fn on_reply(&mut self, id: u64, result: &Value) -> Checked {
        let (due, ask) = self.asks.pop_front().ok_or("an answer to nothing")?;
        ensure!(id == due, "answer {id} where {due} was due");
        let is_right = match &ask {
            Ask::List(names) => result == names,
            _ => result.is_null(),
        };
        ensure!(is_right, "answered {result} to {ask:?}");
        match ask {
            Ask::Subscribe(names) => {
                for name in names {
                    let begins = self.begins(&name, false);
                    self.begin(name, begins);
                }
            }
            Ask::Unsubscribe(names) => self.flows.retain(|name, _| !names.contains(name)),
            Ask::Combined(wraps) => self.wraps = wraps,
            Ask::List(_) => {}
        }
        Ok(())
    }

    /// The stream that an event is of.
    fn flow_of(&mut self, event: &Event) -> Option<&mut Flow> {
        if let Some(name) = &event.wrapped {
            return self.flows.get_mut(&StreamName::parse(name).ok()?);
        }
        let is_of_kind = |kind: StreamKind| match (&event.told, kind) {
            (Told::Diff { .. }, StreamKind::Depth)
            | (Told::Best(_), StreamKind::BookTicker | StreamKind::BestBidAsk)
            | (Told::Trade { .. }, StreamKind::Trade)
            | (Told::AggTrade { .. }, StreamKind::AggTrade)
            | (Told::Second { .. }, StreamKind::Kline(..))
            | (Told::Checksum { .. }, StreamKind::Checksum)
            | (Told::Heartbeat { .. }, StreamKind::Heartbeat) => true,
            (Told::Whole { is_snapshot, .. }, StreamKind::Depth) => *is_snapshot != Some(false),
            (Told::Whole { is_snapshot, .. }, StreamKind::PartialDepth(_)) => *is_snapshot != Some(true),
            _ => false,
        };
        self.flows.values_mut().find(|flow| {
            is_of_kind(flow.name.kind) && event.symbol.is_none_or(|symbol| symbol == flow.symbol)
        })
    }

    /// After a calm: it has all that there is of what it has asked for.
    pub(super) fn check_newest(&self, all: bool, around: &Around<'_>) -> Checked {
        ensure!(self.is_open, "not opened");
        ensure!(self.asks.is_empty(), "not answered: {:?}", self.asks);
        ensure!(!self.reader.has_begun(), "half a frame is left");
        for (name, flow) in &self.flows {
            flow.check_newest(all, around)
                .map_err(|what| format!("{name}: {what}"))?;
        }
        Ok(())
    }

    /// Where it stands.
    pub(super) fn left_off(&self) -> Option<LeftOff> {
        let flows = self.flows.values();
        let mut ids: Vec<(usize, u64)> = flows
            .filter_map(|flow| Some((flow.symbol, flow.at.as_ref()?.0)))
            .collect();
        // Of two streams of one symbol the one that is further behind, which the other takes as well.
        ids.sort_unstable();
        ids.dedup_by_key(|(symbol, _)| *symbol);
        let epoch = self.epoch.filter(|_| !ids.is_empty())?;
        Some(LeftOff { epoch, ids })
    }

    /// It left off somewhere, and takes a snapshot where that is too long ago.
    pub(super) fn resumes(&self) -> bool {
        self.resume.is_some()
    }

    pub(super) fn manner(&self) -> &Manner {
        &self.manner
    }
}

fn texts(names: &[StreamName]) -> Value {
    names.iter().map(|name| Value::String(name.to_string())).collect()
}
