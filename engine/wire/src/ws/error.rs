//! What a peer can do wrong on a WebSocket, each fault with the close code that answers it.

use super::close::CloseCode;
use super::frame::CONTROL_PAYLOAD_MAX;

/// A breach of RFC 6455 by the peer, or a limit of this side that the peer went over.
///
/// The text of each is short enough to be the reason of the Close frame that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// RSV1, RSV2 or RSV3 is set, though no extension was negotiated (section 5.2).
    #[error("a reserved header bit is set, and no extension was negotiated")]
    ReservedBits,
    /// The opcode is none of RFC 6455 (section 5.2).
    #[error("opcode {0:#x} is not defined")]
    UnknownOpcode(u8),
    /// This side is the server, and the client sent a frame without a mask (section 5.1).
    #[error("a client must mask every frame")]
    MaskMissing,
    /// This side is the client, and the server sent a masked frame (section 5.1).
    #[error("a server must not mask a frame")]
    MaskUnexpected,
    /// A Close, Ping or Pong without FIN (section 5.5).
    #[error("a control frame must not be fragmented")]
    ControlFragmented,
    /// A Close, Ping or Pong of more than 125 bytes (section 5.5).
    #[error("a control frame must not carry more than {CONTROL_PAYLOAD_MAX} bytes")]
    ControlTooLong,
    /// The payload length would fit a shorter encoding (section 5.2).
    #[error("the payload length must use its shortest encoding")]
    LengthNotMinimal,
    /// The top bit of a 64-bit payload length is set (section 5.2).
    #[error("the top bit of a 64-bit payload length must be zero")]
    LengthTopBit,
    /// A continuation frame, though no message is under way (section 5.4).
    #[error("a continuation frame came without a message to continue")]
    ContinuationUnexpected,
    /// A text or binary frame, though a fragmented message is under way (section 5.4).
    #[error("a new message began before the fragmented one ended")]
    MessageInterrupted,
    /// A text message or a close reason is not UTF-8 (sections 5.6 and 5.5.1).
    #[error("text must be valid UTF-8")]
    InvalidUtf8,
    /// A Close with a payload of one byte, too short for a code (section 5.5.1).
    #[error("the payload of a close frame must be empty or start with a code of two bytes")]
    ClosePayload,
    /// A close code that must not travel, or that nobody may use (section 7.4).
    #[error("close code {0} must not be sent")]
    CloseCodeInvalid(u16),
    /// The message is over this side's limit, known from the header that announced it.
    #[error("the message is larger than the {bytes_max} bytes that are accepted")]
    MessageTooBig {
        /// The limit.
        bytes_max: usize,
    },
    /// The peer's Close was read before: nothing that follows it counts (section 5.5.1).
    #[error("the peer has closed the connection")]
    Closed,
}

impl WsError {
    /// The code for the Close frame that answers this fault (section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            WsError::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            WsError::MessageTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            WsError::Closed => CloseCode::NORMAL,
            WsError::ReservedBits
            | WsError::UnknownOpcode(_)
            | WsError::MaskMissing
            | WsError::MaskUnexpected
            | WsError::ControlFragmented
            | WsError::ControlTooLong
            | WsError::LengthNotMinimal
            | WsError::LengthTopBit
            | WsError::ContinuationUnexpected
            | WsError::MessageInterrupted
            | WsError::ClosePayload
            | WsError::CloseCodeInvalid(_) => CloseCode::PROTOCOL_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::CLOSE_REASON_BYTES_MAX;

    #[test]
    fn every_text_fits_a_close_reason() {
        let errors = [
            WsError::ReservedBits,
            WsError::UnknownOpcode(0xf),
            WsError::MaskMissing,
            WsError::MaskUnexpected,
            WsError::ControlFragmented,
            WsError::ControlTooLong,
            WsError::LengthNotMinimal,
            WsError::LengthTopBit,
            WsError::ContinuationUnexpected,
            WsError::MessageInterrupted,
            WsError::InvalidUtf8,
            WsError::ClosePayload,
            WsError::CloseCodeInvalid(u16::MAX),
            WsError::MessageTooBig {
                bytes_max: usize::MAX,
            },
            WsError::Closed,
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.len() <= CLOSE_REASON_BYTES_MAX, "{text}");
            assert!(CloseCode::may_travel(error.close_code()), "{text}");
        }
    }

    #[test]
    fn codes_name_the_kind_of_fault() {
        assert_eq!(WsError::InvalidUtf8.close_code(), 1007);
        assert_eq!(WsError::MessageTooBig { bytes_max: 1 }.close_code(), 1009);
        assert_eq!(WsError::MaskMissing.close_code(), 1002);
        assert_eq!(WsError::CloseCodeInvalid(1005).close_code(), 1002);
    }
}
