//! What a subscriber says: messages whole or in part, pings, pongs, its Close.

use bytes::Bytes;
use depthcast_wire::ws::{self, CloseCode, Incoming, MessageReader, Opcode};

use super::{ECHO_MESSAGE_BYTES_MAX, EndCause, Host, MESSAGE_BYTES_MAX, MaybeTick, Next, Session, Turn};

/// An empty Ping, as a frame: one for all connections.
pub(super) const PING: Bytes = Bytes::from_static(&[0x80 | Opcode::Ping as u8, 0]);

/// The answer to a Ping that is empty, as most are.
const EMPTY_PONG: Bytes = Bytes::from_static(&[0x80 | Opcode::Pong as u8, 0]);

impl Session {
    pub(super) fn on_frames(&mut self, input: &mut &[u8], turn: &mut Turn<'_, impl Host>) -> Next {
        if input.is_empty() {
            return Next::Continue;
        }
        let Some(mut partial) = self.partial.take() else {
            return self.on_new_frames(input, turn);
        };
        let Some(reader) = partial.reader_mut() else {
            // Of a head nothing is left once the subscriber is open.
            turn.host.buffers().give_back(partial);
            return self.on_new_frames(input, turn);
        };
        let (next, is_whole) = self.read_frames(reader, input, turn);
        if !self.is_open() || reader.is_idle() {
            turn.host.buffers().give_back(partial);
            return next;
        }
        if is_whole {
            partial.begin(turn.now);
        }
        match turn.host.buffers().recount(partial) {
            Ok(partial) => {
                self.partial = Some(partial);
                next
            }
            Err(error) => self.close_for_room(&error.to_string(), turn),
        }
    }

    /// Bytes behind the end of a message: what comes whole is read where all read it, and only the rest is kept.
    fn on_new_frames(&mut self, input: &mut &[u8], turn: &mut Turn<'_, impl Host>) -> Next {
        let message_bytes_max = if self.is_echo {
            ECHO_MESSAGE_BYTES_MAX
        } else {
            MESSAGE_BYTES_MAX
        };
        let mut reader = turn.host.buffers().lend_reader(message_bytes_max);
        let (mut next, _) = self.read_frames(&mut reader, input, turn);
        if self.is_open() && !reader.is_idle() {
            match turn.host.buffers().keep_message(&reader, turn.now) {
                Ok(partial) => self.partial = Some(partial),
                Err(error) => next = self.close_for_room(&error.to_string(), turn),
            }
        }
        turn.host.buffers().give_back_reader(reader);
        next
    }

    /// The message that has begun has no memory to go on in: the engine's fault, and no reason to forget what is owed.
    fn close_for_room(&mut self, reason: &str, turn: &mut Turn<'_, impl Host>) -> Next {
        self.close(CloseCode::TRY_AGAIN_LATER, reason, EndCause::Overload, turn)
    }

    /// What follows from what arrived, and whether that was the end of a message or more.
    fn read_frames(
        &mut self,
        reader: &mut MessageReader,
        input: &mut &[u8],
        turn: &mut Turn<'_, impl Host>,
    ) -> (Next, bool) {
        let mut is_whole = false;
        loop {
            let next = match reader.next(input) {
                Ok(None) => return (Next::Continue, is_whole),
                Ok(Some(incoming)) => {
                    let next = self.on_message(incoming, turn);
                    // Else it was a ping, or its like, between the fragments of a message.
                    is_whole |= !reader.is_within_message();
                    next
                }
                Err(error) => {
                    let reason = error.to_string();
                    self.close(error.close_code(), &reason, EndCause::Protocol, turn)
                }
            };
            if next != Next::Continue {
                return (next, is_whole);
            }
        }
    }

    fn on_message(&mut self, incoming: Incoming<'_>, turn: &mut Turn<'_, impl Host>) -> Next {
        if !self.is_within_rate(&incoming, turn) {
            let limit = turn.limits.messages_per_second;
            let reason = format!("more than {limit} messages in a second");
            return self.close(CloseCode::POLICY_VIOLATION, &reason, EndCause::MessageRate, turn);
        }
        match incoming {
            Incoming::Ping([]) => self.send(EMPTY_PONG, turn),
            Incoming::Ping(payload) => self.send(ws::server_frame(Opcode::Pong, payload), turn),
            Incoming::Pong(_) => {
                self.unanswered_since = MaybeTick::NONE;
                Next::Continue
            }
            Incoming::Close(close) => {
                // 1005 stands for "no code given" and makes a Close without one.
                let code = close.map_or(1005, |close| close.code);
                self.close(code, "", EndCause::Peer, turn)
            }
            Incoming::Text(text) if self.is_echo => {
                self.send(ws::server_frame(Opcode::Text, text.as_bytes()), turn)
            }
            Incoming::Binary(bytes) if self.is_echo => {
                self.send(ws::server_frame(Opcode::Binary, bytes), turn)
            }
            Incoming::Text(text) => self.on_request(text, turn),
            Incoming::Binary(_) => {
                let reason = "send requests as text messages";
                self.close(CloseCode::UNSUPPORTED_DATA, reason, EndCause::Protocol, turn)
            }
        }
    }

    /// Counts a message. False when it is one too many.
    fn is_within_rate(&mut self, incoming: &Incoming<'_>, turn: &Turn<'_, impl Host>) -> bool {
        let limit = turn.limits.messages_per_second;
        if limit == 0 || self.is_echo {
            return true;
        }
        match incoming {
            Incoming::Close(_) => true,
            Incoming::Pong(_) => self.rate.on_pong(turn.now, limit),
            Incoming::Ping(_) | Incoming::Text(_) | Incoming::Binary(_) => {
                self.rate.on_message(turn.now, limit)
            }
        }
    }

    pub(super) fn send(&mut self, frame: impl Into<Bytes>, turn: &mut Turn<'_, impl Host>) -> Next {
        match turn.host.send(frame.into()) {
            Ok(()) => Next::Continue,
            Err(error) => self.on_bound(&error, turn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_that_all_share_are_what_the_codec_would_write() {
        assert_eq!(PING, ws::server_frame(Opcode::Ping, b""));
        assert_eq!(EMPTY_PONG, ws::server_frame(Opcode::Pong, b""));
    }
}
