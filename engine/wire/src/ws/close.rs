//! The Close frame (RFC 6455 sections 5.5.1 and 7.4). Payload: nothing, or a big-endian u16 code and a UTF-8 reason.

use super::error::WsError;
use super::frame::{CONTROL_PAYLOAD_MAX, Opcode, write_frame};

/// The longest reason of a Close: a control frame's payload less the two bytes of the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_PAYLOAD_MAX - CODE_BYTES;

const CODE_BYTES: usize = 2;

/// The close codes by name (RFC 6455 section 7.4.1 and the registry it opened).
#[derive(Clone, Copy, Debug)]
pub enum CloseCode {}

impl CloseCode {
    /// The purpose of the connection has been fulfilled.
    pub const NORMAL: u16 = 1000;
    /// The server is going down, or the client navigates away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer sent a kind of data that is not accepted here.
    pub const UNSUPPORTED_DATA: u16 = 1003;
    /// A message was not what its type promises, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// The peer broke a policy, such as a rate limit or a lag limit.
    pub const POLICY_VIOLATION: u16 = 1008;
    /// A message is larger than this side accepts.
    pub const MESSAGE_TOO_BIG: u16 = 1009;
    /// This side met a condition that it did not expect.
    pub const INTERNAL_ERROR: u16 = 1011;
    /// The service restarts: reconnect.
    pub const SERVICE_RESTART: u16 = 1012;
    /// The service is overloaded: reconnect later.
    pub const TRY_AGAIN_LATER: u16 = 1013;

    /// Whether a Close frame may carry `code`: 1004 to 1006 and 1015 are reserved for what is never sent, 1016 to 2999
    /// are not assigned, and below 1000 and from 5000 on nothing is (section 7.4.2).
    pub fn may_travel(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// What a peer's Close said, where it said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why the peer closes: one of the codes that may travel.
    pub code: u16,
    /// The peer's explanation, for people; often empty.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a Close frame; an empty one gives `None`.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Option<Close<'a>>, WsError> {
        if payload.is_empty() {
            return Ok(None);
        }
        let (&code, reason) = payload.split_first_chunk().ok_or(WsError::ClosePayload)?;
        let code = u16::from_be_bytes(code);
        if !CloseCode::may_travel(code) {
            return Err(WsError::CloseCodeInvalid(code));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| WsError::InvalidUtf8)?;
        Ok(Some(Close { code, reason }))
    }
}

/// Appends a Close frame. A `reason` over [`CLOSE_REASON_BYTES_MAX`] is cut at a character boundary. A `code` that must
/// not travel (such as 1005, "no code was received") makes a Close without a payload. `mask` is for clients.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str, mask: Option<[u8; 4]>) {
    let mut payload = [0; CONTROL_PAYLOAD_MAX];
    let mut payload_len = 0;
    if CloseCode::may_travel(code) {
        let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
        payload_len = CODE_BYTES + reason.len();
        payload[..CODE_BYTES].copy_from_slice(&code.to_be_bytes());
        payload[CODE_BYTES..payload_len].copy_from_slice(reason.as_bytes());
    }
    write_frame(out, Opcode::Close, &payload[..payload_len], mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_codes_of_the_registry_travel() {
        let allowed = (0..=u16::MAX).filter(|&code| CloseCode::may_travel(code));
        let expected = (1000..=1003).chain(1007..=1014).chain(3000..=4999);
        assert!(allowed.eq(expected));
    }

    #[test]
    fn parses_payloads() {
        assert_eq!(Close::parse(b""), Ok(None));
        assert_eq!(Close::parse(b"\x03"), Err(WsError::ClosePayload));
        assert_eq!(
            Close::parse(b"\x03\xe8"),
            Ok(Some(Close {
                code: 1000,
                reason: ""
            }))
        );
        assert_eq!(
            Close::parse(b"\x0f\xa0bye"),
            Ok(Some(Close {
                code: 4000,
                reason: "bye"
            }))
        );
        assert_eq!(Close::parse(b"\x03\xed"), Err(WsError::CloseCodeInvalid(1005)));
        assert_eq!(Close::parse(b"\x03\xe8\xce"), Err(WsError::InvalidUtf8));
    }

    #[test]
    fn writes_and_cuts_at_a_character() {
        let mut out = Vec::new();
        write_close(&mut out, CloseCode::POLICY_VIOLATION, "too slow", None);
        assert_eq!(out, b"\x88\x0a\x03\xf0too slow");

        // 122 bytes, then a character of two bytes that would end at 124.
        let reason = format!("{}é", "x".repeat(122));
        out.clear();
        write_close(&mut out, CloseCode::NORMAL, &reason, None);
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(Close::parse(&out[2..]).unwrap().unwrap().reason, "x".repeat(122));

        out.clear();
        write_close(&mut out, CloseCode::NORMAL, &"x".repeat(200), None);
        assert_eq!(out.len(), 2 + CONTROL_PAYLOAD_MAX);
    }

    #[test]
    fn a_code_that_must_not_travel_is_left_out() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            let mut out = Vec::new();
            write_close(&mut out, code, "reason", None);
            assert_eq!(out, b"\x88\x00");
        }
    }
}
