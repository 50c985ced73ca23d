//! Holds what a client said against the record, and prints what was compared.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Deserialize;

use crate::clients::{Said, Way};
use crate::common::market::{State, TextLevel, levels};
use crate::common::mirror::Mirror;
use crate::witness::Record;

/// Trades of a symbol that a client has to show.
const TRADES_MIN: u64 = 10;

/// Faults of one way that are kept; more of them say nothing new.
const FAULTS_MAX: usize = 5;

/// One line of a client.
#[derive(Deserialize)]
struct Line<'a> {
    client: &'a str,
    /// The first line of each way has it.
    version: Option<&'a str>,
    symbol: Option<&'a str>,
    /// The id of a book.
    u: Option<u64>,
    /// The book is shown to its last level; else the best 20 of each side.
    #[serde(default)]
    whole: bool,
    #[serde(borrow, default)]
    bids: Vec<TextLevel<'a>>,
    #[serde(borrow, default)]
    asks: Vec<TextLevel<'a>>,
    /// A trade's payload.
    trade: Option<String>,
    /// How often books were begun anew.
    resyncs: Option<u64>,
    /// What the client itself found wrong.
    fault: Option<String>,
}

#[derive(Deserialize)]
struct TradeId {
    t: u64,
}

/// What one way of a client came to.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    version: String,
    /// Books at ids that differ from the one shown before.
    updates: u64,
    books: u64,
    whole_books: u64,
    trades: u64,
    resyncs: u64,
    /// What was wrong; empty where all was well.
    pub(super) faults: Vec<String>,
}

/// A row for each way of the client, which had `symbols` symbols to watch.
pub(super) fn judge(said: &Said, symbols: u64, record: &Record) -> Vec<Row> {
    let lines: Vec<Line<'_>> = said
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    for line in &lines {
        let is_known = said.client.ways.iter().any(|way| way.name == line.client);
        assert!(is_known, "nobody is called {}", line.client);
    }
    said.client
        .ways
        .iter()
        .map(|way| {
            row(
                way,
                symbols,
                lines.iter().filter(|line| line.client == way.name),
                record,
            )
        })
        .collect()
}

fn row<'a>(way: &Way, symbols: u64, lines: impl Iterator<Item = &'a Line<'a>>, record: &Record) -> Row {
    let mut row = Row {
        name: way.name,
        version: String::new(),
        updates: 0,
        books: 0,
        whole_books: 0,
        trades: 0,
        resyncs: 0,
        faults: Vec::new(),
    };
    let (mut last_trades, mut last_ids) = (HashMap::new(), HashMap::new());
    for line in lines {
        if let Some(version) = line.version {
            row.version = version.to_string();
        }
        row.resyncs = row.resyncs.max(line.resyncs.unwrap_or(0));
        if let Some(fault) = &line.fault {
            row.fault(fault);
        }
        let Some(symbol) = line.symbol else { continue };
        let result = match (line.u, &line.trade) {
            (Some(id), None) => {
                row.updates += u64::from(last_ids.insert(symbol, id) != Some(id));
                row.book(line, record.book(symbol, id), id)
            }
            (None, Some(payload)) => row.trade(symbol, payload, record, &mut last_trades),
            _ => Err("a line is neither a book nor a trade".to_string()),
        };
        if let Err(fault) = result {
            row.fault(&format!("{symbol}: {fault}"));
        }
    }
    let trades_min = if way.trades { TRADES_MIN } else { 0 };
    for (what, count, min) in [
        ("books", row.books, way.books_min),
        ("trades", row.trades, trades_min),
    ] {
        if count < min * symbols {
            row.fault(&format!("{count} {what} are too few to say anything"));
        }
    }
    if row.resyncs > way.resyncs_max {
        row.fault(&format!("a book was begun anew {} times", row.resyncs));
    }
    row
}

impl Row {
    fn fault(&mut self, what: &str) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(format!("{}: {what}", self.name));
        }
    }

    /// Holds a book against that of the record.
    fn book(&mut self, line: &Line<'_>, state: Option<&State>, id: u64) -> Result<(), String> {
        self.books += 1;
        let state = state.ok_or_else(|| format!("no event ended at id {id}"))?;
        let shown = [levels(&line.bids), levels(&line.asks)];
        if line.whole {
            self.whole_books += 1;
            let whole = Mirror::new(id, &shown).state();
            return (whole == *state)
                .then_some(())
                .ok_or_else(|| format!("the whole book at id {id} is {whole:?}, not {state:?}"));
        }
        (shown == state.top)
            .then_some(())
            .ok_or_else(|| format!("the book at id {id} shows {shown:?}, not {:?}", state.top))
    }

    /// Holds a trade against that of the record, and against the one before it.
    fn trade<'a>(
        &mut self,
        symbol: &'a str,
        payload: &str,
        record: &Record,
        last: &mut HashMap<&'a str, u64>,
    ) -> Result<(), String> {
        self.trades += 1;
        let TradeId { t: id } =
            serde_json::from_str(payload).map_err(|error| format!("{payload} is no trade: {error}"))?;
        let before = last.insert(symbol, id);
        if before.is_some_and(|before| before + 1 != id) {
            return Err(format!("trade {id} came behind {before:?}"));
        }
        let given = record
            .trade(symbol, id)
            .ok_or_else(|| format!("there was no trade {id}"))?;
        (given == payload)
            .then_some(())
            .ok_or_else(|| format!("{payload} is not {given}"))
    }
}

/// The rows as a table of Markdown.
pub(super) fn table(market: &str, rows: &[Row]) -> String {
    let mut out = String::from(
        "| client | version | market | updates | books compared | of them whole | trades compared | begun anew | result |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let result = if row.faults.is_empty() { "equal" } else { "FAULT" };
        writeln!(
            out,
            "| {} | {} | {market} | {} | {} | {} | {} | {} | {result} |",
            row.name, row.version, row.updates, row.books, row.whole_books, row.trades, row.resyncs
        )
        .expect("a text takes lines");
    }
    out
}
