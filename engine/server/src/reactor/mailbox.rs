//! Bounded mailboxes of the workers, with coalesced wake-ups: however many messages wait, a worker that sleeps in its
//! poll is woken once.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};

use super::shared::{BusyFlag, WakeFlag};
use crate::os::wake::Bell;

/// Messages that wait for one worker at most. A batch holds what one burst of the feed made; at 100 ticks a second this
/// is seconds of them, past which the worker is overloaded and the sender must wait or merge.
pub const MAILBOX_MAX: usize = 512;

/// The sending side; any number of threads may hold one.
#[derive(Debug)]
pub struct Mailbox<T> {
    sender: Sender<T>,
    bell: Arc<Bell>,
    flag: Arc<WakeFlag>,
    busy: Arc<BusyFlag>,
}

/// The worker's side; the bell is heard in its poll.
#[derive(Debug)]
pub struct Inbox<T> {
    receiver: Receiver<T>,
    flag: Arc<WakeFlag>,
    busy: Arc<BusyFlag>,
}

/// The worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker has ended")]
pub struct WorkerEnded;

/// A message that was not taken.
#[derive(Debug)]
pub enum Refused<T> {
    /// There is no room now; the message comes back.
    Full(T),
    /// The worker has ended.
    Ended,
}

/// A mailbox of [`MAILBOX_MAX`] messages, whose receiver hears its bell. An error is the host's: it has no descriptor left.
pub fn mailbox<T>() -> io::Result<(Mailbox<T>, Inbox<T>)> {
    mailbox_of(MAILBOX_MAX)
}

/// One of so many messages.
pub(super) fn mailbox_of<T>(messages_max: usize) -> io::Result<(Mailbox<T>, Inbox<T>)> {
    let (sender, receiver) = crossbeam_channel::bounded(messages_max);
    let flag = Arc::new(WakeFlag::default());
    let busy = Arc::new(BusyFlag::default());
    let mailbox = Mailbox {
        sender,
        bell: Arc::new(Bell::new()?),
        flag: flag.clone(),
        busy: busy.clone(),
    };
    Ok((mailbox, Inbox { receiver, flag, busy }))
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox {
            sender: self.sender.clone(),
            bell: self.bell.clone(),
            flag: self.flag.clone(),
            busy: self.busy.clone(),
        }
    }
}

impl<T> Mailbox<T> {
    /// What rings when something was put in, to be passed to the worker.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Whether the worker should be told less for now, having enough to do with what it took, and how often it came to have not
    /// any more.
    pub fn busy_and_pauses(&self) -> (bool, u64) {
        self.busy.get_with_pauses()
    }

    /// Puts a message in if there is room; else gives it back.
    pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        match self.sender.try_send(message) {
            Ok(()) => self.wake().map_err(|_| Refused::Ended),
            Err(TrySendError::Full(message)) => Err(Refused::Full(message)),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended),
        }
    }

    /// Puts a message in, waiting while the mailbox is full. Only for senders that the worker never waits for.
    pub fn send(&self, message: T) -> Result<(), WorkerEnded> {
        self.sender.send(message).map_err(|_| WorkerEnded)?;
        self.wake()
    }

    /// Wakes the worker unless somebody did already. To be called after a message was put in, so that a worker that is
    /// woken, or was looking already, finds it.
    fn wake(&self) -> Result<(), WorkerEnded> {
        if self.flag.raise() {
            self.bell.ring().map_err(|_| WorkerEnded)?;
        }
        Ok(())
    }
}

impl<T> Inbox<T> {
    /// Call on a wake-up, before taking: a message that comes after this wakes again.
    pub fn acknowledge(&self) {
        self.flag.acknowledge();
    }

    /// Tells senders whether messages are taken, so that they need not fill the mailbox to find out.
    pub fn set_busy(&self, is_busy: bool) {
        self.busy.set(is_busy);
    }

    /// The next message, if one waits.
    pub fn take(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::wake::Ear;
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn listen<T>(mailbox: &Mailbox<T>) -> (mio::Poll, Ear) {
        let poll = mio::Poll::new().unwrap();
        let copy = mailbox.bell().as_fd().try_clone_to_owned().unwrap();
        let ear = Ear::register(copy, poll.registry(), mio::Token(0)).unwrap();
        (poll, ear)
    }

    #[test]
    fn every_message_arrives_and_a_sleeper_is_woken() {
        let (mailbox, inbox) = mailbox().unwrap();
        let (mut poll, _ear) = listen(&mailbox);
        let senders: Vec<_> = (0..3)
            .map(|thread| {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || (0..10_000).for_each(|n| mailbox.send((thread, n)).unwrap()))
            })
            .collect();
        let mut next = [0; 3];
        let mut events = mio::Events::with_capacity(4);
        while next != [10_000; 3] {
            // A lost wake-up would leave the senders waiting in front of a full mailbox until this times out.
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "woken while messages are missing: {next:?}");
            inbox.acknowledge();
            while let Ok((thread, n)) = inbox.take() {
                let expected: &mut i32 = &mut next[thread];
                assert_eq!(n, *expected);
                *expected += 1;
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        drop(inbox);
        assert_eq!(mailbox.send((0, 0)), Err(WorkerEnded));
    }

    #[test]
    fn a_sender_that_goes_at_once_has_woken_all_the_same() {
        let (mailbox, inbox) = mailbox().unwrap();
        let (mut poll, _ear) = listen(&mailbox);
        mailbox.send("the last").unwrap();
        drop(mailbox);
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert!(!events.is_empty());
        inbox.acknowledge();
        assert_eq!(inbox.take(), Ok("the last"));
    }
}
