//! The server as a whole: its listener, its threads, and their end.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use depthcast_market::instrument::Instrument;

use super::outbox::Outbox;
use super::peer::Peer;
use super::trading::Trading;
use super::{LinkCounters, LinkNews, LinkServerError, LinkServerOptions, Shared};
use crate::os::Clock;
use crate::sim::Exchange;

/// Connections beyond those of engines: peers that have not said their hello, and engines that are just ending.
const OTHERS_MAX: usize = 64;

/// News kept for whoever reads them; what comes while it is full is dropped.
const NEWS_MAX: usize = 256;

/// How long the acceptor sleeps where nobody connects: an engine that connects waits this long at most.
const ACCEPT_EVERY: Duration = Duration::from_millis(10);

/// How long it sleeps after the host refused a connection, for want of descriptors for instance.
const REFUSED_SLEEP: Duration = Duration::from_millis(250);

/// A simulated exchange that feeds engines. Dropping it stops it.
#[derive(Debug)]
pub struct LinkServer {
    address: SocketAddr,
    symbols: Vec<Arc<Instrument>>,
    shared: Arc<Shared>,
    news: Receiver<LinkNews>,
    failure: Receiver<String>,
    threads: Vec<JoinHandle<()>>,
}

impl LinkServer {
    /// Listens, opens the exchange and starts to trade.
    pub fn start(options: LinkServerOptions) -> Result<LinkServer, LinkServerError> {
        let listen_error = |source| LinkServerError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let exchange = Exchange::new(&options.sim);
        let listings = exchange.listings().iter();
        let symbols = listings.map(|listing| listing.instrument.clone()).collect();
        let (news_sender, news) = bounded(NEWS_MAX);
        let (failure_sender, failure) = bounded(1);
        // Each connection joins once, so this never is full.
        let (joins_sender, joins) = bounded(options.engines_max.saturating_add(OTHERS_MAX));
        let shared = Arc::new(Shared {
            options,
            clock: Clock::start(),
            is_stopped: AtomicBool::new(false),
            engines: AtomicUsize::new(0),
            events: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            news: news_sender,
        });
        let mut server = LinkServer {
            address,
            symbols,
            shared: shared.clone(),
            news,
            failure,
            threads: Vec::new(),
        };
        let trading = Trading::new(exchange, shared.clone(), joins);
        server.spawn("exchange", move || {
            let failure = Failure(failure_sender);
            trading.run(&failure.0);
        })?;
        server.spawn("accept", move || accept(&listener, &shared, &joins_sender))?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the exchange lists.
    pub fn symbols(&self) -> &[Arc<Instrument>] {
        &self.symbols
    }

    /// What was counted so far.
    pub fn counters(&self) -> LinkCounters {
        LinkCounters {
            engines: self.shared.engines.load(Ordering::Relaxed),
            events: self.shared.events.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Engines that come and go, and refused peers. News that nobody takes are dropped once 256 wait.
    pub fn news(&self) -> &Receiver<LinkNews> {
        &self.news
    }

    /// Gets why the exchange cannot go on, should that ever be; it is a bug then.
    pub fn failure(&self) -> &Receiver<String> {
        &self.failure
    }

    /// Tells every engine that the exchange ends, and waits until its threads have ended: 2 seconds at most where an
    /// engine does not read.
    pub fn stop(mut self) {
        self.end();
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), LinkServerError> {
        let thread = Builder::new().name(name.into()).spawn(body);
        self.threads.push(thread.map_err(LinkServerError::Thread)?);
        Ok(())
    }

    fn end(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // One that failed has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says so when the exchange's thread panics.
struct Failure(Sender<String>);

impl Drop for Failure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // One failure is all there can be.
            let _ = self.0.try_send("its thread failed".into());
        }
    }
}

/// Takes connections, each to a thread of its own, until told to stop; then waits for those threads.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, joins: &Sender<Arc<Outbox>>) {
    let connections_max = shared.options.engines_max.saturating_add(OTHERS_MAX);
    let mut connections: Vec<JoinHandle<()>> = Vec::new();
    while !shared.is_stopped() {
        match listener.accept() {
            Ok((stream, peer)) => {
                connections.retain(|connection| !connection.is_finished());
                if connections.len() >= connections_max {
                    shared.refuse(peer, format!("there are {connections_max} connections already"));
                    continue;
                }
                match serve(stream, peer, shared, joins) {
                    Ok(connection) => connections.push(connection),
                    Err(error) => shared.refuse(peer, format!("the host refuses a thread: {error}")),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(ACCEPT_EVERY),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                std::thread::sleep(REFUSED_SLEEP);
            }
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(
    stream: TcpStream,
    address: SocketAddr,
    shared: &Arc<Shared>,
    joins: &Sender<Arc<Outbox>>,
) -> std::io::Result<JoinHandle<()>> {
    let (peer, joins) = (Peer::new(stream, address, shared.clone()), joins.clone());
    Builder::new()
        .name(format!("link {address}"))
        .spawn(move || peer.run(&joins))
}
