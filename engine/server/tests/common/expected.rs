//! What the streams of the recorded market have to deliver, worked out anew from the recording.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex};

use serde::Deserialize;

use super::market::{Kind, Level, State, TextLevel, Update, decimal, digits, recorded};

/// How often the recording has a depth event: streams of this cadence and shorter ones give each as it comes.
const RECORDED_CADENCE_MS: u32 = 100;

/// One event of a depth or partial depth stream.
#[derive(Debug)]
pub struct DepthEvent {
    /// U.
    pub first_id: u64,
    /// u, and the lastUpdateId of a partial depth.
    pub last_id: u64,
    /// E, ms.
    pub event_time_ms: i64,
    /// Changed bids and asks, best first.
    pub levels: [Vec<Level>; 2],
    /// The payload of a depth stream in JSON.
    pub json: String,
}

/// One best bid/ask.
#[derive(Debug)]
pub struct Ticker {
    /// Its payload in JSON, as recorded.
    pub json: &'static str,
    /// The newest time that the market has told before it, microseconds: its own JSON tells none.
    pub event_time_us: i64,
    /// u.
    pub id: i64,
    /// Best bid and best ask.
    pub best: [Level; 2],
}

/// One trade.
#[derive(Debug)]
pub struct Trade {
    /// Its payload in JSON, as recorded.
    pub json: &'static str,
    /// E, ms.
    pub event_time_ms: i64,
    /// T, ms.
    pub trade_time_ms: i64,
    /// t.
    pub id: i64,
    /// Price and quantity.
    pub level: Level,
    /// m.
    pub is_buyer_maker: bool,
}

/// All events of the depth and partial depth streams of a cadence, in order.
pub fn depth_events(cadence_ms: u32) -> &'static [DepthEvent] {
    static EVENTS: Mutex<BTreeMap<u32, &'static [DepthEvent]>> = Mutex::new(BTreeMap::new());
    let period = cadence_ms.max(RECORDED_CADENCE_MS);
    let mut events = EVENTS.lock().expect("the recording is sound");
    events
        .entry(period)
        .or_insert_with(|| Vec::leak(merged_events(period, &recorded().updates)))
}

/// The events of a cadence where the recording has only these of its updates: one for each stretch of time in which the
/// book changed. Stretches are multiples of the period since 1970.
pub fn merged_events(period_ms: u32, updates: &[Update]) -> Vec<DepthEvent> {
    let recorded = recorded();
    if period_ms <= RECORDED_CADENCE_MS {
        let as_recorded = |update: &Update| DepthEvent {
            first_id: update.first_id,
            last_id: update.last_id,
            event_time_ms: update.event_time_ms,
            levels: update.levels.clone(),
            json: recorded.lines[update.line].payload().to_string(),
        };
        return updates.iter().map(as_recorded).collect();
    }
    let stretch = |update: &Update| update.at_ns / (u64::from(period_ms) * 1_000_000);
    let mut before = recorded.snapshot_id;
    updates
        .chunk_by(|a, b| stretch(a) == stretch(b))
        .map(|updates| {
            let event = merge(before + 1, updates);
            before = event.last_id;
            event
        })
        .collect()
}

fn merge(first_id: u64, updates: &[Update]) -> DepthEvent {
    let mut sides = [BTreeMap::new(), BTreeMap::new()];
    for update in updates {
        for (side, levels) in sides.iter_mut().zip(&update.levels) {
            side.extend(levels.iter().copied());
        }
    }
    let [bids, asks] = sides;
    let levels: [Vec<Level>; 2] = [bids.into_iter().rev().collect(), asks.into_iter().collect()];
    let last = &updates[updates.len() - 1];
    let json = format!(
        r#"{{"e":"depthUpdate","E":{},"s":"BTCUSDT","U":{first_id},"u":{},"b":{},"a":{}}}"#,
        last.event_time_ms,
        last.last_id,
        levels_json(&levels[0]),
        levels_json(&levels[1])
    );
    DepthEvent {
        first_id,
        last_id: last.last_id,
        event_time_ms: last.event_time_ms,
        levels,
        json,
    }
}

fn levels_json(levels: &[Level]) -> String {
    let levels: Vec<String> = levels
        .iter()
        .map(|&(price, qty)| format!(r#"["{}","{}"]"#, decimal(price), decimal(qty)))
        .collect();
    format!("[{}]", levels.join(","))
}

/// The top of a book as partial depth has it in JSON.
pub fn partial_json(state: &State, levels: usize) -> String {
    let [bids, asks] = state
        .top
        .each_ref()
        .map(|side| levels_json(&side[..levels.min(side.len())]));
    format!(r#"{{"lastUpdateId":{},"bids":{bids},"asks":{asks}}}"#, state.id)
}

/// A recorded payload with its times in microseconds.
pub fn in_micros(payload: &str) -> String {
    let mut out = String::with_capacity(payload.len() + 6);
    let mut rest = payload;
    for key in [r#""E":"#, r#""T":"#] {
        let Some((before, after)) = rest.split_once(key) else {
            continue;
        };
        let end = after
            .find(|c: char| !c.is_ascii_digit())
            .expect("the payload goes on");
        out.extend([before, key, &after[..end], "000"]);
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// All best bid/asks, in order.
pub fn tickers() -> &'static [Ticker] {
    static TICKERS: LazyLock<Vec<Ticker>> = LazyLock::new(|| {
        let mut newest_ms = None;
        let mut tickers = Vec::new();
        for line in &recorded().lines {
            match line.kind {
                Kind::BookTicker => tickers.push(ticker(line.payload(), newest_ms, line.at_ns)),
                Kind::Depth | Kind::Trade => newest_ms = newest_ms.max(Some(event_time_ms(line.payload()))),
                Kind::Snapshot => {}
            }
        }
        tickers
    });
    &TICKERS
}

/// All trades, in order.
pub fn trades() -> &'static [Trade] {
    static TRADES: LazyLock<Vec<Trade>> =
        LazyLock::new(|| recorded().payloads(Kind::Trade).map(trade).collect());
    &TRADES
}

fn event_time_ms(payload: &str) -> i64 {
    let (_, after) = payload.split_once(r#""E":"#).expect("an event time");
    let end = after.find(',').expect("more keys");
    after[..end].parse().expect("a time")
}

fn ticker(json: &'static str, newest_ms: Option<i64>, at_ns: u64) -> Ticker {
    #[derive(Deserialize)]
    struct Json<'a> {
        u: i64,
        #[serde(rename = "b")]
        bid: &'a str,
        #[serde(rename = "B")]
        bid_qty: &'a str,
        #[serde(rename = "a")]
        ask: &'a str,
        #[serde(rename = "A")]
        ask_qty: &'a str,
    }
    let parsed: Json<'_> = serde_json::from_str(json).expect("a bookTicker");
    let level = |(price, qty): TextLevel<'_>| (digits(price), digits(qty));
    Ticker {
        json,
        event_time_us: newest_ms.map_or((at_ns / 1000).cast_signed(), |ms| ms * 1000),
        id: parsed.u,
        best: [(parsed.bid, parsed.bid_qty), (parsed.ask, parsed.ask_qty)].map(level),
    }
}

fn trade(json: &'static str) -> Trade {
    let parsed: HashMap<&str, serde_json::Value> = serde_json::from_str(json).expect("a trade");
    let number = |key: &str| parsed[key].as_i64().expect("a number");
    let decimal = |key: &str| digits(parsed[key].as_str().expect("a decimal"));
    Trade {
        json,
        event_time_ms: number("E"),
        trade_time_ms: number("T"),
        id: number("t"),
        level: (decimal("p"), decimal("q")),
        is_buyer_maker: parsed["m"].as_bool().expect("a boolean"),
    }
}
