//! What the first bytes of a message say: whether it is a depth event or a snapshot, of when, and which ids it covers.
//!
//! JSON as the engine writes it, raw and with its keys in their order; SBE as `stream_1_0.xml` has it (little-endian):
//!
//! | bytes | depth difference (10003) | depth snapshot (10002) |
//! |---|---|---|
//! | 2..4 | template id | template id |
//! | 8..16 | event time, us | event time, us |
//! | 16..24 | first id | id |
//! | 24..32 | last id | |

/// So much of a payload says it: a JSON snapshot with the longest symbol and 16 digits in each number has its id within.
pub const HEAD_BYTES: usize = 136;

const DEPTH_MARK: &[u8] = br#"{"e":"depthUpdate","#;
const SNAPSHOT_MARK: &[u8] = br#"{"e":"depthSnapshot","#;
const RESULT_MARK: &[u8] = br#"{"result":"#;
const REFUSAL_MARK: &[u8] = br#"{"code":"#;

const SBE_SNAPSHOT: u16 = 10_002;
const SBE_DEPTH: u16 = 10_003;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A difference of a book.
    Depth {
        /// When it happened in the market's time, us.
        event_time_us: i64,
        /// The first id it covers.
        first_id: u64,
        /// The last.
        last_id: u64,
    },
    /// A whole book.
    Snapshot {
        /// The id it stands at.
        last_id: u64,
    },
    /// A request was carried out.
    Result,
    /// A request was not.
    Refusal,
    /// Anything else.
    Other,
}

/// Reads the start of a payload, of either format. None for a depth event or snapshot whose numbers are not where they
/// should be.
pub fn read(head: &[u8]) -> Option<Head> {
    if head.first() == Some(&b'{') {
        read_json(head)
    } else {
        read_sbe(head)
    }
}

fn read_json(head: &[u8]) -> Option<Head> {
    if head.starts_with(DEPTH_MARK) {
        return Some(Head::Depth {
            event_time_us: number(head, br#","E":"#)?.try_into().ok()?,
            first_id: number(head, br#","U":"#)?,
            last_id: number(head, br#","u":"#)?,
        });
    }
    if head.starts_with(SNAPSHOT_MARK) {
        let last_id = number(head, br#","lastUpdateId":"#)?;
        return Some(Head::Snapshot { last_id });
    }
    Some(match () {
        () if head.starts_with(RESULT_MARK) => Head::Result,
        () if head.starts_with(REFUSAL_MARK) => Head::Refusal,
        () => Head::Other,
    })
}

/// The whole number behind `key`; None where its end is not within.
fn number(head: &[u8], key: &[u8]) -> Option<u64> {
    let at = head.windows(key.len()).position(|part| part == key)?;
    let rest = &head[at + key.len()..];
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

fn read_sbe(head: &[u8]) -> Option<Head> {
    let u64_at = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let template = head.get(2..).and_then(|rest| rest.first_chunk());
    match template.map(|bytes| u16::from_le_bytes(*bytes)) {
        Some(SBE_DEPTH) => Some(Head::Depth {
            event_time_us: u64_at(8)?.cast_signed(),
            first_id: u64_at(16)?,
            last_id: u64_at(24)?,
        }),
        Some(SBE_SNAPSHOT) => Some(Head::Snapshot { last_id: u64_at(16)? }),
        _ => Some(Head::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::event::{BookSnapshot, DepthUpdate, Level};
    use depthcast_market::instrument::{Exponents, Instrument};
    use depthcast_wire::json::encode as json;
    use depthcast_wire::sbe::encode as sbe;
    use depthcast_wire::time_unit::TimeUnit;

    const TIME_US: i64 = 1_723_075_200_123_456;

    fn instrument() -> Instrument {
        Instrument::new("S10000USDT", Exponents::default(), 1, 1).unwrap()
    }

    fn update() -> DepthUpdate {
        let levels = vec![Level { price: 7, qty: 8 }; 40];
        DepthUpdate {
            event_time_us: TIME_US,
            first_id: 50_093_239_218,
            last_id: 50_093_239_297,
            bids: levels.clone(),
            asks: levels,
        }
    }

    fn whole() -> BookSnapshot {
        BookSnapshot {
            last_id: 9_007_199_254_740_991,
            bids: vec![Level { price: 7, qty: 8 }; 40],
            asks: Vec::new(),
        }
    }

    /// What is read of as much as a scanner gives.
    fn read_start(message: &[u8]) -> Option<Head> {
        read(&message[..message.len().min(HEAD_BYTES)])
    }

    #[test]
    fn the_engines_own_messages_are_read_in_both_formats() {
        let depth = Head::Depth {
            event_time_us: TIME_US,
            first_id: 50_093_239_218,
            last_id: 50_093_239_297,
        };
        let snapshot = Head::Snapshot {
            last_id: 9_007_199_254_740_991,
        };
        let mut out = Vec::new();
        json::depth_update(&mut out, &instrument(), TimeUnit::Microsecond, &update());
        assert_eq!(read_start(&out), Some(depth));
        out.clear();
        json::depth_snapshot(
            &mut out,
            &instrument(),
            TimeUnit::Microsecond,
            TIME_US,
            TIME_US as u64,
            &whole(),
        );
        assert_eq!(read_start(&out), Some(snapshot));
        out.clear();
        sbe::depth_diff(&mut out, &instrument(), &update()).unwrap();
        assert_eq!(read_start(&out), Some(depth));
        out.clear();
        sbe::depth_snapshot(&mut out, &instrument(), TIME_US, &whole()).unwrap();
        assert_eq!(read_start(&out), Some(snapshot));
    }

    #[test]
    fn answers_to_requests_are_told_apart() {
        assert_eq!(read(br#"{"result":null,"id":1}"#), Some(Head::Result));
        assert_eq!(read(br#"{"code":2,"msg":"no","id":1}"#), Some(Head::Refusal));
        assert_eq!(read(br#"{"e":"heartbeat","E":5}"#), Some(Head::Other));
        assert_eq!(read(b""), Some(Head::Other));
    }

    #[test]
    fn numbers_that_are_not_there_are_seen() {
        assert_eq!(read(br#"{"e":"depthUpdate","E":5,"s":"A","U":1,"u":"#), None);
        assert_eq!(read(br#"{"e":"depthUpdate","E":5,"s":"A","U":1,"u":12"#), None);
        assert_eq!(read(br#"{"e":"depthSnapshot","E":5,"s":"A"}"#), None);
        assert_eq!(read(&[26, 0, 0x13, 0x27, 1, 0, 0, 0, 1, 2]), None);
    }
}
