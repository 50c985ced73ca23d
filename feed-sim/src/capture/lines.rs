//! The lines of a capture file, plain or gzip, each `<local receive time, ns> <JSON frame>`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use depthcast_wire::json::decode::FRAME_BYTES_MAX;
use flate2::read::MultiGzDecoder;

use super::error::{CaptureError, CaptureFault};

/// The digits of the largest receive time, and the space after it.
const TIME_BYTES_MAX: usize = 21;

/// The longest line read: a frame of the largest size with its receive time and a carriage return.
pub const LINE_BYTES_MAX: usize = FRAME_BYTES_MAX + TIME_BYTES_MAX + 1;

/// How much is read from the file, and decompressed, at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What every gzip member starts with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a capture line by line into one buffer.
pub(super) struct Lines {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    gzip: bool,
    /// The last line read, without its end.
    line: Vec<u8>,
    /// How many whole lines were read.
    lines_read: u64,
    /// The receive time of the last line.
    previous_ns: u64,
}

/// One line.
pub(super) struct Line<'l> {
    /// From 1.
    pub(super) number: u64,
    /// The receive time.
    pub(super) at_ns: u64,
    /// The JSON frame.
    pub(super) frame: &'l mut [u8],
}

impl Lines {
    /// Opens the file and tells by its first bytes whether it is gzip or plain.
    pub(super) fn open(path: &Path) -> Result<Lines, CaptureError> {
        let (source, gzip) = open_source(path).map_err(|fault| fault.of_file(path))?;
        Ok(Lines {
            path: path.into(),
            source,
            gzip,
            line: Vec::new(),
            lines_read: 0,
            previous_ns: 0,
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes back to the first line. The file is opened anew, so it may be another one by now.
    pub(super) fn rewind(&mut self) -> Result<(), CaptureError> {
        (self.source, self.gzip) = open_source(&self.path).map_err(|fault| fault.of_file(&self.path))?;
        self.lines_read = 0;
        self.previous_ns = 0;
        Ok(())
    }

    /// The next line, or `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, CaptureError> {
        self.line.clear();
        // One byte more than fits tells a line that is too long from one that just fits.
        let limit = LINE_BYTES_MAX as u64 + 1;
        let taken = self.source.by_ref().take(limit).read_until(b'\n', &mut self.line);
        match taken {
            Ok(0) if self.lines_read == 0 => return Err(CaptureFault::Empty.of_file(&self.path)),
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(self.read_fault(error).of_file(&self.path)),
        }
        let number = self.lines_read + 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > LINE_BYTES_MAX {
            return Err(CaptureFault::LineTooLong.at_line(&self.path, number));
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        self.lines_read = number;
        let Some((at_ns, frame)) = split_time(&mut self.line) else {
            return Err(CaptureFault::NoTime.at_line(&self.path, number));
        };
        let previous_ns = std::mem::replace(&mut self.previous_ns, at_ns);
        if at_ns < previous_ns {
            return Err(CaptureFault::TimeBackwards { at_ns, previous_ns }.at_line(&self.path, number));
        }
        Ok(Some(Line { number, at_ns, frame }))
    }

    fn read_fault(&self, error: io::Error) -> CaptureFault {
        let lines = self.lines_read;
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.gzip => CaptureFault::GzipTruncated { lines },
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if self.gzip => {
                CaptureFault::GzipDamaged { lines, error }
            }
            _ => CaptureFault::Unreadable(error),
        }
    }
}

/// Opens the file; the flag says whether it is gzip.
fn open_source(path: &Path) -> Result<(Box<dyn BufRead + Send>, bool), CaptureFault> {
    let host_fault = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CaptureFault::NotFound,
        _ => CaptureFault::Unreadable(error),
    };
    // Asked before opening: to open a pipe would wait for its writer.
    let kind = std::fs::metadata(path).map_err(host_fault)?.file_type();
    if kind.is_dir() {
        return Err(CaptureFault::Directory);
    }
    if !kind.is_file() {
        return Err(CaptureFault::NotRegular);
    }
    let mut file = File::open(path).map_err(host_fault)?;
    let mut first = Vec::with_capacity(GZIP_MAGIC.len());
    Read::by_ref(&mut file)
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut first)
        .map_err(host_fault)?;
    file.rewind().map_err(host_fault)?;
    if first == GZIP_MAGIC {
        let file = BufReader::with_capacity(CHUNK_BYTES, file);
        let text = BufReader::with_capacity(CHUNK_BYTES, MultiGzDecoder::new(file));
        return Ok((Box::new(text), true));
    }
    match first.first() {
        None => Err(CaptureFault::Empty),
        Some(b'0'..=b'9') => Ok((Box::new(BufReader::with_capacity(CHUNK_BYTES, file)), false)),
        Some(_) => Err(CaptureFault::Foreign {
            named_gz: path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("gz")),
        }),
    }
}

/// Splits `<digits> <frame>`.
fn split_time(line: &mut [u8]) -> Option<(u64, &mut [u8])> {
    let digits = line.iter().take(TIME_BYTES_MAX).position(|&b| b == b' ')?;
    let (time, frame) = line.split_at_mut(digits);
    let at_ns = time.iter().try_fold(0u64, |value, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    // An empty time folds to zero, but is none.
    (digits > 0).then(|| (at_ns, &mut frame[1..]))
}
