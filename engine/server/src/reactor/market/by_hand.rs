//! The market thread's loop, turned by a test: the same calls in the same order, without the thread and its waiting.

use depthcast_wire::stream::StreamName;

use super::{FeedMessage, Market, WorkerMessage};

impl Market {
    /// Begins a turn of the loop, and answers the requests that wait.
    pub(in crate::reactor) fn begin_by_hand(&mut self) {
        self.begin_turn();
        self.answer_requests();
    }

    /// Handles one message of the feed, behind the requests that were made before it.
    pub(in crate::reactor) fn take_by_hand(&mut self, message: FeedMessage) {
        self.answer_requests();
        self.on_feed(message);
    }

    /// A second has passed.
    pub(in crate::reactor) fn second_by_hand(&mut self) {
        self.on_second(true);
    }

    /// Hands on what waits for the workers. False while a mailbox is full: no feed message is taken then, of a feed that waits.
    pub(in crate::reactor) fn hand_on_by_hand(&mut self) -> bool {
        let is_all = self.outbox.try_hand_on();
        self.count_deferred();
        is_all
    }

    /// The streams of the frames and bodies that were not handed on yet, in the order in which they were made for each worker.
    pub(in crate::reactor) fn not_handed_on(&self) -> Vec<StreamName> {
        let mut streams = Vec::new();
        for (worker, message) in self.outbox.waiting() {
            match message {
                WorkerMessage::Batch(frames) => streams.extend(
                    frames
                        .iter()
                        .filter_map(|frame| Some(self.wanted.get(&(worker, frame.token))?.0)),
                ),
                WorkerMessage::Joined {
                    bodies: Ok(bodies), ..
                } => {
                    let told = bodies.iter().filter(|body| !body.bytes.is_empty());
                    streams.extend(told.map(|body| body.name));
                }
                _ => {}
            }
        }
        streams
    }

    /// How many joins wait for their moment.
    pub(in crate::reactor) fn joins_waiting(&self) -> usize {
        self.joins.waiting()
    }
}
