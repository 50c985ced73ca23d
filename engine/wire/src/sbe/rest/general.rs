//! Answers that are of no market: a ping's, the time, errors.

use super::{NONE, Writer};

/// Appends a PingResponse (101): nothing but its header.
pub fn ping(out: &mut Vec<u8>) {
    Writer::message(out, 101, 0);
}

/// Appends a ServerTimeResponse (102): 0 serverTime i64; 8 bytes.
pub fn server_time(out: &mut Vec<u8>, now_us: i64) {
    Writer::message(out, 102, 8).i64(now_us);
}

/// Appends an ErrorResponse (100): 0 code i16, 2 serverTime i64?, 10 retryAfter i64?; 18 bytes; then msg (length u16) and
/// data (length u32), which is empty. `retry_after_us` is the time from which on it may be asked again.
pub fn error(out: &mut Vec<u8>, code: i16, message: &str, now_us: Option<i64>, retry_after_us: Option<i64>) {
    Writer::message(out, 100, 18)
        .i16(code)
        .i64(now_us.unwrap_or(NONE))
        .i64(retry_after_us.unwrap_or(NONE))
        .text16(message)
        .i32(0);
}
