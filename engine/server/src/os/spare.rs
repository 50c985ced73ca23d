//! Descriptors held in reserve: when the host has none left, one is given up to accept a connection with, so that its peer
//! is told rather than left waiting.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

/// Some descriptors that nothing is done with. Each is a file of its own: a copy of another would hold a place in this
/// table, and none in the host's.
#[derive(Debug)]
pub struct Spares {
    held: Vec<OwnedFd>,
    wanted: usize,
}

impl Spares {
    /// Takes `wanted` into the calling thread's table. An error is the host's: it has no descriptor left.
    pub fn take(wanted: usize) -> io::Result<Spares> {
        let mut spares = Spares {
            held: Vec::with_capacity(wanted),
            wanted,
        };
        spares.refill()?;
        Ok(spares)
    }

    /// Takes again what was given up, as far as the host lets it. An error says that something is missing still.
    pub fn refill(&mut self) -> io::Result<()> {
        while self.held.len() < self.wanted {
            self.held.push(spare()?);
        }
        Ok(())
    }

    /// Gives one up; false when none is left.
    pub fn give_up(&mut self) -> bool {
        // The lowest number is the last to be given up: where the limit was lowered below what is open, a number under it
        // is worth most.
        self.held.pop().is_some()
    }
}

fn spare() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_taken_again() {
        let mut spares = Spares::take(3).unwrap();
        spares.refill().unwrap();
        assert!((0..3).all(|_| spares.give_up()));
        assert!(!spares.give_up());
        spares.refill().unwrap();
        assert_eq!(spares.held.len(), 3);
    }
}
