//! The records of a capture, one after the other: each line decoded, and given to its symbol.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use depthcast_market::event::MarketEvent;
use depthcast_market::instrument::Exponents;
use depthcast_wire::json::{Decoder, Symbol};

use super::error::{CaptureError, CaptureFault};
use super::head::{self, CaptureHead};
use super::lines::Lines;
use super::stream_name::DepthStream;

/// The most names of streams in one capture: every stream of a whole exchange's symbols, with room to spare.
pub const STREAMS_MAX: usize = 65_536;

/// One recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the recorder received it, ns since the Unix epoch; never below that of the record before.
    pub at_ns: u64,
    /// Whose event it is. A snapshot that names no symbol belongs to the capture's only one.
    pub symbol: Symbol,
    /// The stream it came by, where the capture says.
    pub stream: Option<Arc<str>>,
    /// The event. A snapshot is always of the whole book.
    pub event: MarketEvent,
    /// Its line, from 1.
    pub line_number: u64,
}

/// Reads a capture from its first line to its last.
pub struct CaptureReader {
    head: CaptureHead,
    records: Records,
}

impl CaptureReader {
    /// Opens the capture and reads its head. A fault in the head is an error here, one further on an error of
    /// [`CaptureReader::next_record`].
    pub fn open(path: &Path) -> Result<CaptureReader, CaptureError> {
        let (head, records) = head::read(path)?;
        Ok(CaptureReader { head, records })
    }

    /// What the first part of the capture tells.
    pub fn head(&self) -> &CaptureHead {
        &self.head
    }

    /// The next record, or `None` after the last one. What follows an error is not to be trusted.
    pub fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        loop {
            match self.records.next_line()? {
                None => return Ok(None),
                Some(LineRead::PassedOver) => {}
                Some(LineRead::Record(record)) => return Ok(Some(record)),
            }
        }
    }

    /// How many events of partial depth streams were passed over since the first line. They show only the top of a
    /// book, so no book can be restored from them; the engine makes its own.
    pub fn partial_depths_passed_over(&self) -> u64 {
        self.records.partial_depths_passed_over
    }

    /// The error of a capture that has nothing to replay.
    pub(super) fn no_records(&self) -> CaptureError {
        CaptureFault::NothingToReplay.of_file(self.records.lines.path())
    }

    /// Goes back to the first line.
    pub fn rewind(&mut self) -> Result<(), CaptureError> {
        self.records.rewind()
    }

    /// Takes a spent event back, so that a later one uses its memory.
    pub fn recycle(&mut self, event: MarketEvent) {
        self.records.recycle(event);
    }
}

/// What one line was.
pub(super) enum LineRead {
    Record(Record),
    /// An event of a partial depth stream.
    PassedOver,
}

/// Lines, decoded with precisions known beforehand.
pub(super) struct Records {
    lines: Lines,
    decoder: Decoder,
    /// Sorted by symbol; at least one.
    precisions: Vec<(Symbol, Exponents)>,
    /// Every name of a stream seen, so that records share them.
    streams: HashSet<Arc<str>>,
    partial_depths_passed_over: u64,
}

impl Records {
    /// The records of `lines`; `precisions` must be sorted by symbol.
    pub(super) fn new(lines: Lines, precisions: Vec<(Symbol, Exponents)>) -> Records {
        Records {
            lines,
            decoder: Decoder::default(),
            precisions,
            streams: HashSet::new(),
            partial_depths_passed_over: 0,
        }
    }

    pub(super) fn rewind(&mut self) -> Result<(), CaptureError> {
        self.partial_depths_passed_over = 0;
        self.lines.rewind()
    }

    pub(super) fn recycle(&mut self, event: MarketEvent) {
        self.decoder.recycle(event);
    }

    /// Reads and decodes one line; `None` after the last.
    pub(super) fn next_line(&mut self) -> Result<Option<LineRead>, CaptureError> {
        let Some(line) = self.lines.next()? else {
            return Ok(None);
        };
        let (line_number, at_ns) = (line.number, line.at_ns);
        // Filled in while the frame is decoded: that is when its symbol is known.
        let mut owner = Err(CaptureFault::NoSymbol);
        let decoded = self.decoder.decode(line.frame, &mut |name| {
            owner = owner_of(&self.precisions, name);
            owner
                .as_ref()
                .map(|(_, exponents)| *exponents)
                .unwrap_or_default()
        });
        let outcome = match (decoded, owner) {
            // A symbol without a precision makes its numbers look wrong, so that is the fault to name.
            (_, Err(fault @ (CaptureFault::LateSymbol(_) | CaptureFault::WhoseSnapshot { .. }))) => {
                Err(fault)
            }
            (Err(error), _) => Err(CaptureFault::Event(error)),
            (Ok(_), Err(fault)) => Err(fault),
            (Ok(decoded), Ok((symbol, _))) => match decoded.stream {
                Some(name) if DepthStream::of(name) == Some(DepthStream::Partial) => {
                    self.partial_depths_passed_over += 1;
                    Ok(LineRead::PassedOver)
                }
                name => name
                    .map(|name| shared(&mut self.streams, name))
                    .transpose()
                    .map(|stream| {
                        LineRead::Record(Record {
                            at_ns,
                            symbol,
                            stream,
                            event: decoded.event,
                            line_number,
                        })
                    }),
            },
        };
        outcome
            .map(Some)
            .map_err(|fault| fault.at_line(self.lines.path(), line_number))
    }
}

/// The symbol called `name`, or the only one where an event names none.
fn owner_of(precisions: &[(Symbol, Exponents)], name: &str) -> Result<(Symbol, Exponents), CaptureFault> {
    match (Symbol::new(name), precisions) {
        (Some(symbol), _) => precisions
            .binary_search_by_key(&symbol, |&(known, _)| known)
            .map(|place| precisions[place])
            .map_err(|_| CaptureFault::LateSymbol(symbol)),
        (None, [only]) => Ok(*only),
        (None, _) => Err(CaptureFault::WhoseSnapshot {
            symbols: precisions.len(),
        }),
    }
}

/// `name` as a value that all its records share.
fn shared(streams: &mut HashSet<Arc<str>>, name: &str) -> Result<Arc<str>, CaptureFault> {
    if let Some(known) = streams.get(name) {
        return Ok(known.clone());
    }
    if streams.len() >= STREAMS_MAX {
        return Err(CaptureFault::TooManyStreams);
    }
    let name: Arc<str> = name.into();
    streams.insert(name.clone());
    Ok(name)
}
