//! How a worker starts: on a thread apart, where its listener, its poll and all that it will own are made.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Sender, bounded};

use crate::engine::StartError;
use crate::os::handoff::Giver;
use crate::os::net::SocketBuffers;
use crate::os::{apart, net};
use crate::reactor::mailbox::{Inbox, Mailbox, mailbox};
use crate::reactor::messages::WorkerMessage;
use crate::reactor::worker::{Worker, WorkerEnds, WorkerLinks, WorkerSettings};
use crate::threads::witnessed;

/// A worker to be started.
pub(crate) struct WorkerStart {
    /// Its number; the first makes sure that no other program has the port.
    pub(crate) index: usize,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What was asked for, for the error.
    pub(crate) asked: SocketAddr,
    /// What the kernel keeps for its connections.
    pub(crate) buffers: SocketBuffers,
    pub(crate) settings: WorkerSettings,
    pub(crate) links: WorkerLinks,
}

/// A worker that runs.
pub(crate) struct Started {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) mailbox: Mailbox<WorkerMessage>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl WorkerStart {
    /// Starts it, with a copy of `admin`; returns once its port is open.
    pub(crate) fn run(self, admin: &Giver, failed: Sender<String>) -> Result<Started, StartError> {
        let name = format!("worker-{}", self.index);
        let (mailbox, inbox) = mailbox()?;
        let (opened, is_open) = bounded(1);
        let thread = apart::spawn(
            Builder::new().name(name.clone()),
            &[mailbox.bell().as_fd(), admin.as_fd()],
            move |own| {
                witnessed(&name, failed, || match self.open(inbox, own) {
                    Ok((worker, address)) => {
                        // Who starts it waits for this.
                        let _ = opened.send(Ok(address));
                        if let Err(error) = worker.run() {
                            panic!("the host's poll failed: {error}");
                        }
                    }
                    Err(error) => drop(opened.send(Err(error))),
                })();
            },
        )?;
        match is_open.recv() {
            Ok(Ok(address)) => Ok(Started {
                thread,
                mailbox,
                address,
            }),
            Ok(Err(error)) => {
                // It has nothing more to do.
                let _ = thread.join();
                Err(error)
            }
            Err(_) => Err(io::Error::other("a worker ended while it was being started").into()),
        }
    }

    fn open(
        self,
        inbox: Inbox<WorkerMessage>,
        own: Vec<OwnedFd>,
    ) -> Result<(Worker, SocketAddr), StartError> {
        let Ok([bell, admin]) = <[OwnedFd; 2]>::try_from(own) else {
            return Err(io::Error::other("a thread apart was not given what was passed").into());
        };
        let listener =
            net::listen(self.address, self.index == 0, self.buffers).map_err(|error| StartError::Listen {
                address: self.asked,
                error,
            })?;
        let address = listener.local_addr()?;
        let ends = WorkerEnds {
            listener,
            inbox,
            bell,
            admin: admin.into(),
        };
        Ok((Worker::new(self.index, ends, self.settings, self.links)?, address))
    }
}
