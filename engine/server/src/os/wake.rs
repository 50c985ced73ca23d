//! Waking a thread that sleeps in its poll, from another descriptor table.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, retry_on_intr, write};

/// What wakes.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// The sleeper's copy. While it is there, a ring is heard, also one whose bell has gone since.
#[derive(Debug)]
pub struct Ear(#[expect(dead_code, reason = "kept open")] OwnedFd);

impl Bell {
    /// A bell that nobody hears yet.
    pub fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the sleeper.
    pub fn ring(&self) -> io::Result<()> {
        match retry_on_intr(|| write(&self.0, &1u64.to_ne_bytes())) {
            // A counter that is full has not been looked at: the sleeper is being woken already.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Ear {
    /// Lets a ring of the bell of which `copy` is one wake the poll of `registry`. Each is an event of its own
    /// (edge-triggered), so there is nothing to be read.
    pub fn register(copy: OwnedFd, registry: &Registry, token: Token) -> io::Result<Ear> {
        registry.register(&mut SourceFd(&copy.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Ear(copy))
    }
}
