//! What a frame of market data says, read from its text or its layout (SBE templates 10000 to 10003) with nothing of the
//! engine's own codecs.

use serde_json::Value;

use super::exchange::SYMBOLS;
use crate::reactor::machine::reader::{BINARY, TEXT};
use crate::reactor::machine::{Checked, ensure};

/// Levels: prices with quantities.
pub(super) type Levels = Vec<(i64, i64)>;

/// What one frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Diff {
        first: u64,
        last: u64,
        sides: [Levels; 2],
    },
    /// A whole book or the top of one; whether it is a depthSnapshot, where that can be told, and of which history.
    Whole {
        is_snapshot: Option<bool>,
        epoch: Option<u64>,
        last: u64,
        sides: [Levels; 2],
    },
    Best(super::exchange::Best),
    Trade {
        id: i64,
        price: i64,
        qty: i64,
        is_buyer_maker: bool,
    },
    AggTrade {
        id: i64,
        price: i64,
        qty: i64,
        first: i64,
        last: i64,
    },
    /// A second that is over: when it began, its prices (open, high, low, close), volume, first and last trade, and their number.
    Second {
        from_ms: i64,
        prices: [i64; 4],
        volume: i64,
        ids: [i64; 2],
        trades: u64,
    },
    Checksum {
        last: u64,
        sum: u64,
    },
    Heartbeat {
        epoch: u64,
        count: u64,
    },
    Reply {
        id: u64,
        result: Value,
    },
}

/// A frame: the stream that it is wrapped with, the symbol that it names, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) wrapped: Option<String>,
    pub(super) symbol: Option<usize>,
    pub(super) told: Told,
}

pub(super) fn read(opcode: u8, payload: &[u8]) -> Checked<Event> {
    match opcode {
        TEXT => {
            let value: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
            read_json(&value).ok_or_else(|| format!("not understood: {}", String::from_utf8_lossy(payload)))
        }
        BINARY => read_sbe(payload),
        _ => Err(format!("opcode {opcode}")),
    }
}

fn symbol(name: &str) -> Option<usize> {
    SYMBOLS.iter().position(|symbol| *symbol == name)
}

fn read_json(value: &Value) -> Option<Event> {
    if let Some(stream) = value.get("stream") {
        let event = read_json(&value["data"])?;
        return Some(Event {
            wrapped: Some(stream.as_str()?.to_string()),
            ..event
        });
    }
    let number = |key: &str| value[key].as_u64();
    let whole = |key: &str| value[key].as_str()?.parse::<i64>().ok();
    let signed = |key: &str| value[key].as_i64();
    let sides = |bids: &str, asks: &str| Some([levels(&value[bids])?, levels(&value[asks])?]);
    let told = match value.get("e").and_then(Value::as_str) {
        Some("depthUpdate") => Told::Diff {
            first: number("U")?,
            last: number("u")?,
            sides: sides("b", "a")?,
        },
        Some("depthSnapshot") => Told::Whole {
            is_snapshot: Some(true),
            epoch: Some(number("ep")?),
            last: number("lastUpdateId")?,
            sides: sides("bids", "asks")?,
        },
        Some("trade") => Told::Trade {
            id: signed("t")?,
            price: whole("p")?,
            qty: whole("q")?,
            is_buyer_maker: value["m"].as_bool()?,
        },
        Some("aggTrade") => Told::AggTrade {
            id: signed("a")?,
            price: whole("p")?,
            qty: whole("q")?,
            first: signed("f")?,
            last: signed("l")?,
        },
        Some("kline") => {
            let k = &value["k"];
            let whole = |key: &str| k[key].as_str()?.parse::<i64>().ok();
            if k["x"] != true || k["i"] != "1s" {
                return None;
            }
            let from = k["t"].as_i64()?;
            Told::Second {
                // Microseconds where they are asked for.
                from_ms: if from > 100_000_000_000_000 {
                    from / 1000
                } else {
                    from
                },
                prices: [whole("o")?, whole("h")?, whole("l")?, whole("c")?],
                volume: whole("v")?,
                ids: [k["f"].as_i64()?, k["L"].as_i64()?],
                trades: k["n"].as_u64()?,
            }
        }
        Some("bookChecksum") => Told::Checksum {
            last: number("u")?,
            sum: number("c")?,
        },
        Some("heartbeat") => Told::Heartbeat {
            epoch: number("ep")?,
            count: number("n")?,
        },
        Some(_) => return None,
        None if value.get("lastUpdateId").is_some() => Told::Whole {
            is_snapshot: Some(false),
            epoch: None,
            last: number("lastUpdateId")?,
            sides: sides("bids", "asks")?,
        },
        None if value.get("u").is_some() => Told::Best((
            number("u")?,
            (whole("b")?, whole("B")?),
            (whole("a")?, whole("A")?),
        )),
        None => Told::Reply {
            id: number("id")?,
            result: value.get("result")?.clone(),
        },
    };
    let name = value.get("s").and_then(Value::as_str);
    Some(Event {
        wrapped: None,
        symbol: name.and_then(symbol),
        told,
    })
}

fn levels(value: &Value) -> Option<Levels> {
    let number = |value: &Value| value.as_str()?.parse().ok();
    let pairs = value.as_array()?.iter();
    pairs
        .map(|pair| Some((number(&pair[0])?, number(&pair[1])?)))
        .collect()
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or("a message ends early")?;
        self.0 = rest;
        Ok(*first)
    }

    fn i64(&mut self) -> Checked<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn id(&mut self) -> Checked<u64> {
        u64::try_from(self.i64()?).map_err(|error| error.to_string())
    }

    fn u16(&mut self) -> Checked<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn exponents(&mut self) -> Checked {
        ensure!(self.take::<2>()? == [0, 0], "other exponents");
        Ok(())
    }

    fn side(&mut self) -> Checked<Levels> {
        ensure!(self.u16()? == 16, "a level of another length");
        let count = self.u16()?;
        (0..count).map(|_| Ok((self.i64()?, self.i64()?))).collect()
    }
}

fn read_sbe(payload: &[u8]) -> Checked<Event> {
    let mut fields = Fields(payload);
    let (block, template) = (fields.u16()?, fields.u16()?);
    ensure!((fields.u16()?, fields.u16()?) == (1, 0), "another schema");
    let _event_time = fields.i64()?;
    let told = match (template, block) {
        (10_000, 18) => {
            let _transact_time = fields.i64()?;
            fields.exponents()?;
            ensure!(fields.u16()? == 25, "a trade of another length");
            ensure!(fields.take()? == 1u32.to_le_bytes(), "not one trade");
            Told::Trade {
                id: fields.i64()?,
                price: fields.i64()?,
                qty: fields.i64()?,
                is_buyer_maker: fields.take()? == [1],
            }
        }
        (10_001, 50) => {
            let id = fields.id()?;
            fields.exponents()?;
            let bid = (fields.i64()?, fields.i64()?);
            Told::Best((id, bid, (fields.i64()?, fields.i64()?)))
        }
        (10_002, 18) => {
            let last = fields.id()?;
            fields.exponents()?;
            Told::Whole {
                is_snapshot: None,
                epoch: None,
                last,
                sides: [fields.side()?, fields.side()?],
            }
        }
        (10_003, 26) => {
            let (first, last) = (fields.id()?, fields.id()?);
            fields.exponents()?;
            Told::Diff {
                first,
                last,
                sides: [fields.side()?, fields.side()?],
            }
        }
        other => return Err(format!("template and block {other:?}")),
    };
    let [len] = fields.take()?;
    ensure!(fields.0.len() == usize::from(len), "a name of another length");
    let name = std::str::from_utf8(fields.0).map_err(|error| error.to_string())?;
    Ok(Event {
        wrapped: None,
        symbol: symbol(name),
        told,
    })
}
