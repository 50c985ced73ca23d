//! Reading the parts that SBE messages are made of: fixed fields, blocks, repeating groups and the symbol. Every length
//! is checked against the bytes that are there before anything is read by it.

use std::slice::ChunksExact;

use depthcast_market::event::{Level, Trade};
use depthcast_market::instrument::Exponents;

use super::SbeError;

/// The levels of one side, read as they are asked for.
#[derive(Clone, Debug)]
pub struct Levels<'a> {
    blocks: ChunksExact<'a, u8>,
}

impl Iterator for Levels<'_> {
    type Item = Level;

    fn next(&mut self) -> Option<Level> {
        let mut block = Reader {
            rest: self.blocks.next()?,
        };
        block.level("level").ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.blocks.size_hint()
    }
}

impl ExactSizeIterator for Levels<'_> {}

/// The trades of an event, read as they are asked for.
#[derive(Clone, Debug)]
pub struct Trades<'a> {
    blocks: ChunksExact<'a, u8>,
    event_time_us: i64,
    trade_time_us: i64,
}

impl Iterator for Trades<'_> {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        let mut block = Reader {
            rest: self.blocks.next()?,
        };
        Some(Trade {
            event_time_us: self.event_time_us,
            trade_time_us: self.trade_time_us,
            id: block.i64("id").ok()?,
            price: block.i64("price").ok()?,
            qty: block.i64("qty").ok()?,
            is_buyer_maker: block.array::<1>("isBuyerMaker").ok()? != [0],
            is_best_match: true,
            aggregate: None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.blocks.size_hint()
    }
}

impl ExactSizeIterator for Trades<'_> {}

/// The blocks of a repeating group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    // A multiple of `block_length`, which is not below the block of version 0 and so not zero.
    bytes: &'a [u8],
    block_length: u16,
}

impl<'a> Group<'a> {
    pub(super) fn blocks(&self) -> ChunksExact<'a, u8> {
        self.bytes.chunks_exact(usize::from(self.block_length))
    }

    pub(super) fn levels(&self) -> Levels<'a> {
        Levels {
            blocks: self.blocks(),
        }
    }

    pub(super) fn trades(&self, event_time_us: i64, trade_time_us: i64) -> Trades<'a> {
        Trades {
            blocks: self.blocks(),
            event_time_us,
            trade_time_us,
        }
    }
}

/// The bytes not read yet of a message or a block.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], SbeError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(what, N as u64));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn block(&mut self, what: &'static str, len: u64) -> Result<Reader<'a>, SbeError> {
        let split = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((block, rest)) = split else {
            return Err(self.truncated(what, len));
        };
        self.rest = rest;
        Ok(Reader { rest: block })
    }

    fn truncated(&self, what: &'static str, needed: u64) -> SbeError {
        SbeError::Truncated {
            what,
            needed,
            have: self.rest.len(),
        }
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, SbeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Result<i64, SbeError> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub(super) fn id(&mut self, what: &'static str) -> Result<u64, SbeError> {
        let id = self.i64(what)?;
        u64::try_from(id).map_err(|_| SbeError::NegativeId(id))
    }

    pub(super) fn exponents(&mut self) -> Result<Exponents, SbeError> {
        let [price, qty] = self.array("exponents")?.map(|byte: u8| byte.cast_signed());
        Ok(Exponents { price, qty })
    }

    pub(super) fn level(&mut self, what: &'static str) -> Result<Level, SbeError> {
        Ok(Level {
            price: self.i64(what)?,
            qty: self.i64(what)?,
        })
    }

    /// The root block, of the length the header gives.
    pub(super) fn root(
        &mut self,
        what: &'static str,
        length: u16,
        least: u16,
    ) -> Result<Reader<'a>, SbeError> {
        check_block_length(what, length, least)?;
        self.block(what, u64::from(length))
    }

    /// A group whose count is a u16.
    pub(super) fn group16(&mut self, what: &'static str, least: u16) -> Result<Group<'a>, SbeError> {
        let block_length = self.u16(what)?;
        let count = self.u16(what)?;
        self.group(what, block_length, least, u32::from(count))
    }

    /// A group whose count is a u32.
    pub(super) fn group32(&mut self, what: &'static str, least: u16) -> Result<Group<'a>, SbeError> {
        let block_length = self.u16(what)?;
        let count = self.array(what).map(u32::from_le_bytes)?;
        self.group(what, block_length, least, count)
    }

    fn group(
        &mut self,
        what: &'static str,
        block_length: u16,
        least: u16,
        count: u32,
    ) -> Result<Group<'a>, SbeError> {
        check_block_length(what, block_length, least)?;
        let blocks = self.block(what, u64::from(count) * u64::from(block_length))?;
        Ok(Group {
            bytes: blocks.rest,
            block_length,
        })
    }

    pub(super) fn symbol(&mut self) -> Result<&'a str, SbeError> {
        let [length] = self.array("symbol")?;
        let bytes = self.block("symbol", u64::from(length))?.rest;
        std::str::from_utf8(bytes).map_err(|_| SbeError::SymbolNotUtf8)
    }
}

fn check_block_length(what: &'static str, length: u16, least: u16) -> Result<(), SbeError> {
    if length < least {
        return Err(SbeError::BlockLength { what, length, least });
    }
    Ok(())
}
