//! Reads a feed's JSON frames: `[u8]` in (raw or combined), one market event out.

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::Exponents;
use simd_json::{Buffers, Node, Tape};

use super::error::{Fault, JsonError};
use super::fields::{Fields, Key};
use super::levels::Side;
use super::symbol::Symbol;
use crate::time_unit::TimeUnit;

pub use super::levels::LEVELS_PER_SIDE_MAX;

/// The longest frame taken: both sides with all the levels they may have, and room for the rest. A hostile frame of this
/// length (a million brackets and commas) grows a decoder's buffers, which it keeps, to about 30 MB.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// A level as a real feed prints it: `["61737.63000000","12345.00000000"],` and ten digits to spare.
const LEVEL_BYTES: usize = 46;
const _: () = assert!(2 * LEVELS_PER_SIDE_MAX * LEVEL_BYTES <= FRAME_BYTES_MAX);

/// The deepest nesting taken. Events need four (wrapper, event, side, level); the rest is room for keys to come.
pub const DEPTH_MAX: usize = 16;

/// Bytes that a decoder's buffers start with: an ordinary depth event.
const BUFFER_BYTES_START: usize = 4096;

/// One event of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'f> {
    /// The stream's name, where the frame is a combined one.
    pub stream: Option<&'f str>,
    /// Whose event it is: named by the event, or, for a partial depth, by its stream. [`Symbol::NONE`] for a bare
    /// snapshot; a `depthSnapshot` names it.
    pub symbol: Symbol,
    /// The event. A snapshot that came by a partial depth stream (`@depth5` and the like) is the top of a book only.
    pub event: MarketEvent,
}

/// Decodes frames one after the other, keeping its buffers between them.
pub struct Decoder {
    buffers: Buffers,
    /// Empty between calls; only its memory is kept.
    tape: Tape<'static>,
    /// Empty vectors of levels given back by [`Decoder::recycle`], at most one for each side.
    spare_levels: [Vec<Level>; 2],
    micros_per_unit: i64,
}

impl Default for Decoder {
    /// A decoder of times in milliseconds.
    fn default() -> Self {
        Decoder::new(TimeUnit::default())
    }
}

impl Decoder {
    /// A decoder of a feed that gives its times in `time_unit`.
    pub fn new(time_unit: TimeUnit) -> Decoder {
        Decoder {
            buffers: Buffers::with_max_depth(BUFFER_BYTES_START, DEPTH_MAX),
            tape: Tape(Vec::new()),
            spare_levels: [Vec::new(), Vec::new()],
            micros_per_unit: match time_unit {
                TimeUnit::Millisecond => 1000,
                TimeUnit::Microsecond => 1,
            },
        }
    }

    /// The event in `frame`: a depth update, a best bid/ask, a trade, or a snapshot (REST depth, partial depth,
    /// `depthSnapshot`), raw or combined. Escapes in strings are resolved in place, so `frame` is changed; on an error too.
    ///
    /// `exponents` gives the precision of the symbol it is called with: upper case, or "" for a bare snapshot. It is
    /// called once per event and only after the frame was understood so far.
    pub fn decode<'f>(
        &mut self,
        frame: &'f mut [u8],
        exponents: &mut dyn FnMut(&str) -> Exponents,
    ) -> Result<Decoded<'f>, JsonError> {
        let micros_per_unit = self.micros_per_unit;
        let mut spare_levels = std::mem::take(&mut self.spare_levels);
        let decoded = self.with_nodes(frame, |nodes| {
            let found = Found::of(nodes)?;
            let precision = exponents(found.symbol.as_str());
            let event = found.event(precision, micros_per_unit, &mut spare_levels)?;
            Ok(Decoded {
                stream: found.stream,
                symbol: found.symbol,
                event,
            })
        });
        self.spare_levels = spare_levels;
        decoded
    }

    /// Takes a spent event back, so that the next one with levels uses its memory instead of new.
    pub fn recycle(&mut self, event: MarketEvent) {
        let (MarketEvent::Depth(DepthUpdate { bids, asks, .. })
        | MarketEvent::Snapshot(BookSnapshot { bids, asks, .. })) = event
        else {
            return;
        };
        for (place, mut levels) in self.spare_levels.iter_mut().zip([bids, asks]) {
            if levels.capacity() > place.capacity() {
                levels.clear();
                *place = levels;
            }
        }
    }

    /// Parses `frame` and gives its nodes to `read`, then takes the nodes' memory back.
    pub(super) fn with_nodes<'f, T>(
        &mut self,
        frame: &'f mut [u8],
        read: impl FnOnce(&[Node<'f>]) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(JsonError::FrameTooLong { length: frame.len() });
        }
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let outcome = simd_json::fill_tape(frame, &mut self.buffers, &mut tape)
            .map_err(|error| JsonError::of_parser(&error))
            .and_then(|()| read(&tape.0));
        self.tape = tape.reset();
        outcome
    }
}

/// What kind of event a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Depth,
    BestBidAsk,
    Trade,
    Snapshot,
}

impl Kind {
    /// What errors call it.
    fn name(self) -> &'static str {
        match self {
            Kind::Depth => "depthUpdate",
            Kind::BestBidAsk => "bookTicker",
            Kind::Trade => "trade",
            Kind::Snapshot => "depth snapshot",
        }
    }

    /// Events without `e` are told apart by the keys that only they have.
    fn of(fields: &Fields<'_, '_>) -> Result<Kind, JsonError> {
        if fields.has(Key::Kind) {
            return match fields.text(Key::Kind)? {
                "depthUpdate" => Ok(Kind::Depth),
                "depthSnapshot" => Ok(Kind::Snapshot),
                "trade" => Ok(Kind::Trade),
                other => Err(JsonError::unknown_kind(other)),
            };
        }
        if [Key::SnapshotId, Key::Bids, Key::Asks]
            .iter()
            .any(|&key| fields.has(key))
        {
            return Ok(Kind::Snapshot);
        }
        if [Key::LastId, Key::BidQty, Key::AskQty]
            .iter()
            .any(|&key| fields.has(key))
        {
            return Ok(Kind::BestBidAsk);
        }
        Err(JsonError::NotAnEvent("none of its keys belongs to one"))
    }
}

/// An event found in a frame, its numbers not yet read.
pub(super) struct Found<'t, 'f> {
    pub(super) stream: Option<&'f str>,
    pub(super) symbol: Symbol,
    pub(super) kind: Kind,
    pub(super) fields: Fields<'t, 'f>,
}

impl<'t, 'f> Found<'t, 'f> {
    /// Unwraps a combined frame, then tells the event's kind and whose it is.
    pub(super) fn of(nodes: &'t [Node<'f>]) -> Result<Found<'t, 'f>, JsonError> {
        let outer = Fields::of_object(nodes).ok_or(JsonError::NotAnEvent("it is no object"))?;
        let (stream, fields) = if outer.has(Key::Stream) {
            let data = Fields::of_object(outer.nodes(Key::Data)?)
                .ok_or_else(|| outer.fault(Key::Data, Fault::Type { wanted: "an object" }))?;
            (Some(outer.text(Key::Stream)?), data)
        } else {
            (None, outer)
        };
        let kind = Kind::of(&fields)?;
        let fields = fields.named(kind.name());
        let symbol = match (kind, stream) {
            // This engine's own snapshots of whole books name theirs.
            (Kind::Snapshot, _) if fields.has(Key::Kind) => fields.symbol()?,
            (Kind::Snapshot, None) => Symbol::NONE,
            (Kind::Snapshot, Some(stream)) => {
                Symbol::of_stream(stream).ok_or_else(|| fields.fault(Key::Stream, Fault::Stream))?
            }
            _ => fields.symbol()?,
        };
        Ok(Found {
            stream,
            symbol,
            kind,
            fields,
        })
    }

    /// Reads the numbers.
    fn event(
        &self,
        exponents: Exponents,
        micros_per_unit: i64,
        spare_levels: &mut [Vec<Level>; 2],
    ) -> Result<MarketEvent, JsonError> {
        let fields = &self.fields;
        Ok(match self.kind {
            Kind::Depth => MarketEvent::Depth(depth(fields, exponents, micros_per_unit, spare_levels)?),
            Kind::BestBidAsk => MarketEvent::BestBidAsk(best_bid_ask(fields, exponents)?),
            Kind::Trade => MarketEvent::Trade(trade(fields, exponents, micros_per_unit)?),
            Kind::Snapshot => MarketEvent::Snapshot(snapshot(fields, exponents, spare_levels)?),
        })
    }
}

fn depth(
    fields: &Fields<'_, '_>,
    exponents: Exponents,
    micros_per_unit: i64,
    spare_levels: &mut [Vec<Level>; 2],
) -> Result<DepthUpdate, JsonError> {
    let (first_id, last_id) = (fields.update_id(Key::FirstId)?, fields.update_id(Key::LastId)?);
    if first_id > last_id {
        return Err(JsonError::IdsReversed { first_id, last_id });
    }
    let event_time_us = fields.time_us(Key::EventTime, micros_per_unit)?;
    let [bids, asks] = sides(fields, [Key::Bid, Key::Ask], exponents, 0, spare_levels)?;
    Ok(DepthUpdate {
        event_time_us,
        first_id,
        last_id,
        bids,
        asks,
    })
}

fn snapshot(
    fields: &Fields<'_, '_>,
    exponents: Exponents,
    spare_levels: &mut [Vec<Level>; 2],
) -> Result<BookSnapshot, JsonError> {
    let last_id = fields.update_id(Key::SnapshotId)?;
    let [bids, asks] = sides(fields, [Key::Bids, Key::Asks], exponents, 1, spare_levels)?;
    Ok(BookSnapshot { last_id, bids, asks })
}

/// Both sides, in the spare vectors if they are there. Those of a refused event are lost: errors are rare.
fn sides(
    fields: &Fields<'_, '_>,
    keys: [Key; 2],
    exponents: Exponents,
    qty_min: i64,
    spare_levels: &mut [Vec<Level>; 2],
) -> Result<[Vec<Level>; 2], JsonError> {
    let mut levels = std::mem::take(spare_levels);
    for (key, levels) in keys.into_iter().zip(&mut levels) {
        Side::of(fields, key)?.read(levels, exponents, qty_min)?;
    }
    Ok(levels)
}

fn best_bid_ask(fields: &Fields<'_, '_>, exponents: Exponents) -> Result<BestBidAsk, JsonError> {
    let level = |price, qty| {
        Ok::<Level, JsonError>(Level {
            price: fields.price(price, exponents.price)?,
            qty: fields.qty(qty, exponents.qty)?,
        })
    };
    Ok(BestBidAsk {
        event_time_us: None,
        update_id: fields.update_id(Key::LastId)?,
        bid: level(Key::Bid, Key::BidQty)?,
        ask: level(Key::Ask, Key::AskQty)?,
    })
}

fn trade(fields: &Fields<'_, '_>, exponents: Exponents, micros_per_unit: i64) -> Result<Trade, JsonError> {
    Ok(Trade {
        event_time_us: fields.time_us(Key::EventTime, micros_per_unit)?,
        trade_time_us: fields.time_us(Key::TradeTime, micros_per_unit)?,
        id: fields.integer(Key::TradeId)?,
        price: fields.price(Key::Price, exponents.price)?,
        qty: fields.qty(Key::Qty, exponents.qty)?,
        is_buyer_maker: fields.boolean(Key::IsBuyerMaker)?,
        is_best_match: fields.boolean(Key::IsBestMatch)?,
        aggregate: None,
    })
}
