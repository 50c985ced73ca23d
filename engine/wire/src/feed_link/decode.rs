//! Bytes to messages: one message at a time, without its length.

use depthcast_market::event::{
    AggregatePart, BestBidAsk, BookSnapshot, DepthUpdate, Level, MarketEvent, Trade,
};
use depthcast_market::instrument::{Exponents, Instrument};

use super::{
    BEST_BLOCK, BOOK_BLOCK, DEPTH_BLOCK, FLAG_AGGREGATE, FLAG_BEST_MATCH, FLAG_BUYER_IS_MAKER, FLAG_LAST,
    HEADER_LEN, HEARTBEAT_BLOCK, HELLO_BLOCK, LEVEL_BLOCK, LINK_VERSION, LinkError, LinkMessage, NO_TIME,
    SCHEMA_ID, SYMBOL_BLOCK, TEMPLATE_BEST, TEMPLATE_BOOK, TEMPLATE_DEPTH, TEMPLATE_END,
    TEMPLATE_ENGINE_HELLO, TEMPLATE_HEARTBEAT, TEMPLATE_HELLO, TEMPLATE_SYMBOL, TEMPLATE_TRADE,
    TEXT_BYTES_MAX, TRADE_BLOCK,
};

/// Reads one message of exactly these bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<LinkMessage, LinkError> {
    let (header, rest) = bytes.split_at_checked(HEADER_LEN).ok_or(LinkError::Length(0))?;
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (block_length, template) = (field(0), field(2));
    check_schema(field(4), field(6))?;
    let mut message = Fields { rest, template };
    let least = match template {
        TEMPLATE_ENGINE_HELLO | TEMPLATE_END => 0,
        TEMPLATE_HELLO => HELLO_BLOCK,
        TEMPLATE_SYMBOL => SYMBOL_BLOCK,
        TEMPLATE_BOOK => BOOK_BLOCK,
        TEMPLATE_DEPTH => DEPTH_BLOCK,
        TEMPLATE_BEST => BEST_BLOCK,
        TEMPLATE_TRADE => TRADE_BLOCK,
        TEMPLATE_HEARTBEAT => HEARTBEAT_BLOCK,
        _ => return Err(LinkError::Template(template)),
    };
    if block_length < least {
        return Err(message.malformed("its root block is too short"));
    }
    let mut root = message.part(usize::from(block_length), "its root block is cut short")?;
    let decoded = match template {
        TEMPLATE_ENGINE_HELLO => LinkMessage::EngineHello {
            name: message.text()?,
        },
        TEMPLATE_HELLO => LinkMessage::Hello {
            epoch: root.u64()?,
            sequence: root.u64()?,
            time_us: root.i64()?,
            heartbeat_ms: root.u32()?,
            symbols: root.u32()?,
            exchange: message.text()?,
        },
        TEMPLATE_SYMBOL => symbol(&mut root, &mut message)?,
        TEMPLATE_BOOK => LinkMessage::Book {
            symbol: root.u32()?,
            time_us: root.i64()?,
            snapshot: BookSnapshot {
                last_id: root.u64()?,
                bids: message.levels()?,
                asks: message.levels()?,
            },
        },
        TEMPLATE_HEARTBEAT => LinkMessage::Heartbeat {
            sequence: root.u64()?,
            time_us: root.i64()?,
        },
        TEMPLATE_END => LinkMessage::End {
            reason: message.text()?,
        },
        _ => LinkMessage::Event {
            sequence: root.u64()?,
            time_us: root.i64()?,
            symbol: root.u32()?,
            event: match template {
                TEMPLATE_DEPTH => MarketEvent::Depth(depth(&mut root, &mut message)?),
                TEMPLATE_BEST => MarketEvent::BestBidAsk(best(&mut root)?),
                _ => MarketEvent::Trade(trade(&mut root)?),
            },
        },
    };
    if message.rest.is_empty() {
        Ok(decoded)
    } else {
        Err(message.malformed("bytes follow its end"))
    }
}

/// Whether a header is this codec's.
pub(super) fn check_schema(schema: u16, version: u16) -> Result<(), LinkError> {
    match (schema, version) {
        (SCHEMA_ID, LINK_VERSION) => Ok(()),
        (SCHEMA_ID, theirs) => Err(LinkError::Version { theirs }),
        (schema, _) => Err(LinkError::Schema(schema)),
    }
}

fn symbol(root: &mut Fields<'_>, message: &mut Fields<'_>) -> Result<LinkMessage, LinkError> {
    let (index, depth_cadence_ms) = (root.u32()?, root.u32()?);
    let (tick_size, lot_size) = (root.i64()?, root.i64()?);
    let [price, qty] = root.array::<2>()?.map(u8::cast_signed);
    let name = message.text()?;
    Ok(LinkMessage::Symbol {
        index,
        instrument: Instrument::new(&name, Exponents { price, qty }, tick_size, lot_size)?,
        depth_cadence_ms,
    })
}

fn depth(root: &mut Fields<'_>, message: &mut Fields<'_>) -> Result<DepthUpdate, LinkError> {
    let update = DepthUpdate {
        event_time_us: root.i64()?,
        first_id: root.u64()?,
        last_id: root.u64()?,
        bids: message.levels()?,
        asks: message.levels()?,
    };
    if update.first_id > update.last_id {
        return Err(message.malformed("its first id is above its last"));
    }
    Ok(update)
}

fn best(root: &mut Fields<'_>) -> Result<BestBidAsk, LinkError> {
    Ok(BestBidAsk {
        event_time_us: Some(root.i64()?).filter(|time| *time != NO_TIME),
        update_id: root.u64()?,
        bid: root.level()?,
        ask: root.level()?,
    })
}

fn trade(root: &mut Fields<'_>) -> Result<Trade, LinkError> {
    let (event_time_us, trade_time_us) = (root.i64()?, root.i64()?);
    let (id, price, qty, aggregate) = (root.i64()?, root.i64()?, root.i64()?, root.i64()?);
    let [flags] = root.array()?;
    let has = |flag: u8| flags & flag != 0;
    Ok(Trade {
        event_time_us,
        trade_time_us,
        id,
        price,
        qty,
        is_buyer_maker: has(FLAG_BUYER_IS_MAKER),
        is_best_match: has(FLAG_BEST_MATCH),
        aggregate: has(FLAG_AGGREGATE).then(|| AggregatePart {
            id: aggregate,
            is_last: has(FLAG_LAST),
        }),
    })
}

/// The bytes of a message, or of a part of it, that were not read yet.
struct Fields<'a> {
    rest: &'a [u8],
    template: u16,
}

impl<'a> Fields<'a> {
    fn malformed(&self, what: &'static str) -> LinkError {
        LinkError::Malformed {
            template: self.template,
            what,
        }
    }

    fn part(&mut self, len: usize, what: &'static str) -> Result<Fields<'a>, LinkError> {
        let Some((part, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.malformed(what));
        };
        self.rest = rest;
        Ok(Fields {
            rest: part,
            template: self.template,
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LinkError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.malformed("it is cut short"));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn u16(&mut self) -> Result<u16, LinkError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, LinkError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, LinkError> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, LinkError> {
        self.array().map(i64::from_le_bytes)
    }

    fn level(&mut self) -> Result<Level, LinkError> {
        Ok(Level {
            price: self.i64()?,
            qty: self.i64()?,
        })
    }

    fn levels(&mut self) -> Result<Vec<Level>, LinkError> {
        let (block_length, count) = (self.u16()?, self.u32()?);
        if block_length < LEVEL_BLOCK {
            return Err(self.malformed("its levels are too short"));
        }
        let len = u64::from(block_length) * u64::from(count);
        let len = usize::try_from(len).map_err(|_| self.malformed("its levels are cut short"))?;
        // Nothing is allocated for levels that are not there.
        let blocks = self.part(len, "its levels are cut short")?;
        let blocks = blocks.rest.chunks_exact(usize::from(block_length));
        blocks
            .map(|rest| {
                Fields {
                    rest,
                    template: self.template,
                }
                .level()
            })
            .collect()
    }

    fn text(&mut self) -> Result<String, LinkError> {
        let len = usize::from(self.u16()?);
        if len > TEXT_BYTES_MAX {
            return Err(self.malformed("its text is too long"));
        }
        let text = self.part(len, "its text is cut short")?;
        match std::str::from_utf8(text.rest) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(self.malformed("its text is not UTF-8")),
        }
    }
}
