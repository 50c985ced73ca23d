//! What a connection does that is slow on purpose: it stops and resumes, reads one byte, or is found to have been given up.

use std::io::{ErrorKind, Read};

use depthcast_wire::ws::WsError;

use super::{Connection, Phase, Tools, Turn};
use crate::clock::monotonic_ns;
use crate::fleet::counts::{Asked, Counts, Plain};
use crate::fleet::order::Format;
use crate::fleet::slow::Numbered;

impl Connection {
    /// Stops reading.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Reads again, beginning with what has come meanwhile.
    pub fn resume(&mut self, tools: &mut Tools) -> Turn {
        self.is_paused = false;
        self.turn(tools)
    }

    /// Reads one byte, if one is there.
    pub fn read_one_byte(&mut self, tools: &mut Tools) -> Turn {
        let mut byte = [0];
        match (&mut self.socket, &self.phase) {
            (Some(socket), Phase::Open) => match socket.read(&mut byte) {
                Ok(1) => self.take(&byte, monotonic_ns(), tools),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                // What an end looks like is found out there.
                Ok(_) | Err(_) => self.drain_doomed(tools),
            },
            _ => return Turn::Nothing,
        }
        if self.is_open() {
            Turn::Nothing
        } else {
            Turn::Closed
        }
    }

    /// Takes bytes of a slow reader.
    pub(super) fn scan_slow(
        &mut self,
        bytes: &[u8],
        format: Format,
        counts: &mut Counts,
        asked: &mut Asked,
    ) -> Result<(), WsError> {
        counts.slow.bytes += bytes.len() as u64;
        if format != Format::Bench {
            let mut sink = Plain { frames: 0, asked };
            let scanned = self.scanner.scan(bytes, &mut sink);
            counts.slow.frames += sink.frames;
            return scanned;
        }
        let mut sink = Numbered {
            frames: 0,
            out_of_order: 0,
            fault: None,
            sequence: &mut self.sequence,
            asked,
        };
        let scanned = self.scanner.scan(bytes, &mut sink);
        counts.slow.frames += sink.frames;
        counts.out_of_order += sink.out_of_order;
        if let Some(fault) = sink.fault {
            counts.fault(self.number, &fault);
        }
        scanned
    }

    /// The server has ended a connection that never caught up: what it said last is still there after an orderly end, and is
    /// looked at for its code alone.
    pub(super) fn drain_doomed(&mut self, tools: &mut Tools) {
        let mut asked = Asked::default();
        let mut sink = Plain {
            frames: 0,
            asked: &mut asked,
        };
        while let Some(socket) = &mut self.socket
            && sink.asked.close.is_none()
        {
            match socket.read(&mut tools.buffer) {
                Ok(read @ 1..) if self.scanner.scan(&tools.buffer[..read], &mut sink).is_ok() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let code = asked.close.unwrap_or(0);
        tools.counts.close(code, self.duty);
        self.abandon();
    }
}
