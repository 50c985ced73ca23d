//! SBE messages read by hand, from the public schema of the market-data streams (`stream_1_0.xml`) and from nothing of
//! the engine's. Anything that is not exactly a message of BTCUSDT panics.

use super::market::Level;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub enum SbeEvent {
    /// Template 10000, of one trade.
    Trade {
        /// When it was sent, microseconds.
        event_time_us: i64,
        /// When it was made, microseconds.
        trade_time_us: i64,
        /// Its id.
        id: i64,
        /// Price and quantity.
        level: Level,
        /// Whether the buyer was resting.
        is_buyer_maker: bool,
    },
    /// Template 10001.
    BestBidAsk {
        /// Microseconds.
        event_time_us: i64,
        /// The book's id.
        id: i64,
        /// Best bid and best ask.
        best: [Level; 2],
    },
    /// Template 10002.
    Snapshot {
        /// Microseconds.
        event_time_us: i64,
        /// The book's id.
        id: u64,
        /// Bids and asks.
        levels: [Vec<Level>; 2],
    },
    /// Template 10003.
    Diff {
        /// Microseconds.
        event_time_us: i64,
        /// First id.
        first_id: u64,
        /// Last id.
        last_id: u64,
        /// Bids and asks.
        levels: [Vec<Level>; 2],
    },
}

/// The template of a message.
pub fn template(message: &[u8]) -> u16 {
    u16::from_le_bytes([message[2], message[3]])
}

/// Reads a whole message.
pub fn read(message: &[u8]) -> SbeEvent {
    let mut fields = Fields(message);
    let (block_len, template) = (fields.u16(), fields.u16());
    assert_eq!((fields.u16(), fields.u16()), (1, 0), "schema and version");
    let event = match (template, block_len) {
        (10000, 18) => {
            let (event_time_us, trade_time_us) = (fields.i64(), fields.i64());
            fields.exponents();
            assert_eq!((fields.u16(), fields.u32()), (25, 1), "one trade of 25 bytes");
            SbeEvent::Trade {
                event_time_us,
                trade_time_us,
                id: fields.i64(),
                level: fields.level(),
                is_buyer_maker: match fields.take::<1>() {
                    [0] => false,
                    [1] => true,
                    other => panic!("a boolean of {other:?}"),
                },
            }
        }
        (10001, 50) => {
            let (event_time_us, id) = (fields.i64(), fields.i64());
            fields.exponents();
            SbeEvent::BestBidAsk {
                event_time_us,
                id,
                best: [fields.level(), fields.level()],
            }
        }
        (10002, 18) => {
            let (event_time_us, id) = (fields.i64(), fields.id());
            fields.exponents();
            SbeEvent::Snapshot {
                event_time_us,
                id,
                levels: [fields.levels(), fields.levels()],
            }
        }
        (10003, 26) => {
            let (event_time_us, first_id, last_id) = (fields.i64(), fields.id(), fields.id());
            fields.exponents();
            SbeEvent::Diff {
                event_time_us,
                first_id,
                last_id,
                levels: [fields.levels(), fields.levels()],
            }
        }
        other => panic!("template and block length {other:?}"),
    };
    assert_eq!(fields.0, b"\x07BTCUSDT", "the symbol, and nothing behind it");
    event
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("a message that does not end here");
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn id(&mut self) -> u64 {
        u64::try_from(self.i64()).expect("an id")
    }

    fn exponents(&mut self) {
        assert_eq!(self.take().map(u8::cast_signed), [-8, -8], "exponents");
    }

    fn level(&mut self) -> Level {
        (self.i64(), self.i64())
    }

    fn levels(&mut self) -> Vec<Level> {
        assert_eq!(self.u16(), 16, "a level is 16 bytes");
        (0..self.u16()).map(|_| self.level()).collect()
    }
}
