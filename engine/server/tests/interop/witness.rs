//! What the engine gave, id by id: a subscriber that keeps every state of every book, and every trade as it was written.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use serde::Deserialize;

use crate::common::market::{BookJson, DepthJson, State, levels};
use crate::common::mirror::Mirror;
use crate::common::raw::http_get;
use crate::common::subscriber::Subscriber;

/// What tells an event's kind and place.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "t")]
    trade: Option<u64>,
}

/// States and trades by symbol and id.
#[derive(Debug, Default)]
pub(super) struct Record {
    states: HashMap<String, HashMap<u64, State>>,
    trades: HashMap<String, HashMap<u64, String>>,
}

impl Record {
    /// The book of a symbol where an event ended at this id.
    pub(super) fn book(&self, symbol: &str, id: u64) -> Option<&State> {
        self.states.get(symbol)?.get(&id)
    }

    /// Every state of every book.
    pub(super) fn books(&self) -> impl Iterator<Item = (&str, &State)> {
        self.states
            .iter()
            .flat_map(|(symbol, states)| states.values().map(move |state| (symbol.as_str(), state)))
    }

    /// The payload of a trade.
    pub(super) fn trade(&self, symbol: &str, id: u64) -> Option<&str> {
        self.trades.get(symbol)?.get(&id).map(String::as_str)
    }

    fn note(&mut self, symbol: &str, mirror: &Mirror) {
        let states = self.states.entry(symbol.to_string()).or_default();
        states.insert(mirror.id(), mirror.state());
    }
}

/// The subscriber, on a thread of its own.
pub(super) struct Witness {
    address: SocketAddr,
    symbols: Vec<String>,
    until: mpsc::Sender<HashMap<String, u64>>,
    thread: JoinHandle<Record>,
}

impl Witness {
    /// Begins to follow these symbols; what comes after this is on record.
    pub(super) fn begin(address: SocketAddr, symbols: &[&str]) -> Witness {
        let names: Vec<String> = symbols
            .iter()
            .map(|symbol| symbol.to_lowercase())
            .flat_map(|symbol| [format!("{symbol}@depth@0ms"), format!("{symbol}@trade")])
            .collect();
        let subscriber = Subscriber::open(address, &format!("/ws/{}", names.join("/")));
        let (until, told) = mpsc::channel();
        Witness {
            address,
            symbols: symbols.iter().map(ToString::to_string).collect(),
            until,
            thread: thread::spawn(move || follow(subscriber, address, &told)),
        }
    }

    /// Follows on to where the books are now, so that no client has seen more.
    pub(super) fn end(self) -> Record {
        let now = self.symbols.into_iter().map(|symbol| {
            let id = snapshot(self.address, &symbol).id();
            (symbol, id)
        });
        // Where it does not listen it has failed, which the join tells.
        let _ = self.until.send(now.collect());
        self.thread.join().expect("the witness has no fault to report")
    }
}

fn snapshot(address: SocketAddr, symbol: &str) -> Mirror {
    let (status, body) = http_get(address, &format!("/api/v3/depth?symbol={symbol}&limit=5000"));
    assert_eq!(status, 200, "{body}");
    let book: BookJson<'_> = serde_json::from_str(&body).expect("a book");
    Mirror::new(book.last_id, &[levels(&book.bids), levels(&book.asks)])
}

fn follow(
    mut subscriber: Subscriber,
    address: SocketAddr,
    told: &mpsc::Receiver<HashMap<String, u64>>,
) -> Record {
    let (mut record, mut mirrors) = (Record::default(), HashMap::<String, Mirror>::new());
    let mut until: Option<HashMap<String, u64>> = None;
    let at = |mirrors: &HashMap<String, Mirror>, symbol: &String| mirrors.get(symbol).map_or(0, Mirror::id);
    while !until
        .as_ref()
        .is_some_and(|until| until.iter().all(|(symbol, id)| at(&mirrors, symbol) >= *id))
    {
        let text = subscriber.message().text();
        let head: Head<'_> = serde_json::from_str(text).expect("an event");
        match (head.kind, head.trade) {
            ("trade", Some(id)) => {
                let trades = record.trades.entry(head.symbol.to_string()).or_default();
                trades.insert(id, text.to_string());
            }
            ("depthUpdate", None) => {
                let update: DepthJson<'_> = serde_json::from_str(text).expect("a depth event");
                let mirror = mirrors.entry(head.symbol.to_string()).or_insert_with(|| {
                    // The snapshot is taken behind the first event, so it is never older than it.
                    let mirror = snapshot(address, head.symbol);
                    record.note(head.symbol, &mirror);
                    mirror
                });
                let changes = [levels(&update.bids), levels(&update.asks)];
                if mirror.apply(update.first_id, update.last_id, &changes) {
                    record.note(head.symbol, mirror);
                }
            }
            _ => panic!("{text} is of no stream that is followed"),
        }
        until = until.or_else(|| told.try_recv().ok());
    }
    record
}
