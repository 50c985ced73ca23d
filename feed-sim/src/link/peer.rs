//! The thread of one connection: the peer's hello, then what its outbox gets, until either side ends the link.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use depthcast_wire::feed_link::{LinkError, LinkMessage, LinkReader};

use super::outbox::{Next, Outbox};
use super::{LinkNews, STOPPED, Shared, end_message};

/// Bytes that may come before the hello is whole: the longest is half a kilobyte.
const HELLO_BYTES_MAX: usize = 4096;

/// How much of what a silent peer did say is repeated.
const EXCERPT_BYTES_MAX: usize = 24;

/// How long a read or a write may block before the thread looks at whether it should end.
const BLOCK_MAX: Duration = Duration::from_millis(100);

/// How often the writer looks at whether the peer is still there.
const LOOK_EVERY_NS: u64 = 500_000_000;

/// How long a peer has to take what was on its way when its link is ended.
const GOODBYE_MAX_NS: u64 = 1_000_000_000;

/// How long a peer has to close after the link's end: a close before that could cost it the reason.
const CLOSE_MAX: Duration = Duration::from_millis(250);

/// Why a peer is not fed.
struct Refusal {
    reason: String,
    /// It speaks the feed link, so it can be told.
    is_told: bool,
}

/// One connection.
pub(super) struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared>,
    /// When the writer first saw that the link is to end.
    ending_since_ns: Option<u64>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, address: SocketAddr, shared: Arc<Shared>) -> Peer {
        Peer {
            stream,
            address,
            shared,
            ending_since_ns: None,
        }
    }

    /// Awaits the hello, joins, and writes until the link ends.
    pub(super) fn run(mut self, joins: &Sender<Arc<Outbox>>) {
        let name = match self.set_up().and_then(|()| self.hello()) {
            Ok(name) => name,
            Err(refusal) => {
                if refusal.is_told {
                    self.say_end(&refusal.reason);
                }
                // One that was only cut short by the exchange's end has done nothing wrong.
                if !self.shared.is_stopped() {
                    self.shared.refuse(self.address, refusal.reason);
                }
                return;
            }
        };
        let outbox = Arc::new(Outbox::new(
            self.address,
            name,
            self.shared.options.queue_bytes_max,
        ));
        if joins.send(outbox.clone()).is_err() {
            outbox.end(STOPPED);
        }
        let lost = self.write_all(&outbox).err();
        let reason = outbox.end_reason().or(lost.clone()).unwrap_or_default();
        // The exchange's thread sees by it that this engine gets no more.
        outbox.end(&reason);
        if lost.is_none() {
            self.say_end(&reason);
        }
        self.tell_end(&outbox, reason);
    }

    fn tell_end(&self, outbox: &Outbox, reason: String) {
        let (peer, name) = (self.address, outbox.name().to_string());
        if outbox.is_admitted() {
            tracing::info!(%peer, name, reason, "an engine is fed no more");
            self.shared.engines.fetch_sub(1, Ordering::Relaxed);
            self.shared.tell(LinkNews::Went { peer, name, reason });
        } else if !self.shared.is_stopped() {
            self.shared.refuse(peer, reason);
        }
    }

    fn set_up(&self) -> Result<(), Refusal> {
        self.stream
            .set_nonblocking(false)
            .and_then(|()| self.stream.set_nodelay(true))
            .and_then(|()| self.stream.set_read_timeout(Some(BLOCK_MAX)))
            .and_then(|()| self.stream.set_write_timeout(Some(BLOCK_MAX)))
            .map_err(|error| refusal(format!("its socket fails: {error}")))
    }

    /// Awaits the peer's first message. Gives what it calls itself.
    fn hello(&mut self) -> Result<String, Refusal> {
        let hello_max = self.shared.options.hello_max;
        let until_ns =
            self.shared.clock.now_ns() + u64::try_from(hello_max.as_nanos()).unwrap_or(u64::MAX / 2);
        let (mut reader, mut said) = (LinkReader::new(), Vec::new());
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(refusal(format!("it closed before its hello{}", after(&said)))),
                Ok(read) => {
                    reader.push(&buffer[..read]);
                    said.extend_from_slice(&buffer[..read]);
                }
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(refusal(format!("it left before its hello: {error}"))),
            }
            match reader.next_message() {
                Ok(Some(LinkMessage::EngineHello { name })) => return Ok(name.escape_debug().to_string()),
                Ok(Some(_)) => {
                    return Err(Refusal {
                        reason: "its first message is no engine's hello".into(),
                        is_told: true,
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(Refusal {
                        reason: error.to_string(),
                        is_told: matches!(error, LinkError::Version { .. }),
                    });
                }
            }
            if said.len() > HELLO_BYTES_MAX {
                return Err(refusal(format!(
                    "its hello is longer than {HELLO_BYTES_MAX} bytes"
                )));
            }
            if self.shared.is_stopped() {
                return Err(Refusal {
                    reason: STOPPED.into(),
                    is_told: true,
                });
            }
            if self.shared.clock.now_ns() >= until_ns {
                return Err(refusal(format!(
                    "it said no hello within {hello_max:?}{}",
                    after(&said)
                )));
            }
        }
    }

    /// Writes what the outbox gets until its end. An error says how the peer was lost.
    fn write_all(&mut self, outbox: &Outbox) -> Result<(), String> {
        let mut looked_ns = self.shared.clock.now_ns();
        loop {
            match outbox.next(BLOCK_MAX) {
                Next::Chunk(chunk) => self.write(&chunk, outbox)?,
                Next::End(_) => return Ok(()),
                // It came too late for the exchange's thread to end it.
                Next::Nothing if self.shared.is_stopped() => outbox.end(STOPPED),
                Next::Nothing => {}
            }
            let now_ns = self.shared.clock.now_ns();
            if now_ns - looked_ns >= LOOK_EVERY_NS {
                looked_ns = now_ns;
                self.look()?;
            }
        }
    }

    /// Writes a chunk, however long the peer takes; but not much longer once its link is to end.
    fn write(&mut self, chunk: &[u8], outbox: &Outbox) -> Result<(), String> {
        let mut rest = chunk;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err("its socket takes nothing".into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(format!("its link broke: {error}")),
            }
            if outbox.end_reason().is_some() {
                let now_ns = self.shared.clock.now_ns();
                let since_ns = *self.ending_since_ns.get_or_insert(now_ns);
                if now_ns - since_ns > GOODBYE_MAX_NS {
                    return Err("it did not read to the end".into());
                }
            }
        }
        Ok(())
    }

    /// Whether the peer is still there: engines say nothing after their hello, so any bytes are too many.
    fn look(&mut self) -> Result<(), String> {
        let mut buffer = [0; 64];
        let socket = |error: io::Error| format!("its socket fails: {error}");
        self.stream.set_nonblocking(true).map_err(socket)?;
        let read = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false).map_err(socket)?;
        match read {
            Ok(0) => Err("it closed the link".into()),
            Ok(_) => Err("it went on after its hello, where an engine only listens".into()),
            Err(error) if is_wait(&error) => Ok(()),
            Err(error) => Err(format!("its link broke: {error}")),
        }
    }

    /// Tells the peer why its link ends, as far as it listens, and closes.
    fn say_end(&mut self, reason: &str) {
        let said = self.stream.write_all(&end_message(reason));
        if said.and_then(|()| self.stream.shutdown(Shutdown::Write)).is_err() {
            return;
        }
        let until_ns =
            self.shared.clock.now_ns() + u64::try_from(CLOSE_MAX.as_nanos()).unwrap_or(u64::MAX / 2);
        let mut buffer = [0; 1024];
        while self.shared.clock.now_ns() < until_ns {
            match self.stream.read(&mut buffer) {
                Ok(read) if read > 0 => {}
                Err(error) if is_wait(&error) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal {
        reason,
        is_told: false,
    }
}

/// What a peer that said no whole hello did say.
fn after(said: &[u8]) -> String {
    if said.is_empty() {
        return String::new();
    }
    let excerpt = said[..said.len().min(EXCERPT_BYTES_MAX)].escape_ascii();
    format!(", after {} bytes that begin with \"{excerpt}\"", said.len())
}

/// Whether an error only says that there is nothing to do now.
fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
