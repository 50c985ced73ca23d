//! The recorded market, read and applied by the tests' own means: plain maps of decimal strings that share no code with
//! the engine's decoder or book.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;

/// The environment variable that names the folder of recorded markets.
const FOLDER_VARIABLE: &str = "DEPTHCAST_CAPTURES";
const CAPTURE: &str = "spot_btcusdt_20240808.gz";

/// Digits after the point of every price and quantity of the recording.
const DECIMALS: usize = 8;

/// Levels a side that a [`State`] keeps: the most that a partial depth stream shows.
pub const TOP_LEVELS: usize = 20;

/// The folder of recorded markets.
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE).map_or_else(
        || panic!("set {FOLDER_VARIABLE} to the folder that holds {CAPTURE}: this test replays the recorded market"),
        PathBuf::from,
    )
}

/// The recorded market of BTCUSDT.
pub fn capture() -> PathBuf {
    folder().join(CAPTURE)
}

/// What a recorded frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of `btcusdt@depth@100ms`.
    Depth,
    /// Of `btcusdt@bookTicker`.
    BookTicker,
    /// Of `btcusdt@trade`.
    Trade,
    /// The answer of REST depth.
    Snapshot,
}

/// One recorded line.
#[derive(Debug)]
pub struct Line {
    /// When it was received, ns since 1970.
    pub at_ns: u64,
    /// What it is.
    pub kind: Kind,
    /// The frame as it was received: that of a combined stream, or the snapshot.
    pub frame: String,
    data_from: usize,
}

impl Line {
    fn read(text: &str) -> Line {
        let (at_ns, frame) = text.split_once(' ').expect("a time and a frame");
        let (kind, data_from) = match frame.strip_prefix(r#"{"stream":""#) {
            None => (Kind::Snapshot, 0),
            Some(rest) => {
                let (name, payload) = rest.split_once(r#"","data":"#).expect("a combined frame");
                let kind = match name {
                    "btcusdt@depth@100ms" => Kind::Depth,
                    "btcusdt@bookTicker" => Kind::BookTicker,
                    "btcusdt@trade" => Kind::Trade,
                    other => panic!("the recording has no stream {other}"),
                };
                (kind, frame.len() - payload.len())
            }
        };
        Line {
            at_ns: at_ns.parse().expect("a receive time"),
            kind,
            frame: frame.to_string(),
            data_from,
        }
    }

    /// The event itself: what a raw stream carries.
    pub fn payload(&self) -> &str {
        match self.kind {
            Kind::Snapshot => &self.frame,
            _ => &self.frame[self.data_from..self.frame.len() - 1],
        }
    }
}

/// A price and a quantity as they stand in JSON.
pub type TextLevel<'a> = (&'a str, &'a str);

/// A price and a quantity in units of their last digit.
pub type Level = (i64, i64);

/// A `depthUpdate` as JSON has it.
#[derive(Debug, Deserialize)]
pub struct DepthJson<'a> {
    /// Event time.
    #[serde(rename = "E")]
    pub event_time: i64,
    /// First id.
    #[serde(rename = "U")]
    pub first_id: u64,
    /// Last id.
    #[serde(rename = "u")]
    pub last_id: u64,
    /// Changed bids.
    #[serde(rename = "b", borrow)]
    pub bids: Vec<TextLevel<'a>>,
    /// Changed asks.
    #[serde(rename = "a", borrow)]
    pub asks: Vec<TextLevel<'a>>,
}

/// A book as REST depth and partial depth have it.
#[derive(Debug, Deserialize)]
pub struct BookJson<'a> {
    /// The id it is true at.
    #[serde(rename = "lastUpdateId")]
    pub last_id: u64,
    /// Best first.
    #[serde(borrow)]
    pub bids: Vec<TextLevel<'a>>,
    /// Best first.
    #[serde(borrow)]
    pub asks: Vec<TextLevel<'a>>,
}

/// A decimal without its point, as a number. It has to be printed with the symbol's full precision.
pub fn digits(decimal: &str) -> i64 {
    let (whole, fraction) = decimal.split_once('.').expect("a decimal point");
    assert_eq!(fraction.len(), DECIMALS, "{decimal}");
    format!("{whole}{fraction}").parse().expect("digits")
}

/// The decimal that [`digits`] reads.
pub fn decimal(digits: i64) -> String {
    let padded = format!("{digits:0>width$}", width = DECIMALS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - DECIMALS);
    format!("{whole}.{fraction}")
}

/// Levels as [`digits`] reads them.
pub fn levels(text: &[TextLevel<'_>]) -> Vec<Level> {
    text.iter()
        .map(|(price, qty)| (digits(price), digits(qty)))
        .collect()
}

/// A hash of one level. A book's hash is that of all its levels together by exclusive or, so that a change of one level
/// changes it in one step, and two books of equal hash have the same levels.
pub fn level_hash(side: usize, (price, qty): Level) -> u64 {
    let mut hasher = DefaultHasher::new();
    (side, price, qty).hash(&mut hasher);
    hasher.finish()
}

/// The book at one update id, condensed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The update id.
    pub id: u64,
    /// See [`level_hash`].
    pub hash: u64,
    /// Levels: bids, asks.
    pub counts: [usize; 2],
    /// The best 20 of each side, best first.
    pub top: [Vec<Level>; 2],
}

/// A book of decimal strings.
#[derive(Clone, Debug, Default)]
struct DecimalBook {
    /// Bids and asks: quantities by price, which is padded so that the order of texts is that of numbers.
    sides: [BTreeMap<String, String>; 2],
    hash: u64,
}

impl DecimalBook {
    fn set(&mut self, side: usize, (price, qty): TextLevel<'_>) {
        let key = format!("{price:0>24}");
        let is_gone = qty.bytes().all(|b| b == b'0' || b == b'.');
        let before = if is_gone {
            self.sides[side].remove(&key)
        } else {
            self.hash ^= level_hash(side, (digits(price), digits(qty)));
            self.sides[side].insert(key, qty.to_string())
        };
        if let Some(before) = before {
            self.hash ^= level_hash(side, (digits(price), digits(&before)));
        }
    }

    fn apply(&mut self, bids: &[TextLevel<'_>], asks: &[TextLevel<'_>]) {
        for (side, levels) in [bids, asks].into_iter().enumerate() {
            levels.iter().for_each(|level| self.set(side, *level));
        }
    }

    fn state(&self, id: u64) -> State {
        let level = |(price, qty): (&String, &String)| (digits(price), digits(qty));
        State {
            id,
            hash: self.hash,
            counts: [self.sides[0].len(), self.sides[1].len()],
            top: [
                self.sides[0].iter().rev().take(TOP_LEVELS).map(level).collect(),
                self.sides[1].iter().take(TOP_LEVELS).map(level).collect(),
            ],
        }
    }
}

/// One depth event that counts after the snapshot.
#[derive(Debug)]
pub struct Update {
    /// Its place among the lines.
    pub line: usize,
    /// When it could be applied: when it was received, or the snapshot if that came later.
    pub at_ns: u64,
    /// E, ms.
    pub event_time_ms: i64,
    /// U.
    pub first_id: u64,
    /// u.
    pub last_id: u64,
    /// Changed bids and asks, in the recorded order.
    pub levels: [Vec<Level>; 2],
}

/// The whole recording, and what becomes of its book.
#[derive(Debug)]
pub struct Recorded {
    /// Every line.
    pub lines: Vec<Line>,
    /// Where the snapshot stands among the lines.
    pub snapshot_line: usize,
    /// The snapshot's id.
    pub snapshot_id: u64,
    /// The snapshot's bids and asks.
    pub snapshot: [Vec<Level>; 2],
    /// The depth events that are newer than the snapshot, in order and without a gap.
    pub updates: Vec<Update>,
    states: HashMap<u64, State>,
}

impl Recorded {
    fn read() -> Recorded {
        let path = capture();
        let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines: Vec<Line> = BufReader::new(flate2::read::GzDecoder::new(file))
            .lines()
            .map(|line| Line::read(&line.expect("a whole recording")))
            .collect();
        let snapshot_line = lines
            .iter()
            .position(|line| line.kind == Kind::Snapshot)
            .expect("the recording has a snapshot");
        let snapshot: BookJson<'_> = serde_json::from_str(&lines[snapshot_line].frame).expect("a snapshot");
        let snapshot_id = snapshot.last_id;
        let mut book = DecimalBook::default();
        book.apply(&snapshot.bids, &snapshot.asks);
        let mut states = HashMap::from([(snapshot_id, book.state(snapshot_id))]);
        let mut updates: Vec<Update> = Vec::new();
        for (place, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.kind == Kind::Depth)
        {
            let update: DepthJson<'_> = serde_json::from_str(line.payload()).expect("a depth event");
            if update.last_id <= snapshot_id {
                continue;
            }
            match updates.last() {
                None => assert!(
                    update.first_id <= snapshot_id + 1,
                    "the recording has its first event"
                ),
                Some(before) => assert_eq!(update.first_id, before.last_id + 1, "the recording has no gap"),
            }
            book.apply(&update.bids, &update.asks);
            states.insert(update.last_id, book.state(update.last_id));
            updates.push(Update {
                line: place,
                at_ns: line.at_ns.max(lines[snapshot_line].at_ns),
                event_time_ms: update.event_time,
                first_id: update.first_id,
                last_id: update.last_id,
                levels: [levels(&update.bids), levels(&update.asks)],
            });
        }
        let snapshot = [levels(&snapshot.bids), levels(&snapshot.asks)];
        Recorded {
            snapshot_line,
            snapshot_id,
            snapshot,
            updates,
            states,
            lines,
        }
    }

    /// The book at an update id at which an event ended.
    pub fn state(&self, id: u64) -> &State {
        self.states
            .get(&id)
            .unwrap_or_else(|| panic!("no event of the recording ends at id {id}"))
    }

    /// The id of the last event.
    pub fn final_id(&self) -> u64 {
        self.updates
            .last()
            .map_or(self.snapshot_id, |update| update.last_id)
    }

    /// The events of one kind, in order.
    pub fn payloads(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |line| line.kind == kind)
            .map(Line::payload)
    }

    /// The lines that subscribers to everything get, in order and with the place of the line at which each comes: depth
    /// events older than the snapshot never do, and those received before it come with it.
    pub fn published(&self) -> Vec<(usize, &Line)> {
        let first_update = self.updates[0].line;
        let mut published = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            match line.kind {
                Kind::Depth if place < self.snapshot_line => {}
                Kind::Snapshot => published.extend(
                    (first_update..place)
                        .filter(|early| self.lines[*early].kind == Kind::Depth)
                        .map(|early| (place, &self.lines[early])),
                ),
                _ => published.push((place, line)),
            }
        }
        published
    }
}

/// The recording, read once for all tests of a program.
pub fn recorded() -> &'static Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED.get_or_init(Recorded::read)
}
