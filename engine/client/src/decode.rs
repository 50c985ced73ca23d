//! Messages of either format to market events, with mantissas under the instrument's exponents.

use depthcast_market::decimal::{Decimal, DecimalError};
use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::json::{Decoder, JsonError};
use depthcast_wire::sbe::decode::{self as sbe, Message as SbeMessage};
use depthcast_wire::target::Format;
use depthcast_wire::time_unit::TimeUnit;
use serde::Deserialize;

use crate::connection::{Message, MessageKind};
use crate::error::ClientError;

/// The event kind by which a server announces its end, in JSON whatever the format.
const KIND_SERVER_SHUTDOWN: &str = "serverShutdown";

/// What a message says.
#[derive(Debug)]
pub(crate) enum Content {
    /// A depth update.
    Depth(DepthUpdate),
    /// Best bid and ask.
    BestBidAsk(BestBidAsk),
    /// Trades, in the order in which they were made, appended to the list that was given.
    Trades,
    /// A whole book, which takes the place of what came before.
    Snapshot(BookSnapshot),
    /// The server's heartbeat of this number.
    Heartbeat(u64),
    /// The answer to a control request.
    Reply,
    /// The server will shut down.
    ServerShutdown,
}

/// Reads the messages of one subscription.
pub(crate) struct MessageDecoder {
    format: Format,
    json: Decoder,
    /// An update whose memory is used for the next SBE one.
    spare: DepthUpdate,
}

impl MessageDecoder {
    pub(crate) fn new(format: Format) -> MessageDecoder {
        MessageDecoder {
            format,
            json: Decoder::new(TimeUnit::Microsecond),
            spare: DepthUpdate::default(),
        }
    }

    /// Reads a message of a stream of `instrument`; trades go to `trades`.
    pub(crate) fn decode(
        &mut self,
        message: &mut Message<'_>,
        instrument: &Instrument,
        trades: &mut impl Extend<Trade>,
    ) -> Result<Content, ClientError> {
        match (self.format, message.kind) {
            (Format::Json, MessageKind::Text) => self.decode_json(message.payload, instrument, trades),
            (Format::Sbe, MessageKind::Binary) => self.decode_sbe(message.payload, instrument, trades),
            (Format::Json, MessageKind::Binary) => Err(ClientError::Unasked("a binary message")),
            (Format::Sbe, MessageKind::Text) => {
                // Whatever is not market data is JSON here too.
                match self.decode_json(message.payload, instrument, trades)? {
                    content @ (Content::ServerShutdown | Content::Heartbeat(_) | Content::Reply) => {
                        Ok(content)
                    }
                    _ => Err(ClientError::Unasked("market data in JSON")),
                }
            }
        }
    }

    /// Reads the body of a REST snapshot.
    pub(crate) fn decode_snapshot(
        &mut self,
        body: &mut [u8],
        instrument: &Instrument,
    ) -> Result<BookSnapshot, JsonError> {
        match self.json.decode(body, &mut |_| instrument.exponents())?.event {
            MarketEvent::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(JsonError::NotAnEvent("a snapshot was asked for")),
        }
    }

    /// Takes a spent update back, so that the next one uses its memory.
    pub(crate) fn recycle(&mut self, update: DepthUpdate) {
        match self.format {
            Format::Json => self.json.recycle(MarketEvent::Depth(update)),
            Format::Sbe => self.spare = update,
        }
    }

    fn decode_json(
        &mut self,
        payload: &mut [u8],
        instrument: &Instrument,
        trades: &mut impl Extend<Trade>,
    ) -> Result<Content, ClientError> {
        if let Some(content) = decode_aside(payload) {
            return Ok(content);
        }
        let decoded = match self.json.decode(payload, &mut |_| instrument.exponents()) {
            Err(JsonError::UnknownKind(kind)) if *kind == *KIND_SERVER_SHUTDOWN => {
                return Ok(Content::ServerShutdown);
            }
            decoded => decoded?,
        };
        let symbol = decoded.symbol;
        let content = match decoded.event {
            MarketEvent::Depth(update) => Content::Depth(update),
            MarketEvent::BestBidAsk(best) => Content::BestBidAsk(best),
            MarketEvent::Trade(trade) => {
                trades.extend([trade]);
                Content::Trades
            }
            // A whole book names its symbol; the top of one has its stream's name at most.
            MarketEvent::Snapshot(_) if symbol.is_none() => {
                return Err(ClientError::Unasked("a partial depth"));
            }
            MarketEvent::Snapshot(snapshot) => Content::Snapshot(snapshot),
        };
        check_symbol(symbol.as_str(), instrument)?;
        Ok(content)
    }

    fn decode_sbe(
        &mut self,
        payload: &[u8],
        instrument: &Instrument,
        trades: &mut impl Extend<Trade>,
    ) -> Result<Content, ClientError> {
        let message = sbe::decode(payload)?;
        check_symbol(message.symbol(), instrument)?;
        let rescale = Rescale {
            from: message.exponents(),
            to: instrument.exponents(),
        };
        match message {
            SbeMessage::DepthDiff(event) => {
                let mut update = std::mem::take(&mut self.spare);
                update.event_time_us = event.event_time_us();
                update.first_id = event.first_id();
                update.last_id = event.last_id();
                rescale.levels(event.bids(), &mut update.bids)?;
                rescale.levels(event.asks(), &mut update.asks)?;
                Ok(Content::Depth(update))
            }
            SbeMessage::BestBidAsk(event) => {
                let mut best = event.to_best_bid_ask();
                best.bid = rescale.level(best.bid)?;
                best.ask = rescale.level(best.ask)?;
                Ok(Content::BestBidAsk(best))
            }
            SbeMessage::Trades(event) => {
                for mut trade in event.trades() {
                    let Level { price, qty } = rescale.level(Level {
                        price: trade.price,
                        qty: trade.qty,
                    })?;
                    trade.price = price;
                    trade.qty = qty;
                    trades.extend([trade]);
                }
                Ok(Content::Trades)
            }
            SbeMessage::DepthSnapshot(event) => {
                let mut snapshot = BookSnapshot {
                    last_id: event.last_id(),
                    ..BookSnapshot::default()
                };
                rescale.levels(event.bids(), &mut snapshot.bids)?;
                rescale.levels(event.asks(), &mut snapshot.asks)?;
                Ok(Content::Snapshot(snapshot))
            }
        }
    }
}

/// Reads what is no market data: a heartbeat or a reply. `None` for all else, also for one that cannot be read.
fn decode_aside(payload: &[u8]) -> Option<Content> {
    if payload.starts_with(b"{\"e\":\"heartbeat\"") {
        let Heartbeat { n } = serde_json::from_slice(payload).ok()?;
        return Some(Content::Heartbeat(n));
    }
    payload.starts_with(b"{\"result\":").then_some(Content::Reply)
}

/// What is used of a heartbeat.
#[derive(Deserialize)]
struct Heartbeat {
    /// It counts on by one with each.
    n: u64,
}

fn check_symbol(symbol: &str, instrument: &Instrument) -> Result<(), ClientError> {
    if symbol == instrument.name() {
        return Ok(());
    }
    Err(ClientError::WrongSymbol {
        symbol: instrument.name().into(),
        got: symbol.into(),
    })
}

/// From the exponents of a message to those of the instrument.
struct Rescale {
    from: Exponents,
    to: Exponents,
}

impl Rescale {
    fn level(&self, level: Level) -> Result<Level, DecimalError> {
        if self.from == self.to {
            return Ok(level);
        }
        let rescale = |mantissa, from: i8, to: i8| {
            let decimal = Decimal {
                mantissa,
                exponent: from,
            };
            decimal.rescale(to).map(|decimal| decimal.mantissa)
        };
        Ok(Level {
            price: rescale(level.price, self.from.price, self.to.price)?,
            qty: rescale(level.qty, self.from.qty, self.to.qty)?,
        })
    }

    fn levels(&self, levels: impl Iterator<Item = Level>, out: &mut Vec<Level>) -> Result<(), DecimalError> {
        out.clear();
        for level in levels {
            out.push(self.level(level)?);
        }
        Ok(())
    }
}
