//! Messages to bytes. Each function appends one message with its length, or nothing and an error.

use depthcast_market::event::{BookSnapshot, Level, MarketEvent};

use super::{
    BEST_BLOCK, BOOK_BLOCK, DEPTH_BLOCK, FLAG_AGGREGATE, FLAG_BEST_MATCH, FLAG_BUYER_IS_MAKER, FLAG_LAST,
    HEARTBEAT_BLOCK, HELLO_BLOCK, LEVEL_BLOCK, LINK_VERSION, LinkMessage, MESSAGE_BYTES_MAX, NO_TIME,
    SCHEMA_ID, SYMBOL_BLOCK, TEMPLATE_BEST, TEMPLATE_BOOK, TEMPLATE_DEPTH, TEMPLATE_END,
    TEMPLATE_ENGINE_HELLO, TEMPLATE_HEARTBEAT, TEMPLATE_HELLO, TEMPLATE_SYMBOL, TEMPLATE_TRADE,
    TEXT_BYTES_MAX, TRADE_BLOCK,
};

/// Why a message has no form on the link. The fault is the caller's; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkEncodeError {
    /// More levels than a message holds.
    #[error("{levels} levels do not fit a feed-link message of at most {MESSAGE_BYTES_MAX} bytes")]
    TooManyLevels {
        /// How many there are.
        levels: usize,
    },
    /// A snapshot among the events.
    #[error("a snapshot is no event of the feed link: it is sent as a book")]
    Snapshot,
}

/// The most levels that a message has room for beside the rest of it.
const LEVELS_MAX: usize = (MESSAGE_BYTES_MAX - 128) / LEVEL_BLOCK as usize;

/// Appends any message. Texts longer than [`TEXT_BYTES_MAX`] are cut.
pub fn encode(message: &LinkMessage, out: &mut Vec<u8>) -> Result<(), LinkEncodeError> {
    match message {
        LinkMessage::EngineHello { name } => {
            write(out, TEMPLATE_ENGINE_HELLO, 0, |out| put_text(out, name));
        }
        LinkMessage::Hello {
            epoch,
            sequence,
            time_us,
            heartbeat_ms,
            symbols,
            exchange,
        } => write(out, TEMPLATE_HELLO, HELLO_BLOCK, |out| {
            out.extend_from_slice(&epoch.to_le_bytes());
            out.extend_from_slice(&sequence.to_le_bytes());
            out.extend_from_slice(&time_us.to_le_bytes());
            out.extend_from_slice(&heartbeat_ms.to_le_bytes());
            out.extend_from_slice(&symbols.to_le_bytes());
            put_text(out, exchange);
        }),
        LinkMessage::Symbol {
            index,
            instrument,
            depth_cadence_ms,
        } => write(out, TEMPLATE_SYMBOL, SYMBOL_BLOCK, |out| {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(&depth_cadence_ms.to_le_bytes());
            out.extend_from_slice(&instrument.tick_size().mantissa.to_le_bytes());
            out.extend_from_slice(&instrument.lot_size().mantissa.to_le_bytes());
            out.extend_from_slice(&instrument.exponents().price.to_le_bytes());
            out.extend_from_slice(&instrument.exponents().qty.to_le_bytes());
            put_text(out, instrument.name());
        }),
        LinkMessage::Book {
            symbol,
            time_us,
            snapshot,
        } => return encode_book(*symbol, *time_us, snapshot, out),
        LinkMessage::Event {
            sequence,
            time_us,
            symbol,
            event,
        } => return encode_event(*sequence, *time_us, *symbol, event, out),
        LinkMessage::Heartbeat { sequence, time_us } => {
            write(out, TEMPLATE_HEARTBEAT, HEARTBEAT_BLOCK, |out| {
                out.extend_from_slice(&sequence.to_le_bytes());
                out.extend_from_slice(&time_us.to_le_bytes());
            });
        }
        LinkMessage::End { reason } => write(out, TEMPLATE_END, 0, |out| put_text(out, reason)),
    }
    Ok(())
}

/// Appends a symbol's whole book.
pub fn encode_book(
    symbol: u32,
    time_us: i64,
    snapshot: &BookSnapshot,
    out: &mut Vec<u8>,
) -> Result<(), LinkEncodeError> {
    check_levels(&snapshot.bids, &snapshot.asks)?;
    write(out, TEMPLATE_BOOK, BOOK_BLOCK, |out| {
        out.extend_from_slice(&symbol.to_le_bytes());
        out.extend_from_slice(&time_us.to_le_bytes());
        out.extend_from_slice(&snapshot.last_id.to_le_bytes());
        put_levels(out, &snapshot.bids);
        put_levels(out, &snapshot.asks);
    });
    Ok(())
}

/// Appends an event.
pub fn encode_event(
    sequence: u64,
    time_us: i64,
    symbol: u32,
    event: &MarketEvent,
    out: &mut Vec<u8>,
) -> Result<(), LinkEncodeError> {
    let head = |out: &mut Vec<u8>| {
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&time_us.to_le_bytes());
        out.extend_from_slice(&symbol.to_le_bytes());
    };
    match event {
        MarketEvent::Depth(update) => {
            check_levels(&update.bids, &update.asks)?;
            write(out, TEMPLATE_DEPTH, DEPTH_BLOCK, |out| {
                head(out);
                out.extend_from_slice(&update.event_time_us.to_le_bytes());
                out.extend_from_slice(&update.first_id.to_le_bytes());
                out.extend_from_slice(&update.last_id.to_le_bytes());
                put_levels(out, &update.bids);
                put_levels(out, &update.asks);
            });
        }
        MarketEvent::BestBidAsk(best) => write(out, TEMPLATE_BEST, BEST_BLOCK, |out| {
            head(out);
            out.extend_from_slice(&best.event_time_us.unwrap_or(NO_TIME).to_le_bytes());
            out.extend_from_slice(&best.update_id.to_le_bytes());
            put_level(out, best.bid);
            put_level(out, best.ask);
        }),
        MarketEvent::Trade(trade) => write(out, TEMPLATE_TRADE, TRADE_BLOCK, |out| {
            head(out);
            for number in [
                trade.event_time_us,
                trade.trade_time_us,
                trade.id,
                trade.price,
                trade.qty,
                trade.aggregate.map_or(0, |aggregate| aggregate.id),
            ] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            let flags = [
                (trade.is_buyer_maker, FLAG_BUYER_IS_MAKER),
                (trade.is_best_match, FLAG_BEST_MATCH),
                (trade.aggregate.is_some(), FLAG_AGGREGATE),
                (
                    trade.aggregate.is_some_and(|aggregate| aggregate.is_last),
                    FLAG_LAST,
                ),
            ];
            out.push(
                flags
                    .into_iter()
                    .filter(|(is_set, _)| *is_set)
                    .map(|(_, flag)| flag)
                    .sum(),
            );
        }),
        MarketEvent::Snapshot(_) => return Err(LinkEncodeError::Snapshot),
    }
    Ok(())
}

fn check_levels(bids: &[Level], asks: &[Level]) -> Result<(), LinkEncodeError> {
    let levels = bids.len() + asks.len();
    if levels > LEVELS_MAX {
        return Err(LinkEncodeError::TooManyLevels { levels });
    }
    Ok(())
}

/// One message: its length, its header and what `body` appends.
fn write(out: &mut Vec<u8>, template: u16, block_length: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for field in [block_length, template, SCHEMA_ID, LINK_VERSION] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    body(out);
    // Levels and texts were bounded, so it fits.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put_levels(out: &mut Vec<u8>, levels: &[Level]) {
    out.extend_from_slice(&LEVEL_BLOCK.to_le_bytes());
    out.extend_from_slice(&u32::try_from(levels.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.reserve(levels.len() * usize::from(LEVEL_BLOCK));
    levels.iter().for_each(|&level| put_level(out, level));
}

fn put_level(out: &mut Vec<u8>, level: Level) {
    out.extend_from_slice(&level.price.to_le_bytes());
    out.extend_from_slice(&level.qty.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    out.extend_from_slice(&u16::try_from(end).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..end]);
}
