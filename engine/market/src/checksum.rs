//! A number by which a subscriber tells whether its book is right.

use crate::event::Level;

/// Levels of each side that a checksum is over, where there are as many.
pub const CHECKSUM_LEVELS: usize = 10;

/// CRC-32 (that of zlib) of the best [`CHECKSUM_LEVELS`] of each side, or as many as there are: asks, then bids, best first, of
/// each its price and its quantity as decimal digits, without the point and without leading zeros, one behind the other.
pub fn checksum(bids: &[Level], asks: &[Level]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for level in [asks, bids]
        .into_iter()
        .flat_map(|side| side.iter().take(CHECKSUM_LEVELS))
    {
        for number in [level.price, level.qty] {
            // A mantissa is the digits of its decimal.
            hasher.update(itoa::Buffer::new().format(number).as_bytes());
        }
    }
    hasher.finalize()
}
