//! The admin thread: plain HTTP on the same port, for connections that a worker found to be no subscribers. A library
//! speaks HTTP here; what it answers comes from the market thread.

mod rest;
mod rewind;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::reactor::messages::{HandedOff, MarketRequest};
use rest::Rest;
use rewind::Rewind;

/// Plain HTTP connections served at a time; those beyond wait in the channel, and beyond [`WAITING_MAX`] get a 503.
const CONNECTIONS_MAX: usize = 256;

/// Connections that wait to be served.
pub const WAITING_MAX: usize = 1024;

/// How long a kept-alive connection may take for its next request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one connection may live; clients that keep alive reconnect.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// How often a full admin thread looks whether the engine is ending: those who are served may stay for [`LIFE_MAX`].
const END_CHECK: Duration = Duration::from_millis(100);

/// Bytes of a request that are buffered at most; no request here has a body that is read.
const BUFFER_BYTES_MAX: usize = 80 * 1024;

/// Serves what arrives on `connections` until every worker is gone. To be run on a thread of its own.
pub fn run(mut connections: mpsc::Receiver<HandedOff>, market: Sender<MarketRequest>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let rest = Arc::new(Rest::new(market));
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Some(connection) = connections.recv().await {
            let Some(place) = place(&places, &connections).await else {
                break;
            };
            let rest = rest.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(connection, rest).await {
                    tracing::debug!(%error, "an HTTP connection failed");
                }
                drop(place);
            });
        }
    });
    Ok(())
}

/// A place for one more connection; None when every worker has gone while all places were taken.
async fn place(
    places: &Arc<Semaphore>,
    connections: &mpsc::Receiver<HandedOff>,
) -> Option<OwnedSemaphorePermit> {
    while !connections.is_closed() {
        let free = places.clone().acquire_owned();
        if let Ok(place) = tokio::time::timeout(END_CHECK, free).await {
            return place.ok();
        }
    }
    None
}

async fn serve(
    connection: HandedOff,
    rest: Arc<Rest>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = Rewind::new(
        connection.head,
        tokio::net::TcpStream::from_std(connection.socket)?,
    );
    let service = service_fn(move |request| {
        let rest = rest.clone();
        async move { Ok::<_, Infallible>(rest.answer(&request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES_MAX)
        // A client may end its direction behind its request and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LIFE_MAX, serving).await {
        Ok(served) => Ok(served?),
        Err(_) => Ok(()),
    }
}
