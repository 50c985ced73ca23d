//! How a worker starts: on a thread apart, which is passed copies of what it listens to, and where its poll and all that it will
//! own are made.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::engine::StartError;
use crate::os::apart;
use crate::os::handoff::Giver;
use crate::reactor::acceptor::Listeners;
use crate::reactor::mailbox::{Inbox, Mailbox, mailbox};
use crate::reactor::messages::WorkerMessage;
use crate::reactor::worker::{Worker, WorkerEnds, WorkerLinks, WorkerSettings};
use crate::threads::witnessed;

/// A worker to be started.
pub(crate) struct WorkerStart {
    /// Its number.
    pub(crate) index: usize,
    pub(crate) settings: WorkerSettings,
    pub(crate) links: WorkerLinks,
}

/// A worker that runs.
pub(crate) struct Started {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) mailbox: Mailbox<WorkerMessage>,
}

impl WorkerStart {
    /// Starts it, with copies of `admin`, of its own of the `listeners` of all workers, and of those of its neighbours before
    /// it; returns once it accepts.
    pub(crate) fn run(
        self,
        admin: &Giver,
        listeners: &[TcpListener],
        failed: Sender<String>,
    ) -> Result<Started, StartError> {
        let name = format!("worker-{}", self.index);
        let (mailbox, inbox) = mailbox()?;
        let (opened, is_open) = bounded(1);
        let mut passed = vec![mailbox.bell().as_fd(), admin.as_fd()];
        passed.extend(self.listeners(listeners));
        let thread = apart::spawn(Builder::new().name(name.clone()), &passed, move |own| {
            witnessed(&name, failed, || match self.open(inbox, own) {
                Ok(worker) => {
                    // Who starts it waits for this.
                    let _ = opened.send(Ok(()));
                    if let Err(error) = worker.run() {
                        panic!("the host's poll failed: {error}");
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })();
        })?;
        match is_open.recv() {
            Ok(Ok(())) => Ok(Started { thread, mailbox }),
            Ok(Err(error)) => {
                // It has nothing more to do.
                let _ = thread.join();
                Err(error)
            }
            Err(_) => Err(io::Error::other("a worker ended while it was being started").into()),
        }
    }

    /// Its own listener and behind it those of the workers before it, nearest first.
    fn listeners<'a>(&self, all: &'a [TcpListener]) -> impl Iterator<Item = BorrowedFd<'a>> {
        let (index, count) = (self.index, all.len());
        (0..=self.settings.table.neighbours).map(move |step| all[(index + count - step) % count].as_fd())
    }

    fn open(self, inbox: Inbox<WorkerMessage>, own: Vec<OwnedFd>) -> Result<Worker, StartError> {
        let mut own = own.into_iter();
        let (Some(bell), Some(admin), Some(listener)) = (own.next(), own.next(), own.next()) else {
            return Err(io::Error::other("a thread apart was not given what was passed").into());
        };
        let ends = WorkerEnds {
            stays: apart::Stays::default(),
            listeners: Listeners {
                own: listener,
                neighbours: own.collect(),
            },
            inbox,
            bell,
            admin: admin.into(),
        };
        Ok(Worker::new(self.index, ends, self.settings, self.links)?)
    }
}
