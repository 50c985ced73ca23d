//! What is still to be written to one engine: chunks of encoded messages, with a bound in bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

/// What the writer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Write this.
    Chunk(Bytes),
    /// Everything was written: end the link for this reason.
    End(String),
    /// Nothing came in time.
    Nothing,
}

/// The outbox of an engine. The exchange's thread fills it, the connection's empties it.
#[derive(Debug)]
pub(super) struct Outbox {
    peer: SocketAddr,
    name: String,
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each with the bytes that it counts for.
    chunks: VecDeque<(Bytes, usize)>,
    /// What the chunk that is being written counts for.
    writing: usize,
    /// Invariant: the sum over `chunks`, and `writing`.
    bytes: usize,
    is_admitted: bool,
    end: Option<String>,
}

impl Outbox {
    pub(super) fn new(peer: SocketAddr, name: String, bytes_max: usize) -> Outbox {
        Outbox {
            peer,
            name,
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the engine calls itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Puts the greeting in. It counts for nothing: it is as long as the exchange is large, and comes once.
    pub(super) fn admit(&self, greeting: Bytes) {
        let mut state = self.lock();
        state.is_admitted = true;
        state.chunks.push_back((greeting, 0));
        self.changed.notify_one();
    }

    /// Whether the engine was greeted.
    pub(super) fn is_admitted(&self) -> bool {
        self.lock().is_admitted
    }

    /// Puts a chunk in. Where that is more than may wait, the link is ended instead and what waits is dropped. False when
    /// the engine gets no more.
    pub(super) fn push(&self, chunk: &Bytes) -> bool {
        let mut state = self.lock();
        if state.end.is_some() {
            return false;
        }
        if state.bytes + chunk.len() > self.bytes_max {
            state.chunks.clear();
            state.bytes = state.writing;
            state.end = Some(format!(
                "too slow: more than {} bytes of events wait to be read",
                self.bytes_max
            ));
            self.changed.notify_one();
            return false;
        }
        state.bytes += chunk.len();
        state.chunks.push_back((chunk.clone(), chunk.len()));
        self.changed.notify_one();
        true
    }

    /// Ends the link once everything is written. The first reason counts.
    pub(super) fn end(&self, reason: &str) {
        let mut state = self.lock();
        state.end.get_or_insert_with(|| reason.into());
        self.changed.notify_one();
    }

    /// Why the link ends, once it does.
    pub(super) fn end_reason(&self) -> Option<String> {
        self.lock().end.clone()
    }

    /// What comes next, after a wait of up to `wait`. The chunk before counts as written.
    pub(super) fn next(&self, wait: Duration) -> Next {
        let mut state = self.lock();
        state.bytes -= state.writing;
        state.writing = 0;
        if state.chunks.is_empty() && state.end.is_none() {
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some((chunk, counts)) = state.chunks.pop_front() {
            state.writing = counts;
            return Next::Chunk(chunk);
        }
        state.end.clone().map_or(Next::Nothing, Next::End)
    }

    /// The state is whole between any two statements, so a thread that failed left nothing broken.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(bytes_max: usize) -> Outbox {
        let outbox = Outbox::new("127.0.0.1:1".parse().unwrap(), "e".into(), bytes_max);
        outbox.admit(Bytes::from_static(&[0; 100]));
        outbox
    }

    fn next_len(outbox: &Outbox) -> usize {
        match outbox.next(Duration::ZERO) {
            Next::Chunk(chunk) => chunk.len(),
            other => panic!("{other:?} is no chunk"),
        }
    }

    #[test]
    fn chunks_come_in_order_and_the_greeting_counts_for_nothing() {
        let outbox = outbox(10);
        assert!(outbox.push(&Bytes::from_static(&[1; 4])));
        assert!(outbox.push(&Bytes::from_static(&[2; 6])));
        assert_eq!(next_len(&outbox), 100);
        assert_eq!(next_len(&outbox), 4);
        assert_eq!(next_len(&outbox), 6);
        assert_eq!(outbox.next(Duration::ZERO), Next::Nothing);
        // All of it is free again.
        assert!(outbox.push(&Bytes::from_static(&[3; 10])));
        assert_eq!(next_len(&outbox), 10);
    }

    #[test]
    fn what_is_being_written_counts_until_the_next_is_taken() {
        let outbox = outbox(10);
        assert_eq!(next_len(&outbox), 100);
        assert!(outbox.push(&Bytes::from_static(&[1; 10])));
        assert_eq!(next_len(&outbox), 10);
        let one_more = Bytes::from_static(&[2]);
        assert!(!outbox.push(&one_more));
    }

    #[test]
    fn too_much_ends_the_link_and_drops_what_waits() {
        let outbox = outbox(10);
        assert!(outbox.push(&Bytes::from_static(&[1; 10])));
        assert!(!outbox.push(&Bytes::from_static(&[2])));
        outbox.end("another reason");
        let reason = "too slow: more than 10 bytes of events wait to be read";
        assert_eq!(outbox.next(Duration::ZERO), Next::End(reason.into()));
    }

    #[test]
    fn an_ended_link_writes_what_waits_first() {
        let outbox = outbox(10);
        outbox.end("bye");
        assert!(!outbox.push(&Bytes::from_static(&[1])));
        assert_eq!(next_len(&outbox), 100);
        assert_eq!(outbox.next(Duration::from_secs(600)), Next::End("bye".into()));
    }
}
