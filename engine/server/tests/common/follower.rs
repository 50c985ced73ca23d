//! Subscribers that hold every event they get against the recording: byte for byte in JSON, field for field in SBE, the
//! book after each.

use super::expected::{self, DepthEvent, Ticker, Trade};
use super::market::{DepthJson, levels, recorded};
use super::mirror::Mirror;
use super::sbe::{self, SbeEvent};
use super::subscriber::Message;

/// What a stream carries.
#[derive(Debug)]
enum Content {
    Depth(&'static [DepthEvent], Mirror),
    Partial(&'static [DepthEvent], usize),
    Tickers(&'static [Ticker]),
    Trades(&'static [Trade]),
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// In SBE; else in JSON.
    pub sbe: bool,
    /// Wrapped with the stream's name.
    pub combined: bool,
    /// Times in microseconds.
    pub micros: bool,
}

/// One stream of one connection.
#[derive(Debug)]
pub struct Followed {
    name: String,
    content: Content,
    /// The event that must come next; None where the stream may begin with any.
    next: Option<usize>,
    /// Events checked.
    count: usize,
}

/// A payload in one of the two formats.
#[derive(Clone, Copy)]
enum Payload<'a> {
    Json(&'a str),
    Sbe(&'a [u8]),
}

/// The streams of one connection.
#[derive(Debug)]
pub struct Follower {
    form: Form,
    streams: Vec<Followed>,
}

impl Followed {
    /// `btcusdt@depth5@250ms` and the like, followed from its first event on.
    pub fn new(name: &str, sbe: bool) -> Followed {
        let mut parts = name.split('@').skip(1);
        let (kind, cadence) = (parts.next().expect("a kind"), parts.next());
        let cadence_ms = |default| {
            cadence.map_or(default, |text| {
                text.strip_suffix("ms")
                    .and_then(|ms| ms.parse().ok())
                    .expect("a cadence")
            })
        };
        let recorded = recorded();
        let content = match kind {
            "depth" => Content::Depth(
                expected::depth_events(cadence_ms(if sbe { 20 } else { 1000 })),
                Mirror::new(recorded.snapshot_id, &recorded.snapshot),
            ),
            "bookTicker" | "bestBidAsk" => Content::Tickers(expected::tickers()),
            "trade" => Content::Trades(expected::trades()),
            partial => {
                let levels = partial
                    .strip_prefix("depth")
                    .and_then(|levels| levels.parse().ok());
                let cadence_ms = cadence_ms(if sbe { 50 } else { 1000 });
                Content::Partial(
                    expected::depth_events(cadence_ms),
                    levels.expect("a number of levels"),
                )
            }
        };
        Followed {
            name: name.to_string(),
            content,
            next: Some(0),
            count: 0,
        }
    }

    /// The stream may go on anywhere; a depth stream applies what comes to `mirror`.
    pub fn begin_anywhere(&mut self, mirror: Option<Mirror>) {
        self.next = None;
        if let (Content::Depth(_, own), Some(mirror)) = (&mut self.content, mirror) {
            *own = mirror;
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many events came.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether its last event has come, or its book is the final one.
    pub fn is_complete(&self) -> bool {
        let is_at_end = |len| self.next == Some(len);
        match &self.content {
            Content::Depth(events, mirror) => is_at_end(events.len()) || mirror.id() == recorded().final_id(),
            Content::Partial(events, _) => is_at_end(events.len()),
            Content::Tickers(events) => is_at_end(events.len()),
            Content::Trades(events) => is_at_end(events.len()),
        }
    }

    fn carries(&self, payload: Payload<'_>) -> bool {
        match (&self.content, payload) {
            (Content::Depth(..), Payload::Json(json)) => json.starts_with(r#"{"e":"depthUpdate""#),
            (Content::Partial(..), Payload::Json(json)) => json.starts_with(r#"{"lastUpdateId""#),
            (Content::Tickers(_), Payload::Json(json)) => json.starts_with(r#"{"u""#),
            (Content::Trades(_), Payload::Json(json)) => json.starts_with(r#"{"e":"trade""#),
            (Content::Depth(..), Payload::Sbe(message)) => sbe::template(message) == 10003,
            (Content::Partial(..), Payload::Sbe(message)) => sbe::template(message) == 10002,
            (Content::Tickers(_), Payload::Sbe(message)) => sbe::template(message) == 10001,
            (Content::Trades(_), Payload::Sbe(message)) => sbe::template(message) == 10000,
        }
    }

    fn check(&mut self, payload: Payload<'_>, micros: bool) {
        let next = match self.next {
            Some(next) => next,
            None => self.place_of(payload),
        };
        match &mut self.content {
            Content::Depth(events, mirror) => check_depth(payload, micros, event_at(events, next), mirror),
            Content::Partial(events, levels) => check_partial(payload, event_at(events, next), *levels),
            Content::Tickers(events) => check_ticker(payload, event_at(events, next)),
            Content::Trades(events) => check_trade(payload, micros, event_at(events, next)),
        }
        self.next = Some(next + 1);
        self.count += 1;
    }

    /// Which event of a depth or partial depth stream this is.
    fn place_of(&self, payload: Payload<'_>) -> usize {
        let (Content::Depth(events, _) | Content::Partial(events, _)) = &self.content else {
            panic!("{} begins with its first event", self.name);
        };
        let last_id = match payload {
            Payload::Json(json) => {
                let id = [r#""u":"#, r#"{"lastUpdateId":"#]
                    .iter()
                    .find_map(|key| Some(json.split_once(key)?.1))
                    .and_then(|rest| rest.split_once(','));
                id.and_then(|(id, _)| id.parse().ok()).expect("an id")
            }
            Payload::Sbe(message) => match sbe::read(message) {
                SbeEvent::Diff { last_id, .. } => last_id,
                SbeEvent::Snapshot { id, .. } => id,
                other => panic!("{other:?} on {}", self.name),
            },
        };
        events
            .binary_search_by_key(&last_id, |event| event.last_id)
            .unwrap_or_else(|_| panic!("no event of {} ends at id {last_id}", self.name))
    }
}

impl Follower {
    /// A connection with these streams.
    pub fn new(names: &[&str], form: Form) -> Follower {
        let streams = names.iter().map(|name| Followed::new(name, form.sbe)).collect();
        Follower { form, streams }
    }

    /// One of its streams.
    pub fn stream_mut(&mut self, name: &str) -> &mut Followed {
        let stream = self.streams.iter_mut().find(|stream| stream.name == name);
        stream.unwrap_or_else(|| panic!("{name} is not followed"))
    }

    /// All of its streams.
    pub fn streams(&self) -> &[Followed] {
        &self.streams
    }

    /// Whether every stream has come to its end.
    pub fn is_complete(&self) -> bool {
        self.streams.iter().all(Followed::is_complete)
    }

    /// Panics unless every book is the final one, whole.
    pub fn assert_final_books(&self) {
        let recorded = recorded();
        for stream in &self.streams {
            if let Content::Depth(_, mirror) = &stream.content {
                mirror.assert_is(recorded.state(recorded.final_id()));
            }
        }
    }

    /// Holds a message against what has to come.
    pub fn check(&mut self, message: Message<'_>) {
        let (name, payload) = match message {
            Message::Text(text) if !self.form.sbe => match text.strip_prefix(r#"{"stream":""#) {
                Some(rest) if self.form.combined => {
                    let (name, data) = rest.split_once(r#"","data":"#).expect("a combined frame");
                    (
                        Some(name),
                        Payload::Json(data.strip_suffix('}').expect("its end")),
                    )
                }
                None if !self.form.combined => (None, Payload::Json(text)),
                _ => panic!("{text} is of the wrong form: {:?}", self.form),
            },
            Message::Binary(bytes) if self.form.sbe => (None, Payload::Sbe(bytes)),
            other => panic!("{other:?} on a connection of {:?}", self.form),
        };
        let stream = self.streams.iter_mut().find(|stream| match name {
            Some(name) => stream.name == name,
            None => stream.carries(payload),
        });
        stream
            .unwrap_or_else(|| panic!("{message:?} is of no stream that is followed"))
            .check(payload, self.form.micros);
    }
}

fn event_at<E>(events: &[E], place: usize) -> &E {
    events
        .get(place)
        .unwrap_or_else(|| panic!("more than the {} events there are", events.len()))
}

fn check_depth(payload: Payload<'_>, micros: bool, event: &DepthEvent, mirror: &mut Mirror) {
    let applied = match payload {
        Payload::Json(json) => {
            if micros {
                assert_eq!(json, expected::in_micros(&event.json));
            } else {
                assert_eq!(json, event.json);
            }
            let parsed: DepthJson<'_> = serde_json::from_str(json).expect("a depth event");
            let levels = [levels(&parsed.bids), levels(&parsed.asks)];
            mirror.apply(parsed.first_id, parsed.last_id, &levels)
        }
        Payload::Sbe(message) => match sbe::read(message) {
            SbeEvent::Diff {
                event_time_us,
                first_id,
                last_id,
                levels,
            } => {
                let head = (event.event_time_ms * 1000, event.first_id, event.last_id);
                assert_eq!((event_time_us, first_id, last_id), head);
                assert_eq!(levels, event.levels);
                mirror.apply(first_id, last_id, &levels)
            }
            other => panic!("{other:?} is no depth event"),
        },
    };
    if applied {
        mirror.assert_is(recorded().state(event.last_id));
    }
}

fn check_partial(payload: Payload<'_>, event: &DepthEvent, levels: usize) {
    let state = recorded().state(event.last_id);
    match payload {
        Payload::Json(json) => assert_eq!(json, expected::partial_json(state, levels)),
        Payload::Sbe(message) => {
            let expected = SbeEvent::Snapshot {
                event_time_us: event.event_time_ms * 1000,
                id: state.id,
                levels: state
                    .top
                    .each_ref()
                    .map(|side| side[..levels.min(side.len())].to_vec()),
            };
            assert_eq!(sbe::read(message), expected);
        }
    }
}

fn check_ticker(payload: Payload<'_>, ticker: &Ticker) {
    match payload {
        Payload::Json(json) => assert_eq!(json, ticker.json),
        Payload::Sbe(message) => {
            let expected = SbeEvent::BestBidAsk {
                event_time_us: ticker.event_time_us,
                id: ticker.id,
                best: ticker.best,
            };
            assert_eq!(sbe::read(message), expected);
        }
    }
}

fn check_trade(payload: Payload<'_>, micros: bool, trade: &Trade) {
    match payload {
        Payload::Json(json) if micros => assert_eq!(json, expected::in_micros(trade.json)),
        Payload::Json(json) => assert_eq!(json, trade.json),
        Payload::Sbe(message) => {
            let expected = SbeEvent::Trade {
                event_time_us: trade.event_time_ms * 1000,
                trade_time_us: trade.trade_time_ms * 1000,
                id: trade.id,
                level: trade.level,
                is_buyer_maker: trade.is_buyer_maker,
            };
            assert_eq!(sbe::read(message), expected);
        }
    }
}
