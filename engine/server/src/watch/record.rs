//! `--record`: what a subscriber received, kept as a capture that `serve --feed capture:FILE` replays.
//!
//! ```text
//! <receive time, ns since 1970> {"stream":"btcusdt@depth@20ms","data":{…}}     also @bookTicker and @trade
//! <receive time, ns since 1970> {"lastUpdateId":…,"bids":…,"asks":…}           a whole book: REST's, or one that was sent
//! ```
//!
//! Every event is written as a JSON stream of milliseconds would have given it, whatever format it came in: captures
//! count time in milliseconds, and a subscriber asks for more.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use depthcast_client::tap::{Received, Tap};
use depthcast_market::instrument::Instrument;
use depthcast_wire::json::decode::{FRAME_BYTES_MAX, LEVELS_PER_SIDE_MAX};
use depthcast_wire::json::encode;
use depthcast_wire::stream::{Cadence, StreamKind, StreamName, SymbolName};
use depthcast_wire::time_unit::TimeUnit;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{EXIT_HOST, EXIT_USAGE};

/// What is kept in memory before it is written: half a snapshot of 5,000 levels a side, so that ordinary events are
/// written by the hundred.
const BUFFER_BYTES: usize = 256 * 1024;

/// How often what was kept is written in any case. Short of the second that is promised, with time for a slow disk.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Why nothing is recorded, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The file is there.
    #[error("{} exists and is not overwritten: remove it, or name another file with --record", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is there is no file.
    #[error("{} is no file: name a new file with --record", path.display())]
    NoFile {
        /// What is there.
        path: PathBuf,
    },
    /// The file cannot be made.
    #[error("cannot create {}: {source}{}", path.display(), missing_folder(path))]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An event that no reader of captures takes.
    #[error(
        "{} cannot hold an event of {levels} levels a side and {bytes} bytes: captures have at most {LEVELS_PER_SIDE_MAX} and {FRAME_BYTES_MAX}",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Levels on its larger side.
        levels: usize,
        /// Bytes of its frame.
        bytes: usize,
    },
}

/// Which folder is missing, if that is it.
fn missing_folder(path: &Path) -> String {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            format!("; there is no folder {}", folder.display())
        }
        _ => String::new(),
    }
}

impl RecordError {
    /// The exit code of a program that this ends.
    pub(super) fn exit_code(&self) -> i32 {
        match self {
            RecordError::Exists { .. } | RecordError::NoFile { .. } => EXIT_USAGE,
            RecordError::Create { .. } | RecordError::Write { .. } | RecordError::TooLarge { .. } => {
                EXIT_HOST
            }
        }
    }
}

/// What a recording came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Lines written.
    pub(super) lines: u64,
    /// The market began anew, and the recording ended before that.
    pub(super) ended_at_epoch: bool,
}

/// Records what its tap is shown.
pub(super) struct Recorder {
    recording: Arc<Mutex<Recording>>,
    /// Dropped to end the thread that flushes.
    flushing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Recorder {
    /// Refuses a path where something is.
    pub(super) fn check(path: &Path) -> Result<(), RecordError> {
        match path.symlink_metadata() {
            Ok(there) if there.is_file() || there.is_symlink() => {
                Err(RecordError::Exists { path: path.into() })
            }
            Ok(_) => Err(RecordError::NoFile { path: path.into() }),
            Err(_) => Ok(()),
        }
    }

    /// Creates the file; gzip where its name ends in `.gz`. `cadence` is that of the depth stream.
    pub(super) fn create(path: &Path, cadence: Cadence) -> Result<Recorder, RecordError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RecordError::Exists { path: path.into() },
            _ => RecordError::Create {
                path: path.into(),
                source,
            },
        })?;
        let is_gzip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let recording = Recording::new(path, Sink::new(file, is_gzip), cadence);
        let recording = Arc::new(Mutex::new(recording));
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new().name("record".into()).spawn({
            let recording = recording.clone();
            move || {
                while stopped.recv_timeout(FLUSH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    lock(&recording).flush();
                }
            }
        });
        let thread = thread.map_err(|source| RecordError::Create {
            path: path.into(),
            source,
        })?;
        Ok(Recorder {
            recording,
            flushing: Some((stop, thread)),
        })
    }

    /// What a subscriber is to show everything to.
    pub(super) fn tap(&self) -> Tap {
        let recording = self.recording.clone();
        Box::new(move |received_us, instrument, received| {
            lock(&recording).note(received_us, instrument, received);
        })
    }

    /// What it has come to so far; an error once.
    pub(super) fn state(&self) -> Result<Recorded, RecordError> {
        lock(&self.recording).state()
    }

    /// Writes what is left and closes the file. One in which nothing was written is removed.
    pub(super) fn finish(mut self) -> Result<Recorded, RecordError> {
        self.stop_flushing();
        lock(&self.recording).finish()
    }

    fn stop_flushing(&mut self) {
        if let Some((stop, thread)) = self.flushing.take() {
            drop(stop);
            // It has nothing to tell; had it panicked, the hook has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop_flushing();
    }
}

/// A panic of another thread leaves whole lines behind at worst.
fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open file and what is known of its content.
struct Recording {
    path: PathBuf,
    /// `None` when it is closed: finished, failed, or the market began anew.
    sink: Option<Sink>,
    failed: Option<RecordError>,
    recorded: Recorded,
    cadence: Cadence,
    /// Captures never go back in time.
    last_ns: u64,
    /// The highest id of a depth update.
    last_id: u64,
    /// The number of the history that is recorded, where the server says so.
    epoch: Option<u64>,
    dirty: bool,
    payload: Vec<u8>,
    line: Vec<u8>,
}

impl Recording {
    fn new(path: &Path, sink: Sink, cadence: Cadence) -> Recording {
        Recording {
            path: path.into(),
            sink: Some(sink),
            failed: None,
            recorded: Recorded::default(),
            cadence,
            last_ns: 0,
            last_id: 0,
            epoch: None,
            dirty: false,
            payload: Vec::new(),
            line: Vec::new(),
        }
    }

    fn note(&mut self, received_us: i64, instrument: &Instrument, received: Received<'_>) {
        if self.is_of_another_history(received) {
            // A capture is one history: with ids that go back its replay would stand still.
            self.recorded.ended_at_epoch = true;
            self.close();
            return;
        }
        if self.sink.is_none() {
            return;
        }
        let at_ns = u64::try_from(received_us).unwrap_or(0).saturating_mul(1000);
        self.last_ns = self.last_ns.max(at_ns);
        let written = self
            .compose(instrument, received)
            .and_then(|()| self.write_line());
        match written {
            Ok(()) => self.recorded.lines += 1,
            Err(error) => self.fail(error),
        }
    }

    /// Whether the market has begun anew with this.
    fn is_of_another_history(&mut self, received: Received<'_>) -> bool {
        let (epoch, goes_back) = match received {
            Received::Depth {
                update,
                is_first_of_connection,
                epoch,
            } => {
                let goes_back = is_first_of_connection && update.last_id < self.last_id;
                self.last_id = self.last_id.max(update.last_id);
                (epoch, goes_back)
            }
            // An old snapshot of the same history is nothing new; a replay passes over it.
            Received::Snapshot { epoch, .. } => (epoch, false),
            Received::BestBidAsk(_) | Received::Trade(_) => return false,
        };
        let is_other_epoch = matches!((self.epoch, epoch), (Some(ours), Some(theirs)) if ours != theirs);
        self.epoch = self.epoch.or(epoch);
        is_other_epoch || goes_back
    }

    /// Puts the line of an event into `self.line`.
    fn compose(&mut self, instrument: &Instrument, received: Received<'_>) -> Result<(), RecordError> {
        let Recording { payload, line, .. } = self;
        payload.clear();
        line.clear();
        // Writing to memory does not fail.
        let _ = write!(line, "{} ", self.last_ns);
        let time_start = line.len();
        let (kind, levels) = match received {
            Received::Depth { update, .. } => {
                encode::depth_update(payload, instrument, TimeUnit::Millisecond, update);
                (StreamKind::Depth, update.bids.len().max(update.asks.len()))
            }
            Received::BestBidAsk(best) => {
                encode::book_ticker(payload, instrument, best);
                (StreamKind::BookTicker, 1)
            }
            Received::Trade(trade) => {
                encode::trade(payload, instrument, TimeUnit::Millisecond, trade);
                (StreamKind::Trade, 1)
            }
            Received::Snapshot { snapshot, .. } => {
                encode::partial_depth(line, instrument, snapshot);
                let levels = snapshot.bids.len().max(snapshot.asks.len());
                return self.check_size(time_start, levels);
            }
        };
        let name = stream_name(instrument, kind, self.cadence);
        encode::combined(line, &name, payload);
        self.check_size(time_start, levels)
    }

    fn check_size(&mut self, frame_start: usize, levels: usize) -> Result<(), RecordError> {
        let bytes = self.line.len() - frame_start;
        if levels > LEVELS_PER_SIDE_MAX || bytes > FRAME_BYTES_MAX {
            return Err(RecordError::TooLarge {
                path: self.path.clone(),
                levels,
                bytes,
            });
        }
        self.line.push(b'\n');
        Ok(())
    }

    fn write_line(&mut self) -> Result<(), RecordError> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        self.dirty = true;
        sink.write_all(&self.line)
            .map_err(|source| self.write_error(source))
    }

    fn flush(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let flushed = self.sink.as_mut().map_or(Ok(()), Sink::flush);
        if let Err(source) = flushed {
            let error = self.write_error(source);
            self.fail(error);
        }
    }

    fn close(&mut self) {
        let closed = self.sink.take().map_or(Ok(()), Sink::finish);
        if let Err(source) = closed {
            let error = self.write_error(source);
            self.fail(error);
        }
    }

    fn fail(&mut self, error: RecordError) {
        if let Some(sink) = self.sink.take() {
            sink.abandon();
        }
        self.failed.get_or_insert(error);
    }

    fn state(&mut self) -> Result<Recorded, RecordError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(self.recorded),
        }
    }

    fn finish(&mut self) -> Result<Recorded, RecordError> {
        self.close();
        if self.recorded.lines == 0 && self.failed.is_none() {
            // An empty file is no capture, and would be in the way of the next try.
            let _ = std::fs::remove_file(&self.path);
        }
        self.state()
    }

    fn write_error(&self, source: io::Error) -> RecordError {
        RecordError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// The stream an event would come by, as `btcusdt@depth@20ms`.
fn stream_name(instrument: &Instrument, kind: StreamKind, cadence: Cadence) -> String {
    let symbol = instrument.name().to_ascii_lowercase();
    match SymbolName::new(&symbol) {
        Some(symbol) => StreamName {
            symbol,
            kind,
            cadence: kind.takes_cadence().then_some(cadence),
        }
        .to_string(),
        // No instrument has such a name.
        None => symbol,
    }
}

/// The file, compressed or not.
enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<BufWriter<GzEncoder<File>>>),
}

impl Sink {
    fn new(file: File, is_gzip: bool) -> Sink {
        if is_gzip {
            let encoder = GzEncoder::new(file, Compression::default());
            Sink::Gzip(Box::new(BufWriter::with_capacity(BUFFER_BYTES, encoder)))
        } else {
            Sink::Plain(BufWriter::with_capacity(BUFFER_BYTES, file))
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(out) => out.write_all(bytes),
            Sink::Gzip(out) => out.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(out) => out.flush(),
            Sink::Gzip(out) => out.flush(),
        }
    }

    fn finish(self) -> io::Result<()> {
        let file = match self {
            Sink::Plain(out) => out.into_inner().map_err(|error| error.into_error())?,
            Sink::Gzip(out) => out.into_inner().map_err(|error| error.into_error())?.finish()?,
        };
        // Some file systems say only here that there was no room.
        match file.sync_data() {
            // A device or a pipe has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    /// Gives up the file without writing what is left.
    fn abandon(self) {
        match self {
            Sink::Plain(out) => drop(out.into_parts()),
            Sink::Gzip(out) => drop(out.into_parts()),
        }
    }
}

#[cfg(test)]
mod tests;
