//! WebSocket (RFC 6455) frames and messages, both roles.
//!
//! - [`MessageReader`] turns the bytes of a peer into messages and control frames, and refuses every breach of the RFC;
//! - [`write_frame`], [`server_frame`], [`frame_header`] and [`write_close`] make the bytes for a peer.

mod close;
mod error;
mod frame;
mod message;
mod utf8;

pub use close::{CLOSE_REASON_BYTES_MAX, Close, CloseCode, write_close};
pub use error::WsError;
pub use frame::{
    CONTROL_PAYLOAD_MAX, FRAME_HEADER_MAX, FrameHeader, Opcode, frame_header, mask_in_place, server_frame,
    write_frame,
};
pub use message::{Incoming, MessageReader};

/// Which end of the connection this side is: RFC 6455 section 5.1 has clients mask every frame and servers none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side is the server: it reads masked frames only.
    Server,
    /// This side is the client: it reads unmasked frames only.
    Client,
}
