//! An engine as far as the tests need one: the link over a real socket, and what it has said so far.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use depthcast_feed_sim::link::{LinkNews, LinkServer, LinkServerOptions};
use depthcast_feed_sim::sim::SimOptions;
use depthcast_market::book::{Book, BookLimits};
use depthcast_market::event::{BookSnapshot, MarketEvent};
use depthcast_wire::feed_link::{self, LinkMessage, LinkReader, LinkSession, LinkStep};

/// Nothing here takes long; a machine that needs this is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn options(symbols: u32, rate: u32) -> LinkServerOptions {
    let sim = SimOptions {
        symbols,
        rate: rate..=rate,
        seed: 7,
    };
    LinkServerOptions::new("127.0.0.1:0".parse().unwrap(), sim, 42)
}

/// Waits for news that `found` takes; panics where none comes.
pub(crate) fn news(server: &LinkServer, found: impl Fn(&LinkNews) -> bool) -> LinkNews {
    let until = Instant::now() + PATIENCE;
    loop {
        let news = server
            .news()
            .recv_deadline(until)
            .expect("the news that is awaited");
        if found(&news) {
            return news;
        }
    }
}

/// Waits for the next refusal, and gives its reason.
pub(crate) fn refusal(server: &LinkServer) -> String {
    match news(server, |news| matches!(news, LinkNews::Refused { .. })) {
        LinkNews::Refused { reason, .. } => reason,
        other => unreachable!("{other:?}"),
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn hello(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    feed_link::encode(&LinkMessage::EngineHello { name: name.into() }, &mut bytes).unwrap();
    bytes
}

/// Whatever comes until the server closes.
pub(crate) fn to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // A peer that had said more than was read is closed hard.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server did not close: {error}"),
    }
    bytes
}

/// The reason of the only message in these bytes.
pub(crate) fn only_end(bytes: &[u8]) -> String {
    let mut reader = LinkReader::new();
    reader.push(bytes);
    match reader.next_message() {
        Ok(Some(LinkMessage::End { reason })) => reason,
        other => panic!("{other:?} is no end"),
    }
}

/// An engine that follows.
pub(crate) struct Engine {
    stream: TcpStream,
    reader: LinkReader,
    session: LinkSession,
    /// Bytes that came.
    pub(crate) received: usize,
}

impl Engine {
    /// Connects and says hello.
    pub(crate) fn connect(address: SocketAddr, name: &str) -> Engine {
        let mut stream = connect(address);
        stream.write_all(&hello(name)).expect("the server reads");
        Engine {
            stream,
            reader: LinkReader::new(),
            session: LinkSession::new(),
            received: 0,
        }
    }

    /// The next step; the session checks orders and that sequences have no gap.
    pub(crate) fn step(&mut self) -> LinkStep {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(step) = self.session.next_step() {
                return step;
            }
            if let Some(message) = self.reader.next_message().expect("messages of the link") {
                if let Some(step) = self.session.on_message(message).expect("messages in order") {
                    return step;
                }
                continue;
            }
            let read = self.stream.read(&mut buffer).expect("the server goes on");
            assert!(read > 0, "the server closed without a word");
            self.received += read;
            self.reader.push(&buffer[..read]);
        }
    }

    /// Follows until all books are known.
    pub(crate) fn follow(self) -> Follower {
        let mut follower = Follower {
            engine: self,
            epoch: 0,
            names: Vec::new(),
            books: Vec::new(),
            events: Vec::new(),
        };
        loop {
            match follower.engine.step() {
                LinkStep::Announced { epoch, symbols, .. } => {
                    follower.epoch = epoch;
                    let names = symbols
                        .iter()
                        .map(|(instrument, _)| instrument.name().to_string());
                    follower.names = names.collect();
                }
                LinkStep::Book { snapshot, .. } => {
                    let mut book = Book::new(BookLimits::default());
                    book.load(&snapshot).expect("a book that holds");
                    follower.books.push(book);
                }
                LinkStep::Ready => return follower,
                other => panic!("{other:?} before the books were there"),
            }
        }
    }
}

/// An engine with its books, and every event since they came.
pub(crate) struct Follower {
    pub(crate) engine: Engine,
    pub(crate) epoch: u64,
    pub(crate) names: Vec<String>,
    books: Vec<Book>,
    /// Sequence, time, symbol and event.
    pub(crate) events: Vec<(u64, i64, u32, MarketEvent)>,
}

impl Follower {
    /// Takes the next event.
    pub(crate) fn next_event(&mut self) {
        loop {
            match self.engine.step() {
                LinkStep::Event {
                    symbol,
                    sequence,
                    time_us,
                    event,
                } => {
                    if let MarketEvent::Depth(update) = &event {
                        let book = &mut self.books[symbol as usize];
                        book.apply(update).expect("an update that fits the book");
                    }
                    self.events.push((sequence, time_us, symbol, event));
                    return;
                }
                LinkStep::Heartbeat { .. } => {}
                other => panic!("{other:?} among the events"),
            }
        }
    }

    /// Takes events up to the one of this sequence.
    pub(crate) fn follow_to(&mut self, sequence: u64) {
        while self.sequence() < sequence {
            self.next_event();
        }
        assert_eq!(self.sequence(), sequence);
    }

    /// Of the last event; 0 before the first.
    pub(crate) fn sequence(&self) -> u64 {
        self.events.last().map_or(0, |(sequence, ..)| *sequence)
    }

    /// Every book as it is now.
    pub(crate) fn snapshots(&self) -> Vec<BookSnapshot> {
        let snapshot = |book: &Book| {
            let mut snapshot = BookSnapshot::default();
            book.snapshot(usize::MAX, &mut snapshot);
            snapshot
        };
        self.books.iter().map(snapshot).collect()
    }

    /// Follows to the end of the link, and gives its reason.
    pub(crate) fn follow_to_end(mut self) -> String {
        loop {
            if let LinkStep::Ended { reason } = self.engine.step() {
                return reason;
            }
        }
    }
}
