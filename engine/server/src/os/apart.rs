//! Threads apart: each with a descriptor table of its own.
//!
//! A table that threads share costs every system call on a socket two atomic operations, and `RLIMIT_NOFILE` bounds a
//! table, not a process: apart, each worker may have as many descriptors as a whole process has otherwise.
//!
//! A descriptor is a number in one table. Past the start of such a thread an owner of one must not cross threads, since
//! dropping it elsewhere would close a stranger's: what is to cross goes through [`handoff`](super::handoff).

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::thread::{Builder, JoinHandle};

/// Standard input, output and error, which every thread keeps: it writes its log there.
const STANDARD_STREAMS: RawFd = 3;

/// What a type has that owns descriptors of a thread apart, so that it is not [`Send`]: the compiler then keeps it on the thread
/// on which it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stays(PhantomData<*const ()>);

/// Starts a thread with a descriptor table of its own, which holds the standard streams and copies of `passed`. `run` is
/// given the copies, in order; it must not have taken another owner of a descriptor along.
///
/// Returns once the thread is apart. An error is the host's: it refused the thread or its table (Linux before 5.9 has
/// none).
pub fn spawn(
    builder: Builder,
    passed: &[BorrowedFd<'_>],
    run: impl FnOnce(Vec<OwnedFd>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let numbers: Vec<RawFd> = passed.iter().map(AsRawFd::as_raw_fd).collect();
    let (done, is_apart) = crossbeam_channel::bounded(1);
    let thread = builder.spawn(move || match step_aside(&numbers) {
        Ok(own) => {
            // Who started it waits for this.
            let _ = done.send(Ok(()));
            run(own);
        }
        Err(error) => drop(done.send(Err(error))),
    })?;
    match is_apart.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => {
            // It has nothing more to do.
            let _ = thread.join();
            Err(error)
        }
        Err(_) => Err(io::Error::other("the thread ended while it was being started")),
    }
}

/// Gives the calling thread a table of its own with nothing in it but the standard streams and `kept`.
fn step_aside(kept: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    let mut sorted: Vec<RawFd> = kept
        .iter()
        .copied()
        .filter(|&fd| fd >= STANDARD_STREAMS)
        .collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != kept.len() {
        return Err(io::Error::other(
            "a descriptor was passed twice, or is a standard stream",
        ));
    }
    // What is above the last goes first: that call copies no more of the shared table than is kept.
    close_range(
        sorted.last().map_or(STANDARD_STREAMS, |last| last + 1),
        RawFd::MAX,
        true,
    )?;
    let mut next = STANDARD_STREAMS;
    for fd in sorted {
        if next < fd {
            close_range(next, fd - 1, false)?;
        }
        next = fd + 1;
    }
    // SAFETY: this thread's table has copies of these descriptors under the same numbers, made by the first call above
    // while their owners elsewhere were borrowed; nothing on this thread owns them.
    Ok(kept
        .iter()
        .map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect())
}

/// Closes the descriptors from `first` to `last`; with `apart` in a copy of the table, which is the calling thread's own
/// from then on.
fn close_range(first: RawFd, last: RawFd, apart: bool) -> io::Result<()> {
    let flags = if apart { libc::CLOSE_RANGE_UNSHARE } else { 0 };
    // SAFETY: the first call leaves the table that other threads use as it is; the others close, in this thread's own
    // table, copies that nothing here owns.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{Errno, dup, fcntl_getfd, read, write};
    use std::os::fd::AsFd;

    fn event() -> OwnedFd {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
    }

    /// Whether the calling thread's table has that number.
    fn is_open(number: RawFd) -> bool {
        // SAFETY: only asked about, by number; a number that is not open is answered as such.
        fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }) != Err(Errno::BADF)
    }

    #[test]
    fn a_thread_apart_has_what_was_passed_and_nothing_else() {
        let (first, between, second, above) = (event(), event(), event(), event());
        let others = [between.as_raw_fd(), above.as_raw_fd()];
        let (said, heard) = crossbeam_channel::bounded(1);
        // Not in the order of their numbers.
        let thread = spawn(Builder::new(), &[second.as_fd(), first.as_fd()], move |own| {
            let strangers = others.map(is_open);
            write(&own[0], &7u64.to_ne_bytes()).unwrap();
            write(&own[1], &8u64.to_ne_bytes()).unwrap();
            // Closed here, and nowhere else.
            drop(own);
            said.send(strangers).unwrap();
        })
        .unwrap();
        assert_eq!(heard.recv().unwrap(), [false, false]);
        thread.join().unwrap();
        let value = |fd: &OwnedFd| {
            let mut bytes = [0; 8];
            read(fd, &mut bytes).unwrap();
            u64::from_ne_bytes(bytes)
        };
        assert_eq!((value(&second), value(&first)), (7, 8));
        assert!(is_open(between.as_raw_fd()) && is_open(above.as_raw_fd()));
    }

    #[test]
    fn what_a_thread_apart_opens_is_not_seen_elsewhere() {
        let passed = event();
        let (said, heard) = crossbeam_channel::bounded(1);
        let (go, wait) = crossbeam_channel::bounded::<()>(1);
        let thread = spawn(Builder::new(), &[passed.as_fd()], move |own| {
            // A number that the rest of this process does not come to have.
            let far = rustix::io::fcntl_dupfd_cloexec(&own[0], 900).unwrap();
            said.send(far.as_raw_fd()).unwrap();
            let _ = wait.recv();
            drop(far);
        })
        .unwrap();
        let far = heard.recv().unwrap();
        assert!(far >= 900 && !is_open(far), "{far} is open here too");
        drop(go);
        thread.join().unwrap();
    }

    #[test]
    fn a_descriptor_passed_twice_is_refused() {
        let passed = event();
        let twice = [passed.as_fd(), passed.as_fd()];
        assert!(spawn(Builder::new(), &twice, |_| unreachable!()).is_err());
        // The thread closed nothing of ours.
        assert!(dup(&passed).is_ok());
    }
}
