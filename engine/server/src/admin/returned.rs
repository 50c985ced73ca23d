//! Subscribers that come over a connection which served plain HTTP before: libraries keep one pool of connections for
//! REST and upgrades, and here both are at one address. The request is written again as it was read, and goes with its
//! socket to a worker, which answers it as it answers all.

use std::convert::Infallible;
use std::error::Error;
use std::os::fd::AsFd;

use depthcast_wire::target::{SubscriberTarget, TargetKind};
use hyper::{Request, Version};
use tokio::sync::watch;

use super::rewind::Rewind;
use crate::os::handoff::Taker;
use crate::os::net;
use crate::session::handshake::unavailable;

/// The head of a subscriber's request on one connection, once it has come.
#[derive(Debug, Default)]
pub(super) struct Subscriber(watch::Sender<Vec<u8>>);

impl Subscriber {
    /// The request has come. Never done: nothing is answered here any more.
    pub(super) async fn came<B>(&self, request: &Request<B>) -> Infallible {
        self.0.send_replace(head(request));
        std::future::pending().await
    }

    /// Waits for it.
    pub(super) async fn head(&self) -> Vec<u8> {
        let mut told = self.0.subscribe();
        let came = told.wait_for(|head| !head.is_empty()).await;
        match came.map(|head| head.clone()) {
            Ok(head) => head,
            // The sender is ours, so it is still there.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Whether a worker would keep this request to itself. That `/echo` exists is only known there, so it stays here: it would
/// come back.
pub(super) fn is_subscribers<B>(request: &Request<B>) -> bool {
    match SubscriberTarget::parse(target(request)) {
        Ok(TargetKind::Subscriber(target)) => !target.echo,
        Ok(TargetKind::Other) => false,
        Err(_) => true,
    }
}

/// Gives the socket to the workers, with the head of the request and what was read behind it.
pub(super) fn give_back(
    mut head: Vec<u8>,
    behind: &[u8],
    stream: Rewind,
    workers: &Taker,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (socket, unread) = stream.into_parts();
    head.extend_from_slice(behind);
    head.extend_from_slice(&unread);
    let socket = socket.into_std()?;
    // What is given is a copy: this one is closed here.
    if let Err(error) = workers.give_back(socket.as_fd(), &head) {
        let socket = mio::net::TcpStream::from_std(socket);
        net::answer_and_close(socket, &unavailable("too many subscribers wait"));
        return Err(error.into());
    }
    Ok(())
}

fn target<B>(request: &Request<B>) -> &str {
    request
        .uri()
        .path_and_query()
        .map_or("", |target| target.as_str())
}

/// A request's head, as bytes.
fn head<B>(request: &Request<B>) -> Vec<u8> {
    let version = if request.version() == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    };
    let mut head = format!("{} {} HTTP/{version}\r\n", request.method(), target(request)).into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request<()> {
        let request = Request::get(target).header("Upgrade", "websocket");
        request.header("Sec-WebSocket-Version", "13").body(()).unwrap()
    }

    #[test]
    fn only_what_a_worker_keeps_goes_back() {
        for target in [
            "/ws/0",
            "/stream?streams=btcusdt@depth",
            "/sbe/ws",
            "/ws?timeUnit=week",
        ] {
            assert!(is_subscribers(&request(target)), "{target}");
        }
        for target in ["/api/v3/depth?symbol=BTCUSDT", "/echo", "/", "/wsx"] {
            assert!(!is_subscribers(&request(target)), "{target}");
        }
    }

    #[test]
    fn a_head_is_written_as_it_was_read() {
        assert_eq!(
            head(&request("/ws/0?timeUnit=microsecond")),
            b"GET /ws/0?timeUnit=microsecond HTTP/1.1\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n"
        );
    }
}
