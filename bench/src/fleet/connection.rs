//! One connection of a fleet: how its socket is opened, the upgrade, and what is done with what comes.

mod asking;
mod slow;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use depthcast_wire::http::{HandshakeError, parse_response, write_request};
use depthcast_wire::ws::{Opcode, write_close, write_frame};
use mio::event::Event;
use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::books::{BookTools, Books};
use super::counts::{Asked, Counts, MASKING_KEY, Plain, Timed};
use super::order::Format;
use super::plan::Duty;
use super::scan::{CLOSE_WITHOUT_CODE, Scanner};
use super::sequence::Sequence;
use super::watch::{Watch, Watching};
use crate::clock::monotonic_ns;

/// The key of every upgrade, that of RFC 6455 section 1.3: a fleet has no caches to outwit.
const UPGRADE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Bytes of one read: more than a socket holds in most runs, so that one read empties it.
pub const READ_BYTES: usize = 256 * 1024;

/// Reads of one connection before others have their turn: what is left is read in the next round.
const READS_PER_TURN_MAX: u32 = 4;

/// What a connection that is never to catch up reads until its answer is there: the answer, and little more of what follows.
const STALLED_READ_BYTES: usize = 512;

/// Bytes that wait for a socket to take them: the longest request (1,024 names), or the answers to pings. A server that
/// sends pings and takes no pongs is given up at this.
const OUTBOX_BYTES_MAX: usize = 64 * 1024;

/// What the connections of a process share.
pub struct Tools {
    /// Which format frames are in.
    pub format: Format,
    /// The counts.
    pub counts: Counts,
    /// Where every read goes: READ_BYTES.
    buffer: Vec<u8>,
    asked: Asked,
    /// What books share.
    pub books: BookTools,
    /// What the watches of connections come to, where there are any.
    pub watching: Option<Box<Watching>>,
}

impl Tools {
    /// For connections of this format.
    pub fn new(format: Format) -> Tools {
        Tools {
            format,
            counts: Counts::default(),
            buffer: vec![0; READ_BYTES],
            asked: Asked::default(),
            books: BookTools::default(),
            watching: None,
        }
    }
}

/// What one turn did to a connection.
#[derive(Debug)]
pub enum Turn {
    /// Nothing that others need to know.
    Nothing,
    /// It waits for the next event, and has just been opened.
    Opened,
    /// As `Nothing`, or as `Opened` where it says so; but there is more to read.
    More {
        /// Whether it has just been opened.
        opened: bool,
    },
    /// It did not open.
    Failed(OpenFault),
    /// It was open and is no more.
    Closed,
}

/// Why a connection did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// No socket, or no connection.
    #[error("{0}")]
    Connect(io::Error),
    /// The server's answer opens no WebSocket.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// The connection ended instead of an answer.
    #[error("the server closed the connection instead of answering")]
    Ended,
    /// It ended with an error instead of an answer.
    #[error("instead of an answer: {0}")]
    Broken(io::Error),
    /// No answer in time.
    #[error("no answer within {0} s")]
    Late(u64),
}

/// One connection.
pub struct Connection {
    number: u32,
    /// None before it is opened and after its end.
    socket: Option<TcpStream>,
    phase: Phase,
    scanner: Scanner,
    sequence: Sequence,
    duty: Duty,
    books: Option<Box<Books>>,
    /// What is looked for in its one stream.
    watch: Option<Box<Watch>>,
    /// What the socket has not taken, at most OUTBOX_BYTES_MAX; empty nearly always.
    outbox: Vec<u8>,
    /// The server has said that nothing more will come: what is there is read to its end.
    is_ending: bool,
    /// Nothing is read just now.
    is_paused: bool,
}

#[derive(Debug)]
enum Phase {
    /// Connecting.
    Connect,
    /// The request is out; what has come of the answer.
    Upgrade(Vec<u8>),
    Open,
    Ended,
}

/// What came of the answer to an upgrade.
enum Answer {
    /// Not all of it has come.
    Missing,
    /// It is there, and all that had come was read.
    Short,
    /// It is there, and more may be.
    Long,
}

impl Connection {
    /// Begins to connect connection `number` to `server` from `source` and prepares the request for `target`.
    pub fn open(
        number: u32,
        (source, server): (IpAddr, SocketAddr),
        (target, streams): (&str, &[&str]),
        (duty, stalled_receive_buffer): (Duty, usize),
        format: Format,
    ) -> Result<Connection, OpenFault> {
        let receive_buffer = duty.is_slow().then_some(stalled_receive_buffer);
        let socket = connect(source, server, receive_buffer).map_err(OpenFault::Connect)?;
        let mut outbox = Vec::new();
        write_request(&mut outbox, &server.to_string(), target, UPGRADE_KEY, &[]);
        Ok(Connection {
            number,
            socket: Some(socket),
            phase: Phase::Connect,
            scanner: Scanner::default(),
            sequence: Sequence::new(streams.len()),
            duty,
            books: match duty {
                Duty::Books => Some(Box::new(Books::new(format, streams))),
                Duty::Pause if format != Format::Bench => {
                    Some(Box::new(Books::of_slow_reader(format, streams)))
                }
                _ => None,
            },
            watch: None,
            outbox,
            is_ending: false,
            is_paused: false,
        })
    }

    /// Its socket, to register it.
    pub fn socket(&mut self) -> Option<&mut TcpStream> {
        self.socket.as_mut()
    }

    /// Whether it is on its way to be opened.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Connect | Phase::Upgrade(_))
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether it is open and has this duty.
    pub fn is_on(&self, duty: Duty) -> bool {
        self.is_open() && self.duty == duty
    }

    /// The books that it keeps.
    pub fn books(&self) -> Option<&Books> {
        self.books.as_deref().filter(|_| self.is_open())
    }

    /// Gives it up.
    pub fn abandon(&mut self) {
        self.phase = Phase::Ended;
        self.socket = None;
        self.books = None;
        self.outbox = Vec::new();
    }

    /// Does what the event is about.
    pub fn on_event(&mut self, event: &Event, tools: &mut Tools) -> Turn {
        self.is_ending |= event.is_read_closed() || event.is_error();
        match self.phase {
            Phase::Ended => return Turn::Nothing,
            Phase::Connect => match self.check_connected() {
                Ok(true) => self.phase = Phase::Upgrade(Vec::new()),
                Ok(false) => return Turn::Nothing,
                Err(error) => return self.fail(OpenFault::Connect(error)),
            },
            Phase::Upgrade(_) | Phase::Open => {}
        }
        if !self.outbox.is_empty()
            && event.is_writable()
            && let Err(error) = self.flush(&mut tools.counts)
        {
            return self.broken(error, tools);
        }
        self.turn(tools)
    }

    /// Reads what there is, up to a bound.
    pub fn turn(&mut self, tools: &mut Tools) -> Turn {
        let answer = match self.phase {
            Phase::Upgrade(_) => self.read_answer(tools),
            _ => return self.turn_open(tools),
        };
        // That it was open counts, also where it is no more by the end of the turn: the counts tell why.
        match answer {
            Ok(Answer::Missing) => Turn::Nothing,
            Ok(Answer::Short) if !self.is_ending => Turn::Opened,
            Ok(Answer::Short | Answer::Long) => match self.turn_open(tools) {
                Turn::More { .. } => Turn::More { opened: true },
                _ => Turn::Opened,
            },
            Err(fault) => self.fail(fault),
        }
    }

    fn turn_open(&mut self, tools: &mut Tools) -> Turn {
        if !self.is_open() {
            return Turn::Nothing;
        }
        if self.duty.is_doomed() {
            if !self.is_ending {
                return Turn::Nothing;
            }
            self.drain_doomed(tools);
            return Turn::Closed;
        }
        if self.is_paused && !self.is_ending {
            return Turn::Nothing;
        }
        match self.read(tools) {
            Ok(true) => Turn::More { opened: false },
            Ok(false) if self.is_open() => Turn::Nothing,
            Ok(false) => Turn::Closed,
            Err(error) => self.broken(error, tools),
        }
    }

    /// Whether the connection stands.
    fn check_connected(&self) -> io::Result<bool> {
        let Some(socket) = &self.socket else {
            return Ok(false);
        };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the answer to the upgrade and takes the frames behind it.
    fn read_answer(&mut self, tools: &mut Tools) -> Result<Answer, OpenFault> {
        let room = match self.duty {
            Duty::Stall | Duty::OneByte => STALLED_READ_BYTES,
            Duty::Read | Duty::Books | Duty::Pause => READ_BYTES,
        };
        loop {
            let Some(socket) = &mut self.socket else {
                return Ok(Answer::Missing);
            };
            let read = match socket.read(&mut tools.buffer[..room]) {
                Ok(0) => return Err(OpenFault::Ended),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Answer::Missing),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(OpenFault::Broken(error)),
            };
            let received_ns = monotonic_ns();
            let Phase::Upgrade(head) = &mut self.phase else {
                return Ok(Answer::Missing);
            };
            head.extend_from_slice(&tools.buffer[..read]);
            let Some(answer) = parse_response(head, UPGRADE_KEY)? else {
                continue;
            };
            let head_len = answer.head_len;
            if let (Some(watch), Some(watching)) = (&mut self.watch, &mut tools.watching) {
                watch.opened(asking::epoch(&answer.headers), received_ns, watching);
            }
            let frames = head.split_off(head_len);
            self.phase = Phase::Open;
            if !frames.is_empty() {
                tools.counts.reads += 1;
                self.take(&frames, received_ns, tools);
            }
            return Ok(if read < room { Answer::Short } else { Answer::Long });
        }
    }

    /// Reads until a read is short, which with edge-triggered events means that the next bytes come with an event of their
    /// own. Tells whether there is more than one turn reads.
    fn read(&mut self, tools: &mut Tools) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN_MAX {
            let Some(socket) = &mut self.socket else {
                return Ok(false);
            };
            let mut buffer = std::mem::take(&mut tools.buffer);
            let outcome = socket.read(&mut buffer);
            if let Ok(read @ 1..) = outcome {
                let received_ns = monotonic_ns();
                tools.counts.reads += 1;
                self.take(&buffer[..read], received_ns, tools);
            }
            tools.buffer = buffer;
            match outcome {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) if read < READ_BYTES && !self.is_ending => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes bytes of frames: counts and checks them, answers what asks for it, ends where they end the connection.
    fn take(&mut self, bytes: &[u8], received_ns: u64, tools: &mut Tools) {
        let counts = &mut tools.counts;
        let asked = &mut tools.asked;
        let scanned = match tools.format {
            _ if self.duty.is_slow() => self.scan_slow(bytes, tools.format, counts, asked),
            Format::Bench => {
                counts.bytes += bytes.len() as u64;
                let mut sink = Timed::new(counts, asked, &mut self.sequence, self.number, received_ns);
                self.scanner.scan(bytes, &mut sink)
            }
            Format::Json | Format::Sbe => {
                counts.bytes += bytes.len() as u64;
                let mut sink = Plain { frames: 0, asked };
                let scanned = self.scanner.scan(bytes, &mut sink);
                counts.frames += sink.frames;
                scanned
            }
        };
        if let Some(books) = &mut self.books {
            let news = books.take(bytes, &mut tools.books);
            counts.book_events += news.events;
            counts.book_gaps += news.gaps;
            if let Some(fault) = news.first_fault {
                counts.fault(self.number, &fault);
            }
        }
        if let (Some(watch), Some(watching)) = (&mut self.watch, &mut tools.watching)
            && let Some(fault) = watch.take(bytes, received_ns, watching)
        {
            counts.fault(self.number, &fault);
        }
        if let Err(fault) = scanned {
            counts.malformed += 1;
            counts.fault(self.number, &fault);
            self.say_goodbye(fault.close_code(), tools);
        } else if let Some(code) = tools.asked.close.take() {
            tools.counts.close(code, self.duty);
            if !self.duty.is_doomed() {
                let what = format!("closed by the server with {code}");
                tools.counts.fault(self.number, &what);
            }
            self.say_goodbye(code, tools);
        } else if !tools.asked.replies.is_empty() {
            self.answer_pings(tools);
        }
        tools.asked.replies.clear();
        tools.asked.pings = 0;
        tools.asked.close = None;
    }

    fn answer_pings(&mut self, tools: &mut Tools) {
        let Tools { counts, asked, .. } = tools;
        counts.pings += asked.pings;
        self.outbox.extend_from_slice(&asked.replies);
        let sent = self.flush(counts);
        let reason = match sent {
            Ok(()) if self.outbox.len() <= OUTBOX_BYTES_MAX => return,
            Ok(()) => "the server sends pings and takes no pongs".to_string(),
            Err(error) => error.to_string(),
        };
        counts.fault(self.number, &reason);
        counts.close(0, self.duty);
        self.abandon();
    }

    /// Sends a Close, as far as the socket takes it at once, and closes.
    fn say_goodbye(&mut self, code: u16, tools: &mut Tools) {
        match code {
            CLOSE_WITHOUT_CODE => write_frame(&mut self.outbox, Opcode::Close, &[], Some(MASKING_KEY)),
            _ => write_close(&mut self.outbox, code, "", Some(MASKING_KEY)),
        }
        // A server that has closed its end already need not hear it.
        let _ = self.flush(&mut tools.counts);
        self.abandon();
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&mut self, counts: &mut Counts) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        while !self.outbox.is_empty() {
            match socket.write(&self.outbox) {
                Ok(sent) => {
                    counts.sends += 1;
                    self.outbox.drain(..sent);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Most send once in a run.
        self.outbox = Vec::new();
        Ok(())
    }

    fn fail(&mut self, fault: OpenFault) -> Turn {
        self.abandon();
        Turn::Failed(fault)
    }

    /// The socket failed or ended without a Close.
    fn broken(&mut self, error: io::Error, tools: &mut Tools) -> Turn {
        if self.is_opening() {
            return self.fail(OpenFault::Broken(error));
        }
        if self.is_open() {
            tools.counts.close(0, self.duty);
            let what = match error.kind() {
                ErrorKind::UnexpectedEof => "ended by the server without a Close".to_string(),
                _ => format!("ended without a Close: {error}"),
            };
            tools.counts.fault(self.number, &what);
        }
        self.abandon();
        Turn::Closed
    }
}

/// Begins to connect. The source's port is chosen with the connection, not before, so that many connections share one
/// (`IP_BIND_ADDRESS_NO_PORT`).
fn connect(source: IpAddr, server: SocketAddr, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    // A server elsewhere than in 127/8 is reached from one address, and by as many connections as that has ports.
    if server.ip().is_loopback() && server.is_ipv4() {
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&server.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
