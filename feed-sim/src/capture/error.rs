//! What can be wrong with a capture. Every error names the file and, where one was reached, the line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use depthcast_wire::json::{JsonError, Symbol};

use super::head::HEAD_LINES_MAX;
use super::lines::LINE_BYTES_MAX;
use super::reader::STREAMS_MAX;

/// A capture that cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[error("capture {}{}: {fault}", path.display(), Line(*line))]
pub struct CaptureError {
    /// The file.
    pub path: PathBuf,
    /// The line at fault, from 1; `None` where the fault is the file's.
    pub line: Option<u64>,
    /// What is wrong.
    #[source]
    pub fault: CaptureFault,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFault {
    /// No file of this name.
    #[error("there is no such file")]
    NotFound,
    /// A directory.
    #[error("this is a directory, not a file")]
    Directory,
    /// A pipe, a device or the like, which could not be read twice.
    #[error("this is no regular file")]
    NotRegular,
    /// The host refused to open or read it.
    #[error("the host cannot read it: {0}")]
    Unreadable(#[source] io::Error),
    /// No byte, or a gzip of none.
    #[error("the file is empty")]
    Empty,
    /// Neither gzip nor a line that starts with a time.
    #[error("the file is neither gzip nor lines of \"<local ns> <json>\"{}", NamedGzip(*named_gz))]
    Foreign {
        /// Whether its name ends in `.gz` all the same.
        named_gz: bool,
    },
    /// The gzip ends in the middle: an interrupted recording or copy.
    #[error("the gzip is cut off after {lines} whole lines")]
    GzipTruncated {
        /// How many lines were whole.
        lines: u64,
    },
    /// The gzip is damaged.
    #[error("the gzip is damaged after {lines} whole lines: {error}")]
    GzipDamaged {
        /// How many lines were whole.
        lines: u64,
        /// What the decompressor says.
        #[source]
        error: io::Error,
    },
    /// A line over [`LINE_BYTES_MAX`].
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The line does not start with a time and one space.
    #[error("the line does not start with its receive time in nanoseconds and a space")]
    NoTime,
    /// A receive time before that of the line above.
    #[error("the receive time {at_ns} ns lies before that of the line above, {previous_ns} ns")]
    TimeBackwards {
        /// This line's time.
        at_ns: u64,
        /// The line above's.
        previous_ns: u64,
    },
    /// The JSON of the line is no event of a feed.
    #[error("{0}")]
    Event(#[source] JsonError),
    /// A symbol that the head of the capture did not show, so that its precision is not known.
    #[error("the symbol {0} appears here first; the first {HEAD_LINES_MAX} lines must show every symbol")]
    LateSymbol(Symbol),
    /// A snapshot that names no symbol, in a capture of several.
    #[error("a depth snapshot that names no symbol, in a capture of {symbols} symbols")]
    WhoseSnapshot {
        /// How many symbols the capture has.
        symbols: usize,
    },
    /// No event names a symbol.
    #[error("no event at the start of the file names a symbol")]
    NoSymbol,
    /// Only events that are passed over.
    #[error("nothing at the start of the file can be replayed: it has only partial depths")]
    NothingToReplay,
    /// Two depth streams of one symbol, whose ids overlap.
    #[error("{symbol} has depth streams of {first_ms} ms and of {second_ms} ms; a book can follow only one")]
    TwoDepthStreams {
        /// The symbol.
        symbol: Symbol,
        /// The cadence seen first.
        first_ms: u32,
        /// The other cadence.
        second_ms: u32,
    },
    /// More than [`STREAMS_MAX`] names of streams.
    #[error("more than {STREAMS_MAX} streams")]
    TooManyStreams,
    /// An instrument that cannot be, as its events describe it.
    #[error("{0}")]
    Instrument(#[source] depthcast_market::instrument::InstrumentError),
}

impl CaptureFault {
    /// The error of the whole file.
    pub(super) fn of_file(self, path: &Path) -> CaptureError {
        CaptureError {
            path: path.into(),
            line: None,
            fault: self,
        }
    }

    /// The error of one line.
    pub(super) fn at_line(self, path: &Path, line: u64) -> CaptureError {
        CaptureError {
            path: path.into(),
            line: Some(line),
            fault: self,
        }
    }
}

/// `, line 17`, or nothing.
struct Line(Option<u64>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

/// A hint for a file whose name promises gzip.
struct NamedGzip(bool);

impl fmt::Display for NamedGzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 {
            ", though its name ends in .gz"
        } else {
            ""
        })
    }
}
