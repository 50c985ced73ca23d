//! The admin thread: plain HTTP on the same port, for connections that a worker found to be no subscribers. A library
//! speaks HTTP here; what it answers comes from the market thread.

mod answer;
mod asking;
mod cache;
mod errors;
mod flights;
mod http;
mod parameters;
mod rest;
mod returned;
mod rewind;
mod routes;
#[cfg(test)]
mod scripted;
mod targets;
#[cfg(test)]
mod tests;
pub mod weights;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Connection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::rest::Rest;
use self::returned::Subscriber;
use self::rewind::Rewind;
use self::weights::WeightLimits;
use crate::os::clock::wall_us;
use crate::os::cpu;
use crate::os::handoff::{HEAD_BYTES_MAX, Taken, Taker};
use crate::reactor::messages::MarketRequest;

/// Descriptors that the table of all threads but the workers needs beside one for each worker's bell: feeds, signals, the
/// runtime, the log.
const TABLE_OWN: u64 = 40;

/// Plain HTTP connections served at a time, where the table has so much room; those beyond wait on their way here, of which the kernel has room for some
/// hundred, and those beyond that get a 503.
const CONNECTIONS_MAX: usize = 256;

/// How long a kept-alive connection may take for its next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one connection may live; clients that keep alive reconnect.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// What a connection is given beyond its life to end behind the answer that it is being given.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// How much less urgent this thread is than workers: a tenth of their weight, so that a storm of requests waits for them where
/// they share a core.
const NICER: i32 = 10;

/// How often a full admin thread looks whether the engine is ending: those who are served may stay for [`LIFE_MAX`].
const END_CHECK: Duration = Duration::from_millis(100);

/// Bytes of a request that are buffered at most; no request here has a body that is read.
const BUFFER_BYTES_MAX: usize = 80 * 1024;

/// How many connections are served at a time where a table holds `limit` descriptors (None: any number) and there are so many
/// workers.
pub fn places(limit: Option<u64>, workers: usize) -> usize {
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(TABLE_OWN + workers as u64));
    usize::try_from(room)
        .unwrap_or(usize::MAX)
        .clamp(1, CONNECTIONS_MAX)
}

/// Serves what arrives on `connections`, up to `places` at a time, until every worker is gone. To be run on a thread of its
/// own.
pub fn run(
    connections: Taker,
    market: Sender<MarketRequest>,
    places: usize,
    limits: WeightLimits,
) -> io::Result<()> {
    if !cpu::be_less_urgent(NICER) {
        tracing::info!("the host does not let the admin thread be less urgent than the workers");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let connections = Arc::new(connections.watched()?);
        let rest = Arc::new(Rest::new(market, limits));
        let places = Arc::new(Semaphore::new(places));
        let mut head = vec![0; HEAD_BYTES_MAX];
        while let Some(place) = place(&places, &connections).await {
            let (socket, bytes) = match next(&connections, &mut head).await? {
                Taken::Socket(socket, bytes) => (std::net::TcpStream::from(socket), bytes),
                Taken::Lost => {
                    tracing::warn!("a request was lost: this process has no descriptor left for it");
                    continue;
                }
                Taken::Ended => break,
            };
            let (head, rest, ways) = (head[..bytes].to_vec(), rest.clone(), connections.clone());
            tokio::spawn(async move {
                if let Err(error) = serve(head, socket, rest, &ways).await {
                    tracing::debug!(%error, "an HTTP connection failed");
                }
                drop(place);
            });
        }
        Ok(())
    })
}

/// Waits for a connection; `head` takes what was read from it.
async fn next(connections: &AsyncFd<Taker>, head: &mut [u8]) -> io::Result<Taken> {
    connections
        .async_io(Interest::READABLE, |way| way.take(head))
        .await
}

/// A place for one more connection; None when every worker has gone while all places were taken.
async fn place(places: &Arc<Semaphore>, connections: &AsyncFd<Taker>) -> Option<OwnedSemaphorePermit> {
    loop {
        let free = places.clone().acquire_owned();
        match tokio::time::timeout(END_CHECK, free).await {
            Ok(place) => return place.ok(),
            Err(_) if connections.get_ref().is_over() => return None,
            Err(_) => {}
        }
    }
}

async fn serve(
    head: Vec<u8>,
    socket: std::net::TcpStream,
    rest: Arc<Rest>,
    workers: &AsyncFd<Taker>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let peer = socket.peer_addr()?.ip();
    let stream = Rewind::new(head, TcpStream::from_std(socket)?);
    let subscriber = Arc::new(Subscriber::default());
    let awaited = subscriber.clone();
    let service = service_fn(move |request| {
        let (rest, subscriber) = (rest.clone(), subscriber.clone());
        async move {
            if returned::is_subscribers(&request) {
                match subscriber.came(&request).await {}
            }
            Ok::<_, Infallible>(rest.answer(&request, peer, wall_us()).await)
        }
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        // A client may end its direction behind its request and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let came = {
        let mut served = pin!(to_the_end(&mut serving));
        let mut came = pin!(awaited.head());
        poll_fn(|context| match served.as_mut().poll(context) {
            Poll::Ready(served) => Poll::Ready(Err(served)),
            Poll::Pending => came.as_mut().poll(context).map(Ok),
        })
        .await
    };
    let head = match came {
        Ok(head) => head,
        Err(served) => return Ok(served?),
    };
    let parts = serving.into_parts();
    returned::give_back(head, &parts.read_buf, parts.io.into_inner(), workers.get_ref())
}

/// Serves a connection until its peer or its life ends.
async fn to_the_end<S>(serving: &mut Connection<TokioIo<Rewind>, S>) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Ok(served) = tokio::time::timeout(LIFE_MAX, &mut *serving).await {
        return served;
    }
    Pin::new(&mut *serving).graceful_shutdown();
    // Whoever does not take even that is left.
    tokio::time::timeout(LAST_ANSWER, serving).await.unwrap_or(Ok(()))
}
