//! One connection of a feed link: from the greeting to whatever ends it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use depthcast_market::instrument::Instrument;
use depthcast_wire::feed_link::{self, LinkMessage, LinkReader, LinkSession, LinkStep};

use crate::os::clock::Clock;

/// How long an exchange has to accept.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long an exchange has to announce itself with all its symbols, however it spreads its bytes.
const ANNOUNCE_MAX: Duration = Duration::from_secs(5);

/// How long the announcement is waited for before a look at whether to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Heartbeats that may stay out before the link is given up: one late one is no loss.
const HEARTBEATS_MISSED_MAX: u32 = 4;

/// The shortest silence that ends a link, whatever heartbeats the exchange promises: a busy host is late now and then.
const SILENCE_MIN: Duration = Duration::from_secs(2);

/// The longest one, should an exchange promise none for days.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes read at a time: a busy exchange's few milliseconds.
const READ_BYTES: usize = 128 * 1024;

/// What an exchange says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The number of its history.
    pub(super) epoch: u64,
    /// Its symbols, each with how often its depth events come, milliseconds.
    pub(super) symbols: Vec<(Instrument, u32)>,
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    /// The exchange is not there, or not any more: it may come back.
    #[error("{reason}")]
    Away {
        /// What happened, and with which address.
        reason: String,
    },
    /// What is there is no exchange that we understand.
    #[error("{reason}")]
    Refused {
        /// What is wrong.
        reason: String,
    },
}

/// A link that was greeted and has announced its exchange.
#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    stream: TcpStream,
    reader: LinkReader,
    session: LinkSession,
    announcement: Announcement,
    /// After this long without a word it is lost.
    silence_max: Duration,
    clock: Clock,
    /// When it last said something: a whole message; while the books are given any bytes will do.
    heard_ns: u64,
    is_ready: bool,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Connects, greets, and waits for the announcement, unless `stop` is set meanwhile.
    pub(super) fn open(address: &str, stop: &AtomicBool) -> Result<Connection, Lost> {
        let stream = connect(address)?;
        let mut connection = Connection {
            address: address.into(),
            stream,
            reader: LinkReader::new(),
            session: LinkSession::new(),
            announcement: Announcement {
                epoch: 0,
                symbols: Vec::new(),
            },
            silence_max: ANNOUNCE_MAX,
            clock: Clock::start(),
            heard_ns: 0,
            is_ready: false,
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
        };
        connection.greet(stop)?;
        Ok(connection)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// The number of the exchange's history.
    pub(super) fn epoch(&self) -> u64 {
        self.announcement.epoch
    }

    /// Waits up to `wait` for bytes, and appends what they say to `steps`. What was said before an error counts.
    pub(super) fn receive(&mut self, wait: Duration, steps: &mut VecDeque<LinkStep>) -> Result<(), Lost> {
        self.take_steps(steps)?;
        if !steps.is_empty() {
            return Ok(());
        }
        let has_bytes = self.fill(wait)?;
        self.take_steps(steps)?;
        if !steps.is_empty() || (has_bytes && !self.is_ready) {
            self.heard_ns = self.clock.now_ns();
        }
        self.check_silence()
    }

    fn take_steps(&mut self, steps: &mut VecDeque<LinkStep>) -> Result<(), Lost> {
        while let Some(step) = self.next_step()? {
            self.is_ready |= step == LinkStep::Ready;
            steps.push_back(step);
        }
        Ok(())
    }

    /// Ends the link.
    pub(super) fn close(&self) {
        // The exchange sees the end either way.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn greet(&mut self, stop: &AtomicBool) -> Result<(), Lost> {
        let mut hello = Vec::new();
        let name = concat!("depthcast ", env!("CARGO_PKG_VERSION")).to_string();
        feed_link::encode(&LinkMessage::EngineHello { name }, &mut hello).expect("a short name fits");
        self.stream
            .write_all(&hello)
            .map_err(|error| self.away(&error.to_string()))?;
        loop {
            match self.next_step()? {
                Some(LinkStep::Announced {
                    epoch,
                    heartbeat_ms,
                    symbols,
                    ..
                }) => {
                    self.announcement = Announcement { epoch, symbols };
                    self.heard_ns = self.clock.now_ns();
                    let promised = Duration::from_millis(heartbeat_ms.into()) * HEARTBEATS_MISSED_MAX;
                    self.silence_max = promised.clamp(SILENCE_MIN, SILENCE_MAX);
                    return Ok(());
                }
                Some(LinkStep::Ended { reason }) => {
                    return Err(Lost::Refused {
                        reason: format!("tcp://{}: the exchange refuses: {reason}", self.address),
                    });
                }
                Some(step) => {
                    return Err(Lost::Refused {
                        reason: format!(
                            "tcp://{}: the exchange did not announce itself, but said {step:?}",
                            self.address
                        ),
                    });
                }
                None if stop.load(Ordering::Relaxed) => return Err(self.away("the engine ends")),
                None if self.clock.now_ns() > ANNOUNCE_MAX.as_nanos() as u64 => {
                    let seconds = ANNOUNCE_MAX.as_secs();
                    return Err(self.away(&format!("the exchange did not announce itself in {seconds} s")));
                }
                None => {
                    self.fill(PATIENCE)?;
                }
            }
        }
    }

    fn next_step(&mut self) -> Result<Option<LinkStep>, Lost> {
        loop {
            if let Some(step) = self.session.next_step() {
                return Ok(Some(step));
            }
            let Some(message) = self.reader.next_message().map_err(|error| self.refused(&error))? else {
                return Ok(None);
            };
            let step = self.session.on_message(message);
            if let Some(step) = step.map_err(|error| self.refused(&error))? {
                return Ok(Some(step));
            }
        }
    }

    /// Waits up to `wait` for bytes. False when there were none.
    fn fill(&mut self, wait: Duration) -> Result<bool, Lost> {
        let set = self.stream.set_read_timeout(Some(wait));
        match set.and_then(|()| self.stream.read(&mut self.buffer)) {
            Ok(0) => Err(self.away("the exchange closed the link")),
            Ok(read) => {
                self.reader.push(&self.buffer[..read]);
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.away(&error.to_string())),
        }
    }

    fn check_silence(&self) -> Result<(), Lost> {
        let silent = Duration::from_nanos(self.clock.now_ns().saturating_sub(self.heard_ns));
        if silent < self.silence_max {
            return Ok(());
        }
        Err(self.away(&format!("nothing came for {:.1} s", silent.as_secs_f64())))
    }

    fn refused(&self, error: &dyn std::error::Error) -> Lost {
        let after = match self.session.sequence() {
            Some(sequence) => format!(" (after event {sequence})"),
            None => String::new(),
        };
        Lost::Refused {
            reason: format!("tcp://{}: {error}{after}", self.address),
        }
    }

    fn away(&self, what: &str) -> Lost {
        Lost::Away {
            reason: format!("tcp://{}: {what}", self.address),
        }
    }
}

fn connect(address: &str) -> Result<TcpStream, Lost> {
    let away = |what: String| Lost::Away {
        reason: format!("tcp://{address}: {what}"),
    };
    let resolved = address
        .to_socket_addrs()
        .map_err(|error| away(error.to_string()))?;
    let mut last = "the name has no address".to_string();
    for address in resolved {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(stream) => {
                // Only a failed socket refuses, which the next read tells.
                let _ = stream.set_nodelay(true);
                let _ = stream.set_write_timeout(Some(CONNECT_MAX));
                return Ok(stream);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(away(last))
}
