//! The bare loop's standard input: its order and its commands, read without a thread and without waiting.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::de::DeserializeOwned;

use crate::clock::{monotonic_ns, timespec};

/// The longest line taken: an order with a long path.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes read at a time: more than any command.
const CHUNK_BYTES: usize = 4096;

/// Why there is no order or no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    /// Not a message of ours: the parent is another program, or another version of this one.
    #[error("standard input has no order or command of this version: {0}")]
    Foreign(#[from] serde_json::Error),
    /// A line over [`LINE_BYTES_MAX`].
    #[error("standard input has a line longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The host cannot read it.
    #[error("standard input cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// What the input gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given<M> {
    /// A message.
    Message(M),
    /// None yet.
    Nothing,
    /// It has ended, and so should this process.
    Ended,
}

/// Lines of `I`, an input that may have nothing for now.
#[derive(Debug)]
pub(super) struct Input<I> {
    source: I,
    /// What was read and not taken; its start may be a whole line.
    waiting: Vec<u8>,
    has_ended: bool,
}

impl<I: AsFd> Input<I> {
    pub(super) fn new(source: I) -> Input<I> {
        Input {
            source,
            waiting: Vec::new(),
            has_ended: false,
        }
    }

    /// The next message, if it comes until `until_ns` (CLOCK_MONOTONIC); a time that has passed asks for one that is there.
    pub(super) fn next<M: DeserializeOwned>(&mut self, until_ns: u64) -> Result<Given<M>, InputError> {
        loop {
            if let Some(end) = self.waiting.iter().position(|&byte| byte == b'\n') {
                let message = serde_json::from_slice(&self.waiting[..end]);
                self.waiting.drain(..=end);
                return Ok(Given::Message(message?));
            }
            if self.has_ended {
                return Ok(Given::Ended);
            }
            if self.waiting.len() > LINE_BYTES_MAX {
                return Err(InputError::LineTooLong);
            }
            if !self.is_readable(until_ns)? {
                return Ok(Given::Nothing);
            }
            self.read()?;
        }
    }

    fn is_readable(&self, until_ns: u64) -> Result<bool, InputError> {
        let mut polled = [PollFd::new(&self.source, PollFlags::IN)];
        let wait = timespec(until_ns.saturating_sub(monotonic_ns()));
        match poll(&mut polled, Some(&wait)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(InputError::Unreadable(error.into())),
        }
    }

    fn read(&mut self) -> Result<(), InputError> {
        let mut chunk = [0; CHUNK_BYTES];
        match rustix::io::read(&self.source, &mut chunk) {
            Ok(0) => self.has_ended = true,
            Ok(len) => self.waiting.extend_from_slice(&chunk[..len]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(InputError::Unreadable(error.into())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Command;

    fn pipe() -> (Input<rustix::fd::OwnedFd>, rustix::fd::OwnedFd) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (Input::new(read), write)
    }

    #[test]
    fn lines_come_one_by_one_and_then_the_end() {
        let (mut input, write) = pipe();
        assert_eq!(input.next::<Command>(0).unwrap(), Given::Nothing);
        rustix::io::write(&write, b"\"Go\"\n\"Report\"\n\"En").unwrap();
        assert_eq!(input.next(0).unwrap(), Given::Message(Command::Go));
        assert_eq!(input.next(0).unwrap(), Given::Message(Command::Report));
        assert_eq!(input.next::<Command>(0).unwrap(), Given::Nothing);
        rustix::io::write(&write, b"d\"\n").unwrap();
        assert_eq!(input.next(0).unwrap(), Given::Message(Command::End));
        drop(write);
        assert_eq!(input.next::<Command>(0).unwrap(), Given::Ended);
        assert_eq!(input.next::<Command>(0).unwrap(), Given::Ended);
    }

    #[test]
    fn what_is_no_command_and_a_line_without_end_are_errors() {
        let (mut input, write) = pipe();
        rustix::io::write(&write, b"hello\n").unwrap();
        assert!(matches!(input.next::<Command>(0), Err(InputError::Foreign(_))));

        let (mut input, write) = pipe();
        let writer = std::thread::spawn(move || {
            let mut left = LINE_BYTES_MAX + CHUNK_BYTES;
            while left > 0 {
                left -= rustix::io::write(&write, &vec![b'x'; left]).unwrap();
            }
            write
        });
        let error = loop {
            match input.next::<Command>(monotonic_ns() + 1_000_000_000) {
                Ok(Given::Nothing) => {}
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, InputError::LineTooLong), "{error}");
        drop(writer.join().unwrap());
    }
}
