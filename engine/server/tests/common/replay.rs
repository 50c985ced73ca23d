//! A whole replay with its subscribers: from the first event to the engine's goodbye.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use depthcast::engine::Engine;
use depthcast::reactor::feed::FeedEnd;

use super::goodbye::{ENDING, shutdown_time};
use super::subscriber::{Message, Subscriber};

/// How long subscribers may take for a whole recording at full speed.
pub const REPLAY_PATIENCE: Duration = Duration::from_secs(120);

/// By which a subscriber says that it has everything it waits for.
#[derive(Clone, Debug)]
pub struct Done(mpsc::Sender<()>);

impl Done {
    /// Says so, then reads on to the goodbye of the engine, which ends once all have said it. What comes before is
    /// given to `check`.
    pub fn and_goodbye(self, subscriber: &mut Subscriber, mut check: impl FnMut(Message<'_>)) {
        // Only a test that has failed does not listen.
        let _ = self.0.send(());
        loop {
            match subscriber.message() {
                Message::Text(text) if shutdown_time(text).is_some() => {
                    assert_eq!(subscriber.message(), Message::Close(ENDING.0, ENDING.1));
                    return;
                }
                message => check(message),
            }
        }
    }
}

/// Runs every one of `subscribers` on a thread of its own with `follow`, which has to call [`Done::and_goodbye`], and
/// gives what they return.
pub fn to_the_end<S: Sync, R: Send>(
    engine: Engine,
    subscribers: &[S],
    follow: impl Fn(SocketAddr, &S, Done) -> R + Sync,
) -> Vec<R> {
    let address = engine.address();
    thread::scope(|scope| {
        // Taken in here, so that a failure ends the engine, and that the threads.
        let engine = engine;
        let (done, all_done) = mpsc::channel();
        let following: Vec<_> = subscribers
            .iter()
            .map(|subscriber| {
                let (follow, done) = (&follow, Done(done.clone()));
                scope.spawn(move || follow(address, subscriber, done))
            })
            .collect();
        for waiting in 0..subscribers.len() {
            let told = all_done.recv_timeout(REPLAY_PATIENCE);
            assert_eq!(told, Ok(()), "{waiting} of {} have everything", subscribers.len());
        }
        assert_eq!(engine.feed_end().recv_timeout(REPLAY_PATIENCE), Ok(FeedEnd::Hold));
        engine.stop(false);
        following
            .into_iter()
            .map(|thread| thread.join().expect("a subscriber's thread"))
            .collect()
    })
}
