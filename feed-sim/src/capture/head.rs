//! What the first part of a capture tells before it is replayed: its symbols, how their numbers are printed, their
//! smallest steps, and the cadence of their depth streams.

use std::collections::BTreeMap;
use std::path::Path;

use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::json::{Decoder, Symbol};

use super::error::{CaptureError, CaptureFault};
use super::lines::{Line, Lines};
use super::reader::{LineRead, Records};
use super::steps::Steps;
use super::stream_name::DepthStream;

/// How many lines the head has at most: minutes of a busy symbol, so that quiet ones have shown themselves too.
pub const HEAD_LINES_MAX: u64 = 32_768;

/// How many bytes of frames the head has at most: two passes of this many take a fraction of a second.
pub const HEAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the first part of a capture tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureHead {
    /// The symbols, by name.
    pub symbols: Vec<CaptureSymbol>,
    /// The receive time of the first line, ns.
    pub first_ns: u64,
}

/// One symbol of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureSymbol {
    /// Its exponents are the decimals that its events print. Its tick and lot size are the largest powers of ten that
    /// divide the prices and quantities of the head (of a thousand numbers one may be finer: an order older than the
    /// step).
    pub instrument: Instrument,
    /// The cadence of its depth stream, ms; `None` where no stream of the head is named as one.
    pub depth_cadence_ms: Option<u32>,
}

/// What is known of a symbol after the first pass.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    exponents: Option<Exponents>,
    depth_cadence_ms: Option<u32>,
}

impl Shown {
    fn widen(&mut self, seen: Option<Exponents>) {
        let Some(seen) = seen else { return };
        self.exponents = Some(match self.exponents {
            None => seen,
            Some(known) => Exponents {
                price: known.price.min(seen.price),
                qty: known.qty.min(seen.qty),
            },
        });
    }
}

/// The first pass: which symbols there are, and how they are printed.
#[derive(Default)]
struct Names {
    first_ns: u64,
    /// How many lines the head has.
    lines: u64,
    /// How many bytes of frames they hold.
    frame_bytes: usize,
    symbols: BTreeMap<Symbol, Shown>,
    /// The last line with a snapshot that names no symbol.
    bare_snapshot_line: Option<u64>,
    /// What such snapshots show.
    bare_snapshot: Shown,
}

/// Reads the head of the capture at `path`, and gives the records of the whole capture, from its first line on.
pub(super) fn read(path: &Path) -> Result<(CaptureHead, Records), CaptureError> {
    let mut lines = Lines::open(path)?;
    let names = Names::of(&mut lines)?;
    lines.rewind()?;
    let precisions = names
        .symbols
        .iter()
        .map(|(&symbol, shown)| (symbol, shown.exponents.unwrap_or_default()))
        .collect();
    let mut records = Records::new(lines, precisions);
    let steps = read_steps(&mut records, names.lines)?;
    if steps.is_empty() {
        return Err(CaptureFault::NothingToReplay.of_file(path));
    }
    records.rewind()?;
    let symbol = |(symbol, shown): (&Symbol, &Shown)| {
        let steps = steps.get(symbol).copied().unwrap_or_default();
        Instrument::new(
            symbol.as_str(),
            shown.exponents.unwrap_or_default(),
            steps.tick_size(),
            steps.lot_size(),
        )
        .map(|instrument| CaptureSymbol {
            instrument,
            depth_cadence_ms: shown.depth_cadence_ms,
        })
        .map_err(|fault| CaptureFault::Instrument(fault).of_file(path))
    };
    let head = CaptureHead {
        symbols: names.symbols.iter().map(symbol).collect::<Result<_, _>>()?,
        first_ns: names.first_ns,
    };
    Ok((head, records))
}

/// The second pass: with the precisions known, the numbers themselves.
fn read_steps(records: &mut Records, lines: u64) -> Result<BTreeMap<Symbol, Steps>, CaptureError> {
    let mut steps: BTreeMap<Symbol, Steps> = BTreeMap::new();
    for _ in 0..lines {
        match records.next_line()? {
            None => break,
            Some(LineRead::PassedOver) => {}
            Some(LineRead::Record(record)) => {
                steps.entry(record.symbol).or_default().note_event(&record.event);
                records.recycle(record.event);
            }
        }
    }
    Ok(steps)
}

impl Names {
    fn of(lines: &mut Lines) -> Result<Names, CaptureError> {
        let path = lines.path().to_path_buf();
        let mut names = Names::default();
        let mut decoder = Decoder::default();
        while names.lines < HEAD_LINES_MAX && names.frame_bytes < HEAD_BYTES_MAX {
            let Some(mut line) = lines.next()? else { break };
            if line.number == 1 {
                names.first_ns = line.at_ns;
            }
            names.lines = line.number;
            names.frame_bytes += line.frame.len();
            let number = line.number;
            names
                .note(&mut decoder, &mut line)
                .map_err(|fault| fault.at_line(&path, number))?;
        }
        names.settle(&path)
    }

    fn note(&mut self, decoder: &mut Decoder, line: &mut Line<'_>) -> Result<(), CaptureFault> {
        let precision = decoder.precision(&mut *line.frame).map_err(CaptureFault::Event)?;
        if precision.symbol.is_none() {
            self.bare_snapshot.widen(precision.exponents);
            self.bare_snapshot_line = Some(line.number);
            return Ok(());
        }
        let shown = self.symbols.entry(precision.symbol).or_default();
        shown.widen(precision.exponents);
        let Some(DepthStream::Updates { cadence_ms }) = precision.stream.and_then(DepthStream::of) else {
            return Ok(());
        };
        match shown.depth_cadence_ms.replace(cadence_ms) {
            Some(first_ms) if first_ms != cadence_ms => Err(CaptureFault::TwoDepthStreams {
                symbol: precision.symbol,
                first_ms,
                second_ms: cadence_ms,
            }),
            _ => Ok(()),
        }
    }

    /// Gives snapshots without a symbol to the only symbol there is.
    fn settle(mut self, path: &Path) -> Result<Names, CaptureError> {
        let symbols = self.symbols.len();
        let mut shown = self.symbols.values_mut();
        let Some(first) = shown.next() else {
            return Err(CaptureFault::NoSymbol.of_file(path));
        };
        if let Some(line) = self.bare_snapshot_line {
            if symbols > 1 {
                return Err(CaptureFault::WhoseSnapshot { symbols }.at_line(path, line));
            }
            first.widen(self.bare_snapshot.exponents);
        }
        Ok(self)
    }
}
