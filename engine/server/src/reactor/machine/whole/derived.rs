//! What is worked out of trades and books, worked out once more.

use depthcast_market::event::Trade;

use super::event::Told;
use super::exchange::Book;
use crate::reactor::machine::{Checked, ensure};

/// Levels a side that a checksum is over.
const LEVELS: usize = 10;

/// The polynomial of CRC-32, bit by bit from the lowest.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// A second that is over has the trades that were made in it, or the price of the last one before.
pub(super) fn check_second(told: &Told, trades: &[Trade]) -> Checked {
    let &Told::Second { from_ms, .. } = told else {
        return Err(format!("{told:?} is no second"));
    };
    ensure!(from_ms % 1000 == 0, "a second that begins at {from_ms}");
    let from = trades.partition_point(|trade| trade.trade_time_us < from_ms * 1000);
    let to = trades.partition_point(|trade| trade.trade_time_us < (from_ms + 1000) * 1000);
    let those = &trades[from..to];
    let prices = || those.iter().map(|trade| trade.price);
    let truth = match (those, trades[..from].last()) {
        ([first, .., last] | [first @ last], _) => Told::Second {
            from_ms,
            prices: [
                first.price,
                prices().max().unwrap_or(0),
                prices().min().unwrap_or(0),
                last.price,
            ],
            volume: those.iter().map(|trade| trade.qty).sum(),
            ids: [first.id, last.id],
            trades: those.len() as u64,
        },
        ([], Some(before)) => Told::Second {
            from_ms,
            prices: [before.price; 4],
            volume: 0,
            ids: [-1, -1],
            trades: 0,
        },
        ([], None) => return Err(format!("{told:?} before the first trade")),
    };
    ensure!(truth == *told, "{told:?} where it was {truth:?}");
    Ok(())
}

/// The checksum of a book.
pub(super) fn checksum(book: &Book) -> u64 {
    let [bids, asks] = book.top(LEVELS);
    let digits: String = [asks, bids]
        .iter()
        .flatten()
        .map(|(price, qty)| format!("{price}{qty}"))
        .collect();
    let remainder = digits.bytes().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 {
                sum >> 1 ^ POLYNOMIAL
            } else {
                sum >> 1
            }
        })
    });
    u64::from(!remainder)
}
