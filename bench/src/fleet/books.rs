//! The books of a sample connection: each depth stream begins with a snapshot (`snapshot=1`), and every event has to
//! continue it exactly (U is the last u + 1) and to leave it uncrossed.

mod compare;

use std::collections::BTreeMap;

use depthcast_market::book::{Book, BookLimits};
use depthcast_market::decimal::{DecimalError, parse_mantissa};
use depthcast_market::event::{BookSnapshot, DepthUpdate, Level, MarketEvent};
use depthcast_market::instrument::Exponents;
use depthcast_wire::json::{Decoder, JsonError};
use depthcast_wire::sbe::decode::{self as sbe, Message};
use depthcast_wire::stream::{StreamKind, StreamName};
use depthcast_wire::ws::{Incoming, MessageReader, Role};
use serde::Deserialize;

use super::ledger::{Ledger, Teller};
use super::order::Format;
use super::trail::{Trail, digest_of_book};

/// Where a snapshot's kind stands in a message, at the latest: behind a wrapper with the longest stream name.
const SNAPSHOT_MARK_BY: usize = 128;

/// The longest message taken: a snapshot of all the levels that a book may have, as JSON, with room to spare.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What tells a snapshot from other events.
const SNAPSHOT_MARK: &[u8] = br#""e":"depthSnapshot""#;

/// Events of a slow reader behind which its book is compared with others', beside those that tell several in one.
const EVENTS_PER_COMPARISON: u32 = 16;

/// A book is only compared with its own next event here, so it needs no memory of what was removed.
const BOOK_LIMITS: BookLimits = BookLimits {
    levels_per_side_max: 100_000,
    tombstones_max: 0,
};

/// What a message said that should not have been said. The fault is the server's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookFault {
    /// It cannot be read.
    #[error("undecodable: {0}")]
    Undecodable(String),
    /// A depth event does not continue its book.
    #[error("{stream}: update {first_id} to {last_id} came where {expected} was expected")]
    Gap {
        /// The stream, or its symbol in SBE.
        stream: String,
        /// First id.
        first_id: u64,
        /// Last id.
        last_id: u64,
        /// What its first id should have been.
        expected: u64,
    },
    /// A depth event came before its stream's snapshot.
    #[error("{stream}: update {first_id} to {last_id} came before a snapshot")]
    NoSnapshot {
        /// The stream, or its symbol in SBE.
        stream: String,
        /// First id.
        first_id: u64,
        /// Last id.
        last_id: u64,
    },
    /// The best bid reached the best ask.
    #[error("{stream}: the book is crossed after {last_id}")]
    Crossed {
        /// The stream, or its symbol in SBE.
        stream: String,
        /// The id it stands at.
        last_id: u64,
    },
    /// Another book of the symbol said something else at the same id.
    #[error("{stream}: at {last_id} the book differs from what another connection's said there")]
    Differs {
        /// The stream, or its symbol in SBE.
        stream: String,
        /// The id it stands at.
        last_id: u64,
    },
    /// The book refuses the event.
    #[error("{stream}: {reason}")]
    Refused {
        /// The stream, or its symbol in SBE.
        stream: String,
        /// Why.
        reason: String,
    },
}

/// What the books of all connections of a process share: memory that is used again for each message.
#[derive(Default)]
pub struct BookTools {
    json: Decoder,
    text: Vec<u8>,
    update: DepthUpdate,
    /// Where books are compared; None where no reader is slow.
    pub ledger: Option<Ledger>,
    /// Where books are held against each other.
    pub trail: Option<Trail>,
}

/// What came of some bytes.
#[derive(Debug, Default)]
pub struct BookNews {
    /// Depth events that kept their book.
    pub events: u64,
    /// Depth events that did not, and messages that cannot be read.
    pub gaps: u64,
    /// The first of them.
    pub first_fault: Option<BookFault>,
}

/// The depth streams of one connection and their books.
pub struct Books {
    format: Format,
    reader: MessageReader,
    /// By the name of the stream; by the symbol in SBE, whose messages name nothing else.
    books: BTreeMap<String, StreamBook>,
    /// A connection of one stream, whose events are not wrapped.
    only: Option<String>,
}

#[derive(Default)]
struct StreamBook {
    /// Its reader stops and resumes.
    is_slow: bool,
    /// Events since it was compared with another.
    events_alone: u32,
    /// Its key, for faults.
    stream: String,
    /// Where it stands; None before its snapshot.
    last_id: Option<u64>,
    /// None after a fault: then only ids are checked, until the next snapshot.
    book: Option<Book>,
    exponents: Exponents,
}

impl Books {
    /// For a connection that takes these streams. Those of a symbol that it takes several depth streams of have no book in
    /// SBE, where their events cannot be told apart.
    pub fn new(format: Format, streams: &[&str]) -> Books {
        let mut books = BTreeMap::new();
        let mut takers: BTreeMap<String, u32> = BTreeMap::new();
        for name in streams {
            let Ok(StreamName { symbol, kind, .. }) = StreamName::parse(name) else {
                continue;
            };
            let key = match format {
                Format::Sbe => symbol.to_upper().as_str().to_string(),
                Format::Json | Format::Bench => name.to_string(),
            };
            match kind {
                StreamKind::Depth => {
                    *takers.entry(key.clone()).or_default() += 1;
                    let stream = key.clone();
                    books.insert(
                        key,
                        StreamBook {
                            stream,
                            ..StreamBook::default()
                        },
                    );
                }
                // In SBE its messages look like snapshots.
                StreamKind::PartialDepth(_) => *takers.entry(key).or_default() += 1,
                _ => {}
            }
        }
        if format == Format::Sbe {
            books.retain(|key, _| takers.get(key) == Some(&1));
        }
        Books {
            format,
            reader: MessageReader::new(Role::Client, MESSAGE_BYTES_MAX),
            books,
            only: match streams {
                [one] => Some(one.to_string()),
                _ => None,
            },
        }
    }

    /// For a reader that stops and resumes: its books are compared with those of readers that keep up.
    pub fn of_slow_reader(format: Format, streams: &[&str]) -> Books {
        let mut books = Books::new(format, streams);
        books.books.values_mut().for_each(|book| book.is_slow = true);
        books
    }

    /// Compares all books as they stand.
    pub fn compare(&self, ledger: &mut Ledger) {
        for book in self.books.values().filter(|book| book.is_slow) {
            if let (Some(id), Some(content)) = (book.last_id, book.book.as_ref().map(digest_of_book)) {
                ledger.tell(&book.stream, id, content, Teller::Slow { conflated: false });
            }
        }
    }

    /// How many books there are.
    pub fn len(&self) -> usize {
        self.books.len()
    }

    /// Whether no stream has a book.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    /// Takes the next bytes of the connection. That they are sound frames is checked elsewhere; what is found here beyond
    /// that (text that is not UTF-8, a message too long) is a message that cannot be read.
    pub fn take(&mut self, bytes: &[u8], tools: &mut BookTools) -> BookNews {
        let mut news = BookNews::default();
        let mut rest = bytes;
        loop {
            let outcome = match self.reader.next(&mut rest) {
                Ok(None) | Ok(Some(Incoming::Close(_))) => return news,
                Ok(Some(Incoming::Ping(_) | Incoming::Pong(_))) => Ok(0),
                Ok(Some(Incoming::Text(text))) if self.format == Format::Json => {
                    tools.text.clear();
                    tools.text.extend_from_slice(text.as_bytes());
                    take_json(&mut self.books, self.only.as_deref(), tools)
                }
                // What SBE has no message for is JSON, and no depth event.
                Ok(Some(Incoming::Text(_))) => Ok(0),
                Ok(Some(Incoming::Binary(message))) if self.format == Format::Sbe => {
                    take_sbe(&mut self.books, message, tools)
                }
                Ok(Some(Incoming::Binary(_))) => {
                    Err(BookFault::Undecodable("a binary message in JSON".into()))
                }
                Err(fault) => {
                    news.note(Err(BookFault::Undecodable(fault.to_string())));
                    return news;
                }
            };
            news.note(outcome);
        }
    }
}

impl BookNews {
    fn note(&mut self, outcome: Result<u64, BookFault>) {
        match outcome {
            Ok(events) => self.events += events,
            Err(fault) => {
                self.gaps += 1;
                self.first_fault.get_or_insert(fault);
            }
        }
    }
}

impl StreamBook {
    /// Begins anew with a snapshot, which is no depth event.
    fn load(&mut self, snapshot: &BookSnapshot, exponents: Exponents) -> Result<u64, BookFault> {
        let mut book = Book::new(BOOK_LIMITS);
        self.last_id = Some(snapshot.last_id);
        self.exponents = exponents;
        self.book = None;
        book.load(snapshot).map_err(|error| self.refused(&error))?;
        self.book = Some(book);
        self.check_uncrossed()?;
        Ok(0)
    }

    fn apply(&mut self, update: &DepthUpdate, exponents: Exponents) -> Result<u64, BookFault> {
        let &DepthUpdate {
            first_id, last_id, ..
        } = update;
        let before = self
            .last_id
            .replace(last_id)
            .ok_or_else(|| BookFault::NoSnapshot {
                stream: self.stream.clone(),
                first_id,
                last_id,
            })?;
        let expected = before.saturating_add(1);
        if first_id != expected {
            self.book = None;
            return Err(BookFault::Gap {
                stream: self.stream.clone(),
                first_id,
                last_id,
                expected,
            });
        }
        // One that had its fault has no levels, but its ids go on.
        let Some(mut book) = self.book.take() else {
            return Ok(1);
        };
        if exponents != self.exponents {
            return Err(self.refused(&"its numbers changed their precision"));
        }
        book.apply(update).map_err(|error| self.refused(&error))?;
        self.book = Some(book);
        self.check_uncrossed()?;
        Ok(1)
    }

    fn refused(&self, reason: &dyn std::fmt::Display) -> BookFault {
        BookFault::Refused {
            stream: self.stream.clone(),
            reason: reason.to_string(),
        }
    }

    fn check_uncrossed(&mut self) -> Result<(), BookFault> {
        if self.book.take_if(|book| book.is_crossed()).is_none() {
            return Ok(());
        }
        Err(BookFault::Crossed {
            stream: self.stream.clone(),
            last_id: self.last_id.unwrap_or_default(),
        })
    }
}

/// Reads the message in `tools.text`. Gives how many depth events it was.
fn take_json(
    books: &mut BTreeMap<String, StreamBook>,
    only: Option<&str>,
    tools: &mut BookTools,
) -> Result<u64, BookFault> {
    let BookTools {
        json,
        text,
        ledger,
        trail,
        ..
    } = tools;
    // Every price and quantity that an exchange prints fits.
    let exponents = Exponents::default();
    let start = &text[..text.len().min(SNAPSHOT_MARK_BY)];
    if start
        .windows(SNAPSHOT_MARK.len())
        .any(|part| part == SNAPSHOT_MARK)
    {
        let (stream, snapshot) = read_snapshot(text, exponents)?;
        let stream = stream.as_deref().or(only);
        return match stream.and_then(|stream| books.get_mut(stream)) {
            Some(book) => book
                .load_and_compare(&snapshot, exponents, ledger)
                .and_then(|events| book.compare_on(trail).map(|()| events)),
            None => Ok(0),
        };
    }
    let decoded = match json.decode(text, &mut |_| exponents) {
        Ok(decoded) => decoded,
        // Aggregate trades, heartbeats, the announcement of the end: no depth.
        Err(JsonError::UnknownKind(_)) => return Ok(0),
        Err(error) => return Err(BookFault::Undecodable(error.to_string())),
    };
    let stream = decoded.stream.or(only);
    let book = stream.and_then(|stream| books.get_mut(stream));
    let outcome = match (&decoded.event, book) {
        (MarketEvent::Depth(update), Some(book)) => book
            .apply_and_compare(update, exponents, ledger)
            .and_then(|events| book.compare_on(trail).map(|()| events)),
        _ => Ok(0),
    };
    json.recycle(decoded.event);
    outcome
}

fn take_sbe(
    books: &mut BTreeMap<String, StreamBook>,
    message: &[u8],
    tools: &mut BookTools,
) -> Result<u64, BookFault> {
    let message = sbe::decode(message).map_err(|error| BookFault::Undecodable(error.to_string()))?;
    let Some(book) = books.get_mut(message.symbol()) else {
        return Ok(0);
    };
    let events = match message {
        Message::DepthSnapshot(event) => {
            book.load_and_compare(&event.to_snapshot(), event.exponents(), &mut tools.ledger)?
        }
        Message::DepthDiff(event) => {
            let update = &mut tools.update;
            update.event_time_us = event.event_time_us();
            update.first_id = event.first_id();
            update.last_id = event.last_id();
            update.bids.clear();
            update.bids.extend(event.bids());
            update.asks.clear();
            update.asks.extend(event.asks());
            book.apply_and_compare(update, event.exponents(), &mut tools.ledger)?
        }
        Message::Trades(_) | Message::BestBidAsk(_) => return Ok(0),
    };
    book.compare_on(&mut tools.trail).map(|()| events)
}

/// A snapshot as a stream begins with it, raw or wrapped.
#[derive(Deserialize)]
struct SnapshotJson<'t> {
    #[serde(rename = "lastUpdateId")]
    last_id: u64,
    #[serde(borrow)]
    bids: Vec<(&'t str, &'t str)>,
    #[serde(borrow)]
    asks: Vec<(&'t str, &'t str)>,
}

#[derive(Deserialize)]
struct WrappedJson<'t> {
    #[serde(borrow)]
    stream: &'t str,
    #[serde(borrow)]
    data: SnapshotJson<'t>,
}

/// The snapshot in `text`, that of a stream or the answer of REST depth, and the name of its stream where it is wrapped.
pub fn read_snapshot(text: &[u8], exponents: Exponents) -> Result<(Option<String>, BookSnapshot), BookFault> {
    let unreadable = |error: &dyn std::fmt::Display| BookFault::Undecodable(format!("a snapshot: {error}"));
    let is_wrapped = text.starts_with(br#"{"stream":"#);
    let (stream, snapshot) = if is_wrapped {
        let wrapped: WrappedJson<'_> = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
        (Some(wrapped.stream.to_string()), wrapped.data)
    } else {
        (
            None,
            serde_json::from_slice(text).map_err(|error| unreadable(&error))?,
        )
    };
    let levels = |texts: &[(&str, &str)]| {
        let level = |&(price, qty): &(&str, &str)| {
            Ok(Level {
                price: parse_mantissa(price.as_bytes(), exponents.price)?,
                qty: parse_mantissa(qty.as_bytes(), exponents.qty)?,
            })
        };
        let read: Result<Vec<Level>, DecimalError> = texts.iter().map(level).collect();
        read.map_err(|error| unreadable(&error))
    };
    let book = BookSnapshot {
        last_id: snapshot.last_id,
        bids: levels(&snapshot.bids)?,
        asks: levels(&snapshot.asks)?,
    };
    Ok((stream, book))
}

#[cfg(test)]
mod tests;
